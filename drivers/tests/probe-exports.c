/* Asks for routines by name, as drivers do that run on several versions of Windows. */
#include "common.h"

static const PCWSTR Names[] = {
    L"PsSetCreateProcessNotifyRoutine",
    L"PsSetCreateProcessNotifyRoutineEx",
    L"PsSetCreateProcessNotifyRoutineEx2",
    L"PsSetLoadImageNotifyRoutine",
    L"PsSetLoadImageNotifyRoutineEx",
    L"PsRemoveLoadImageNotifyRoutine",
    L"PsSetCreateThreadNotifyRoutine",
    L"PsSetCreateThreadNotifyRoutineEx",
    L"PsRemoveCreateThreadNotifyRoutine",
    L"PsGetProcessStartKey",
    L"PsGetProcessSequenceNumber",
    L"ExAllocatePool2",
    L"ExAllocatePoolWithTag",
    L"MmCopyMemory",
    L"DbgPrint",
    /* Data, which has an address as well. */
    L"PsProcessType",
    L"PsInitialSystemProcess",
    /* Names are case-sensitive, and whole. */
    L"dbgprint",
    L"DbgPrin",
    L"",
    L"NoSuchRoutineAtAll",
};

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    DbgPrint("probe-exports: done\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    for (ULONG i = 0; i < ARRAYSIZE(Names); i++)
        DbgPrint("probe-exports: %ws %s\n", Names[i], Resolve(Names[i]) == NULL ? "NULL" : "non-NULL");
    DriverObject->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
