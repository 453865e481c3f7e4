/*
 * Removes a notify routine when the system goes to sleep, and sets it again when it wakes up (PO-01).
 *
 * Parameters\Mode names which: "process", "process-ex" (also without a Mode), "process-ex2", "thread", "thread-ex", "image",
 * "image-ex". With "query" it is done in query-power requests only, which is allowed.
 */
#include "power.h"

typedef NTSTATUS(NTAPI *SET_EX2)(ULONG Type, PVOID Routine, BOOLEAN Remove);
typedef NTSTATUS(NTAPI *SET_TYPED)(ULONG Type, PVOID Routine);
typedef NTSTATUS(NTAPI *SET_FLAGGED)(PLOAD_IMAGE_NOTIFY_ROUTINE Routine, ULONG_PTR Flags);

static BOOLEAN Registered;

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

static VOID NTAPI OnImage(PUNICODE_STRING Name, HANDLE ProcessId, PIMAGE_INFO Info)
{
    UNREFERENCED_PARAMETER(Name);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(Info);
}

static NTSTATUS Set(BOOLEAN Remove)
{
    PVOID routine;
    if (ModeIs(L"process"))
        return PsSetCreateProcessNotifyRoutine(OnProcess, Remove);
    if (ModeIs(L"process-ex2") && (routine = Resolve(L"PsSetCreateProcessNotifyRoutineEx2")) != NULL)
        return ((SET_EX2)routine)(0, (PVOID)OnProcessEx, Remove);
    if (ModeIs(L"thread") || ModeIs(L"thread-ex")) {
        if (Remove)
            return PsRemoveCreateThreadNotifyRoutine(OnThread);
        if (ModeIs(L"thread-ex") && (routine = Resolve(L"PsSetCreateThreadNotifyRoutineEx")) != NULL)
            return ((SET_TYPED)routine)(0, (PVOID)OnThread);
        return PsSetCreateThreadNotifyRoutine(OnThread);
    }
    if (ModeIs(L"image") || ModeIs(L"image-ex")) {
        if (Remove)
            return PsRemoveLoadImageNotifyRoutine(OnImage);
        if (ModeIs(L"image-ex") && (routine = Resolve(L"PsSetLoadImageNotifyRoutineEx")) != NULL)
            return ((SET_FLAGGED)routine)(OnImage, 0);
        return PsSetLoadImageNotifyRoutine(OnImage);
    }
    return PsSetCreateProcessNotifyRoutineEx(OnProcessEx, Remove);
}

static VOID OnSleep(BOOLEAN Sleeps)
{
    if (Registered == Sleeps && NT_SUCCESS(Set(Sleeps)))
        Registered = !Sleeps;
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    if (Registered)
        Set(TRUE);
    IoDeleteDevice(Device);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status = Prepare(DriverObject, RegistryPath);
    if (!NT_SUCCESS(status))
        return status;
    DriverObject->DriverUnload = Unload;
    status = Set(FALSE);
    Registered = NT_SUCCESS(status);
    if (!Registered)
        IoDeleteDevice(Device);
    return status;
}
