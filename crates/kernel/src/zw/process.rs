//! Processes and threads by handle.

use std::sync::atomic::Ordering;

use export_macro::export;
use nt_abi::{
    CLIENT_ID, HANDLE, KERNEL_USER_TIMES, NTSTATUS, OBJECT_ATTRIBUTES, PROCESS_BASIC_INFORMATION,
    ProcessBasicInformation, ProcessBreakOnTermination, ProcessCommandLineInformation, ProcessCookie,
    ProcessDebugFlags, ProcessDebugObjectHandle, ProcessDebugPort, ProcessHandleCount, ProcessImageFileName,
    ProcessImageFileNameWin32, ProcessPriorityClass, ProcessProtectionInformation, ProcessSessionInformation,
    ProcessSubsystemInformation, ProcessSubsystemProcess, ProcessTimes, ProcessWow64Information,
    STATUS_ACCESS_DENIED, STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_CID, STATUS_INVALID_INFO_CLASS,
    STATUS_INVALID_PARAMETER_MIX, STATUS_NOT_FOUND, STATUS_NOT_SUPPORTED, STATUS_PORT_NOT_SET,
    STATUS_PROCESS_IS_TERMINATING, STATUS_SUCCESS, THREAD_BASIC_INFORMATION,
};

use crate::kernel;
use crate::ob::Ref;
use crate::ob::attributes::Attributes;
use crate::ob::name::units;
use crate::ob::object::Object;
use crate::ob::query::write_name;
use crate::ps::process::{Eprocess, PROCESS_TYPE};
use crate::ps::query::user_address;
use crate::ps::thread::{Ethread, THREAD_TYPE};

fn id_of(handle: HANDLE) -> Option<u32> {
    u32::try_from(handle.addr()).ok()
}

fn number(id: u32) -> HANDLE {
    std::ptr::without_provenance_mut(id as usize)
}

/// What a client id or a name leads to.
///
/// # Safety
/// The pointers are a driver's.
unsafe fn find(
    attributes: *const OBJECT_ATTRIBUTES,
    ids: *const CLIENT_ID,
    by_ids: impl FnOnce(&CLIENT_ID) -> Option<Ref<Object>>,
) -> Result<(Ref<Object>, u32), NTSTATUS> {
    // SAFETY: by this function's contract.
    let given = unsafe { Attributes::read(attributes) }?;
    // Processes and threads have no names.
    if given.name.is_some() || ids.is_null() {
        return Err(STATUS_INVALID_PARAMETER_MIX);
    }
    // SAFETY: as above.
    let ids = unsafe { ids.read_unaligned() };
    Ok((by_ids(&ids).ok_or(STATUS_INVALID_CID)?, given.flags))
}

/// Opens a process by its id, or by that of one of its threads. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwOpenProcess(
    handle: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    ids: *const CLIENT_ID,
) -> NTSTATUS {
    let by_ids = |ids: &CLIENT_ID| {
        let cid = &kernel().ps.cid;
        if ids.UniqueThread.is_null() {
            return Some(cid.lookup::<Eprocess>(id_of(ids.UniqueProcess)?, &PROCESS_TYPE)?.erase());
        }
        let thread = cid.lookup::<Ethread>(id_of(ids.UniqueThread)?, &THREAD_TYPE)?;
        let process = thread.process.clone();
        let right = ids.UniqueProcess.is_null() || number(process.id.0) == ids.UniqueProcess;
        right.then(|| process.erase())
    };
    // SAFETY: a driver's pointers.
    unsafe {
        match find(attributes, ids, by_ids) {
            Ok((object, flags)) => crate::ob::open::open(kernel(), object, access, flags, handle),
            Err(status) => status,
        }
    }
}

/// Opens a process by its id, or by that of one of its threads. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn NtOpenProcess(
    handle: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    ids: *const CLIENT_ID,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ZwOpenProcess(handle, access, attributes, ids) }
}

