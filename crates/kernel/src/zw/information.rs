//! What is known of files, and control codes.

use std::ffi::c_void;

use export_macro::export;
use nt_abi::{
    FILE_OPEN, HANDLE, IO_PARAMETERS_QUERY, IO_PARAMETERS_SET_FILE, IO_STACK_PARAMETERS, IO_STATUS_BLOCK,
    IRP_MJ_DEVICE_CONTROL, IRP_MJ_FILE_SYSTEM_CONTROL, IRP_MJ_FLUSH_BUFFERS, IRP_MJ_QUERY_INFORMATION,
    IRP_MJ_QUERY_VOLUME_INFORMATION, IRP_MJ_SET_INFORMATION, NTSTATUS, OBJECT_ATTRIBUTES, UNICODE_STRING,
};

use super::file::{ended, file_of};
use crate::io::send;
use crate::rule::category::Category;

/// # Safety
/// The pointers are a driver's.
unsafe fn query(
    handle: HANDLE,
    block: *mut IO_STATUS_BLOCK,
    (buffer, length): (*mut u8, u32),
    class: u32,
    major: u8,
) -> NTSTATUS {
    let file = match file_of(handle) {
        Ok(file) => file,
        Err(status) => return status,
    };
    let parameters = IO_STACK_PARAMETERS {
        QueryFile: IO_PARAMETERS_QUERY {
            Length: length,
            InformationClass: class,
            ..IO_PARAMETERS_QUERY::default()
        },
    };
    // SAFETY: by this function's contract; the handle's file is open.
    unsafe {
        let outcome = send::information(file.as_file_object(), (major, 0), parameters, buffer, length, false);
        ended(block, std::ptr::null_mut(), outcome)
    }
}

/// Returns information on an open file. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQueryInformationFile(
    handle: HANDLE,
    block: *mut IO_STATUS_BLOCK,
    buffer: *mut u8,
    length: u32,
    class: u32,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    unsafe { query(handle, block, (buffer, length), class, IRP_MJ_QUERY_INFORMATION) }
}

/// Returns information on an open file. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn NtQueryInformationFile(
    handle: HANDLE,
    block: *mut IO_STATUS_BLOCK,
    buffer: *mut u8,
    length: u32,
    class: u32,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ZwQueryInformationFile(handle, block, buffer, length, class) }
}

/// Returns information on the volume of an open file. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQueryVolumeInformationFile(
    handle: HANDLE,
    block: *mut IO_STATUS_BLOCK,
    buffer: *mut u8,
    length: u32,
    class: u32,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    unsafe { query(handle, block, (buffer, length), class, IRP_MJ_QUERY_VOLUME_INFORMATION) }
}

/// Changes an open file: its times, its name, its length, whether it is deleted. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwSetInformationFile(
    handle: HANDLE,
    block: *mut IO_STATUS_BLOCK,
    buffer: *mut u8,
    length: u32,
    class: u32,
) -> NTSTATUS {
    let file = match file_of(handle) {
        Ok(file) => file,
        Err(status) => return status,
    };
    let parameters = IO_STACK_PARAMETERS {
        SetFile: IO_PARAMETERS_SET_FILE {
            Length: length,
            FileInformationClass: class,
            ..IO_PARAMETERS_SET_FILE::default()
        },
    };
    // SAFETY: a driver's pointers; the handle's file is open.
    unsafe {
        let which = (IRP_MJ_SET_INFORMATION, 0);
        let outcome = send::information(file.as_file_object(), which, parameters, buffer, length, true);
        ended(block, std::ptr::null_mut(), outcome)
    }
}

/// Changes an open file. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn NtSetInformationFile(
    handle: HANDLE,
    block: *mut IO_STATUS_BLOCK,
    buffer: *mut u8,
    length: u32,
    class: u32,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ZwSetInformationFile(handle, block, buffer, length, class) }
}

/// Lists a directory. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQueryDirectoryFile(
    handle: HANDLE,
    event: HANDLE,
    _routine: usize,
    _context: *const c_void,
    block: *mut IO_STATUS_BLOCK,
    buffer: *mut u8,
    length: u32,
    class: u32,
    single: u8,
    name: *const UNICODE_STRING,
    restart: u8,
) -> NTSTATUS {
    let file = match file_of(handle) {
        Ok(file) => file,
        Err(status) => return status,
    };
    // SAFETY: a driver's pointers; the handle's file is open.
    unsafe {
        let outcome =
            send::directory(file.as_file_object(), (buffer, length), class, name, single != 0, restart != 0);
        ended(block, event, outcome)
    }
}

