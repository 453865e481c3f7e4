/*
 * Stops the machine in the way that Parameters\Mode asks for: a REG_SZ with a name below or a REG_DWORD
 * with its number. Modes "… at create" do it in the first process-create notice.
 */
#include "common.h"

/* A real kernel routine that hardly anybody calls. */
NTKERNELAPI NTSTATUS NTAPI HeadlessDispatch(ULONG Command, PVOID Input, SIZE_T InputSize, PVOID Output, PSIZE_T OutputSize);

#define TAG 0x646F7342 /* Bsod */

enum MODE {
    NONE,
    NULL_WRITE_AT_ENTRY,
    NULL_READ_AT_CREATE,
    JUMP_TO_GARBAGE_AT_CREATE,
    DIVIDE_BY_ZERO_AT_CREATE,
    BUG_CHECK_AT_CREATE,
    HANG_AT_CREATE,
    STACK_OVERFLOW_AT_CREATE,
    POOL_LEAK_AT_UNLOAD,
    DOUBLE_FREE_AT_CREATE,
    UNIMPLEMENTED_IMPORT_AT_ENTRY,
    BREAKPOINT_AT_CREATE,
    REMOVE_ITSELF_AT_CREATE,
    RAISED_IRQL_AT_CREATE,
    READ_ONLY_WRITE_AT_CREATE,
    FAIL_AT_ENTRY,
    HANG_AT_ENTRY,
    NULL_READ_AT_UNLOAD,
    MODES
};

static const PCWSTR Names[MODES] = {
    L"none",
    L"null-write-at-entry",
    L"null-read-at-create",
    L"jump-to-garbage-at-create",
    L"divide-by-zero-at-create",
    L"bug-check-at-create",
    L"hang-at-create",
    L"stack-overflow-at-create",
    L"pool-leak-at-unload",
    L"double-free-at-create",
    L"unimplemented-import-at-entry",
    L"breakpoint-at-create",
    L"remove-itself-at-create",
    L"raised-irql-at-create",
    L"read-only-write-at-create",
    L"fail-at-entry",
    L"hang-at-entry",
    L"null-read-at-unload",
};

static enum MODE Mode;
static volatile LONG Once;
/* Volatile, so that no compiler sees through what is done with them. */
static volatile ULONG *volatile Null;
static volatile int One = 1, Zero;
static const ULONG Constant = 1;

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo);

static ULONG Recurse(ULONG Depth);
static ULONG (*volatile Deeper)(ULONG) = Recurse;

static ULONG Recurse(ULONG Depth)
{
    volatile UCHAR frame[512];
    frame[Depth % sizeof(frame)] = (UCHAR)Depth;
    return Deeper(Depth + 1) + frame[Depth % sizeof(frame)];
}

static VOID FreeTwice(VOID)
{
    PVOID block = ExAllocatePoolWithTag(NonPagedPoolNx, 64, TAG);
    if (block == NULL)
        return;
    ExFreePoolWithTag(block, TAG);
    ExFreePoolWithTag(block, TAG);
}

static VOID Jump(ULONG64 Address)
{
    VOID(NTAPI *volatile routine)(VOID) = (VOID(NTAPI *)(VOID))(ULONG_PTR)Address;
    routine();
}

static VOID AtCreate(VOID)
{
    KIRQL irql;
    switch (Mode) {
    case NULL_READ_AT_CREATE:
        DbgPrint("bsod: read %u\n", *Null);
        break;
    case JUMP_TO_GARBAGE_AT_CREATE:
        Jump(0xFFFFF80012345678);
        break;
    case DIVIDE_BY_ZERO_AT_CREATE:
        DbgPrint("bsod: quotient %d\n", One / Zero);
        break;
    case BUG_CHECK_AT_CREATE:
        KeBugCheckEx(0xE2, 1, 2, 3, 4);
        break;
    case HANG_AT_CREATE:
        for (;;)
            YieldProcessor();
        break;
    case STACK_OVERFLOW_AT_CREATE:
        DbgPrint("bsod: %u deep\n", Recurse(0));
        break;
    case DOUBLE_FREE_AT_CREATE:
        FreeTwice();
        break;
    case BREAKPOINT_AT_CREATE:
        __asm__ volatile("int3");
        break;
    case REMOVE_ITSELF_AT_CREATE:
        PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
        break;
    case RAISED_IRQL_AT_CREATE:
        KeRaiseIrql(APC_LEVEL, &irql);
        break;
    case READ_ONLY_WRITE_AT_CREATE:
        *(volatile ULONG *)&Constant = 2;
        break;
    default:
        return;
    }
    DbgPrint("bsod: survived\n");
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    if (CreateInfo == NULL || InterlockedExchange(&Once, 1) != 0)
        return;
    DbgPrint("bsod: create pid=%I64u\n", ID(ProcessId));
    AtCreate();
}

