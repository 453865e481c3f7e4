//! Stops: bug checks, with what a reader needs to find the cause.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use nt_abi::{CONTEXT, EXCEPTION_RECORD};

use crate::irql::Irql;
use crate::processor::attached;
use crate::seh::context;
use crate::supervisor::supervisor;
use crate::{images, last_resort, seh};

/// A bug check code with its four parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BugCheck {
    /// The code, for example 0xD1.
    pub code: u32,
    /// The parameters, whose meaning depends on the code.
    pub parameters: [u64; 4],
}

/// The integer registers at a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 … r15: the order in which instructions number them.
    pub general: [u64; 16],
    /// The instruction pointer.
    pub rip: u64,
    /// The flags.
    pub rflags: u64,
}

/// One return address, or the instruction itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackFrame {
    /// The address.
    pub address: u64,
    /// File name of the driver that it lies in, if any.
    pub module: Option<Box<str>>,
    /// Offset from the driver's base, or the address itself outside of any.
    pub offset: u64,
}

impl StackFrame {
    /// The frame with this address; unloaded drivers are named with a leading `<unloaded>`.
    pub fn at(address: u64) -> StackFrame {
        let at = usize::try_from(address).unwrap_or(usize::MAX);
        if let Some(image) = images::find(at) {
            return StackFrame {
                address,
                module: Some(image.name.clone()),
                offset: address - image.base as u64,
            };
        }
        if let Some(image) = images::find_unloaded(at) {
            let module = format!("<unloaded>{}", image.name).into_boxed_str();
            return StackFrame { address, module: Some(module), offset: address - image.base as u64 };
        }
        StackFrame { address, module: None, offset: address }
    }
}

/// The exception that led to a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopException {
    /// The exception code, an `NTSTATUS`.
    pub code: u32,
    /// The flags of the record.
    pub flags: u32,
    /// Where it happened.
    pub address: u64,
    /// The parameters of the record.
    pub information: Vec<u64>,
    /// For a fault in the kernel's own code: the driver's call that it was working for.
    pub call_site: Option<StackFrame>,
}

impl StopException {
    /// What a record says.
    pub fn new(record: &EXCEPTION_RECORD, call_site: Option<StackFrame>) -> StopException {
        let count = (record.NumberParameters as usize).min(record.ExceptionInformation.len());
        StopException {
            code: seh::record_code(record),
            flags: record.ExceptionFlags,
            address: record.ExceptionAddress.addr() as u64,
            information: record.ExceptionInformation[..count].iter().map(|&value| value as u64).collect(),
            call_site,
        }
    }
}

/// A bug check and the state in which it happened.
#[derive(Clone, Debug)]
pub struct Stop {
    /// The code.
    pub code: u32,
    /// Its parameters.
    pub parameters: [u64; 4],
    /// The registers at the cause, as far as they are known.
    pub registers: Registers,
    /// The stack, innermost first: exact through driver frames, by scanning beyond them.
    pub stack: Vec<StackFrame>,
    /// The exception behind it, if any.
    pub exception: Option<StopException>,
    /// The level of the processor.
    pub irql: Irql,
    /// The number of the processor, or `None` outside of any.
    pub processor: Option<u32>,
    /// The driver whose code ran, as the supervisor numbers them; 0 is none.
    pub driver: u64,
}

/// The thread that is stopping (its id), or 0.
static STOPPING: AtomicU32 = AtomicU32::new(0);
/// How many stops were begun; for tests and reports.
static STOPS: AtomicU64 = AtomicU64::new(0);

/// Stops with a bug check that a routine of the kernel found; the stack is that of the caller.
pub fn bug_check(code: u32, p1: u64, p2: u64, p3: u64, p4: u64) -> ! {
    let mut here = CONTEXT::default();
    context::capture_here(&mut here);
    stop_with(BugCheck { code, parameters: [p1, p2, p3, p4] }, &here, None)
}

/// Stops with a bug check whose cause is described by `context`: the driver's call, for routines that were
/// entered through [`crate::raising_entry`].
pub fn bug_check_at(check: BugCheck, context: &CONTEXT) -> ! {
    stop_with(check, context, None)
}

/// Builds the stop and hands it to the supervisor. Whatever goes wrong, it ends.
pub(crate) fn stop_with(check: BugCheck, context: &CONTEXT, exception: Option<StopException>) -> ! {
    STOPS.fetch_add(1, Ordering::Relaxed);
    last_resort::claim_stop(&STOPPING, check);
    let kpcr = attached();
    let stop = Stop {
        code: check.code,
        parameters: check.parameters,
        registers: context::registers(context),
        stack: seh::walk::stack(context),
        exception,
        irql: kpcr.map_or(Irql::PASSIVE, |kpcr| Irql::new(kpcr.private.irql.get())),
        processor: kpcr.map(|kpcr| kpcr.number()),
        driver: kpcr.map_or(0, |kpcr| kpcr.private.driver.get()),
    };
    match supervisor() {
        Some(supervisor) => supervisor.stop(&stop),
        None => last_resort::die(check, "no supervisor is installed"),
    }
}

/// Stops because of what a driver left behind when it returned to the edge.
pub(crate) fn stop_at_edge(check: BugCheck, rsp: u64) -> ! {
    let mut here = CONTEXT::default();
    context::capture_here(&mut here);
    here.Rsp = rsp;
    stop_with(check, &here, None)
}

/// Whether this thread is reporting a stop.
pub fn is_stopping() -> bool {
    STOPPING.load(Ordering::SeqCst) == last_resort::thread_id()
}

/// Forgets that this process is stopping, so that tests can stop more than once. Not for production: after a
/// stop nothing in the kernel is trustworthy.
pub fn stop_was_caught() {
    STOPPING.store(0, Ordering::SeqCst);
    last_resort::disarm();
}
