//! Executive: locks, rundown protection, lookaside lists, work items.

use crate::types::PVOID;
use crate::{KEVENT, KSPIN_LOCK, LIST_ENTRY, SLIST_HEADER};

nt_struct! {
    /// A fast mutex; owning it raises to `APC_LEVEL`.
    struct FAST_MUTEX: 0x38 {
        /// 1 when free.
        0x00 Count: i32,
        0x08 Owner: PVOID,
        0x10 Contention: u32,
        0x18 Event: KEVENT,
        0x30 OldIrql: u32,
    }
    /// A guarded mutex; owning it enters a guarded region. The same structure since Windows 8.
    struct KGUARDED_MUTEX: 0x38 {
        0x00 Count: i32,
        0x08 Owner: PVOID,
        0x10 Contention: u32,
        0x18 Event: KEVENT,
        0x30 OldIrql: u32,
    }
    /// A push lock: pointer-sized, zero when free.
    struct EX_PUSH_LOCK: 0x08 {
        0x00 Value: usize,
    }
    /// Rundown protection: bit 0 is "running down", the rest the count of users (or a waiter's address).
    struct EX_RUNDOWN_REF: 0x08 {
        0x00 Count: usize,
    }
    /// An owner of an [`ERESOURCE`].
    struct OWNER_ENTRY: 0x10 {
        0x00 OwnerThread: usize,
        /// Times owned; in the first entry of a table, the size of the table. Low bits are flags.
        0x08 OwnerCount: u32,
    }
    /// A reader/writer lock.
    struct ERESOURCE: 0x68 {
        0x00 SystemResourcesList: LIST_ENTRY,
        0x10 OwnerTable: *mut OWNER_ENTRY,
        0x18 ActiveCount: i16,
        0x1A Flag: u16,
        0x20 SharedWaiters: PVOID,
        0x28 ExclusiveWaiters: PVOID,
        0x30 OwnerEntry: OWNER_ENTRY,
        0x40 ActiveEntries: u32,
        0x44 ContentionCount: u32,
        0x48 NumberOfSharedWaiters: u32,
        0x4C NumberOfExclusiveWaiters: u32,
        0x50 Reserved2: PVOID,
        0x58 Address: PVOID,
        0x60 SpinLock: KSPIN_LOCK,
    }
    /// A work item that the driver allocates itself.
    struct WORK_QUEUE_ITEM: 0x20 {
        0x00 List: LIST_ENTRY,
        0x10 WorkerRoutine: PWORKER_THREAD_ROUTINE,
        0x18 Parameter: PVOID,
    }
    /// A lookaside list without the alignment of its older form.
    struct GENERAL_LOOKASIDE_POOL: 0x60 {
        0x00 ListHead: SLIST_HEADER,
        /// Entries that are kept at most.
        0x10 Depth: u16,
        0x12 MaximumDepth: u16,
        0x14 TotalAllocates: u32,
        /// Or hits: a union.
        0x18 AllocateMisses: u32,
        0x1C TotalFrees: u32,
        /// Or hits: a union.
        0x20 FreeMisses: u32,
        0x24 Type: u32,
        0x28 Tag: u32,
        0x2C Size: u32,
        /// `PALLOCATE_FUNCTION` or `PALLOCATE_FUNCTION_EX` by the list's kind.
        0x30 Allocate: PVOID,
        /// `PFREE_FUNCTION` or `PFREE_FUNCTION_EX` by the list's kind.
        0x38 Free: PVOID,
        0x40 ListEntry: LIST_ENTRY,
        0x50 LastTotalAllocates: u32,
        0x54 LastAllocateMisses: u32,
        0x58 Future: [u32; 2],
    }
    /// A list of `ExInitializeLookasideListEx`.
    struct LOOKASIDE_LIST_EX: 0x60 {
        0x00 L: GENERAL_LOOKASIDE_POOL,
    }
    /// A list of `ExInitializeNPagedLookasideList`.
    #[repr(align(64))]
    struct NPAGED_LOOKASIDE_LIST: 0x80 {
        0x00 L: GENERAL_LOOKASIDE_POOL,
    }
    /// A list of `ExInitializePagedLookasideList`.
    #[repr(align(64))]
    struct PAGED_LOOKASIDE_LIST: 0x80 {
        0x00 L: GENERAL_LOOKASIDE_POOL,
    }
    /// A globally unique identifier.
    #[derive(PartialEq, Eq, Hash)]
    struct GUID: 0x10 {
        0x00 Data1: u32,
        0x04 Data2: u16,
        0x06 Data3: u16,
        0x08 Data4: [u8; 8],
    }
}

