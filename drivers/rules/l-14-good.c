/* Gives a reference to a process back once (L-14). */
#include "rule.h"

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    PEPROCESS process;
    UNREFERENCED_PARAMETER(Process);
    if (CreateInfo == NULL || !NT_SUCCESS(PsLookupProcessByProcessId(ProcessId, &process)))
        return;
    ObfDereferenceObject(process);
}

PROCESS_DRIVER(OnProcess, UNPREPARED)
