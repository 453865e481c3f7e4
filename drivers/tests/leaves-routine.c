/*
 * Unloads with a routine left registered: of the family that Mode names (process, where it is not set; image; thread). The
 * next event of that family makes the kernel call into memory that is no longer there: bug check 0xCE.
 */
#include "../rules/mode.h"

static VOID NTAPI ForgottenRoutine(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)
{
    DbgPrint("leaves-routine: %s pid=%I64u ppid=%I64u\n", Create ? "create" : "exit", ID(ProcessId), ID(ParentId));
}

static VOID NTAPI ForgottenThreadRoutine(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    DbgPrint("leaves-routine: %s tid=%I64u of %I64u\n", Create ? "create" : "exit", ID(ThreadId), ID(ProcessId));
}

static VOID NTAPI ForgottenImageRoutine(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    UNREFERENCED_PARAMETER(FullImageName);
    DbgPrint("leaves-routine: image at %p of %I64u\n", ImageInfo->ImageBase, ID(ProcessId));
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    DbgPrint("leaves-routine: unloading, with its routine left behind\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DriverObject->DriverUnload = Unload;
    ReadMode(RegistryPath);
    if (ModeIs(L"image"))
        return PsSetLoadImageNotifyRoutine(ForgottenImageRoutine);
    if (ModeIs(L"thread"))
        return PsSetCreateThreadNotifyRoutine(ForgottenThreadRoutine);
    return PsSetCreateProcessNotifyRoutine(ForgottenRoutine, FALSE);
}
