/*
 * BUG-03 corrected: the twin of bug-03
 *
 * The three routines are removed first, then the globals are destroyed.
 */
#include "bugs.h"

typedef struct _WATCHED {
    LIST_ENTRY Link;
    HANDLE Process;
    ULONG Images;
    ULONG Threads;
} WATCHED;

typedef struct _GLOBALS {
    FAST_MUTEX Lock;
    LIST_ENTRY List;
} GLOBALS;

static GLOBALS *Globals;

static WATCHED *Find(HANDLE ProcessId)
{
    for (PLIST_ENTRY link = Globals->List.Flink; link != &Globals->List; link = link->Flink) {
        WATCHED *watched = CONTAINING_RECORD(link, WATCHED, Link);
        if (watched->Process == ProcessId)
            return watched;
    }
    return NULL;
}

static VOID NTAPI OnProcess(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)
{
    WATCHED *watched;
    UNREFERENCED_PARAMETER(ParentId);
    if (Create) {
        watched = ExAllocatePoolWithTag(NonPagedPool, sizeof(*watched), TAG);
        if (watched == NULL)
            return;
        watched->Images = 0;
        watched->Threads = 0;
        watched->Process = ProcessId;
        ExAcquireFastMutex(&Globals->Lock);
        InsertTailList(&Globals->List, &watched->Link);
        ExReleaseFastMutex(&Globals->Lock);
        return;
    }
    ExAcquireFastMutex(&Globals->Lock);
    watched = Find(ProcessId);
    if (watched != NULL)
        RemoveEntryList(&watched->Link);
    ExReleaseFastMutex(&Globals->Lock);
    if (watched != NULL)
        ExFreePoolWithTag(watched, TAG);
}

static VOID NTAPI OnThread(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    WATCHED *watched;
    UNREFERENCED_PARAMETER(ThreadId);
    if (!Create)
        return;
    ExAcquireFastMutex(&Globals->Lock);
    watched = Find(ProcessId);
    if (watched != NULL)
        watched->Threads++;
    ExReleaseFastMutex(&Globals->Lock);
}

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    WATCHED *watched;
    UNREFERENCED_PARAMETER(FullImageName);
    UNREFERENCED_PARAMETER(ImageInfo);
    ExAcquireFastMutex(&Globals->Lock);
    watched = Find(ProcessId);
    if (watched != NULL)
        watched->Images++;
    ExReleaseFastMutex(&Globals->Lock);
}

static VOID Destroy(VOID)
{
    while (!IsListEmpty(&Globals->List))
        ExFreePoolWithTag(CONTAINING_RECORD(RemoveHeadList(&Globals->List), WATCHED, Link), TAG);
    ExFreePoolWithTag(Globals, TAG);
    Globals = NULL;
}

static VOID Remove(VOID)
{
    PsRemoveLoadImageNotifyRoutine(OnImage);
    PsRemoveCreateThreadNotifyRoutine(OnThread);
    PsSetCreateProcessNotifyRoutine(OnProcess, TRUE);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    Remove();
    Destroy();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    Globals = ExAllocatePoolWithTag(NonPagedPool, sizeof(*Globals), TAG);
    if (Globals == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    ExInitializeFastMutex(&Globals->Lock);
    InitializeListHead(&Globals->List);
    status = PsSetCreateProcessNotifyRoutine(OnProcess, FALSE);
    if (NT_SUCCESS(status))
        status = PsSetCreateThreadNotifyRoutine(OnThread);
    if (NT_SUCCESS(status))
        status = PsSetLoadImageNotifyRoutine(OnImage);
    if (!NT_SUCCESS(status)) {
        Remove();
        Destroy();
    }
    return status;
}
