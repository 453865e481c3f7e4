//! The registry (configuration manager): key and value information, `RtlQueryRegistryValues`, callbacks.

use crate::types::{ACCESS_MASK, LARGE_INTEGER, PVOID};
use crate::{NTSTATUS, UNICODE_STRING};

nt_struct! {
    /// `KeyValueBasicInformation`; the name goes on behind the structure.
    struct KEY_VALUE_BASIC_INFORMATION: 0x10 {
        0x00 TitleIndex: u32,
        0x04 Type: u32,
        /// Bytes.
        0x08 NameLength: u32,
        0x0C Name: [u16; 1],
    }
    /// `KeyValueFullInformation`; name and data go on behind the structure.
    struct KEY_VALUE_FULL_INFORMATION: 0x18 {
        0x00 TitleIndex: u32,
        0x04 Type: u32,
        /// From the start of the structure.
        0x08 DataOffset: u32,
        0x0C DataLength: u32,
        0x10 NameLength: u32,
        0x14 Name: [u16; 1],
    }
    /// `KeyValuePartialInformation`; the data begins at 0x0C and goes on behind the structure.
    struct KEY_VALUE_PARTIAL_INFORMATION: 0x10 {
        0x00 TitleIndex: u32,
        0x04 Type: u32,
        0x08 DataLength: u32,
        0x0C Data: [u8; 1],
    }
    /// `KeyValuePartialInformationAlign64`.
    struct KEY_VALUE_PARTIAL_INFORMATION_ALIGN64: 0x0C {
        0x00 Type: u32,
        0x04 DataLength: u32,
        0x08 Data: [u8; 1],
    }
    /// One value of `ZwQueryMultipleValueKey`.
    struct KEY_VALUE_ENTRY: 0x18 {
        0x00 ValueName: *mut UNICODE_STRING,
        0x08 DataLength: u32,
        0x0C DataOffset: u32,
        0x10 Type: u32,
    }
    /// `KeyBasicInformation`; the name goes on behind the structure.
    struct KEY_BASIC_INFORMATION: 0x18 {
        0x00 LastWriteTime: LARGE_INTEGER,
        0x08 TitleIndex: u32,
        0x0C NameLength: u32,
        0x10 Name: [u16; 1],
    }
    /// `KeyNodeInformation`; the name goes on behind the structure.
    struct KEY_NODE_INFORMATION: 0x20 {
        0x00 LastWriteTime: LARGE_INTEGER,
        0x08 TitleIndex: u32,
        0x0C ClassOffset: u32,
        0x10 ClassLength: u32,
        0x14 NameLength: u32,
        0x18 Name: [u16; 1],
    }
    /// `KeyFullInformation`; the class goes on behind the structure.
    struct KEY_FULL_INFORMATION: 0x30 {
        0x00 LastWriteTime: LARGE_INTEGER,
        0x08 TitleIndex: u32,
        0x0C ClassOffset: u32,
        0x10 ClassLength: u32,
        0x14 SubKeys: u32,
        0x18 MaxNameLen: u32,
        0x1C MaxClassLen: u32,
        0x20 Values: u32,
        0x24 MaxValueNameLen: u32,
        0x28 MaxValueDataLen: u32,
        0x2C Class: [u16; 1],
    }
    /// `KeyNameInformation`; the name goes on behind the structure.
    struct KEY_NAME_INFORMATION: 0x08 {
        0x00 NameLength: u32,
        0x04 Name: [u16; 1],
    }
    /// `KeyCachedInformation`.
    struct KEY_CACHED_INFORMATION: 0x28 {
        0x00 LastWriteTime: LARGE_INTEGER,
        0x08 TitleIndex: u32,
        0x0C SubKeys: u32,
        0x10 MaxNameLen: u32,
        0x14 Values: u32,
        0x18 MaxValueNameLen: u32,
        0x1C MaxValueDataLen: u32,
        0x20 NameLength: u32,
    }
    /// One row of `RtlQueryRegistryValues`; a row without routine and name ends the table.
    struct RTL_QUERY_REGISTRY_TABLE: 0x38 {
        0x00 QueryRoutine: PRTL_QUERY_REGISTRY_ROUTINE,
        0x08 Flags: u32,
        0x10 Name: *mut u16,
        0x18 EntryContext: PVOID,
        0x20 DefaultType: u32,
        0x28 DefaultData: PVOID,
        0x30 DefaultLength: u32,
    }
    /// `RegNtPreDeleteKey` and others that have a key only.
    struct REG_DELETE_KEY_INFORMATION: 0x20 {
        0x00 Object: PVOID,
        0x08 CallContext: PVOID,
        0x10 ObjectContext: PVOID,
        0x18 Reserved: PVOID,
    }
    /// `RegNtPreSetValueKey`.
    struct REG_SET_VALUE_KEY_INFORMATION: 0x40 {
        0x00 Object: PVOID,
        0x08 ValueName: *mut UNICODE_STRING,
        0x10 TitleIndex: u32,
        0x14 Type: u32,
        0x18 Data: PVOID,
        0x20 DataSize: u32,
        0x28 CallContext: PVOID,
        0x30 ObjectContext: PVOID,
        0x38 Reserved: PVOID,
    }
    /// `RegNtPreDeleteValueKey`.
    struct REG_DELETE_VALUE_KEY_INFORMATION: 0x28 {
        0x00 Object: PVOID,
        0x08 ValueName: *mut UNICODE_STRING,
        0x10 CallContext: PVOID,
        0x18 ObjectContext: PVOID,
        0x20 Reserved: PVOID,
    }
    /// `RegNtPreRenameKey`.
    struct REG_RENAME_KEY_INFORMATION: 0x28 {
        0x00 Object: PVOID,
        0x08 NewName: *mut UNICODE_STRING,
        0x10 CallContext: PVOID,
        0x18 ObjectContext: PVOID,
        0x20 Reserved: PVOID,
    }
    /// `RegNtPreQueryValueKey`.
    struct REG_QUERY_VALUE_KEY_INFORMATION: 0x48 {
        0x00 Object: PVOID,
        0x08 ValueName: *mut UNICODE_STRING,
        0x10 KeyValueInformationClass: u32,
        0x18 KeyValueInformation: PVOID,
        0x20 Length: u32,
        0x28 ResultLength: *mut u32,
        0x30 CallContext: PVOID,
        0x38 ObjectContext: PVOID,
        0x40 Reserved: PVOID,
    }
    /// `RegNtPreCreateKeyEx` and `RegNtPreOpenKeyEx`.
    struct REG_CREATE_KEY_INFORMATION: 0x70 {
        0x00 CompleteName: *mut UNICODE_STRING,
        0x08 RootObject: PVOID,
        0x10 ObjectType: PVOID,
        0x18 CreateOptions: u32,
        0x20 Class: *mut UNICODE_STRING,
        0x28 SecurityDescriptor: PVOID,
        0x30 SecurityQualityOfService: PVOID,
        0x38 DesiredAccess: ACCESS_MASK,
        0x3C GrantedAccess: ACCESS_MASK,
        0x40 Disposition: *mut u32,
        0x48 ResultObject: *mut PVOID,
        0x50 CallContext: PVOID,
        0x58 RootObjectContext: PVOID,
        0x60 Transaction: PVOID,
        /// 1 when the longer `REG_CREATE_KEY_INFORMATION_V1` was passed.
        0x68 Reserved: usize,
    }
    /// All post-operations.
    struct REG_POST_OPERATION_INFORMATION: 0x38 {
        0x00 Object: PVOID,
        0x08 Status: NTSTATUS,
        0x10 PreInformation: PVOID,
        0x18 ReturnStatus: NTSTATUS,
        0x20 CallContext: PVOID,
        0x28 ObjectContext: PVOID,
        0x30 Reserved: PVOID,
    }
}

