//! Kernel core: IRQL, dispatcher objects, DPCs, APCs, spin locks, shared user data.

use crate::types::{BOOLEAN, KIRQL, KPROCESSOR_MODE, LARGE_INTEGER, PVOID};
use crate::{LIST_ENTRY, NTSTATUS, SINGLE_LIST_ENTRY};

nt_consts! { "IRQL on x64", KIRQL;
    PASSIVE_LEVEL = 0,
    APC_LEVEL = 1,
    DISPATCH_LEVEL = 2,
    CMCI_LEVEL = 5,
    CLOCK_LEVEL = 13,
    IPI_LEVEL = 14,
    DRS_LEVEL = 14,
    POWER_LEVEL = 14,
    PROFILE_LEVEL = 15,
    HIGH_LEVEL = 15,
}

nt_consts! { "Processor mode (`KPROCESSOR_MODE`)", KPROCESSOR_MODE, fn processor_mode_name;
    KernelMode = 0,
    UserMode = 1,
}

nt_consts! { "`DISPATCHER_HEADER::Type` (and the `Type` byte of DPCs and APCs)", u8, fn dispatcher_type_name;
    EventNotificationObject = 0,
    EventSynchronizationObject = 1,
    MutantObject = 2,
    ProcessObject = 3,
    QueueObject = 4,
    SemaphoreObject = 5,
    ThreadObject = 6,
    GateObject = 7,
    TimerNotificationObject = 8,
    TimerSynchronizationObject = 9,
    ApcObject = 18,
    DpcObject = 19,
    DeviceQueueObject = 20,
    ProfileObject = 23,
    ThreadedDpcObject = 24,
}

/// What a wait is for: [`WaitAll`] or [`WaitAny`].
pub type WAIT_TYPE = u32;
nt_consts! { "Kind of wait (`WAIT_TYPE`)", WAIT_TYPE, fn wait_type_name;
    WaitAll = 0,
    WaitAny = 1,
}

/// Kind of event: [`NotificationEvent`] or [`SynchronizationEvent`].
pub type EVENT_TYPE = u32;
nt_consts! { "Kind of event (`EVENT_TYPE`)", EVENT_TYPE, fn event_type_name;
    NotificationEvent = 0,
    SynchronizationEvent = 1,
}

/// Kind of timer: [`NotificationTimer`] or [`SynchronizationTimer`].
pub type TIMER_TYPE = u32;
nt_consts! { "Kind of timer (`TIMER_TYPE`)", TIMER_TYPE, fn timer_type_name;
    NotificationTimer = 0,
    SynchronizationTimer = 1,
}

/// Why a thread waits; informational.
pub type KWAIT_REASON = u32;
nt_consts! { "Reason of a wait (`KWAIT_REASON`)", KWAIT_REASON, fn wait_reason_name;
    Executive = 0,
    FreePage = 1,
    PageIn = 2,
    PoolAllocation = 3,
    DelayExecution = 4,
    Suspended = 5,
    UserRequest = 6,
    WrExecutive = 7,
    WrFreePage = 8,
    WrPageIn = 9,
    WrPoolAllocation = 10,
    WrDelayExecution = 11,
    WrSuspended = 12,
    WrUserRequest = 13,
    WrQueue = 15,
    WrLpcReceive = 16,
    WrLpcReply = 17,
    WrVirtualMemory = 18,
    WrPageOut = 19,
    WrRendezvous = 20,
    WrKeyedEvent = 21,
    WrTerminated = 22,
    WrProcessInSwap = 23,
    WrCpuRateControl = 24,
    WrCalloutStack = 25,
    WrKernel = 26,
    WrResource = 27,
    WrPushLock = 28,
    WrMutex = 29,
    WrQuantumEnd = 30,
    WrDispatchInt = 31,
    WrPreempted = 32,
    WrYieldExecution = 33,
    WrFastMutex = 34,
    WrGuardedMutex = 35,
    WrRundown = 36,
}

nt_consts! { "Limit of a wait", u32;
    THREAD_WAIT_OBJECTS = 3,
    MAXIMUM_WAIT_OBJECTS = 64,
}

/// Priority of a DPC.
pub type KDPC_IMPORTANCE = u32;
nt_consts! { "Importance of a DPC (`KDPC_IMPORTANCE`)", KDPC_IMPORTANCE;
    LowImportance = 0,
    MediumImportance = 1,
    HighImportance = 2,
    MediumHighImportance = 3,
}

/// In whose address space an APC runs.
pub type KAPC_ENVIRONMENT = u32;
nt_consts! { "Environment of an APC (`KAPC_ENVIRONMENT`)", KAPC_ENVIRONMENT;
    OriginalApcEnvironment = 0,
    AttachedApcEnvironment = 1,
    CurrentApcEnvironment = 2,
    InsertApcEnvironment = 3,
}

