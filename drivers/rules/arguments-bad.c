/*
 * Keeps what a notify routine was given, and reads it in the next one, or writes to it.
 *
 * Mode: create-info, command-line, image-info, image-name, late-refusal
 */
#include "mode.h"

static PPS_CREATE_NOTIFY_INFO volatile KeptInfo;
static PUNICODE_STRING volatile KeptString;
static PIMAGE_INFO volatile KeptImage;
static volatile ULONG64 Read;

static VOID Look(VOID)
{
    if (KeptInfo != NULL) {
        Read = ID(KeptInfo->ParentProcessId);
        Read = KeptInfo->ImageFileName->Length;
    }
    if (KeptString != NULL)
        Read = KeptString->Buffer[0];
    if (KeptImage != NULL)
        Read = *(volatile UCHAR *)KeptImage->ImageBase;
    if (KeptInfo != NULL || KeptString != NULL || KeptImage != NULL)
        DbgPrint("arguments-bad: survived %ws\n", ModeText);
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    if (CreateInfo == NULL) {
        if (!ModeIs(L"late-refusal"))
            Look();
        return;
    }
    if (ModeIs(L"create-info") || ModeIs(L"late-refusal"))
        KeptInfo = CreateInfo;
    if (ModeIs(L"command-line"))
        KeptString = (PUNICODE_STRING)CreateInfo->CommandLine;
}

/* The thread routine that is called right after the process routine of its process. */
static VOID NTAPI OnThread(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ThreadId);
    if (!Create || KeptInfo == NULL || !ModeIs(L"late-refusal"))
        return;
    KeptInfo->CreationStatus = STATUS_ACCESS_DENIED;
    KeptInfo = NULL;
    DbgPrint("arguments-bad: refused %I64u too late\n", ID(ProcessId));
}

static VOID NTAPI OnImage(PUNICODE_STRING Name, HANDLE ProcessId, PIMAGE_INFO Info)
{
    if (ID(ProcessId) == 0)
        return;
    if (ModeIs(L"image-info"))
        KeptImage = Info;
    if (ModeIs(L"image-name"))
        KeptString = Name;
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
    PsRemoveLoadImageNotifyRoutine(OnImage);
    PsRemoveCreateThreadNotifyRoutine(OnThread);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    ReadMode(RegistryPath);
    DriverObject->DriverUnload = Unload;
    status = PsSetLoadImageNotifyRoutine(OnImage);
    if (!NT_SUCCESS(status))
        return status;
    status = PsSetCreateThreadNotifyRoutine(OnThread);
    if (!NT_SUCCESS(status))
        return status;
    return PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
}