/// `RegNtPreOpenKeyEx` is told in the structure of creation.
pub type REG_OPEN_KEY_INFORMATION = REG_CREATE_KEY_INFORMATION;

/// A routine of a registry table: name, type, data, bytes, context, the row's context.
pub type PRTL_QUERY_REGISTRY_ROUTINE =
    Option<unsafe extern "win64" fn(*mut u16, u32, PVOID, u32, PVOID, PVOID) -> NTSTATUS>;
/// A registry callback: its context, a [`REG_NOTIFY_CLASS`] in a pointer, the structure of that class.
pub type PEX_CALLBACK_FUNCTION = Option<unsafe extern "win64" fn(PVOID, PVOID, PVOID) -> NTSTATUS>;

nt_consts! { "`KEY_INFORMATION_CLASS`", u32, fn key_information_class_name;
    KeyBasicInformation = 0,
    KeyNodeInformation = 1,
    KeyFullInformation = 2,
    KeyNameInformation = 3,
    KeyCachedInformation = 4,
    KeyFlagsInformation = 5,
    KeyVirtualizationInformation = 6,
    KeyHandleTagsInformation = 7,
    KeyTrustInformation = 8,
    KeyLayerInformation = 9,
}

nt_consts! { "`KEY_VALUE_INFORMATION_CLASS`", u32, fn key_value_information_class_name;
    KeyValueBasicInformation = 0,
    KeyValueFullInformation = 1,
    KeyValuePartialInformation = 2,
    KeyValueFullInformationAlign64 = 3,
    KeyValuePartialInformationAlign64 = 4,
}

nt_consts! { "Type of a registry value", u32, fn reg_type_name;
    REG_NONE = 0,
    REG_SZ = 1,
    REG_EXPAND_SZ = 2,
    REG_BINARY = 3,
    REG_DWORD = 4,
    REG_DWORD_BIG_ENDIAN = 5,
    REG_LINK = 6,
    REG_MULTI_SZ = 7,
    REG_RESOURCE_LIST = 8,
    REG_FULL_RESOURCE_DESCRIPTOR = 9,
    REG_RESOURCE_REQUIREMENTS_LIST = 10,
    REG_QWORD = 11,
}

nt_consts! { "Option of creating a key", u32;
    REG_OPTION_NON_VOLATILE = 0,
    REG_OPTION_VOLATILE = 1,
    REG_OPTION_CREATE_LINK = 2,
    REG_OPTION_BACKUP_RESTORE = 4,
    REG_OPTION_OPEN_LINK = 8,
}