nt_consts! { "Thread priority (`KPRIORITY`)", i32;
    LOW_PRIORITY = 0,
    LOW_REALTIME_PRIORITY = 16,
    HIGH_PRIORITY = 31,
    MAXIMUM_PRIORITY = 32,
}

/// A spin lock: zero when free.
pub type KSPIN_LOCK = usize;
/// A thread, of which drivers know the address only.
pub type PKTHREAD = PVOID;
/// A process, of which drivers know the address only.
pub type PKPROCESS = PVOID;

/// A DPC routine; runs at `DISPATCH_LEVEL`.
pub type PKDEFERRED_ROUTINE = Option<unsafe extern "win64" fn(*mut KDPC, PVOID, PVOID, PVOID)>;
/// An APC's normal routine; kernel APCs run it at `PASSIVE_LEVEL`.
pub type PKNORMAL_ROUTINE = Option<unsafe extern "win64" fn(PVOID, PVOID, PVOID)>;
/// An APC's kernel routine; runs at `APC_LEVEL`.
pub type PKKERNEL_ROUTINE =
    Option<unsafe extern "win64" fn(*mut KAPC, *mut PKNORMAL_ROUTINE, *mut PVOID, *mut PVOID, *mut PVOID)>;
/// Called instead of the other two when the thread ends first.
pub type PKRUNDOWN_ROUTINE = Option<unsafe extern "win64" fn(*mut KAPC)>;
/// What a driver starts with `PsCreateSystemThread`.
pub type PKSTART_ROUTINE = Option<unsafe extern "win64" fn(PVOID)>;
/// Called on a larger stack by `KeExpandKernelStackAndCallout`.
pub type PEXPAND_STACK_CALLOUT = Option<unsafe extern "win64" fn(PVOID)>;
/// Called by the bug check.
pub type PKBUGCHECK_CALLBACK_ROUTINE = Option<unsafe extern "win64" fn(PVOID, u32)>;
/// Run on every processor at `IPI_LEVEL` by `KeIpiGenericCall`.
pub type PKIPI_BROADCAST_WORKER = Option<unsafe extern "win64" fn(usize) -> usize>;

