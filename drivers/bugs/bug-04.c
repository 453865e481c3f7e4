/*
 * BUG-04: keeps its processes in a list without a lock
 *
 * Two processes that start or exit at once, or an image in one while another exits, damage the list or walk through
 * a freed entry.
 */
#include "bugs.h"

typedef struct _INJECTION {
    LIST_ENTRY Link;
    HANDLE Process;
    ULONG Images;
} INJECTION;

static LIST_ENTRY List;

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
        InsertTailList(&List, &injection->Link);
        return;
    }
    injection = Find(ProcessId);
    if (injection != NULL)
        RemoveEntryList(&injection->Link);
    if (injection != NULL)
        ExFreePoolWithTag(injection, TAG);
}

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    INJECTION *injection;
    UNREFERENCED_PARAMETER(FullImageName);
    UNREFERENCED_PARAMETER(ImageInfo);
    injection = Find(ProcessId);
    if (injection != NULL)
        injection->Images++;
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsRemoveLoadImageNotifyRoutine(OnImage);
    PsSetCreateProcessNotifyRoutine(OnProcess, TRUE);
    while (!IsListEmpty(&List))
        ExFreePoolWithTag(CONTAINING_RECORD(RemoveHeadList(&List), INJECTION, Link), TAG);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    InitializeListHead(&List);
    status = PsSetCreateProcessNotifyRoutine(OnProcess, FALSE);
    if (!NT_SUCCESS(status))
        return status;
    status = PsSetLoadImageNotifyRoutine(OnImage);
    if (!NT_SUCCESS(status))
        PsSetCreateProcessNotifyRoutine(OnProcess, TRUE);
    return status;
}
