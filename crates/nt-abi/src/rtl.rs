//! The run-time library's tables and times, system information, event tracing.

use crate::types::{HANDLE, LARGE_INTEGER, PVOID};
use crate::{GUID, LIST_ENTRY, UNICODE_STRING};

nt_struct! {
    /// A node of a splay tree.
    struct RTL_SPLAY_LINKS: 0x18 {
        /// Itself for the root.
        0x00 Parent: *mut RTL_SPLAY_LINKS,
        0x08 LeftChild: *mut RTL_SPLAY_LINKS,
        0x10 RightChild: *mut RTL_SPLAY_LINKS,
    }
    /// A table over a splay tree.
    struct RTL_GENERIC_TABLE: 0x48 {
        0x00 TableRoot: *mut RTL_SPLAY_LINKS,
        0x08 InsertOrderList: LIST_ENTRY,
        0x18 OrderedPointer: *mut LIST_ENTRY,
        0x20 WhichOrderedElement: u32,
        0x24 NumberGenericTableElements: u32,
        0x28 CompareRoutine: PRTL_GENERIC_COMPARE_ROUTINE,
        0x30 AllocateRoutine: PRTL_GENERIC_ALLOCATE_ROUTINE,
        0x38 FreeRoutine: PRTL_GENERIC_FREE_ROUTINE,
        0x40 TableContext: PVOID,
    }
    /// A node of an AVL tree.
    struct RTL_BALANCED_LINKS: 0x20 {
        0x00 Parent: *mut RTL_BALANCED_LINKS,
        0x08 LeftChild: *mut RTL_BALANCED_LINKS,
        0x10 RightChild: *mut RTL_BALANCED_LINKS,
        0x18 Balance: i8,
        0x19 Reserved: [u8; 3],
    }
    /// A table over an AVL tree.
    struct RTL_AVL_TABLE: 0x68 {
        0x00 BalancedRoot: RTL_BALANCED_LINKS,
        0x20 OrderedPointer: PVOID,
        0x28 WhichOrderedElement: u32,
        0x2C NumberGenericTableElements: u32,
        0x30 DepthOfTree: u32,
        0x38 RestartKey: *mut RTL_BALANCED_LINKS,
        0x40 DeleteCount: u32,
        /// Its tables are `RTL_AVL_TABLE`; the signatures are else those of the splay form.
        0x48 CompareRoutine: PRTL_GENERIC_COMPARE_ROUTINE,
        0x50 AllocateRoutine: PRTL_GENERIC_ALLOCATE_ROUTINE,
        0x58 FreeRoutine: PRTL_GENERIC_FREE_ROUTINE,
        0x60 TableContext: PVOID,
    }
    /// Bits in memory of the caller's.
    struct RTL_BITMAP: 0x10 {
        0x00 SizeOfBitMap: u32,
        0x08 Buffer: *mut u32,
    }
    /// A time taken apart.
    struct TIME_FIELDS: 0x10 {
        0x00 Year: i16,
        /// From 1.
        0x02 Month: i16,
        0x04 Day: i16,
        0x06 Hour: i16,
        0x08 Minute: i16,
        0x0A Second: i16,
        0x0C Milliseconds: i16,
        /// From 0, Sunday.
        0x0E Weekday: i16,
    }
    /// An entry of `SystemProcessInformation`; its threads follow.
    struct SYSTEM_PROCESS_INFORMATION: 0x100 {
        /// 0 for the last.
        0x00 NextEntryOffset: u32,
        0x04 NumberOfThreads: u32,
        0x08 WorkingSetPrivateSize: LARGE_INTEGER,
        0x10 HardFaultCount: u32,
        0x14 NumberOfThreadsHighWatermark: u32,
        0x18 CycleTime: u64,
        0x20 CreateTime: LARGE_INTEGER,
        0x28 UserTime: LARGE_INTEGER,
        0x30 KernelTime: LARGE_INTEGER,
        0x38 ImageName: UNICODE_STRING,
        0x48 BasePriority: i32,
        0x50 UniqueProcessId: HANDLE,
        0x58 InheritedFromUniqueProcessId: HANDLE,
        0x60 HandleCount: u32,
        0x64 SessionId: u32,
        0x68 UniqueProcessKey: usize,
        0x70 PeakVirtualSize: usize,
        0x78 VirtualSize: usize,
        0x80 PageFaultCount: u32,
        0x88 PeakWorkingSetSize: usize,
        0x90 WorkingSetSize: usize,
        0x98 QuotaPeakPagedPoolUsage: usize,
        0xA0 QuotaPagedPoolUsage: usize,
        0xA8 QuotaPeakNonPagedPoolUsage: usize,
        0xB0 QuotaNonPagedPoolUsage: usize,
        0xB8 PagefileUsage: usize,
        0xC0 PeakPagefileUsage: usize,
        0xC8 PrivatePageCount: usize,
        0xD0 ReadOperationCount: LARGE_INTEGER,
        0xD8 WriteOperationCount: LARGE_INTEGER,
        0xE0 OtherOperationCount: LARGE_INTEGER,
        0xE8 ReadTransferCount: LARGE_INTEGER,
        0xF0 WriteTransferCount: LARGE_INTEGER,
        0xF8 OtherTransferCount: LARGE_INTEGER,
    }
    /// A driver in `SystemModuleInformation`.
    struct RTL_PROCESS_MODULE_INFORMATION: 0x128 {
        0x00 Section: HANDLE,
        0x08 MappedBase: PVOID,
        0x10 ImageBase: PVOID,
        0x18 ImageSize: u32,
        0x1C Flags: u32,
        0x20 LoadOrderIndex: u16,
        0x22 InitOrderIndex: u16,
        0x24 LoadCount: u16,
        0x26 OffsetToFileName: u16,
        0x28 FullPathName: [u8; 256],
    }
    /// `SystemModuleInformation`: `NumberOfModules` entries.
    struct RTL_PROCESS_MODULES: 0x130 {
        0x00 NumberOfModules: u32,
        0x08 Modules: [RTL_PROCESS_MODULE_INFORMATION; 1],
    }
    /// `SystemCodeIntegrityInformation`.
    struct SYSTEM_CODEINTEGRITY_INFORMATION: 0x08 {
        0x00 Length: u32,
        0x04 CodeIntegrityOptions: u32,
    }
    /// Which event `EtwWrite` writes.
    struct EVENT_DESCRIPTOR: 0x10 {
        0x00 Id: u16,
        0x02 Version: u8,
        0x03 Channel: u8,
        0x04 Level: u8,
        0x05 Opcode: u8,
        0x06 Task: u16,
        0x08 Keyword: u64,
    }
    /// A piece of an event's data.
    struct EVENT_DATA_DESCRIPTOR: 0x10 {
        0x00 Ptr: u64,
        0x08 Size: u32,
        0x0C Reserved: u32,
    }
}

