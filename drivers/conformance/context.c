/*
 * Conformance of when, where and in which context routines are called: order, thread, process, IRQL, APCs, triggers.
 *
 * The program starts processes whose images have these names; each ends with exit status 42.
 *
 *   conformance-plain.exe       these are mapped into it, by itself: conformance-once.dll; conformance-again.dll, then
 *                               once more beside it, and once more after an unmap; conformance-noexec.dll as an
 *                               image that cannot be executed (Windows 7 has none); conformance-data.dll as data; then it makes a thread
 *   conformance-remote.exe      another process maps conformance-remote.dll into it and creates a thread in it
 *   conformance-suspended.exe   created suspended in phase 1, resumed in phase 2, ended before phase 3
 *   conformance-section.exe     made from a section; its first thread is inserted by another process than its parent
 *   conformance-wow.exe         a 32-bit process
 *   any                         that was there before the driver ends in phase 4; in phase 5 one that was made from
 *                               a section is dropped before it has a thread
 *   conformance-cloned.exe      is cloned (RtlCloneUserProcess); the clone ends as well
 *   conformance-doomed.exe      is terminated by a thread of the driver while its image routine waits
 *   conformance-asks.exe        begins phase 7 itself, and is terminated by a thread of the driver while that waits
 *   conformance-apc.exe         its thread routines are called at APC_LEVEL: not everywhere can that be had
 *   conformance-guarded.exe     its image routines are called with all APCs disabled: likewise
 */
#define SUITE "context"
#define SUITE_DEVICE L"ConformanceContext"
#include "conformance.h"

typedef VOID(NTAPI *KERNEL_ROUTINE)(PKAPC Apc, PVOID *NormalRoutine, PVOID *NormalContext, PVOID *First, PVOID *Second);
NTKERNELAPI VOID NTAPI KeInitializeApc(PKAPC Apc, PKTHREAD Thread, ULONG Environment, KERNEL_ROUTINE KernelRoutine,
                                       PVOID RundownRoutine, PVOID NormalRoutine, KPROCESSOR_MODE Mode, PVOID Context);
NTKERNELAPI BOOLEAN NTAPI KeInsertQueueApc(PKAPC Apc, PVOID First, PVOID Second, ULONG Increment);

#define EXIT_STATUS 42
/* What the driver terminates processes with: STATUS_VIRUS_INFECTED. */
#define DOOM ((NTSTATUS)0xC0000906)
/* The phase that a process begins which is terminated meanwhile. */
#define PHASE_ASKS 7

typedef enum _CASE { Plain, Remote, Waiting, Section, Wow, Cloned, Doomed, Asks, Apc, Guarded, CASES } CASE;

static const struct {
    PCWSTR Image;
    PCSTR Ids; /* what is not checked without it */
    PCSTR Missing;
} Cases[CASES] = {
    {L"\\conformance-plain.exe", "R-ORD-01,R-IMG-01", "conformance-plain.exe was not started"},
    {L"\\conformance-remote.exe", "R-CTX-06", "conformance-remote.exe was not started"},
    {L"\\conformance-suspended.exe", "R-ORD-02", "conformance-suspended.exe was not started"},
    {L"\\conformance-section.exe", "R-CTX-06", "conformance-section.exe was not started"},
    {L"\\conformance-wow.exe", "R-WOW-01,R-WOW-02", "conformance-wow.exe was not started"},
    {L"\\conformance-cloned.exe", "R-ORD-04", "conformance-cloned.exe was not started"},
    {L"\\conformance-doomed.exe", "R-CTX-05,R-IMG-03", "conformance-doomed.exe was not started"},
    {L"\\conformance-asks.exe", "R-CTX-05", "conformance-asks.exe was not started"},
    {L"\\conformance-apc.exe", "R-CTX-03", "conformance-apc.exe was not started"},
    {L"\\conformance-guarded.exe", "R-CTX-02", "conformance-guarded.exe was not started"},
};

/* The images whose maps are counted. */
typedef enum _DLL { Once, Again, NoExecute, Data, RemoteDll, DLLS } DLL;

static const PCWSTR Dlls[DLLS] = {
    L"\\conformance-once.dll",   L"\\conformance-again.dll",  L"\\conformance-noexec.dll",
    L"\\conformance-data.dll",   L"\\conformance-remote.dll",
};

/* What was seen of one process. */
typedef struct _RECORD {
    HANDLE Pid;
    CASE Case;
    CLIENT_ID Creator;
    HANDLE FirstThread, LastExit;
    ULONG Creates, Exits, Threads, Alive, Typed, Starts, Images, NativeNtdll, Ntdll32, Wow64;
    ULONG Dlls[DLLS];
} RECORD;

