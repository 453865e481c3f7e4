/*
 * Conformance of registration and removal: entry points, statuses, limits, order of slots.
 *
 * Checks everything in DriverEntry. Events of its own are system threads, of which thread routines are told. It
 * fills the tables, so it should be the only driver that registers; where others have, it finds less room and says
 * so in its notes. In phase 1 it fills the table of process routines; phase 2 begins when whoever leads it has made
 * nonpaged pool so low that no allocation succeeds, which a program on Windows cannot do. Built with and without FORCE_INTEGRITY: it looks at its own header to know which one it is.
 */
#define SUITE "registration"
#define SUITE_DEVICE L"ConformanceRegistration"
#include "conformance.h"

/* "Conf" */
#define TAG 0x666E6F43
/* The most slots that any table has on any Windows. */
#define MOST 64

static BOOLEAN Integrity;
static ULONG Filled, LowPool;
/* What a check proves: a driver that has the bit is answered the same whether or not somebody looks for it. */
#define PROVES(With, Without) (Integrity ? (With) : (Without))
static SET_PROCESS_EX2 SetProcessEx2;
static SET_THREAD_EX SetThreadEx;
static SET_IMAGE_EX SetImageEx;

/* Calls of thread routines for threads of ours, in order: the number of the routine. */
#define CALLS 512
static volatile LONG CallsUsed;
static UCHAR Calls[CALLS];
static HANDLE Creator, Child;

static VOID ThreadCalled(ULONG Routine, HANDLE ThreadId, BOOLEAN Create)
{
    LONG at;
    if (Create && PsGetCurrentThreadId() == Creator)
        Child = ThreadId;
    if (ThreadId != Child || !Create)
        return;
    at = InterlockedIncrement(&CallsUsed) - 1;
    if (at < CALLS)
        Calls[at] = (UCHAR)Routine;
}

/* 65 routines of each family, all different, so that no linker can make one of them. */
#define ROUTINES(n)                                                                                   \
    static VOID NTAPI Process##n(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)                   \
    {                                                                                                 \
        UNREFERENCED_PARAMETER(ParentId);                                                             \
        UNREFERENCED_PARAMETER(ProcessId);                                                            \
        UNREFERENCED_PARAMETER(Create);                                                               \
        InterlockedIncrement(&Told[n]);                                                               \
    }                                                                                                 \
    static VOID NTAPI ProcessEx##n(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO Info)  \
    {                                                                                                 \
        UNREFERENCED_PARAMETER(Process);                                                              \
        UNREFERENCED_PARAMETER(ProcessId);                                                            \
        UNREFERENCED_PARAMETER(Info);                                                                 \
        InterlockedIncrement(&Told[MOST + 1 + n]);                                                    \
    }                                                                                                 \
    static VOID NTAPI Thread##n(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)                    \
    {                                                                                                 \
        UNREFERENCED_PARAMETER(ProcessId);                                                            \
        ThreadCalled(n, ThreadId, Create);                                                            \
    }                                                                                                 \
    static VOID NTAPI Image##n(PUNICODE_STRING Name, HANDLE ProcessId, PIMAGE_INFO Info)              \
    {                                                                                                 \
        UNREFERENCED_PARAMETER(Name);                                                                 \
        UNREFERENCED_PARAMETER(ProcessId);                                                            \
        UNREFERENCED_PARAMETER(Info);                                                                 \
        InterlockedIncrement(&Told[2 * (MOST + 1) + n]);                                              \
    }

/* Notices that others' events brought meanwhile; only so that the routines differ. */
static volatile LONG Told[3 * (MOST + 1)];

#define EACH8(M, a) M(a##0) M(a##1) M(a##2) M(a##3) M(a##4) M(a##5) M(a##6) M(a##7)
#define EACH64(M) EACH8(M, 0) EACH8(M, 01) EACH8(M, 02) EACH8(M, 03) EACH8(M, 04) EACH8(M, 05) EACH8(M, 06) EACH8(M, 07)

/* Octal, so that a digit can be appended; 0100 is the 65th. */
EACH64(ROUTINES)
ROUTINES(0100)

#define PROCESS(n) Process##n,
#define PROCESS_EX(n) ProcessEx##n,
#define THREAD(n) Thread##n,
#define IMAGE(n) Image##n,
static const PCREATE_PROCESS_NOTIFY_ROUTINE Processes[] = {EACH64(PROCESS) Process0100};
static const PCREATE_PROCESS_NOTIFY_ROUTINE_EX ProcessesEx[] = {EACH64(PROCESS_EX) ProcessEx0100};
static const PCREATE_THREAD_NOTIFY_ROUTINE Threads[] = {EACH64(THREAD) Thread0100};
static const PLOAD_IMAGE_NOTIFY_ROUTINE Images[] = {EACH64(IMAGE) Image0100};

