/*
 * BUG-01 corrected: the twin of bug-01
 *
 * The process routine is removed first, which waits for calls on other processors; then the resource
 * is freed.
 */
#include "bugs.h"

static PERESOURCE Lock;
static ULONG Processes;

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(Lock, TRUE);
    if (CreateInfo != NULL)
        Processes++;
    ExReleaseResourceLite(Lock);
    KeLeaveCriticalRegion();
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
    ExDeleteResourceLite(Lock);
    ExFreePoolWithTag(Lock, TAG);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    UNREFERENCED_PARAMETER(RegistryPath);
    Lock = ExAllocatePoolWithTag(NonPagedPool, sizeof(*Lock), TAG);
    if (Lock == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    ExInitializeResourceLite(Lock);
    status = PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
    if (!NT_SUCCESS(status)) {
        ExDeleteResourceLite(Lock);
        ExFreePoolWithTag(Lock, TAG);
        return status;
    }
    DriverObject->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
