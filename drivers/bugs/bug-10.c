/*
 * BUG-10: does PASSIVE_LEVEL work in a thread routine that may be called at APC_LEVEL
 *
 * Opening a file needs APCs, and so PASSIVE_LEVEL.
 */
#include "bugs.h"

static LONG Missing;

/* PASSIVE_LEVEL only: opening a file needs APCs. */
static VOID Look(VOID)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\SystemRoot\\System32\\ntdll.dll");
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK io;
    HANDLE file;
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    if (NT_SUCCESS(ZwCreateFile(&file, FILE_READ_ATTRIBUTES | SYNCHRONIZE, &attributes, &io, NULL, 0, FILE_SHARE_READ,
                                FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0)))
        ZwClose(file);
    else
        InterlockedIncrement(&Missing);
}

static VOID NTAPI OnThread(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ThreadId);
    if (Create)
        Look();
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsRemoveCreateThreadNotifyRoutine(OnThread);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    return PsSetCreateThreadNotifyRoutine(OnThread);
}