#define MOST 128
static RECORD Records[MOST];
static ULONG Used;
static FAST_MUTEX Lock; /* guards the list; a record's fields belong to its process's own events */
static SET_THREAD_EX SetThreadEx;
static PVOID(NTAPI *ThreadTeb)(PETHREAD Thread);
static PVOID(NTAPI *CurrentTeb)(VOID);
static PVOID(NTAPI *ProcessPeb)(PEPROCESS Process);
static BOOLEAN Typed, Started;
static ULONG Phases, WithoutCreate, WithoutCreateBefore, AtApcLevel, AllApcsDisabled, KernelImages;

/* A thread of the driver that terminates a process when it is asked to, and says a little later that it has. */
static struct {
    NTSTATUS(NTAPI *OpenProcess)(PHANDLE Handle, ACCESS_MASK Access, POBJECT_ATTRIBUTES Attributes, PCLIENT_ID Id);
    NTSTATUS(NTAPI *TerminateProcess)(HANDLE Process, NTSTATUS Status);
    LONG(NTAPI *SetEvent)(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait);
    PVOID Thread;
    KEVENT Go, More, Done;
    HANDLE Pid;
    BOOLEAN Holds; /* Done until More is set */
    BOOLEAN Stop;
    NTSTATUS First, Second; /* of the two attempts */
} Reaper;

/* Routines that are registered, or removed, while events are told. */
static ULONG LowerCreates, LowerExits, HigherCreates, HigherExits;
static BOOLEAN LowerRegistered, HigherRegistered;

/* A normal kernel APC, queued inside a routine. */
static KAPC QueuedApc;
static volatile LONG ApcQueued, ApcRan;

static RECORD *Find(HANDLE Pid)
{
    RECORD *found = NULL;
    ExAcquireFastMutex(&Lock);
    for (ULONG i = 0; i < Used; i++)
        if (Records[i].Pid == Pid && Records[i].Exits == 0)
            found = &Records[i];
    ExReleaseFastMutex(&Lock);
    return found;
}

static RECORD *Add(HANDLE Pid, CASE Case)
{
    RECORD *made = NULL;
    ExAcquireFastMutex(&Lock);
    if (Used < MOST) {
        made = &Records[Used++];
        made->Pid = Pid;
        made->Case = Case;
    }
    ExReleaseFastMutex(&Lock);
    return made;
}

static CASE CaseOf(PCUNICODE_STRING Name)
{
    CASE at = 0;
    while (at < CASES && !EndsWith(Name, Cases[at].Image))
        at++;
    return at;
}

/* ---- Registering and removing inside a routine ---- */

static VOID NTAPI OnLower(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO Info)
{
    RECORD *record = Find(ProcessId);
    UNREFERENCED_PARAMETER(Process);
    if (record == NULL || record->Case != Plain)
        return;
    if (Info != NULL)
        LowerCreates++;
    else
        LowerExits++;
}

static VOID NTAPI OnHigher(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO Info)
{
    RECORD *record = Find(ProcessId);
    UNREFERENCED_PARAMETER(Process);
    if (record == NULL || record->Case != Plain)
        return;
    if (Info != NULL)
        HigherCreates++;
    else
        HigherExits++;
}

/* What a process exits with. */
static NTSTATUS StatusOf(const RECORD *Record)
{
    return Record->Case == Doomed || Record->Case == Asks ? DOOM : EXIT_STATUS;
}

/* ---- Termination ---- */

static VOID NTAPI Reap(PVOID Context)
{
    LARGE_INTEGER little = {.QuadPart = -500000}; /* 50 ms */

    UNREFERENCED_PARAMETER(Context);
    for (;;) {
        OBJECT_ATTRIBUTES attributes;
        CLIENT_ID id = {Reaper.Pid, NULL};
        HANDLE process;

        KeWaitForSingleObject(&Reaper.Go, Executive, KernelMode, FALSE, NULL);
        if (Reaper.Stop)
            PsTerminateSystemThread(STATUS_SUCCESS);
        id.UniqueProcess = Reaper.Pid;
        InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
        Reaper.First = Reaper.OpenProcess(&process, 1 /* PROCESS_TERMINATE */, &attributes, &id);
        if (NT_SUCCESS(Reaper.First)) {
            Reaper.First = Reaper.TerminateProcess(process, DOOM);
            Reaper.Second = Reaper.TerminateProcess(process, STATUS_SUCCESS);
            ZwClose(process);
        }
        if (Reaper.Holds)
            KeWaitForSingleObject(&Reaper.More, Executive, KernelMode, FALSE, NULL);
        else
            KeDelayExecutionThread(KernelMode, FALSE, &little);
        Reaper.SetEvent(&Reaper.Done, 0, FALSE);
    }
}