static VOID NTAPI Nothing(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Has a system thread run and end, and gives which routines were told of its creation: Calls[0 .. result). */
static ULONG OneThread(VOID)
{
    HANDLE handle;
    PVOID thread;
    NTSTATUS result;

    CallsUsed = 0;
    Child = NULL;
    Creator = PsGetCurrentThreadId();
    result = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Nothing, NULL);
    if (!NT_SUCCESS(result))
        return 0;
    result = ObReferenceObjectByHandle(handle, SYNCHRONIZE, NULL, KernelMode, &thread, NULL);
    ZwClose(handle);
    if (NT_SUCCESS(result)) {
        KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(thread);
    }
    return (ULONG)CallsUsed;
}

/* Whether the routines told of a new thread are these, in this order. */
static BOOLEAN TellsInOrder(const UCHAR *Expected, ULONG Count)
{
    if (OneThread() != Count)
        return FALSE;
    for (ULONG i = 0; i < Count; i++)
        if (Calls[i] != Expected[i])
            return FALSE;
    return TRUE;
}
#define TELLS(...) TellsInOrder((const UCHAR[]){__VA_ARGS__}, sizeof((const UCHAR[]){__VA_ARGS__}))

/* ---- Entry points ---- */

static VOID EntryPoints(VOID)
{
    SetProcessEx2 = (SET_PROCESS_EX2)Resolve(L"PsSetCreateProcessNotifyRoutineEx2");
    SetThreadEx = (SET_THREAD_EX)Resolve(L"PsSetCreateThreadNotifyRoutineEx");
    SetImageEx = (SET_IMAGE_EX)Resolve(L"PsSetLoadImageNotifyRoutineEx");
    ok("R-REG-01", Resolve(L"PsSetCreateProcessNotifyRoutine") != NULL, "PsSetCreateProcessNotifyRoutine is there");
    ok("R-REG-01,S-PROCEX-15", Resolve(L"PsSetCreateProcessNotifyRoutineEx") != NULL, "PsSetCreateProcessNotifyRoutineEx is there");
    ok("R-REG-01", Resolve(L"PsSetLoadImageNotifyRoutine") != NULL, "PsSetLoadImageNotifyRoutine is there");
    ok("R-REG-01", Resolve(L"PsRemoveLoadImageNotifyRoutine") != NULL, "PsRemoveLoadImageNotifyRoutine is there");
    ok("R-REG-01", Resolve(L"PsSetCreateThreadNotifyRoutine") != NULL, "PsSetCreateThreadNotifyRoutine is there");
    ok("R-REG-01", Resolve(L"PsRemoveCreateThreadNotifyRoutine") != NULL, "PsRemoveCreateThreadNotifyRoutine is there");
    equal("R-REG-01", SetProcessEx2 != NULL, Build >= BUILD_1703, "PsSetCreateProcessNotifyRoutineEx2 since 1703");
    equal("R-REG-01", SetThreadEx != NULL, Build >= BUILD_1703, "PsSetCreateThreadNotifyRoutineEx since 1703");
    equal("R-REG-01,S-IMGEX-12,S-IMGEX-13", SetImageEx != NULL, Build >= BUILD_1709, "PsSetLoadImageNotifyRoutineEx since 1709");
    ok("R-REG-01", Resolve(L"PsSetLoadImageNotifyRoutineEx2") == NULL, "a routine that no Windows has is not found");
}

/* ---- Image routines ---- */

static VOID ImageForms(VOID)
{
    if (SetImageEx == NULL) {
        skip("R-REG-11,R-REG-08,R-REG-15", "no PsSetLoadImageNotifyRoutineEx on this Windows");
        return;
    }
    status("R-REG-11,S-IMGEX-5", SetImageEx(Images[0], 2), STATUS_INVALID_PARAMETER_2, "an unknown image flag is refused");
    status("R-REG-11", SetImageEx(Images[0], 3), STATUS_INVALID_PARAMETER_2, "an unknown flag beside a known one too");
    status("R-REG-11,S-IMGEX-2", SetImageEx(Images[0], (ULONG_PTR)1 << 32), STATUS_INVALID_PARAMETER_2,
           "an unknown flag in the upper half too: Flags has the width of a pointer");
    status("R-REG-11", SetImageEx(Images[0], (ULONG_PTR)1 << 63), STATUS_INVALID_PARAMETER_2, "and the highest one");
    status("R-REG-11", PsRemoveLoadImageNotifyRoutine(Images[0]), STATUS_PROCEDURE_NOT_FOUND_,
           "a refused image registration leaves no trace");
    status("R-REG-11,S-IMGEX-4", SetImageEx(Images[0], 0), STATUS_SUCCESS, "the Ex form takes Flags 0");
    status("R-REG-02", SetImageEx(Images[1], IMAGE_CONFLICTING), STATUS_SUCCESS,
           "PS_IMAGE_NOTIFY_CONFLICTING_ARCHITECTURE is 1");
    status("R-REG-15,S-IMGEX-11,S-IMGCB-15", PsRemoveLoadImageNotifyRoutine(Images[0]), STATUS_SUCCESS,
           "the one remove routine removes what the Ex form registered");
    status("R-REG-15", PsRemoveLoadImageNotifyRoutine(Images[1]), STATUS_SUCCESS, "with a flag as well");
}

