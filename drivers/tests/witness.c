/*
 * Watches processes, threads and images, and checks from the inside what the kernel's documents promise:
 * in which order notices come, in which thread and process they run, at which IRQL and with which APCs,
 * and that the ids and objects which come with them can be looked up.
 *
 *   witness: create pid=… ppid=… creator=PID.TID image="…" cmd="…"
 *   witness: exit pid=… tid=… status=0x…
 *   witness: thread pid=… tid=… by=PID.TID
 *   witness: thread-exit pid=… tid=… status=0x…
 *   witness: image pid=… tid=… base=0x… size=0x… properties=0x… name="…"
 *   witness: FAIL CHECK pid=… expected=0x… got=0x…
 *   witness: running pid=…          at unload: created and not yet ended
 *   witness: totals creates=… exits=… threads=… thread-exits=… images=… lost=…
 *   witness: done checks=N failures=M
 */
#include "common.h"

typedef PVOID(NTAPI *SECTION_BASE)(PEPROCESS Process);

/* What was seen of one process. */
typedef struct _RECORD {
    HANDLE Pid;
    CLIENT_ID Creator;
    ULONG Threads; /* alive now */
    ULONG ThreadsSeen;
    ULONG Images;
    HANDLE LastThreadExit;
    BOOLEAN Created; /* FALSE: it was there before us */
    BOOLEAN Exited;
} RECORD;

#define MOST 8192

static RECORD Records[MOST];
static ULONG Used, Lost;
static FAST_MUTEX Lock; /* guards the records */
static volatile LONG Checks, Failures, Creates, Exits, Threads, ThreadExits, Images;
static UNICODE_STRING Nothing;
static SECTION_BASE SectionBase;

static VOID Check(PCSTR Name, HANDLE Pid, ULONG64 Expected, ULONG64 Got)
{
    InterlockedIncrement(&Checks);
    if (Expected == Got)
        return;
    InterlockedIncrement(&Failures);
    DbgPrint("witness: FAIL %s pid=%I64u expected=0x%I64x got=0x%I64x\n", Name, ID(Pid), Expected, Got);
}

/* Whether something holds, whatever the value is. */
static VOID Holds(PCSTR Name, HANDLE Pid, BOOLEAN Condition)
{
    Check(Name, Pid, 1, Condition != FALSE);
}

/* The record of a process that has not ended, made if there is none; NULL if there is no room. Under the lock. */
static RECORD *Find(HANDLE Pid)
{
    RECORD *record;
    for (ULONG i = Used; i > 0; i--)
        if (Records[i - 1].Pid == Pid && !Records[i - 1].Exited)
            return &Records[i - 1];
    if (Used == MOST) {
        Lost++;
        return NULL;
    }
    record = &Records[Used++];
    record->Pid = Pid;
    return record;
}

/* Process and image notices: PASSIVE_LEVEL in a critical region. Only image notices may have all APCs off. */
static VOID CheckContext(PCSTR Irql, PCSTR Apcs, HANDLE Pid)
{
    Check(Irql, Pid, PASSIVE_LEVEL, KeGetCurrentIrql());
    Holds(Apcs, Pid, KeAreApcsDisabled());
}