static NTSTATUS StartReaper(VOID)
{
    HANDLE handle;
    NTSTATUS result;

    Reaper.OpenProcess = (PVOID)Resolve(L"ZwOpenProcess");
    Reaper.TerminateProcess = (PVOID)Resolve(L"ZwTerminateProcess");
    Reaper.SetEvent = (PVOID)Resolve(L"KeSetEvent");
    KeInitializeEvent(&Reaper.Go, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Reaper.More, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Reaper.Done, SynchronizationEvent, FALSE);
    result = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Reap, NULL);
    if (!NT_SUCCESS(result))
        return result;
    result = ObReferenceObjectByHandle(handle, SYNCHRONIZE, NULL, KernelMode, &Reaper.Thread, NULL);
    ZwClose(handle);
    return result;
}

static VOID StopReaper(VOID)
{
    if (Reaper.Thread == NULL)
        return;
    Reaper.Stop = TRUE;
    Reaper.SetEvent(&Reaper.Go, 0, FALSE);
    KeWaitForSingleObject(Reaper.Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Reaper.Thread);
    Reaper.Thread = NULL;
}

/* Has a process terminated, and waits in `Mode` for word of it. Says what that wait ended with. */
static NTSTATUS WaitForDoom(HANDLE Pid, KPROCESSOR_MODE Mode, BOOLEAN Holds)
{
    LARGE_INTEGER often = {.QuadPart = -5000000}; /* 500 ms: a routine does not wait for long at once */
    NTSTATUS result = STATUS_TIMEOUT;

    Reaper.Pid = Pid;
    Reaper.Holds = Holds;
    Reaper.SetEvent(&Reaper.Go, 0, FALSE);
    for (ULONG i = 0; i < 60 && result == STATUS_TIMEOUT; i++)
        result = KeWaitForSingleObject(&Reaper.Done, Executive, Mode, FALSE, &often);
    return result;
}

/* In a dispatch routine of the driver, on a thread of the process. */
static VOID Asked(VOID)
{
    NTSTATUS result;

    ok("R-CTX-05", !KeAreApcsDisabled(), "a dispatch routine is in no critical region");
    result = WaitForDoom(PsGetCurrentProcessId(), UserMode, TRUE);
    status("R-CTX-05", result, STATUS_USER_APC, "outside of a region a wait in user mode ends when the process is terminated");
    Reaper.SetEvent(&Reaper.More, 0, FALSE);
    result = KeWaitForSingleObject(&Reaper.Done, Executive, KernelMode, FALSE, NULL);
    status("R-CTX-05", result, STATUS_SUCCESS, "one in kernel mode does not");
    status("R-IMG-03", Reaper.First, STATUS_SUCCESS, "a driver terminates a process");
    status("R-IMG-03", Reaper.Second, 0xC000010A, "which is terminating then: STATUS_PROCESS_IS_TERMINATING");
}

/* ---- Processes ---- */

static VOID CheckRegion(PCSTR IrqlIds, PCSTR RegionIds)
{
    equal(IrqlIds, KeGetCurrentIrql(), PASSIVE_LEVEL, "at PASSIVE_LEVEL");
    ok(RegionIds, KeAreApcsDisabled(), "in a critical region: normal kernel APCs are disabled");
}

static VOID Created(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO Info)
{
    CASE found = CaseOf(Info->ImageFileName);
    RECORD *record;

    if (found == CASES)
        return;
    ok("R-ORD-01,R-ORD-06", Find(ProcessId) == NULL, "nothing is told of a process before its creation, nor that twice");
    record = Add(ProcessId, found);
    if (record == NULL)
        return;
    record->Creates++;
    record->Creator = Info->CreatingThreadId;
    CheckRegion("R-CTX-01,S-PROCEX-12", "R-CTX-01");
    ok("R-CTX-01", !KeAreAllApcsDisabled(), "special kernel APCs are enabled in a process routine");
    equal("R-PCI-06,S-PROCEX-13", Info->CreatingThreadId.UniqueProcess, PsGetCurrentProcessId(), "creation: in the creator's process");
    equal("R-PCI-06,S-PROCEX-13", Info->CreatingThreadId.UniqueThread, PsGetCurrentThreadId(), "creation: in the creator's thread");
    ok("S-PROCEX-13", PsGetCurrentProcess() != Process, "creation: not in the new process");
    equal("R-CTX-06", PsGetProcessId(PsGetCurrentProcess()), PsGetCurrentProcessId(), "creation: attached to nothing");
    if (found == Section)
        ok("R-CTX-06", Info->ParentProcessId != PsGetCurrentProcessId(), "who inserts the first thread is the creator");
    if (found == Plain && !HigherRegistered) {
        status("R-RM-09", PsSetCreateProcessNotifyRoutineEx(OnLower, FALSE), STATUS_SUCCESS, "registering inside a routine");
        status("R-RM-09", PsSetCreateProcessNotifyRoutineEx(OnHigher, FALSE), STATUS_SUCCESS, "and once more");
        LowerRegistered = HigherRegistered = TRUE;
    }
}

