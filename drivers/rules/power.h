/* A device that hears of power, with a process routine beside it: what the pair of PO-01 shares. */
#ifndef POWER_H
#define POWER_H

#include "mode.h"

static PDEVICE_OBJECT Device;

/* What the driver does when the system goes to sleep (TRUE) or wakes up (FALSE). */
static VOID OnSleep(BOOLEAN Sleeps);

static NTSTATUS NTAPI Power(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    BOOLEAN sets = stack->MinorFunction == IRP_MN_SET_POWER;
    UNREFERENCED_PARAMETER(DeviceObject);
    if ((sets || ModeIs(L"query")) && stack->Parameters.Power.Type == SystemPowerState)
        OnSleep(stack->Parameters.Power.State.SystemState != PowerSystemWorking);
    PoStartNextPowerIrp(Irp);
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

/* Makes the device. */
static NTSTATUS Prepare(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    ReadMode(RegistryPath);
    DriverObject->MajorFunction[IRP_MJ_POWER] = Power;
    status = IoCreateDevice(DriverObject, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device);
    if (NT_SUCCESS(status))
        Device->Flags |= DO_POWER_PAGABLE;
    return status;
}

#endif
