//! NT's own structures, as far as notify drivers meet them, for x64. Layouts are checked below
//! against the offsets of the public headers.

use core::ffi::c_void;

/// `HANDLE`; in notices it carries a process or thread id.
pub(crate) type Handle = *mut c_void;

/// `UNICODE_STRING`: counted UTF-16, lengths in bytes, no terminator promised.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct UnicodeString {
    pub(crate) length: u16,
    pub(crate) maximum_length: u16,
    pub(crate) buffer: *const u16,
}

/// `CLIENT_ID`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct ClientIdPair {
    pub(crate) process: Handle,
    pub(crate) thread: Handle,
}

/// `PS_CREATE_NOTIFY_INFO`.
#[repr(C)]
pub(crate) struct CreateNotifyInfo {
    pub(crate) size: usize,
    pub(crate) flags: u32,
    pub(crate) parent: Handle,
    pub(crate) creator: ClientIdPair,
    pub(crate) file_object: *mut c_void,
    pub(crate) image_file_name: *const UnicodeString,
    pub(crate) command_line: *const UnicodeString,
    pub(crate) creation_status: i32,
}

/// `PS_CREATE_NOTIFY_INFO::FileOpenNameAvailable`.
pub(crate) const FILE_OPEN_NAME_AVAILABLE: u32 = 1 << 0;
/// `PS_CREATE_NOTIFY_INFO::IsSubsystemProcess`.
pub(crate) const IS_SUBSYSTEM_PROCESS: u32 = 1 << 1;

/// `IMAGE_INFO`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct ImageInfo {
    pub(crate) properties: u32,
    pub(crate) base: *mut c_void,
    pub(crate) selector: u32,
    pub(crate) size: usize,
    pub(crate) section_number: u32,
}

/// `IMAGE_INFO_EX`, which surrounds an `IMAGE_INFO` that says so in its properties.
#[repr(C)]
pub(crate) struct ImageInfoEx {
    pub(crate) size: usize,
    pub(crate) info: ImageInfo,
    pub(crate) file_object: *mut c_void,
}

/// `DRIVER_OBJECT`, of which the kit writes `unload` only.
#[repr(C)]
pub struct DriverObject {
    kind: i16,
    size: i16,
    device_object: *mut c_void,
    flags: u32,
    driver_start: *mut c_void,
    driver_size: u32,
    driver_section: *mut c_void,
    driver_extension: *mut c_void,
    driver_name: UnicodeString,
    hardware_database: *const UnicodeString,
    fast_io_dispatch: *mut c_void,
    driver_init: *mut c_void,
    driver_start_io: *mut c_void,
    pub(crate) unload: Option<unsafe extern "system" fn(*mut DriverObject)>,
    major_function: [*mut c_void; 28],
}

/// `OBJECT_ATTRIBUTES`.
#[repr(C)]
pub(crate) struct ObjectAttributes {
    pub(crate) length: u32,
    pub(crate) root_directory: Handle,
    pub(crate) object_name: *const UnicodeString,
    pub(crate) attributes: u32,
    pub(crate) security_descriptor: *mut c_void,
    pub(crate) security_quality_of_service: *mut c_void,
}

pub(crate) const OBJ_CASE_INSENSITIVE: u32 = 0x40;
pub(crate) const OBJ_KERNEL_HANDLE: u32 = 0x200;
pub(crate) const KEY_READ: u32 = 0x2_0019;
/// `KeyValuePartialInformation` of `KEY_VALUE_INFORMATION_CLASS`.
pub(crate) const KEY_VALUE_PARTIAL_INFORMATION: i32 = 2;
#[cfg(feature = "alloc")]
pub(crate) const REG_SZ: u32 = 1;
#[cfg(feature = "alloc")]
pub(crate) const REG_EXPAND_SZ: u32 = 2;
pub(crate) const REG_DWORD: u32 = 4;
#[cfg(feature = "alloc")]
pub(crate) const REG_MULTI_SZ: u32 = 7;

/// The fixed part of `KEY_VALUE_PARTIAL_INFORMATION`; the data follows at offset 12.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct ValueHeader {
    pub(crate) title_index: u32,
    pub(crate) kind: u32,
    pub(crate) data_length: u32,
}

pub(crate) type ProcessRoutine = unsafe extern "system" fn(*mut c_void, Handle, *mut CreateNotifyInfo);
pub(crate) type ThreadRoutine = unsafe extern "system" fn(Handle, Handle, u8);
pub(crate) type ImageRoutine = unsafe extern "system" fn(*const UnicodeString, Handle, *mut ImageInfo);

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<UnicodeString>() == 0x10);
    assert!(size_of::<CreateNotifyInfo>() == 0x48);
    assert!(offset_of!(CreateNotifyInfo, parent) == 0x10);
    assert!(offset_of!(CreateNotifyInfo, creator) == 0x18);
    assert!(offset_of!(CreateNotifyInfo, file_object) == 0x28);
    assert!(offset_of!(CreateNotifyInfo, creation_status) == 0x40);
    assert!(size_of::<ImageInfo>() == 0x28);
    assert!(offset_of!(ImageInfo, size) == 0x18);
    assert!(size_of::<ImageInfoEx>() == 0x38);
    assert!(offset_of!(ImageInfoEx, info) == 8);
    assert!(size_of::<DriverObject>() == 0x150);
    assert!(offset_of!(DriverObject, unload) == 0x68);
    assert!(size_of::<ObjectAttributes>() == 0x30);
    assert!(size_of::<ValueHeader>() == 12);
};
