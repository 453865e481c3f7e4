//! Files, as minifilters open and use them: those of the volume, below the filters, of which none is called here.

use std::ffi::c_void;

use export_macro::export;
use nt_abi::{
    FILE_OBJECT, FLT_FILTER, FLT_INSTANCE, FileNameInformation, FileNormalizedNameInformation, HANDLE,
    IO_PARAMETERS_QUERY, IO_PARAMETERS_SET_FILE, IO_STACK_PARAMETERS, IO_STATUS_BLOCK, IRP_MJ_FLUSH_BUFFERS,
    IRP_MJ_QUERY_INFORMATION, IRP_MJ_QUERY_VOLUME_INFORMATION, IRP_MJ_SET_INFORMATION, NTSTATUS,
    OBJECT_ATTRIBUTES, STATUS_BUFFER_OVERFLOW, STATUS_FLT_DELETING_OBJECT, STATUS_INFO_LENGTH_MISMATCH,
    STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

use super::object::{Filter, behind};
use crate::io::file::FILE_TYPE;
use crate::io::send;
use crate::kernel;

/// FLTFL_IO_OPERATION_DO_NOT_UPDATE_BYTE_OFFSET.
const KEEP_POSITION: u32 = 4;

/// Creates or opens a file for a minifilter, and gives a handle to it. Source: DDI.
#[export(irql == PASSIVE, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltCreateFile(
    filter: *mut FLT_FILTER,
    _instance: *mut FLT_INSTANCE,
    handle: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    block: *mut IO_STATUS_BLOCK,
    allocation: *const i64,
    file_attributes: u32,
    share: u32,
    disposition: u32,
    options: u32,
    ea: *const c_void,
    ea_length: u32,
    _flags: u32,
) -> NTSTATUS {
    // SAFETY: the driver's pointers, as `ZwCreateFile` takes them.
    unsafe {
        match behind::<FLT_FILTER>(filter) {
            Ok(Filter { rundown, .. }) if rundown.is_closed() => return STATUS_FLT_DELETING_OBJECT,
            Ok(_) => {}
            Err(status) => return status,
        }
        crate::zw::file::ZwCreateFile(
            handle,
            access,
            attributes,
            block,
            allocation,
            file_attributes,
            share,
            disposition,
            options,
            ea,
            ea_length,
        )
    }
}

/// Creates or opens a file for a minifilter, and gives a handle and the file object with a reference. Source: DDI.
#[export(irql == PASSIVE, module = "FLTMGR.SYS", since = VistaSp1)]
pub unsafe extern "win64" fn FltCreateFileEx(
    filter: *mut FLT_FILTER,
    instance: *mut FLT_INSTANCE,
    handle: *mut HANDLE,
    file: *mut *mut FILE_OBJECT,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    block: *mut IO_STATUS_BLOCK,
    allocation: *const i64,
    file_attributes: u32,
    share: u32,
    disposition: u32,
    options: u32,
    ea: *const c_void,
    ea_length: u32,
    flags: u32,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        let status = FltCreateFile(
            filter,
            instance,
            handle,
            access,
            attributes,
            block,
            allocation,
            file_attributes,
            share,
            disposition,
            options,
            ea,
            ea_length,
            flags,
        );
        if !status.is_success() || file.is_null() {
            return status;
        }
        match kernel().ob.handles.lookup::<FILE_OBJECT>(handle.read(), &FILE_TYPE) {
            Ok(opened) => file.write(crate::ob::ledger::hand_out(opened, "FltCreateFileEx")),
            Err(status) => return status,
        }
        status
    }
}