static VOID Exited(PEPROCESS Process, HANDLE ProcessId)
{
    RECORD *record = Find(ProcessId);

    if (record == NULL) {
        WithoutCreate++;
        return;
    }
    CheckRegion("R-CTX-01,S-PROCEX-12", "R-CTX-01");
    equal("R-EXIT-01,S-PROCEX-14", PsGetCurrentProcess(), Process, "exit: in the process that exits");
    equal("S-PROCEX-14", PsGetCurrentProcessId(), ProcessId, "exit: in a thread of that process");
    equal("R-ORD-01,S-PROCEX-14", PsGetCurrentThreadId(), record->LastExit, "exit: in the last thread that exited");
    equal("R-ORD-01", record->Alive, 0, "every thread's exit is told before the process's");
    ok("R-ORD-01", record->Threads != 0, "a process that exits had a thread");
    status("R-EXIT-02", PsGetProcessExitStatus(Process), StatusOf(record), "the exit status is final");
    if (record->Case == Doomed || record->Case == Asks)
        status("R-IMG-03", PsGetProcessExitStatus(Process), DOOM, "a process that a driver has terminated exits with its status");
    if (record->Case == Plain && HigherRegistered) {
        status("R-RM-07,R-RACE-08", PsSetCreateProcessNotifyRoutineEx(OnHigher, TRUE), STATUS_SUCCESS,
               "removing another routine inside a routine");
        HigherRegistered = FALSE;
    }
    record->Exits++;
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO Info)
{
    if (Info != NULL)
        Created(Process, ProcessId, Info);
    else
        Exited(Process, ProcessId);
}

/* Has the lowest slot until the suite has started, so that there is a free one below OnProcess. */
static VOID NTAPI OnHole(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO Info)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(Info);
}

/* ---- Threads ---- */

static VOID CheckThreadIrql(RECORD *Record)
{
    ok("R-CTX-03", KeGetCurrentIrql() <= APC_LEVEL, "a thread routine is called at APC_LEVEL at most");
    if (KeGetCurrentIrql() == APC_LEVEL)
        AtApcLevel++;
    if (Record->Case != Apc)
        equal("R-CTX-03", KeGetCurrentIrql(), PASSIVE_LEVEL, "C10: usually at PASSIVE_LEVEL");
}

static VOID ThreadCreated(RECORD *Record, HANDLE ProcessId, HANDLE ThreadId)
{
    CheckThreadIrql(Record);
    todo("R-CTX-06", KeAreApcsDisabled(), "a thread routine is called in a critical region");
    Record->Threads++;
    Record->Alive++;
    ok("R-CTX-06", PsGetCurrentThreadId() != ThreadId, "C9: thread creation is told in the creator's thread, not the new one");
    if (Record->Threads == 1) {
        Record->FirstThread = ThreadId;
        ok("R-ORD-01", Record->Creates == 1 && Record->Images == 0, "the first thread: after the process, before images");
        equal("R-ORD-01", PsGetCurrentProcessId(), Record->Creator.UniqueProcess, "its creator is the process's");
        equal("R-ORD-01", PsGetCurrentThreadId(), Record->Creator.UniqueThread, "in the same thread");
    } else if (Record->Case == Remote) {
        ok("R-CTX-06", PsGetCurrentProcessId() != ProcessId, "a thread that another process creates: in that process");
    } else {
        equal("R-CTX-06", PsGetCurrentProcessId(), ProcessId, "a thread that its own process creates: in that process");
    }
}

