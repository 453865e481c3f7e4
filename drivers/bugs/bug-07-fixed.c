/*
 * BUG-07 corrected: the twin of bug-07
 *
 * The thread routine hands a copy to the worker and returns.
 */
#include "bugs.h"

typedef struct _MESSAGE {
    LIST_ENTRY Link;
    HANDLE Thread;
} MESSAGE;

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
        ExFreePoolWithTag(message, TAG);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI OnThread(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    MESSAGE *message;
    UNREFERENCED_PARAMETER(ProcessId);
    if (!Create)
        return;
    message = ExAllocatePoolWithTag(NonPagedPool, sizeof(*message), TAG);
    if (message == NULL)
        return;
    message->Thread = ThreadId;
    ExInterlockedInsertTailList(&Queue, &message->Link, &QueueLock);
    KeReleaseSemaphore(&Queued, IO_NO_INCREMENT, 1, FALSE);
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
