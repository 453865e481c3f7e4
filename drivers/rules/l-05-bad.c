/*
 * Waits in a process routine for what another thread does or holds (L-05)
 *
 * Mode says for what: nothing is an event that the driver's thread sets, "semaphore" one that it releases, "end" its end,
 * "lock" a mutex that it holds while it sleeps, and "circle" a mutex that it holds while it waits for one of the routine's.
 */
#include "meet.h"

static KEVENT Answer;
static KSEMAPHORE Count;
static FAST_MUTEX Lock;
static KMUTEX First, Second;

static VOID Sleep(LONG Milliseconds)
{
    LARGE_INTEGER time;
    time.QuadPart = -10000LL * Milliseconds;
    KeDelayExecutionThread(KernelMode, FALSE, &time);
}

static VOID Does(VOID)
{
    /* Late enough for the routine to wait already. */
    Sleep(20);
    if (ModeIs(L"semaphore")) {
        KeReleaseSemaphore(&Count, IO_NO_INCREMENT, 1, FALSE);
    } else if (ModeIs(L"end")) {
        PsTerminateSystemThread(STATUS_SUCCESS);
    } else {
        KeSetEvent(&Answer, IO_NO_INCREMENT, FALSE);
    }
}

/* Has the lock when the event is set, and then for a while. */
static VOID HoldsLock(VOID)
{
    ExAcquireFastMutex(&Lock);
    KeSetEvent(&Answer, IO_NO_INCREMENT, FALSE);
    Sleep(100);
    ExReleaseFastMutex(&Lock);
}

/* Has one mutex and wants the other. */
static VOID WantsFirst(VOID)
{
    KeWaitForSingleObject(&Second, Executive, KernelMode, FALSE, NULL);
    KeSetEvent(&Answer, IO_NO_INCREMENT, FALSE);
    KeWaitForSingleObject(&First, Executive, KernelMode, FALSE, NULL);
    KeReleaseMutex(&First, FALSE);
    KeReleaseMutex(&Second, FALSE);
}

/* Until the thread has got as far as it has to, without waiting for it. */
static VOID UntilAnswered(VOID)
{
    while (KeReadStateEvent(&Answer) == 0)
        YieldProcessor();
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    LARGE_INTEGER soon;
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    if (CreateInfo == NULL)
        return;
    soon.QuadPart = -900 * 10000;
    KeClearEvent(&Answer);
    if (ModeIs(L"lock")) {
        Ask();
        UntilAnswered();
        ExAcquireFastMutex(&Lock);
        ExReleaseFastMutex(&Lock);
    } else if (ModeIs(L"circle")) {
        KeWaitForSingleObject(&First, Executive, KernelMode, FALSE, NULL);
        Ask();
        UntilAnswered();
        KeWaitForSingleObject(&Second, Executive, KernelMode, FALSE, NULL);
        KeReleaseMutex(&Second, FALSE);
        KeReleaseMutex(&First, FALSE);
    } else {
        Ask();
        if (ModeIs(L"semaphore"))
            KeWaitForSingleObject(&Count, Executive, KernelMode, FALSE, &soon);
        else if (ModeIs(L"end"))
            KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, &soon);
        else
            KeWaitForSingleObject(&Answer, Executive, KernelMode, FALSE, &soon);
    }
}

static NTSTATUS Start(PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    ReadMode(RegistryPath);
    KeInitializeEvent(&Answer, NotificationEvent, FALSE);
    KeInitializeSemaphore(&Count, 0, 100);
    ExInitializeFastMutex(&Lock);
    KeInitializeMutex(&First, 0);
    KeInitializeMutex(&Second, 0);
    status = StartThread(ModeIs(L"lock") ? HoldsLock : ModeIs(L"circle") ? WantsFirst : Does);
    if (!NT_SUCCESS(status))
        return status;
    status = PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
    if (!NT_SUCCESS(status))
        EndThread();
    return status;
}

BEGIN_DRIVER(UNPREPARED, Start(RegistryPath), PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE); EndThread())
