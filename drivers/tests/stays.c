/* Has no DriverUnload, so that it cannot be unloaded, keeps 48 bytes of paged pool, and prints which processes it is told of. */
#include "common.h"

#define TAG 0x79617453 /* Stay */

static VOID NTAPI OnProcess(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ParentId);
    DbgPrint("stays: %s pid=%I64u\n", Create ? "create" : "exit", ID(ProcessId));
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    if (ExAllocatePoolWithTag(PagedPool, 48, TAG) == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    return PsSetCreateProcessNotifyRoutine(OnProcess, FALSE);
}
