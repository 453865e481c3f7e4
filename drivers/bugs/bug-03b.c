/*
 * BUG-03, second half: waits in the exit of a process for its children
 *
 * They may never exit, and the process stays for ever.
 */
#include "bugs.h"

typedef struct _WATCHED {
    LIST_ENTRY Link;
    HANDLE Process;
    HANDLE Parent;
} WATCHED;

static FAST_MUTEX Lock;
static LIST_ENTRY List;
static KEVENT ChildGone;

static BOOLEAN HasChildren(HANDLE ProcessId)
{
    BOOLEAN found = FALSE;
    ExAcquireFastMutex(&Lock);
    for (PLIST_ENTRY link = List.Flink; link != &List; link = link->Flink)
        if (CONTAINING_RECORD(link, WATCHED, Link)->Parent == ProcessId)
            found = TRUE;
    ExReleaseFastMutex(&Lock);
    return found;
}

static VOID Forget(HANDLE ProcessId)
{
    WATCHED *found = NULL;
    ExAcquireFastMutex(&Lock);
    for (PLIST_ENTRY link = List.Flink; link != &List && found == NULL; link = link->Flink)
        if (CONTAINING_RECORD(link, WATCHED, Link)->Process == ProcessId)
            found = CONTAINING_RECORD(link, WATCHED, Link);
    if (found != NULL)
        RemoveEntryList(&found->Link);
    ExReleaseFastMutex(&Lock);
    if (found != NULL)
        ExFreePoolWithTag(found, TAG);
}

static VOID NTAPI OnProcess(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)
{
    WATCHED *watched;
    if (Create) {
        watched = ExAllocatePoolWithTag(NonPagedPool, sizeof(*watched), TAG);
        if (watched == NULL)
            return;
        watched->Process = ProcessId;
        watched->Parent = ParentId;
        ExAcquireFastMutex(&Lock);
        InsertTailList(&List, &watched->Link);
        ExReleaseFastMutex(&Lock);
        return;
    }
    while (HasChildren(ProcessId))
        KeWaitForSingleObject(&ChildGone, Executive, KernelMode, FALSE, NULL);
    Forget(ProcessId);
    KeSetEvent(&ChildGone, IO_NO_INCREMENT, FALSE);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsSetCreateProcessNotifyRoutine(OnProcess, TRUE);
    while (!IsListEmpty(&List))
        ExFreePoolWithTag(CONTAINING_RECORD(RemoveHeadList(&List), WATCHED, Link), TAG);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    ExInitializeFastMutex(&Lock);
    InitializeListHead(&List);
    KeInitializeEvent(&ChildGone, SynchronizationEvent, FALSE);
    return PsSetCreateProcessNotifyRoutine(OnProcess, FALSE);
}
