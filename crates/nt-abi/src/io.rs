//! Drivers, devices, requests.

use crate::types::{BOOLEAN, HANDLE, KIRQL, KPROCESSOR_MODE, LARGE_INTEGER, PVOID};
use crate::{
    FILE_OBJECT, KDEVICE_QUEUE, KDEVICE_QUEUE_ENTRY, KDPC, KEVENT, LIST_ENTRY, NTSTATUS, PETHREAD,
    SECURITY_DESCRIPTOR, UNICODE_STRING,
};

/// A driver's entry point.
pub type PDRIVER_INITIALIZE =
    Option<unsafe extern "win64" fn(*mut DRIVER_OBJECT, *const UNICODE_STRING) -> NTSTATUS>;
/// Handles one major function.
pub type PDRIVER_DISPATCH = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP) -> NTSTATUS>;
/// Called before the driver is taken out of memory.
pub type PDRIVER_UNLOAD = Option<unsafe extern "win64" fn(*mut DRIVER_OBJECT)>;
/// Starts the next request of a device queue.
pub type PDRIVER_STARTIO = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP)>;
/// Adds a device of Plug and Play.
pub type PDRIVER_ADD_DEVICE =
    Option<unsafe extern "win64" fn(*mut DRIVER_OBJECT, *mut DEVICE_OBJECT) -> NTSTATUS>;
/// Cancels a request; entered with the cancel spin lock held.
pub type PDRIVER_CANCEL = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP)>;
/// Called when a request is completed by the drivers below.
pub type PIO_COMPLETION_ROUTINE =
    Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP, PVOID) -> NTSTATUS>;
/// Reinitialisation: driver, context, times called.
pub type PDRIVER_REINITIALIZE = Option<unsafe extern "win64" fn(*mut DRIVER_OBJECT, PVOID, u32)>;
/// Runs an `IO_WORKITEM` at `PASSIVE_LEVEL`.
pub type PIO_WORKITEM_ROUTINE = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, PVOID)>;
/// Runs an `IO_WORKITEM` of `IoQueueWorkItemEx`: object, context, item.
pub type PIO_WORKITEM_ROUTINE_EX = Option<unsafe extern "win64" fn(PVOID, PVOID, *mut IO_WORKITEM)>;
/// The once-a-second timer of a device.
pub type PIO_TIMER_ROUTINE = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, PVOID)>;
/// Told of file systems that come and go.
pub type PDRIVER_FS_NOTIFICATION = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, BOOLEAN)>;

crate::types::opaque! {
    /// A work item of the I/O manager.
    IO_WORKITEM
    /// A device's once-a-second timer.
    IO_TIMER
}

