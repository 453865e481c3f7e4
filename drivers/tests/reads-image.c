/*
 * Reads the mapped image in its notice, and the process's memory again in its exit notice.
 *
 *   reads-image: ok pid=… base=0x… magic=0x…        ImageBase read directly and by RtlCopyMemory
 *   reads-image: exit pid=… magic=0x… valid=1       the same address, when the process is about to end
 *   reads-image: null valid=0
 */
#include "common.h"

#define MOST 64

static struct {
    HANDLE Process;
    PVOID Base;
} Mains[MOST];

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    volatile ULONG *base = ImageInfo->ImageBase;
    ULONG direct, copied;
    UNREFERENCED_PARAMETER(FullImageName);
    if (ImageInfo->SystemModeImage)
        return;
    direct = base[0];
    RtlCopyMemory(&copied, (PUCHAR)ImageInfo->ImageBase + 4, sizeof(copied));
    DbgPrint("reads-image: ok pid=%I64u base=%p magic=0x%08X next=0x%08X\n", ID(ProcessId), ImageInfo->ImageBase,
             direct, copied);
    for (ULONG i = 0; i < MOST; i++) {
        if (Mains[i].Process == ProcessId)
            return;
        if (InterlockedCompareExchangePointer(&Mains[i].Process, ProcessId, NULL) == NULL) {
            Mains[i].Base = ImageInfo->ImageBase;
            return;
        }
    }
}

static VOID NTAPI OnProcess(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ParentId);
    if (Create)
        return;
    for (ULONG i = 0; i < MOST; i++) {
        if (Mains[i].Process != ProcessId)
            continue;
        DbgPrint("reads-image: exit pid=%I64u magic=0x%08X valid=%u\n", ID(ProcessId),
                 *(volatile ULONG *)Mains[i].Base, MmIsAddressValid(Mains[i].Base));
        DbgPrint("reads-image: null valid=%u\n", MmIsAddressValid((PVOID)(ULONG_PTR)0x1000));
    }
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsSetCreateProcessNotifyRoutine(OnProcess, TRUE);
    PsRemoveLoadImageNotifyRoutine(OnImage);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    status = PsSetCreateProcessNotifyRoutine(OnProcess, FALSE);
    if (!NT_SUCCESS(status))
        return status;
    status = PsSetLoadImageNotifyRoutine(OnImage);
    if (!NT_SUCCESS(status))
        PsSetCreateProcessNotifyRoutine(OnProcess, TRUE);
    return status;
}
