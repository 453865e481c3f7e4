//! Processes, threads and their notifications.

use crate::types::{HANDLE, PVOID};
use crate::{FILE_OBJECT, LIST_ENTRY, NTSTATUS, UNICODE_STRING};

/// A process, of which drivers know the address only.
pub type PEPROCESS = PVOID;
/// A thread, of which drivers know the address only.
pub type PETHREAD = PVOID;

nt_struct! {
    /// Ids of a process and one of its threads.
    struct CLIENT_ID: 0x10 {
        0x00 UniqueProcess: HANDLE,
        0x08 UniqueThread: HANDLE,
    }
    /// What an Ex process routine is told of a creation; it may set `CreationStatus` (SEMANTICS B.2).
    struct PS_CREATE_NOTIFY_INFO: 0x48 {
        /// Bytes of this structure.
        0x00 Size: usize,
        /// Bit 0 `FileOpenNameAvailable`, bit 1 `IsSubsystemProcess`.
        0x08 Flags: u32,
        0x10 ParentProcessId: HANDLE,
        0x18 CreatingThreadId: CLIENT_ID,
        0x28 FileObject: *mut FILE_OBJECT,
        0x30 ImageFileName: *const UNICODE_STRING,
        /// May be null.
        0x38 CommandLine: *const UNICODE_STRING,
        0x40 CreationStatus: NTSTATUS,
    }
    /// What an image routine is told of an image (SEMANTICS B.4).
    struct IMAGE_INFO: 0x28 {
        /// The `IMAGE_PROPERTIES_…` bits.
        0x00 Properties: u32,
        0x08 ImageBase: PVOID,
        0x10 ImageSelector: u32,
        0x18 ImageSize: usize,
        0x20 ImageSectionNumber: u32,
    }
    /// What [`IMAGE_INFO`] is part of when bit [`IMAGE_PROPERTIES_EXTENDED_INFO_PRESENT`] is set.
    struct IMAGE_INFO_EX: 0x38 {
        /// Bytes of this structure.
        0x00 Size: usize,
        0x08 ImageInfo: IMAGE_INFO,
        0x30 FileObject: *mut FILE_OBJECT,
    }
    /// `ProcessBasicInformation`.
    struct PROCESS_BASIC_INFORMATION: 0x30 {
        0x00 ExitStatus: NTSTATUS,
        0x08 PebBaseAddress: PVOID,
        0x10 AffinityMask: usize,
        0x18 BasePriority: i32,
        0x20 UniqueProcessId: usize,
        0x28 InheritedFromUniqueProcessId: usize,
    }
    /// `ThreadBasicInformation`.
    struct THREAD_BASIC_INFORMATION: 0x30 {
        0x00 ExitStatus: NTSTATUS,
        0x08 TebBaseAddress: PVOID,
        0x10 ClientId: CLIENT_ID,
        0x20 AffinityMask: usize,
        0x28 Priority: i32,
        0x2C BasePriority: i32,
    }
    /// `ProcessTimes` and `ThreadTimes`, in 100 ns.
    struct KERNEL_USER_TIMES: 0x20 {
        0x00 CreateTime: i64,
        0x08 ExitTime: i64,
        0x10 KernelTime: i64,
        0x18 UserTime: i64,
    }
    /// Version as `RtlGetVersion` gives it.
    struct OSVERSIONINFOW: 0x114 {
        0x00 dwOSVersionInfoSize: u32,
        0x04 dwMajorVersion: u32,
        0x08 dwMinorVersion: u32,
        0x0C dwBuildNumber: u32,
        0x10 dwPlatformId: u32,
        0x14 szCSDVersion: [u16; 128],
    }
    /// Version with service pack and product.
    struct OSVERSIONINFOEXW: 0x11C {
        0x00 dwOSVersionInfoSize: u32,
        0x04 dwMajorVersion: u32,
        0x08 dwMinorVersion: u32,
        0x0C dwBuildNumber: u32,
        0x10 dwPlatformId: u32,
        0x14 szCSDVersion: [u16; 128],
        0x114 wServicePackMajor: u16,
        0x116 wServicePackMinor: u16,
        0x118 wSuiteMask: u16,
        0x11A wProductType: u8,
        0x11B wReserved: u8,
    }
    /// What a thread's environment block begins with.
    struct NT_TIB: 0x38 {
        0x00 ExceptionList: PVOID,
        0x08 StackBase: PVOID,
        0x10 StackLimit: PVOID,
        0x18 SubSystemTib: PVOID,
        0x20 FiberData: PVOID,
        0x28 ArbitraryUserPointer: PVOID,
        /// The block itself.
        0x30 Self_: *mut NT_TIB,
    }
    /// The head of a thread's environment block, to the parts that are read most.
    struct TEB: 0x70 {
        0x00 NtTib: NT_TIB,
        0x38 EnvironmentPointer: PVOID,
        0x40 ClientId: CLIENT_ID,
        0x50 ActiveRpcHandle: PVOID,
        0x58 ThreadLocalStoragePointer: PVOID,
        0x60 ProcessEnvironmentBlock: *mut PEB,
        0x68 LastErrorValue: u32,
        0x6C CountOfOwnedCriticalSections: u32,
    }
    /// The public head of a process's environment block.
    struct PEB: 0x28 {
        0x00 InheritedAddressSpace: u8,
        0x01 ReadImageFileExecOptions: u8,
        0x02 BeingDebugged: u8,
        0x03 BitField: u8,
        0x08 Mutant: HANDLE,
        0x10 ImageBaseAddress: PVOID,
        0x18 Ldr: *mut PEB_LDR_DATA,
        0x20 ProcessParameters: *mut RTL_USER_PROCESS_PARAMETERS,
    }
    /// The loader's lists of a process.
    struct PEB_LDR_DATA: 0x40 {
        0x00 Length: u32,
        0x04 Initialized: u8,
        0x08 SsHandle: HANDLE,
        0x10 InLoadOrderModuleList: LIST_ENTRY,
        0x20 InMemoryOrderModuleList: LIST_ENTRY,
        0x30 InInitializationOrderModuleList: LIST_ENTRY,
    }
    /// A module in the loader's lists of a process (`PEB_LDR_DATA`).
    struct LDR_DATA_TABLE_ENTRY: 0x70 {
        0x00 InLoadOrderLinks: LIST_ENTRY,
        0x10 InMemoryOrderLinks: LIST_ENTRY,
        0x20 InInitializationOrderLinks: LIST_ENTRY,
        0x30 DllBase: PVOID,
        0x38 EntryPoint: PVOID,
        0x40 SizeOfImage: u32,
        0x48 FullDllName: UNICODE_STRING,
        0x58 BaseDllName: UNICODE_STRING,
        0x68 Flags: u32,
        0x6C LoadCount: u16,
        0x6E TlsIndex: u16,
    }
    /// A module in `PsLoadedModuleList`: what `DRIVER_OBJECT::DriverSection` points to. In no header of the WDK; drivers
    /// that declare it themselves agree on these offsets.
    struct KLDR_DATA_TABLE_ENTRY: 0xA0 {
        0x00 InLoadOrderLinks: LIST_ENTRY,
        /// The function table of the image.
        0x10 ExceptionTable: PVOID,
        /// Its bytes.
        0x18 ExceptionTableSize: u32,
        0x20 GpValue: PVOID,
        0x28 NonPagedDebugInfo: PVOID,
        0x30 DllBase: PVOID,
        0x38 EntryPoint: PVOID,
        0x40 SizeOfImage: u32,
        0x48 FullDllName: UNICODE_STRING,
        0x58 BaseDllName: UNICODE_STRING,
        /// [`LDRP_IMAGE_INTEGRITY_FORCED`] and others.
        0x68 Flags: u32,
        0x6C LoadCount: u16,
        /// Signing level and type, since Windows 8.1.
        0x6E Signature: u16,
        0x70 SectionPointer: PVOID,
        0x78 CheckSum: u32,
        0x7C CoverageSectionSize: u32,
        0x80 CoverageSection: PVOID,
        0x88 LoadedImports: PVOID,
        0x90 Spare: PVOID,
        0x98 SizeOfImageNotRounded: u32,
        0x9C TimeDateStamp: u32,
    }
    /// What a process was started with, to the part that is read most.
    struct RTL_USER_PROCESS_PARAMETERS: 0x88 {
        0x00 MaximumLength: u32,
        0x04 Length: u32,
        0x08 Flags: u32,
        0x0C DebugFlags: u32,
        0x10 ConsoleHandle: HANDLE,
        0x18 ConsoleFlags: u32,
        0x20 StandardInput: HANDLE,
        0x28 StandardOutput: HANDLE,
        0x30 StandardError: HANDLE,
        0x38 CurrentDirectory: UNICODE_STRING,
        0x48 CurrentDirectoryHandle: HANDLE,
        0x50 DllPath: UNICODE_STRING,
        0x60 ImagePathName: UNICODE_STRING,
        0x70 CommandLine: UNICODE_STRING,
        0x80 Environment: PVOID,
    }
}

