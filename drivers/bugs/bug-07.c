/*
 * BUG-07: waits in its thread routine for a worker that may come into the routine itself
 *
 * When another driver creates a thread while the worker works, the worker comes into the routine, and waits for the first
 * call, which waits for the worker. Nothing goes on any more.
 */
#include "bugs.h"

typedef struct _MESSAGE {
    LIST_ENTRY Link;
    HANDLE Thread;
    KEVENT Done;
} MESSAGE;

static FAST_MUTEX Turn;
static KSPIN_LOCK QueueLock;
static LIST_ENTRY Queue;
static KSEMAPHORE Queued;
static PETHREAD Worker;
static volatile LONG Stop;
static ULONG Written;

/* Handles one message; opening a file lets other filters work on this thread. */
static VOID Write(MESSAGE *Message)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\SystemRoot\\System32\\drivers\\bug-07.log");
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK io;
    HANDLE file;
    UNREFERENCED_PARAMETER(Message);
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    if (NT_SUCCESS(ZwCreateFile(&file, FILE_READ_ATTRIBUTES | SYNCHRONIZE, &attributes, &io, NULL, 0, FILE_SHARE_READ,
                                FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0)))
        ZwClose(file);
    Written++;
}

static VOID NTAPI Work(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    for (;;) {
        PLIST_ENTRY link;
        MESSAGE *message;
        KeWaitForSingleObject(&Queued, Executive, KernelMode, FALSE, NULL);
        link = ExInterlockedRemoveHeadList(&Queue, &QueueLock);
        if (link == NULL) {
            if (Stop)
                break;
            continue;
        }
        message = CONTAINING_RECORD(link, MESSAGE, Link);
        Write(message);
        KeSetEvent(&message->Done, IO_NO_INCREMENT, FALSE);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI OnThread(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    MESSAGE message;
    UNREFERENCED_PARAMETER(ProcessId);
    if (!Create || KeGetCurrentIrql() != PASSIVE_LEVEL)
        return;
    message.Thread = ThreadId;
    KeInitializeEvent(&message.Done, NotificationEvent, FALSE);
    ExAcquireFastMutex(&Turn);
    ExInterlockedInsertTailList(&Queue, &message.Link, &QueueLock);
    KeReleaseSemaphore(&Queued, IO_NO_INCREMENT, 1, FALSE);
    KeWaitForSingleObject(&message.Done, Executive, KernelMode, FALSE, NULL);
    ExReleaseFastMutex(&Turn);
}

static VOID EndWorker(VOID)
{
    Stop = 1;
    KeReleaseSemaphore(&Queued, IO_NO_INCREMENT, 1, FALSE);
    KeWaitForSingleObject(Worker, Executive, KernelMode, FALSE, NULL);
    ObfDereferenceObject(Worker);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsRemoveCreateThreadNotifyRoutine(OnThread);
    EndWorker();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    HANDLE thread;
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    ExInitializeFastMutex(&Turn);
    KeInitializeSpinLock(&QueueLock);
    InitializeListHead(&Queue);
    KeInitializeSemaphore(&Queued, 0, MAXLONG);
    status = PsCreateSystemThread(&thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, Work, NULL);
    if (!NT_SUCCESS(status))
        return status;
    ObReferenceObjectByHandle(thread, THREAD_ALL_ACCESS, NULL, KernelMode, (PVOID *)&Worker, NULL);
    ZwClose(thread);
    status = PsSetCreateThreadNotifyRoutine(OnThread);
    if (!NT_SUCCESS(status))
        EndWorker();
    return status;
}