nt_struct! {
    /// A loaded driver.
    struct DRIVER_OBJECT: 0x150 {
        0x00 Type: i16,
        0x02 Size: i16,
        0x08 DeviceObject: *mut DEVICE_OBJECT,
        0x10 Flags: u32,
        0x18 DriverStart: PVOID,
        0x20 DriverSize: u32,
        /// The [`LDR_DATA_TABLE_ENTRY`](crate::LDR_DATA_TABLE_ENTRY) of the image.
        0x28 DriverSection: PVOID,
        0x30 DriverExtension: *mut DRIVER_EXTENSION,
        0x38 DriverName: UNICODE_STRING,
        0x48 HardwareDatabase: *mut UNICODE_STRING,
        0x50 FastIoDispatch: PVOID,
        0x58 DriverInit: PDRIVER_INITIALIZE,
        0x60 DriverStartIo: PDRIVER_STARTIO,
        0x68 DriverUnload: PDRIVER_UNLOAD,
        0x70 MajorFunction: [PDRIVER_DISPATCH; 28],
    }
    /// The part of a driver object that is not in its older form.
    struct DRIVER_EXTENSION: 0x28 {
        0x00 DriverObject: *mut DRIVER_OBJECT,
        0x08 AddDevice: PDRIVER_ADD_DEVICE,
        0x10 Count: u32,
        0x18 ServiceKeyName: UNICODE_STRING,
    }
    /// A wait for map registers, which a device object has room for.
    struct WAIT_CONTEXT_BLOCK: 0x48 {
        0x00 WaitQueueEntry: KDEVICE_QUEUE_ENTRY,
        0x18 DeviceRoutine: PVOID,
        0x20 DeviceContext: PVOID,
        0x28 NumberOfMapRegisters: u32,
        0x30 DeviceObject: PVOID,
        0x38 CurrentIrp: PVOID,
        0x40 BufferChainingDpc: *mut KDPC,
    }
    /// A device's place in a queue, or its wait.
    union DEVICE_OBJECT_QUEUE: 0x48 {
        0x00 ListEntry: LIST_ENTRY,
        0x00 Wcb: WAIT_CONTEXT_BLOCK,
    }
    /// A device. Aligned to 16, which its size shows.
    #[repr(align(16))]
    struct DEVICE_OBJECT: 0x150 {
        0x00 Type: i16,
        0x02 Size: u16,
        0x04 ReferenceCount: i32,
        0x08 DriverObject: *mut DRIVER_OBJECT,
        0x10 NextDevice: *mut DEVICE_OBJECT,
        0x18 AttachedDevice: *mut DEVICE_OBJECT,
        0x20 CurrentIrp: *mut IRP,
        0x28 Timer: *mut IO_TIMER,
        0x30 Flags: u32,
        0x34 Characteristics: u32,
        0x38 Vpb: *mut VPB,
        0x40 DeviceExtension: PVOID,
        0x48 DeviceType: u32,
        0x4C StackSize: i8,
        0x50 Queue: DEVICE_OBJECT_QUEUE,
        0x98 AlignmentRequirement: u32,
        0xA0 DeviceQueue: KDEVICE_QUEUE,
        0xC8 Dpc: KDPC,
        0x108 ActiveThreadCount: u32,
        0x110 SecurityDescriptor: *mut SECURITY_DESCRIPTOR,
        0x118 DeviceLock: KEVENT,
        0x130 SectorSize: u16,
        0x132 Spare1: u16,
        0x138 DeviceObjectExtension: *mut DEVOBJ_EXTENSION,
        0x140 Reserved: PVOID,
    }
    /// The part of a device object that is not in its older form.
    struct DEVOBJ_EXTENSION: 0x70 {
        0x00 Type: i16,
        0x02 Size: u16,
        0x08 DeviceObject: *mut DEVICE_OBJECT,
        0x10 PowerFlags: u32,
        0x18 Dope: PVOID,
        0x20 ExtensionFlags: u32,
        0x28 DeviceNode: PVOID,
        0x30 AttachedTo: *mut DEVICE_OBJECT,
        0x38 StartIoCount: i32,
        0x3C StartIoKey: i32,
        0x40 StartIoFlags: u32,
        0x48 Vpb: *mut VPB,
        0x50 DependencyNode: PVOID,
        0x58 InterruptContext: PVOID,
        0x60 InterruptCount: i32,
        0x68 VerifierContext: PVOID,
    }
    /// The mount state of a volume.
    struct VPB: 0x60 {
        0x00 Type: i16,
        0x02 Size: i16,
        0x04 Flags: u16,
        0x06 VolumeLabelLength: u16,
        0x08 DeviceObject: *mut DEVICE_OBJECT,
        0x10 RealDevice: *mut DEVICE_OBJECT,
        0x18 SerialNumber: u32,
        0x1C ReferenceCount: u32,
        0x20 VolumeLabel: [u16; 32],
    }
    /// How a request ended. `Status` shares its eight bytes with a pointer.
    struct IO_STATUS_BLOCK: 0x10 {
        0x00 Status: NTSTATUS,
        0x08 Information: usize,
    }
    /// `IRP::AssociatedIrp`.
    union IRP_ASSOCIATED: 0x08 {
        0x00 MasterIrp: *mut IRP,
        0x00 IrpCount: i32,
        0x00 SystemBuffer: PVOID,
    }
    /// The asynchronous half of `IRP::Overlay`.
    struct IRP_ASYNCHRONOUS_PARAMETERS: 0x10 {
        0x00 UserApcRoutine: PIO_APC_ROUTINE,
        0x08 UserApcContext: PVOID,
    }
    /// `IRP::Overlay`.
    union IRP_OVERLAY: 0x10 {
        0x00 AsynchronousParameters: IRP_ASYNCHRONOUS_PARAMETERS,
        0x00 AllocationSize: LARGE_INTEGER,
    }
    /// `IRP::Tail` while drivers own the request.
    struct IRP_TAIL_OVERLAY: 0x50 {
        /// Also a [`KDEVICE_QUEUE_ENTRY`] in its first 0x18 bytes.
        0x00 DriverContext: [PVOID; 4],
        0x20 Thread: PETHREAD,
        0x28 AuxiliaryBuffer: *mut u8,
        0x30 ListEntry: LIST_ENTRY,
        0x40 CurrentStackLocation: *mut IO_STACK_LOCATION,
        0x48 OriginalFileObject: *mut FILE_OBJECT,
    }
    /// `IRP::Tail`.
    union IRP_TAIL: 0x58 {
        0x00 Overlay: IRP_TAIL_OVERLAY,
        0x00 Apc: crate::KAPC,
        0x00 CompletionKey: PVOID,
    }
    /// A request, followed in memory by its stack locations.
    #[repr(align(16))]
    struct IRP: 0xD0 {
        0x00 Type: i16,
        0x02 Size: u16,
        0x04 AllocationProcessorNumber: u16,
        0x06 Reserved: u16,
        0x08 MdlAddress: *mut MDL,
        0x10 Flags: u32,
        0x18 AssociatedIrp: IRP_ASSOCIATED,
        0x20 ThreadListEntry: LIST_ENTRY,
        0x30 IoStatus: IO_STATUS_BLOCK,
        0x40 RequestorMode: KPROCESSOR_MODE,
        0x41 PendingReturned: BOOLEAN,
        0x42 StackCount: i8,
        0x43 CurrentLocation: i8,
        0x44 Cancel: BOOLEAN,
        0x45 CancelIrql: KIRQL,
        0x46 ApcEnvironment: i8,
        0x47 AllocationFlags: u8,
        0x48 UserIosb: *mut IO_STATUS_BLOCK,
        0x50 UserEvent: *mut KEVENT,
        0x58 Overlay: IRP_OVERLAY,
        0x68 CancelRoutine: PDRIVER_CANCEL,
        0x70 UserBuffer: PVOID,
        0x78 Tail: IRP_TAIL,
    }
    /// `Parameters.Create`.
    struct IO_PARAMETERS_CREATE: 0x20 {
        0x00 SecurityContext: PVOID,
        /// Disposition in the top byte, options below.
        0x08 Options: u32,
        0x0C Pad0C: u32,
        0x10 FileAttributes: u16,
        0x12 ShareAccess: u16,
        0x14 Pad14: u32,
        0x18 EaLength: u32,
        0x1C Pad1C: u32,
    }
    /// `Parameters.Read` and `Parameters.Write`.
    struct IO_PARAMETERS_READ_WRITE: 0x18 {
        0x00 Length: u32,
        0x04 Pad04: u32,
        0x08 Key: u32,
        0x0C Flags: u32,
        0x10 ByteOffset: LARGE_INTEGER,
    }
    /// `Parameters.DeviceIoControl` and `Parameters.FileSystemControl`.
    struct IO_PARAMETERS_DEVICE_CONTROL: 0x20 {
        0x00 OutputBufferLength: u32,
        0x04 Pad04: u32,
        0x08 InputBufferLength: u32,
        0x0C Pad0C: u32,
        0x10 IoControlCode: u32,
        0x18 Type3InputBuffer: PVOID,
    }
    /// `Parameters.QueryFile` and `Parameters.QueryVolume`.
    struct IO_PARAMETERS_QUERY: 0x10 {
        0x00 Length: u32,
        0x04 Pad04: u32,
        0x08 InformationClass: u32,
        0x0C Pad0C: u32,
    }
    /// `Parameters.SetFile`.
    struct IO_PARAMETERS_SET_FILE: 0x20 {
        0x00 Length: u32,
        0x04 Pad04: u32,
        0x08 FileInformationClass: u32,
        0x10 FileObject: *mut FILE_OBJECT,
        0x18 DeleteHandle: HANDLE,
    }
    /// `Parameters.QuerySecurity` and `Parameters.SetSecurity`.
    struct IO_PARAMETERS_SECURITY: 0x10 {
        0x00 SecurityInformation: u32,
        0x08 SecurityDescriptor: usize,
    }
    /// `Parameters.Power`.
    struct IO_PARAMETERS_POWER: 0x20 {
        0x00 SystemContext: u32,
        0x04 Pad04: u32,
        0x08 Type: u32,
        0x0C Pad0C: u32,
        0x10 State: u32,
        0x14 Pad14: u32,
        0x18 ShutdownType: u32,
        0x1C Pad1C: u32,
    }
    /// `IO_STACK_LOCATION::Parameters`.
    union IO_STACK_PARAMETERS: 0x20 {
        0x00 Create: IO_PARAMETERS_CREATE,
        0x00 Read: IO_PARAMETERS_READ_WRITE,
        0x00 Write: IO_PARAMETERS_READ_WRITE,
        0x00 DeviceIoControl: IO_PARAMETERS_DEVICE_CONTROL,
        0x00 FileSystemControl: IO_PARAMETERS_DEVICE_CONTROL,
        0x00 QueryFile: IO_PARAMETERS_QUERY,
        0x00 QueryVolume: IO_PARAMETERS_QUERY,
        0x00 SetFile: IO_PARAMETERS_SET_FILE,
        0x00 Security: IO_PARAMETERS_SECURITY,
        0x00 Power: IO_PARAMETERS_POWER,
        0x00 Others: [PVOID; 4],
    }
    /// What one driver of a stack is asked.
    struct IO_STACK_LOCATION: 0x48 {
        0x00 MajorFunction: u8,
        0x01 MinorFunction: u8,
        0x02 Flags: u8,
        0x03 Control: u8,
        0x08 Parameters: IO_STACK_PARAMETERS,
        0x28 DeviceObject: *mut DEVICE_OBJECT,
        0x30 FileObject: *mut FILE_OBJECT,
        0x38 CompletionRoutine: PIO_COMPLETION_ROUTINE,
        0x40 Context: PVOID,
    }
    /// Describes memory; the page numbers follow.
    struct MDL: 0x30 {
        0x00 Next: *mut MDL,
        0x08 Size: i16,
        0x0A MdlFlags: i16,
        0x0C AllocationProcessorNumber: u16,
        0x0E Reserved: u16,
        0x10 Process: PVOID,
        0x18 MappedSystemVa: PVOID,
        0x20 StartVa: PVOID,
        0x28 ByteCount: u32,
        0x2C ByteOffset: u32,
    }
    /// A cancel-safe queue of requests. The routines are the driver's.
    struct IO_CSQ: 0x40 {
        0x00 Type: u32,
        0x08 CsqInsertIrp: usize,
        0x10 CsqRemoveIrp: usize,
        0x18 CsqPeekNextIrp: usize,
        0x20 CsqAcquireLock: usize,
        0x28 CsqReleaseLock: usize,
        0x30 CsqCompleteCanceledIrp: usize,
        0x38 ReservePointer: PVOID,
    }
    /// A request's place in a cancel-safe queue.
    struct IO_CSQ_IRP_CONTEXT: 0x18 {
        0x00 Type: u32,
        0x08 Irp: *mut IRP,
        0x10 Csq: *mut IO_CSQ,
    }
    /// Remove lock of Plug and Play drivers; the checked build's form is larger.
    struct IO_REMOVE_LOCK: 0x20 {
        0x00 Removed: BOOLEAN,
        0x01 Reserved: [BOOLEAN; 3],
        0x04 IoCount: i32,
        0x08 RemoveEvent: KEVENT,
    }
}