nt_consts! { "Bit of `KLDR_DATA_TABLE_ENTRY::Flags`", u32;
    /// The image asks for its integrity to be checked (R-INT-02).
    LDRP_IMAGE_INTEGRITY_FORCED = 0x20,
}

nt_consts! { "Bit of `PS_CREATE_NOTIFY_INFO::Flags`", u32;
    PS_CREATE_NOTIFY_FILE_OPEN_NAME_AVAILABLE = 0x1,
    PS_CREATE_NOTIFY_IS_SUBSYSTEM_PROCESS = 0x2,
}

nt_consts! { "Bit of `IMAGE_INFO::Properties`", u32;
    /// The low byte is the addressing mode, always [`IMAGE_ADDRESSING_MODE_32BIT`].
    IMAGE_PROPERTIES_ADDRESSING_MODE_MASK = 0xFF,
    IMAGE_PROPERTIES_SYSTEM_MODE_IMAGE = 0x100,
    IMAGE_PROPERTIES_MAPPED_TO_ALL_PIDS = 0x200,
    IMAGE_PROPERTIES_EXTENDED_INFO_PRESENT = 0x400,
    IMAGE_PROPERTIES_MACHINE_TYPE_MISMATCH = 0x800,
    /// `SE_SIGNING_LEVEL`, four bits.
    IMAGE_PROPERTIES_SIGNATURE_LEVEL_MASK = 0xF000,
    /// `SE_IMAGE_SIGNATURE_TYPE`, three bits.
    IMAGE_PROPERTIES_SIGNATURE_TYPE_MASK = 0x7_0000,
    IMAGE_PROPERTIES_PARTIAL_MAP = 0x8_0000,
}

