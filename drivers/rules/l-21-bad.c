/* Uses 18 KB of kernel stack in a process routine (L-21). */
#include "rule.h"

static volatile ULONG Sum;

/* One and a half kilobyte for each part of a path, in frames on top of each other. */
static ULONG Descend(ULONG Depth)
{
    volatile UCHAR record[1500];
    ULONG below;
    record[Depth] = (UCHAR)Depth;
    if (Depth == 0) {
        KEVENT event;
        KeInitializeEvent(&event, NotificationEvent, FALSE);
        KeResetEvent(&event);
        return record[Depth];
    }
    below = Descend(Depth - 1);
    return below + record[Depth];
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    Sum += Descend(12);
}

PROCESS_DRIVER(OnProcess, UNPREPARED)
