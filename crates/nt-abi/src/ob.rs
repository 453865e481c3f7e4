//! Objects, their names and handles, and the callbacks on opening them.

use crate::types::{ACCESS_MASK, HANDLE, PVOID};
use crate::{NTSTATUS, UNICODE_STRING};

crate::types::opaque! {
    /// The type of objects: what `*PsProcessType` is.
    OBJECT_TYPE
}

nt_struct! {
    /// Names an object to open or create.
    struct OBJECT_ATTRIBUTES: 0x30 {
        /// Bytes of this structure.
        0x00 Length: u32,
        0x08 RootDirectory: HANDLE,
        0x10 ObjectName: *const UNICODE_STRING,
        0x18 Attributes: u32,
        0x20 SecurityDescriptor: PVOID,
        0x28 SecurityQualityOfService: PVOID,
    }
    /// The name of an object; the characters follow.
    struct OBJECT_NAME_INFORMATION: 0x10 {
        0x00 Name: UNICODE_STRING,
    }
    /// What `ObReferenceObjectByHandle` tells of the handle.
    struct OBJECT_HANDLE_INFORMATION: 0x08 {
        0x00 HandleAttributes: u32,
        0x04 GrantedAccess: ACCESS_MASK,
    }
    /// One type and operations of an [`OB_CALLBACK_REGISTRATION`].
    struct OB_OPERATION_REGISTRATION: 0x20 {
        /// For instance `PsProcessType`: the address of the variable.
        0x00 ObjectType: *mut *mut OBJECT_TYPE,
        0x08 Operations: u32,
        0x10 PreOperation: POB_PRE_OPERATION_CALLBACK,
        0x18 PostOperation: POB_POST_OPERATION_CALLBACK,
    }
    /// What `ObRegisterCallbacks` is given.
    struct OB_CALLBACK_REGISTRATION: 0x28 {
        0x00 Version: u16,
        0x02 OperationRegistrationCount: u16,
        0x08 Altitude: UNICODE_STRING,
        0x18 RegistrationContext: PVOID,
        0x20 OperationRegistration: *mut OB_OPERATION_REGISTRATION,
    }
    /// A handle is about to be created.
    struct OB_PRE_CREATE_HANDLE_INFORMATION: 0x08 {
        /// May be reduced.
        0x00 DesiredAccess: ACCESS_MASK,
        0x04 OriginalDesiredAccess: ACCESS_MASK,
    }
    /// A handle is about to be duplicated.
    struct OB_PRE_DUPLICATE_HANDLE_INFORMATION: 0x18 {
        /// May be reduced.
        0x00 DesiredAccess: ACCESS_MASK,
        0x04 OriginalDesiredAccess: ACCESS_MASK,
        0x08 SourceProcess: PVOID,
        0x10 TargetProcess: PVOID,
    }
    /// By `OB_PRE_OPERATION_INFORMATION::Operation`.
    union OB_PRE_OPERATION_PARAMETERS: 0x18 {
        0x00 CreateHandleInformation: OB_PRE_CREATE_HANDLE_INFORMATION,
        0x00 DuplicateHandleInformation: OB_PRE_DUPLICATE_HANDLE_INFORMATION,
    }
    /// What a pre-operation callback is told.
    struct OB_PRE_OPERATION_INFORMATION: 0x28 {
        0x00 Operation: u32,
        /// Bit 0: kernel handle.
        0x04 Flags: u32,
        0x08 Object: PVOID,
        0x10 ObjectType: *mut OBJECT_TYPE,
        0x18 CallContext: PVOID,
        0x20 Parameters: *mut OB_PRE_OPERATION_PARAMETERS,
    }
    /// A handle was created or duplicated.
    struct OB_POST_HANDLE_INFORMATION: 0x04 {
        0x00 GrantedAccess: ACCESS_MASK,
    }
    /// What a post-operation callback is told.
    struct OB_POST_OPERATION_INFORMATION: 0x30 {
        0x00 Operation: u32,
        0x04 Flags: u32,
        0x08 Object: PVOID,
        0x10 ObjectType: *mut OBJECT_TYPE,
        0x18 CallContext: PVOID,
        0x20 ReturnStatus: NTSTATUS,
        0x28 Parameters: *mut OB_POST_HANDLE_INFORMATION,
    }
    /// An entry of `ZwQueryDirectoryObject`.
    struct OBJECT_DIRECTORY_INFORMATION: 0x20 {
        0x00 Name: UNICODE_STRING,
        0x10 TypeName: UNICODE_STRING,
    }
}

