/*
 * BUG-01: frees its resource before it removes the routine that uses it
 *
 * A routine that still runs on another processor releases a NULL resource. Sandboxie had this until its PR 5329.
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
    ExDeleteResourceLite(Lock);
    ExFreePoolWithTag(Lock, TAG);
    Lock = NULL;
    PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
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