/// The APC routine of a native I/O call: context, status block, reserved.
pub type PIO_APC_ROUTINE = Option<unsafe extern "win64" fn(PVOID, *mut IO_STATUS_BLOCK, u32)>;

nt_consts! { "`Type` of I/O objects", i16;
    IO_TYPE_DEVICE = 3,
    IO_TYPE_DRIVER = 4,
    IO_TYPE_FILE = 5,
    IO_TYPE_IRP = 6,
    IO_TYPE_VPB = 10,
    IO_TYPE_DEVICE_OBJECT_EXTENSION = 13,
}

nt_consts! { "`Type` of [`IO_CSQ`] and [`IO_CSQ_IRP_CONTEXT`]", u32;
    IO_TYPE_CSQ_IRP_CONTEXT = 1,
    IO_TYPE_CSQ = 2,
    IO_TYPE_CSQ_EX = 3,
}

nt_consts! { "Major function", u8, fn irp_mj_name;
    IRP_MJ_CREATE = 0x00,
    IRP_MJ_CREATE_NAMED_PIPE = 0x01,
    IRP_MJ_CLOSE = 0x02,
    IRP_MJ_READ = 0x03,
    IRP_MJ_WRITE = 0x04,
    IRP_MJ_QUERY_INFORMATION = 0x05,
    IRP_MJ_SET_INFORMATION = 0x06,
    IRP_MJ_QUERY_EA = 0x07,
    IRP_MJ_SET_EA = 0x08,
    IRP_MJ_FLUSH_BUFFERS = 0x09,
    IRP_MJ_QUERY_VOLUME_INFORMATION = 0x0A,
    IRP_MJ_SET_VOLUME_INFORMATION = 0x0B,
    IRP_MJ_DIRECTORY_CONTROL = 0x0C,
    IRP_MJ_FILE_SYSTEM_CONTROL = 0x0D,
    IRP_MJ_DEVICE_CONTROL = 0x0E,
    IRP_MJ_INTERNAL_DEVICE_CONTROL = 0x0F,
    IRP_MJ_SHUTDOWN = 0x10,
    IRP_MJ_LOCK_CONTROL = 0x11,
    IRP_MJ_CLEANUP = 0x12,
    IRP_MJ_CREATE_MAILSLOT = 0x13,
    IRP_MJ_QUERY_SECURITY = 0x14,
    IRP_MJ_SET_SECURITY = 0x15,
    IRP_MJ_POWER = 0x16,
    IRP_MJ_SYSTEM_CONTROL = 0x17,
    IRP_MJ_DEVICE_CHANGE = 0x18,
    IRP_MJ_QUERY_QUOTA = 0x19,
    IRP_MJ_SET_QUOTA = 0x1A,
    IRP_MJ_PNP = 0x1B,
}
/// Highest major function; [`DRIVER_OBJECT::MajorFunction`] has one entry more.
pub const IRP_MJ_MAXIMUM_FUNCTION: u8 = 0x1B;