/// Opens a thread by its id. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwOpenThread(
    handle: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    ids: *const CLIENT_ID,
) -> NTSTATUS {
    let by_ids = |ids: &CLIENT_ID| {
        let thread = kernel().ps.cid.lookup::<Ethread>(id_of(ids.UniqueThread)?, &THREAD_TYPE)?;
        let right = ids.UniqueProcess.is_null() || number(thread.process.id.0) == ids.UniqueProcess;
        right.then(|| thread.erase())
    };
    // SAFETY: a driver's pointers.
    unsafe {
        match find(attributes, ids, by_ids) {
            Ok((object, flags)) => crate::ob::open::open(kernel(), object, access, flags, handle),
            Err(status) => status,
        }
    }
}

fn process(handle: HANDLE) -> Result<Ref<Eprocess>, NTSTATUS> {
    kernel().ob.handles.lookup(handle, &PROCESS_TYPE)
}

fn thread(handle: HANDLE) -> Result<Ref<Ethread>, NTSTATUS> {
    kernel().ob.handles.lookup(handle, &THREAD_TYPE)
}

/// Ends a process: from now on it is terminating, waits in user mode that its threads may be taken out of are over, and
/// whoever runs it is told to end it. Its exit is told as any other's, with this status (R-IMG-03, R-CTX-05). Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwTerminateProcess(handle: HANDLE, status: NTSTATUS) -> NTSTATUS {
    let kernel = kernel();
    if handle.is_null() {
        kernel.note(
            event::Level::Warning,
            "ZwTerminateProcess without a handle ends all threads of the current process but the calling one: not done, as a \
             driver has no use for it",
        );
        return STATUS_NOT_SUPPORTED;
    }
    let process = match process(handle) {
        Ok(process) => process,
        Err(status) => return status,
    };
    if process.id == event::ProcessId::SYSTEM {
        return STATUS_ACCESS_DENIED;
    }
    if !process.terminate(status) {
        return STATUS_PROCESS_IS_TERMINATING;
    }
    kernel.record(event::Body::Termination {
        process: process.id,
        status,
        driver: crate::io::current_driver(),
    });
    crate::ke::wait::terminated(&process);
    if let Some(thread) = crate::ps::thread::current()
        && !thread.system
        && std::ptr::eq(&*thread.process, &*process)
        && crate::ke::region::ApcDisable::of(thread).combined() == 0
    {
        kernel.note(
            event::Level::Warning,
            "ZwTerminateProcess of the current process returns here: on Windows it does not, and what the driver has on its \
             stack is lost",
        );
    }
    STATUS_SUCCESS
}

/// Ends a process, as ZwTerminateProcess does. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn NtTerminateProcess(handle: HANDLE, status: NTSTATUS) -> NTSTATUS {
    // SAFETY: passed on from the driver's call.
    unsafe { ZwTerminateProcess(handle, status) }
}

/// Writes an answer of a fixed size.
///
/// # Safety
/// The pointers are a driver's; the buffer has `length` bytes.
pub(super) unsafe fn exactly(answer: &[u8], buffer: *mut u8, length: u32, told: *mut u32) -> NTSTATUS {
    let size = u32::try_from(answer.len()).unwrap_or(u32::MAX);
    // SAFETY: by this function's contract.
    unsafe {
        if !told.is_null() {
            told.write_unaligned(size);
        }
        if length != size {
            return STATUS_INFO_LENGTH_MISMATCH;
        }
        buffer.copy_from_nonoverlapping(answer.as_ptr(), answer.len());
    }
    STATUS_SUCCESS
}

/// The bytes of a structure.
pub(super) fn bytes<T: nt_abi::Plain>(value: &T) -> Vec<u8> {
    // SAFETY: the structures of answers are initialised in full, their padding by `zeroed`.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }.to_vec()
}

