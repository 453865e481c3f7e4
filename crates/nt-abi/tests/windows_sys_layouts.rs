//! Every structure that `windows-sys` has too: the same size, and the same offset of each field that has
//! the same name there.
//!
//! Where `windows-sys` 0.61 is wrong for x64 the difference itself is asserted, so that a corrected version
//! of it shows. Left out is `KFLOATING_SAVE`, which it gives for x86.

macro_rules! same {
    ($($test:ident, $($module:ident)::+ { $($name:ident [$($field:ident)*])* })*) => { $(
        #[test]
        fn $test() {
            use windows_sys::$($module)::+ as theirs;
            let mut wrong: Vec<&str> = Vec::new();
            $(
                if size_of::<nt_abi::$name>() != size_of::<theirs::$name>() {
                    wrong.push(stringify!($name));
                }
                $( if std::mem::offset_of!(nt_abi::$name, $field) != std::mem::offset_of!(theirs::$name, $field) {
                    wrong.push(concat!(stringify!($name), "::", stringify!($field)));
                } )*
            )*
            assert!(wrong.is_empty(), "{wrong:?}");
        }
    )* };
}

same! {
    wdk_foundation, Wdk::Foundation {
        FAST_MUTEX [Count Owner Contention Event OldIrql]
        OWNER_ENTRY [OwnerThread]
        WORK_QUEUE_ITEM [List WorkerRoutine Parameter]
        FILE_OBJECT [Type Size DeviceObject Vpb FsContext FsContext2 SectionObjectPointer PrivateCacheMap
            FinalStatus RelatedFileObject LockOperation DeletePending ReadAccess WriteAccess DeleteAccess
            SharedRead SharedWrite SharedDelete Flags FileName CurrentByteOffset Waiters Busy LastLock Lock
            Event CompletionContext IrpListLock IrpList FileObjectExtension]
        IO_SECURITY_CONTEXT [SecurityQos AccessState DesiredAccess FullCreateOptions]
        FAST_IO_DISPATCH [SizeOfFastIoDispatch]
        SECTION_OBJECT_POINTERS [DataSectionObject SharedCacheMap ImageSectionObject]
        DRIVER_OBJECT [Type Size DeviceObject Flags DriverStart DriverSize DriverSection DriverExtension
            DriverName HardwareDatabase FastIoDispatch DriverInit DriverStartIo DriverUnload MajorFunction]
        DRIVER_EXTENSION [DriverObject AddDevice Count ServiceKeyName]
        DEVOBJ_EXTENSION [Type Size DeviceObject PowerFlags Dope ExtensionFlags DeviceNode AttachedTo
            StartIoCount StartIoKey StartIoFlags Vpb DependencyNode InterruptContext InterruptCount
            VerifierContext]
        VPB [Type Size Flags VolumeLabelLength DeviceObject RealDevice SerialNumber ReferenceCount
            VolumeLabel]
        IRP [Type Size MdlAddress Flags AssociatedIrp ThreadListEntry IoStatus RequestorMode PendingReturned
            StackCount CurrentLocation Cancel CancelIrql ApcEnvironment AllocationFlags UserEvent Overlay
            CancelRoutine UserBuffer Tail]
        IO_STACK_LOCATION [MajorFunction MinorFunction Flags Control Parameters DeviceObject FileObject
            CompletionRoutine Context]
        MDL [Next Size MdlFlags Process MappedSystemVa StartVa ByteCount ByteOffset]
        DISPATCHER_HEADER [SignalState WaitListHead]
        KEVENT [Header]
        KMUTANT [Header MutantListEntry OwnerThread ApcDisable]
        KDPC [DpcListEntry ProcessorHistory DeferredRoutine DeferredContext SystemArgument1 SystemArgument2
            DpcData]
        KWAIT_BLOCK [WaitListEntry WaitType BlockState WaitKey Object SparePtr]
        KQUEUE [Header EntryListHead CurrentCount MaximumCount ThreadListHead]
        KDEVICE_QUEUE [Type Size DeviceListHead Lock Busy]
        OBJECT_ATTRIBUTES [Length RootDirectory ObjectName Attributes SecurityDescriptor
            SecurityQualityOfService]
        OBJECT_NAME_INFORMATION [Name]
        RTL_SPLAY_LINKS [Parent LeftChild RightChild]
        SECURITY_SUBJECT_CONTEXT [ClientToken ImpersonationLevel PrimaryToken ProcessAuditId]
    }
    wdk_storage_filesystem, Wdk::Storage::FileSystem {
        FILE_BASIC_INFORMATION [CreationTime LastAccessTime LastWriteTime ChangeTime FileAttributes]
        FILE_STANDARD_INFORMATION [AllocationSize EndOfFile NumberOfLinks DeletePending Directory]
        FILE_INTERNAL_INFORMATION [IndexNumber]
        FILE_POSITION_INFORMATION [CurrentByteOffset]
        FILE_DISPOSITION_INFORMATION [DeleteFile]
        FILE_NAME_INFORMATION [FileNameLength FileName]
        FILE_NETWORK_OPEN_INFORMATION [CreationTime LastAccessTime LastWriteTime ChangeTime AllocationSize
            EndOfFile FileAttributes]
        FILE_RENAME_INFORMATION [RootDirectory FileNameLength FileName]
        FILE_DIRECTORY_INFORMATION [NextEntryOffset FileIndex CreationTime LastAccessTime LastWriteTime
            ChangeTime EndOfFile AllocationSize FileAttributes FileNameLength FileName]
        KAPC_STATE [ApcListHead Process KernelApcPending]
        ACE_HEADER [AceType AceFlags AceSize]
    }
    wdk_storage_filesystem_minifilters, Wdk::Storage::FileSystem::Minifilters {
        FLT_CONTEXT_REGISTRATION [ContextType Flags ContextCleanupCallback Size PoolTag
            ContextAllocateCallback ContextFreeCallback Reserved1]
        FLT_OPERATION_REGISTRATION [MajorFunction Flags PreOperation PostOperation Reserved1]
        FLT_REGISTRATION [Size Version Flags ContextRegistration OperationRegistration FilterUnloadCallback
            InstanceSetupCallback InstanceQueryTeardownCallback InstanceTeardownStartCallback
            InstanceTeardownCompleteCallback GenerateFileNameCallback NormalizeNameComponentCallback
            NormalizeContextCleanupCallback TransactionNotificationCallback NormalizeNameComponentExCallback
            SectionNotificationCallback]
        FLT_RELATED_OBJECTS [Size TransactionContext Filter Volume Instance FileObject Transaction]
        FLT_PARAMETERS [Create Others]
        FLT_IO_PARAMETER_BLOCK [IrpFlags MajorFunction MinorFunction OperationFlags Reserved
            TargetFileObject TargetInstance Parameters]
        FLT_CALLBACK_DATA [Flags Thread Iopb IoStatus TagData RequestorMode]
        FLT_FILE_NAME_INFORMATION [Size NamesParsed Format Name Volume Share Extension Stream FinalComponent
            ParentDir]
        FLT_VOLUME_PROPERTIES [DeviceType DeviceCharacteristics DeviceObjectFlags AlignmentRequirement
            SectorSize Flags FileSystemDriverName FileSystemDeviceName RealDeviceName]
    }
    wdk_system_registry, Wdk::System::Registry {
        KEY_VALUE_ENTRY [ValueName DataLength DataOffset Type]
        REG_QUERY_VALUE_KEY_INFORMATION [Object ValueName KeyValueInformationClass KeyValueInformation
            Length ResultLength CallContext ObjectContext Reserved]
    }
    wdk_system_systemservices, Wdk::System::SystemServices {
        KEY_VALUE_BASIC_INFORMATION [TitleIndex Type NameLength Name]
        KEY_VALUE_FULL_INFORMATION [TitleIndex Type DataOffset DataLength NameLength Name]
        KEY_VALUE_PARTIAL_INFORMATION [TitleIndex Type DataLength Data]
        KEY_VALUE_PARTIAL_INFORMATION_ALIGN64 [Type DataLength Data]
        KEY_BASIC_INFORMATION [LastWriteTime TitleIndex NameLength Name]
        KEY_NODE_INFORMATION [LastWriteTime TitleIndex ClassOffset ClassLength NameLength Name]
        KEY_FULL_INFORMATION [LastWriteTime TitleIndex ClassOffset ClassLength SubKeys MaxNameLen
            MaxClassLen Values MaxValueNameLen MaxValueDataLen Class]
        KEY_NAME_INFORMATION [NameLength Name]
        KEY_CACHED_INFORMATION [LastWriteTime TitleIndex SubKeys MaxNameLen Values MaxValueNameLen
            MaxValueDataLen NameLength]
        RTL_QUERY_REGISTRY_TABLE [QueryRoutine Flags Name EntryContext DefaultType DefaultData
            DefaultLength]
        REG_DELETE_KEY_INFORMATION [Object CallContext ObjectContext Reserved]
        REG_SET_VALUE_KEY_INFORMATION [Object ValueName TitleIndex Type Data DataSize CallContext
            ObjectContext Reserved]
        REG_DELETE_VALUE_KEY_INFORMATION [Object ValueName CallContext ObjectContext Reserved]
        REG_RENAME_KEY_INFORMATION [Object NewName CallContext ObjectContext Reserved]
        REG_CREATE_KEY_INFORMATION [CompleteName RootObject ObjectType CreateOptions Class
            SecurityDescriptor SecurityQualityOfService DesiredAccess GrantedAccess Disposition ResultObject
            CallContext RootObjectContext Transaction Reserved]
        REG_POST_OPERATION_INFORMATION [Object Status PreInformation ReturnStatus CallContext ObjectContext
            Reserved]
        EX_RUNDOWN_REF []
        IO_ERROR_LOG_PACKET [MajorFunctionCode RetryCount DumpDataSize NumberOfStrings StringOffset
            EventCategory ErrorCode UniqueErrorValue FinalStatus SequenceNumber IoControlCode DeviceOffset
            DumpData]
        FILE_END_OF_FILE_INFORMATION [EndOfFile]
        FILE_ATTRIBUTE_TAG_INFORMATION [FileAttributes ReparseTag]
        WAIT_CONTEXT_BLOCK [DeviceRoutine DeviceContext NumberOfMapRegisters DeviceObject CurrentIrp
            BufferChainingDpc]
        IO_REMOVE_LOCK []
        KGATE [Header]
        KSEMAPHORE [Header Limit]
        KAPC [Type Size SpareByte1 SpareLong0 Thread ApcListEntry NormalContext SystemArgument1
            SystemArgument2 ApcStateIndex ApcMode Inserted]
        KSPIN_LOCK_QUEUE [Next Lock]
        KLOCK_QUEUE_HANDLE [LockQueue OldIrql]
        KDEVICE_QUEUE_ENTRY [DeviceListEntry SortKey Inserted]
        KBUGCHECK_CALLBACK_RECORD [Entry CallbackRoutine Buffer Length Component Checksum State]
        KSYSTEM_TIME [LowPart High1Time High2Time]
        MM_COPY_ADDRESS []
        PHYSICAL_MEMORY_RANGE [BaseAddress NumberOfBytes]
        OBJECT_HANDLE_INFORMATION [HandleAttributes GrantedAccess]
        OB_OPERATION_REGISTRATION [ObjectType Operations PreOperation PostOperation]
        OB_CALLBACK_REGISTRATION [Version OperationRegistrationCount Altitude RegistrationContext
            OperationRegistration]
        OB_PRE_CREATE_HANDLE_INFORMATION [DesiredAccess OriginalDesiredAccess]
        OB_PRE_DUPLICATE_HANDLE_INFORMATION [DesiredAccess OriginalDesiredAccess SourceProcess
            TargetProcess]
        OB_PRE_OPERATION_PARAMETERS [CreateHandleInformation DuplicateHandleInformation]
        OB_PRE_OPERATION_INFORMATION [Operation Object ObjectType CallContext Parameters]
        OB_POST_OPERATION_INFORMATION [Operation Object ObjectType CallContext ReturnStatus Parameters]
        PS_CREATE_NOTIFY_INFO [Size ParentProcessId CreatingThreadId FileObject ImageFileName CommandLine
            CreationStatus]
        IMAGE_INFO [ImageBase ImageSelector ImageSize ImageSectionNumber]
        IMAGE_INFO_EX [Size ImageInfo FileObject]
        KERNEL_USER_TIMES [CreateTime ExitTime KernelTime UserTime]
        RTL_GENERIC_TABLE [TableRoot InsertOrderList OrderedPointer WhichOrderedElement
            NumberGenericTableElements CompareRoutine AllocateRoutine FreeRoutine TableContext]
        RTL_BALANCED_LINKS [Parent LeftChild RightChild Balance Reserved]
        RTL_AVL_TABLE [BalancedRoot OrderedPointer WhichOrderedElement NumberGenericTableElements
            DepthOfTree RestartKey DeleteCount CompareRoutine AllocateRoutine FreeRoutine TableContext]
        RTL_BITMAP [SizeOfBitMap Buffer]
        TIME_FIELDS [Year Month Day Hour Minute Second Milliseconds Weekday]
    }
    win32_foundation, Win32::Foundation {
        LUID [LowPart HighPart]
        UNICODE_STRING [Length MaximumLength Buffer]
    }
    win32_security, Win32::Security {
        LUID_AND_ATTRIBUTES [Luid Attributes]
        PRIVILEGE_SET [PrivilegeCount Control Privilege]
        SID_IDENTIFIER_AUTHORITY [Value]
        SID [Revision SubAuthorityCount IdentifierAuthority SubAuthority]
        SID_AND_ATTRIBUTES [Sid Attributes]
        TOKEN_USER [User]
        TOKEN_MANDATORY_LABEL [Label]
        TOKEN_OWNER [Owner]
        TOKEN_ELEVATION [TokenIsElevated]
        TOKEN_SOURCE [SourceName SourceIdentifier]
        TOKEN_STATISTICS [TokenId AuthenticationId ExpirationTime TokenType ImpersonationLevel
            DynamicCharged DynamicAvailable GroupCount PrivilegeCount ModifiedId]
        ACL [AclRevision Sbz1 AclSize AceCount Sbz2]
        ACCESS_ALLOWED_ACE [Header Mask SidStart]
        SECURITY_DESCRIPTOR [Revision Sbz1 Control Owner Group Sacl Dacl]
        SECURITY_DESCRIPTOR_RELATIVE [Revision Sbz1 Control Owner Group Sacl Dacl]
        SECURITY_QUALITY_OF_SERVICE [Length ImpersonationLevel ContextTrackingMode EffectiveOnly]
        GENERIC_MAPPING [GenericRead GenericWrite GenericExecute GenericAll]
    }
    win32_system_diagnostics_debug, Win32::System::Diagnostics::Debug {
        EXCEPTION_RECORD [ExceptionCode ExceptionFlags ExceptionRecord ExceptionAddress NumberParameters
            ExceptionInformation]
        EXCEPTION_POINTERS [ExceptionRecord ContextRecord]
        M128A [Low High]
        XSAVE_FORMAT [ControlWord StatusWord TagWord Reserved1 ErrorOpcode ErrorOffset ErrorSelector
            Reserved2 DataOffset DataSelector Reserved3 MxCsr MxCsr_Mask FloatRegisters XmmRegisters
            Reserved4]
        CONTEXT [P1Home P2Home P3Home P4Home P5Home P6Home ContextFlags MxCsr SegCs SegDs SegEs SegFs SegGs
            SegSs EFlags Dr0 Dr1 Dr2 Dr3 Dr6 Dr7 Rax Rcx Rdx Rbx Rsp Rbp Rsi Rdi R8 R9 R10 R11 R12 R13 R14
            R15 Rip VectorRegister VectorControl DebugControl LastBranchToRip LastBranchFromRip
            LastExceptionToRip LastExceptionFromRip]
        DISPATCHER_CONTEXT [ControlPc ImageBase FunctionEntry EstablisherFrame TargetIp ContextRecord
            LanguageHandler HandlerData HistoryTable ScopeIndex Fill0]
        KNONVOLATILE_CONTEXT_POINTERS []
    }
    win32_system_diagnostics_etw, Win32::System::Diagnostics::Etw {
        EVENT_DESCRIPTOR [Id Version Channel Level Opcode Task Keyword]
        EVENT_DATA_DESCRIPTOR [Ptr Size]
    }
    win32_system_io, Win32::System::IO {
        IO_STATUS_BLOCK [Information]
    }
    win32_system_kernel, Win32::System::Kernel {
        PROCESSOR_NUMBER [Group Number Reserved]
        LIST_ENTRY [Flink Blink]
        SINGLE_LIST_ENTRY [Next]
        SLIST_HEADER []
        STRING [Length MaximumLength Buffer]
    }
    win32_system_memory, Win32::System::Memory {
        MEMORY_BASIC_INFORMATION [BaseAddress AllocationBase AllocationProtect PartitionId RegionSize State
            Protect Type]
    }
    win32_system_systeminformation, Win32::System::SystemInformation {
        GROUP_AFFINITY [Mask Group Reserved]
        OSVERSIONINFOW [dwOSVersionInfoSize dwMajorVersion dwMinorVersion dwBuildNumber dwPlatformId
            szCSDVersion]
        OSVERSIONINFOEXW [dwOSVersionInfoSize dwMajorVersion dwMinorVersion dwBuildNumber dwPlatformId
            szCSDVersion wServicePackMajor wServicePackMinor wSuiteMask wProductType wReserved]
    }
    win32_system_threading, Win32::System::Threading {
        PROCESS_BASIC_INFORMATION [ExitStatus PebBaseAddress AffinityMask BasePriority UniqueProcessId
            InheritedFromUniqueProcessId]
    }
    win32_system_windowsprogramming, Win32::System::WindowsProgramming {
        CLIENT_ID [UniqueProcess UniqueThread]
        SYSTEM_PROCESS_INFORMATION [NextEntryOffset NumberOfThreads ImageName BasePriority UniqueProcessId
            HandleCount SessionId PeakVirtualSize VirtualSize PeakWorkingSetSize WorkingSetSize
            QuotaPagedPoolUsage QuotaNonPagedPoolUsage PagefileUsage PeakPagefileUsage PrivatePageCount]
        SYSTEM_CODEINTEGRITY_INFORMATION [Length CodeIntegrityOptions]
    }
}

