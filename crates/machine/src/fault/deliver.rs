//! From the signal handler onto the thread's own stack.
//!
//! Handlers and hooks that run driver code cannot run on the signal stack. The handler therefore writes what it
//! knows below the stack pointer of the trap and returns into `enter`; what follows is ordinary code that
//! ends by continuing from the (possibly changed) registers, or with a stop.

use super::cpu::{Cpu, DIRECTION_FLAG, RDI, RSP, TRAP_FLAG};
use super::record::make;
use crate::irql::Irql;
use crate::pcr::Kpcr;
use crate::seh::{self, code, context};
use crate::stop::{self, BugCheck, StackFrame, StopException};
use crate::supervisor::{Access, Origin, supervisor};
use crate::{images, last_resort};
use nt_abi::{CONTEXT, EXCEPTION_RECORD};

/// What a delivery is for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// An exception in driver code: ask its handlers.
    DriverException,
    /// An exception in our own code.
    OwnException,
    /// The stack is used up.
    StackOverflow,
    /// The level was lowered by an instruction.
    Lowered(Irql, Irql),
    /// The instruction is a stop.
    Stop(BugCheck),
}

/// What the handler hands over.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Delivery {
    context: CONTEXT,
    record: EXCEPTION_RECORD,
    purpose: Purpose,
}

/// Bytes below the stack pointer that System V code may be using.
const RED_ZONE: u64 = 128;
/// What dispatching an exception and running a handler may need of the stack.
const RESERVE: u64 = 24 * 1024;
/// How far below the stack an access still counts as an overflow: guard pages and probes of large frames.
const GUARD_REACH: u64 = 64 * 1024;
/// Set by alignment checks, which our code does not expect.
const ALIGNMENT_FLAG: u64 = 1 << 18;

/// Whether a page fault at `address` means that the stack is used up.
pub(super) fn is_stack_overflow(kpcr: &Kpcr, cpu: &Cpu, address: u64) -> bool {
    let low = kpcr.private.stack_low.get() as u64;
    let near = |value: u64| value >= low.saturating_sub(GUARD_REACH) && value < low + RESERVE;
    (address >= low.saturating_sub(GUARD_REACH) && address < low) && near(cpu.general[RSP])
}

/// Makes the thread continue in [`enter`] with this delivery when the handler returns.
pub(super) fn onto_thread(
    kpcr: &Kpcr,
    cpu: &mut Cpu,
    frame: &libc::ucontext_t,
    record: EXCEPTION_RECORD,
    mut purpose: Purpose,
) {
    let rsp = cpu.general[RSP];
    let emergency = kpcr.private.emergency_stack.get() as u64;
    let (low, high) = (kpcr.private.stack_low.get() as u64, kpcr.private.stack_high.get() as u64);
    if rsp <= emergency && rsp > emergency - crate::processor::EMERGENCY_STACK as u64 {
        last_resort::die(double_fault(cpu), "a fault while a stack overflow was reported");
    }
    let top = if rsp > high || rsp < low.saturating_add(RESERVE) {
        purpose = Purpose::StackOverflow;
        emergency
    } else if matches!(purpose, Purpose::StackOverflow) {
        emergency
    } else {
        rsp - RED_ZONE
    };
    let place = (top - size_of::<Delivery>() as u64) & !63;
    let mut context = CONTEXT::default();
    cpu.to_context(frame, &mut context);
    let delivery = std::ptr::with_exposed_provenance_mut::<Delivery>(place as usize);
    // SAFETY: the place is aligned and lies in the unused part of the thread's stack or of its emergency stack; a
    // page that is not there after all faults in the handler, which ends the process.
    unsafe { delivery.write(Delivery { context, record, purpose }) };
    cpu.general[RDI] = place;
    // As after a call: 8 bytes below a multiple of 16.
    cpu.general[RSP] = place - 8;
    cpu.rip = enter as *const () as u64;
    cpu.rflags &= !(TRAP_FLAG | DIRECTION_FLAG | ALIGNMENT_FLAG);
}

fn double_fault(cpu: &Cpu) -> BugCheck {
    const UNEXPECTED_KERNEL_MODE_TRAP: u32 = 0x7F;
    const DOUBLE_FAULT: u64 = 8;
    BugCheck { code: UNEXPECTED_KERNEL_MODE_TRAP, parameters: [DOUBLE_FAULT, 0, cpu.general[RSP], cpu.rip] }
}

