//! Callback data: what a minifilter asks of an operation.

use export_macro::export;
use nt_abi::{
    FILE_OBJECT, FLT_CALLBACK_DATA, FLT_FILTER, FLT_INSTANCE, FLT_RELATED_OBJECTS, GUID, HANDLE, NTSTATUS,
    PFLT_POST_OPERATION_CALLBACK, STATUS_INVALID_PARAMETER, STATUS_NOT_FOUND, STATUS_SUCCESS,
};

use crate::io::driver::as_driver;
use crate::ps::process::Eprocess;
use crate::ps::thread::Ethread;

/// FLTFL_CALLBACK_DATA_DIRTY.
const DIRTY: u32 = 0x8000_0000;
/// FO_FILE_OPEN_CANCELLED.
const OPEN_CANCELLED: u32 = 0x20_0000;

/// The process whose thread asked for an operation.
///
/// # Safety
/// The pointer is a driver's, to live callback data.
unsafe fn requestor<'a>(data: *const FLT_CALLBACK_DATA) -> Option<&'a Eprocess> {
    // SAFETY: by this function's contract; the thread in it is one or NULL.
    unsafe {
        let thread = (*data).Thread.cast::<Ethread>().as_ref();
        let thread = thread.or_else(crate::ps::thread::current)?;
        Some(thread.current_process())
    }
}

/// Gets the process that asked for an operation. Source: DDI.
#[export(irql <= DISPATCH, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetRequestorProcess(data: *const FLT_CALLBACK_DATA) -> *mut Eprocess {
    // SAFETY: the driver's pointer.
    unsafe { requestor(data) }.map_or(std::ptr::null_mut(), |process| std::ptr::from_ref(process).cast_mut())
}

/// Gets the id of the process that asked for an operation. Source: DDI.
#[export(irql <= DISPATCH, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetRequestorProcessId(data: *const FLT_CALLBACK_DATA) -> u32 {
    // SAFETY: the driver's pointer.
    unsafe { requestor(data) }.map_or(0, |process| process.id.0)
}

/// Gets the id of the process that asked for an operation, as a handle. Source: DDI.
#[export(irql <= DISPATCH, module = "FLTMGR.SYS", since = Win81)]
pub unsafe extern "win64" fn FltGetRequestorProcessIdEx(data: *const FLT_CALLBACK_DATA) -> HANDLE {
    // SAFETY: the driver's pointer.
    let id = unsafe { requestor(data) }.map_or(0, |process| process.id.0);
    std::ptr::without_provenance_mut(id as usize)
}

/// Gets the session of the process that asked for an operation. Source: DDI.
#[export(irql <= DISPATCH, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetRequestorSessionId(
    data: *const FLT_CALLBACK_DATA,
    session: *mut u32,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        let Some(process) = requestor(data) else { return STATUS_INVALID_PARAMETER };
        session.write(crate::ps::query::PsGetProcessSessionId(process));
    }
    STATUS_SUCCESS
}

/// Says whether the process that asked for an operation is a 32-bit one. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltIs32bitProcess(data: *const FLT_CALLBACK_DATA) -> u8 {
    // SAFETY: the driver's pointer.
    let process = unsafe { requestor(data) };
    u8::from(process.is_some_and(|process| process.architecture == event::Architecture::X86))
}

/// Says that a minifilter has changed the parameters of an operation. Source: DDI.
#[export(irql any, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltSetCallbackDataDirty(data: *mut FLT_CALLBACK_DATA) {
    // SAFETY: the driver's pointer.
    unsafe { (*data).Flags |= DIRTY };
}

/// Says that a minifilter has not changed the parameters of an operation after all. Source: DDI.
#[export(irql any, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltClearCallbackDataDirty(data: *mut FLT_CALLBACK_DATA) {
    // SAFETY: the driver's pointer.
    unsafe { (*data).Flags &= !DIRTY };
}

/// Says whether a minifilter has changed the parameters of an operation. Source: DDI.
#[export(irql any, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltIsCallbackDataDirty(data: *const FLT_CALLBACK_DATA) -> u8 {
    // SAFETY: the driver's pointer.
    u8::from(unsafe { (*data).Flags } & DIRTY != 0)
}

/// Gets the extra parameters of a create: no list, as no create has any here. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS", since = VistaSp1)]
pub unsafe extern "win64" fn FltGetEcpListFromCallbackData(
    _filter: *mut FLT_FILTER,
    _data: *const FLT_CALLBACK_DATA,
    list: *mut *mut u8,
) -> NTSTATUS {
    // SAFETY: the driver's pointer.
    unsafe { list.write(std::ptr::null_mut()) };
    STATUS_SUCCESS
}

/// Finds an extra parameter in a list: STATUS_NOT_FOUND. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS", since = VistaSp1)]
pub unsafe extern "win64" fn FltFindExtraCreateParameter(
    _filter: *mut FLT_FILTER,
    _list: *mut u8,
    _kind: *const GUID,
    context: *mut *mut u8,
    bytes: *mut u32,
) -> NTSTATUS {
    // SAFETY: the driver's pointers, which may be null.
    unsafe {
        if !context.is_null() {
            context.write(std::ptr::null_mut());
        }
        if !bytes.is_null() {
            bytes.write(0);
        }
    }
    STATUS_NOT_FOUND
}

/// Says whether an extra parameter came from user mode: there is none. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS", since = VistaSp1)]
pub unsafe extern "win64" fn FltIsEcpFromUserMode(_filter: *mut FLT_FILTER, _context: *const u8) -> u8 {
    0
}

/// Closes a file that was opened, after the create: it counts as never opened. Source: DDI.
#[export(irql == PASSIVE, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltCancelFileOpen(_instance: *mut FLT_INSTANCE, file: *mut FILE_OBJECT) {
    // SAFETY: the driver's pointer.
    unsafe { (*file).Flags |= OPEN_CANCELLED };
    super::link::file_closed(file.addr());
}

/// Runs a post-operation callback where it may block: here and now, below DISPATCH_LEVEL. Source: DDI.
///
/// FALSE at DISPATCH_LEVEL, where the operation could not be posted.
#[export(irql <= DISPATCH, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltDoCompletionProcessingWhenSafe(
    data: *mut FLT_CALLBACK_DATA,
    objects: *const FLT_RELATED_OBJECTS,
    context: usize,
    flags: u32,
    callback: PFLT_POST_OPERATION_CALLBACK,
    returned: *mut u32,
) -> u8 {
    // SAFETY: the driver's pointers and its routine.
    unsafe {
        returned.write(nt_abi::FLT_POSTOP_FINISHED_PROCESSING);
        let (Some(callback), true) = (callback, machine::irql::current() <= machine::Irql::APC) else {
            return 0;
        };
        let routine = (callback as *const ()).expose_provenance();
        let answer = as_driver(crate::io::current_driver(), routine as u64, || {
            machine::call4(
                routine,
                data.expose_provenance() as u64,
                objects.expose_provenance() as u64,
                context as u64,
                flags.into(),
            )
        });
        returned.write(u32::try_from(answer & 0xFFFF_FFFF).unwrap_or_default());
    }
    1
}