static VOID Created(PEPROCESS Process, HANDLE Pid, PPS_CREATE_NOTIFY_INFO Info)
{
    PCUNICODE_STRING image = Info->ImageFileName, command = Info->CommandLine;
    PEPROCESS found = NULL;
    NTSTATUS status;
    RECORD *record;
    BOOLEAN known = FALSE;

    InterlockedIncrement(&Creates);
    DbgPrint("witness: create pid=%I64u ppid=%I64u creator=%I64u.%I64u image=\"%wZ\" cmd=\"%wZ\"\n", ID(Pid),
             ID(Info->ParentProcessId), ID(Info->CreatingThreadId.UniqueProcess),
             ID(Info->CreatingThreadId.UniqueThread), image ? image : &Nothing, command ? command : &Nothing);

    CheckContext("create.irql", "create.apcs-disabled", Pid);
    Holds("create.special-apcs-enabled", Pid, !KeAreAllApcsDisabled());
    Check("create.runs-in-creating-process", Pid, ID(Info->CreatingThreadId.UniqueProcess), ID(PsGetCurrentProcessId()));
    Check("create.runs-in-creating-thread", Pid, ID(Info->CreatingThreadId.UniqueThread), ID(PsGetCurrentThreadId()));
    Holds("create.not-in-the-new-process", Pid, PsGetCurrentProcess() != Process);
    Check("create.size", Pid, 0x48, Info->Size);
    Check("create.status-so-far", Pid, STATUS_SUCCESS, (ULONG)Info->CreationStatus);
    /* Bit 0 says that the name is the one the image was opened by; bit 1, of a subsystem, is never ours to see. */
    Check("create.other-flags", Pid, 0, Info->Flags & ~1u);
    Check("create.process-object", Pid, ID(Pid), ID(PsGetProcessId(Process)));
    Holds("create.pid", Pid, Pid != NULL);
    Holds("create.parent", Pid, Info->ParentProcessId != NULL && Info->ParentProcessId != Pid);
    Holds("create.image-name", Pid, image != NULL && image->Buffer != NULL && image->Length != 0);
    if (image != NULL)
        Holds("create.image-name-length", Pid, image->Length % 2 == 0 && image->Length <= image->MaximumLength);
    if (command != NULL)
        Holds("create.command-line-length", Pid, command->Length % 2 == 0 && command->Length <= command->MaximumLength);

    status = PsLookupProcessByProcessId(Pid, &found);
    Check("create.lookup", Pid, STATUS_SUCCESS, (ULONG)status);
    if (NT_SUCCESS(status)) {
        Check("create.lookup-gives-the-object", Pid, (ULONG_PTR)Process, (ULONG_PTR)found);
        ObDereferenceObject(found);
    }

    ExAcquireFastMutex(&Lock);
    record = Find(Pid);
    if (record != NULL) {
        known = record->Created || record->ThreadsSeen != 0 || record->Images != 0;
        record->Created = TRUE;
        record->Creator = Info->CreatingThreadId;
    }
    ExReleaseFastMutex(&Lock);
    /* Neither a second create, nor a thread or an image before it. */
    Holds("create.comes-first-and-once", Pid, !known);
}

static VOID Exited(PEPROCESS Process, HANDLE Pid)
{
    RECORD *record, was = {0};

    InterlockedIncrement(&Exits);
    DbgPrint("witness: exit pid=%I64u tid=%I64u status=0x%08X\n", ID(Pid), ID(PsGetCurrentThreadId()),
             PsGetProcessExitStatus(Process));

    CheckContext("exit.irql", "exit.apcs-disabled", Pid);
    Holds("exit.special-apcs-enabled", Pid, !KeAreAllApcsDisabled());
    Check("exit.runs-in-the-process", Pid, (ULONG_PTR)Process, (ULONG_PTR)PsGetCurrentProcess());
    Check("exit.current-process-id", Pid, ID(Pid), ID(PsGetCurrentProcessId()));
    Check("exit.process-object", Pid, ID(Pid), ID(PsGetProcessId(Process)));

    ExAcquireFastMutex(&Lock);
    record = Find(Pid);
    if (record != NULL) {
        record->Exited = TRUE;
        was = *record;
    }
    ExReleaseFastMutex(&Lock);
    if (was.Created) {
        Check("exit.comes-after-all-thread-exits", Pid, 0, was.Threads);
        Holds("exit.had-a-thread", Pid, was.ThreadsSeen != 0);
        Check("exit.runs-in-last-thread", Pid, ID(was.LastThreadExit), ID(PsGetCurrentThreadId()));
    }
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    if (CreateInfo != NULL)
        Created(Process, ProcessId, CreateInfo);
    else
        Exited(Process, ProcessId);
}

