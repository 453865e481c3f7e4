/* Opens a registry key in DriverEntry, and none in its process routine (L-01). */
#include "rule.h"

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    DbgPrint("l-01-good: told\n");
}

PROCESS_DRIVER(OnProcess, TouchRegistry())