/// Name, size here, size there; and the fields that are at the same place nevertheless.
macro_rules! differ {
    ($($module:ident :: $inner:ident $(:: $innermost:ident)? $name:ident $ours:literal $theirs:literal
        [$($field:ident)*])*) => { $( {
        use windows_sys::$module::$inner$(::$innermost)?::$name as Theirs;
        assert_eq!(size_of::<nt_abi::$name>(), $ours, stringify!($name));
        assert_eq!(size_of::<Theirs>(), $theirs, "{} of windows-sys", stringify!($name));
        $( assert_eq!(
            std::mem::offset_of!(nt_abi::$name, $field),
            std::mem::offset_of!(Theirs, $field),
            concat!(stringify!($name), "::", stringify!($field))
        ); )*
    } )* };
}

/// `DEVICE_OBJECT` lacks its alignment to 16 there and `ERESOURCE` a pointer; `KTIMER` lacks `Processor`
/// (and keeps its size by padding); `SLIST_ENTRY` lacks its alignment.
#[test]
fn these_are_wrong_in_windows_sys() {
    differ! {
        Wdk::Foundation DEVICE_OBJECT 0x150 0x148 [Type Size ReferenceCount DriverObject NextDevice
            AttachedDevice CurrentIrp Timer Flags Characteristics Vpb DeviceExtension DeviceType StackSize
            Queue AlignmentRequirement DeviceQueue Dpc ActiveThreadCount SecurityDescriptor DeviceLock
            SectorSize Spare1 DeviceObjectExtension Reserved]
        Wdk::Foundation ERESOURCE 0x68 0x60 [SystemResourcesList OwnerTable ActiveCount SharedWaiters
            ExclusiveWaiters OwnerEntry ActiveEntries ContentionCount NumberOfSharedWaiters
            NumberOfExclusiveWaiters]
        Wdk::System::SystemServices KTIMER 0x40 0x40 [Header DueTime TimerListEntry Dpc]
        Win32::System::Kernel SLIST_ENTRY 0x10 0x08 [Next]
    }
}

