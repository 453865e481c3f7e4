/*
 * A device, \Device\CallboardDevice, that answers every kind of request a program can send.
 *
 *   0x222000  buffered      answers its input, reversed
 *   0x222005  in direct     Information is the sum of the second buffer's bytes
 *   0x22200A  out direct    fills the second buffer with the input's first byte
 *   0x22200F  neither       copies the first buffer to the second
 *   0x222010  buffered      pends; a timer completes it after as many milliseconds as the input, a ULONG, says
 *   0x222014  buffered      answers the clock: system time, interrupt time, ticks, each 8 bytes
 *   0x222018  buffered      sleeps for as many milliseconds as the input says, and answers how long that took
 *   0x22A01C  buffered      needs write access, and does nothing
 *   0x222020  buffered      starts a periodic timer, whose ticks are printed, of as many milliseconds
 *   read                    byte i of the answer is the low byte of offset + i
 *   write                   takes everything
 */
#include "common.h"

#define REVERSE 0x222000
#define SUM 0x222005
#define FILL 0x22200A
#define COPY 0x22200F
#define PEND 0x222010
#define CLOCK 0x222014
#define SLEEP 0x222018
#define GUARDED 0x22A01C
#define PERIODIC 0x222020

static PDEVICE_OBJECT Device;
static UNICODE_STRING Link = RTL_CONSTANT_STRING(L"\\??\\CallboardDevice");
static KTIMER Later, Often;
static KDPC LaterDpc, OftenDpc;
static PIRP Pended;
static LONG Ticks;

static NTSTATUS Complete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static VOID NTAPI IsLater(PKDPC Dpc, PVOID Context, PVOID Low, PVOID High)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Low);
    UNREFERENCED_PARAMETER(High);
    PIRP irp = (PIRP)InterlockedExchangePointer((PVOID *)&Pended, NULL);
    if (irp != NULL)
        Complete(irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI IsOften(PKDPC Dpc, PVOID Context, PVOID Low, PVOID High)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Low);
    UNREFERENCED_PARAMETER(High);
    LARGE_INTEGER now;
    KeQuerySystemTime(&now);
    DbgPrint("device: tick %d at %I64d\n", (int)InterlockedIncrement(&Ticks), now.QuadPart);
}

