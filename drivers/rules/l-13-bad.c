/* Leaves a critical region less often than it enters it (L-13). */
#include "rule.h"

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    KeEnterCriticalRegion();
    if (CreateInfo == NULL)
        return;
    KeLeaveCriticalRegion();
}

PROCESS_DRIVER(OnProcess, UNPREPARED)