/// A reader/writer spin lock: zero when free.
pub type EX_SPIN_LOCK = i32;
/// Runs a [`WORK_QUEUE_ITEM`] in a system thread at `PASSIVE_LEVEL`.
pub type PWORKER_THREAD_ROUTINE = Option<unsafe extern "win64" fn(PVOID)>;
/// Allocates for an older lookaside list: pool type, bytes, tag.
pub type PALLOCATE_FUNCTION = Option<unsafe extern "win64" fn(u32, usize, u32) -> PVOID>;
/// Frees for an older lookaside list.
pub type PFREE_FUNCTION = Option<unsafe extern "win64" fn(PVOID)>;
/// Allocates for a [`LOOKASIDE_LIST_EX`]: pool type, bytes, tag, list.
pub type PALLOCATE_FUNCTION_EX =
    Option<unsafe extern "win64" fn(u32, usize, u32, *mut LOOKASIDE_LIST_EX) -> PVOID>;
/// Frees for a [`LOOKASIDE_LIST_EX`].
pub type PFREE_FUNCTION_EX = Option<unsafe extern "win64" fn(PVOID, *mut LOOKASIDE_LIST_EX)>;
/// Called when a callback object is notified: context, argument 1, argument 2.
pub type PCALLBACK_FUNCTION = Option<unsafe extern "win64" fn(PVOID, PVOID, PVOID)>;
/// Called when an `EX_TIMER` expires: timer, context.
pub type PEXT_CALLBACK = Option<unsafe extern "win64" fn(PVOID, PVOID)>;

/// The queue that a [`WORK_QUEUE_ITEM`] or `IO_WORKITEM` goes to.
pub type WORK_QUEUE_TYPE = u32;
nt_consts! { "Queue of system worker threads (`WORK_QUEUE_TYPE`)", WORK_QUEUE_TYPE, fn work_queue_type_name;
    CriticalWorkQueue = 0,
    DelayedWorkQueue = 1,
    HyperCriticalWorkQueue = 2,
    NormalWorkQueue = 3,
    BackgroundWorkQueue = 4,
    RealTimeWorkQueue = 5,
    SuperCriticalWorkQueue = 6,
    CustomPriorityWorkQueue = 32,
}

nt_consts! { "`ERESOURCE::Flag`", u16;
    ResourceNeverExclusive = 0x10,
    ResourceReleaseByOtherThread = 0x20,
    ResourceOwnedExclusive = 0x80,
}

nt_consts! { "Flag of `ExInitializeLookasideListEx`", u32;
    EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL = 1,
    EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE = 2,
}

/// Which optional feature `ExIsProcessorFeaturePresent` and the shared page answer for.
pub type PROCESSOR_FEATURE = u32;
nt_consts! { "Processor feature, index into `KUSER_SHARED_DATA::ProcessorFeatures`", PROCESSOR_FEATURE;
    PF_COMPARE_EXCHANGE_DOUBLE = 2,
    PF_MMX_INSTRUCTIONS_AVAILABLE = 3,
    PF_XMMI_INSTRUCTIONS_AVAILABLE = 6,
    PF_RDTSC_INSTRUCTION_AVAILABLE = 8,
    PF_PAE_ENABLED = 9,
    PF_XMMI64_INSTRUCTIONS_AVAILABLE = 10,
    PF_NX_ENABLED = 12,
    PF_SSE3_INSTRUCTIONS_AVAILABLE = 13,
    PF_COMPARE_EXCHANGE128 = 14,
    PF_XSAVE_ENABLED = 17,
    PF_SECOND_LEVEL_ADDRESS_TRANSLATION = 20,
    PF_VIRT_FIRMWARE_ENABLED = 21,
    PF_RDWRFSGSBASE_AVAILABLE = 22,
    PF_FASTFAIL_AVAILABLE = 23,
}
