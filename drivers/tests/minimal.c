/* The smallest driver that can be loaded and unloaded. */
#include "common.h"

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    DbgPrint("minimal: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DriverObject->DriverUnload = Unload;
    DbgPrint("minimal: loaded as %wZ\n", RegistryPath);
    return STATUS_SUCCESS;
}
