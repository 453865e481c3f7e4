/* Keeps a request pending, marked, and completes it in a work item (IO-02). */
#include "device.h"

static IO_WORKITEM_ROUTINE Later;

static VOID NTAPI Later(PDEVICE_OBJECT DeviceObject, PVOID Context)
{
    PIRP irp = Context;
    PIO_WORKITEM item = irp->Tail.Overlay.DriverContext[0];
    UNREFERENCED_PARAMETER(DeviceObject);
    Complete(irp, STATUS_SUCCESS);
    IoFreeWorkItem(item);
}

static NTSTATUS NTAPI Control(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_WORKITEM item = IoAllocateWorkItem(DeviceObject);
    if (item == NULL)
        return Complete(Irp, STATUS_INSUFFICIENT_RESOURCES);
    Irp->Tail.Overlay.DriverContext[0] = item;
    IoMarkIrpPending(Irp);
    IoQueueWorkItem(item, Later, DelayedWorkQueue, Irp);
    return STATUS_PENDING;
}
