/*
 * Says what power requests bring. Loaded twice it makes a stack of two devices.
 *
 * Without a Mode it makes \Device\CallboardPower, and stands in for a bus driver: it completes what it is sent. Parameters\Mode:
 *
 *   filter   attaches a device to that one, passes requests down, and says how they come back
 *   refuses  as without, and fails queries
 *   keeps    as without, and never completes a set-power request
 */
#include "../rules/mode.h"

static PDEVICE_OBJECT Own, Below;

static const char *Kind(PIO_STACK_LOCATION Stack)
{
    return Stack->MinorFunction == IRP_MN_SET_POWER ? "set" : "query";
}

static NTSTATUS NTAPI Done(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    if (Irp->PendingReturned)
        IoMarkIrpPending(Irp);
    DbgPrint("power: back%s with 0x%08x\n", DeviceObject == Own ? "" : " somewhere", Irp->IoStatus.Status);
    return STATUS_CONTINUE_COMPLETION;
}

static NTSTATUS Bus(PIRP Irp, PIO_STACK_LOCATION Stack)
{
    NTSTATUS status = STATUS_SUCCESS;
    BOOLEAN sets = Stack->MinorFunction == IRP_MN_SET_POWER;
    if (sets && Stack->Parameters.Power.Type == DevicePowerState) {
        POWER_STATE before = PoSetPowerState(Own, DevicePowerState, Stack->Parameters.Power.State);
        DbgPrint("power: D%d, before D%d\n", Stack->Parameters.Power.State.DeviceState - PowerDeviceD0,
                 before.DeviceState - PowerDeviceD0);
    }
    if (sets && ModeIs(L"keeps")) {
        IoMarkIrpPending(Irp);
        return STATUS_PENDING;
    }
    if (!sets && ModeIs(L"refuses"))
        status = STATUS_DEVICE_BUSY;
    PoStartNextPowerIrp(Irp);
    Irp->IoStatus.Status = status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI Power(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    ULONG context = stack->Parameters.Power.SystemContext;
    UNREFERENCED_PARAMETER(DeviceObject);
    DbgPrint("power: %s %s %d action %d target %u effective %u current %u status 0x%08x irql %d mode %d\n", Kind(stack),
             stack->Parameters.Power.Type == SystemPowerState ? "system" : "device",
             stack->Parameters.Power.State.SystemState, stack->Parameters.Power.ShutdownType, context >> 8 & 15,
             context >> 12 & 15, context >> 16 & 15, Irp->IoStatus.Status, KeGetCurrentIrql(), Irp->RequestorMode);
    if (Below == NULL)
        return Bus(Irp, stack);
    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, Done, NULL, TRUE, TRUE, TRUE);
    PoStartNextPowerIrp(Irp);
    return PoCallDriver(Below, Irp);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    if (Below != NULL)
        IoDetachDevice(Below);
    IoDeleteDevice(Own);
}

static NTSTATUS Attach(PUNICODE_STRING Name)
{
    PFILE_OBJECT file;
    PDEVICE_OBJECT target;
    NTSTATUS status = IoGetDeviceObjectPointer(Name, FILE_READ_DATA, &file, &target);
    if (!NT_SUCCESS(status))
        return status;
    Below = IoAttachDeviceToDeviceStack(Own, target);
    ObDereferenceObject(file);
    return Below != NULL ? STATUS_SUCCESS : STATUS_NO_SUCH_DEVICE;
}

static NTSTATUS NTAPI CreateClose(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\CallboardPower");
    BOOLEAN filters;
    NTSTATUS status;
    ReadMode(RegistryPath);
    filters = ModeIs(L"filter");
    DriverObject->MajorFunction[IRP_MJ_CREATE] = CreateClose;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = CreateClose;
    DriverObject->MajorFunction[IRP_MJ_POWER] = Power;
    DriverObject->DriverUnload = Unload;
    status = IoCreateDevice(DriverObject, 0, filters ? NULL : &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &Own);
    if (!NT_SUCCESS(status))
        return status;
    Own->Flags |= DO_POWER_PAGABLE;
    if (filters) {
        status = Attach(&name);
        if (!NT_SUCCESS(status))
            IoDeleteDevice(Own);
        else
            Own->Flags &= ~DO_DEVICE_INITIALIZING;
    }
    return status;
}
