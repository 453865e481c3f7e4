/* Is unloaded with memory that it did not free (L-17). */
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

PROCESS_DRIVER(OnProcess, UNPREPARED)
