/* Has its notify routine look at a flag that power requests set (PO-01). */
#include "power.h"

static volatile LONG Asleep;

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(CreateInfo);
    if (!Asleep)
        DbgPrint("po-01-good: process %I64u\n", ID(ProcessId));
}

static VOID OnSleep(BOOLEAN Sleeps)
{
    InterlockedExchange(&Asleep, Sleeps);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
    IoDeleteDevice(Device);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status = Prepare(DriverObject, RegistryPath);
    if (!NT_SUCCESS(status))
        return status;
    DriverObject->DriverUnload = Unload;
    status = PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
    if (!NT_SUCCESS(status))
        IoDeleteDevice(Device);
    return status;
}