/* A thread's environment block while its exit is told: what it begins with is there to be read. */
static VOID CheckTeb(PETHREAD Thread, HANDLE ProcessId, HANDLE ThreadId)
{
    volatile ULONG64 *teb;

    if (ThreadTeb == NULL || CurrentTeb == NULL || ProcessPeb == NULL)
        return;
    teb = ThreadTeb(Thread);
    if (!ok("R-EXIT-04", teb != NULL && (ULONG_PTR)teb < 0x800000000000, "thread exit: the thread has a TEB, in user memory"))
        return;
    equal("R-EXIT-04", ID(CurrentTeb()), ID(teb), "it is the current thread's");
    equal("R-EXIT-04", teb[6], ID(teb), "the TEB is there: it points to itself");
    ok("R-EXIT-04", teb[1] > teb[2] && teb[2] != 0, "it holds the bounds of the thread's stack");
    equal("R-EXIT-04", teb[8], ID(ProcessId), "the process's id");
    equal("R-EXIT-04", teb[9], ID(ThreadId), "the thread's id");
    equal("R-EXIT-04", teb[12], ID(ProcessPeb(PsGetCurrentProcess())), "and the address of the PEB");
    ok("R-EXIT-04", ((volatile ULONG64 *)(ULONG_PTR)teb[12])[2] != 0, "which holds the base of the executable");
}

static VOID ThreadExited(RECORD *Record, HANDLE ProcessId, HANDLE ThreadId)
{
    PETHREAD thread = NULL;

    CheckThreadIrql(Record);
    equal("R-CTX-06", PsGetCurrentThreadId(), ThreadId, "thread exit: in the thread that exits");
    equal("R-CTX-06", PsGetCurrentProcessId(), ProcessId, "thread exit: in its process");
    ok("R-ORD-01", Record->Alive != 0, "a thread that exits was created");
    if (NT_SUCCESS(PsLookupThreadByThreadId(ThreadId, &thread))) {
        if (Record->Alive == 1)
            status("R-EXIT-03", PsGetThreadExitStatus(thread), StatusOf(Record), "the last thread's exit status is the process's");
        else
            ok("R-EXIT-03", PsGetThreadExitStatus(thread) != STATUS_PENDING, "a thread's exit status is valid in its exit");
        CheckTeb(thread, ProcessId, ThreadId);
        ObDereferenceObject(thread);
    }
    Record->Alive--;
    Record->LastExit = ThreadId;
}

static VOID NTAPI OnThread(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    RECORD *record = Find(ProcessId);
    if (record == NULL)
        return;
    if (Create)
        ThreadCreated(record, ProcessId, ThreadId);
    else
        ThreadExited(record, ProcessId, ThreadId);
}

/* Type Subsystems: as the plain form, for other subsystems' threads too. */
static VOID NTAPI OnTypedThread(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    RECORD *record = Find(ProcessId);
    if (record == NULL)
        return;
    if (Create) {
        record->Typed++;
        equal("R-REG-16", record->Typed, record->Threads, "type Subsystems is told of each thread once");
        ok("R-CTX-06", PsGetCurrentThreadId() != ThreadId, "type Subsystems: in the creator's thread");
    } else {
        equal("R-CTX-06", PsGetCurrentThreadId(), ThreadId, "type Subsystems: exit in the thread that exits");
    }
}

/* Type NonSystem: on the new thread, before it enters user mode. */
static VOID NTAPI OnStart(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    RECORD *record = Find(ProcessId);
    if (record == NULL)
        return;
    ok("R-EXIT-05", Create, "type NonSystem is told of starts only");
    record->Starts++;
    ok("R-CTX-03", KeGetCurrentIrql() <= APC_LEVEL, "type NonSystem: at APC_LEVEL at most");
    equal("R-CTX-06", PsGetCurrentThreadId(), ThreadId, "type NonSystem: in the new thread");
    equal("R-CTX-06", PsGetCurrentProcessId(), ProcessId, "type NonSystem: in its process");
    ok("R-ORD-01", record->Threads >= record->Starts, "a thread starts after its creation was told");
    if (record->Starts == 1)
        todo("R-ORD-01", record->Images == 0, "the first thread's start is told before the images");
}

/* ---- Images ---- */

static VOID NTAPI ApcKernelRoutine(PKAPC Apc, PVOID *NormalRoutine, PVOID *NormalContext, PVOID *First, PVOID *Second)
{
    UNREFERENCED_PARAMETER(Apc);
    UNREFERENCED_PARAMETER(NormalRoutine);
    UNREFERENCED_PARAMETER(NormalContext);
    UNREFERENCED_PARAMETER(First);
    UNREFERENCED_PARAMETER(Second);
}