static NTSTATUS NTAPI Simple(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    static const char *const names[] = {"create", "", "close"};
    UCHAR major = IoGetCurrentIrpStackLocation(Irp)->MajorFunction;
    DbgPrint("device: %s by %I64u mode %d\n", major == IRP_MJ_CLEANUP ? "cleanup" : names[major],
             ID(PsGetCurrentProcessId()), Irp->RequestorMode);
    return Complete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI ReadWrite(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    ULONG length = stack->Parameters.Read.Length;
    if (stack->MajorFunction == IRP_MJ_READ)
        for (ULONG i = 0; i < length; i++)
            ((PUCHAR)Irp->AssociatedIrp.SystemBuffer)[i] = (UCHAR)(stack->Parameters.Read.ByteOffset.QuadPart + i);
    else
        DbgPrint("device: written %u, first 0x%02x\n", length,
                 length > 0 ? *(PUCHAR)Irp->AssociatedIrp.SystemBuffer : 0);
    return Complete(Irp, STATUS_SUCCESS, length);
}

static NTSTATUS NTAPI Control(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    ULONG in = stack->Parameters.DeviceIoControl.InputBufferLength;
    ULONG out = stack->Parameters.DeviceIoControl.OutputBufferLength;
    PUCHAR system = (PUCHAR)Irp->AssociatedIrp.SystemBuffer;
    PUCHAR mapped = NULL;
    LARGE_INTEGER due;
    ULONG64 began, sum = 0;
    if (Irp->MdlAddress != NULL)
        mapped = (PUCHAR)MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority);
    switch (stack->Parameters.DeviceIoControl.IoControlCode) {
    case REVERSE:
        if (out < in)
            return Complete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
        for (ULONG i = 0; i < in / 2; i++) {
            UCHAR other = system[in - 1 - i];
            system[in - 1 - i] = system[i];
            system[i] = other;
        }
        return Complete(Irp, STATUS_SUCCESS, in);
    case SUM:
        for (ULONG i = 0; i < out; i++)
            sum += mapped[i];
        return Complete(Irp, STATUS_SUCCESS, sum);
    case FILL:
        for (ULONG i = 0; i < out; i++)
            mapped[i] = system[0];
        return Complete(Irp, STATUS_SUCCESS, out);
    case COPY:
        for (ULONG i = 0; i < in && i < out; i++)
            ((PUCHAR)Irp->UserBuffer)[i] = ((PUCHAR)stack->Parameters.DeviceIoControl.Type3InputBuffer)[i];
        return Complete(Irp, STATUS_SUCCESS, in < out ? in : out);
    case PEND:
        if (in < sizeof(ULONG))
            return Complete(Irp, STATUS_INVALID_PARAMETER, 0);
        due.QuadPart = *(PULONG)system * -10000LL;
        IoMarkIrpPending(Irp);
        InterlockedExchangePointer((PVOID *)&Pended, Irp);
        KeSetTimer(&Later, due, &LaterDpc);
        return STATUS_PENDING;
    case CLOCK:
        if (out < 3 * sizeof(ULONG64))
            return Complete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
        KeQuerySystemTime((PLARGE_INTEGER)system);
        ((PULONG64)system)[1] = KeQueryInterruptTime();
        KeQueryTickCount((PLARGE_INTEGER)system + 2);
        return Complete(Irp, STATUS_SUCCESS, 3 * sizeof(ULONG64));
    case SLEEP:
        if (in < sizeof(ULONG) || out < sizeof(ULONG64))
            return Complete(Irp, STATUS_INVALID_PARAMETER, 0);
        due.QuadPart = *(PULONG)system * -10000LL;
        began = KeQueryInterruptTime();
        KeDelayExecutionThread(KernelMode, FALSE, &due);
        *(PULONG64)system = KeQueryInterruptTime() - began;
        return Complete(Irp, STATUS_SUCCESS, sizeof(ULONG64));
    case GUARDED:
        return Complete(Irp, STATUS_SUCCESS, 0);
    case PERIODIC:
        if (in < sizeof(ULONG))
            return Complete(Irp, STATUS_INVALID_PARAMETER, 0);
        due.QuadPart = *(PULONG)system * -10000LL;
        KeSetTimerEx(&Often, due, *(PLONG)system, &OftenDpc);
        return Complete(Irp, STATUS_SUCCESS, 0);
    }
    return Complete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    KeCancelTimer(&Often);
    KeFlushQueuedDpcs();
    IoDeleteSymbolicLink(&Link);
    IoDeleteDevice(Device);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\CallboardDevice");
    NTSTATUS status;
    KeInitializeTimer(&Later);
    KeInitializeDpc(&LaterDpc, IsLater, NULL);
    KeInitializeTimer(&Often);
    KeInitializeDpc(&OftenDpc, IsOften, NULL);
    DriverObject->MajorFunction[IRP_MJ_CREATE] = Simple;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = Simple;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = Simple;
    DriverObject->MajorFunction[IRP_MJ_READ] = ReadWrite;
    DriverObject->MajorFunction[IRP_MJ_WRITE] = ReadWrite;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = Control;
    DriverObject->DriverUnload = Unload;
    status = IoCreateDevice(DriverObject, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device);
    if (!NT_SUCCESS(status))
        return status;
    Device->Flags |= DO_BUFFERED_IO;
    status = IoCreateSymbolicLink(&Link, &name);
    if (!NT_SUCCESS(status))
        IoDeleteDevice(Device);
    return status;
}