/// Creates or opens a file for a minifilter, with a context for the create, which has no effect here. Source: DDI.
#[export(irql == PASSIVE, module = "FLTMGR.SYS", since = VistaSp1)]
pub unsafe extern "win64" fn FltCreateFileEx2(
    filter: *mut FLT_FILTER,
    instance: *mut FLT_INSTANCE,
    handle: *mut HANDLE,
    file: *mut *mut FILE_OBJECT,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    block: *mut IO_STATUS_BLOCK,
    allocation: *const i64,
    file_attributes: u32,
    share: u32,
    disposition: u32,
    options: u32,
    ea: *const c_void,
    ea_length: u32,
    flags: u32,
    _context: *const c_void,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe {
        FltCreateFileEx(
            filter,
            instance,
            handle,
            file,
            access,
            attributes,
            block,
            allocation,
            file_attributes,
            share,
            disposition,
            options,
            ea,
            ea_length,
            flags,
        )
    }
}

/// Closes a handle that `FltCreateFile` and its family gave. Source: DDI.
#[export(irql == PASSIVE, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltClose(handle: HANDLE) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { crate::ob::close::ZwClose(handle) }
}

/// Whether a driver's file object is one.
///
/// # Safety
/// The pointer is a driver's.
unsafe fn is_file(file: *const FILE_OBJECT) -> bool {
    // SAFETY: by this function's contract.
    unsafe { crate::ob::type_of(file) }.is_some_and(|kind| std::ptr::eq(kind, &FILE_TYPE))
}

/// Reads or writes, and moves the file's position unless told not to.
///
/// # Safety
/// The pointers are a driver's: the buffer has `length` bytes.
unsafe fn transfer(
    file: *mut FILE_OBJECT,
    offset: *const i64,
    (buffer, length): (*mut u8, u32),
    flags: u32,
    done: *mut u32,
    write: bool,
) -> NTSTATUS {
    // SAFETY: by this function's contract.
    unsafe {
        if !is_file(file) || buffer.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        let at = offset.as_ref().copied().unwrap_or((*file).CurrentByteOffset);
        let (status, bytes) = send::transfer(file, write, buffer, length, at, 0);
        if status.is_success() && flags & KEEP_POSITION == 0 && at >= 0 {
            (*file).CurrentByteOffset = at + i64::try_from(bytes).unwrap_or(0);
        }
        if !done.is_null() {
            done.write(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
        status
    }
}

/// Reads from an open file. Without a completion routine and with one alike it has happened at the return. Source: DDI.
#[export(irql == PASSIVE, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltReadFile(
    _instance: *mut FLT_INSTANCE,
    file: *mut FILE_OBJECT,
    offset: *const i64,
    length: u32,
    buffer: *mut u8,
    flags: u32,
    read: *mut u32,
    callback: usize,
    _context: *mut c_void,
) -> NTSTATUS {
    if callback != 0 {
        // There is no callback data that a completion routine could be given.
        return nt_abi::STATUS_NOT_SUPPORTED;
    }
    // SAFETY: the driver's pointers.
    unsafe { transfer(file, offset, (buffer, length), flags, read, false) }
}

/// Writes to an open file. Source: DDI.
#[export(irql == PASSIVE, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltWriteFile(
    _instance: *mut FLT_INSTANCE,
    file: *mut FILE_OBJECT,
    offset: *const i64,
    length: u32,
    buffer: *mut u8,
    flags: u32,
    written: *mut u32,
    callback: usize,
    _context: *mut c_void,
) -> NTSTATUS {
    if callback != 0 {
        return nt_abi::STATUS_NOT_SUPPORTED;
    }
    // SAFETY: the driver's pointers.
    unsafe { transfer(file, offset, (buffer, length), flags, written, true) }
}

/// The name of a file on its volume, as FILE_NAME_INFORMATION.
///
/// # Safety
/// A file object, and a buffer of `length` bytes.
unsafe fn name(file: *const FILE_OBJECT, buffer: *mut u8, length: u32) -> (NTSTATUS, usize) {
    // SAFETY: by this function's contract.
    let Some(name) = (unsafe { super::name::name_of(file) }) else { return (STATUS_INVALID_PARAMETER, 0) };
    if length < 8 {
        return (STATUS_INFO_LENGTH_MISMATCH, 0);
    }
    let rest = name.get(super::parse::parts(&name, false).volume.end..).unwrap_or_default();
    let fitting = rest.len().min((length as usize - 4) / 2);
    // SAFETY: as above: 4 bytes for the length, and as many units as fit behind it.
    unsafe {
        buffer.cast::<u32>().write_unaligned(u32::try_from(rest.len() * 2).unwrap_or(u32::MAX));
        std::ptr::copy_nonoverlapping(rest.as_ptr().cast::<u8>(), buffer.add(4), fitting * 2);
    }
    let status = if fitting < rest.len() { STATUS_BUFFER_OVERFLOW } else { STATUS_SUCCESS };
    (status, 4 + fitting * 2)
}

