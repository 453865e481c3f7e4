/*
 * Registers an Ex process routine thrice: as the loader left its entry in the list of modules, with the bit for
 * FORCE_INTEGRITY set there by itself, as drivers do that were linked without /INTEGRITYCHECK, and with it cleared.
 *
 *   loader-flag: as-loaded flag=0 status=0xC0000022
 *   loader-flag: set flag=1 status=0x00000000
 *   loader-flag: cleared flag=0 status=0xC0000022
 *   loader-flag: removed status=0x00000000
 */
#include "common.h"

#define INTEGRITY_FORCED 0x20

/* What DRIVER_OBJECT.DriverSection points to, up to the flags. In no header. */
typedef struct _LOADER_ENTRY {
    LIST_ENTRY InLoadOrderLinks;
    PVOID Unused[4];
    PVOID DllBase;
    PVOID EntryPoint;
    ULONG SizeOfImage;
    UNICODE_STRING FullDllName;
    UNICODE_STRING BaseDllName;
    ULONG Flags;
} LOADER_ENTRY;

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
}

static NTSTATUS Try(PCSTR When, const volatile LOADER_ENTRY *Entry)
{
    NTSTATUS status = PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
    DbgPrint("loader-flag: %s flag=%u status=0x%08X\n", When, (Entry->Flags & INTEGRITY_FORCED) != 0, status);
    return status;
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    volatile LOADER_ENTRY *entry = DriverObject->DriverSection;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    if (NT_SUCCESS(Try("as-loaded", entry)))
        PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
    entry->Flags |= INTEGRITY_FORCED;
    status = Try("set", entry);
    entry->Flags &= ~INTEGRITY_FORCED;
    /* Refused before the table is looked at, in which the routine is. */
    Try("cleared", entry);
    /* A removal does not ask for the bit. */
    if (NT_SUCCESS(status)) {
        status = PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
        DbgPrint("loader-flag: removed status=0x%08X\n", status);
    }
    return STATUS_SUCCESS;
}
