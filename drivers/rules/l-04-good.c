/* Queues a work item in a process routine and waits for it in DriverUnload (L-04). */
#include "rule.h"

static WORK_QUEUE_ITEM Item;
static volatile LONG Busy;
static KEVENT Done;

static VOID NTAPI Work(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    InterlockedExchange(&Busy, 0);
    KeSetEvent(&Done, 0, FALSE);
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    if (InterlockedExchange(&Busy, 1) != 0)
        return;
    KeClearEvent(&Done);
    ExInitializeWorkItem(&Item, Work, NULL);
    ExQueueWorkItem(&Item, DelayedWorkQueue);
}

BEGIN_DRIVER(KeInitializeEvent(&Done, NotificationEvent, TRUE), PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE),
             PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
             KeWaitForSingleObject(&Done, Executive, KernelMode, FALSE, NULL))
