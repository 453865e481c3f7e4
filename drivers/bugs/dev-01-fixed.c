/* DEV-01, corrected: both walks are one, under the list's lock. */
#include "bugs.h"

typedef struct _SEEN {
    LIST_ENTRY Link;
    HANDLE Process;
} SEEN;

static PDEVICE_OBJECT Device;
static FAST_MUTEX Lock;
static LIST_ENTRY List;

static VOID NTAPI OnProcess(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)
{
    SEEN *seen = NULL;
    UNREFERENCED_PARAMETER(ParentId);
    if (Create) {
        seen = ExAllocatePoolWithTag(NonPagedPool, sizeof(*seen), TAG);
        if (seen == NULL)
            return;
        seen->Process = ProcessId;
        ExAcquireFastMutex(&Lock);
        InsertTailList(&List, &seen->Link);
        ExReleaseFastMutex(&Lock);
        return;
    }
    ExAcquireFastMutex(&Lock);
    for (PLIST_ENTRY link = List.Flink; link != &List && seen == NULL; link = link->Flink)
        if (CONTAINING_RECORD(link, SEEN, Link)->Process == ProcessId)
            seen = CONTAINING_RECORD(link, SEEN, Link);
    if (seen != NULL)
        RemoveEntryList(&seen->Link);
    ExReleaseFastMutex(&Lock);
    if (seen != NULL)
        ExFreePoolWithTag(seen, TAG);
}

static NTSTATUS TakeSnapshot(PFILE_OBJECT File)
{
    ULONG count = 0, at = 0;
    HANDLE *copy;
    ExAcquireFastMutex(&Lock);
    for (PLIST_ENTRY link = List.Flink; link != &List; link = link->Flink)
        count++;
    copy = ExAllocatePoolWithTag(NonPagedPool, (count + 1) * sizeof(HANDLE), TAG);
    if (copy != NULL) {
        for (PLIST_ENTRY link = List.Flink; link != &List; link = link->Flink)
            copy[at++] = CONTAINING_RECORD(link, SEEN, Link)->Process;
        copy[at] = NULL;
    }
    ExReleaseFastMutex(&Lock);
    File->FsContext = copy;
    return copy != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

static NTSTATUS NTAPI Dispatch(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS status = STATUS_SUCCESS;
    UNREFERENCED_PARAMETER(DeviceObject);
    if (stack->MajorFunction == IRP_MJ_CREATE)
        status = TakeSnapshot(stack->FileObject);
    if (stack->MajorFunction == IRP_MJ_CLOSE && stack->FileObject->FsContext != NULL)
        ExFreePoolWithTag(stack->FileObject->FsContext, TAG);
    Irp->IoStatus.Status = status;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return status;
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsSetCreateProcessNotifyRoutine(OnProcess, TRUE);
    while (!IsListEmpty(&List))
        ExFreePoolWithTag(CONTAINING_RECORD(RemoveHeadList(&List), SEEN, Link), TAG);
    IoDeleteDevice(Device);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\CallboardSnapshot");
    NTSTATUS status;
    UNREFERENCED_PARAMETER(RegistryPath);
    ExInitializeFastMutex(&Lock);
    InitializeListHead(&List);
    DriverObject->MajorFunction[IRP_MJ_CREATE] = Dispatch;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = Dispatch;
    DriverObject->DriverUnload = Unload;
    status = IoCreateDevice(DriverObject, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device);
    if (!NT_SUCCESS(status))
        return status;
    status = PsSetCreateProcessNotifyRoutine(OnProcess, FALSE);
    if (!NT_SUCCESS(status))
        IoDeleteDevice(Device);
    return status;
}