nt_consts! { "Minor function of `IRP_MJ_POWER`", u8;
    IRP_MN_WAIT_WAKE = 0x00,
    IRP_MN_POWER_SEQUENCE = 0x01,
    IRP_MN_SET_POWER = 0x02,
    IRP_MN_QUERY_POWER = 0x03,
}

nt_consts! { "`POWER_STATE_TYPE`", u32;
    SystemPowerState = 0,
    DevicePowerState = 1,
}

nt_consts! { "`SYSTEM_POWER_STATE`", u32;
    PowerSystemWorking = 1,
    PowerSystemSleeping1 = 2,
    PowerSystemSleeping2 = 3,
    PowerSystemSleeping3 = 4,
    PowerSystemHibernate = 5,
    PowerSystemShutdown = 6,
}

nt_consts! { "`DEVICE_POWER_STATE`", u32;
    PowerDeviceD0 = 1,
    PowerDeviceD1 = 2,
    PowerDeviceD2 = 3,
    PowerDeviceD3 = 4,
}

nt_consts! { "`POWER_ACTION`", u32;
    PowerActionNone = 0,
    PowerActionReserved = 1,
    PowerActionSleep = 2,
    PowerActionHibernate = 3,
    PowerActionShutdown = 4,
    PowerActionShutdownReset = 5,
    PowerActionShutdownOff = 6,
    PowerActionWarmEject = 7,
}