/// What is asked of a process most. Field by field, so that the padding stays zero.
fn basics_of_process(process: &Eprocess) -> PROCESS_BASIC_INFORMATION {
    let mut basics = PROCESS_BASIC_INFORMATION::zeroed();
    basics.ExitStatus = process.exit_status();
    basics.PebBaseAddress = user_address(process.peb.load(Ordering::Relaxed));
    basics.AffinityMask = 1;
    basics.BasePriority = 8;
    basics.UniqueProcessId = process.id.0 as usize;
    basics.InheritedFromUniqueProcessId = process.parent.0 as usize;
    basics
}

/// What is asked of a thread most.
fn basics_of_thread(thread: &Ethread) -> THREAD_BASIC_INFORMATION {
    let mut basics = THREAD_BASIC_INFORMATION::zeroed();
    basics.ExitStatus = thread.exit_status();
    basics.TebBaseAddress = user_address(thread.teb.load(Ordering::Relaxed));
    basics.ClientId =
        CLIENT_ID { UniqueProcess: number(thread.process.id.0), UniqueThread: number(thread.id.0) };
    basics.AffinityMask = 1;
    basics.Priority = 8;
    basics
}

fn times(create: i64, exit: i64) -> Vec<u8> {
    bytes(&KERNEL_USER_TIMES { CreateTime: create, ExitTime: exit, ..KERNEL_USER_TIMES::zeroed() })
}

/// The name of a process's image, with its drive's letter where that is known.
fn image_name(process: &Eprocess, dos: bool) -> Vec<u16> {
    match &process.image {
        None => Vec::new(),
        Some(name) if dos => {
            let (prefix, rest) = name.dos();
            let prefix = prefix.strip_prefix(r"\??\").unwrap_or(prefix);
            units(&format!("{prefix}{rest}"))
        }
        Some(name) => units(&name.nt),
    }
}

/// Returns information on a process. Source: DDI, public documentation.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQueryInformationProcess(
    handle: HANDLE,
    class: u32,
    buffer: *mut u8,
    length: u32,
    told: *mut u32,
) -> NTSTATUS {
    /// Bytes before the characters of a name.
    const STRING: usize = 0x10;
    let process = match process(handle) {
        Ok(process) => process,
        Err(status) => return status,
    };
    let answer = match class {
        ProcessBasicInformation => bytes(&basics_of_process(&process)),
        ProcessTimes => times(process.create_time.0, process.exit_time().0),
        ProcessHandleCount => {
            let count = kernel().ob.handles.count_of(process.id.0);
            u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes().to_vec()
        }
        // The System process is in session 0, everything else of a bench in the one of its user.
        ProcessSessionInformation => u32::from(process.id != event::ProcessId::SYSTEM).to_le_bytes().to_vec(),
        ProcessWow64Information => {
            // What would be the address of the 32-bit environment: nobody can read it.
            u64::from(process.architecture == event::Architecture::X86).to_le_bytes().to_vec()
        }
        ProcessDebugPort => vec![0; 8],
        ProcessDebugObjectHandle => return STATUS_PORT_NOT_SET,
        ProcessDebugFlags => 1u32.to_le_bytes().to_vec(),
        ProcessBreakOnTermination | ProcessSubsystemProcess => vec![0; 4],
        // SubsystemInformationTypeWin32 or …WSL (R-PCI-10).
        ProcessSubsystemInformation => {
            u32::from(process.subsystem == event::Subsystem::Wsl).to_le_bytes().to_vec()
        }
        ProcessCookie => {
            u32::try_from(process.sequence & 0xFFFF_FFFF).unwrap_or_default().to_le_bytes().to_vec()
        }
        ProcessPriorityClass => vec![0, 2],
        ProcessProtectionInformation => vec![0],
        ProcessImageFileName | ProcessImageFileNameWin32 => {
            let name = image_name(&process, class == ProcessImageFileNameWin32);
            // SAFETY: a driver's pointers.
            return unsafe { write_name(buffer, length, STRING, &name, told) };
        }
        ProcessCommandLineInformation => {
            let Some(line) = &process.command_line else { return STATUS_NOT_FOUND };
            // SAFETY: as above.
            return unsafe { write_name(buffer, length, STRING, &units(line), told) };
        }
        _ => return STATUS_INVALID_INFO_CLASS,
    };
    // SAFETY: as above.
    unsafe { exactly(&answer, buffer, length, told) }
}

