//! Routines for file systems and their filters, as far as other drivers use them.

use export_macro::export;
use nt_abi::{
    FILE_OBJECT, FILE_STANDARD_INFORMATION, FileStandardInformation, NTSTATUS, STATUS_FILE_IS_A_DIRECTORY,
    STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_NO_EAS_ON_FILE,
};

use crate::flt::file::FltQueryInformationFile;

/// Says whether a file is a paging file: none is. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn FsRtlIsPagingFile(_file: *const FILE_OBJECT) -> u32 {
    0
}

/// Says whether a file is a paging file of the system: none is. Source: DDI.
#[export(irql any, since = Win8)]
pub unsafe extern "win64" fn FsRtlIsSystemPagingFile(_file: *const FILE_OBJECT) -> u32 {
    0
}

/// Gets the size of a file. STATUS_FILE_IS_A_DIRECTORY for a directory. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn FsRtlGetFileSize(file: *mut FILE_OBJECT, size: *mut i64) -> NTSTATUS {
    let mut standard = FILE_STANDARD_INFORMATION::default();
    let bytes = u32::try_from(size_of::<FILE_STANDARD_INFORMATION>()).unwrap_or_default();
    let (buffer, null) = ((&raw mut standard).cast(), std::ptr::null_mut());
    // SAFETY: the driver's pointers, and a buffer of that size.
    unsafe {
        let status =
            FltQueryInformationFile(null, file, buffer, bytes, FileStandardInformation, std::ptr::null_mut());
        if !status.is_success() {
            return status;
        }
        if standard.Directory != 0 {
            return STATUS_FILE_IS_A_DIRECTORY;
        }
        size.write(standard.EndOfFile);
        status
    }
}

/// Gets the extended attributes of a file that only the kernel can set: STATUS_NO_EAS_ON_FILE, as there are none. Source: DDI.
#[export(irql == PASSIVE, since = Win8)]
pub unsafe extern "win64" fn FsRtlQueryKernelEaFile(
    _file: *mut FILE_OBJECT,
    _buffer: *mut u8,
    _length: u32,
    _single: u8,
    _list: *const u8,
    _list_length: u32,
    _index: *const u32,
    _restart: u8,
    returned: *mut u32,
) -> NTSTATUS {
    if !returned.is_null() {
        // SAFETY: the driver's pointer.
        unsafe { returned.write(0) };
    }
    STATUS_NO_EAS_ON_FILE
}

/// Sets extended attributes of a file that only the kernel can set: STATUS_INVALID_DEVICE_REQUEST, as the volume has none. Source: DDI.
#[export(irql == PASSIVE, since = Win8)]
pub unsafe extern "win64" fn FsRtlSetKernelEaFile(
    _file: *mut FILE_OBJECT,
    buffer: *const u8,
    length: u32,
) -> NTSTATUS {
    if buffer.is_null() || length == 0 { STATUS_INVALID_PARAMETER } else { STATUS_INVALID_DEVICE_REQUEST }
}

/// Sends a file system a control code from the kernel: STATUS_INVALID_DEVICE_REQUEST, as the volume knows none. Source: DDI.
#[export(irql == PASSIVE, since = Win8)]
pub unsafe extern "win64" fn FsRtlKernelFsControlFile(
    _file: *mut FILE_OBJECT,
    _code: u32,
    _input: *const u8,
    _input_length: u32,
    _output: *mut u8,
    _output_length: u32,
    returned: *mut u32,
) -> NTSTATUS {
    if !returned.is_null() {
        // SAFETY: the driver's pointer.
        unsafe { returned.write(0) };
    }
    STATUS_INVALID_DEVICE_REQUEST
}