static VOID ImageRoutines(VOID)
{
    ULONG count = 0, removed = 0;
    NTSTATUS result = STATUS_SUCCESS;

    status("R-REG-11", PsRemoveLoadImageNotifyRoutine(Images[0]), STATUS_PROCEDURE_NOT_FOUND_,
           "removing an image routine that is not registered");
    ImageForms();
    status("R-REG-11,S-IMGCB-10", PsSetLoadImageNotifyRoutine(Images[0]), STATUS_SUCCESS, "an image routine is registered");
    status("R-REG-07", PsSetLoadImageNotifyRoutine(Images[0]), STATUS_SUCCESS, "the same image routine once more");
    status("R-REG-14", PsRemoveLoadImageNotifyRoutine(Images[0]), STATUS_SUCCESS, "one removal for each registration: 1");
    status("R-REG-14", PsRemoveLoadImageNotifyRoutine(Images[0]), STATUS_SUCCESS, "one removal for each registration: 2");
    status("R-REG-14", PsRemoveLoadImageNotifyRoutine(Images[0]), STATUS_PROCEDURE_NOT_FOUND_, "and no third");
    status("R-REG-14", PsRemoveLoadImageNotifyRoutine((PLOAD_IMAGE_NOTIFY_ROUTINE)((PUCHAR)Images[0] + 1)),
           STATUS_PROCEDURE_NOT_FOUND_, "an address beside a routine is another routine");

    while (count < MOST && NT_SUCCESS(result = PsSetLoadImageNotifyRoutine(Images[count])))
        count++;
    if (count == MOST)
        result = PsSetLoadImageNotifyRoutine(Images[MOST]);
    Say("conformance: note image-slots %u", count);
    status("R-REG-06,R-REG-05", result, STATUS_INSUFFICIENT_RESOURCES, "one image routine more than fit");
    if (Build >= BUILD_10)
        ok("R-REG-05,S-IMGEX-8", count > 8 && count <= MOST, "64 slots for image routines since Windows 10");
    else
        ok("R-REG-05", count <= 8 || (count > 32 && count <= MOST), "8 slots for image routines, or 64 with the update");
    if (SetImageEx != NULL) {
        status("R-REG-08,R-REG-06,S-IMGEX-9", SetImageEx(Images[count], 0), STATUS_INSUFFICIENT_RESOURCES,
               "both image forms share a table: the Ex form finds it full too");
        status("R-REG-11", SetImageEx(Images[count], 4), STATUS_INVALID_PARAMETER_2,
               "flags are checked before a slot is looked for");
    }
    status("R-REG-11", PsRemoveLoadImageNotifyRoutine(Images[count]), STATUS_PROCEDURE_NOT_FOUND_,
           "the image routine that did not fit left no trace");
    status("R-REG-09", PsRemoveLoadImageNotifyRoutine(Images[count / 2]), STATUS_SUCCESS, "a slot in the middle is freed");
    status("R-REG-09", PsSetLoadImageNotifyRoutine(Images[count / 2]), STATUS_SUCCESS, "and taken again");
    status("R-REG-05", PsSetLoadImageNotifyRoutine(Images[count]), STATUS_INSUFFICIENT_RESOURCES, "which fills the table");
    for (ULONG i = 0; i < count; i++)
        removed += PsRemoveLoadImageNotifyRoutine(Images[i]) == STATUS_SUCCESS;
    equal("R-REG-11", removed, count, "every image routine can be removed");
}

/* ---- Thread routines ---- */

static VOID ThreadForms(VOID)
{
    if (SetThreadEx == NULL) {
        skip("R-REG-11,R-REG-15", "no PsSetCreateThreadNotifyRoutineEx on this Windows");
        return;
    }
    if (!Integrity) {
        status("R-REG-11,R-INT-01", SetThreadEx(THREAD_NON_SYSTEM, (PVOID)Threads[0]), STATUS_ACCESS_DENIED,
               "the Ex thread form is denied to an image without FORCE_INTEGRITY");
        status("R-REG-11", PsRemoveCreateThreadNotifyRoutine(Threads[0]), STATUS_PROCEDURE_NOT_FOUND_,
               "a denied thread registration leaves no trace");
        return;
    }
    status("R-REG-11", SetThreadEx(7, (PVOID)Threads[0]), STATUS_INVALID_PARAMETER, "an unknown type of thread routine");
    status("R-REG-11", PsRemoveCreateThreadNotifyRoutine(Threads[0]), STATUS_PROCEDURE_NOT_FOUND_,
           "a refused thread registration leaves no trace");
    status("R-REG-02", SetThreadEx(THREAD_NON_SYSTEM, (PVOID)Threads[0]), STATUS_SUCCESS,
           "PsCreateThreadNotifyNonSystem is 0");
    status("R-REG-02", SetThreadEx(THREAD_SUBSYSTEMS, (PVOID)Threads[1]), STATUS_SUCCESS,
           "PsCreateThreadNotifySubsystems is 1");
    ok("R-EXIT-07,R-REG-16", TELLS(1), "of a system thread type Subsystems is told and type NonSystem is not");
    status("R-REG-15", PsRemoveCreateThreadNotifyRoutine(Threads[0]), STATUS_SUCCESS,
           "the one remove routine removes type NonSystem");
    status("R-REG-15", PsRemoveCreateThreadNotifyRoutine(Threads[1]), STATUS_SUCCESS, "and type Subsystems");
}

