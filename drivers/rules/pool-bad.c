/*
 * Misuses pool memory in the first process-create notice, in the way that Mode asks for.
 *
 *   overrun  overrun-far  underrun  use-after-free  write-after-free  system-use-after-free  double-free  wrong-tag
 *   never-allocated  allocate-high  free-high  timer  resource  zero-bytes  tag-zero  tag-blank
 */
#include "mode.h"

#define TAG 0x6C6F6F50 /* Pool */

static volatile LONG Once;
static ULONG64 Filler[2];
/* Volatile, so that no compiler sees through what is done with them. */
static PUCHAR volatile Block;
static volatile UCHAR Byte;

static VOID Touch(VOID)
{
    if (ModeIs(L"overrun"))
        Block[40] = 1;
    if (ModeIs(L"overrun-far"))
        Block[64] = 1;
    if (ModeIs(L"underrun"))
        Block[-1] = 1;
    ExFreePoolWithTag(Block, TAG);
    if (ModeIs(L"use-after-free"))
        Byte = Block[8];
    if (ModeIs(L"write-after-free"))
        Block[8] = 1;
    if (ModeIs(L"system-use-after-free"))
        KeSetEvent((PRKEVENT)Block, IO_NO_INCREMENT, FALSE);
    if (ModeIs(L"double-free"))
        ExFreePoolWithTag(Block, TAG);
}

static VOID Free(VOID)
{
    LARGE_INTEGER due = {.QuadPart = -600LL * 10000000};
    if (ModeIs(L"wrong-tag"))
        ExFreePoolWithTag(Block, 0x78787878);
    if (ModeIs(L"never-allocated"))
        ExFreePoolWithTag(Filler, TAG);
    if (ModeIs(L"timer")) {
        KeInitializeTimer((PKTIMER)Block);
        KeSetTimer((PKTIMER)Block, due, NULL);
    }
    if (ModeIs(L"resource"))
        ExInitializeResourceLite((PERESOURCE)Block);
    ExFreePoolWithTag(Block, TAG);
}

static VOID AtHighIrql(VOID)
{
    KIRQL irql;
    PVOID paged = ExAllocatePoolWithTag(PagedPool, 32, TAG);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    if (ModeIs(L"allocate-high"))
        ExAllocatePoolWithTag(PagedPool, 48, TAG);
    ExFreePoolWithTag(paged, TAG);
    KeLowerIrql(irql);
}

static VOID Misuse(VOID)
{
    if (ModeIs(L"allocate-high") || ModeIs(L"free-high")) {
        AtHighIrql();
        return;
    }
    if (ModeIs(L"zero-bytes"))
        Block = ExAllocatePoolWithTag(NonPagedPoolNx, 0, TAG);
    else if (ModeIs(L"tag-zero"))
        Block = ExAllocatePoolWithTag(NonPagedPoolNx, 40, 0);
    else if (ModeIs(L"tag-blank"))
        Block = ExAllocatePoolWithTag(NonPagedPoolNx, 40, 0x01010101);
    else if (ModeIs(L"wrong-tag") || ModeIs(L"never-allocated") || ModeIs(L"timer") || ModeIs(L"resource"))
        Block = ExAllocatePoolWithTag(NonPagedPoolNx, 256, TAG);
    else
        Block = ExAllocatePoolWithTag(NonPagedPoolNx, 40, TAG);
    if (Block == NULL)
        return;
    if (ModeIs(L"zero-bytes") || ModeIs(L"tag-zero") || ModeIs(L"tag-blank"))
        ExFreePoolWithTag(Block, 0);
    else if (ModeIs(L"wrong-tag") || ModeIs(L"never-allocated") || ModeIs(L"timer") || ModeIs(L"resource"))
        Free();
    else
        Touch();
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    if (CreateInfo == NULL || InterlockedExchange(&Once, 1) != 0)
        return;
    Misuse();
    DbgPrint("pool-bad: survived %ws\n", ModeText);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    ReadMode(RegistryPath);
    DriverObject->DriverUnload = Unload;
    return PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
}
