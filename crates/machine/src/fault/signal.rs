//! The signal handler.
//!
//! Runs on the processor's signal stack. It decides and changes the registers; whatever takes long or runs driver
//! code happens after its return ([`super::deliver`]). A fault of the handler itself ends the process.

use std::ffi::c_void;
use std::sync::OnceLock;

use super::cpu::{Cpu, RAX, RDX, RSP};
use super::deliver::{self, Purpose};
use super::emulate::{self, Outcome};
use super::record::{self, Trap, trap};
use super::{interrupt, own, shared_data};
use crate::pcr::Kpcr;
use crate::processor::attached;
use crate::stop::BugCheck;
use crate::supervisor::supervisor;
use crate::{crt, guarded, last_resort, preempt};

const SIGNALS: [libc::c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];

/// How often the same instruction may fault at the same address although the supervisor said that it was mended.
const RETRIES: u32 = 3;

/// First address that is not of user space.
const USER_END: u64 = 1 << 47;

/// Whose code trapped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Driver,
    /// A leaf routine of ours that a driver called.
    Leaf,
    Own,
}

/// Installs the signal handlers, once per process.
///
/// # Errors
/// What `sigaction` says.
pub fn install() -> std::io::Result<()> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let result = INSTALLED.get_or_init(|| {
        own::collect();
        // The linker makes the bounds of the leaf section only where the section has a member.
        std::hint::black_box(crt::memmove as *const ());
        // The decoder makes its tables at first use, which must not be in a signal handler.
        emulate::decode(install as *const () as u64);
        SIGNALS.iter().try_for_each(|&signal| set_handler(signal, on_signal as *const () as usize))?;
        set_handler(interrupt::signal(), on_order as *const () as usize)
    });
    result.map_err(std::io::Error::from_raw_os_error)
}

fn set_handler(signal: libc::c_int, handler: usize) -> Result<(), i32> {
    // SAFETY: all zero is a valid value of the C structure.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    // A handler that faults must get its own signal, hence SA_NODEFER; see `signal_depth`.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for and lives as long as the process.
    let rc = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    if rc == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
}

extern "C" fn on_signal(signal: libc::c_int, info: *mut libc::siginfo_t, frame: *mut c_void) {
    // SAFETY: the kernel passes valid structures, for as long as the handler runs.
    let (info, frame) = unsafe { (&*info, &mut *frame.cast::<libc::ucontext_t>()) };
    // SAFETY: reads one word of this thread.
    let errno = unsafe { *libc::__errno_location() };
    let mut cpu = Cpu::load(frame);
    let saved = &frame.uc_mcontext.gregs;
    let trap = Trap {
        signal,
        signal_code: info.si_code,
        number: saved[libc::REG_TRAPNO as usize] as u64,
        error: saved[libc::REG_ERR as usize] as u64,
        // For SIGBUS the kernel does not always fill in CR2.
        address: if signal == libc::SIGBUS {
            // SAFETY: a signal of the processor carries an address.
            unsafe { info.si_addr() }.addr() as u64
        } else {
            saved[libc::REG_CR2 as usize] as u64
        },
    };
    match attached() {
        Some(kpcr) if info.si_code > 0 => on_trap(kpcr, &trap, &mut cpu, frame),
        // What reads doubtful memory works on every thread.
        None if info.si_code > 0 && guarded::is_guarded(cpu.rip as usize) => leave_guarded(&trap, &mut cpu),
        _ => return not_ours(signal),
    }
    cpu.store(frame);
    // SAFETY: writes one word of this thread.
    unsafe { *libc::__errno_location() = errno };
}

/// The handler of the signal by which another thread stops this one.
extern "C" fn on_order(_signal: libc::c_int, _info: *mut libc::siginfo_t, frame: *mut c_void) {
    let (Some(kpcr), Some(check)) = (attached(), interrupt::order()) else { return };
    // SAFETY: the kernel passes a valid structure, for as long as the handler runs.
    let frame = unsafe { &mut *frame.cast::<libc::ucontext_t>() };
    // In the middle of another handler the stack is not the thread's own; and one stop is enough.
    if kpcr.private.signal_depth.get() != 0 || crate::stop::is_stopping() {
        return;
    }
    let mut cpu = Cpu::load(frame);
    deliver::onto_thread(kpcr, &mut cpu, frame, deliver::no_record(), Purpose::Stop(check));
    cpu.store(frame);
}

/// A signal that somebody sent, or a fault of a thread that runs no drivers: as if we were not here.
fn not_ours(signal: libc::c_int) {
    // SAFETY: the default action replaces ours; the process ends by it.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: sends the signal to this thread.
    unsafe { libc::raise(signal) };
}

