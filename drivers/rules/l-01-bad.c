/* Opens a registry key in a process routine (L-01). */
#include "rule.h"

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    TouchRegistry();
}

PROCESS_DRIVER(OnProcess, UNPREPARED)