/* Slots, made visible by system threads: whom a thread's creation is told, and in which order. */
static VOID ThreadSlots(VOID)
{
    for (ULONG i = 0; i < 4; i++)
        PsSetCreateThreadNotifyRoutine(Threads[i]);
    ok("R-REG-09,R-RACE-01", TELLS(0, 1, 2, 3), "routines are called in the order of their slots");
    PsRemoveCreateThreadNotifyRoutine(Threads[1]);
    ok("R-REG-09", TELLS(0, 2, 3), "removal clears only its slot");
    PsRemoveCreateThreadNotifyRoutine(Threads[2]);
    PsSetCreateThreadNotifyRoutine(Threads[4]);
    ok("R-REG-09,R-RACE-05", TELLS(0, 4, 3), "the lowest free slot is taken; nothing is compacted");
    PsSetCreateThreadNotifyRoutine(Threads[1]);
    ok("R-REG-09", TELLS(0, 4, 1, 3), "then the next free one");
    PsSetCreateThreadNotifyRoutine(Threads[0]);
    ok("R-REG-07,R-REG-14", TELLS(0, 4, 1, 3, 0), "a routine registered twice has two slots and is called twice");
    status("R-REG-14", PsRemoveCreateThreadNotifyRoutine(Threads[0]), STATUS_SUCCESS, "one of two registrations is removed");
    ok("R-REG-14", TELLS(4, 1, 3, 0), "it is the one of the lowest slot");
    PsSetCreateThreadNotifyRoutine(Threads[5]);
    ok("R-REG-09", TELLS(5, 4, 1, 3, 0), "slot 0 is used again");
    PsRemoveCreateThreadNotifyRoutine(Threads[0]);
    PsRemoveCreateThreadNotifyRoutine(Threads[1]);
    PsRemoveCreateThreadNotifyRoutine(Threads[3]);
    PsRemoveCreateThreadNotifyRoutine(Threads[4]);
    PsRemoveCreateThreadNotifyRoutine(Threads[5]);
    equal("R-RM-01", OneThread(), 0, "after their removal no routine is called");
}

static VOID ThreadRoutines(VOID)
{
    ULONG count = 0, removed = 0;
    NTSTATUS result = STATUS_SUCCESS;

    status("R-REG-11", PsRemoveCreateThreadNotifyRoutine(Threads[0]), STATUS_PROCEDURE_NOT_FOUND_,
           "removing a thread routine that is not registered");
    ThreadForms();
    status(PROVES("R-REG-11", "R-REG-11,R-INT-03"), PsSetCreateThreadNotifyRoutine(Threads[0]), STATUS_SUCCESS,
           "a thread routine is registered, with or without FORCE_INTEGRITY");
    status("R-REG-07", PsSetCreateThreadNotifyRoutine(Threads[0]), STATUS_SUCCESS, "the same thread routine once more");
    status("R-REG-14", PsRemoveCreateThreadNotifyRoutine(Threads[0]), STATUS_SUCCESS, "one removal for each: 1");
    status("R-REG-14", PsRemoveCreateThreadNotifyRoutine(Threads[0]), STATUS_SUCCESS, "one removal for each: 2");
    status("R-REG-14", PsRemoveCreateThreadNotifyRoutine(Threads[0]), STATUS_PROCEDURE_NOT_FOUND_, "and no third");
    ThreadSlots();

    while (count < MOST && NT_SUCCESS(result = PsSetCreateThreadNotifyRoutine(Threads[count])))
        count++;
    if (count == MOST)
        result = PsSetCreateThreadNotifyRoutine(Threads[MOST]);
    Say("conformance: note thread-slots %u", count);
    status("R-REG-06,R-REG-05", result, STATUS_INSUFFICIENT_RESOURCES, "one thread routine more than fit");
    if (Build >= BUILD_10)
        ok("R-REG-05", count > 8 && count <= MOST, "64 slots for thread routines since Windows 10");
    else
        todo("R-REG-05", count > 8 && count <= MOST, "64 slots for thread routines before Windows 10");
    if (SetThreadEx != NULL && Integrity)
        status("R-REG-08,R-REG-06", SetThreadEx(THREAD_SUBSYSTEMS, (PVOID)Threads[count]), STATUS_INSUFFICIENT_RESOURCES,
               "both thread types share the table of the plain form");
    if (SetThreadEx != NULL && !Integrity)
        status("R-REG-12", SetThreadEx(THREAD_SUBSYSTEMS, (PVOID)Threads[count]), STATUS_ACCESS_DENIED,
               "integrity is looked at before the table is");
    status("R-REG-11", PsRemoveCreateThreadNotifyRoutine(Threads[count]), STATUS_PROCEDURE_NOT_FOUND_,
           "the thread routine that did not fit left no trace");
    equal("R-RACE-01", OneThread(), count, "one event is told to every routine of a full table");
    for (ULONG i = 0; i < count; i++)
        removed += PsRemoveCreateThreadNotifyRoutine(Threads[i]) == STATUS_SUCCESS;
    equal("R-REG-11", removed, count, "every thread routine can be removed");
}

