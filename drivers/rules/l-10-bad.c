/* Opens a file inside of a guarded region (L-10). */
#include "rule.h"

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    KeEnterGuardedRegion();
    TouchFile(L"\\??\\C:\\l-10.log");
    KeLeaveGuardedRegion();
}

PROCESS_DRIVER(OnProcess, UNPREPARED)
