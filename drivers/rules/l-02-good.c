/* Waits for a short time only in a process routine (L-02). */
#include "rule.h"

static KTIMER Timer;

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    LARGE_INTEGER due;
    LARGE_INTEGER soon;
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    due.QuadPart = -10 * 10000;
    soon.QuadPart = -20 * 10000;
    KeInitializeTimer(&Timer);
    KeSetTimer(&Timer, due, NULL);
    KeWaitForSingleObject(&Timer, Executive, KernelMode, FALSE, &soon);
    KeCancelTimer(&Timer);
}

PROCESS_DRIVER(OnProcess, UNPREPARED)
