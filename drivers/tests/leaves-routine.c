/*
 * Unloads with a process routine left registered. The next process that is created or ends makes the
 * kernel call into memory that is no longer there: bug check 0xCE.
 */
#include "common.h"

static VOID NTAPI ForgottenRoutine(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)
{
    DbgPrint("leaves-routine: %s pid=%I64u ppid=%I64u\n", Create ? "create" : "exit", ID(ProcessId), ID(ParentId));
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    DbgPrint("leaves-routine: unloading, with the routine at %p left behind\n", (PVOID)(ULONG_PTR)ForgottenRoutine);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    return PsSetCreateProcessNotifyRoutine(ForgottenRoutine, FALSE);
}
