/*
 * Registers a process routine and an image routine from wherever its driver stands: without any device (Mode `alone`,
 * in DriverEntry), or with a device attached to \Device\CallboardDevice, when control code 0x222100 passes by.
 *
 *   caller: NAME above=0|1 below=0|1 process=0x… image=0x…    NAME is the service; what is attached above, and to what
 *   caller: NAME told process|image
 */
#include "../rules/mode.h"

#define REGISTER 0x222100

/* Found by name: of the drivers of this folder only this one needs them. */
typedef NTSTATUS(FASTCALL *CALL_DRIVER)(PDEVICE_OBJECT Device, PIRP Irp);
typedef NTSTATUS(NTAPI *ATTACH)(PDEVICE_OBJECT Source, PUNICODE_STRING Target, PDEVICE_OBJECT *Below);
typedef VOID(NTAPI *DETACH)(PDEVICE_OBJECT Below);
static CALL_DRIVER CallDriver;
static DETACH Detach;

static WCHAR Name[32];
static PDEVICE_OBJECT Device, Below;
static BOOLEAN Process, Image;

static VOID NTAPI OnProcess(PEPROCESS Subject, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Subject);
    UNREFERENCED_PARAMETER(ProcessId);
    if (CreateInfo != NULL)
        DbgPrint("caller: %ws told process\n", Name);
}

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    UNREFERENCED_PARAMETER(FullImageName);
    UNREFERENCED_PARAMETER(ImageInfo);
    if (ProcessId != NULL)
        DbgPrint("caller: %ws told image\n", Name);
}

static VOID Register(VOID)
{
    NTSTATUS(NTAPI *ex)(PLOAD_IMAGE_NOTIFY_ROUTINE, ULONG_PTR) = Resolve(L"PsSetLoadImageNotifyRoutineEx");
    NTSTATUS process = PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
    NTSTATUS image = ex != NULL ? ex(OnImage, 0) : PsSetLoadImageNotifyRoutine(OnImage);
    Process = NT_SUCCESS(process);
    Image = NT_SUCCESS(image);
    DbgPrint("caller: %ws above=%u below=%u process=0x%08X image=0x%08X\n", Name,
             Device != NULL && Device->AttachedDevice != NULL, Below != NULL, process, image);
}

static NTSTATUS NTAPI Pass(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    UNREFERENCED_PARAMETER(DeviceObject);
    if (stack->MajorFunction == IRP_MJ_DEVICE_CONTROL && stack->Parameters.DeviceIoControl.IoControlCode == REGISTER
        && !Process)
        Register();
    IoSkipCurrentIrpStackLocation(Irp);
    return CallDriver(Below, Irp);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    if (Process)
        PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
    if (Image)
        PsRemoveLoadImageNotifyRoutine(OnImage);
    if (Below != NULL)
        Detach(Below);
    if (Device != NULL)
        IoDeleteDevice(Device);
}

/* The last part of the service's key. */
static VOID TakeName(PCUNICODE_STRING RegistryPath)
{
    USHORT units = RegistryPath->Length / sizeof(WCHAR), begin = units;
    while (begin > 0 && RegistryPath->Buffer[begin - 1] != L'\\')
        begin--;
    for (USHORT i = 0; begin + i < units && i < ARRAYSIZE(Name) - 1; i++)
        Name[i] = RegistryPath->Buffer[begin + i];
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNICODE_STRING target = RTL_CONSTANT_STRING(L"\\Device\\CallboardDevice");
    ATTACH attach = (ATTACH)Resolve(L"IoAttachDevice");
    NTSTATUS status;

    CallDriver = (CALL_DRIVER)Resolve(L"IofCallDriver");
    Detach = (DETACH)Resolve(L"IoDetachDevice");
    DriverObject->DriverUnload = Unload;
    TakeName(RegistryPath);
    ReadMode(RegistryPath);
    if (ModeIs(L"alone")) {
        Register();
        return STATUS_SUCCESS;
    }
    for (ULONG i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        DriverObject->MajorFunction[i] = Pass;
    status = IoCreateDevice(DriverObject, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device);
    if (!NT_SUCCESS(status))
        return status;
    Device->Flags |= DO_BUFFERED_IO;
    status = attach(Device, &target, &Below);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(Device);
        return status;
    }
    Device->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}