/// Of the loader's structures the public headers name a few fields only, and no field after them.
/// The shared page is given as the whole page here.
#[test]
fn these_are_partial_on_one_side() {
    differ! {
        Wdk::System::SystemServices KUSER_SHARED_DATA 0x1000 0x738 [TickCountLowDeprecated
            TickCountMultiplier InterruptTime SystemTime TimeZoneBias ImageNumberLow ImageNumberHigh
            NtSystemRoot MaxStackTraceDepth CryptoExponent TimeZoneId LargePageMinimum AitSamplingValue
            AppCompatFlag RNGSeedVersion GlobalValidationRunlevel TimeZoneBiasStamp NtBuildNumber
            NtProductType ProductTypeIsValid NativeProcessorArchitecture NtMajorVersion NtMinorVersion
            ProcessorFeatures Reserved1 Reserved3 TimeSlip AlternativeArchitecture BootId
            SystemExpirationDate SuiteMask KdDebuggerEnabled CyclesPerYield ActiveConsoleId DismountCount
            ComPlusPackage LastSystemRITEventTickCount NumberOfPhysicalPages SafeBootMode TestRetInstruction
            QpcFrequency SystemCall SystemCallPad Cookie ConsoleSessionForegroundProcessId TimeUpdateLock
            BaselineSystemTimeQpc BaselineInterruptTimeQpc QpcSystemTimeIncrement QpcInterruptTimeIncrement
            QpcSystemTimeIncrementShift QpcInterruptTimeIncrementShift UnparkedProcessorCount
            EnclaveFeatureMask TelemetryCoverageRound UserModeGlobalLogger ImageFileExecutionOptions
            LangGenerationCount Reserved4 InterruptTimeBias QpcBias ActiveProcessorCount ActiveGroupCount
            TimeZoneBiasEffectiveStart TimeZoneBiasEffectiveEnd XState]
        Win32::System::Threading PEB 0x28 0x2C8 [BeingDebugged Ldr ProcessParameters]
        Win32::System::Threading PEB_LDR_DATA 0x40 0x30 [InMemoryOrderModuleList]
        Win32::System::Threading RTL_USER_PROCESS_PARAMETERS 0x88 0x80 [ImagePathName CommandLine]
        Win32::System::WindowsProgramming LDR_DATA_TABLE_ENTRY 0x70 0x88 [InMemoryOrderLinks DllBase
            FullDllName]
    }
}
