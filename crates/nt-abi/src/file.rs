//! Files: the file object, and the numbers and structures of `ZwCreateFile` and its family.

use crate::types::{BOOLEAN, HANDLE, LARGE_INTEGER, PVOID};
use crate::{DEVICE_OBJECT, KEVENT, KSPIN_LOCK, LIST_ENTRY, NTSTATUS, UNICODE_STRING, VPB};

nt_struct! {
    /// An open file.
    struct FILE_OBJECT: 0xD8 {
        0x00 Type: i16,
        0x02 Size: i16,
        0x08 DeviceObject: *mut DEVICE_OBJECT,
        0x10 Vpb: *mut VPB,
        0x18 FsContext: PVOID,
        0x20 FsContext2: PVOID,
        0x28 SectionObjectPointer: *mut SECTION_OBJECT_POINTERS,
        0x30 PrivateCacheMap: PVOID,
        0x38 FinalStatus: NTSTATUS,
        0x40 RelatedFileObject: *mut FILE_OBJECT,
        0x48 LockOperation: BOOLEAN,
        0x49 DeletePending: BOOLEAN,
        0x4A ReadAccess: BOOLEAN,
        0x4B WriteAccess: BOOLEAN,
        0x4C DeleteAccess: BOOLEAN,
        0x4D SharedRead: BOOLEAN,
        0x4E SharedWrite: BOOLEAN,
        0x4F SharedDelete: BOOLEAN,
        0x50 Flags: u32,
        /// Relative to the volume (or to `RelatedFileObject`), without the device's name.
        0x58 FileName: UNICODE_STRING,
        0x68 CurrentByteOffset: LARGE_INTEGER,
        0x70 Waiters: u32,
        0x74 Busy: u32,
        0x78 LastLock: PVOID,
        0x80 Lock: KEVENT,
        0x98 Event: KEVENT,
        0xB0 CompletionContext: PVOID,
        0xB8 IrpListLock: KSPIN_LOCK,
        0xC0 IrpList: LIST_ENTRY,
        0xD0 FileObjectExtension: PVOID,
    }
    /// The rights that a create asks for: `Parameters.Create.SecurityContext`.
    struct IO_SECURITY_CONTEXT: 0x18 {
        0x00 SecurityQos: *mut crate::SECURITY_QUALITY_OF_SERVICE,
        /// An `ACCESS_STATE`.
        0x08 AccessState: PVOID,
        0x10 DesiredAccess: u32,
        0x14 FullCreateOptions: u32,
    }
    /// Routines that a file system is called by without a request.
    struct FAST_IO_DISPATCH: 0xE0 {
        /// Bytes of this structure.
        0x00 SizeOfFastIoDispatch: u32,
        /// `FastIoCheckIfPossible` first, `ReleaseForCcFlush` last.
        0x08 Routines: [PVOID; 27],
    }
    /// What `IoAllocateErrorLogEntry` gives; dump data and strings go on behind the structure.
    struct IO_ERROR_LOG_PACKET: 0x30 {
        0x00 MajorFunctionCode: u8,
        0x01 RetryCount: u8,
        0x02 DumpDataSize: u16,
        0x04 NumberOfStrings: u16,
        0x06 StringOffset: u16,
        0x08 EventCategory: u16,
        0x0C ErrorCode: NTSTATUS,
        0x10 UniqueErrorValue: u32,
        0x14 FinalStatus: NTSTATUS,
        0x18 SequenceNumber: u32,
        0x1C IoControlCode: u32,
        0x20 DeviceOffset: LARGE_INTEGER,
        0x28 DumpData: [u32; 1],
    }
    /// A file's sections.
    struct SECTION_OBJECT_POINTERS: 0x18 {
        0x00 DataSectionObject: PVOID,
        0x08 SharedCacheMap: PVOID,
        0x10 ImageSectionObject: PVOID,
    }
    /// `FileBasicInformation`: times in 100 ns since 1601.
    struct FILE_BASIC_INFORMATION: 0x28 {
        0x00 CreationTime: LARGE_INTEGER,
        0x08 LastAccessTime: LARGE_INTEGER,
        0x10 LastWriteTime: LARGE_INTEGER,
        0x18 ChangeTime: LARGE_INTEGER,
        0x20 FileAttributes: u32,
    }
    /// `FileStandardInformation`.
    struct FILE_STANDARD_INFORMATION: 0x18 {
        0x00 AllocationSize: LARGE_INTEGER,
        0x08 EndOfFile: LARGE_INTEGER,
        0x10 NumberOfLinks: u32,
        0x14 DeletePending: BOOLEAN,
        0x15 Directory: BOOLEAN,
    }
    /// `FileInternalInformation`.
    struct FILE_INTERNAL_INFORMATION: 0x08 {
        0x00 IndexNumber: LARGE_INTEGER,
    }
    /// `FilePositionInformation`.
    struct FILE_POSITION_INFORMATION: 0x08 {
        0x00 CurrentByteOffset: LARGE_INTEGER,
    }
    /// `FileEndOfFileInformation`.
    struct FILE_END_OF_FILE_INFORMATION: 0x08 {
        0x00 EndOfFile: LARGE_INTEGER,
    }
    /// `FileDispositionInformation`.
    struct FILE_DISPOSITION_INFORMATION: 0x01 {
        0x00 DeleteFile: BOOLEAN,
    }
    /// `FileNameInformation`; the name goes on behind the structure.
    struct FILE_NAME_INFORMATION: 0x08 {
        /// Bytes.
        0x00 FileNameLength: u32,
        0x04 FileName: [u16; 1],
    }
    /// `FileAttributeTagInformation`.
    struct FILE_ATTRIBUTE_TAG_INFORMATION: 0x08 {
        0x00 FileAttributes: u32,
        0x04 ReparseTag: u32,
    }
    /// `FileNetworkOpenInformation`.
    struct FILE_NETWORK_OPEN_INFORMATION: 0x38 {
        0x00 CreationTime: LARGE_INTEGER,
        0x08 LastAccessTime: LARGE_INTEGER,
        0x10 LastWriteTime: LARGE_INTEGER,
        0x18 ChangeTime: LARGE_INTEGER,
        0x20 AllocationSize: LARGE_INTEGER,
        0x28 EndOfFile: LARGE_INTEGER,
        0x30 FileAttributes: u32,
    }
    /// `FileRenameInformation`; the name goes on behind the structure.
    struct FILE_RENAME_INFORMATION: 0x18 {
        /// A `BOOLEAN`, or flags in the Ex form.
        0x00 Flags: u32,
        0x08 RootDirectory: HANDLE,
        /// Bytes.
        0x10 FileNameLength: u32,
        0x14 FileName: [u16; 1],
    }
    /// `FileDirectoryInformation`; the name goes on behind the structure.
    struct FILE_DIRECTORY_INFORMATION: 0x48 {
        0x00 NextEntryOffset: u32,
        0x04 FileIndex: u32,
        0x08 CreationTime: LARGE_INTEGER,
        0x10 LastAccessTime: LARGE_INTEGER,
        0x18 LastWriteTime: LARGE_INTEGER,
        0x20 ChangeTime: LARGE_INTEGER,
        0x28 EndOfFile: LARGE_INTEGER,
        0x30 AllocationSize: LARGE_INTEGER,
        0x38 FileAttributes: u32,
        0x3C FileNameLength: u32,
        0x40 FileName: [u16; 1],
    }
}