/// Compares two elements of a table; answers a `RTL_GENERIC_COMPARE_RESULTS`.
pub type PRTL_GENERIC_COMPARE_ROUTINE = Option<unsafe extern "win64" fn(PVOID, PVOID, PVOID) -> u32>;
/// Allocates an element: table, bytes.
pub type PRTL_GENERIC_ALLOCATE_ROUTINE = Option<unsafe extern "win64" fn(PVOID, u32) -> PVOID>;
/// Frees an element: table, memory.
pub type PRTL_GENERIC_FREE_ROUTINE = Option<unsafe extern "win64" fn(PVOID, PVOID)>;
/// Told that tracing was switched: source, on or off, level, keywords any and all, filter, context.
pub type PETWENABLECALLBACK = Option<unsafe extern "win64" fn(*const GUID, u32, u8, u64, u64, PVOID, PVOID)>;
/// An open event provider.
pub type REGHANDLE = u64;

nt_consts! { "`RTL_GENERIC_COMPARE_RESULTS`", u32;
    GenericLessThan = 0,
    GenericGreaterThan = 1,
    GenericEqual = 2,
}

nt_consts! { "`TABLE_SEARCH_RESULT`", u32;
    TableEmptyTree = 0,
    TableFoundNode = 1,
    TableInsertAsLeft = 2,
    TableInsertAsRight = 3,
}

nt_consts! { "`SYSTEM_INFORMATION_CLASS`", u32, fn system_information_class_name;
    SystemBasicInformation = 0,
    SystemPerformanceInformation = 2,
    SystemTimeOfDayInformation = 3,
    SystemProcessInformation = 5,
    SystemProcessorPerformanceInformation = 8,
    SystemModuleInformation = 11,
    SystemHandleInformation = 16,
    SystemKernelDebuggerInformation = 35,
    SystemExtendedHandleInformation = 64,
    SystemModuleInformationEx = 77,
    SystemCodeIntegrityInformation = 103,
}

nt_consts! { "`SYSTEM_CODEINTEGRITY_INFORMATION::CodeIntegrityOptions`", u32;
    CODEINTEGRITY_OPTION_ENABLED = 0x1,
    CODEINTEGRITY_OPTION_TESTSIGN = 0x2,
    CODEINTEGRITY_OPTION_HVCI_KMCI_ENABLED = 0x400,
}

nt_consts! { "Level of `DbgPrintEx`", u32;
    DPFLTR_ERROR_LEVEL = 0,
    DPFLTR_WARNING_LEVEL = 1,
    DPFLTR_TRACE_LEVEL = 2,
    DPFLTR_INFO_LEVEL = 3,
    DPFLTR_MASK = 0x8000_0000,
}

nt_consts! { "Component of `DbgPrintEx`", u32;
    DPFLTR_FLTMGR_ID = 47,
    DPFLTR_IHVDRIVER_ID = 77,
    DPFLTR_DEFAULT_ID = 101,
}