static BOOLEAN Same(PCWSTR A, PCWSTR B, ULONG Units)
{
    for (ULONG i = 0; i < Units; i++) {
        if (A[i] != B[i])
            return FALSE;
        if (A[i] == 0)
            return TRUE;
    }
    return FALSE;
}

/* Reads Mode from the Parameters key below the service's own. */
static NTSTATUS ReadMode(PUNICODE_STRING RegistryPath)
{
    WCHAR buffer[260];
    UNICODE_STRING path = {0, sizeof(buffer), buffer}, name;
    OBJECT_ATTRIBUTES attributes;
    union {
        KEY_VALUE_PARTIAL_INFORMATION value;
        UCHAR bytes[128];
    } information;
    HANDLE key;
    ULONG length;
    NTSTATUS status;

    RtlAppendUnicodeStringToString(&path, RegistryPath);
    status = RtlAppendUnicodeToString(&path, L"\\Parameters");
    if (!NT_SUCCESS(status))
        return status;
    InitializeObjectAttributes(&attributes, &path, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    status = ZwOpenKey(&key, KEY_READ, &attributes);
    if (!NT_SUCCESS(status))
        return status;
    RtlInitUnicodeString(&name, L"Mode");
    status = ZwQueryValueKey(key, &name, KeyValuePartialInformation, &information, sizeof(information), &length);
    ZwClose(key);
    if (!NT_SUCCESS(status))
        return status;

    if (information.value.Type == REG_DWORD && information.value.DataLength == sizeof(ULONG)) {
        Mode = *(PULONG)information.value.Data;
        return Mode < MODES ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
    }
    if (information.value.Type != REG_SZ)
        return STATUS_OBJECT_TYPE_MISMATCH;
    for (ULONG i = 0; i < MODES; i++) {
        if (Same(Names[i], (PCWSTR)information.value.Data, information.value.DataLength / sizeof(WCHAR))) {
            Mode = i;
            return STATUS_SUCCESS;
        }
    }
    return STATUS_INVALID_PARAMETER;
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    if (Mode != REMOVE_ITSELF_AT_CREATE)
        PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
    if (Mode == POOL_LEAK_AT_UNLOAD)
        DbgPrint("bsod: leaks %p\n", ExAllocatePoolWithTag(NonPagedPoolNx, 1234, TAG));
    if (Mode == NULL_READ_AT_UNLOAD)
        DbgPrint("bsod: read %u\n", *Null);
    DbgPrint("bsod: unloaded\n");
}

static VOID AtEntry(VOID)
{
    SIZE_T size = 0;
    switch (Mode) {
    case NULL_WRITE_AT_ENTRY:
        *Null = 1;
        break;
    case UNIMPLEMENTED_IMPORT_AT_ENTRY:
        HeadlessDispatch(0, NULL, 0, NULL, &size);
        break;
    case HANG_AT_ENTRY:
        for (;;)
            YieldProcessor();
        break;
    default:
        return;
    }
    DbgPrint("bsod: survived\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status = ReadMode(RegistryPath);
    if (!NT_SUCCESS(status)) {
        DbgPrint("bsod: Parameters\\Mode must be a name or a number: 0x%08X\n", status);
        return status;
    }
    DbgPrint("bsod: mode %u %ws\n", Mode, Names[Mode]);
    if (Mode == FAIL_AT_ENTRY)
        return STATUS_UNSUCCESSFUL;
    AtEntry();
    DriverObject->DriverUnload = Unload;
    return PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
}