/* A thread can be looked up in its create and in its exit notice. Gives its exit status. */
static NTSTATUS LookUpThread(PCSTR Name, PCSTR Owner, HANDLE ProcessId, HANDLE ThreadId)
{
    PETHREAD thread = NULL;
    NTSTATUS status = PsLookupThreadByThreadId(ThreadId, &thread), ended = 0;
    Check(Name, ProcessId, STATUS_SUCCESS, (ULONG)status);
    if (NT_SUCCESS(status)) {
        Check(Owner, ProcessId, ID(ProcessId), ID(PsGetThreadProcessId(thread)));
        ended = PsGetThreadExitStatus(thread);
        ObDereferenceObject(thread);
    }
    return ended;
}

static VOID ThreadCreated(HANDLE ProcessId, HANDLE ThreadId)
{
    RECORD *record, now = {0};

    InterlockedIncrement(&Threads);
    DbgPrint("witness: thread pid=%I64u tid=%I64u by=%I64u.%I64u\n", ID(ProcessId), ID(ThreadId),
             ID(PsGetCurrentProcessId()), ID(PsGetCurrentThreadId()));
    Holds("thread.irql", ProcessId, KeGetCurrentIrql() <= APC_LEVEL);
    LookUpThread("thread.lookup", "thread.lookup-gives-its-process", ProcessId, ThreadId);

    ExAcquireFastMutex(&Lock);
    record = Find(ProcessId);
    if (record != NULL) {
        record->Threads++;
        record->ThreadsSeen++;
        now = *record;
    }
    ExReleaseFastMutex(&Lock);
    if (now.Created && now.ThreadsSeen == 1) {
        Check("thread.first-runs-in-creating-process", ProcessId, ID(now.Creator.UniqueProcess), ID(PsGetCurrentProcessId()));
        Check("thread.first-runs-in-creating-thread", ProcessId, ID(now.Creator.UniqueThread), ID(PsGetCurrentThreadId()));
    } else if (now.Created) {
        Holds("thread.not-in-the-new-thread", ProcessId, PsGetCurrentThreadId() != ThreadId);
    }
}

static VOID ThreadExited(HANDLE ProcessId, HANDLE ThreadId)
{
    RECORD *record, before = {0};
    NTSTATUS status = LookUpThread("thread-exit.lookup", "thread-exit.lookup-gives-its-process", ProcessId, ThreadId);

    InterlockedIncrement(&ThreadExits);
    DbgPrint("witness: thread-exit pid=%I64u tid=%I64u status=0x%08X\n", ID(ProcessId), ID(ThreadId), status);
    Holds("thread-exit.irql", ProcessId, KeGetCurrentIrql() <= APC_LEVEL);
    Check("thread-exit.runs-in-the-thread", ProcessId, ID(ThreadId), ID(PsGetCurrentThreadId()));
    Check("thread-exit.runs-in-the-process", ProcessId, ID(ProcessId), ID(PsGetCurrentProcessId()));

    ExAcquireFastMutex(&Lock);
    record = Find(ProcessId);
    if (record != NULL) {
        before = *record;
        if (record->Threads != 0)
            record->Threads--;
        record->LastThreadExit = ThreadId;
    }
    ExReleaseFastMutex(&Lock);
    if (before.Created)
        Holds("thread-exit.had-been-created", ProcessId, before.Threads != 0);
}

