/*
 * Terminates processes whose executable is called `doomed` or `doomed.exe`, as drivers do that find something out when an
 * image is mapped: in the image routine, or (Mode `thread`) a little later from a thread of its own.
 *
 *   terminates: pid=… status=0x… again=0x…      what two attempts returned
 *   terminates: exit pid=… status=0x…
 */
#include "../rules/mode.h"

/* STATUS_VIRUS_INFECTED */
#define DOOM ((NTSTATUS)0xC0000906)
#define PROCESS_TERMINATE_ 1

/* Found by name: of the drivers of this folder only this one needs them. */
static NTSTATUS(NTAPI *OpenProcess)(PHANDLE Handle, ACCESS_MASK Access, POBJECT_ATTRIBUTES Attributes, PCLIENT_ID Id);
static NTSTATUS(NTAPI *TerminateProcess)(HANDLE Process, NTSTATUS Status);
static NTSTATUS(NTAPI *CreateThread)(PHANDLE Handle, ULONG Access, POBJECT_ATTRIBUTES Attributes, HANDLE Process,
                                     PCLIENT_ID Id, PKSTART_ROUTINE Start, PVOID Context);
static volatile LONG Threads;

static VOID Terminate(HANDLE Pid)
{
    CLIENT_ID id = {Pid, NULL};
    OBJECT_ATTRIBUTES attributes;
    HANDLE process;
    NTSTATUS first, again = STATUS_SUCCESS;

    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    first = OpenProcess(&process, PROCESS_TERMINATE_, &attributes, &id);
    if (NT_SUCCESS(first)) {
        first = TerminateProcess(process, DOOM);
        again = TerminateProcess(process, STATUS_SUCCESS);
        ZwClose(process);
    }
    DbgPrint("terminates: pid=%I64u status=0x%08X again=0x%08X\n", ID(Pid), first, again);
}

static VOID NTAPI Later(PVOID Context)
{
    LARGE_INTEGER while_ = {.QuadPart = -3000000}; /* 300 ms */
    KeDelayExecutionThread(KernelMode, FALSE, &while_);
    Terminate((HANDLE)Context);
    InterlockedDecrement(&Threads);
}

static VOID NTAPI OnImage(PUNICODE_STRING Name, HANDLE ProcessId, PIMAGE_INFO Info)
{
    HANDLE thread;
    UNREFERENCED_PARAMETER(Info);
    if (ProcessId == NULL || !(EndsWith(Name, L"\\doomed") || EndsWith(Name, L"\\doomed.exe")))
        return;
    if (!ModeIs(L"thread")) {
        Terminate(ProcessId);
        return;
    }
    InterlockedIncrement(&Threads);
    if (NT_SUCCESS(CreateThread(&thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, Later, ProcessId)))
        ZwClose(thread);
    else
        InterlockedDecrement(&Threads);
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    if (CreateInfo == NULL)
        DbgPrint("terminates: exit pid=%I64u status=0x%08X\n", ID(ProcessId), PsGetProcessExitStatus(Process));
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    LARGE_INTEGER while_ = {.QuadPart = -100000}; /* 10 ms */
    UNREFERENCED_PARAMETER(DriverObject);
    PsRemoveLoadImageNotifyRoutine(OnImage);
    PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
    while (Threads != 0)
        KeDelayExecutionThread(KernelMode, FALSE, &while_);
    /* The last of them may be on its way out still. */
    KeDelayExecutionThread(KernelMode, FALSE, &while_);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;

    ReadMode(RegistryPath);
    DriverObject->DriverUnload = Unload;
    OpenProcess = (PVOID)Resolve(L"ZwOpenProcess");
    TerminateProcess = (PVOID)Resolve(L"ZwTerminateProcess");
    CreateThread = (PVOID)Resolve(L"PsCreateSystemThread");
    status = PsSetLoadImageNotifyRoutine(OnImage);
    if (!NT_SUCCESS(status))
        return status;
    status = PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
    if (!NT_SUCCESS(status))
        PsRemoveLoadImageNotifyRoutine(OnImage);
    return status;
}
