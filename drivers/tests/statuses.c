/*
 * Every status that registration and removal can end with, tried in DriverEntry. Meant to be the only
 * driver on the machine, since it fills the tables. Built with and without FORCE_INTEGRITY; it looks at
 * its own header to know which one it is.
 *
 *   statuses: ok NAME expected=0x… got=0x…
 *   statuses: FAIL NAME expected=0x… got=0x…
 *   statuses: skip NAME          this version of Windows has not got the routine
 *   statuses: note NAME got=0x…  documents and observation differ, so nothing is expected
 *   statuses: done checks=N failures=M
 */
#include "common.h"

#define LIMIT 64
#define PROCEDURE_NOT_FOUND ((NTSTATUS)0xC000007A)

typedef NTSTATUS(NTAPI *SET_PROCESS_EX2)(ULONG Type, PVOID Routine, BOOLEAN Remove);
typedef NTSTATUS(NTAPI *SET_THREAD_EX)(ULONG Type, PVOID Routine);
typedef NTSTATUS(NTAPI *SET_IMAGE_EX)(PLOAD_IMAGE_NOTIFY_ROUTINE Routine, ULONG_PTR Flags);

static ULONG Checks, Failures;
static volatile LONG Calls[3 * (LIMIT + 1) + 1];

static VOID Expect(PCSTR Name, ULONG Expected, ULONG Got)
{
    Checks++;
    if (Expected != Got)
        Failures++;
    DbgPrint("statuses: %s %s expected=0x%08X got=0x%08X\n", Expected == Got ? "ok" : "FAIL", Name, Expected, Got);
}

/* 65 routines of each family, all different, so that no linker can make one of them. */
#define ROUTINES(n)                                                                                   \
    static VOID NTAPI Process##n(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)                   \
    {                                                                                                 \
        UNREFERENCED_PARAMETER(ParentId);                                                             \
        UNREFERENCED_PARAMETER(ProcessId);                                                            \
        UNREFERENCED_PARAMETER(Create);                                                               \
        InterlockedIncrement(&Calls[n]);                                                              \
    }                                                                                                 \
    static VOID NTAPI Thread##n(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)                    \
    {                                                                                                 \
        UNREFERENCED_PARAMETER(ProcessId);                                                            \
        UNREFERENCED_PARAMETER(ThreadId);                                                             \
        UNREFERENCED_PARAMETER(Create);                                                               \
        InterlockedIncrement(&Calls[LIMIT + 1 + n]);                                                  \
    }                                                                                                 \
    static VOID NTAPI Image##n(PUNICODE_STRING Name, HANDLE ProcessId, PIMAGE_INFO Info)              \
    {                                                                                                 \
        UNREFERENCED_PARAMETER(Name);                                                                 \
        UNREFERENCED_PARAMETER(ProcessId);                                                            \
        UNREFERENCED_PARAMETER(Info);                                                                 \
        InterlockedIncrement(&Calls[2 * (LIMIT + 1) + n]);                                            \
    }

#define EACH8(M, a) M(a##0) M(a##1) M(a##2) M(a##3) M(a##4) M(a##5) M(a##6) M(a##7)
#define EACH64(M) EACH8(M, 0) EACH8(M, 01) EACH8(M, 02) EACH8(M, 03) EACH8(M, 04) EACH8(M, 05) EACH8(M, 06) EACH8(M, 07)

/* Octal, so that a digit can be appended; 0100 is the 65th. */
EACH64(ROUTINES)
ROUTINES(0100)

#define PROCESS(n) Process##n,
#define THREAD(n) Thread##n,
#define IMAGE(n) Image##n,
static const PCREATE_PROCESS_NOTIFY_ROUTINE Processes[] = {EACH64(PROCESS) Process0100};
static const PCREATE_THREAD_NOTIFY_ROUTINE Threads[] = {EACH64(THREAD) Thread0100};
static const PLOAD_IMAGE_NOTIFY_ROUTINE Images[] = {EACH64(IMAGE) Image0100};

