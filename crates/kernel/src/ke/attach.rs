//! Attaching a thread to the address space of another process.

use std::sync::atomic::Ordering;

use export_macro::export;
use machine::Irql;
use nt_abi::KAPC_STATE;

use crate::ob;
use crate::ps::process::Eprocess;
use crate::ps::thread::{Ethread, current};

/// INVALID_PROCESS_ATTACH_ATTEMPT.
const INVALID_ATTACH: u32 = 0x05;
/// What stands in the saved state when the thread was in that address space anyway.
const SAME: usize = 1;

/// Makes `process` the one whose address space the thread uses; null is its own. Answers the one before.
fn switch(thread: &Ethread, process: *mut Eprocess) -> *mut Eprocess {
    if !process.is_null() {
        // SAFETY: a process that the caller holds a reference on; this one is given up when it is left.
        unsafe { ob::object::reference(process) };
    }
    // What lies in user space from here on is another process's.
    crate::mm::user::forget();
    thread.attached.swap(process, Ordering::AcqRel)
}

fn give_up(process: *mut Eprocess) {
    if !process.is_null() {
        // SAFETY: the reference that `switch` took.
        unsafe { ob::dereference(process) };
    }
}

/// A thread that the kernel has attached to a process's address space, until this is dropped.
pub(crate) struct Attached<'a> {
    thread: &'a Ethread,
    before: *mut Eprocess,
}

impl<'a> Attached<'a> {
    /// Attaches `thread`, the current one.
    pub(crate) fn to(thread: &'a Ethread, process: &Eprocess) -> Self {
        Self { thread, before: switch(thread, std::ptr::from_ref(process).cast_mut()) }
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        crate::mm::user::forget();
        give_up(self.thread.attached.swap(self.before, Ordering::AcqRel));
    }
}

fn check_level(process: *mut Eprocess) {
    let irql = machine::irql::current();
    if irql >= Irql::DISPATCH {
        let attached = current().map_or(0, |thread| thread.attached.load(Ordering::Relaxed).addr());
        machine::bug_check(INVALID_ATTACH, process.addr() as u64, attached as u64, 0, 1);
    }
}

/// Attaches the current thread to the address space of a process, and saves where it was. Source: DDI; R-CTX-06.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeStackAttachProcess(process: *mut Eprocess, state: *mut KAPC_STATE) {
    let Some(thread) = current() else { return };
    check_level(process);
    let before = if std::ptr::eq(thread.current_process(), process) {
        std::ptr::without_provenance_mut(SAME)
    } else {
        // The reference on the one before stays with the saved state.
        switch(thread, process)
    };
    // SAFETY: the driver's structure.
    unsafe { state.write(KAPC_STATE { Process: before.cast(), ..KAPC_STATE::default() }) };
}

/// Takes the current thread back to where it was before KeStackAttachProcess. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeUnstackDetachProcess(state: *mut KAPC_STATE) {
    let Some(thread) = current() else { return };
    // SAFETY: the driver's structure, filled in by KeStackAttachProcess.
    let before = unsafe { (*state).Process.cast::<Eprocess>() };
    if before.addr() == SAME {
        return;
    }
    crate::mm::user::forget();
    give_up(thread.attached.swap(before, Ordering::AcqRel));
    super::leave_kernel(crate::kernel(), thread);
}

/// Attaches the current thread, which must not be attached, to the address space of a process. Not documented.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeAttachProcess(process: *mut Eprocess) {
    let Some(thread) = current() else { return };
    check_level(process);
    if std::ptr::eq(thread.current_process(), process) {
        return;
    }
    let attached = thread.attached.load(Ordering::Relaxed);
    if !attached.is_null() {
        machine::bug_check(INVALID_ATTACH, process.addr() as u64, attached.addr() as u64, 1, 0);
    }
    switch(thread, process);
}

/// Takes the current thread back to the address space of its own process. Not documented.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeDetachProcess() {
    if let Some(thread) = current() {
        give_up(switch(thread, std::ptr::null_mut()));
        super::leave_kernel(crate::kernel(), thread);
    }
}

/// Says whether the current thread is attached to another process. Not documented.
#[export(irql any)]
pub unsafe extern "win64" fn KeIsAttachedProcess() -> u8 {
    u8::from(current().is_some_and(|thread| !thread.attached.load(Ordering::Relaxed).is_null()))
}
