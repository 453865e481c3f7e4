/* Frees in DriverUnload what it allocated (L-17). */
#include "rule.h"

static PVOID Block;

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    if (Block == NULL)
        Block = ExAllocatePoolWithTag(NonPagedPoolNx, 100, TAG);
}

BEGIN_DRIVER(UNPREPARED, PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE),
             PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
             if (Block != NULL) ExFreePoolWithTag(Block, TAG))
