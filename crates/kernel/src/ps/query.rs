//! What drivers ask about processes and threads.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use event::Architecture;
use export_macro::export;
use nt_abi::{
    CLIENT_ID, HANDLE, LARGE_INTEGER, NTSTATUS, STATUS_INVALID_CID, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

use super::process::{Eprocess, PROCESS_TYPE};
use super::thread::{Ethread, THREAD_TYPE};
use crate::kernel;
use crate::ob::ledger::hand_out;

/// The current thread. Kernel routines run on processors, which always have one.
fn current() -> &'static Ethread {
    super::thread::current().expect("a kernel routine was called on a thread that is no processor")
}

fn handle(id: u32) -> HANDLE {
    std::ptr::without_provenance_mut(id as usize)
}

/// The 32-bit id in a handle; ids that do not fit exist nowhere.
fn id_of(handle: HANDLE) -> Option<u32> {
    u32::try_from(handle.addr()).ok()
}

/// Returns the process whose address space is active. Source: DDI; R-CTX-06.
#[export(irql any)]
pub unsafe extern "win64" fn IoGetCurrentProcess() -> *mut Eprocess {
    std::ptr::from_ref(current().current_process()).cast_mut()
}

/// Returns the process whose address space is active, as `IoGetCurrentProcess`. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetCurrentProcess() -> *mut Eprocess {
    std::ptr::from_ref(current().current_process()).cast_mut()
}

/// Returns the current thread. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeGetCurrentThread() -> *mut Ethread {
    machine::current_thread().cast()
}

/// Returns the current thread. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetCurrentThread() -> *mut Ethread {
    machine::current_thread().cast()
}

/// Returns the id of the process that owns the current thread. Source: DDI; R-CTX-06.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetCurrentProcessId() -> HANDLE {
    handle(current().process.id.0)
}

/// Returns the id of the current thread. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetCurrentThreadId() -> HANDLE {
    handle(current().id.0)
}

/// Returns the process that owns the current thread. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetCurrentThreadProcess() -> *mut Eprocess {
    current().process.as_ptr()
}

/// Returns the id of the process that owns the current thread. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetCurrentThreadProcessId() -> HANDLE {
    handle(current().process.id.0)
}

/// Returns a process's id. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetProcessId(process: &Eprocess) -> HANDLE {
    handle(process.id.0)
}

/// Returns the id of the process that a process inherits from. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetProcessInheritedFromUniqueProcessId(process: &Eprocess) -> HANDLE {
    handle(process.parent.0)
}

/// Returns a process's exit status: STATUS_PENDING until it exits, final in its exit notification (R-EXIT-02).
#[export(irql <= APC)]
pub unsafe extern "win64" fn PsGetProcessExitStatus(process: &Eprocess) -> NTSTATUS {
    process.exit_status()
}

/// Returns the time at which the current process, that whose address space is active, exited (R-EXIT-02): it takes no
/// argument.
#[export(irql <= APC)]
pub unsafe extern "win64" fn PsGetProcessExitTime() -> LARGE_INTEGER {
    current().current_process().exit_time().0
}

/// Returns whether a process has begun to exit. Source: public symbol lists.
#[export(irql <= APC, since = Xp)]
pub unsafe extern "win64" fn PsGetProcessExitProcessCalled(process: &Eprocess) -> u8 {
    u8::from(process.exit_time().0 != 0)
}

/// Returns the time at which a process was created. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetProcessCreateTimeQuadPart(process: &Eprocess) -> i64 {
    process.create_time.0
}

/// Returns the first 15 characters of a process's image file name. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetProcessImageFileName(process: &Eprocess) -> *const u8 {
    process.short_name.as_ptr()
}

/// Returns a number that names a process for as long as the machine runs, ids being used again. Source: DDI.
#[export(irql <= APC, since = Win10_1709)]
pub unsafe extern "win64" fn PsGetProcessStartKey(process: &Eprocess) -> u64 {
    process.sequence
}

/// Returns the sequence number of a process. Source: public symbol lists.
#[export(irql <= APC, since = Win10_1709)]
pub unsafe extern "win64" fn PsGetProcessSequenceNumber(process: &Eprocess) -> u64 {
    process.sequence
}

/// Returns the session of a process: 0 for System, 1 for everything a user runs.
#[export(irql <= APC)]
pub unsafe extern "win64" fn PsGetProcessSessionId(process: &Eprocess) -> u32 {
    u32::from(process.id != event::ProcessId::SYSTEM)
}

/// Returns the 32-bit environment block of a WoW64 process, and NULL for a native one (R-WOW).
#[export(irql any)]
pub unsafe extern "win64" fn PsGetProcessWow64Process(process: &Eprocess) -> *mut u8 {
    let wow64 = process.architecture == Architecture::X86;
    // There is no such block for a live process; drivers test for NULL, and following it faults.
    if wow64 { std::ptr::without_provenance_mut(0x7FFD_0000) } else { std::ptr::null_mut() }
}

