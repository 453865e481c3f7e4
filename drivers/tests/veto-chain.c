/*
 * Two process routines, of which the first refuses.
 *
 *   image ends in "true"   the first denies; the second must be called all the same and see the denial
 *   image ends in "pwd"    the first denies; the second writes success over it: the last writer wins
 */
#include "common.h"

static VOID NTAPI First(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    if (CreateInfo == NULL) {
        DbgPrint("veto-chain: exit pid=%I64u status=0x%08X\n", ID(ProcessId), PsGetProcessExitStatus(Process));
        return;
    }
    if (CreateInfo->CreationStatus != STATUS_SUCCESS)
        DbgPrint("veto-chain: FAIL first saw status=0x%08X\n", CreateInfo->CreationStatus);
    if (EndsWith(CreateInfo->ImageFileName, L"true") || EndsWith(CreateInfo->ImageFileName, L"pwd")) {
        CreateInfo->CreationStatus = STATUS_ACCESS_DENIED;
        DbgPrint("veto-chain: first denies pid=%I64u\n", ID(ProcessId));
    }
}

static VOID NTAPI Second(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    if (CreateInfo == NULL)
        return;
    DbgPrint("veto-chain: second pid=%I64u status=0x%08X\n", ID(ProcessId), CreateInfo->CreationStatus);
    if (EndsWith(CreateInfo->ImageFileName, L"pwd")) {
        CreateInfo->CreationStatus = STATUS_SUCCESS;
        DbgPrint("veto-chain: second allows pid=%I64u\n", ID(ProcessId));
    }
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsSetCreateProcessNotifyRoutineEx(Second, TRUE);
    PsSetCreateProcessNotifyRoutineEx(First, TRUE);
    DbgPrint("veto-chain: done\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    status = PsSetCreateProcessNotifyRoutineEx(First, FALSE);
    if (!NT_SUCCESS(status))
        return status;
    status = PsSetCreateProcessNotifyRoutineEx(Second, FALSE);
    if (!NT_SUCCESS(status))
        PsSetCreateProcessNotifyRoutineEx(First, TRUE);
    return status;
}
