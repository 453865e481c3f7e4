/* Has no DriverUnload, so that it cannot be unloaded, and prints which processes it is told of. */
#include "common.h"

static VOID NTAPI OnProcess(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ParentId);
    DbgPrint("stays: %s pid=%I64u\n", Create ? "create" : "exit", ID(ProcessId));
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    return PsSetCreateProcessNotifyRoutine(OnProcess, FALSE);
}
