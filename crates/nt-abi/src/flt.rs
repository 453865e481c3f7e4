//! The filter manager (`fltmgr.sys`).

use crate::types::{ACCESS_MASK, KPROCESSOR_MODE, PVOID};
use crate::{FILE_OBJECT, IO_STATUS_BLOCK, LIST_ENTRY, NTSTATUS, PETHREAD, UNICODE_STRING};

crate::types::opaque! {
    /// A registered minifilter.
    FLT_FILTER
    /// A minifilter on a volume.
    FLT_INSTANCE
    /// A volume.
    FLT_VOLUME
    /// A communication port.
    FLT_PORT
}

nt_struct! {
    /// A context type that a minifilter registers; the last has type [`FLT_CONTEXT_END`].
    struct FLT_CONTEXT_REGISTRATION: 0x38 {
        0x00 ContextType: u16,
        0x02 Flags: u16,
        0x08 ContextCleanupCallback: PFLT_CONTEXT_CLEANUP_CALLBACK,
        0x10 Size: usize,
        0x18 PoolTag: u32,
        0x20 ContextAllocateCallback: PVOID,
        0x28 ContextFreeCallback: PVOID,
        0x30 Reserved1: PVOID,
    }
    /// An operation that a minifilter registers; the last has [`IRP_MJ_OPERATION_END`].
    struct FLT_OPERATION_REGISTRATION: 0x20 {
        0x00 MajorFunction: u8,
        0x04 Flags: u32,
        0x08 PreOperation: PFLT_PRE_OPERATION_CALLBACK,
        0x10 PostOperation: PFLT_POST_OPERATION_CALLBACK,
        0x18 Reserved1: PVOID,
    }
    /// What `FltRegisterFilter` is given; older versions end before the last members.
    struct FLT_REGISTRATION: 0x70 {
        /// Bytes of this structure.
        0x00 Size: u16,
        0x02 Version: u16,
        0x04 Flags: u32,
        0x08 ContextRegistration: *const FLT_CONTEXT_REGISTRATION,
        0x10 OperationRegistration: *const FLT_OPERATION_REGISTRATION,
        0x18 FilterUnloadCallback: PFLT_FILTER_UNLOAD_CALLBACK,
        0x20 InstanceSetupCallback: PFLT_INSTANCE_SETUP_CALLBACK,
        0x28 InstanceQueryTeardownCallback: PFLT_INSTANCE_QUERY_TEARDOWN_CALLBACK,
        0x30 InstanceTeardownStartCallback: PFLT_INSTANCE_TEARDOWN_CALLBACK,
        0x38 InstanceTeardownCompleteCallback: PFLT_INSTANCE_TEARDOWN_CALLBACK,
        0x40 GenerateFileNameCallback: PVOID,
        0x48 NormalizeNameComponentCallback: PVOID,
        0x50 NormalizeContextCleanupCallback: PVOID,
        0x58 TransactionNotificationCallback: PVOID,
        0x60 NormalizeNameComponentExCallback: PVOID,
        /// Version 2.3, Windows 8.
        0x68 SectionNotificationCallback: PVOID,
    }
    /// The objects that an operation belongs to.
    struct FLT_RELATED_OBJECTS: 0x30 {
        0x00 Size: u16,
        0x02 TransactionContext: u16,
        0x08 Filter: *mut FLT_FILTER,
        0x10 Volume: *mut FLT_VOLUME,
        0x18 Instance: *mut FLT_INSTANCE,
        0x20 FileObject: *mut FILE_OBJECT,
        0x28 Transaction: PVOID,
    }
    /// Parameters of a create.
    struct FLT_PARAMETERS_CREATE: 0x28 {
        0x00 SecurityContext: PVOID,
        0x08 Options: u32,
        0x0C Pad0C: u32,
        0x10 FileAttributes: u16,
        0x12 ShareAccess: u16,
        0x14 Pad14: u32,
        0x18 EaLength: u32,
        0x1C Pad1C: u32,
        0x20 EaBuffer: PVOID,
    }
    /// By the major function.
    union FLT_PARAMETERS: 0x30 {
        0x00 Create: FLT_PARAMETERS_CREATE,
        0x00 Others: [PVOID; 6],
    }
    /// What is asked of the file system.
    struct FLT_IO_PARAMETER_BLOCK: 0x48 {
        0x00 IrpFlags: u32,
        0x04 MajorFunction: u8,
        0x05 MinorFunction: u8,
        0x06 OperationFlags: u8,
        0x07 Reserved: u8,
        0x08 TargetFileObject: *mut FILE_OBJECT,
        0x10 TargetInstance: *mut FLT_INSTANCE,
        0x18 Parameters: FLT_PARAMETERS,
    }
    /// An operation on its way through the minifilters.
    struct FLT_CALLBACK_DATA: 0x58 {
        0x00 Flags: u32,
        0x08 Thread: PETHREAD,
        0x10 Iopb: *mut FLT_IO_PARAMETER_BLOCK,
        0x18 IoStatus: IO_STATUS_BLOCK,
        0x28 TagData: PVOID,
        0x30 QueueLinks: LIST_ENTRY,
        0x40 QueueContext: [PVOID; 2],
        0x50 RequestorMode: KPROCESSOR_MODE,
    }
    /// A file's name and its parts; parse before reading the parts.
    struct FLT_FILE_NAME_INFORMATION: 0x78 {
        0x00 Size: u16,
        0x02 NamesParsed: u16,
        0x04 Format: u32,
        0x08 Name: UNICODE_STRING,
        0x18 Volume: UNICODE_STRING,
        0x28 Share: UNICODE_STRING,
        0x38 Extension: UNICODE_STRING,
        0x48 Stream: UNICODE_STRING,
        0x58 FinalComponent: UNICODE_STRING,
        0x68 ParentDir: UNICODE_STRING,
    }
    /// What a volume can do.
    struct FLT_VOLUME_PROPERTIES: 0x48 {
        0x00 DeviceType: u32,
        0x04 DeviceCharacteristics: u32,
        0x08 DeviceObjectFlags: u32,
        0x0C AlignmentRequirement: u32,
        0x10 SectorSize: u16,
        0x12 Flags: u16,
        0x18 FileSystemDriverName: UNICODE_STRING,
        0x28 FileSystemDeviceName: UNICODE_STRING,
        0x38 RealDeviceName: UNICODE_STRING,
    }
}

