/* Opens a file inside of a critical region, where special kernel APCs come through (L-10). */
#include "rule.h"

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    KeEnterCriticalRegion();
    TouchFile(L"\\??\\C:\\l-10.log");
    KeLeaveCriticalRegion();
}

PROCESS_DRIVER(OnProcess, UNPREPARED)