/// Writes what is held back of a file: nothing is. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwFlushBuffersFile(handle: HANDLE, block: *mut IO_STATUS_BLOCK) -> NTSTATUS {
    let file = match file_of(handle) {
        Ok(file) => file,
        Err(status) => return status,
    };
    // SAFETY: a driver's pointers; the handle's file is open.
    unsafe {
        let nothing = IO_STACK_PARAMETERS::default();
        let which = (IRP_MJ_FLUSH_BUFFERS, 0);
        let outcome = send::information(file.as_file_object(), which, nothing, std::ptr::null_mut(), 0, true);
        ended(block, std::ptr::null_mut(), outcome)
    }
}

/// The device type that control codes of named pipes have.
const FILE_DEVICE_NAMED_PIPE: u32 = 0x11;

/// # Safety
/// The pointers are a driver's.
unsafe fn control(
    handle: HANDLE,
    event: HANDLE,
    block: *mut IO_STATUS_BLOCK,
    (major, code): (u8, u32),
    input: (*mut u8, u32),
    output: (*mut u8, u32),
) -> NTSTATUS {
    if major == IRP_MJ_FILE_SYSTEM_CONTROL && code >> 16 == FILE_DEVICE_NAMED_PIPE {
        crate::rule::category::by_argument("ZwFsControlFile for a named pipe", Category::Ipc);
    }
    let file = match file_of(handle) {
        Ok(file) => file,
        Err(status) => return status,
    };
    // SAFETY: by this function's contract; the handle's file is open.
    unsafe { ended(block, event, send::control(file.as_file_object(), major, code, input, output)) }
}

macro_rules! control_codes {
    ($( $(#[$meta:meta])* $name:ident $major:ident; )*) => { $(
        $(#[$meta])*
        #[export(irql == PASSIVE)]
        pub unsafe extern "win64" fn $name(
            handle: HANDLE,
            event: HANDLE,
            _routine: usize,
            _context: *const c_void,
            block: *mut IO_STATUS_BLOCK,
            code: u32,
            input: *mut u8,
            input_length: u32,
            output: *mut u8,
            output_length: u32,
        ) -> NTSTATUS {
            // SAFETY: a driver's pointers.
            unsafe { control(handle, event, block, ($major, code), (input, input_length), (output, output_length)) }
        }
    )* };
}

control_codes! {
    /// Sends a control code to a device. Source: DDI.
    ZwDeviceIoControlFile IRP_MJ_DEVICE_CONTROL;
    /// Sends a control code to a device. Source: DDI.
    NtDeviceIoControlFile IRP_MJ_DEVICE_CONTROL;
    /// Sends a control code to a file system. Source: DDI.
    ZwFsControlFile IRP_MJ_FILE_SYSTEM_CONTROL;
    /// Sends a control code to a file system. Source: DDI.
    NtFsControlFile IRP_MJ_FILE_SYSTEM_CONTROL;
}

/// # Safety
/// The pointers are a driver's; the buffer has `length` bytes.
unsafe fn by_name(
    attributes: *const OBJECT_ATTRIBUTES,
    buffer: *mut u8,
    length: u32,
    class: u32,
) -> NTSTATUS {
    let (mut handle, mut block) = (std::ptr::null_mut(), IO_STATUS_BLOCK::default());
    // SAFETY: by this function's contract; the handle and the block are this routine's.
    unsafe {
        let access = nt_abi::FILE_READ_ATTRIBUTES | nt_abi::SYNCHRONIZE;
        let (none, options) = (std::ptr::null(), nt_abi::FILE_OPEN_REPARSE_POINT);
        let status = super::file::ZwCreateFile(
            &mut handle,
            access,
            attributes,
            &mut block,
            none,
            0,
            7,
            FILE_OPEN,
            options,
            std::ptr::null(),
            0,
        );
        if !status.is_success() {
            return status;
        }
        let status = ZwQueryInformationFile(handle, &mut block, buffer, length, class);
        // The handle is this routine's, so it can be closed.
        let _ = crate::kernel().ob.handles.close(handle);
        status
    }
}

/// Returns times, length and attributes of a file by its name. Source: DDI.
#[export(irql == PASSIVE, since = Xp)]
pub unsafe extern "win64" fn ZwQueryFullAttributesFile(
    attributes: *const OBJECT_ATTRIBUTES,
    buffer: *mut u8,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    unsafe { by_name(attributes, buffer, 0x38, nt_abi::FileNetworkOpenInformation) }
}

/// Returns times and attributes of a file by its name. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQueryAttributesFile(
    attributes: *const OBJECT_ATTRIBUTES,
    buffer: *mut u8,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    unsafe { by_name(attributes, buffer, 0x28, nt_abi::FileBasicInformation) }
}
