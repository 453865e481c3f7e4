/*
 * BUG-04 corrected: the twin of bug-04
 *
 * A fast mutex around every use of the list.
 */
#include "bugs.h"

typedef struct _INJECTION {
    LIST_ENTRY Link;
    HANDLE Process;
    ULONG Images;
} INJECTION;

static LIST_ENTRY List;
static FAST_MUTEX Lock;

static INJECTION *Find(HANDLE ProcessId)
{
    for (PLIST_ENTRY link = List.Flink; link != &List; link = link->Flink) {
        INJECTION *injection = CONTAINING_RECORD(link, INJECTION, Link);
        if (injection->Process == ProcessId)
            return injection;
    }
    return NULL;
}

static VOID NTAPI OnProcess(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)
{
    INJECTION *injection;
    UNREFERENCED_PARAMETER(ParentId);
    if (Create) {
        injection = ExAllocatePoolWithTag(NonPagedPool, sizeof(*injection), TAG);
        if (injection == NULL)
            return;
        injection->Process = ProcessId;
        injection->Images = 0;
        ExAcquireFastMutex(&Lock);
        InsertTailList(&List, &injection->Link);
        ExReleaseFastMutex(&Lock);
        return;
    }
    ExAcquireFastMutex(&Lock);
    injection = Find(ProcessId);
    if (injection != NULL)
        RemoveEntryList(&injection->Link);
    ExReleaseFastMutex(&Lock);
    if (injection != NULL)
        ExFreePoolWithTag(injection, TAG);
}

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    INJECTION *injection;
    UNREFERENCED_PARAMETER(FullImageName);
    UNREFERENCED_PARAMETER(ImageInfo);
    ExAcquireFastMutex(&Lock);
    injection = Find(ProcessId);
    if (injection != NULL)
        injection->Images++;
    ExReleaseFastMutex(&Lock);
}

/* Removes the process routine, which may have run already when DriverEntry fails, and then frees what it kept. */
static VOID Stop(VOID)
{
    PsSetCreateProcessNotifyRoutine(OnProcess, TRUE);
    while (!IsListEmpty(&List))
        ExFreePoolWithTag(CONTAINING_RECORD(RemoveHeadList(&List), INJECTION, Link), TAG);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsRemoveLoadImageNotifyRoutine(OnImage);
    Stop();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    InitializeListHead(&List);
    ExInitializeFastMutex(&Lock);
    status = PsSetCreateProcessNotifyRoutine(OnProcess, FALSE);
    if (!NT_SUCCESS(status))
        return status;
    status = PsSetLoadImageNotifyRoutine(OnImage);
    if (!NT_SUCCESS(status))
        Stop();
    return status;
}