nt_struct! {
    /// What every waitable object begins with.
    struct DISPATCHER_HEADER: 0x18 {
        0x00 Type: u8,
        /// `Signalling`, `Abandoned`, timer control flags … by type.
        0x01 Signalling: u8,
        /// Size of the object in 32-bit units.
        0x02 Size: u8,
        /// `Inserted`, `DebugActive`, `DpcActive` … by type.
        0x03 Reserved1: u8,
        /// Greater than zero when signalled.
        0x04 SignalState: i32,
        0x08 WaitListHead: LIST_ENTRY,
    }
    /// An event.
    struct KEVENT: 0x18 {
        0x00 Header: DISPATCHER_HEADER,
    }
    /// A gate: the event inside guarded mutexes before Windows 8.
    struct KGATE: 0x18 {
        0x00 Header: DISPATCHER_HEADER,
    }
    /// A mutex.
    struct KMUTANT: 0x38 {
        0x00 Header: DISPATCHER_HEADER,
        0x18 MutantListEntry: LIST_ENTRY,
        0x28 OwnerThread: PKTHREAD,
        0x30 Abandoned: BOOLEAN,
        /// 1 for `KeInitializeMutex`, 0 for mutants: whether owning it disables kernel APCs.
        0x31 ApcDisable: u8,
    }
    /// A semaphore.
    struct KSEMAPHORE: 0x20 {
        0x00 Header: DISPATCHER_HEADER,
        0x18 Limit: i32,
    }
    /// A timer.
    struct KTIMER: 0x40 {
        0x00 Header: DISPATCHER_HEADER,
        /// Due time in 100 ns units of interrupt time.
        0x18 DueTime: u64,
        0x20 TimerListEntry: LIST_ENTRY,
        0x30 Dpc: *mut KDPC,
        0x38 Processor: u16,
        0x3A TimerType: u16,
        /// Milliseconds, 0 when it fires once.
        0x3C Period: u32,
    }
    /// A deferred procedure call.
    struct KDPC: 0x40 {
        0x00 Type: u8,
        0x01 Importance: u8,
        0x02 Number: u16,
        0x08 DpcListEntry: SINGLE_LIST_ENTRY,
        0x10 ProcessorHistory: usize,
        0x18 DeferredRoutine: PKDEFERRED_ROUTINE,
        0x20 DeferredContext: PVOID,
        0x28 SystemArgument1: PVOID,
        0x30 SystemArgument2: PVOID,
        0x38 DpcData: PVOID,
    }
    /// An asynchronous procedure call.
    struct KAPC: 0x58 {
        0x00 Type: u8,
        0x01 SpareByte0: u8,
        0x02 Size: u8,
        0x03 SpareByte1: u8,
        0x04 SpareLong0: u32,
        0x08 Thread: PKTHREAD,
        0x10 ApcListEntry: LIST_ENTRY,
        0x20 KernelRoutine: PKKERNEL_ROUTINE,
        0x28 RundownRoutine: PKRUNDOWN_ROUTINE,
        0x30 NormalRoutine: PKNORMAL_ROUTINE,
        0x38 NormalContext: PVOID,
        0x40 SystemArgument1: PVOID,
        0x48 SystemArgument2: PVOID,
        0x50 ApcStateIndex: i8,
        0x51 ApcMode: KPROCESSOR_MODE,
        0x52 Inserted: BOOLEAN,
    }
    /// A thread's APC queues, saved by `KeStackAttachProcess`.
    struct KAPC_STATE: 0x30 {
        0x00 ApcListHead: [LIST_ENTRY; 2],
        0x20 Process: PKPROCESS,
        0x28 KernelApcInProgress: BOOLEAN,
        0x29 KernelApcPending: BOOLEAN,
        0x2A UserApcPending: BOOLEAN,
    }
    /// A waiter of a queued spin lock.
    struct KSPIN_LOCK_QUEUE: 0x10 {
        0x00 Next: *mut KSPIN_LOCK_QUEUE,
        0x08 Lock: *mut KSPIN_LOCK,
    }
    /// What `KeAcquireInStackQueuedSpinLock` keeps on its caller's stack.
    struct KLOCK_QUEUE_HANDLE: 0x18 {
        0x00 LockQueue: KSPIN_LOCK_QUEUE,
        0x10 OldIrql: KIRQL,
    }
    /// One object of a wait; callers give these for waits of more than [`THREAD_WAIT_OBJECTS`] objects.
    struct KWAIT_BLOCK: 0x30 {
        0x00 WaitListEntry: LIST_ENTRY,
        0x10 WaitType: u8,
        0x11 BlockState: u8,
        0x12 WaitKey: u16,
        0x14 SpareLong: i32,
        0x18 Thread: PKTHREAD,
        0x20 Object: PVOID,
        0x28 SparePtr: PVOID,
    }
    /// A queue that threads wait on, as completion ports do.
    struct KQUEUE: 0x40 {
        0x00 Header: DISPATCHER_HEADER,
        0x18 EntryListHead: LIST_ENTRY,
        0x28 CurrentCount: u32,
        0x2C MaximumCount: u32,
        0x30 ThreadListHead: LIST_ENTRY,
    }
    /// Devices' queue of requests.
    struct KDEVICE_QUEUE: 0x28 {
        0x00 Type: i16,
        0x02 Size: i16,
        0x08 DeviceListHead: LIST_ENTRY,
        0x18 Lock: KSPIN_LOCK,
        0x20 Busy: BOOLEAN,
    }
    /// Member of a [`KDEVICE_QUEUE`].
    struct KDEVICE_QUEUE_ENTRY: 0x18 {
        0x00 DeviceListEntry: LIST_ENTRY,
        0x10 SortKey: u32,
        0x14 Inserted: BOOLEAN,
    }
    /// A processor by group and number.
    struct PROCESSOR_NUMBER: 0x04 {
        0x00 Group: u16,
        0x02 Number: u8,
        0x03 Reserved: u8,
    }
    /// Processors of one group.
    struct GROUP_AFFINITY: 0x10 {
        0x00 Mask: usize,
        0x08 Group: u16,
        0x0A Reserved: [u16; 3],
    }
    /// A registration of `KeRegisterBugCheckCallback`.
    struct KBUGCHECK_CALLBACK_RECORD: 0x40 {
        0x00 Entry: LIST_ENTRY,
        0x10 CallbackRoutine: PKBUGCHECK_CALLBACK_ROUTINE,
        0x18 Buffer: PVOID,
        0x20 Length: u32,
        0x28 Component: *mut u8,
        0x30 Checksum: usize,
        0x38 State: u8,
    }
    /// Saved floating-point state of `KeSaveFloatingPointState`; of no content on x64.
    struct KFLOATING_SAVE: 0x04 {
        0x00 Dummy: u32,
    }
    /// A time that another processor may be writing: read `High1Time`, `LowPart`, `High2Time`.
    struct KSYSTEM_TIME: 0x0C {
        0x00 LowPart: u32,
        0x04 High1Time: i32,
        0x08 High2Time: i32,
    }
    /// The page that the kernel shares with user mode, at [`KI_USER_SHARED_DATA`] for drivers.
    struct KUSER_SHARED_DATA: 0x1000 {
        0x000 TickCountLowDeprecated: u32,
        /// Milliseconds per tick, 8.24 fixed point.
        0x004 TickCountMultiplier: u32,
        /// 100 ns since boot.
        0x008 InterruptTime: KSYSTEM_TIME,
        /// 100 ns since 1601, UTC.
        0x014 SystemTime: KSYSTEM_TIME,
        /// 100 ns; subtract from UTC for local time.
        0x020 TimeZoneBias: KSYSTEM_TIME,
        0x02C ImageNumberLow: u16,
        0x02E ImageNumberHigh: u16,
        0x030 NtSystemRoot: [u16; 260],
        0x238 MaxStackTraceDepth: u32,
        0x23C CryptoExponent: u32,
        0x240 TimeZoneId: u32,
        0x244 LargePageMinimum: u32,
        0x248 AitSamplingValue: u32,
        0x24C AppCompatFlag: u32,
        0x250 RNGSeedVersion: u64,
        0x258 GlobalValidationRunlevel: u32,
        0x25C TimeZoneBiasStamp: i32,
        /// Since Windows 10.
        0x260 NtBuildNumber: u32,
        0x264 NtProductType: u32,
        0x268 ProductTypeIsValid: BOOLEAN,
        0x26A NativeProcessorArchitecture: u16,
        0x26C NtMajorVersion: u32,
        0x270 NtMinorVersion: u32,
        0x274 ProcessorFeatures: [BOOLEAN; 64],
        0x2B4 Reserved1: u32,
        0x2B8 Reserved3: u32,
        0x2BC TimeSlip: u32,
        0x2C0 AlternativeArchitecture: u32,
        0x2C4 BootId: u32,
        0x2C8 SystemExpirationDate: LARGE_INTEGER,
        0x2D0 SuiteMask: u32,
        /// Bit 0: a debugger was enabled at boot; bit 1: it is not there now.
        0x2D4 KdDebuggerEnabled: BOOLEAN,
        0x2D5 MitigationPolicies: u8,
        0x2D6 CyclesPerYield: u16,
        0x2D8 ActiveConsoleId: u32,
        0x2DC DismountCount: u32,
        0x2E0 ComPlusPackage: u32,
        0x2E4 LastSystemRITEventTickCount: u32,
        0x2E8 NumberOfPhysicalPages: u32,
        0x2EC SafeBootMode: BOOLEAN,
        0x2ED VirtualizationFlags: u8,
        0x2F0 SharedDataFlags: u32,
        0x2F8 TestRetInstruction: u64,
        0x300 QpcFrequency: LARGE_INTEGER,
        0x308 SystemCall: u32,
        0x310 SystemCallPad: [u64; 2],
        /// Ticks since boot.
        0x320 TickCount: KSYSTEM_TIME,
        0x32C TickCountPad: u32,
        0x330 Cookie: u32,
        0x338 ConsoleSessionForegroundProcessId: LARGE_INTEGER,
        0x340 TimeUpdateLock: u64,
        0x348 BaselineSystemTimeQpc: u64,
        0x350 BaselineInterruptTimeQpc: u64,
        0x358 QpcSystemTimeIncrement: u64,
        0x360 QpcInterruptTimeIncrement: u64,
        0x368 QpcSystemTimeIncrementShift: u8,
        0x369 QpcInterruptTimeIncrementShift: u8,
        0x36A UnparkedProcessorCount: u16,
        0x36C EnclaveFeatureMask: [u32; 4],
        0x37C TelemetryCoverageRound: u32,
        0x380 UserModeGlobalLogger: [u16; 16],
        0x3A0 ImageFileExecutionOptions: u32,
        0x3A4 LangGenerationCount: u32,
        0x3A8 Reserved4: u64,
        0x3B0 InterruptTimeBias: u64,
        0x3B8 QpcBias: u64,
        0x3C0 ActiveProcessorCount: u32,
        0x3C4 ActiveGroupCount: u8,
        0x3C6 QpcData: u16,
        0x3C8 TimeZoneBiasEffectiveStart: LARGE_INTEGER,
        0x3D0 TimeZoneBiasEffectiveEnd: LARGE_INTEGER,
        /// `XSTATE_CONFIGURATION`, what newer versions add, and zeros to the end of the page.
        0x3D8 XState: [u8; 0xC28],
    }
}

/// The mutex of drivers is the mutant of the executive.
pub type KMUTEX = KMUTANT;

/// Where drivers read [`KUSER_SHARED_DATA`]: the same address in every x64 Windows.
pub const KI_USER_SHARED_DATA: usize = 0xFFFF_F780_0000_0000;
/// Where user mode reads [`KUSER_SHARED_DATA`].
pub const MM_SHARED_USER_DATA_VA: usize = 0x7FFE_0000;

/// Result of a wait on the object of the given index.
pub const fn wait_status(index: u8) -> NTSTATUS {
    NTSTATUS::from_u32(index as u32)
}
