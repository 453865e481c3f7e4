/* A thread of the driver's that notify routines meet: it runs a deed each time that it is asked to. */
#ifndef MEET_H
#define MEET_H

#include "mode.h"
#include "rule.h"

/* Not in the headers of mingw-w64's DDK. */
NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable, PLARGE_INTEGER Timeout);

typedef VOID (*DEED)(VOID);

static KEVENT Asked;
static PVOID Thread;
static volatile BOOLEAN Ends;
static DEED Deed;

static VOID NTAPI RunThread(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    for (;;) {
        KeWaitForSingleObject(&Asked, Executive, KernelMode, FALSE, NULL);
        if (Ends)
            break;
        Deed();
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Has the thread run its deed, and does not wait for it. */
static VOID Ask(VOID)
{
    KeSetEvent(&Asked, IO_NO_INCREMENT, FALSE);
}

static NTSTATUS StartThread(DEED Does)
{
    HANDLE handle;
    NTSTATUS status;
    Deed = Does;
    KeInitializeEvent(&Asked, SynchronizationEvent, FALSE);
    status = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, RunThread, NULL);
    if (!NT_SUCCESS(status))
        return status;
    status = ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &Thread, NULL);
    if (!NT_SUCCESS(status)) {
        Ends = TRUE;
        Ask();
        ZwWaitForSingleObject(handle, FALSE, NULL);
    }
    ZwClose(handle);
    return status;
}

static VOID EndThread(VOID)
{
    Ends = TRUE;
    Ask();
    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Thread);
}

#endif