nt_consts! { "Disposition of a created key", u32;
    REG_CREATED_NEW_KEY = 1,
    REG_OPENED_EXISTING_KEY = 2,
}

nt_consts! { "Right to a key", u32;
    KEY_QUERY_VALUE = 0x1,
    KEY_SET_VALUE = 0x2,
    KEY_CREATE_SUB_KEY = 0x4,
    KEY_ENUMERATE_SUB_KEYS = 0x8,
    KEY_NOTIFY = 0x10,
    KEY_CREATE_LINK = 0x20,
    KEY_WOW64_64KEY = 0x100,
    KEY_WOW64_32KEY = 0x200,
    KEY_READ = 0x2_0019,
    KEY_WRITE = 0x2_0006,
    KEY_ALL_ACCESS = 0xF_003F,
}

nt_consts! { "`RTL_QUERY_REGISTRY_TABLE::Flags`", u32;
    RTL_QUERY_REGISTRY_SUBKEY = 0x01,
    RTL_QUERY_REGISTRY_TOPKEY = 0x02,
    RTL_QUERY_REGISTRY_REQUIRED = 0x04,
    RTL_QUERY_REGISTRY_NOVALUE = 0x08,
    RTL_QUERY_REGISTRY_NOEXPAND = 0x10,
    RTL_QUERY_REGISTRY_DIRECT = 0x20,
    RTL_QUERY_REGISTRY_DELETE = 0x40,
    RTL_QUERY_REGISTRY_NOSTRING = 0x80,
    RTL_QUERY_REGISTRY_TYPECHECK = 0x100,
    /// Expected type in the top byte of `DefaultType`.
    RTL_QUERY_REGISTRY_TYPECHECK_SHIFT = 24,
}

nt_consts! { "`RelativeTo` of the registry routines of the run-time library", u32;
    RTL_REGISTRY_ABSOLUTE = 0,
    RTL_REGISTRY_SERVICES = 1,
    RTL_REGISTRY_CONTROL = 2,
    RTL_REGISTRY_WINDOWS_NT = 3,
    RTL_REGISTRY_DEVICEMAP = 4,
    RTL_REGISTRY_USER = 5,
    RTL_REGISTRY_MAXIMUM = 6,
    RTL_REGISTRY_HANDLE = 0x4000_0000,
    RTL_REGISTRY_OPTIONAL = 0x8000_0000,
}

/// Which registry operation a callback is told of.
pub type REG_NOTIFY_CLASS = u32;
nt_consts! { "`REG_NOTIFY_CLASS`", REG_NOTIFY_CLASS, fn reg_notify_class_name;
    RegNtPreDeleteKey = 0,
    RegNtPreSetValueKey = 1,
    RegNtPreDeleteValueKey = 2,
    RegNtPreSetInformationKey = 3,
    RegNtPreRenameKey = 4,
    RegNtPreEnumerateKey = 5,
    RegNtPreEnumerateValueKey = 6,
    RegNtPreQueryKey = 7,
    RegNtPreQueryValueKey = 8,
    RegNtPreQueryMultipleValueKey = 9,
    RegNtPreCreateKey = 10,
    RegNtPostCreateKey = 11,
    RegNtPreOpenKey = 12,
    RegNtPostOpenKey = 13,
    RegNtPreKeyHandleClose = 14,
    RegNtPostDeleteKey = 15,
    RegNtPostSetValueKey = 16,
    RegNtPostDeleteValueKey = 17,
    RegNtPostSetInformationKey = 18,
    RegNtPostRenameKey = 19,
    RegNtPostEnumerateKey = 20,
    RegNtPostEnumerateValueKey = 21,
    RegNtPostQueryKey = 22,
    RegNtPostQueryValueKey = 23,
    RegNtPostQueryMultipleValueKey = 24,
    RegNtPostKeyHandleClose = 25,
    RegNtPreCreateKeyEx = 26,
    RegNtPostCreateKeyEx = 27,
    RegNtPreOpenKeyEx = 28,
    RegNtPostOpenKeyEx = 29,
    RegNtPreFlushKey = 30,
    RegNtPostFlushKey = 31,
    RegNtPreLoadKey = 32,
    RegNtPostLoadKey = 33,
    RegNtPreUnLoadKey = 34,
    RegNtPostUnLoadKey = 35,
    RegNtPreQueryKeySecurity = 36,
    RegNtPostQueryKeySecurity = 37,
    RegNtPreSetKeySecurity = 38,
    RegNtPostSetKeySecurity = 39,
    RegNtCallbackObjectContextCleanup = 40,
    RegNtPreRestoreKey = 41,
    RegNtPostRestoreKey = 42,
    RegNtPreSaveKey = 43,
    RegNtPostSaveKey = 44,
    RegNtPreReplaceKey = 45,
    RegNtPostReplaceKey = 46,
    RegNtPreQueryKeyName = 47,
    RegNtPostQueryKeyName = 48,
    RegNtPreSaveMergedKey = 49,
    RegNtPostSaveMergedKey = 50,
}
