/*
 * Registers routines while it holds a fast mutex, at APC_LEVEL; or registers one and then fails to start.
 *
 * Mode: process, process-ex, thread, image, image-ex (at APC_LEVEL); entry-fails
 */
#include "mode.h"

typedef NTSTATUS(NTAPI *SET_IMAGE_EX)(PLOAD_IMAGE_NOTIFY_ROUTINE Routine, ULONG_PTR Flags);

static FAST_MUTEX Lock;

static VOID NTAPI OnProcess(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ParentId);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(Create);
}

static VOID NTAPI OnProcessEx(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
}

static VOID NTAPI OnThread(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ThreadId);
    UNREFERENCED_PARAMETER(Create);
}

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    UNREFERENCED_PARAMETER(FullImageName);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ImageInfo);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsSetCreateProcessNotifyRoutine(OnProcess, TRUE);
    PsSetCreateProcessNotifyRoutineEx(OnProcessEx, TRUE);
    PsRemoveCreateThreadNotifyRoutine(OnThread);
    PsRemoveLoadImageNotifyRoutine(OnImage);
}

static NTSTATUS RegisterUnderLock(SET_IMAGE_EX SetImageEx)
{
    NTSTATUS status = STATUS_SUCCESS;
    ExAcquireFastMutex(&Lock);
    if (ModeIs(L"process"))
        status = PsSetCreateProcessNotifyRoutine(OnProcess, FALSE);
    if (ModeIs(L"process-ex"))
        status = PsSetCreateProcessNotifyRoutineEx(OnProcessEx, FALSE);
    if (ModeIs(L"thread"))
        status = PsSetCreateThreadNotifyRoutine(OnThread);
    if (ModeIs(L"image"))
        status = PsSetLoadImageNotifyRoutine(OnImage);
    if (ModeIs(L"image-ex") && SetImageEx != NULL)
        status = SetImageEx(OnImage, 0);
    ExReleaseFastMutex(&Lock);
    return status;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    ReadMode(RegistryPath);
    DriverObject->DriverUnload = Unload;
    if (ModeIs(L"entry-fails")) {
        PsSetCreateProcessNotifyRoutine(OnProcess, FALSE);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    ExInitializeFastMutex(&Lock);
    return RegisterUnderLock((SET_IMAGE_EX)Resolve(L"PsSetLoadImageNotifyRoutineEx"));
}