nt_consts! { "Position in `IMAGE_INFO::Properties`", u32;
    IMAGE_PROPERTIES_SIGNATURE_LEVEL_SHIFT = 12,
    IMAGE_PROPERTIES_SIGNATURE_TYPE_SHIFT = 16,
}

/// The addressing mode in every [`IMAGE_INFO`], of 64-bit images too.
pub const IMAGE_ADDRESSING_MODE_32BIT: u32 = 3;
/// The one flag of `PsSetLoadImageNotifyRoutineEx` (R-REG-02).
pub const PS_IMAGE_NOTIFY_CONFLICTING_ARCHITECTURE: usize = 1;

/// `PSCREATEPROCESSNOTIFYTYPE` of `PsSetCreateProcessNotifyRoutineEx2`.
pub type PSCREATEPROCESSNOTIFYTYPE = u32;
nt_consts! { "`PSCREATEPROCESSNOTIFYTYPE` (R-REG-02)", PSCREATEPROCESSNOTIFYTYPE;
    PsCreateProcessNotifySubsystems = 0,
}

/// `PSCREATETHREADNOTIFYTYPE` of `PsSetCreateThreadNotifyRoutineEx`.
pub type PSCREATETHREADNOTIFYTYPE = u32;
nt_consts! { "`PSCREATETHREADNOTIFYTYPE` (R-REG-02)", PSCREATETHREADNOTIFYTYPE;
    PsCreateThreadNotifyNonSystem = 0,
    PsCreateThreadNotifySubsystems = 1,
}

/// Kind of process, where it is not an ordinary one.
pub type SUBSYSTEM_INFORMATION_TYPE = u32;
nt_consts! { "Subsystem of a process (`SUBSYSTEM_INFORMATION_TYPE`)", SUBSYSTEM_INFORMATION_TYPE;
    SubsystemInformationTypeWin32 = 0,
    SubsystemInformationTypeWSL = 1,
}

