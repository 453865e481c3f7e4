/*
 * BUG-02: registers its routine before it initialises what the routine uses
 *
 * A process that is created in between meets a NULL list head. Several published samples have this.
 */
#include "bugs.h"

typedef struct _SEEN {
    LIST_ENTRY Link;
    HANDLE Process;
} SEEN;

static LIST_ENTRY List;
static FAST_MUTEX Lock;

static VOID NTAPI OnProcess(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)
{
    SEEN *seen;
    UNREFERENCED_PARAMETER(ParentId);
    if (!Create)
        return;
    seen = ExAllocatePoolWithTag(NonPagedPool, sizeof(*seen), TAG);
    if (seen == NULL)
        return;
    seen->Process = ProcessId;
    ExAcquireFastMutex(&Lock);
    InsertTailList(&List, &seen->Link);
    ExReleaseFastMutex(&Lock);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsSetCreateProcessNotifyRoutine(OnProcess, TRUE);
    while (!IsListEmpty(&List))
        ExFreePoolWithTag(CONTAINING_RECORD(RemoveHeadList(&List), SEEN, Link), TAG);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    status = PsSetCreateProcessNotifyRoutine(OnProcess, FALSE);
    if (!NT_SUCCESS(status))
        return status;
    ExInitializeFastMutex(&Lock);
    InitializeListHead(&List);
    return STATUS_SUCCESS;
}
