/*
 * An inverted call: a program keeps requests pending on \Device\CallboardInverted, and one is completed for each
 * process that is created.
 *
 *   0x222000  buffered  pends; its answer is the id of the process, 8 bytes
 *   0x222004  buffered  answers how many requests are pending, a ULONG
 *   0x222008  buffered  pends, and can be neither cancelled nor completed until the next process is created
 *   read                pends like 0x222000
 *   write               takes everything
 *
 * Requests wait in a queue under a spin lock. Whoever takes one out of the queue (the process routine, the cancel routine,
 * the cleanup of its file) has it alone: taking its cancel routine away succeeds for one of them only.
 */
#include "common.h"

#define NEXT 0x222000
#define COUNT 0x222004
#define STUBBORN 0x222008

static PDEVICE_OBJECT Device;
static UNICODE_STRING Link = RTL_CONSTANT_STRING(L"\\??\\CallboardInverted");
static KSPIN_LOCK Lock;
static LIST_ENTRY Queue;
static PIRP Stubborn;

static NTSTATUS Complete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static VOID NTAPI Cancel(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    KIRQL irql;
    UNREFERENCED_PARAMETER(DeviceObject);
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    KeAcquireSpinLock(&Lock, &irql);
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
    KeReleaseSpinLock(&Lock, irql);
    DbgPrint("inverted: cancelled\n");
    Complete(Irp, STATUS_CANCELLED, 0);
}

static NTSTATUS Pend(PIRP Irp)
{
    KIRQL irql;
    IoMarkIrpPending(Irp);
    KeAcquireSpinLock(&Lock, &irql);
    IoSetCancelRoutine(Irp, Cancel);
    if (Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL) {
        /* It was cancelled before, and its cancel routine will not be called. */
        KeReleaseSpinLock(&Lock, irql);
        Complete(Irp, STATUS_CANCELLED, 0);
        return STATUS_PENDING;
    }
    InsertTailList(&Queue, &Irp->Tail.Overlay.ListEntry);
    KeReleaseSpinLock(&Lock, irql);
    return STATUS_PENDING;
}

/* Takes the first request out of the queue, of a file or of any (NULL). */
static PIRP Take(PFILE_OBJECT File)
{
    KIRQL irql;
    PIRP found = NULL;
    KeAcquireSpinLock(&Lock, &irql);
    for (PLIST_ENTRY entry = Queue.Flink; entry != &Queue && found == NULL; entry = entry->Flink) {
        PIRP irp = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);
        if (File != NULL && IoGetCurrentIrpStackLocation(irp)->FileObject != File)
            continue;
        /* One whose cancel routine has been called waits for the lock, and takes itself out. */
        if (IoSetCancelRoutine(irp, NULL) != NULL)
            found = irp;
    }
    if (found != NULL)
        RemoveEntryList(&found->Tail.Overlay.ListEntry);
    KeReleaseSpinLock(&Lock, irql);
    return found;
}

static VOID Answer(PIRP Irp, HANDLE ProcessId)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    ULONG room = stack->MajorFunction == IRP_MJ_READ ? stack->Parameters.Read.Length
                                                     : stack->Parameters.DeviceIoControl.OutputBufferLength;
    if (room < sizeof(ULONG64)) {
        Complete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
        return;
    }
    *(PULONG64)Irp->AssociatedIrp.SystemBuffer = ID(ProcessId);
    Complete(Irp, STATUS_SUCCESS, sizeof(ULONG64));
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    PIRP irp;
    UNREFERENCED_PARAMETER(Process);
    if (CreateInfo == NULL)
        return;
    irp = (PIRP)InterlockedExchangePointer((PVOID *)&Stubborn, NULL);
    if (irp != NULL)
        Complete(irp, STATUS_SUCCESS, 0);
    irp = Take(NULL);
    if (irp != NULL)
        Answer(irp, ProcessId);
    else
        DbgPrint("inverted: nobody listens\n");
}

static NTSTATUS NTAPI CreateClose(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    if (IoGetCurrentIrpStackLocation(Irp)->MajorFunction == IRP_MJ_CLOSE)
        DbgPrint("inverted: close\n");
    return Complete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI Cleanup(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIRP irp;
    UNREFERENCED_PARAMETER(DeviceObject);
    DbgPrint("inverted: cleanup\n");
    while ((irp = Take(IoGetCurrentIrpStackLocation(Irp)->FileObject)) != NULL)
        Complete(irp, STATUS_CANCELLED, 0);
    return Complete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI ReadWrite(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    UNREFERENCED_PARAMETER(DeviceObject);
    if (stack->MajorFunction == IRP_MJ_READ)
        return Pend(Irp);
    return Complete(Irp, STATUS_SUCCESS, stack->Parameters.Write.Length);
}

static NTSTATUS NTAPI Control(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    ULONG count = 0;
    KIRQL irql;
    UNREFERENCED_PARAMETER(DeviceObject);
    switch (stack->Parameters.DeviceIoControl.IoControlCode) {
    case NEXT:
        return Pend(Irp);
    case COUNT:
        if (stack->Parameters.DeviceIoControl.OutputBufferLength < sizeof(ULONG))
            return Complete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
        KeAcquireSpinLock(&Lock, &irql);
        for (PLIST_ENTRY entry = Queue.Flink; entry != &Queue; entry = entry->Flink)
            count++;
        KeReleaseSpinLock(&Lock, irql);
        *(PULONG)Irp->AssociatedIrp.SystemBuffer = count;
        return Complete(Irp, STATUS_SUCCESS, sizeof(ULONG));
    case STUBBORN:
        IoMarkIrpPending(Irp);
        if (InterlockedCompareExchangePointer((PVOID *)&Stubborn, Irp, NULL) != NULL)
            Complete(Irp, STATUS_DEVICE_BUSY, 0);
        return STATUS_PENDING;
    }
    return Complete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    /* No request is pending any more: each would keep its file open, and so this routine from being called. */
    PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
    IoDeleteSymbolicLink(&Link);
    IoDeleteDevice(Device);
    DbgPrint("inverted: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\CallboardInverted");
    NTSTATUS status;
    UNREFERENCED_PARAMETER(RegistryPath);
    KeInitializeSpinLock(&Lock);
    InitializeListHead(&Queue);
    DriverObject->MajorFunction[IRP_MJ_CREATE] = CreateClose;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = Cleanup;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = CreateClose;
    DriverObject->MajorFunction[IRP_MJ_READ] = ReadWrite;
    DriverObject->MajorFunction[IRP_MJ_WRITE] = ReadWrite;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = Control;
    DriverObject->DriverUnload = Unload;
    status = IoCreateDevice(DriverObject, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device);
    if (!NT_SUCCESS(status))
        return status;
    Device->Flags |= DO_BUFFERED_IO;
    status = IoCreateSymbolicLink(&Link, &name);
    if (NT_SUCCESS(status)) {
        status = PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
        if (NT_SUCCESS(status))
            return status;
        IoDeleteSymbolicLink(&Link);
    }
    IoDeleteDevice(Device);
    return status;
}
