//! The yardstick: what real drivers that watch processes import.
//!
//! Counted over fifteen such drivers with public source (file system minifilters, sandboxes, monitors, the samples
//! of textbooks): the names that three or more of them import, and those that two import. Each must be in the
//! export table, under the module that exports it; what is not there yet is listed, with the reason.

use std::collections::BTreeSet;

use kernel::export::{Lookup, lookup};

/// Imported from ntoskrnl.exe by three or more of the drivers.
const KERNEL_BY_THREE: &str = "
    CmCallbackGetKeyObjectIDEx CmCallbackReleaseKeyObjectIDEx CmRegisterCallbackEx
    CmUnRegisterCallback DbgPrint DbgPrintEx ExAcquireFastMutex ExAcquireResourceExclusiveLite
    ExAcquireResourceSharedLite ExAcquireSpinLockExclusive ExAcquireSpinLockShared ExAllocatePool2
    ExAllocatePoolWithTag ExDeleteResourceLite ExFreePool ExFreePoolWithTag ExGetPreviousMode
    ExInitializeResourceLite ExReleaseFastMutex ExReleaseResourceLite ExReleaseSpinLockExclusive
    ExReleaseSpinLockShared IoAllocateMdl IoCreateDevice IoCreateSymbolicLink IoDeleteDevice
    IoDeleteSymbolicLink IoFileObjectType IoFreeMdl IoGetCurrentProcess IofCompleteRequest
    KeAcquireSpinLockRaiseToDpc KeDelayExecutionThread KeEnterCriticalRegion KeInitializeApc
    KeInitializeEvent KeInsertQueueApc KeLeaveCriticalRegion KeQuerySystemTimePrecise
    KeReleaseSpinLock KeSetEvent KeStackAttachProcess KeTestAlertThread KeUnstackDetachProcess
    KeWaitForSingleObject MmGetSystemRoutineAddress MmProbeAndLockPages MmUnlockPages
    ObOpenObjectByPointer ObQueryNameString ObReferenceObjectByHandle ObRegisterCallbacks
    ObUnRegisterCallbacks ObfDereferenceObject ProbeForWrite PsCreateSystemThread
    PsDereferencePrimaryToken PsGetCurrentProcessId PsGetCurrentThreadId PsGetProcessExitStatus
    PsGetProcessId PsGetProcessImageFileName PsGetProcessWow64Process PsGetThreadProcess
    PsGetThreadProcessId PsInitialSystemProcess PsIsProtectedProcess PsLookupProcessByProcessId
    PsLookupThreadByThreadId PsProcessType PsReferencePrimaryToken PsRemoveCreateThreadNotifyRoutine
    PsRemoveLoadImageNotifyRoutine PsSetCreateProcessNotifyRoutineEx PsSetCreateThreadNotifyRoutine
    PsSetLoadImageNotifyRoutine PsTerminateSystemThread PsThreadType RtlEqualUnicodeString
    RtlFreeUnicodeString RtlGetVersion RtlInitUnicodeString RtlLengthSid ZwClose ZwCreateFile
    ZwCreateSection ZwMapViewOfSection ZwOpenKey ZwOpenProcess ZwQueryInformationFile
    ZwQueryInformationProcess ZwQueryValueKey ZwQueryVirtualMemory ZwSetInformationProcess
    ZwSetValueKey ZwTerminateProcess ZwUnmapViewOfSection ZwWriteFile __C_specific_handler
    _vsnprintf _vsnwprintf memcmp memcpy memset wcscpy_s wcsncmp wcsstr
";

/// Imported from FLTMGR.SYS by three or more of the drivers.
const FILTER_MANAGER_BY_THREE: &str = "
    FltAllocateContext FltGetFileNameInformation FltGetFileNameInformationUnsafe FltRegisterFilter
    FltReleaseContext FltReleaseFileNameInformation FltStartFiltering FltUnregisterFilter
";

/// Imported from ntoskrnl.exe by two of the drivers.
const KERNEL_BY_TWO: &str = "
    IoGetDeviceAttachmentBaseRef IoGetTopLevelIrp IoThreadToProcess KeAcquireInStackQueuedSpinLock
    KeAreApcsDisabled KeBugCheckEx KeInsertQueueDpc KeLowerIrql KeReleaseInStackQueuedSpinLock
    KeResetEvent LpcPortObjectType MmMapViewInSystemSpace MmUnmapViewInSystemSpace ObCloseHandle
    ObOpenObjectByName ObfReferenceObject ProbeForRead PsGetProcessCreateTimeQuadPart
    PsGetProcessExitProcessCalled PsGetProcessJob PsGetProcessSectionBaseAddress PsGetThreadId
    PsIsSystemThread PsIsThreadTerminating PsReferenceProcessFilePointer PsWrapApcWow64Thread
    RtlAddAccessAllowedAce RtlAddAccessAllowedAceEx RtlAppendUnicodeStringToString
    RtlCompareUnicodeString RtlConvertSidToUnicodeString RtlCopyUnicodeString RtlCreateAcl
    RtlCreateSecurityDescriptor RtlDuplicateUnicodeString RtlEqualLuid RtlEqualString
    RtlImageDirectoryEntryToData RtlSetDaclSecurityDescriptor RtlSetOwnerSecurityDescriptor
    RtlTimeToTimeFields RtlUnicodeStringToAnsiString RtlUnicodeStringToInteger RtlValidSid
    RtlWalkFrameChain SeLocateProcessImageName SeQueryInformationToken SeTokenObjectType
    ZwAllocateVirtualMemory ZwCreateKey ZwOpenProcessTokenEx ZwOpenSection ZwQueryInformationThread
    ZwQueryInformationToken ZwQuerySystemInformation ZwReadFile ZwSetInformationFile strcmp wcscmp
    wcscpy wcsncpy_s wcsrchr
";

/// Imported from FLTMGR.SYS by two of the drivers.
const FILTER_MANAGER_BY_TWO: &str = "
    FltBuildDefaultSecurityDescriptor FltClose FltCloseClientPort FltCloseCommunicationPort
    FltCreateCommunicationPort FltFreeSecurityDescriptor FltGetStreamHandleContext
    FltGetVolumeFromFileObject FltGetVolumeProperties FltObjectDereference
    FltParseFileNameInformation FltQueryInformationFile FltReferenceFileNameInformation
    FltSendMessage FltSetStreamHandleContext
";

fn missing(module: &str, names: &str) -> BTreeSet<String> {
    names
        .split_whitespace()
        .filter(|name| !matches!(lookup(module, name, &kernel::Config::default()), Lookup::Found(_)))
        .map(str::to_owned)
        .collect()
}

#[test]
fn what_three_drivers_import_is_there() {
    let mut missing = missing("ntoskrnl.exe", KERNEL_BY_THREE);
    missing.extend(self::missing("FLTMGR.SYS", FILTER_MANAGER_BY_THREE));
    let missing: Vec<_> = missing.into_iter().collect();
    assert!(missing.is_empty(), "not in the export table: {}", missing.join(" "));
}

#[test]
fn what_two_drivers_import_is_there() {
    let mut missing = missing("ntoskrnl.exe", KERNEL_BY_TWO);
    missing.extend(self::missing("FLTMGR.SYS", FILTER_MANAGER_BY_TWO));
    let missing: Vec<_> = missing.into_iter().collect();
    assert!(missing.is_empty(), "not in the export table: {}", missing.join(" "));
}
