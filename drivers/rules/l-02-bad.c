/* Waits without a timeout in a process routine (L-02). */
#include "rule.h"

static KTIMER Timer;

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    LARGE_INTEGER due;
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    due.QuadPart = -10 * 10000;
    KeInitializeTimer(&Timer);
    KeSetTimer(&Timer, due, NULL);
    KeWaitForSingleObject(&Timer, Executive, KernelMode, FALSE, NULL);
    KeCancelTimer(&Timer);
}

PROCESS_DRIVER(OnProcess, UNPREPARED)
