/*
 * Asks a thread of its own in a process routine, and waits for nothing but locks that are held briefly (L-05)
 *
 * Mode says what it takes: nothing is a fast mutex, "event" an event that is used as a lock, "mutex" a mutex, "look" a look
 * at an event with a timeout of zero.
 */
#include "meet.h"

static KEVENT Answer, Free;
static FAST_MUTEX Lock;
static KMUTEX Mutex;
static volatile LONG Held;

/* What takes a little, and does not wait. */
static VOID Work(VOID)
{
    for (ULONG i = 0; i < 1000; i++)
        InterlockedIncrement(&Held);
}

/* Less than a second, so that a routine may wait for as long (L-02). */
static LARGE_INTEGER Limit = {.QuadPart = -900 * 10000};

static VOID TakeLock(VOID)
{
    if (ModeIs(L"event")) {
        if (KeWaitForSingleObject(&Free, Executive, KernelMode, FALSE, &Limit) != STATUS_SUCCESS)
            return;
        Work();
        KeSetEvent(&Free, IO_NO_INCREMENT, FALSE);
    } else if (ModeIs(L"mutex")) {
        if (KeWaitForSingleObject(&Mutex, Executive, KernelMode, FALSE, &Limit) != STATUS_SUCCESS)
            return;
        Work();
        KeReleaseMutex(&Mutex, FALSE);
    } else {
        ExAcquireFastMutex(&Lock);
        Work();
        ExReleaseFastMutex(&Lock);
    }
}

static VOID Does(VOID)
{
    for (ULONG i = 0; i < 20; i++)
        TakeLock();
    KeSetEvent(&Answer, IO_NO_INCREMENT, FALSE);
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    LARGE_INTEGER now;
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    now.QuadPart = 0;
    Ask();
    if (ModeIs(L"look"))
        KeWaitForSingleObject(&Answer, Executive, KernelMode, FALSE, &now);
    else
        TakeLock();
}

static NTSTATUS Start(PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    ReadMode(RegistryPath);
    KeInitializeEvent(&Answer, NotificationEvent, FALSE);
    KeInitializeEvent(&Free, SynchronizationEvent, TRUE);
    ExInitializeFastMutex(&Lock);
    KeInitializeMutex(&Mutex, 0);
    status = StartThread(Does);
    if (!NT_SUCCESS(status))
        return status;
    status = PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
    if (!NT_SUCCESS(status))
        EndThread();
    return status;
}

BEGIN_DRIVER(UNPREPARED, Start(RegistryPath), PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE); EndThread())
