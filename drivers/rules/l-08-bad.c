/* Removes its process routine in the routine itself (L-08). */
#include "rule.h"

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo);

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
}

BEGIN_DRIVER(UNPREPARED, PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE), UNPREPARED)