/// Ends [`FLT_REGISTRATION`] after `NormalizeNameComponentExCallback` before version 2.3.
pub const FLT_REGISTRATION_SIZE_0202: u16 = 0x68;

/// Cleans up a context before it is freed: context, type.
pub type PFLT_CONTEXT_CLEANUP_CALLBACK = Option<unsafe extern "win64" fn(PVOID, u16)>;
/// Before an operation: data, objects, context for the post-operation; answers an `FLT_PREOP_…`.
pub type PFLT_PRE_OPERATION_CALLBACK =
    Option<unsafe extern "win64" fn(*mut FLT_CALLBACK_DATA, *const FLT_RELATED_OBJECTS, *mut PVOID) -> u32>;
/// After an operation: data, objects, context, flags; answers an `FLT_POSTOP_…`.
pub type PFLT_POST_OPERATION_CALLBACK =
    Option<unsafe extern "win64" fn(*mut FLT_CALLBACK_DATA, *const FLT_RELATED_OBJECTS, PVOID, u32) -> u32>;
/// Asked before the minifilter is unloaded.
pub type PFLT_FILTER_UNLOAD_CALLBACK = Option<unsafe extern "win64" fn(u32) -> NTSTATUS>;
/// Asked whether to attach: objects, flags, device type, file system type.
pub type PFLT_INSTANCE_SETUP_CALLBACK =
    Option<unsafe extern "win64" fn(*const FLT_RELATED_OBJECTS, u32, u32, u32) -> NTSTATUS>;
/// Asked whether to detach.
pub type PFLT_INSTANCE_QUERY_TEARDOWN_CALLBACK =
    Option<unsafe extern "win64" fn(*const FLT_RELATED_OBJECTS, u32) -> NTSTATUS>;
/// Told of detaching.
pub type PFLT_INSTANCE_TEARDOWN_CALLBACK = Option<unsafe extern "win64" fn(*const FLT_RELATED_OBJECTS, u32)>;
/// A client connects: its port, server cookie, context, bytes of it, where the connection's cookie goes.
pub type PFLT_CONNECT_NOTIFY =
    Option<unsafe extern "win64" fn(*mut FLT_PORT, PVOID, PVOID, u32, *mut PVOID) -> NTSTATUS>;
/// A client has gone: the connection's cookie.
pub type PFLT_DISCONNECT_NOTIFY = Option<unsafe extern "win64" fn(PVOID)>;
/// A client's message: cookie, input, bytes, output, bytes, bytes returned.
pub type PFLT_MESSAGE_NOTIFY =
    Option<unsafe extern "win64" fn(PVOID, PVOID, u32, PVOID, u32, *mut u32) -> NTSTATUS>;

