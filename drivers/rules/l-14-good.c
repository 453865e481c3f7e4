/* Gives everything back that it takes: at once, and at its unload what it keeps (L-14). */
#include "references.h"

static PEPROCESS volatile Last;

/* Keeps a reference of its own, and gives the one before it back. */
static VOID Keep(PEPROCESS Process)
{
    if (Process != NULL)
        ObReferenceObject(Process);
    Process = InterlockedExchangePointer((PVOID volatile *)&Last, Process);
    if (Process != NULL)
        ObDereferenceObject(Process);
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    PUNICODE_STRING image;
    PEPROCESS found;
    PETHREAD thread;
    PVOID token, object;
    HANDLE event;
    if (CreateInfo == NULL)
        return;
    Keep(Process);
    if (NT_SUCCESS(PsLookupProcessByProcessId(ProcessId, &found)))
        ObDereferenceObject(found);
    if (NT_SUCCESS(PsLookupThreadByThreadId(PsGetCurrentThreadId(), &thread)))
        ObDereferenceObject(thread);
    token = PsReferencePrimaryToken(Process);
    if (token != NULL)
        PsDereferencePrimaryToken(token);
    if (NT_SUCCESS(SeLocateProcessImageName(Process, &image)))
        ExFreePool(image);
    if (NT_SUCCESS(CreateEvent(&event))) {
        if (NT_SUCCESS(ObReferenceObjectByHandle(event, EVENT_ALL_ACCESS, NULL, KernelMode, &object, NULL)))
            ObDereferenceObject(object);
        ZwClose(event);
    }
}

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    PFLT_FILE_NAME_INFORMATION name;
    UNREFERENCED_PARAMETER(FullImageName);
    UNREFERENCED_PARAMETER(ProcessId);
    if (NT_SUCCESS(NameOf(ImageInfo, &name)))
        FltReleaseFileNameInformation(name);
}

BEGIN_DRIVER(UNPREPARED, Register(OnProcess, OnImage), Remove(OnProcess, OnImage); Keep(NULL))
