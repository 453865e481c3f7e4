/*
 * Two notify routines, each of which removes the other while that is being called: neither removal ever returns, and
 * neither thread. The events are system threads of its own, so that all of it happens in DriverEntry.
 */
#include "common.h"

#define MILLISECOND (-10000LL)

/* No other driver of this folder makes threads, so these are no imports of it. */
static NTSTATUS(NTAPI *CreateThread)(PHANDLE Thread, ULONG Access, PVOID Attributes, HANDLE Process, PVOID ClientId,
                                     PKSTART_ROUTINE Routine, PVOID Context);
static NTSTATUS(NTAPI *TerminateThread)(NTSTATUS Status);
static NTSTATUS(NTAPI *ReferenceByHandle)(HANDLE Handle, ACCESS_MASK Access, POBJECT_TYPE Type, KPROCESSOR_MODE Mode,
                                          PVOID *Object, PVOID Information);
static NTSTATUS(NTAPI *WaitForSingleObject)(PVOID Object, KWAIT_REASON Reason, KPROCESSOR_MODE Mode, BOOLEAN Alertable,
                                            PLARGE_INTEGER Timeout);

/* Who makes the events: the first thread's are for OnFirst, the second's for OnSecond. */
static HANDLE Makers[2];
static volatile LONG Inside[2];

static VOID Pause(VOID)
{
    LARGE_INTEGER time;
    time.QuadPart = MILLISECOND;
    KeDelayExecutionThread(KernelMode, FALSE, &time);
}

/* Says that a routine is being called, and returns when the other one is, too. */
static VOID Meet(ULONG Which)
{
    InterlockedExchange(&Inside[Which], 1);
    while (!Inside[1 - Which])
        Pause();
}

static VOID NTAPI OnFirst(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create);
static VOID NTAPI OnSecond(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create);

/* Functions of their own, so that a stack says which removal it is of. */
static __attribute__((noinline)) VOID RemoveSecond(VOID)
{
    PsRemoveCreateThreadNotifyRoutine(OnSecond);
    DbgPrint("circle: the first routine survived\n");
}

static __attribute__((noinline)) VOID RemoveFirst(VOID)
{
    PsRemoveCreateThreadNotifyRoutine(OnFirst);
    DbgPrint("circle: the second routine survived\n");
}

static VOID NTAPI OnFirst(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ThreadId);
    if (!Create || PsGetCurrentThreadId() != Makers[0])
        return;
    Meet(0);
    RemoveSecond();
    Inside[0] = 0;
}

static VOID NTAPI OnSecond(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ThreadId);
    if (!Create || PsGetCurrentThreadId() != Makers[1])
        return;
    Meet(1);
    RemoveFirst();
    Inside[1] = 0;
}

static VOID NTAPI Nothing(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    TerminateThread(STATUS_SUCCESS);
}

static PVOID Start(PKSTART_ROUTINE Routine, PVOID Context)
{
    HANDLE handle;
    PVOID thread = NULL;

    if (!NT_SUCCESS(CreateThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Routine, Context)))
        return NULL;
    if (!NT_SUCCESS(ReferenceByHandle(handle, SYNCHRONIZE, NULL, KernelMode, &thread, NULL)))
        thread = NULL;
    ZwClose(handle);
    return thread;
}

static VOID Join(PVOID Thread)
{
    if (Thread == NULL)
        return;
    WaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Thread);
}

static VOID NTAPI Make(PVOID Context)
{
    Makers[(ULONG_PTR)Context] = PsGetCurrentThreadId();
    Join(Start(Nothing, NULL));
    TerminateThread(STATUS_SUCCESS);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PVOID makers[2];

    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    CreateThread = (PVOID)Resolve(L"PsCreateSystemThread");
    TerminateThread = (PVOID)Resolve(L"PsTerminateSystemThread");
    ReferenceByHandle = (PVOID)Resolve(L"ObReferenceObjectByHandle");
    WaitForSingleObject = (PVOID)Resolve(L"KeWaitForSingleObject");
    PsSetCreateThreadNotifyRoutine(OnFirst);
    PsSetCreateThreadNotifyRoutine(OnSecond);
    for (ULONG i = 0; i < 2; i++)
        makers[i] = Start(Make, (PVOID)(ULONG_PTR)i);
    for (ULONG i = 0; i < 2; i++)
        Join(makers[i]);
    return STATUS_UNSUCCESSFUL;
}