/* ---- Process routines ---- */

/* A routine of one form, as another form takes it. */
#define AS_PLAIN(Routine) ((PCREATE_PROCESS_NOTIFY_ROUTINE)(PVOID)(Routine))
#define AS_EX(Routine) ((PCREATE_PROCESS_NOTIFY_ROUTINE_EX)(PVOID)(Routine))

/* What the Ex forms answer to this driver. */
static NTSTATUS SetEx(VOID)
{
    return Integrity ? STATUS_SUCCESS : STATUS_ACCESS_DENIED;
}

static NTSTATUS RemovedEx(VOID)
{
    return Integrity ? STATUS_SUCCESS : STATUS_PROCEDURE_NOT_FOUND_;
}

static VOID ProcessEx(VOID)
{
    PCREATE_PROCESS_NOTIFY_ROUTINE_EX routine = ProcessesEx[0];
    NTSTATUS again;

    status(PROVES("R-REG-11", "R-REG-11,R-REG-13"), PsSetCreateProcessNotifyRoutineEx(routine, TRUE),
           STATUS_PROCEDURE_NOT_FOUND_, "removing an Ex process routine that is not registered; integrity is not looked at");
    status(PROVES("R-REG-11,S-PROCEX-5", "R-INT-01,R-REG-11,S-PROCEX-8"), PsSetCreateProcessNotifyRoutineEx(routine, FALSE),
           SetEx(), "the Ex form asks for FORCE_INTEGRITY");
    if (Integrity) {
        status("R-REG-11", PsSetCreateProcessNotifyRoutine(AS_PLAIN(routine), TRUE), STATUS_PROCEDURE_NOT_FOUND_,
               "an Ex routine is not removed by the plain form");
        again = PsSetCreateProcessNotifyRoutineEx(routine, FALSE);
        if (NT_SUCCESS(again)) {
            todo("R-REG-11", TRUE, "C1: an Ex process routine that is registered already is accepted, as observed");
            status("R-REG-14", PsSetCreateProcessNotifyRoutineEx(routine, TRUE), STATUS_SUCCESS, "each slot is removed");
        } else {
            status("R-REG-11,S-PROCEX-6", again, STATUS_INVALID_PARAMETER, "C1: an Ex process routine that is registered already");
        }
    }
    status(PROVES("R-REG-11,S-PROCEX-3", "R-REG-11"), PsSetCreateProcessNotifyRoutineEx(routine, TRUE), RemovedEx(),
           "an Ex process routine is removed");
    status("R-REG-11", PsSetCreateProcessNotifyRoutineEx(routine, TRUE), STATUS_PROCEDURE_NOT_FOUND_, "and not twice");
}

static VOID ProcessEx2(VOID)
{
    PVOID routine = (PVOID)ProcessesEx[1];

    if (SetProcessEx2 == NULL) {
        skip("R-REG-11,R-REG-08", "no PsSetCreateProcessNotifyRoutineEx2 on this Windows");
        return;
    }
    status("R-REG-11,R-REG-02", SetProcessEx2(1, routine, FALSE), STATUS_INVALID_PARAMETER,
           "the only type of Ex2 routines is PsCreateProcessNotifySubsystems, 0");
    status("R-REG-11", SetProcessEx2(0x80000000, routine, FALSE), STATUS_INVALID_PARAMETER, "and no other number");
    status("R-REG-11", SetProcessEx2(PROCESS_SUBSYSTEMS, routine, TRUE), STATUS_PROCEDURE_NOT_FOUND_,
           "a refused type leaves no trace");
    status(PROVES("R-REG-11", "R-INT-01,R-REG-11"), SetProcessEx2(PROCESS_SUBSYSTEMS, routine, FALSE), SetEx(),
           "the Ex2 form asks for FORCE_INTEGRITY");
    if (Integrity) {
        status("R-REG-11", PsSetCreateProcessNotifyRoutine(AS_PLAIN(routine), TRUE), STATUS_PROCEDURE_NOT_FOUND_,
               "an Ex2 routine is not removed by the plain form");
        status("R-REG-11", PsSetCreateProcessNotifyRoutineEx(AS_EX(routine), TRUE), STATUS_PROCEDURE_NOT_FOUND_,
               "an Ex2 routine is not removed by the Ex form");
    }
    status("R-REG-11", SetProcessEx2(PROCESS_SUBSYSTEMS, routine, TRUE), RemovedEx(), "an Ex2 routine is removed");
}