static VOID NTAPI ProcessEx(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    InterlockedIncrement(&Calls[3 * (LIMIT + 1)]);
}

/* Whether the header of the image that holds us has FORCE_INTEGRITY. */
static BOOLEAN HasIntegrity(PDRIVER_OBJECT DriverObject)
{
    PUCHAR image = DriverObject->DriverStart;
    PUCHAR header = image + *(PULONG)(image + 0x3C);
    return (*(PUSHORT)(header + 24 + 70) & 0x0080) != 0;
}

static VOID TryImages(VOID)
{
    SET_IMAGE_EX ex = (SET_IMAGE_EX)Resolve(L"PsSetLoadImageNotifyRoutineEx");
    ULONG count = 0, removed = 0;

    Expect("image.remove-unregistered", PROCEDURE_NOT_FOUND, PsRemoveLoadImageNotifyRoutine(Images[0]));
    if (ex == NULL) {
        DbgPrint("statuses: skip image.ex\n");
    } else {
        Expect("image.ex-bad-flag", 0xC00000F0, ex(Images[0], 2));
        Expect("image.ex-bad-high-flag", 0xC00000F0, ex(Images[0], (ULONG_PTR)1 << 32));
        Expect("image.ex-bad-and-good-flag", 0xC00000F0, ex(Images[0], 3));
        Expect("image.bad-flag-leaves-no-trace", PROCEDURE_NOT_FOUND, PsRemoveLoadImageNotifyRoutine(Images[0]));
        Expect("image.ex-no-flag", STATUS_SUCCESS, ex(Images[0], 0));
        Expect("image.ex-conflicting-architecture", STATUS_SUCCESS, ex(Images[1], 1));
        Expect("image.remove-ex", STATUS_SUCCESS, PsRemoveLoadImageNotifyRoutine(Images[0]));
        Expect("image.remove-ex-flagged", STATUS_SUCCESS, PsRemoveLoadImageNotifyRoutine(Images[1]));
    }
    Expect("image.set", STATUS_SUCCESS, PsSetLoadImageNotifyRoutine(Images[0]));
    Expect("image.set-again", STATUS_SUCCESS, PsSetLoadImageNotifyRoutine(Images[0]));
    Expect("image.remove", STATUS_SUCCESS, PsRemoveLoadImageNotifyRoutine(Images[0]));
    Expect("image.remove-again", STATUS_SUCCESS, PsRemoveLoadImageNotifyRoutine(Images[0]));
    Expect("image.remove-thrice", PROCEDURE_NOT_FOUND, PsRemoveLoadImageNotifyRoutine(Images[0]));

    for (ULONG i = 0; i < LIMIT; i++)
        count += PsSetLoadImageNotifyRoutine(Images[i]) == STATUS_SUCCESS;
    Expect("image.fill", LIMIT, count);
    Expect("image.65th", STATUS_INSUFFICIENT_RESOURCES, PsSetLoadImageNotifyRoutine(Images[LIMIT]));
    if (ex != NULL) {
        Expect("image.65th-ex", STATUS_INSUFFICIENT_RESOURCES, ex(Images[LIMIT], 0));
        Expect("image.ex-bad-flag-when-full", 0xC00000F0, ex(Images[LIMIT], 4));
    }
    Expect("image.65th-leaves-no-trace", PROCEDURE_NOT_FOUND, PsRemoveLoadImageNotifyRoutine(Images[LIMIT]));
    Expect("image.free-one", STATUS_SUCCESS, PsRemoveLoadImageNotifyRoutine(Images[31]));
    Expect("image.reuse-slot", STATUS_SUCCESS, PsSetLoadImageNotifyRoutine(Images[31]));
    for (ULONG i = 0; i < LIMIT; i++)
        removed += PsRemoveLoadImageNotifyRoutine(Images[i]) == STATUS_SUCCESS;
    Expect("image.empty", LIMIT, removed);
}

