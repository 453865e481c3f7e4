/*
 * Takes what it does not give back (L-14)
 *
 * Mode says what: nothing is the process that it looks up, "thread" the thread, "token" the primary token of the process,
 * "handle" a handle to an event, "name" the information on an image's file name, "image-name" the name of the process's image.
 * With "twice" it closes a handle that it has closed already, with "given" it dereferences the process that its routine is
 * given, and with "again" one that it looked up, twice.
 */
#include "references.h"

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    PUNICODE_STRING image;
    PEPROCESS found;
    PETHREAD thread;
    HANDLE event;
    if (CreateInfo == NULL)
        return;
    if (ModeIs(L"thread")) {
        if (NT_SUCCESS(PsLookupThreadByThreadId(PsGetCurrentThreadId(), &thread)))
            Seen++;
    } else if (ModeIs(L"token")) {
        if (PsReferencePrimaryToken(Process) != NULL)
            Seen++;
    } else if (ModeIs(L"image-name")) {
        if (NT_SUCCESS(SeLocateProcessImageName(Process, &image)))
            Seen += image->Length;
    } else if (ModeIs(L"handle") || ModeIs(L"twice")) {
        if (!NT_SUCCESS(CreateEvent(&event)) || ModeIs(L"handle"))
            return;
        ZwClose(event);
        ZwClose(event);
    } else if (ModeIs(L"given")) {
        ObDereferenceObject(Process);
    } else if (ModeIs(L"again")) {
        if (!NT_SUCCESS(PsLookupProcessByProcessId(ProcessId, &found)))
            return;
        ObDereferenceObject(found);
        ObDereferenceObject(found);
    } else if (!ModeIs(L"name")) {
        if (NT_SUCCESS(PsLookupProcessByProcessId(ProcessId, &found)))
            Seen++;
    }
}

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    PFLT_FILE_NAME_INFORMATION name;
    UNREFERENCED_PARAMETER(FullImageName);
    UNREFERENCED_PARAMETER(ProcessId);
    if (ModeIs(L"name") && NT_SUCCESS(NameOf(ImageInfo, &name)))
        Seen++;
}

BEGIN_DRIVER(ReadMode(RegistryPath), Register(OnProcess, OnImage), Remove(OnProcess, OnImage))