/* Undocumented, since Windows 10: a plain routine must lie in a module. Before, a registration would stay for an
   instant that calls the data below, so it is not tried. */
static VOID OutsideModules(VOID)
{
    PVOID page;
    NTSTATUS null;

    if (Build < BUILD_10) {
        skip("R-REG-11", "routines outside of modules are not refused before Windows 10");
        return;
    }
    page = ExAllocatePoolWithTag(NonPagedPool, 64, TAG);
    if (page == NULL)
        return;
    status("R-REG-11", PsSetCreateProcessNotifyRoutine(AS_PLAIN(page), FALSE), STATUS_ACCESS_DENIED,
           "C3: a plain process routine that lies in no module");
    status(PROVES("R-REG-11,R-INT-01", "R-REG-11"), PsSetCreateProcessNotifyRoutineEx(AS_EX(page), FALSE),
           STATUS_ACCESS_DENIED, "an Ex process routine that lies in no module");
    status("R-REG-11", PsSetCreateProcessNotifyRoutine(AS_PLAIN(page), TRUE), STATUS_PROCEDURE_NOT_FOUND_,
           "a denied registration leaves no trace");
    null = PsSetCreateProcessNotifyRoutine(NULL, FALSE);
    if (NT_SUCCESS(null))
        PsSetCreateProcessNotifyRoutine(NULL, TRUE);
    todo("R-REG-11", null == STATUS_ACCESS_DENIED, "NULL is a process routine that lies in no module");
    ExFreePoolWithTag(page, TAG);
}

static VOID FillProcesses(VOID)
{
    ULONG count = 0, removed = 0;
    NTSTATUS result = STATUS_SUCCESS, full;

    /* Of the two forms in turn where both are allowed: they share a table. */
    while (count < MOST) {
        if (Integrity && count % 2 == 1)
            result = PsSetCreateProcessNotifyRoutineEx(ProcessesEx[count], FALSE);
        else
            result = PsSetCreateProcessNotifyRoutine(Processes[count], FALSE);
        if (!NT_SUCCESS(result))
            break;
        count++;
    }
    if (count == MOST)
        result = PsSetCreateProcessNotifyRoutine(Processes[MOST], FALSE);
    Say("conformance: note process-slots %u", count);
    ok("R-REG-05,R-REG-08", count > 8 && count <= MOST, "64 slots for process routines of all forms together");
    status("R-REG-06", result, STATUS_INVALID_PARAMETER, "one process routine more than fit: another status than elsewhere");
    full = Integrity ? STATUS_INVALID_PARAMETER : STATUS_ACCESS_DENIED;
    status(PROVES("R-REG-08,S-PROCEX-7", "R-REG-12"), PsSetCreateProcessNotifyRoutineEx(ProcessesEx[MOST], FALSE), full,
           "the Ex form on a full table: integrity is looked at first");
    if (SetProcessEx2 != NULL)
        status(PROVES("R-REG-08", "R-REG-12"), SetProcessEx2(PROCESS_SUBSYSTEMS, (PVOID)ProcessesEx[MOST], FALSE), full,
               "the Ex2 form on a full table: integrity is looked at first");
    status("R-REG-11", PsSetCreateProcessNotifyRoutine(Processes[MOST], TRUE), STATUS_PROCEDURE_NOT_FOUND_,
           "the process routine that did not fit left no trace");
    for (ULONG i = 0; i < count; i++) {
        if (Integrity && i % 2 == 1)
            removed += PsSetCreateProcessNotifyRoutineEx(ProcessesEx[i], TRUE) == STATUS_SUCCESS;
        else
            removed += PsSetCreateProcessNotifyRoutine(Processes[i], TRUE) == STATUS_SUCCESS;
    }
    equal("R-REG-11", removed, count, "every process routine can be removed");
}

