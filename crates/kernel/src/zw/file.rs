//! Files: opening, reading, writing.

use std::ffi::c_void;

use export_macro::export;
use nt_abi::{
    FILE_DELETE_ON_CLOSE, FILE_OBJECT, FILE_OPEN, FILE_OVERWRITE_IF, FILE_SHARE_DELETE, FILE_SHARE_READ,
    FILE_SHARE_WRITE, FILE_SYNCHRONOUS_IO_ALERT, FILE_SYNCHRONOUS_IO_NONALERT, FO_SYNCHRONOUS_IO, HANDLE,
    IO_STATUS_BLOCK, NTSTATUS, OBJECT_ATTRIBUTES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, SYNCHRONIZE,
};

use crate::io::file::{FILE_TYPE, ImageFile};
use crate::io::send::{self, How, Outcome};
use crate::kernel;
use crate::ob::Ref;
use crate::ob::access;
use crate::ob::attributes::Attributes;
use crate::ob::handle::KERNEL_MODE;

/// The open file behind a handle.
pub(super) fn file_of(handle: HANDLE) -> Result<Ref<ImageFile>, NTSTATUS> {
    kernel().ob.handles.lookup(handle, &FILE_TYPE)
}

/// Writes how a request ended, and tells an event and the file of it.
///
/// # Safety
/// `block` is null or a driver's pointer.
pub(super) unsafe fn ended(
    block: *mut IO_STATUS_BLOCK,
    event: HANDLE,
    (status, information): Outcome,
) -> NTSTATUS {
    if !block.is_null() {
        // SAFETY: by this function's contract.
        unsafe { block.write_unaligned(IO_STATUS_BLOCK { Status: status, Information: information }) };
    }
    if !event.is_null() {
        // An event that is none has failed before, as on NT.
        let _ = super::event::set(event);
    }
    status
}

/// Opens a file or a device.
///
/// # Safety
/// The pointers are a driver's, valid as the documentation of its routine asks; bad ones fault as on Windows.
unsafe fn create(
    handle: *mut HANDLE,
    attributes: *const OBJECT_ATTRIBUTES,
    block: *mut IO_STATUS_BLOCK,
    mut how: How,
) -> NTSTATUS {
    let synchronous = FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT;
    if how.disposition > FILE_OVERWRITE_IF
        || how.options & synchronous == synchronous
        || (how.options & synchronous != 0 && how.access & (SYNCHRONIZE | 0xF000_0000) == 0)
    {
        return STATUS_INVALID_PARAMETER;
    }
    how.access = access::granted(how.access, &access::FILE);
    let open = || {
        // SAFETY: by this function's contract.
        let given = unsafe { Attributes::read(attributes) }?;
        let kernel = kernel();
        let root = match given.root {
            root if root.is_null() => None,
            root => Some(kernel.ob.handles.check(root, None, 0, KERNEL_MODE)?.object),
        };
        let (file, information) = send::open_path(kernel, root, given.name(), &how)?;
        Ok((kernel.ob.handles.insert(file, how.access, given.flags), information))
    };
    match open() {
        Ok((opened, information)) => {
            // SAFETY: by this function's contract.
            unsafe {
                handle.write_unaligned(opened);
                ended(block, std::ptr::null_mut(), (STATUS_SUCCESS, information))
            }
        }
        // The status block is written for opens that reached a driver; what it holds then is the same status.
        // SAFETY: as above.
        Err(status) => unsafe { ended(block, std::ptr::null_mut(), (status, 0)) },
    }
}

/// Creates or opens a file or a device. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwCreateFile(
    handle: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    block: *mut IO_STATUS_BLOCK,
    allocation: *const i64,
    file_attributes: u32,
    share: u32,
    disposition: u32,
    options: u32,
    _ea: *const c_void,
    _ea_length: u32,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    unsafe {
        let allocation = allocation.as_ref().copied().unwrap_or(0);
        create(
            handle,
            attributes,
            block,
            How { access, disposition, options, share, attributes: file_attributes, allocation },
        )
    }
}

/// Creates or opens a file or a device. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn NtCreateFile(
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
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe {
        ZwCreateFile(
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

/// Opens a file or a device that is there. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwOpenFile(
    handle: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    block: *mut IO_STATUS_BLOCK,
    share: u32,
    options: u32,
) -> NTSTATUS {
    let how = How { access, disposition: FILE_OPEN, options, share, ..How::default() };
    // SAFETY: a driver's pointers.
    unsafe { create(handle, attributes, block, how) }
}

/// Opens a file or a device that is there. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn NtOpenFile(
    handle: *mut HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    block: *mut IO_STATUS_BLOCK,
    share: u32,
    options: u32,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ZwOpenFile(handle, access, attributes, block, share, options) }
}

