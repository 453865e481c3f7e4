/*
 * Conformance of registration, removal and events on several processors at once, with system threads of its own.
 *
 * Their creation is what routines are told of. Nothing is proven by how long something takes: where one thread has to
 * be inside a routine, it says that it is there and is held until it has been looked at. The program may start
 * processes conformance-race.exe meanwhile: a thread registers and removes all the time, and must not be noticed.
 */
#define SUITE "races"
#define SUITE_DEVICE L"ConformanceRaces"
#include "conformance.h"

#define MILLISECOND (-10000LL)
/* How often something is looked at, a millisecond between, before it is said not to happen. */
#define PATIENCE 5000
#define MOST 64

/* ---- Threads ---- */

static VOID Pause(VOID)
{
    LARGE_INTEGER time;
    time.QuadPart = MILLISECOND;
    KeDelayExecutionThread(KernelMode, FALSE, &time);
}

/* Waits until something is so, and says whether it came to be. */
#define UNTIL(Condition)                                        \
    ({                                                          \
        ULONG waited_ = 0;                                      \
        while (!(Condition) && waited_ < PATIENCE) {            \
            Pause();                                            \
            waited_++;                                          \
        }                                                       \
        (BOOLEAN)((Condition) ? TRUE : FALSE);                  \
    })

/* Starts a system thread; what it gives is for Join. NULL: there is none. */
static PVOID Start(PKSTART_ROUTINE Routine, PVOID Context)
{
    HANDLE handle;
    PVOID thread = NULL;

    if (!NT_SUCCESS(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Routine, Context)))
        return NULL;
    if (!NT_SUCCESS(ObReferenceObjectByHandle(handle, SYNCHRONIZE, NULL, KernelMode, &thread, NULL)))
        thread = NULL;
    ZwClose(handle);
    return thread;
}

static VOID Join(PVOID Thread)
{
    if (Thread == NULL)
        return;
    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Thread);
}