static VOID ProcessRoutines(VOID)
{
    PCREATE_PROCESS_NOTIFY_ROUTINE routine = Processes[0];
    NTSTATUS again;

    status("R-REG-11", PsSetCreateProcessNotifyRoutine(routine, TRUE), STATUS_PROCEDURE_NOT_FOUND_,
           "C2: removing a process routine that is not registered");
    status(PROVES("R-REG-11", "R-REG-11,R-INT-03"), PsSetCreateProcessNotifyRoutine(routine, FALSE), STATUS_SUCCESS,
           "a plain process routine is registered, with or without FORCE_INTEGRITY");
    again = PsSetCreateProcessNotifyRoutine(routine, FALSE);
    if (NT_SUCCESS(again)) {
        todo("R-REG-11", TRUE, "C1: a process routine that is registered already is accepted, as observed");
        status("R-REG-14", PsSetCreateProcessNotifyRoutine(routine, TRUE), STATUS_SUCCESS, "each of its slots is removed");
    } else {
        status("R-REG-11", again, STATUS_INVALID_PARAMETER, "C1: a process routine that is registered already");
    }
    status("R-REG-11", PsSetCreateProcessNotifyRoutineEx(AS_EX(routine), TRUE), STATUS_PROCEDURE_NOT_FOUND_,
           "a plain routine is not removed by the Ex form");
    if (SetProcessEx2 != NULL)
        status("R-REG-11", SetProcessEx2(PROCESS_SUBSYSTEMS, (PVOID)routine, TRUE), STATUS_PROCEDURE_NOT_FOUND_,
               "a plain routine is not removed by the Ex2 form");
    status("R-REG-11", PsSetCreateProcessNotifyRoutine(routine, 2), STATUS_SUCCESS,
           "any Remove but FALSE removes: it is a BOOLEAN");
    status("R-REG-11", PsSetCreateProcessNotifyRoutine(routine, TRUE), STATUS_PROCEDURE_NOT_FOUND_, "and not twice");
    ProcessEx();
    ProcessEx2();
    OutsideModules();
    FillProcesses();
}

#define INTEGRITY_FORCED 0x20

/* What DRIVER_OBJECT.DriverSection points to, up to the flags. In no header; debuggers show it. */
typedef struct _LOADER_ENTRY {
    LIST_ENTRY InLoadOrderLinks;
    PVOID Unused[4];
    PVOID DllBase;
    PVOID EntryPoint;
    ULONG SizeOfImage;
    UNICODE_STRING FullDllName;
    UNICODE_STRING BaseDllName;
    ULONG Flags;
} LOADER_ENTRY;

/* Registers an Ex routine while the bit in the loader's entry is the other one, and puts it back. */
static VOID LoaderEntry(PDRIVER_OBJECT DriverObject)
{
    volatile LOADER_ENTRY *entry = DriverObject->DriverSection;
    ULONG flags = entry->Flags;
    NTSTATUS result;

    equal("R-INT-02", entry->DllBase, DriverObject->DriverStart, "the loader's entry holds the image's base");
    equal("R-INT-02", entry->SizeOfImage, DriverObject->DriverSize, "its size");
    equal("R-INT-02", entry->EntryPoint, (ULONG_PTR)DriverObject->DriverInit, "and its entry point");
    ok("R-INT-02", entry->BaseDllName.Length >= 4 * sizeof(WCHAR) && entry->FullDllName.Length > entry->BaseDllName.Length,
       "and two names, the full one longer");
    equal("R-INT-02", entry->InLoadOrderLinks.Flink->Blink, (ULONG_PTR)entry, "it is linked");
    equal("R-INT-02", (flags & INTEGRITY_FORCED) != 0, Integrity, "its flags have the bit of the image's header");
    entry->Flags = flags ^ INTEGRITY_FORCED;
    result = PsSetCreateProcessNotifyRoutineEx(ProcessesEx[0], FALSE);
    status("R-INT-02", result, Integrity ? STATUS_ACCESS_DENIED : STATUS_SUCCESS,
           "the Ex form goes by that bit: cleared it refuses, set it registers");
    if (NT_SUCCESS(result))
        status("R-INT-02,R-REG-13", PsSetCreateProcessNotifyRoutineEx(ProcessesEx[0], TRUE), STATUS_SUCCESS,
               "what was registered so is removed");
    entry->Flags = flags;
    result = PsSetCreateProcessNotifyRoutineEx(ProcessesEx[0], FALSE);
    status("R-INT-02", result, Integrity ? STATUS_SUCCESS : STATUS_ACCESS_DENIED, "put back, it answers as before");
    if (NT_SUCCESS(result))
        PsSetCreateProcessNotifyRoutineEx(ProcessesEx[0], TRUE);
}

/* One address may be a routine of every family at once: the tables know nothing of each other. */
static VOID AcrossFamilies(VOID)
{
    PVOID routine = (PVOID)Threads[0];
    status("R-REG-16", PsSetCreateProcessNotifyRoutine((PCREATE_PROCESS_NOTIFY_ROUTINE)routine, FALSE), STATUS_SUCCESS,
           "one address as a process routine");
    status("R-REG-16", PsSetCreateThreadNotifyRoutine((PCREATE_THREAD_NOTIFY_ROUTINE)routine), STATUS_SUCCESS,
           "and as a thread routine");
    status("R-REG-16", PsRemoveLoadImageNotifyRoutine((PLOAD_IMAGE_NOTIFY_ROUTINE)routine), STATUS_PROCEDURE_NOT_FOUND_,
           "is no image routine");
    status("R-REG-16", PsSetCreateProcessNotifyRoutine((PCREATE_PROCESS_NOTIFY_ROUTINE)routine, TRUE), STATUS_SUCCESS,
           "its removal from the one table");
    ok("R-REG-16", TELLS(0), "leaves it in the other");
    status("R-REG-16", PsRemoveCreateThreadNotifyRoutine((PCREATE_THREAD_NOTIFY_ROUTINE)routine), STATUS_SUCCESS,
           "from which it is removed as well");
}