/// Returns information on a process. Source: DDI, public documentation.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn NtQueryInformationProcess(
    handle: HANDLE,
    class: u32,
    buffer: *mut u8,
    length: u32,
    told: *mut u32,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ZwQueryInformationProcess(handle, class, buffer, length, told) }
}

/// Returns information on a thread. Source: public documentation.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQueryInformationThread(
    handle: HANDLE,
    class: u32,
    buffer: *mut u8,
    length: u32,
    told: *mut u32,
) -> NTSTATUS {
    const START_ADDRESS: u32 = 9;
    const LAST_OF_PROCESS: u32 = 12;
    const TERMINATED: u32 = 20;
    let thread = match thread(handle) {
        Ok(thread) => thread,
        Err(status) => return status,
    };
    let answer = match class {
        nt_abi::ThreadBasicInformation => bytes(&basics_of_thread(&thread)),
        nt_abi::ThreadTimes => times(thread.create_time.0, thread.exit_time().0),
        START_ADDRESS => thread.start.to_le_bytes().to_vec(),
        LAST_OF_PROCESS => {
            let threads = thread.process.threads.load(Ordering::Relaxed);
            u32::from(threads == 1).to_le_bytes().to_vec()
        }
        TERMINATED => u32::from(thread.exit_time().0 != 0).to_le_bytes().to_vec(),
        _ => return STATUS_INVALID_INFO_CLASS,
    };
    // SAFETY: a driver's pointers.
    unsafe { exactly(&answer, buffer, length, told) }
}

/// Returns information on a thread. Source: public documentation.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn NtQueryInformationThread(
    handle: HANDLE,
    class: u32,
    buffer: *mut u8,
    length: u32,
    told: *mut u32,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ZwQueryInformationThread(handle, class, buffer, length, told) }
}

/// Changes a process. What only steers scheduling and error dialogs is taken and says nothing here. Source: public
/// documentation.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwSetInformationProcess(
    handle: HANDLE,
    class: u32,
    _buffer: *const u8,
    _length: u32,
) -> NTSTATUS {
    /// BasePriority, DefaultHardErrorMode, PriorityClass, PriorityBoost, AffinityMask, IoPriority, PagePriority,
    /// PowerThrottling.
    const HARMLESS: [u32; 8] = [5, 12, 18, 22, 21, 33, 39, 77];
    match process(handle) {
        Ok(_) if HARMLESS.contains(&class) => STATUS_SUCCESS,
        Ok(_) => STATUS_INVALID_INFO_CLASS,
        Err(status) => status,
    }
}

/// Changes a thread. What only steers scheduling and debugging is taken and says nothing here. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwSetInformationThread(
    handle: HANDLE,
    class: u32,
    buffer: *const u8,
    length: u32,
) -> NTSTATUS {
    const IMPERSONATION_TOKEN: u32 = 5;
    /// Priority, BasePriority, AffinityMask, PriorityBoost, HideFromDebugger, IoPriority, PagePriority.
    const HARMLESS: [u32; 7] = [2, 3, 4, 14, 17, 22, 24];
    match thread(handle) {
        Ok(_) if HARMLESS.contains(&class) => STATUS_SUCCESS,
        Ok(_) if class == IMPERSONATION_TOKEN && length == 8 => {
            // SAFETY: a driver's pointer. Ending an impersonation that there is not is well.
            let token = unsafe { buffer.cast::<usize>().read_unaligned() };
            if token == 0 { STATUS_SUCCESS } else { STATUS_NOT_SUPPORTED }
        }
        Ok(_) => STATUS_INVALID_INFO_CLASS,
        Err(status) => status,
    }
}