static VOID NTAPI OnThread(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    if (Create)
        ThreadCreated(ProcessId, ThreadId);
    else
        ThreadExited(ProcessId, ThreadId);
}

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO Info)
{
    RECORD *record, now = {0};

    InterlockedIncrement(&Images);
    DbgPrint("witness: image pid=%I64u tid=%I64u base=0x%I64x size=0x%I64x properties=0x%x name=\"%wZ\"\n", ID(ProcessId),
             ID(PsGetCurrentThreadId()), (ULONG64)(ULONG_PTR)Info->ImageBase, (ULONG64)Info->ImageSize, Info->Properties,
             FullImageName ? FullImageName : &Nothing);

    CheckContext("image.irql", "image.apcs-disabled", ProcessId);
    if (FullImageName != NULL)
        Holds("image.name-length", ProcessId, FullImageName->Length % 2 == 0 && FullImageName->Length <= FullImageName->MaximumLength);
    Check("image.selector", ProcessId, 0, Info->ImageSelector);
    Check("image.section-number", ProcessId, 0, Info->ImageSectionNumber);
    Check("image.base-is-page-aligned", ProcessId, 0, (ULONG_PTR)Info->ImageBase & (PAGE_SIZE - 1));
    Holds("image.size", ProcessId, Info->ImageSize != 0);
    /* Signature bits aside: addressing mode 3, extended information, and a kernel image if there is no process. */
    Check("image.properties", ProcessId, ProcessId == NULL ? 0x503 : 0x403, Info->Properties & 0xFFF00FFF);
    if (Info->ExtendedInfoPresent) {
        PIMAGE_INFO_EX extended = CONTAINING_RECORD(Info, IMAGE_INFO_EX, ImageInfo);
        Check("image.extended-size", ProcessId, 0x38, extended->Size);
        Holds("image.file-object", ProcessId, extended->FileObject != NULL);
    }
    if (ProcessId == NULL)
        return;
    Check("image.runs-in-the-process", ProcessId, ID(ProcessId), ID(PsGetCurrentProcessId()));
    Check("image.current-process", ProcessId, ID(ProcessId), ID(PsGetProcessId(PsGetCurrentProcess())));

    ExAcquireFastMutex(&Lock);
    record = Find(ProcessId);
    if (record != NULL) {
        record->Images++;
        now = *record;
    }
    ExReleaseFastMutex(&Lock);
    if (!now.Created)
        return;
    Holds("image.comes-after-first-thread", ProcessId, now.ThreadsSeen != 0);
    if (SectionBase != NULL && now.Images == 1)
        Check("image.first-is-the-executable", ProcessId, (ULONG_PTR)SectionBase(PsGetCurrentProcess()),
              (ULONG_PTR)Info->ImageBase);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    Check("unload.remove-image", NULL, STATUS_SUCCESS, (ULONG)PsRemoveLoadImageNotifyRoutine(OnImage));
    Check("unload.remove-thread", NULL, STATUS_SUCCESS, (ULONG)PsRemoveCreateThreadNotifyRoutine(OnThread));
    Check("unload.remove-process", NULL, STATUS_SUCCESS, (ULONG)PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE));
    for (ULONG i = 0; i < Used; i++)
        if (Records[i].Created && !Records[i].Exited)
            DbgPrint("witness: running pid=%I64u\n", ID(Records[i].Pid));
    DbgPrint("witness: totals creates=%d exits=%d threads=%d thread-exits=%d images=%d lost=%u\n", Creates, Exits,
             Threads, ThreadExits, Images, Lost);
    DbgPrint("witness: done checks=%d failures=%d\n", Checks, Failures);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;

    DbgPrint("witness: loaded as %wZ\n", RegistryPath);
    ExInitializeFastMutex(&Lock);
    RtlInitUnicodeString(&Nothing, NULL);
    SectionBase = (SECTION_BASE)Resolve(L"PsGetProcessSectionBaseAddress");
    DriverObject->DriverUnload = Unload;

    status = PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
    if (!NT_SUCCESS(status)) {
        DbgPrint("witness: FAIL cannot watch processes: 0x%08X\n", status);
        return status;
    }
    status = PsSetCreateThreadNotifyRoutine(OnThread);
    if (!NT_SUCCESS(status)) {
        DbgPrint("witness: FAIL cannot watch threads: 0x%08X\n", status);
        PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
        return status;
    }
    status = PsSetLoadImageNotifyRoutine(OnImage);
    if (!NT_SUCCESS(status)) {
        DbgPrint("witness: FAIL cannot watch images: 0x%08X\n", status);
        PsRemoveCreateThreadNotifyRoutine(OnThread);
        PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
    }
    return status;
}
