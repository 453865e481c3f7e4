/*
 * BUG-02 corrected: the twin of bug-02
 *
 * The mutex and the list are ready before the process routine is registered.
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
    ExInitializeFastMutex(&Lock);
    InitializeListHead(&List);
    status = PsSetCreateProcessNotifyRoutine(OnProcess, FALSE);
    return status;
}