fn on_trap(kpcr: &Kpcr, trap: &Trap, cpu: &mut Cpu, frame: &libc::ucontext_t) {
    if trap.number == trap::DEBUG && preempt::stepped(kpcr, cpu) {
        return;
    }
    let depth = &kpcr.private.signal_depth;
    if guarded::is_guarded(cpu.rip as usize) {
        // Also from within the handler, which reads instructions and stacks like this.
        if depth.get() == 0 && user_fault(kpcr, trap, cpu) {
            return;
        }
        return leave_guarded(trap, cpu);
    }
    if depth.get() != 0 {
        const KERNEL_MODE_EXCEPTION: u32 = 0x1E;
        let parameters = [trap.number, cpu.rip, trap.error, trap.address];
        last_resort::die(
            BugCheck { code: KERNEL_MODE_EXCEPTION, parameters },
            "a fault in the fault handler",
        );
    }
    depth.set(1);
    decide(kpcr, trap, cpu, frame);
    depth.set(0);
}

/// Makes a guarded routine return the fault to its caller.
fn leave_guarded(trap: &Trap, cpu: &mut Cpu) {
    let (access, address) = match trap.number {
        trap::PAGE_FAULT => (trap.access(cpu.rip), trap.address),
        _ => (crate::supervisor::Access::Read, u64::MAX),
    };
    let return_address = std::ptr::with_exposed_provenance::<u64>(cpu.general[RSP] as usize);
    // SAFETY: guarded routines use no stack: their return address is on top of our own stack.
    cpu.rip = unsafe { return_address.read() };
    cpu.general[RSP] += 8;
    cpu.general[RAX] = guarded::fault_code(access);
    cpu.general[RDX] = address;
}

/// Asks the supervisor to mend a page fault in user space; `true` to run the instruction again.
fn user_fault(kpcr: &Kpcr, trap: &Trap, cpu: &Cpu) -> bool {
    if trap.number != trap::PAGE_FAULT || trap.address >= USER_END {
        return false;
    }
    let Some(supervisor) = supervisor() else { return false };
    let (rip, address, count) = kpcr.private.retried.get();
    let count = if (rip, address) == (cpu.rip, trap.address) { count + 1 } else { 0 };
    if count >= RETRIES {
        kpcr.private.retried.set((0, 0, 0));
        return false;
    }
    if !supervisor.user_fault(trap.address, trap.access(cpu.rip)) {
        return false;
    }
    kpcr.private.retried.set((cpu.rip, trap.address, count));
    true
}

fn owner(cpu: &Cpu) -> Owner {
    if crt::is_leaf(cpu.rip as usize) {
        return match guarded::try_read::<u64>(cpu.general[RSP]) {
            Ok(caller) if deliver::is_driver_code(caller) => Owner::Leaf,
            _ => Owner::Own,
        };
    }
    if deliver::is_driver_code(cpu.rip) { Owner::Driver } else { Owner::Own }
}

fn decide(kpcr: &Kpcr, trap: &Trap, cpu: &mut Cpu, frame: &libc::ucontext_t) {
    let step = kpcr.private.step.take();
    if step.active {
        let completed = trap.number == trap::DEBUG;
        step.end(cpu, completed);
        if completed {
            return;
        }
    }
    if trap.number == trap::PAGE_FAULT && deliver::is_stack_overflow(kpcr, cpu, trap.address) {
        let record = record::of_trap(trap, cpu, None);
        return deliver::onto_thread(kpcr, cpu, frame, record, Purpose::StackOverflow);
    }
    let owner = owner(cpu);
    if trap.number == trap::PAGE_FAULT && !shared_data::contains(trap.address) && user_fault(kpcr, trap, cpu)
    {
        return;
    }
    if owner == Owner::Own {
        let record = record::of_trap(trap, cpu, None);
        return deliver::onto_thread(kpcr, cpu, frame, record, Purpose::OwnException);
    }
    let fetch = trap.number == trap::PAGE_FAULT && trap.access(cpu.rip) == crate::supervisor::Access::Execute;
    let instruction = if fetch { None } else { emulate::decode(cpu.rip) };
    if let Some(instruction) = &instruction {
        match trap.number {
            trap::PAGE_FAULT if shared_data::contains(trap.address) => {
                let read = trap.access(cpu.rip) == crate::supervisor::Access::Read;
                if read && shared_data::serve(cpu, instruction, kpcr) {
                    return;
                }
            }
            trap::PROTECTION | trap::UNDEFINED if owner == Owner::Driver => {
                match emulate::emulate(cpu, kpcr, instruction) {
                    Outcome::Resume | Outcome::Again => return,
                    Outcome::Lowered(from, to) => {
                        let purpose = Purpose::Lowered(from, to);
                        return deliver::onto_thread(kpcr, cpu, frame, deliver::no_record(), purpose);
                    }
                    Outcome::Raise(code, parameters, count) => {
                        let record = record::make(code, cpu.rip, &parameters[..count]);
                        return deliver::onto_thread(kpcr, cpu, frame, record, Purpose::DriverException);
                    }
                    Outcome::Stop(check) => {
                        let purpose = Purpose::Stop(check);
                        return deliver::onto_thread(kpcr, cpu, frame, deliver::no_record(), purpose);
                    }
                    Outcome::NotPrivileged => {}
                }
            }
            _ => {}
        }
    }
    let record = record::of_trap(trap, cpu, instruction.as_ref());
    deliver::onto_thread(kpcr, cpu, frame, record, Purpose::DriverException);
}