/// Legacy process routine: parent id, process id, whether it is a creation.
pub type PCREATE_PROCESS_NOTIFY_ROUTINE = Option<unsafe extern "win64" fn(HANDLE, HANDLE, u8)>;
/// Ex and Ex2 process routine: process, its id, and on creation (not null) the details.
pub type PCREATE_PROCESS_NOTIFY_ROUTINE_EX =
    Option<unsafe extern "win64" fn(PEPROCESS, HANDLE, *mut PS_CREATE_NOTIFY_INFO)>;
/// Thread routine: process id, thread id, whether it is a creation.
pub type PCREATE_THREAD_NOTIFY_ROUTINE = Option<unsafe extern "win64" fn(HANDLE, HANDLE, u8)>;
/// Image routine: name (may be null), process id (0 for a driver), details.
pub type PLOAD_IMAGE_NOTIFY_ROUTINE =
    Option<unsafe extern "win64" fn(*const UNICODE_STRING, HANDLE, *mut IMAGE_INFO)>;

nt_consts! { "`PROCESSINFOCLASS`", u32, fn process_info_class_name;
    ProcessBasicInformation = 0,
    ProcessTimes = 4,
    ProcessDebugPort = 7,
    ProcessPriorityClass = 18,
    ProcessHandleCount = 20,
    ProcessSessionInformation = 24,
    ProcessWow64Information = 26,
    ProcessImageFileName = 27,
    ProcessBreakOnTermination = 29,
    ProcessDebugObjectHandle = 30,
    ProcessDebugFlags = 31,
    ProcessExecuteFlags = 34,
    ProcessCookie = 36,
    ProcessImageInformation = 37,
    ProcessInstrumentationCallback = 40,
    ProcessImageFileNameWin32 = 43,
    ProcessImageFileMapping = 44,
    ProcessMitigationPolicy = 52,
    ProcessCommandLineInformation = 60,
    ProcessProtectionInformation = 61,
    ProcessSubsystemProcess = 68,
    ProcessSubsystemInformation = 75,
}

nt_consts! { "`THREADINFOCLASS`", u32, fn thread_info_class_name;
    ThreadBasicInformation = 0,
    ThreadTimes = 1,
    ThreadPriority = 2,
    ThreadBasePriority = 3,
    ThreadImpersonationToken = 5,
    ThreadQuerySetWin32StartAddress = 9,
    ThreadZeroTlsCell = 10,
    ThreadAmILastThread = 12,
    ThreadIsIoPending = 16,
    ThreadHideFromDebugger = 17,
    ThreadBreakOnTermination = 18,
    ThreadIsTerminated = 20,
    ThreadNameInformation = 38,
    ThreadSubsystemInformation = 45,
}

nt_consts! { "Right to a process", u32;
    PROCESS_TERMINATE = 0x0001,
    PROCESS_CREATE_THREAD = 0x0002,
    PROCESS_VM_OPERATION = 0x0008,
    PROCESS_VM_READ = 0x0010,
    PROCESS_VM_WRITE = 0x0020,
    PROCESS_DUP_HANDLE = 0x0040,
    PROCESS_CREATE_PROCESS = 0x0080,
    PROCESS_SET_QUOTA = 0x0100,
    PROCESS_SET_INFORMATION = 0x0200,
    PROCESS_QUERY_INFORMATION = 0x0400,
    PROCESS_SUSPEND_RESUME = 0x0800,
    PROCESS_QUERY_LIMITED_INFORMATION = 0x1000,
    PROCESS_ALL_ACCESS = 0x1F_FFFF,
}

nt_consts! { "Right to a thread", u32;
    THREAD_TERMINATE = 0x0001,
    THREAD_SUSPEND_RESUME = 0x0002,
    THREAD_GET_CONTEXT = 0x0008,
    THREAD_SET_CONTEXT = 0x0010,
    THREAD_SET_INFORMATION = 0x0020,
    THREAD_QUERY_INFORMATION = 0x0040,
    THREAD_SET_THREAD_TOKEN = 0x0080,
    THREAD_IMPERSONATE = 0x0100,
    THREAD_DIRECT_IMPERSONATION = 0x0200,
    THREAD_QUERY_LIMITED_INFORMATION = 0x0800,
    THREAD_ALL_ACCESS = 0x1F_FFFF,
}

nt_consts! { "Version information", u32;
    VER_PLATFORM_WIN32_NT = 2,
    VER_NT_WORKSTATION = 1,
    VER_NT_DOMAIN_CONTROLLER = 2,
    VER_NT_SERVER = 3,
}
