/*
 * BUG-08 corrected: the twin of bug-08
 *
 * The name is copied as what it is, a counted string, and cut to what fits.
 */
#include "bugs.h"

#define LONGEST 300

typedef struct _RECORD {
    HANDLE Process;
    WCHAR Name[LONGEST];
} RECORD;

static FAST_MUTEX Lock;
static RECORD *Last;

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    ULONG i = 0;
    UNREFERENCED_PARAMETER(ImageInfo);
    if (FullImageName == NULL)
        return;
    ExAcquireFastMutex(&Lock);
    Last->Process = ProcessId;
    for (; i < FullImageName->Length / sizeof(WCHAR) && i < LONGEST - 1; i++)
        Last->Name[i] = FullImageName->Buffer[i];
    Last->Name[i] = 0;
    ExReleaseFastMutex(&Lock);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsRemoveLoadImageNotifyRoutine(OnImage);
    ExFreePoolWithTag(Last, TAG);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    ExInitializeFastMutex(&Lock);
    Last = ExAllocatePoolWithTag(NonPagedPool, sizeof(*Last), TAG);
    if (Last == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    status = PsSetLoadImageNotifyRoutine(OnImage);
    if (!NT_SUCCESS(status))
        ExFreePoolWithTag(Last, TAG);
    return status;
}