static VOID NTAPI ApcNormalRoutine(PVOID Context, PVOID First, PVOID Second)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(First);
    UNREFERENCED_PARAMETER(Second);
    InterlockedIncrement(&ApcRan);
}

/* R-CTX-04: a normal kernel APC waits for the end of the critical region. */
static VOID QueueApc(VOID)
{
    if (InterlockedIncrement(&ApcQueued) != 1)
        return;
    KeInitializeApc(&QueuedApc, KeGetCurrentThread(), 0, ApcKernelRoutine, NULL, (PVOID)ApcNormalRoutine, KernelMode, NULL);
    ok("R-CTX-04", KeInsertQueueApc(&QueuedApc, NULL, NULL, 0), "an APC is queued to the thread that runs a routine");
    equal("R-CTX-04", ApcRan, 0, "and does not run inside the routine");
}

/* The images that a process begins with, by their order. */
static VOID CheckStart(RECORD *Record, PUNICODE_STRING Name)
{
    BOOLEAN native = EndsWith(Name, L"\\system32\\ntdll.dll"), old = EndsWith(Name, L"\\syswow64\\ntdll.dll");

    Record->NativeNtdll += native;
    Record->Ntdll32 += old;
    if (Record->Images == 1) {
        ok("R-ORD-01", EndsWith(Name, Cases[Record->Case].Image), "the first image is the executable");
        ok("R-ORD-01", Record->Threads != 0, "images come after the first thread's creation");
    }
    if (Record->Images <= 2) {
        equal("R-ORD-01,S-IMGCB-16", PsGetCurrentProcessId(), Record->Pid, "executable and ntdll: in the new process");
        equal("R-CTX-06", PsGetCurrentThreadId(), Record->FirstThread, "executable and ntdll: in its first thread");
    }
    if (Record->Images == 2)
        ok("R-ORD-01,R-WOW-01", native, "the second image is the native ntdll");
    if (native)
        equal("R-ORD-01", Record->NativeNtdll, 1, "ntdll is told once");
    if (old) {
        equal("R-WOW-02", Record->Case, Wow, "only a 32-bit process has the 32-bit ntdll");
        equal("R-WOW-01", Record->Wow64, 0, "C5: the 32-bit ntdll comes before wow64.dll");
    }
    if (EndsWith(Name, L"\\system32\\wow64.dll")) {
        Record->Wow64++;
        ok("R-WOW-01", Record->NativeNtdll == 1, "wow64.dll comes after the native ntdll");
    }
}

/* The view is there. Read first: a page that nobody has touched may be valid only then. */
static VOID CheckHeader(PVOID Base)
{
    equal("R-IMG-02,S-IMGCB-3", *(const volatile USHORT *)Base, 0x5A4D, "the mapped header is read: MZ");
    ok("R-IMG-02,S-IMGCB-3", MmIsAddressValid(Base), "and its address is valid");
}

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO Info)
{
    RECORD *record;

    if (ProcessId == NULL) {
        KernelImages++;
        CheckRegion("R-CTX-01,S-IMGCB-17", "R-CTX-01,S-IMGCB-18");
        equal("R-IMG-01,S-IMGCB-2", PsGetProcessId(PsGetCurrentProcess()), PsGetProcessId(PsInitialSystemProcess),
              "a kernel image is told in the System process");
        equal("R-IMG-01,S-IMGCB-8", Info->SystemModeImage, 1, "ProcessId 0 means a kernel image");
        return;
    }
    record = Find(ProcessId);
    if (record == NULL)
        return;
    record->Images++;
    CheckRegion("R-CTX-01,S-IMGCB-17", "R-CTX-01,S-IMGCB-18");
    if (KeAreAllApcsDisabled())
        AllApcsDisabled++;
    if (record->Case == Guarded)
        ok("R-CTX-02,S-IMGCB-19", KeAreAllApcsDisabled(), "with all APCs disabled, special ones too");
    else if (Build >= BUILD_8)
        ok("R-CTX-02", !KeAreAllApcsDisabled(), "usually with special kernel APCs enabled");
    else if (record->Images <= 2 || EndsWith(FullImageName, L"\\syswow64\\ntdll.dll"))
        ok("R-LOCK-03", !KeAreAllApcsDisabled(), "executable and both ntdll: without the lock of Windows 7");
    else
        ok("R-LOCK-04,S-IMGCB-12", KeAreAllApcsDisabled(), "a DLL: under the lock of Windows 7, with all APCs disabled");
    equal("R-IMG-01", Info->SystemModeImage, 0, "an image of a process is a user image");
    equal("R-CTX-06,S-IMGCB-7", PsGetProcessId(PsGetCurrentProcess()), ProcessId, "in the address space it was mapped into");
    CheckStart(record, FullImageName);
    for (DLL at = 0; at < DLLS; at++)
        record->Dlls[at] += EndsWith(FullImageName, Dlls[at]);
    if (EndsWith(FullImageName, Dlls[RemoteDll]))
        ok("R-CTX-06", PsGetCurrentProcessId() != ProcessId, "mapped by another process: in a thread of that");
    else
        equal("R-CTX-06", PsGetCurrentProcessId(), ProcessId, "mapped by itself: in a thread of its own");
    if (record->Case == Doomed && record->Images == 1) {
        status("R-CTX-05", WaitForDoom(ProcessId, UserMode, FALSE), STATUS_SUCCESS,
               "in a routine, where kernel APCs are disabled, a wait in user mode goes on though the process is terminated");
        status("R-IMG-03", Reaper.First, STATUS_SUCCESS, "a process can be terminated while its image routine runs");
    }
    if (EndsWith(FullImageName, Dlls[Once])) {
        QueueApc();
        CheckHeader(Info->ImageBase);
    }
}