static VOID NTAPI Nothing(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

/* One event: a thread is created, and ends. */
static VOID Happen(VOID)
{
    Join(Start(Nothing, NULL));
}

/* ---- Registering and removing on several processors ---- */

#define WORKERS 4
#define ROUNDS 200

#define QUIET(n)                                                                     \
    static VOID NTAPI Quiet##n(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)    \
    {                                                                                \
        UNREFERENCED_PARAMETER(ProcessId);                                           \
        UNREFERENCED_PARAMETER(ThreadId);                                            \
        UNREFERENCED_PARAMETER(Create);                                              \
        InterlockedIncrement(&QuietCalls[n]);                                        \
    }
static volatile LONG QuietCalls[8];
QUIET(0) QUIET(1) QUIET(2) QUIET(3) QUIET(4)
static const PCREATE_THREAD_NOTIFY_ROUTINE Quiet[] = {Quiet0, Quiet1, Quiet2, Quiet3, Quiet4};

static volatile LONG Ready, Go, Wrong, Succeeded, NotFound, Overflowed;

/* All workers begin at once. */
static VOID Line(ULONG Count)
{
    InterlockedIncrement(&Ready);
    while (Ready < (LONG)Count && !Go)
        ;
    Go = 1;
}

static VOID NTAPI SetAndRemove(PVOID Context)
{
    PCREATE_THREAD_NOTIFY_ROUTINE routine = Quiet[(ULONG_PTR)Context];
    for (ULONG i = 0; i < ROUNDS; i++) {
        if (PsSetCreateThreadNotifyRoutine(routine) != STATUS_SUCCESS)
            InterlockedIncrement(&Wrong);
        if (PsRemoveCreateThreadNotifyRoutine(routine) != STATUS_SUCCESS)
            InterlockedIncrement(&Wrong);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI RemoveOne(PVOID Context)
{
    NTSTATUS result;
    UNREFERENCED_PARAMETER(Context);
    Line(2);
    result = PsRemoveCreateThreadNotifyRoutine(Quiet[4]);
    if (result == STATUS_SUCCESS)
        InterlockedIncrement(&Succeeded);
    else if (result == STATUS_PROCEDURE_NOT_FOUND_)
        InterlockedIncrement(&NotFound);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI SetOne(PVOID Context)
{
    NTSTATUS result;
    Line(2);
    result = PsSetCreateThreadNotifyRoutine(Quiet[(ULONG_PTR)Context]);
    if (result == STATUS_SUCCESS)
        InterlockedIncrement(&Succeeded);
    else if (result == STATUS_INSUFFICIENT_RESOURCES)
        InterlockedIncrement(&Overflowed);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Two threads do the same at once. */
static VOID Pair(PKSTART_ROUTINE Routine, PVOID First, PVOID Second)
{
    PVOID one, other;
    Ready = Go = Succeeded = NotFound = Overflowed = 0;
    one = Start(Routine, First);
    other = Start(Routine, Second);
    Join(one);
    Join(other);
}

static VOID SetsAndRemovals(VOID)
{
    PVOID threads[WORKERS];
    ULONG filled = 0, fair = 0;

    Wrong = 0;
    for (ULONG i = 0; i < WORKERS; i++)
        threads[i] = Start(SetAndRemove, (PVOID)(ULONG_PTR)i);
    for (ULONG i = 0; i < WORKERS; i++)
        Join(threads[i]);
    equal("R-REG-10,R-RACE-09", Wrong, 0, "four threads register and remove at once; each succeeds every time");
    for (ULONG i = 0; i < WORKERS; i++)
        status("R-REG-10", PsRemoveCreateThreadNotifyRoutine(Quiet[i]), STATUS_PROCEDURE_NOT_FOUND_, "and leaves nothing");

    for (ULONG i = 0; i < 20; i++) {
        PsSetCreateThreadNotifyRoutine(Quiet[4]);
        Pair(RemoveOne, NULL, NULL);
        fair += Succeeded == 1 && NotFound == 1;
    }
    equal("R-RACE-09", fair, 20, "of two removals at once one succeeds, the other finds nothing");

    while (filled < MOST && PsSetCreateThreadNotifyRoutine(Quiet[3]) == STATUS_SUCCESS)
        filled++;
    fair = 0;
    for (ULONG i = 0; i < 20; i++) {
        PsRemoveCreateThreadNotifyRoutine(Quiet[3]);
        Pair(SetOne, (PVOID)(ULONG_PTR)0, (PVOID)(ULONG_PTR)1);
        fair += Succeeded == 1 && Overflowed == 1;
        PsRemoveCreateThreadNotifyRoutine(Quiet[0]);
        PsRemoveCreateThreadNotifyRoutine(Quiet[1]);
        PsSetCreateThreadNotifyRoutine(Quiet[3]);
    }
    equal("R-RACE-09", fair, 20, "of two registrations for the last slot one succeeds, the other finds the table full");
    for (ULONG i = 0; i < filled; i++)
        PsRemoveCreateThreadNotifyRoutine(Quiet[3]);
}

/* ---- Events and removal ---- */

static volatile LONG Inside, Calls, Late, Removed, Stop;

static VOID NTAPI Counted(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ThreadId);
    UNREFERENCED_PARAMETER(Create);
    InterlockedIncrement(&Inside);
    InterlockedIncrement(&Calls);
    if (Removed)
        InterlockedIncrement(&Late);
    for (volatile ULONG i = 0; i < 2000; i++)
        ;
    if (Removed)
        InterlockedIncrement(&Late);
    InterlockedDecrement(&Inside);
}

static VOID NTAPI MakeEvents(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    while (!Stop)
        Happen();
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID EventsAndRemoval(VOID)
{
    PVOID threads[2];
    ULONG still = 0, failed = 0;

    Stop = 0;
    for (ULONG i = 0; i < 2; i++)
        threads[i] = Start(MakeEvents, NULL);
    for (ULONG i = 0; i < 50; i++) {
        LONG before = Calls;
        Removed = 0;
        failed += PsSetCreateThreadNotifyRoutine(Counted) != STATUS_SUCCESS;
        if (!UNTIL(Calls != before))
            failed++;
        failed += PsRemoveCreateThreadNotifyRoutine(Counted) != STATUS_SUCCESS;
        still += Inside != 0;
        InterlockedExchange(&Removed, 1);
    }
    Stop = 1;
    for (ULONG i = 0; i < 2; i++)
        Join(threads[i]);
    equal("R-RACE-09", failed, 0, "registered and removed amid events: it is told of some each time");
    equal("R-RM-01,R-RACE-06,R-RACE-08,S-PROCEX-4", still, 0, "when a removal returns, no call of the routine is in flight");
    equal("R-RM-01,R-RACE-08", Late, 0, "and none begins after it");
}

/* ---- One call that is held ---- */

static HANDLE HeldThread; /* whose creations are held */
static volatile LONG Holding, Release, HeldCalls, RemovalReturned, AfterCalls;
static NTSTATUS RemovalStatus;

static VOID NTAPI Held(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ThreadId);
    if (!Create)
        return;
    if (PsGetCurrentThreadId() != HeldThread) {
        InterlockedIncrement(&HeldCalls);
        return;
    }
    InterlockedExchange(&Holding, 1);
    (void)UNTIL(Release);
    InterlockedExchange(&Holding, 0);
}

static VOID NTAPI After(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ThreadId);
    if (Create)
        InterlockedIncrement(&AfterCalls);
}

static VOID NTAPI HeldEvent(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    HeldThread = PsGetCurrentThreadId();
    Happen();
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI RemoveHeld(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    RemovalStatus = PsRemoveCreateThreadNotifyRoutine(Held);
    InterlockedExchange(&RemovalReturned, 1);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Whether an event that happens now is not told to Held. */
static BOOLEAN IsSkipped(VOID)
{
    LONG before = HeldCalls;
    Happen();
    return HeldCalls == before;
}

static VOID HeldCall(VOID)
{
    PVOID event, removal;

    Holding = Release = RemovalReturned = 0;
    PsSetCreateThreadNotifyRoutine(Held);
    PsSetCreateThreadNotifyRoutine(After);
    event = Start(HeldEvent, NULL);
    if (!ok("R-RM-01", UNTIL(Holding), "a routine is held inside a call")) {
        Release = 1;
        Join(event);
        return;
    }
    status("R-RM-04", PsRemoveCreateThreadNotifyRoutine(After), STATUS_SUCCESS, "another routine's removal");
    ok("R-RM-04", Holding, "does not wait for that call");
    removal = Start(RemoveHeld, NULL);
    ok("R-RM-02,R-RACE-08", UNTIL(IsSkipped()), "the slot is emptied first: later events skip the routine");
    ok("R-RM-01,R-RM-03,S-PROCEX-4", Holding && !RemovalReturned, "while the removal waits for the call that is held");
    AfterCalls = 0;
    status("R-RACE-06,R-REG-10", PsSetCreateThreadNotifyRoutine(After), STATUS_SUCCESS, "the slot can be taken meanwhile");
    Happen();
    ok("R-RACE-06", AfterCalls != 0, "and the new routine is told");
    ok("R-RM-01,R-RM-03", Holding && !RemovalReturned, "with the removal still waiting: it has no timeout");
    InterlockedExchange(&Release, 1);
    Join(removal);
    Join(event);
    equal("R-RM-01,R-RM-03", RemovalReturned, 1, "the removal returns when the call has");
    status("R-RM-01", RemovalStatus, STATUS_SUCCESS, "with success");
    PsRemoveCreateThreadNotifyRoutine(After);
}

/* ---- One routine on two processors, and inside itself ---- */

static volatile LONG Together, Met;
static HANDLE Pairs[2];

static VOID NTAPI Meets(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    HANDLE current = PsGetCurrentThreadId();
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ThreadId);
    if (!Create || (current != Pairs[0] && current != Pairs[1]))
        return;
    InterlockedIncrement(&Together);
    if (UNTIL(Together >= 2))
        InterlockedIncrement(&Met);
}

static VOID NTAPI MeetingEvent(PVOID Context)
{
    Pairs[(ULONG_PTR)Context] = PsGetCurrentThreadId();
    Happen();
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID AtOnce(VOID)
{
    PVOID one, other;
    Together = Met = 0;
    PsSetCreateThreadNotifyRoutine(Meets);
    one = Start(MeetingEvent, (PVOID)(ULONG_PTR)0);
    other = Start(MeetingEvent, (PVOID)(ULONG_PTR)1);
    Join(one);
    Join(other);
    equal("R-RACE-01", Met, 2, "two events are told to one routine at once, on two threads");
    PsRemoveCreateThreadNotifyRoutine(Meets);
}

static volatile LONG Depth, Deepest;
static HANDLE Nester;
static PVOID NestedThread;

static VOID NTAPI Nested(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ThreadId);
    if (!Create || PsGetCurrentThreadId() != Nester)
        return;
    Depth++;
    if (Depth > Deepest)
        Deepest = Depth;
    if (Depth == 1 && KeGetCurrentIrql() == PASSIVE_LEVEL)
        NestedThread = Start(Nothing, NULL);
    Depth--;
}

static VOID Nesting(VOID)
{
    Depth = Deepest = 0;
    NestedThread = NULL;
    Nester = PsGetCurrentThreadId();
    PsSetCreateThreadNotifyRoutine(Nested);
    Happen();
    Nester = NULL;
    Join(NestedThread);
    equal("R-RACE-04", Deepest, 2, "an event inside a routine is told on the same thread, to the same routine");
    status("R-RACE-04", PsRemoveCreateThreadNotifyRoutine(Nested), STATUS_SUCCESS, "which is removed as ever");
}

/* ---- Slots that change during a walk ---- */

static volatile LONG SwapCalls, NewCalls;
static BOOLEAN Swapped;
static HANDLE Swapper;

static VOID NTAPI New(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ThreadId);
    if (Create && PsGetCurrentThreadId() == Swapper)
        NewCalls++;
}

static VOID NTAPI Old(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ThreadId);
    if (Create && PsGetCurrentThreadId() == Swapper)
        SwapCalls++;
}

/* Puts New into the slot that Old has. */
static VOID NTAPI Swaps(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ThreadId);
    if (!Create || Swapped || PsGetCurrentThreadId() != Swapper)
        return;
    Swapped = TRUE;
    PsRemoveCreateThreadNotifyRoutine(Old);
    PsSetCreateThreadNotifyRoutine(New);
}

static VOID Swapping(VOID)
{
    SwapCalls = NewCalls = 0;
    Swapped = FALSE;
    Swapper = PsGetCurrentThreadId();
    PsSetCreateThreadNotifyRoutine(Swaps);
    PsSetCreateThreadNotifyRoutine(Old);
    Happen();
    equal("R-RACE-05,R-RACE-08", SwapCalls, 0, "removed before the walk came to its slot: not called");
    equal("R-RACE-05", NewCalls, 1, "who took the slot before the walk came to it: called");
    PsRemoveCreateThreadNotifyRoutine(New);
    PsRemoveCreateThreadNotifyRoutine(Swaps);

    SwapCalls = NewCalls = 0;
    Swapped = FALSE;
    PsSetCreateThreadNotifyRoutine(Old);
    PsSetCreateThreadNotifyRoutine(Swaps);
    Happen();
    equal("R-RACE-05", SwapCalls, 1, "removed after the walk had passed its slot: called once");
    equal("R-RACE-05", NewCalls, 0, "who took the slot after the walk had passed it: not called");
    PsRemoveCreateThreadNotifyRoutine(New);
    PsRemoveCreateThreadNotifyRoutine(Swaps);
}

/* ---- A process routine that is removed while it is called ---- */

/* How long a call is held for a removal that does not wait to return: a removal that waits never does. */
#define HOLDS 50

static PVOID ProcessRemoval;
static volatile LONG HeldCreates, ProcessRemovalBegan, ProcessRemovalReturned, ReturnedInside;
static NTSTATUS ProcessRemovalStatus;

static VOID NTAPI RemoveHeldProcess(PVOID Context);

static VOID NTAPI HeldProcess(PEPROCESS Subject, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO Info)
{
    UNREFERENCED_PARAMETER(Subject);
    UNREFERENCED_PARAMETER(ProcessId);
    if (Info == NULL || !EndsWith(Info->ImageFileName, L"\\conformance-race.exe"))
        return;
    if (InterlockedIncrement(&HeldCreates) != 1)
        return;
    ProcessRemoval = Start(RemoveHeldProcess, NULL);
    (void)UNTIL(ProcessRemovalBegan);
    for (ULONG i = 0; i < HOLDS && !ProcessRemovalReturned; i++)
        Pause();
    InterlockedExchange(&ReturnedInside, ProcessRemovalReturned);
}

static VOID NTAPI RemoveHeldProcess(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    InterlockedExchange(&ProcessRemovalBegan, 1);
    ProcessRemovalStatus = PsSetCreateProcessNotifyRoutineEx(HeldProcess, TRUE);
    InterlockedExchange(&ProcessRemovalReturned, 1);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

/* What must have been so of that call. */
static VOID CheckHeldProcess(VOID)
{
    if (HeldCreates == 0) {
        skip("S-PROCEX-4", "conformance-race.exe was not started");
        PsSetCreateProcessNotifyRoutineEx(HeldProcess, TRUE);
        return;
    }
    Join(ProcessRemoval);
    equal("S-PROCEX-4,R-RM-01", ReturnedInside, 0, "a process routine's removal does not return while it is called");
    equal("S-PROCEX-4,R-RM-01", ProcessRemovalReturned, 1, "but when the call has");
    status("S-PROCEX-4", ProcessRemovalStatus, STATUS_SUCCESS, "with success");
    equal("S-PROCEX-4,R-RM-01", HeldCreates, 1, "and the routine is not called again");
}

/* ---- Processes, while somebody registers and removes all the time ---- */

static volatile LONG Hammering, Creates, Exits;
static HANDLE Process;
static PVOID Hammer;

static VOID NTAPI Restless(PEPROCESS Subject, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO Info)
{
    UNREFERENCED_PARAMETER(Subject);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(Info);
}

static VOID NTAPI Steady(PEPROCESS Subject, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO Info)
{
    UNREFERENCED_PARAMETER(Subject);
    if (Info != NULL && EndsWith(Info->ImageFileName, L"\\conformance-race.exe")) {
        Process = ProcessId;
        InterlockedIncrement(&Creates);
    } else if (Info == NULL && ProcessId == Process) {
        Process = NULL;
        InterlockedIncrement(&Exits);
    }
}

static VOID NTAPI RegisterAndRemove(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    while (Hammering) {
        if (PsSetCreateProcessNotifyRoutineEx(Restless, FALSE) != STATUS_SUCCESS)
            InterlockedIncrement(&Wrong);
        if (PsSetCreateProcessNotifyRoutineEx(Restless, TRUE) != STATUS_SUCCESS)
            InterlockedIncrement(&Wrong);
        Pause();
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

/* ---- The suite ---- */

static NTSTATUS SuiteStart(PDRIVER_OBJECT DriverObject)
{
    NTSTATUS result;
    UNREFERENCED_PARAMETER(DriverObject);
    SetsAndRemovals();
    EventsAndRemoval();
    HeldCall();
    AtOnce();
    Nesting();
    Swapping();
    Wrong = 0;
    result = PsSetCreateProcessNotifyRoutineEx(Steady, FALSE);
    if (!NT_SUCCESS(result))
        return result;
    status("R-REG-10", PsSetCreateProcessNotifyRoutineEx(HeldProcess, FALSE), STATUS_SUCCESS, "and another one");
    Hammering = 1;
    Hammer = Start(RegisterAndRemove, NULL);
    return STATUS_SUCCESS;
}

static VOID SuitePhase(ULONG Phase)
{
    UNREFERENCED_PARAMETER(Phase);
}

static VOID SuiteStop(VOID)
{
    Hammering = 0;
    Join(Hammer);
    equal("R-REG-10,R-RACE-09", Wrong, 0, "registered and removed amid processes that come and go");
    status("R-RM-01", PsSetCreateProcessNotifyRoutineEx(Steady, TRUE), STATUS_SUCCESS, "the other routine is removed");
    CheckHeldProcess();
    if (Creates == 0)
        skip("R-RACE-09", "conformance-race.exe was not started");
    else
        equal("R-RACE-09,R-ORD-06", Exits, Creates, "each of them told the other routine of its creation and of its exit");
    Say("conformance: note processes %u", Creates);
    skip("R-RM-05,R-RM-06,R-RM-08", "forbidden to drivers: the thread would never return");
    skip("R-RACE-02", "when a process is ended while its creation is told is not for a driver to say");
    skip("R-RM-10", "a driver cannot have an event come between the two");
    skip("R-RACE-07,S-IMGEX-10,S-IMGCB-14,S-PROCEX-11,R-UNL-01,R-UNL-02,R-UNL-03,R-UNL-04,R-UNL-05", "what a driver must not do; done by other drivers");
}