nt_consts! { "`DEVICE_OBJECT::Flags`", u32;
    DO_VERIFY_VOLUME = 0x2,
    DO_BUFFERED_IO = 0x4,
    DO_EXCLUSIVE = 0x8,
    DO_DIRECT_IO = 0x10,
    DO_MAP_IO_BUFFER = 0x20,
    DO_DEVICE_HAS_NAME = 0x40,
    DO_DEVICE_INITIALIZING = 0x80,
    DO_SYSTEM_BOOT_PARTITION = 0x100,
    DO_LONG_TERM_REQUESTS = 0x200,
    DO_NEVER_LAST_DEVICE = 0x400,
    DO_SHUTDOWN_REGISTERED = 0x800,
    DO_BUS_ENUMERATED_DEVICE = 0x1000,
    DO_POWER_PAGABLE = 0x2000,
    DO_POWER_INRUSH = 0x4000,
    DO_LOW_PRIORITY_FILESYSTEM = 0x1_0000,
}

nt_consts! { "`DRIVER_OBJECT::Flags`", u32;
    DRVO_UNLOAD_INVOKED = 0x1,
    DRVO_LEGACY_DRIVER = 0x2,
    DRVO_BUILTIN_DRIVER = 0x4,
    DRVO_REINIT_REGISTERED = 0x8,
    DRVO_INITIALIZED = 0x10,
    DRVO_BOOTREINIT_REGISTERED = 0x20,
    DRVO_LEGACY_RESOURCES = 0x40,
}