/// Before a handle is created or duplicated; answers [`OB_PREOP_SUCCESS`].
pub type POB_PRE_OPERATION_CALLBACK =
    Option<unsafe extern "win64" fn(PVOID, *mut OB_PRE_OPERATION_INFORMATION) -> u32>;
/// After a handle was created or duplicated.
pub type POB_POST_OPERATION_CALLBACK =
    Option<unsafe extern "win64" fn(PVOID, *mut OB_POST_OPERATION_INFORMATION)>;

nt_consts! { "`OBJECT_ATTRIBUTES::Attributes`", u32;
    OBJ_INHERIT = 0x2,
    OBJ_PERMANENT = 0x10,
    OBJ_EXCLUSIVE = 0x20,
    OBJ_CASE_INSENSITIVE = 0x40,
    OBJ_OPENIF = 0x80,
    OBJ_OPENLINK = 0x100,
    OBJ_KERNEL_HANDLE = 0x200,
    OBJ_FORCE_ACCESS_CHECK = 0x400,
    OBJ_IGNORE_IMPERSONATED_DEVICEMAP = 0x800,
    OBJ_DONT_REPARSE = 0x1000,
    OBJ_VALID_ATTRIBUTES = 0x1FF2,
}

nt_consts! { "`OB_OPERATION`", u32;
    OB_OPERATION_HANDLE_CREATE = 1,
    OB_OPERATION_HANDLE_DUPLICATE = 2,
}

nt_consts! { "Object callbacks", u32;
    OB_PREOP_SUCCESS = 0,
}
/// Version of [`OB_CALLBACK_REGISTRATION`], and answer of `ObGetFilterVersion`.
pub const OB_FLT_REGISTRATION_VERSION: u16 = 0x0100;

nt_consts! { "Standard and generic rights", u32;
    DELETE = 0x0001_0000,
    READ_CONTROL = 0x0002_0000,
    WRITE_DAC = 0x0004_0000,
    WRITE_OWNER = 0x0008_0000,
    SYNCHRONIZE = 0x0010_0000,
    STANDARD_RIGHTS_REQUIRED = 0x000F_0000,
    STANDARD_RIGHTS_ALL = 0x001F_0000,
    ACCESS_SYSTEM_SECURITY = 0x0100_0000,
    MAXIMUM_ALLOWED = 0x0200_0000,
    GENERIC_ALL = 0x1000_0000,
    GENERIC_EXECUTE = 0x2000_0000,
    GENERIC_WRITE = 0x4000_0000,
    GENERIC_READ = 0x8000_0000,
}

nt_consts! { "Right to a dispatcher object", u32;
    EVENT_QUERY_STATE = 0x1,
    EVENT_MODIFY_STATE = 0x2,
    EVENT_ALL_ACCESS = 0x1F_0003,
    SEMAPHORE_MODIFY_STATE = 0x2,
    SEMAPHORE_ALL_ACCESS = 0x1F_0003,
    TIMER_ALL_ACCESS = 0x1F_0003,
    MUTANT_ALL_ACCESS = 0x1F_0001,
}

nt_consts! { "Right to an object directory or symbolic link", u32;
    DIRECTORY_QUERY = 0x1,
    DIRECTORY_TRAVERSE = 0x2,
    DIRECTORY_CREATE_OBJECT = 0x4,
    DIRECTORY_CREATE_SUBDIRECTORY = 0x8,
    DIRECTORY_ALL_ACCESS = 0xF_000F,
    SYMBOLIC_LINK_QUERY = 0x1,
    SYMBOLIC_LINK_ALL_ACCESS = 0xF_0001,
}
