/*
 * Copies what a notify routine was given, and reads the copy in the next one.
 */
#include "../tests/common.h"

static WCHAR Text[256];
static UNICODE_STRING Copy = {0, sizeof(Text), Text};
static volatile ULONG64 Read;
static FAST_MUTEX Lock;

static VOID Keep(PCUNICODE_STRING Name)
{
    ExAcquireFastMutex(&Lock);
    Copy.Length = 0;
    if (Name != NULL && Name->Length <= Copy.MaximumLength)
        RtlAppendUnicodeStringToString(&Copy, Name);
    ExReleaseFastMutex(&Lock);
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    if (CreateInfo == NULL) {
        ExAcquireFastMutex(&Lock);
        Read = Copy.Length + Copy.Buffer[0];
        ExReleaseFastMutex(&Lock);
        return;
    }
    Keep(CreateInfo->ImageFileName);
    Keep(CreateInfo->CommandLine);
    Read = ID(CreateInfo->ParentProcessId);
}

static VOID NTAPI OnImage(PUNICODE_STRING Name, HANDLE ProcessId, PIMAGE_INFO Info)
{
    UNREFERENCED_PARAMETER(ProcessId);
    Keep(Name);
    Read = Info->ImageSize;
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
    PsRemoveLoadImageNotifyRoutine(OnImage);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    UNREFERENCED_PARAMETER(RegistryPath);
    ExInitializeFastMutex(&Lock);
    DriverObject->DriverUnload = Unload;
    status = PsSetLoadImageNotifyRoutine(OnImage);
    if (!NT_SUCCESS(status))
        return status;
    return PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
}