/* ---- The suite ---- */

static NTSTATUS SuiteStart(PDRIVER_OBJECT DriverObject)
{
    NTSTATUS result;
    UNREFERENCED_PARAMETER(DriverObject);
    ExInitializeFastMutex(&Lock);
    SetThreadEx = (SET_THREAD_EX)Resolve(L"PsSetCreateThreadNotifyRoutineEx");
    ThreadTeb = (PVOID)Resolve(L"PsGetThreadTeb");
    CurrentTeb = (PVOID)Resolve(L"PsGetCurrentThreadTeb");
    ProcessPeb = (PVOID)Resolve(L"PsGetProcessPeb");
    result = StartReaper();
    if (NT_SUCCESS(result))
        result = PsSetCreateProcessNotifyRoutineEx(OnHole, FALSE);
    if (NT_SUCCESS(result))
        result = PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
    PsSetCreateProcessNotifyRoutineEx(OnHole, TRUE);
    if (NT_SUCCESS(result))
        result = PsSetCreateThreadNotifyRoutine(OnThread);
    if (NT_SUCCESS(result) && SetThreadEx != NULL) {
        result = SetThreadEx(THREAD_SUBSYSTEMS, (PVOID)OnTypedThread);
        Typed = NT_SUCCESS(result);
        if (NT_SUCCESS(result))
            result = SetThreadEx(THREAD_NON_SYSTEM, (PVOID)OnStart);
        Started = NT_SUCCESS(result);
    }
    if (NT_SUCCESS(result))
        result = PsSetLoadImageNotifyRoutine(OnImage);
    if (!NT_SUCCESS(result))
        SuiteStop();
    return result;
}

static RECORD *OfCase(CASE Case)
{
    for (ULONG i = 0; i < Used; i++)
        if (Records[i].Case == Case)
            return &Records[i];
    return NULL;
}

static VOID SuitePhase(ULONG Phase)
{
    RECORD *record = OfCase(Waiting);

    if (Phase == PHASE_ASKS) {
        Asked();
        return;
    }
    Phases++;
    /* What the phase before has left. */
    if (Phase == 2 && ok("R-ORD-02", record != NULL, "a process that was created suspended is told of at once")) {
        equal("R-ORD-02", record->Threads, 1, "so is its first thread");
        equal("R-ORD-02", record->Images, 0, "its images are not, before it is resumed");
        if (Started)
            todo("R-ORD-02", record->Starts == 0, "nor the start of its thread, to type NonSystem");
    }
    if (Phase == 3 && ok("R-ORD-02", record != NULL, "a process that was created suspended has run")) {
        ok("R-ORD-02", record->Images >= 2, "its images were told once it was resumed");
        equal("R-ORD-02", record->Exits, 1, "and its exit");
    }
    if (Phase == 5)
        ok("R-ORD-05", WithoutCreate > WithoutCreateBefore, "of a process that was there before, its exit is told");
    if (Phase == 6)
        ok("R-ORD-03", WithoutCreate > WithoutCreateBefore, "of a process that never had a thread, its exit is told");
    WithoutCreateBefore = WithoutCreate;
}

