/*
 * Uses pool memory of all sizes to the last byte, and frees it.
 */
#include "../tests/common.h"

#define TAG 0x6C6F6F50 /* Pool */
#define LARGEST 9000

static volatile LONG Failures;

static VOID Use(POOL_TYPE Type, SIZE_T Size)
{
    PUCHAR block = ExAllocatePoolWithTag(Type, Size, TAG);
    if (block == NULL || ((ULONG_PTR)block & (Size >= PAGE_SIZE ? PAGE_SIZE - 1 : 15)) != 0) {
        InterlockedIncrement(&Failures);
        return;
    }
    for (SIZE_T i = 0; i < Size; i++)
        block[i] = (UCHAR)i;
    for (SIZE_T i = 0; i < Size; i++)
        if (block[i] != (UCHAR)i)
            InterlockedIncrement(&Failures);
    ExFreePoolWithTag(block, TAG);
}

/* What lies in pool memory is cancelled and deleted before the memory is freed. */
static VOID UseObjects(VOID)
{
    LARGE_INTEGER due = {.QuadPart = -600LL * 10000000};
    PKTIMER timer = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(KTIMER), TAG);
    PERESOURCE resource = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(ERESOURCE), TAG);
    if (timer != NULL && resource != NULL) {
        KeInitializeTimer(timer);
        KeSetTimer(timer, due, NULL);
        KeCancelTimer(timer);
        ExInitializeResourceLite(resource);
        ExDeleteResourceLite(resource);
    }
    if (timer != NULL)
        ExFreePoolWithTag(timer, TAG);
    if (resource != NULL)
        ExFreePoolWithTag(resource, TAG);
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    if (CreateInfo == NULL)
        return;
    for (SIZE_T size = 1; size < LARGEST; size += size < 64 ? 1 : 509) {
        Use(NonPagedPoolNx, size);
        Use(PagedPool, size);
    }
    UseObjects();
    DbgPrint("pool-good: failures=%d\n", Failures);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    return PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
}
