/*
 * Acquires locks in two orders, or removes a routine under a lock that the routine takes, without ever hanging.
 *
 * Mode: inversion (two fast mutexes), mixed (push lock and resource), removal, leaves-locked
 */
#include "mode.h"

static FAST_MUTEX First, Second;
static ERESOURCE Resource;
static KSPIN_LOCK Spin;
static volatile LONG Once;

static VOID Inversion(VOID)
{
    ExAcquireFastMutex(&First);
    ExAcquireFastMutex(&Second);
    ExReleaseFastMutex(&Second);
    ExReleaseFastMutex(&First);

    ExAcquireFastMutex(&Second);
    ExAcquireFastMutex(&First);
    ExReleaseFastMutex(&First);
    ExReleaseFastMutex(&Second);
}

/* A resource that is held while a spin lock is taken is well; the other way round it is not. */
static VOID Mixed(VOID)
{
    KIRQL irql;
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(&Resource, TRUE);
    ExAcquireFastMutex(&First);
    ExReleaseFastMutex(&First);
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();

    KeAcquireSpinLock(&Spin, &irql);
    KeReleaseSpinLock(&Spin, irql);

    ExAcquireFastMutex(&First);
    ExAcquireResourceSharedLite(&Resource, TRUE);
    ExReleaseResourceLite(&Resource);
    ExReleaseFastMutex(&First);
}

static VOID NTAPI OnThread(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ThreadId);
    UNREFERENCED_PARAMETER(Create);
    if (!ModeIs(L"removal"))
        return;
    ExAcquireFastMutex(&First);
    ExReleaseFastMutex(&First);
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    if (CreateInfo == NULL || InterlockedExchange(&Once, 1) != 0)
        return;
    if (ModeIs(L"inversion"))
        Inversion();
    if (ModeIs(L"mixed"))
        Mixed();
    if (ModeIs(L"leaves-locked")) {
        KeEnterCriticalRegion();
        ExAcquireResourceSharedLite(&Resource, TRUE);
        KeLeaveCriticalRegion();
    }
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
    if (ModeIs(L"removal")) {
        ExAcquireFastMutex(&First);
        PsRemoveCreateThreadNotifyRoutine(OnThread);
        ExReleaseFastMutex(&First);
    } else {
        PsRemoveCreateThreadNotifyRoutine(OnThread);
    }
    ExDeleteResourceLite(&Resource);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    ReadMode(RegistryPath);
    ExInitializeFastMutex(&First);
    ExInitializeFastMutex(&Second);
    ExInitializeResourceLite(&Resource);
    KeInitializeSpinLock(&Spin);
    DriverObject->DriverUnload = Unload;
    status = PsSetCreateThreadNotifyRoutine(OnThread);
    if (!NT_SUCCESS(status))
        return status;
    return PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
}
