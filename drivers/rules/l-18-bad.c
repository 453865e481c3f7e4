/* Is unloaded with its process routine registered (L-18). */
#include "rule.h"

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    DbgPrint("l-18-bad: told\n");
}

BEGIN_DRIVER(UNPREPARED, PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE), UNPREPARED)