/// Gets information on an open file. Source: DDI.
///
/// Of the files of images a bench knows the name; other classes are STATUS_INVALID_DEVICE_REQUEST there.
#[export(irql == PASSIVE, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltQueryInformationFile(
    _instance: *mut FLT_INSTANCE,
    file: *mut FILE_OBJECT,
    buffer: *mut u8,
    length: u32,
    class: u32,
    returned: *mut u32,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        if !is_file(file) || buffer.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        let of_name = matches!(class, FileNameInformation | FileNormalizedNameInformation);
        let (status, bytes) = if of_name && (*file).FsContext.is_null() {
            name(file, buffer, length)
        } else {
            query(file, buffer, length, class, IRP_MJ_QUERY_INFORMATION)
        };
        if !returned.is_null() {
            returned.write(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
        status
    }
}

/// # Safety
/// An open file, and a buffer of `length` bytes.
unsafe fn query(
    file: *mut FILE_OBJECT,
    buffer: *mut u8,
    length: u32,
    class: u32,
    major: u8,
) -> (NTSTATUS, usize) {
    let parameters = IO_STACK_PARAMETERS {
        QueryFile: IO_PARAMETERS_QUERY {
            Length: length,
            InformationClass: class,
            ..IO_PARAMETERS_QUERY::default()
        },
    };
    // SAFETY: by this function's contract.
    unsafe { send::information(file, (major, 0), parameters, buffer, length, false) }
}

/// Gets information on the volume of an open file. Source: DDI.
#[export(irql == PASSIVE, module = "FLTMGR.SYS", since = VistaSp1)]
pub unsafe extern "win64" fn FltQueryVolumeInformationFile(
    _instance: *mut FLT_INSTANCE,
    file: *mut FILE_OBJECT,
    buffer: *mut u8,
    length: u32,
    class: u32,
    returned: *mut u32,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        if !is_file(file) || buffer.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        let (status, bytes) = query(file, buffer, length, class, IRP_MJ_QUERY_VOLUME_INFORMATION);
        if !returned.is_null() {
            returned.write(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
        status
    }
}

/// Changes an open file. Source: DDI.
#[export(irql == PASSIVE, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltSetInformationFile(
    _instance: *mut FLT_INSTANCE,
    file: *mut FILE_OBJECT,
    buffer: *mut u8,
    length: u32,
    class: u32,
) -> NTSTATUS {
    let parameters = IO_STACK_PARAMETERS {
        SetFile: IO_PARAMETERS_SET_FILE {
            Length: length,
            FileInformationClass: class,
            ..IO_PARAMETERS_SET_FILE::default()
        },
    };
    // SAFETY: the driver's pointers.
    unsafe {
        if !is_file(file) || buffer.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        send::information(file, (IRP_MJ_SET_INFORMATION, 0), parameters, buffer, length, true).0
    }
}

/// Writes an open file's data out: it is where it is. Source: DDI.
#[export(irql == PASSIVE, module = "FLTMGR.SYS", since = VistaSp1)]
pub unsafe extern "win64" fn FltFlushBuffers(
    _instance: *mut FLT_INSTANCE,
    file: *mut FILE_OBJECT,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        if !is_file(file) {
            return STATUS_INVALID_PARAMETER;
        }
        let none = IO_STACK_PARAMETERS::default();
        send::information(file, (IRP_MJ_FLUSH_BUFFERS, 0), none, std::ptr::null_mut(), 0, false).0
    }
}