static VOID TryThreads(BOOLEAN Integrity)
{
    SET_THREAD_EX ex = (SET_THREAD_EX)Resolve(L"PsSetCreateThreadNotifyRoutineEx");
    ULONG count = 0, removed = 0;

    Expect("thread.remove-unregistered", PROCEDURE_NOT_FOUND, PsRemoveCreateThreadNotifyRoutine(Threads[0]));
    if (ex == NULL) {
        DbgPrint("statuses: skip thread.ex\n");
    } else if (!Integrity) {
        Expect("thread.ex-without-integrity", STATUS_ACCESS_DENIED, ex(0, (PVOID)Threads[0]));
    } else {
        Expect("thread.ex-bad-type", STATUS_INVALID_PARAMETER, ex(7, (PVOID)Threads[0]));
        Expect("thread.ex-non-system", STATUS_SUCCESS, ex(0, (PVOID)Threads[0]));
        Expect("thread.ex-subsystems", STATUS_SUCCESS, ex(1, (PVOID)Threads[1]));
        Expect("thread.remove-ex", STATUS_SUCCESS, PsRemoveCreateThreadNotifyRoutine(Threads[0]));
        Expect("thread.remove-ex-subsystems", STATUS_SUCCESS, PsRemoveCreateThreadNotifyRoutine(Threads[1]));
    }
    Expect("thread.set", STATUS_SUCCESS, PsSetCreateThreadNotifyRoutine(Threads[0]));
    Expect("thread.set-again", STATUS_SUCCESS, PsSetCreateThreadNotifyRoutine(Threads[0]));
    Expect("thread.remove", STATUS_SUCCESS, PsRemoveCreateThreadNotifyRoutine(Threads[0]));
    Expect("thread.remove-again", STATUS_SUCCESS, PsRemoveCreateThreadNotifyRoutine(Threads[0]));
    Expect("thread.remove-thrice", PROCEDURE_NOT_FOUND, PsRemoveCreateThreadNotifyRoutine(Threads[0]));

    for (ULONG i = 0; i < LIMIT; i++)
        count += PsSetCreateThreadNotifyRoutine(Threads[i]) == STATUS_SUCCESS;
    Expect("thread.fill", LIMIT, count);
    Expect("thread.65th", STATUS_INSUFFICIENT_RESOURCES, PsSetCreateThreadNotifyRoutine(Threads[LIMIT]));
    Expect("thread.65th-leaves-no-trace", PROCEDURE_NOT_FOUND, PsRemoveCreateThreadNotifyRoutine(Threads[LIMIT]));
    for (ULONG i = 0; i < LIMIT; i++)
        removed += PsRemoveCreateThreadNotifyRoutine(Threads[i]) == STATUS_SUCCESS;
    Expect("thread.empty", LIMIT, removed);
}

static VOID TryProcessEx(BOOLEAN Integrity)
{
    SET_PROCESS_EX2 ex2 = (SET_PROCESS_EX2)Resolve(L"PsSetCreateProcessNotifyRoutineEx2");
    PCREATE_PROCESS_NOTIFY_ROUTINE plain = (PCREATE_PROCESS_NOTIFY_ROUTINE)(PVOID)ProcessEx;
    NTSTATUS set = Integrity ? STATUS_SUCCESS : STATUS_ACCESS_DENIED;
    NTSTATUS removed = Integrity ? STATUS_SUCCESS : PROCEDURE_NOT_FOUND;

    Expect("process.remove-ex-unregistered", PROCEDURE_NOT_FOUND, PsSetCreateProcessNotifyRoutineEx(ProcessEx, TRUE));
    Expect("process.set-ex", set, PsSetCreateProcessNotifyRoutineEx(ProcessEx, FALSE));
    Expect("process.remove-ex-as-plain", PROCEDURE_NOT_FOUND, PsSetCreateProcessNotifyRoutine(plain, TRUE));
    Expect("process.remove-ex", removed, PsSetCreateProcessNotifyRoutineEx(ProcessEx, TRUE));
    if (ex2 == NULL) {
        DbgPrint("statuses: skip process.ex2\n");
        return;
    }
    Expect("process.ex2-bad-type", STATUS_INVALID_PARAMETER, ex2(1, (PVOID)ProcessEx, FALSE));
    Expect("process.ex2-bad-type-leaves-no-trace", PROCEDURE_NOT_FOUND, ex2(0, (PVOID)ProcessEx, TRUE));
    Expect("process.set-ex2", set, ex2(0, (PVOID)ProcessEx, FALSE));
    Expect("process.remove-ex2-as-plain", PROCEDURE_NOT_FOUND, PsSetCreateProcessNotifyRoutine(plain, TRUE));
    Expect("process.remove-ex2", removed, ex2(0, (PVOID)ProcessEx, TRUE));
}