static VOID CheckPlain(RECORD *Record)
{
    equal("R-IMG-01,S-IMGCB-1", Record->Dlls[Once], 1, "one map, one notification");
    equal("R-IMG-01", Record->Dlls[Again], 3, "each map of an image is told: a second view, and after an unmap");
    if (Build >= BUILD_8)
        equal("R-IMG-01,S-IMGCB-11", Record->Dlls[NoExecute], 0, "SEC_IMAGE_NO_EXECUTE is told to nobody");
    else
        equal("R-IMG-01", Record->Dlls[NoExecute], 1, "Windows 7 has no such map: it is one like any other, and told");
    equal("R-IMG-01", Record->Dlls[Data], 0, "a map as data is told to nobody");
    ok("R-ORD-01", Record->Threads >= 2, "a thread made later is told");
    equal("R-RM-09", LowerCreates, 0, "registered inside a routine, in a lower slot: not told of the event in progress");
    equal("R-RACE-03,R-RM-09", LowerExits, 1, "but of the exit: an exit without a creation");
    equal("R-RM-09", HigherCreates, 1, "in a higher slot: told of the event in progress");
    equal("R-RACE-03,R-RACE-08,R-RM-07", HigherExits, 0, "removed before its turn: a creation without an exit");
    equal("R-CTX-04", ApcRan, 1, "the APC ran after the routine had returned");
}

static VOID SuiteStop(VOID)
{
    ULONG seen[CASES] = {0};

    StopReaper();
    PsRemoveLoadImageNotifyRoutine(OnImage);
    PsRemoveCreateThreadNotifyRoutine(OnThread);
    if (Typed)
        status("R-REG-15", PsRemoveCreateThreadNotifyRoutine(OnTypedThread), STATUS_SUCCESS, "type Subsystems is removed");
    if (Started)
        status("R-REG-15", PsRemoveCreateThreadNotifyRoutine(OnStart), STATUS_SUCCESS, "type NonSystem is removed");
    PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
    if (LowerRegistered)
        PsSetCreateProcessNotifyRoutineEx(OnLower, TRUE);
    if (HigherRegistered)
        PsSetCreateProcessNotifyRoutineEx(OnHigher, TRUE);

    for (ULONG i = 0; i < Used; i++) {
        RECORD *record = &Records[i];
        seen[record->Case]++;
        equal("R-ORD-06,S-PROCEX-1,S-PROCEX-2", record->Creates, 1, "one creation of each process is told");
        equal("R-ORD-06,S-PROCEX-1", record->Exits, 1, "and one exit");
        if (record->Case == Doomed)
            todo("R-ORD-01", record->NativeNtdll == 1, "of a process that is terminated while its executable is told, ntdll is told too");
        else
            equal("R-ORD-01", record->NativeNtdll, 1, "each process has its ntdll");
        if (Started)
            equal("R-ORD-01", record->Starts, record->Threads, "each thread's start is told to type NonSystem");
        if (record->Case == Plain)
            CheckPlain(record);
        if (record->Case == Remote)
            equal("R-IMG-01", record->Dlls[RemoteDll], 1, "a map into another process is told");
        if (record->Case == Wow)
            ok("R-WOW-01,R-WOW-02", record->Ntdll32 == 1 && record->Wow64 == 1,
               "a 32-bit process: its own ntdll and wow64.dll are told without the flag of conflicting architectures");
    }
    for (CASE at = 0; at < CASES; at++)
        if (seen[at] == 0)
            skip(Cases[at].Ids, Cases[at].Missing);
    if (seen[Cloned] != 0)
        equal("R-ORD-04", seen[Cloned], 1, "C14: a clone's creation is told to nobody");
    if (seen[Apc] != 0)
        ok("R-CTX-03", AtApcLevel != 0, "a thread routine can be called at APC_LEVEL");
    if (KernelImages == 0)
        skip("R-IMG-01", "no kernel image was loaded");
    if (Phases == 0)
        skip("R-ORD-02,R-ORD-03,R-ORD-05", "no phase was announced");
    Say("conformance: note exits-without-create %u", WithoutCreate);
    Say("conformance: note all-apcs-disabled %u", AllApcsDisabled);
    skip("R-CTX-07", "what drivers must leave as they found it; broken on purpose by other drivers");
    skip("S-IMGCB-4", "tells drivers how to act, and has no outcome of its own");
    skip("R-LOCK-01,R-LOCK-02,S-IMGCB-13", "to operate on user memory under the lock of Windows 7 would deadlock");
    skip("R-WOW-04", "only on ARM64");
    if (ThreadTeb == NULL || CurrentTeb == NULL || ProcessPeb == NULL)
        skip("R-EXIT-04", "no routine tells where a thread's TEB is");
    skip("R-EXIT-06", "when an id is used again cannot be brought about");
}