nt_consts! { "Create disposition", u32, fn create_disposition_name;
    FILE_SUPERSEDE = 0,
    FILE_OPEN = 1,
    FILE_CREATE = 2,
    FILE_OPEN_IF = 3,
    FILE_OVERWRITE = 4,
    FILE_OVERWRITE_IF = 5,
}

nt_consts! { "`IO_STATUS_BLOCK::Information` after a create", usize;
    FILE_SUPERSEDED = 0,
    FILE_OPENED = 1,
    FILE_CREATED = 2,
    FILE_OVERWRITTEN = 3,
    FILE_EXISTS = 4,
    FILE_DOES_NOT_EXIST = 5,
}

nt_consts! { "Create option", u32;
    FILE_DIRECTORY_FILE = 0x1,
    FILE_WRITE_THROUGH = 0x2,
    FILE_SEQUENTIAL_ONLY = 0x4,
    FILE_NO_INTERMEDIATE_BUFFERING = 0x8,
    FILE_SYNCHRONOUS_IO_ALERT = 0x10,
    FILE_SYNCHRONOUS_IO_NONALERT = 0x20,
    FILE_NON_DIRECTORY_FILE = 0x40,
    FILE_CREATE_TREE_CONNECTION = 0x80,
    FILE_COMPLETE_IF_OPLOCKED = 0x100,
    FILE_NO_EA_KNOWLEDGE = 0x200,
    FILE_RANDOM_ACCESS = 0x800,
    FILE_DELETE_ON_CLOSE = 0x1000,
    FILE_OPEN_BY_FILE_ID = 0x2000,
    FILE_OPEN_FOR_BACKUP_INTENT = 0x4000,
    FILE_NO_COMPRESSION = 0x8000,
    FILE_DISALLOW_EXCLUSIVE = 0x2_0000,
    FILE_RESERVE_OPFILTER = 0x10_0000,
    FILE_OPEN_REPARSE_POINT = 0x20_0000,
    FILE_OPEN_NO_RECALL = 0x40_0000,
    FILE_OPEN_FOR_FREE_SPACE_QUERY = 0x80_0000,
}