static VOID TryProcesses(BOOLEAN Integrity)
{
    ULONG count = 0, removed = 0;
    NTSTATUS again;

    Expect("process.remove-unregistered", PROCEDURE_NOT_FOUND, PsSetCreateProcessNotifyRoutine(Processes[0], TRUE));
    TryProcessEx(Integrity);
    Expect("process.set", STATUS_SUCCESS, PsSetCreateProcessNotifyRoutine(Processes[0], FALSE));
    again = PsSetCreateProcessNotifyRoutine(Processes[0], FALSE);
    DbgPrint("statuses: note process.set-again got=0x%08X\n", again);
    if (NT_SUCCESS(again))
        Expect("process.remove-again", STATUS_SUCCESS, PsSetCreateProcessNotifyRoutine(Processes[0], TRUE));
    Expect("process.remove-plain-as-ex", PROCEDURE_NOT_FOUND,
           PsSetCreateProcessNotifyRoutineEx((PCREATE_PROCESS_NOTIFY_ROUTINE_EX)(PVOID)Processes[0], TRUE));
    Expect("process.remove", STATUS_SUCCESS, PsSetCreateProcessNotifyRoutine(Processes[0], TRUE));
    Expect("process.remove-twice", PROCEDURE_NOT_FOUND, PsSetCreateProcessNotifyRoutine(Processes[0], TRUE));

    for (ULONG i = 0; i < LIMIT; i++)
        count += PsSetCreateProcessNotifyRoutine(Processes[i], FALSE) == STATUS_SUCCESS;
    Expect("process.fill", LIMIT, count);
    Expect("process.65th", STATUS_INVALID_PARAMETER, PsSetCreateProcessNotifyRoutine(Processes[LIMIT], FALSE));
    /* Integrity is looked at before the table is. */
    Expect("process.65th-ex", Integrity ? STATUS_INVALID_PARAMETER : STATUS_ACCESS_DENIED,
           PsSetCreateProcessNotifyRoutineEx(ProcessEx, FALSE));
    Expect("process.65th-leaves-no-trace", PROCEDURE_NOT_FOUND, PsSetCreateProcessNotifyRoutine(Processes[LIMIT], TRUE));
    for (ULONG i = 0; i < LIMIT; i++)
        removed += PsSetCreateProcessNotifyRoutine(Processes[i], TRUE) == STATUS_SUCCESS;
    Expect("process.empty", LIMIT, removed);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    ULONG calls = 0;
    UNREFERENCED_PARAMETER(DriverObject);
    /* Everything was removed before DriverEntry returned. Notices that came in between are no error. */
    for (ULONG i = 0; i < ARRAYSIZE(Calls); i++)
        calls += Calls[i];
    DbgPrint("statuses: unloaded calls=%u\n", calls);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    BOOLEAN integrity = HasIntegrity(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    DbgPrint("statuses: integrity=%u\n", integrity);
    TryImages();
    TryThreads(integrity);
    TryProcesses(integrity);
    DbgPrint("statuses: done checks=%u failures=%u\n", Checks, Failures);
    return STATUS_SUCCESS;
}
