/*
 * Takes its time over programs called `victim`: each of three routines sleeps in the creation, for somebody to end the
 * process meanwhile, and says when it is called and when it returns.
 */
#include "common.h"

#define MILLISECOND (-10000LL)

/* Processes of that name that have not exited. */
#define MOST 64
static volatile LONG64 Victims[MOST];

static BOOLEAN Exchange(LONG64 From, LONG64 To)
{
    for (ULONG i = 0; i < MOST; i++)
        if (InterlockedCompareExchange64(&Victims[i], To, From) == From)
            return TRUE;
    return FALSE;
}

static BOOLEAN IsVictim(HANDLE ProcessId)
{
    for (ULONG i = 0; i < MOST; i++)
        if (Victims[i] == (LONG64)ID(ProcessId))
            return TRUE;
    return FALSE;
}

static VOID Told(ULONG Routine, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO Info)
{
    LARGE_INTEGER time;

    if (Info != NULL && Routine == 0 && EndsWith(Info->ImageFileName, L"\\victim"))
        Exchange(0, (LONG64)ID(ProcessId));
    if (!IsVictim(ProcessId))
        return;
    DbgPrint("slow: pid=%I64u %s %u called\n", ID(ProcessId), Info != NULL ? "create" : "exit", Routine);
    time.QuadPart = (Info != NULL ? 200 : 1) * MILLISECOND;
    KeDelayExecutionThread(KernelMode, FALSE, &time);
    DbgPrint("slow: pid=%I64u %s %u returns\n", ID(ProcessId), Info != NULL ? "create" : "exit", Routine);
    if (Info == NULL && Routine == 2)
        Exchange((LONG64)ID(ProcessId), 0);
}

#define ROUTINE(n)                                                                                   \
    static VOID NTAPI Routine##n(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO Info)   \
    {                                                                                                \
        UNREFERENCED_PARAMETER(Process);                                                             \
        Told(n, ProcessId, Info);                                                                    \
    }
ROUTINE(0)
ROUTINE(1)
ROUTINE(2)
static const PCREATE_PROCESS_NOTIFY_ROUTINE_EX Routines[] = {Routine0, Routine1, Routine2};

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    for (ULONG i = 3; i-- > 0;)
        PsSetCreateProcessNotifyRoutineEx(Routines[i], TRUE);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS result = STATUS_SUCCESS;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    for (ULONG i = 0; NT_SUCCESS(result) && i < 3; i++)
        result = PsSetCreateProcessNotifyRoutineEx(Routines[i], FALSE);
    if (!NT_SUCCESS(result))
        Unload(DriverObject);
    return result;
}
