//! The way from a driver to a kernel routine, which in a stressed kernel leads past the scheduler.
//!
//! An import is bound to a stub, which saves what may hold arguments, stops at a point, and jumps to the routine with
//! the stack as it was: the routine and whoever walks the stack see the driver as the caller.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

use event::{ClientId, Conditions, Event, EventKind, ProcessId, Thread, ThreadExit, ThreadId};
use nt_abi::STATUS_SUCCESS;

use super::schedule::Scheduler;
use crate::export::{Export, Kind};
use crate::{ke, kernel};

/// How many imports can be hooked; those beyond are called without a point.
const STUBS: usize = 1024;
/// Bytes of a stub: part of the program, so that no code has to be made while it runs.
const STUB_SIZE: usize = 16;

/// The routines behind the stubs.
static ROUTINES: Mutex<Vec<&'static Export>> = Mutex::new(Vec::new());

/// Routines on whose way other drivers do work of their own: filters of file systems, of the registry, of devices.
const REACH_OTHERS: [&str; 14] = [
    "FltSendMessage",
    "IofCallDriver",
    "IoCallDriver",
    "ZwClose",
    "ZwCreateFile",
    "ZwCreateKey",
    "ZwDeleteFile",
    "ZwFlushBuffersFile",
    "ZwOpenFile",
    "ZwOpenKey",
    "ZwQueryInformationFile",
    "ZwReadFile",
    "ZwSetValueKey",
    "ZwWriteFile",
];

/// The address that a driver's import of `export` is bound to.
pub(crate) fn hooked(export: &'static Export) -> usize {
    let routine = export.address.0.expose_provenance();
    if super::stress().is_none() || export.kind != Kind::Code || !may_stop(export.name) {
        return routine;
    }
    let mut routines = ROUTINES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = routines.iter().position(|known| std::ptr::eq(*known, export));
    let index = known.unwrap_or_else(|| {
        routines.push(export);
        routines.len() - 1
    });
    if index < STUBS { first_stub() + index * STUB_SIZE } else { routine }
}

/// What compilers call, and what looks at the processor itself, must find it as the driver left it.
fn may_stop(name: &str) -> bool {
    const OWN_WAYS: [&str; 5] = ["_", "RtlUnwind", "RtlCapture", "RtlLookup", "RtlVirtual"];
    !OWN_WAYS.iter().any(|start| name.starts_with(start)) && !matches!(name, "longjmp" | "setjmp")
}

fn first_stub() -> usize {
    (stubs as *const ()).expose_provenance().next_multiple_of(STUB_SIZE)
}

#[unsafe(naked)]
unsafe extern "win64" fn stubs() {
    std::arch::naked_asm!(
        ".rept {count}",
        ".balign {size}",
        "lea rax, [rip]",
        "jmp {common}",
        ".endr",
        count = const STUBS,
        size = const STUB_SIZE,
        common = sym common,
    )
}

/// Saves the registers that hold arguments, in which `rax` is none, and goes where `called` says.
#[unsafe(naked)]
unsafe extern "win64" fn common() {
    std::arch::naked_asm!(
        "sub rsp, 0x88",
        "mov [rsp + 0x20], rcx",
        "mov [rsp + 0x28], rdx",
        "mov [rsp + 0x30], r8",
        "mov [rsp + 0x38], r9",
        "movups [rsp + 0x40], xmm0",
        "movups [rsp + 0x50], xmm1",
        "movups [rsp + 0x60], xmm2",
        "movups [rsp + 0x70], xmm3",
        "mov rcx, rax",
        "call {called}",
        "mov rcx, [rsp + 0x20]",
        "mov rdx, [rsp + 0x28]",
        "mov r8, [rsp + 0x30]",
        "mov r9, [rsp + 0x38]",
        "movups xmm0, [rsp + 0x40]",
        "movups xmm1, [rsp + 0x50]",
        "movups xmm2, [rsp + 0x60]",
        "movups xmm3, [rsp + 0x70]",
        "add rsp, 0x88",
        "jmp rax",
        called = sym called,
    )
}

/// A driver calls the routine whose stub is at `at`: a point, and then there.
unsafe extern "win64" fn called(at: usize) -> usize {
    let index = (at - first_stub()) / STUB_SIZE;
    let export = {
        let routines = ROUTINES.lock().unwrap_or_else(PoisonError::into_inner);
        routines.get(index).copied()
    };
    let Some(export) = export else { std::process::abort() };
    if let Some(stress) = super::stress() {
        let steps = machine::preempt::pause();
        stress.scheduler.point(3);
        let reaches =
            REACH_OTHERS.contains(&export.name) && machine::irql::current() == machine::Irql::PASSIVE;
        if reaches && Scheduler::is_task() && stress.scheduler.ask(|dice| dice.one_in(2)) {
            somebody_creates_a_thread();
        }
        // What a driver does right after a call, with what the call gave it, is where it is interrupted most.
        let steps = if steps == 0 { super::steps_after_call(stress) } else { steps };
        if export.naked { machine::preempt::arm(steps) } else { STEPS_LEFT.set(steps) }
    }
    export.address.0.expose_provenance()
}

thread_local! {
    /// After how many of its instructions the driver is preempted, once the routine that it called returns.
    static STEPS_LEFT: Cell<u32> = const { Cell::new(0) };
}

/// An exported routine runs. When the one that a driver called returns, the counting of the driver's instructions goes
/// on: counting those of the routine as well would take a trap for each.
#[derive(Debug)]
pub(crate) struct Returning(u32);

impl Returning {
    /// The first to begin after a driver's call is the one that it called.
    #[inline]
    pub(crate) fn begin() -> Self {
        Self(if super::is_on() { STEPS_LEFT.take() } else { 0 })
    }
}

impl Drop for Returning {
    #[inline]
    fn drop(&mut self) {
        if self.0 != 0 {
            machine::preempt::arm(self.0);
        }
    }
}

/// Another driver, which works on this thread's behalf, creates a system thread (R-RACE-04, BUG-07).
fn somebody_creates_a_thread() {
    let Some(current) = crate::ps::thread::current() else { return };
    let kernel = kernel();
    let thread = ClientId { process: ProcessId::SYSTEM, thread: ThreadId(super::lives::new_id()) };
    let event = |kind| Event {
        time: ke::time::now(),
        context: current.client_id(),
        kind,
        conditions: Conditions::default(),
    };
    kernel.deliver_event(&event(EventKind::ThreadCreate(Thread::new(thread))));
    let exit = EventKind::ThreadExit(ThreadExit { thread, status: STATUS_SUCCESS });
    kernel.deliver_event(&Event { context: thread, ..event(exit) });
}
