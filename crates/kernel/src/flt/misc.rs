//! What is left of the filter manager: files, memory, and finding its routines.

use std::ffi::CStr;

use export_macro::export;
use nt_abi::{FILE_OBJECT, FLT_INSTANCE, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

use crate::export::{Lookup, lookup};
use crate::kernel;

/// Finds a routine of the filter manager by name; NULL where this Windows has none. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetRoutineAddress(name: *const u8) -> *const () {
    if name.is_null() {
        return std::ptr::null();
    }
    // SAFETY: the driver's string, ended by a NUL.
    let name = unsafe { CStr::from_ptr(name.cast()) };
    let found = name.to_str().map(|name| lookup("FLTMGR.SYS", name, &kernel().config));
    match found {
        Ok(Lookup::Found(export)) => export.address.0,
        _ => std::ptr::null(),
    }
}

/// Says whether an open file is a directory. Source: DDI.
///
/// A source tells of images only, so a file is a directory where its name ends as one.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltIsDirectory(
    file: *const FILE_OBJECT,
    _instance: *mut FLT_INSTANCE,
    returned: *mut u8,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        let Some(name) = super::name::name_of(file) else { return STATUS_INVALID_PARAMETER };
        returned.write(u8::from(name.last() == Some(&u16::from(b'\\'))));
    }
    STATUS_SUCCESS
}

/// Whether contexts can hang on a file object: on one of an open file.
///
/// # Safety
/// The pointer is a driver's.
unsafe fn supports(file: *const FILE_OBJECT) -> u8 {
    // SAFETY: by this function's contract.
    u8::from(unsafe { super::name::name_of(file) }.is_some())
}

/// Says whether file contexts can hang on a file. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS", since = VistaSp1)]
pub unsafe extern "win64" fn FltSupportsFileContexts(file: *const FILE_OBJECT) -> u8 {
    // SAFETY: the driver's pointer.
    unsafe { supports(file) }
}

/// Says whether file contexts can hang on a file, for an instance. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS", since = VistaSp1)]
pub unsafe extern "win64" fn FltSupportsFileContextsEx(
    file: *const FILE_OBJECT,
    _instance: *mut FLT_INSTANCE,
) -> u8 {
    // SAFETY: the driver's pointer.
    unsafe { supports(file) }
}

/// Says whether stream contexts can hang on a file. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltSupportsStreamContexts(file: *const FILE_OBJECT) -> u8 {
    // SAFETY: the driver's pointer.
    unsafe { supports(file) }
}

/// Says whether contexts can hang on a file object. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltSupportsStreamHandleContexts(file: *const FILE_OBJECT) -> u8 {
    // SAFETY: the driver's pointer.
    unsafe { supports(file) }
}

/// Allocates pool memory that is aligned for a volume's transfers. Source: DDI.
#[export(irql <= DISPATCH, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltAllocatePoolAlignedWithTag(
    _instance: *mut FLT_INSTANCE,
    pool: u32,
    size: usize,
    tag: u32,
) -> *mut u8 {
    // SAFETY: as this routine. The volume asks for no more alignment than pool memory has.
    unsafe { crate::ex::pool_routines::ExAllocatePoolWithTag(pool, size, tag) }
}

/// Frees what `FltAllocatePoolAlignedWithTag` allocated. Source: DDI.
#[export(irql <= DISPATCH, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltFreePoolAlignedWithTag(
    _instance: *mut FLT_INSTANCE,
    memory: usize,
    tag: u32,
) {
    // SAFETY: as this routine.
    unsafe { crate::ex::pool_routines::ExFreePoolWithTag(memory, tag) };
}