static NTSTATUS SuiteStart(PDRIVER_OBJECT DriverObject)
{
    Integrity = HasIntegrity(DriverObject);
    Say("conformance: note integrity %u", Integrity);
    EntryPoints();
    ImageRoutines();
    ThreadRoutines();
    ProcessRoutines();
    LoaderEntry(DriverObject);
    AcrossFamilies();
    skip("R-INT-04", "an image whose signature fails is not loaded, and so cannot say so");
    skip("R-REG-03,S-IMGEX-14,S-PROCEX-16", "calling a Set routine above PASSIVE_LEVEL is undefined without Driver Verifier");
    skip("R-REG-04", "forbids drivers something, and says nothing of what then happens");
    return STATUS_SUCCESS;
}

/* Pool is low, and a registration of any family needs some. The table of process routines is full. */
static VOID WithLowPool(VOID)
{
    ULONG removed = 0;

    LowPool = 1;
    status("S-IMGEX-6,R-REG-12", PsSetCreateProcessNotifyRoutine(Processes[MOST], FALSE), STATUS_INSUFFICIENT_RESOURCES,
           "low pool is found out before a full table");
    status("S-IMGEX-6,R-REG-12", PsSetCreateProcessNotifyRoutineEx(ProcessesEx[MOST], FALSE),
           Integrity ? STATUS_INSUFFICIENT_RESOURCES : STATUS_ACCESS_DENIED, "and integrity before low pool");
    for (ULONG i = 0; i < Filled; i++)
        removed += PsSetCreateProcessNotifyRoutine(Processes[i], TRUE) == STATUS_SUCCESS;
    equal("S-IMGEX-6", removed, Filled, "a removal needs no pool");
    status("S-IMGEX-6", PsSetCreateProcessNotifyRoutine(Processes[0], FALSE), STATUS_INSUFFICIENT_RESOURCES,
           "a process routine is refused where pool is low");
    status("S-IMGEX-6", PsSetCreateThreadNotifyRoutine(Threads[0]), STATUS_INSUFFICIENT_RESOURCES,
           "a thread routine is refused where pool is low");
    status("S-IMGEX-6", PsSetLoadImageNotifyRoutine(Images[0]), STATUS_INSUFFICIENT_RESOURCES,
           "an image routine is refused where pool is low");
    if (SetProcessEx2 != NULL)
        status("S-IMGEX-6", SetProcessEx2(PROCESS_SUBSYSTEMS, (PVOID)ProcessesEx[0], FALSE),
               Integrity ? STATUS_INSUFFICIENT_RESOURCES : STATUS_ACCESS_DENIED, "the Ex2 process form does not differ");
    if (SetThreadEx != NULL && Integrity)
        status("S-IMGEX-6", SetThreadEx(THREAD_SUBSYSTEMS, (PVOID)Threads[0]), STATUS_INSUFFICIENT_RESOURCES,
               "the Ex thread form does not differ");
    if (SetImageEx != NULL) {
        status("S-IMGEX-6", SetImageEx(Images[0], 0), STATUS_INSUFFICIENT_RESOURCES, "the Ex image form does not differ");
        status("S-IMGEX-6", SetImageEx(Images[0], 2), 0xC00000F0, "flags are checked before pool is asked for");
    }
    status("R-REG-11,S-IMGEX-6", PsSetCreateProcessNotifyRoutine(Processes[0], TRUE), STATUS_PROCEDURE_NOT_FOUND_,
           "a process routine that got no pool left no trace");
    status("R-REG-11,S-IMGEX-6", PsRemoveCreateThreadNotifyRoutine(Threads[0]), STATUS_PROCEDURE_NOT_FOUND_,
           "a thread routine that got no pool left no trace");
    status("R-REG-11,S-IMGEX-6", PsRemoveLoadImageNotifyRoutine(Images[0]), STATUS_PROCEDURE_NOT_FOUND_,
           "an image routine that got no pool left no trace");
}

static VOID SuitePhase(ULONG Phase)
{
    if (Phase == 1)
        while (Filled < MOST && NT_SUCCESS(PsSetCreateProcessNotifyRoutine(Processes[Filled], FALSE)))
            Filled++;
    if (Phase == 2)
        WithLowPool();
}

static VOID SuiteStop(VOID)
{
    if (!LowPool)
        skip("S-IMGEX-6", "pool was not low");
}