/// Where a delivery arrives, on the thread's own stack.
extern "C" fn enter(delivery: *mut Delivery) -> ! {
    // SAFETY: written by the handler just now, and only for us.
    let Delivery { context, record, purpose } = unsafe { &mut *delivery };
    match *purpose {
        Purpose::DriverException => {
            refuse_page_fault(record, context);
            let before = registers(context);
            if seh::dispatch::dispatch(record, context).is_unhandled() || is_stuck(before, registers(context))
            {
                unhandled(record, context, &Origin::Driver);
            }
        }
        Purpose::OwnException => own_exception(record, context),
        Purpose::StackOverflow => {
            stop::stop_with(
                double_fault(&registers(context)),
                context,
                Some(StopException::new(record, None)),
            );
        }
        Purpose::Lowered(from, to) => {
            if let Some(supervisor) = supervisor() {
                supervisor.irql_lowered(from, to);
            }
        }
        Purpose::Stop(check) => stop::stop_with(check, context, None),
    }
    // SAFETY: the registers of the trap, or what a handler made of them, on whose stack we are.
    unsafe { context::restore(context) }
}

fn registers(context: &mut CONTEXT) -> Cpu {
    Cpu { general: *context::general(context), rip: context.Rip, rflags: 0 }
}

/// Whether a filter continues the same instruction with the same registers without end: `true` after so many times
/// that nothing it waits for can come any more.
fn is_stuck(before: Cpu, after: Cpu) -> bool {
    const PATIENCE: u32 = 100_000;
    let place = &Kpcr::current().private.unchanged;
    let (last, count) = place.get();
    let count = if before == after && after == last { count + 1 } else { 0 };
    place.set((after, count));
    count >= PATIENCE
}

/// Page faults that no handler may see.
fn refuse_page_fault(record: &EXCEPTION_RECORD, context: &CONTEXT) {
    let Some(supervisor) = supervisor() else { return };
    if seh::record_code(record) != code::ACCESS_VIOLATION || record.NumberParameters < 2 {
        return;
    }
    let access = match record.ExceptionInformation[0] as u64 {
        0 => Access::Read,
        1 => Access::Write,
        _ => Access::Execute,
    };
    let address = record.ExceptionInformation[1] as u64;
    if let Some(check) = supervisor.page_fault(address, access, context.Rip, crate::irql::current()) {
        stop::stop_with(check, context, Some(StopException::new(record, None)));
    }
}

/// A fault in Rust code: raised at the driver's call if the routine stands in for its caller, else a stop.
fn own_exception(record: &mut EXCEPTION_RECORD, context: &mut CONTEXT) {
    let private = &Kpcr::current().private;
    // SAFETY: null, or an anchor in a frame of this thread that has not returned.
    if let Some(anchor) = unsafe { private.anchor.get().as_ref() }
        && anchor.edge == private.edge.get()
    {
        // SAFETY: an anchor's context lies beside it.
        let mut caller = unsafe { *anchor.context };
        private.anchor.set(anchor.previous);
        record.ExceptionFlags |= nt_abi::EXCEPTION_NONCONTINUABLE;
        // The routine is abandoned: its driver's handlers are asked as if its call had faulted.
        seh::dispatch::dispatch(record, &mut caller);
        unhandled(record, &caller, &Origin::Kernel { call_site: Some(StackFrame::at(caller.Rip)) });
    }
    let call_site = seh::walk::nearest_driver_return(context.Rsp).map(StackFrame::at);
    unhandled(record, context, &Origin::Kernel { call_site });
}

/// Nobody handled it: which stop is it?
pub(crate) fn unhandled(record: &EXCEPTION_RECORD, context: &CONTEXT, origin: &Origin) -> ! {
    const KMODE_EXCEPTION_NOT_HANDLED: u32 = 0x1E;
    let check = match supervisor() {
        Some(supervisor) => supervisor.unhandled_exception(record, context, origin),
        None => BugCheck {
            code: KMODE_EXCEPTION_NOT_HANDLED,
            parameters: [
                u64::from(seh::record_code(record)),
                record.ExceptionAddress.addr() as u64,
                record.ExceptionInformation[0] as u64,
                record.ExceptionInformation[1] as u64,
            ],
        },
    };
    let call_site = match origin {
        Origin::Kernel { call_site } => call_site.clone(),
        Origin::Driver => None,
    };
    stop::stop_with(check, context, Some(StopException::new(record, call_site)))
}

/// Whether driver code can be blamed for what is at this address: an image, or memory that is neither ours nor
/// an image's (executable pool).
pub(super) fn is_driver_code(address: u64) -> bool {
    images::find(address as usize).is_some() || !super::own::is_own(address as usize)
}

/// A record without a trap, for deliveries that are no exceptions.
pub(super) fn no_record() -> EXCEPTION_RECORD {
    make(0, 0, &[])
}