/// Returns the user-mode environment block of a process. NULL for System, for pico processes, and for the Linux processes of
/// a live source, which have none. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetProcessPeb(process: &Eprocess) -> *mut u8 {
    user_address(process.peb.load(Ordering::Relaxed))
}

/// An address in a process's memory.
pub(crate) fn user_address<T>(address: u64) -> *mut T {
    std::ptr::without_provenance_mut(usize::try_from(address).unwrap_or_default())
}

/// Says whether a process is a protected one: none here is. Source: public symbol lists.
#[export(irql any, since = VistaSp1)]
pub unsafe extern "win64" fn PsIsProtectedProcess(_process: &Eprocess) -> u8 {
    0
}

/// Says whether a process is a light protected one: none here is. Source: public symbol lists.
#[export(irql any, since = Win81)]
pub unsafe extern "win64" fn PsIsProtectedProcessLight(_process: &Eprocess) -> u8 {
    0
}

/// Says whether a thread is a system thread. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn PsIsSystemThread(thread: &Ethread) -> u8 {
    u8::from(thread.system)
}

/// Returns a thread's id. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetThreadId(thread: &Ethread) -> HANDLE {
    handle(thread.id.0)
}

/// Returns the process that owns a thread. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetThreadProcess(thread: &Ethread) -> *mut Eprocess {
    thread.process.as_ptr()
}

/// Returns the process that owns a thread. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoThreadToProcess(thread: &Ethread) -> *mut Eprocess {
    thread.process.as_ptr()
}

/// Returns the id of the process that owns a thread. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetThreadProcessId(thread: &Ethread) -> HANDLE {
    handle(thread.process.id.0)
}

/// Returns a thread's exit status: STATUS_PENDING until it exits, final in its exit notification (R-EXIT-03).
#[export(irql <= APC)]
pub unsafe extern "win64" fn PsGetThreadExitStatus(thread: &Ethread) -> NTSTATUS {
    thread.exit_status()
}

/// Returns the time at which a thread was created. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetThreadCreateTime(thread: &Ethread) -> i64 {
    thread.create_time.0
}

/// Says whether a thread is exiting. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn PsIsThreadTerminating(thread: &Ethread) -> u8 {
    u8::from(thread.exit_time().0 != 0)
}

/// Finds a process by its id and takes a reference on it. STATUS_INVALID_CID where there is none (R-CB-04).
#[export(irql <= APC)]
pub unsafe extern "win64" fn PsLookupProcessByProcessId(id: HANDLE, process: *mut *mut Eprocess) -> NTSTATUS {
    let found = id_of(id).and_then(|id| kernel().ps.cid.lookup::<Eprocess>(id, &PROCESS_TYPE));
    let Some(found) = found else { return STATUS_INVALID_CID };
    // SAFETY: the driver's pointer; a bad one faults as on Windows.
    unsafe { process.write(hand_out(found, "PsLookupProcessByProcessId")) };
    STATUS_SUCCESS
}

/// Finds a thread by its id and takes a reference on it. STATUS_INVALID_PARAMETER where there is none (R-CB-04).
#[export(irql <= APC)]
pub unsafe extern "win64" fn PsLookupThreadByThreadId(id: HANDLE, thread: *mut *mut Ethread) -> NTSTATUS {
    let found = id_of(id).and_then(|id| kernel().ps.cid.lookup::<Ethread>(id, &THREAD_TYPE));
    let Some(found) = found else { return STATUS_INVALID_PARAMETER };
    // SAFETY: the driver's pointer; a bad one faults as on Windows.
    unsafe { thread.write(hand_out(found, "PsLookupThreadByThreadId")) };
    STATUS_SUCCESS
}

/// Finds a process and a thread by a client id and takes references on both. Source: public symbol lists.
#[export(irql <= APC)]
pub unsafe extern "win64" fn PsLookupProcessThreadByCid(
    ids: &CLIENT_ID,
    process: *mut *mut Eprocess,
    thread: *mut *mut Ethread,
) -> NTSTATUS {
    let found = id_of(ids.UniqueThread).and_then(|id| kernel().ps.cid.lookup::<Ethread>(id, &THREAD_TYPE));
    let Some(found) = found.filter(|thread| handle(thread.process.id.0) == ids.UniqueProcess) else {
        return STATUS_INVALID_CID;
    };
    if let Some(process) = NonNull::new(process) {
        // SAFETY: the driver's pointer; a bad one faults as on Windows.
        unsafe { process.write(hand_out(found.process.clone(), "PsLookupProcessThreadByCid")) };
    }
    // SAFETY: as above.
    unsafe { thread.write(hand_out(found, "PsLookupProcessThreadByCid")) };
    STATUS_SUCCESS
}

/// Returns the IRP that the thread's topmost driver handles, or a marker a file system has set. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoGetTopLevelIrp() -> *mut nt_abi::IRP {
    current().top_level_irp.load(Ordering::Relaxed)
}

/// Sets what `IoGetTopLevelIrp` returns on this thread. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoSetTopLevelIrp(irp: *mut nt_abi::IRP) {
    current().top_level_irp.store(irp, Ordering::Relaxed);
}
