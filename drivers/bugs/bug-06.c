/*
 * BUG-06: fails under heavy process creation
 *
 * Its table is replaced by a larger one when it is full, while an exit on another processor still uses the old one, which
 * is freed. The cause of the observed defect is not public; this is one with the same effect.
 */
#include "bugs.h"

typedef struct _TABLE {
    ULONG Capacity;
    ULONG Count;
    HANDLE Processes[1];
} TABLE;

#define SIZE(capacity) (FIELD_OFFSET(TABLE, Processes) + (capacity) * sizeof(HANDLE))

static FAST_MUTEX Lock;
static TABLE *Table;

/* The table with room for one more; the old one is freed when it was too small. */
static TABLE *Room(VOID)
{
    TABLE *larger, *table = Table;
    if (table->Count < table->Capacity)
        return table;
    larger = ExAllocatePoolWithTag(NonPagedPool, SIZE(table->Capacity * 2), TAG);
    if (larger == NULL)
        return NULL;
    larger->Capacity = table->Capacity * 2;
    larger->Count = table->Count;
    for (ULONG i = 0; i < table->Count; i++)
        larger->Processes[i] = table->Processes[i];
    Table = larger;
    ExFreePoolWithTag(table, TAG);
    return larger;
}

static VOID NTAPI OnProcess(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)
{
    TABLE *table;
    UNREFERENCED_PARAMETER(ParentId);
    if (Create) {
        ExAcquireFastMutex(&Lock);
        table = Room();
        if (table != NULL)
            table->Processes[table->Count++] = ProcessId;
        ExReleaseFastMutex(&Lock);
        return;
    }
    /* The lock is taken too late: the table was looked up without it. */
    table = Table;
    ExAcquireFastMutex(&Lock);
    for (ULONG i = 0; i < table->Count; i++) {
        if (table->Processes[i] == ProcessId) {
            table->Processes[i] = table->Processes[--table->Count];
            break;
        }
    }
    ExReleaseFastMutex(&Lock);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsSetCreateProcessNotifyRoutine(OnProcess, TRUE);
    ExFreePoolWithTag(Table, TAG);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    ExInitializeFastMutex(&Lock);
    Table = ExAllocatePoolWithTag(NonPagedPool, SIZE(1), TAG);
    if (Table == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Table->Capacity = 1;
    Table->Count = 0;
    status = PsSetCreateProcessNotifyRoutine(OnProcess, FALSE);
    if (!NT_SUCCESS(status))
        ExFreePoolWithTag(Table, TAG);
    return status;
}
