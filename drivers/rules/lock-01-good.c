/*
 * Acquires its locks in one order, shared ones in any, and removes its routines under no lock.
 */
#include "../tests/common.h"

static FAST_MUTEX First, Second;
static ERESOURCE One, Other;
static KSPIN_LOCK Spin;

static VOID Both(PERESOURCE A, PERESOURCE B)
{
    KeEnterCriticalRegion();
    ExAcquireResourceSharedLite(A, TRUE);
    ExAcquireResourceSharedLite(B, TRUE);
    /* Again: a resource may be acquired more than once. */
    ExAcquireResourceSharedLite(A, TRUE);
    ExReleaseResourceLite(A);
    ExReleaseResourceLite(B);
    ExReleaseResourceLite(A);
    KeLeaveCriticalRegion();
}

static VOID Use(VOID)
{
    KIRQL irql;
    ExAcquireFastMutex(&First);
    ExAcquireFastMutex(&Second);
    KeAcquireSpinLock(&Spin, &irql);
    KeReleaseSpinLock(&Spin, irql);
    ExReleaseFastMutex(&Second);
    ExReleaseFastMutex(&First);
    Both(&One, &Other);
    Both(&Other, &One);
}

static VOID NTAPI OnThread(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ThreadId);
    UNREFERENCED_PARAMETER(Create);
    Use();
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    Use();
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
    PsRemoveCreateThreadNotifyRoutine(OnThread);
    Use();
    ExDeleteResourceLite(&One);
    ExDeleteResourceLite(&Other);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    UNREFERENCED_PARAMETER(RegistryPath);
    ExInitializeFastMutex(&First);
    ExInitializeFastMutex(&Second);
    ExInitializeResourceLite(&One);
    ExInitializeResourceLite(&Other);
    KeInitializeSpinLock(&Spin);
    DriverObject->DriverUnload = Unload;
    status = PsSetCreateThreadNotifyRoutine(OnThread);
    if (!NT_SUCCESS(status))
        return status;
    return PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
}