nt_consts! { "`IO_STACK_LOCATION::Control`", u8;
    SL_PENDING_RETURNED = 0x01,
    SL_ERROR_RETURNED = 0x02,
    SL_INVOKE_ON_CANCEL = 0x20,
    SL_INVOKE_ON_SUCCESS = 0x40,
    SL_INVOKE_ON_ERROR = 0x80,
}

nt_consts! { "Device characteristics", u32;
    FILE_REMOVABLE_MEDIA = 0x1,
    FILE_READ_ONLY_DEVICE = 0x2,
    FILE_FLOPPY_DISKETTE = 0x4,
    FILE_REMOTE_DEVICE = 0x10,
    FILE_DEVICE_IS_MOUNTED = 0x20,
    FILE_VIRTUAL_VOLUME = 0x40,
    FILE_AUTOGENERATED_DEVICE_NAME = 0x80,
    FILE_DEVICE_SECURE_OPEN = 0x100,
}

nt_consts! { "Device type", u32;
    FILE_DEVICE_DISK = 0x07,
    FILE_DEVICE_DISK_FILE_SYSTEM = 0x08,
    FILE_DEVICE_FILE_SYSTEM = 0x09,
    FILE_DEVICE_NAMED_PIPE = 0x11,
    FILE_DEVICE_NETWORK = 0x12,
    FILE_DEVICE_NETWORK_FILE_SYSTEM = 0x14,
    FILE_DEVICE_NULL = 0x15,
    FILE_DEVICE_UNKNOWN = 0x22,
    FILE_DEVICE_VIRTUAL_DISK = 0x24,
    FILE_DEVICE_KS = 0x2F,
    FILE_DEVICE_KSEC = 0x39,
}

nt_consts! { "Transfer method, bits 1-0 of a control code", u32;
    METHOD_BUFFERED = 0,
    METHOD_IN_DIRECT = 1,
    METHOD_OUT_DIRECT = 2,
    METHOD_NEITHER = 3,
}

nt_consts! { "Access, bits 15-14 of a control code", u32;
    FILE_ANY_ACCESS = 0,
    FILE_READ_ACCESS = 1,
    FILE_WRITE_ACCESS = 2,
}

/// `CTL_CODE`: makes a control code.
pub const fn ctl_code(device_type: u32, function: u32, method: u32, access: u32) -> u32 {
    device_type << 16 | access << 14 | function << 2 | method
}

nt_consts! { "`MDL::MdlFlags`", i16;
    MDL_MAPPED_TO_SYSTEM_VA = 0x1,
    MDL_PAGES_LOCKED = 0x2,
    MDL_SOURCE_IS_NONPAGED_POOL = 0x4,
    MDL_ALLOCATED_FIXED_SIZE = 0x8,
    MDL_PARTIAL = 0x10,
    MDL_PARTIAL_HAS_BEEN_MAPPED = 0x20,
    MDL_IO_PAGE_READ = 0x40,
    MDL_WRITE_OPERATION = 0x80,
    MDL_LOCKED_PAGE_TABLES = 0x100,
    MDL_IO_SPACE = 0x800,
    MDL_MAPPING_CAN_FAIL = 0x2000,
}

nt_consts! { "Priority boost of a completed request", i8;
    IO_NO_INCREMENT = 0,
    EVENT_INCREMENT = 1,
}

nt_consts! { "`LOCK_OPERATION` of `MmProbeAndLockPages`", u32;
    IoReadAccess = 0,
    IoWriteAccess = 1,
    IoModifyAccess = 2,
}