nt_consts! { "Right to a file", u32;
    FILE_READ_DATA = 0x0001,
    FILE_WRITE_DATA = 0x0002,
    FILE_APPEND_DATA = 0x0004,
    FILE_READ_EA = 0x0008,
    FILE_WRITE_EA = 0x0010,
    FILE_EXECUTE = 0x0020,
    FILE_DELETE_CHILD = 0x0040,
    FILE_READ_ATTRIBUTES = 0x0080,
    FILE_WRITE_ATTRIBUTES = 0x0100,
    FILE_ALL_ACCESS = 0x1F_01FF,
    FILE_GENERIC_READ = 0x12_0089,
    FILE_GENERIC_WRITE = 0x12_0116,
    FILE_GENERIC_EXECUTE = 0x12_00A0,
}
/// [`FILE_READ_DATA`] of a directory.
pub const FILE_LIST_DIRECTORY: u32 = FILE_READ_DATA;
/// [`FILE_EXECUTE`] of a directory.
pub const FILE_TRAVERSE: u32 = FILE_EXECUTE;

nt_consts! { "Share access", u32;
    FILE_SHARE_READ = 1,
    FILE_SHARE_WRITE = 2,
    FILE_SHARE_DELETE = 4,
}

nt_consts! { "File attribute", u32;
    FILE_ATTRIBUTE_READONLY = 0x1,
    FILE_ATTRIBUTE_HIDDEN = 0x2,
    FILE_ATTRIBUTE_SYSTEM = 0x4,
    FILE_ATTRIBUTE_DIRECTORY = 0x10,
    FILE_ATTRIBUTE_ARCHIVE = 0x20,
    FILE_ATTRIBUTE_DEVICE = 0x40,
    FILE_ATTRIBUTE_NORMAL = 0x80,
    FILE_ATTRIBUTE_TEMPORARY = 0x100,
    FILE_ATTRIBUTE_REPARSE_POINT = 0x400,
}

nt_consts! { "Special `ByteOffset` of a read or write (low half; the high half is -1)", u32;
    FILE_WRITE_TO_END_OF_FILE = 0xFFFF_FFFF,
    FILE_USE_FILE_POINTER_POSITION = 0xFFFF_FFFE,
}

nt_consts! { "`FILE_OBJECT::Flags`", u32;
    FO_FILE_OPEN = 0x1,
    FO_SYNCHRONOUS_IO = 0x2,
    FO_ALERTABLE_IO = 0x4,
    FO_NO_INTERMEDIATE_BUFFERING = 0x8,
    FO_WRITE_THROUGH = 0x10,
    FO_SEQUENTIAL_ONLY = 0x20,
    FO_CACHE_SUPPORTED = 0x40,
    FO_NAMED_PIPE = 0x80,
    FO_STREAM_FILE = 0x100,
    FO_FILE_MODIFIED = 0x1000,
    FO_CLEANUP_COMPLETE = 0x4000,
    FO_OPENED_CASE_SENSITIVE = 0x2_0000,
    FO_HANDLE_CREATED = 0x4_0000,
    FO_VOLUME_OPEN = 0x40_0000,
}

nt_consts! { "`FILE_INFORMATION_CLASS`", u32, fn file_information_class_name;
    FileDirectoryInformation = 1,
    FileFullDirectoryInformation = 2,
    FileBothDirectoryInformation = 3,
    FileBasicInformation = 4,
    FileStandardInformation = 5,
    FileInternalInformation = 6,
    FileEaInformation = 7,
    FileAccessInformation = 8,
    FileNameInformation = 9,
    FileRenameInformation = 10,
    FileNamesInformation = 12,
    FileDispositionInformation = 13,
    FilePositionInformation = 14,
    FileModeInformation = 16,
    FileAlignmentInformation = 17,
    FileAllInformation = 18,
    FileAllocationInformation = 19,
    FileEndOfFileInformation = 20,
    FileAlternateNameInformation = 21,
    FileStreamInformation = 22,
    FileNetworkOpenInformation = 34,
    FileAttributeTagInformation = 35,
    FileIdBothDirectoryInformation = 37,
    FileIdFullDirectoryInformation = 38,
    FileNormalizedNameInformation = 48,
    FileIsRemoteDeviceInformation = 51,
    FileIdInformation = 59,
    FileDispositionInformationEx = 64,
    FileRenameInformationEx = 65,
}

nt_consts! { "`FS_INFORMATION_CLASS`", u32;
    FileFsVolumeInformation = 1,
    FileFsSizeInformation = 3,
    FileFsDeviceInformation = 4,
    FileFsAttributeInformation = 5,
    FileFsFullSizeInformation = 7,
}