nt_consts! { "`FLT_REGISTRATION::Version`", u16;
    FLT_REGISTRATION_VERSION_0200 = 0x0200,
    FLT_REGISTRATION_VERSION_0201 = 0x0201,
    FLT_REGISTRATION_VERSION_0202 = 0x0202,
    FLT_REGISTRATION_VERSION_0203 = 0x0203,
}

nt_consts! { "Context type", u16;
    FLT_VOLUME_CONTEXT = 0x01,
    FLT_INSTANCE_CONTEXT = 0x02,
    FLT_FILE_CONTEXT = 0x04,
    FLT_STREAM_CONTEXT = 0x08,
    FLT_STREAMHANDLE_CONTEXT = 0x10,
    FLT_TRANSACTION_CONTEXT = 0x20,
    FLT_SECTION_CONTEXT = 0x40,
    FLT_CONTEXT_END = 0xFFFF,
}

/// Ends a table of [`FLT_OPERATION_REGISTRATION`].
pub const IRP_MJ_OPERATION_END: u8 = 0x80;

nt_consts! { "Format of a queried name, low byte", u32;
    FLT_FILE_NAME_NORMALIZED = 0x01,
    FLT_FILE_NAME_OPENED = 0x02,
    FLT_FILE_NAME_SHORT = 0x03,
}

nt_consts! { "Method of querying a name, second byte", u32;
    FLT_FILE_NAME_QUERY_DEFAULT = 0x0100,
    FLT_FILE_NAME_QUERY_CACHE_ONLY = 0x0200,
    FLT_FILE_NAME_QUERY_FILESYSTEM_ONLY = 0x0300,
    FLT_FILE_NAME_QUERY_ALWAYS_ALLOW_CACHE_LOOKUP = 0x0400,
}

nt_consts! { "Flag of querying a name, top byte", u32;
    FLT_FILE_NAME_REQUEST_FROM_CURRENT_PROVIDER = 0x0100_0000,
    FLT_FILE_NAME_DO_NOT_CACHE = 0x0200_0000,
    FLT_FILE_NAME_ALLOW_QUERY_ON_REPARSE = 0x0400_0000,
}

nt_consts! { "`FLT_FILE_NAME_INFORMATION::NamesParsed`", u16;
    FLTFL_FILE_NAME_PARSED_FINAL_COMPONENT = 0x1,
    FLTFL_FILE_NAME_PARSED_EXTENSION = 0x2,
    FLTFL_FILE_NAME_PARSED_STREAM = 0x4,
    FLTFL_FILE_NAME_PARSED_PARENT_DIR = 0x8,
}

nt_consts! { "Answer of a pre-operation callback", u32;
    FLT_PREOP_SUCCESS_WITH_CALLBACK = 0,
    FLT_PREOP_SUCCESS_NO_CALLBACK = 1,
    FLT_PREOP_PENDING = 2,
    FLT_PREOP_DISALLOW_FASTIO = 3,
    FLT_PREOP_COMPLETE = 4,
    FLT_PREOP_SYNCHRONIZE = 5,
    FLT_PREOP_DISALLOW_FSFILTER_IO = 6,
}

nt_consts! { "Answer of a post-operation callback", u32;
    FLT_POSTOP_FINISHED_PROCESSING = 0,
    FLT_POSTOP_MORE_PROCESSING_REQUIRED = 1,
}

nt_consts! { "Flag of unloading a minifilter", u32;
    FLTFL_FILTER_UNLOAD_MANDATORY = 1,
}

nt_consts! { "Flag of an [`FLT_REGISTRATION`]", u32;
    FLTFL_REGISTRATION_DO_NOT_SUPPORT_SERVICE_STOP = 1,
    FLTFL_REGISTRATION_SUPPORT_NPFS_MSFS = 2,
    FLTFL_REGISTRATION_SUPPORT_DAX_VOLUME = 4,
}

nt_consts! { "Flag of [`FLT_CALLBACK_DATA`]", u32;
    FLTFL_CALLBACK_DATA_IRP_OPERATION = 0x1,
    FLTFL_CALLBACK_DATA_FAST_IO_OPERATION = 0x2,
    FLTFL_CALLBACK_DATA_FS_FILTER_OPERATION = 0x4,
}

nt_consts! { "Right to a communication port", ACCESS_MASK;
    FLT_PORT_CONNECT = 0x1,
    FLT_PORT_ALL_ACCESS = 0x1F_0001,
}