/// Creates or opens a file or a device, with more options, of which none matters to the bench. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoCreateFile(
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
    _kind: u32,
    _extra: *const c_void,
    _flags: u32,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe {
        ZwCreateFile(
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

/// Creates or opens a file or a device, with a context that says nothing here. Source: DDI.
#[export(irql == PASSIVE, since = Vista)]
pub unsafe extern "win64" fn IoCreateFileEx(
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
    _kind: u32,
    _extra: *const c_void,
    _flags: u32,
    _context: *const c_void,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe {
        ZwCreateFile(
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

/// Creates or opens a file below a device of its stack: the volume has no filters, so this is an ordinary opening.
/// Source: DDI.
#[export(irql == PASSIVE, since = Xp)]
pub unsafe extern "win64" fn IoCreateFileSpecifyDeviceObjectHint(
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
    _kind: u32,
    _extra: *const c_void,
    _flags: u32,
    _device: *const c_void,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe {
        ZwCreateFile(
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

/// Where a transfer begins.
///
/// # Errors
/// STATUS_INVALID_PARAMETER where a file that keeps no position is given none.
unsafe fn offset(file: *mut FILE_OBJECT, given: *const i64, write: bool) -> Result<i64, NTSTATUS> {
    /// FILE_USE_FILE_POINTER_POSITION and FILE_WRITE_TO_END_OF_FILE, with -1 in the high half.
    const POSITION: i64 = -2;
    const END: i64 = -1;
    // SAFETY: an open file; null or a driver's pointer.
    unsafe {
        let given = if given.is_null() { POSITION } else { given.read_unaligned() };
        match given {
            POSITION if (*file).Flags & FO_SYNCHRONOUS_IO != 0 => Ok((*file).CurrentByteOffset),
            // Devices that are no files have no position to be missed.
            POSITION if (*file).Vpb.is_null() => Ok(0),
            END if write => Ok(END),
            given if given >= 0 => Ok(given),
            _ => Err(STATUS_INVALID_PARAMETER),
        }
    }
}

/// # Safety
/// The pointers are a driver's.
unsafe fn transfer(
    handle: HANDLE,
    event: HANDLE,
    block: *mut IO_STATUS_BLOCK,
    write: bool,
    (buffer, length): (*mut u8, u32),
    at: *const i64,
    key: *const u32,
) -> NTSTATUS {
    let file = match file_of(handle) {
        Ok(file) => file,
        Err(status) => return status,
    };
    // SAFETY: by this function's contract; the handle's file is open.
    unsafe {
        match offset(file.as_file_object(), at, write) {
            Ok(offset) => {
                let key = key.as_ref().copied().unwrap_or(0);
                ended(block, event, send::transfer(file.as_file_object(), write, buffer, length, offset, key))
            }
            Err(status) => status,
        }
    }
}

/// Reads from a file or a device. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwReadFile(
    handle: HANDLE,
    event: HANDLE,
    _routine: usize,
    _context: *const c_void,
    block: *mut IO_STATUS_BLOCK,
    buffer: *mut u8,
    length: u32,
    offset: *const i64,
    key: *const u32,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    unsafe { transfer(handle, event, block, false, (buffer, length), offset, key) }
}

/// Reads from a file or a device. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn NtReadFile(
    handle: HANDLE,
    event: HANDLE,
    routine: usize,
    context: *const c_void,
    block: *mut IO_STATUS_BLOCK,
    buffer: *mut u8,
    length: u32,
    offset: *const i64,
    key: *const u32,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ZwReadFile(handle, event, routine, context, block, buffer, length, offset, key) }
}

/// Writes to a file or a device. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwWriteFile(
    handle: HANDLE,
    event: HANDLE,
    _routine: usize,
    _context: *const c_void,
    block: *mut IO_STATUS_BLOCK,
    buffer: *mut u8,
    length: u32,
    offset: *const i64,
    key: *const u32,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    unsafe { transfer(handle, event, block, true, (buffer, length), offset, key) }
}

/// Writes to a file or a device. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn NtWriteFile(
    handle: HANDLE,
    event: HANDLE,
    routine: usize,
    context: *const c_void,
    block: *mut IO_STATUS_BLOCK,
    buffer: *mut u8,
    length: u32,
    offset: *const i64,
    key: *const u32,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ZwWriteFile(handle, event, routine, context, block, buffer, length, offset, key) }
}

/// Deletes a file by its name. Source: DDI.
#[export(irql == PASSIVE, since = Xp)]
pub unsafe extern "win64" fn ZwDeleteFile(attributes: *const OBJECT_ATTRIBUTES) -> NTSTATUS {
    let how = How {
        access: nt_abi::DELETE,
        disposition: FILE_OPEN,
        options: FILE_DELETE_ON_CLOSE,
        share: FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
        ..How::default()
    };
    let mut handle = std::ptr::null_mut();
    // SAFETY: a driver's pointer; the handle is this routine's.
    unsafe {
        let status = create(&mut handle, attributes, std::ptr::null_mut(), how);
        if !status.is_success() {
            return status;
        }
    }
    kernel().ob.handles.close(handle).err().unwrap_or(STATUS_SUCCESS)
}

/// Creates a file that is not there, for tests.
#[cfg(test)]
pub(super) const NEW: u32 = nt_abi::FILE_CREATE;
/// Not a directory, used synchronously, for tests.
#[cfg(test)]
pub(super) const PLAIN: u32 = nt_abi::FILE_NON_DIRECTORY_FILE | FILE_SYNCHRONOUS_IO_NONALERT;
