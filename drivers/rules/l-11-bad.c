/* Closes a handle while it holds a fast mutex, at APC_LEVEL (L-11). */
#include "rule.h"

NTSTATUS NTAPI ZwCreateEvent(PHANDLE EventHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                             EVENT_TYPE EventType, BOOLEAN InitialState);

static FAST_MUTEX Lock;
static volatile ULONG Count;

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNICODE_STRING name;
    OBJECT_ATTRIBUTES attributes;
    HANDLE event;
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    RtlInitUnicodeString(&name, L"\\BaseNamedObjects\\l-11");
    InitializeObjectAttributes(&attributes, &name, OBJ_OPENIF | OBJ_KERNEL_HANDLE, NULL, NULL);
    if (!NT_SUCCESS(ZwCreateEvent(&event, EVENT_ALL_ACCESS, &attributes, NotificationEvent, FALSE)))
        return;
    ExAcquireFastMutex(&Lock);
    Count++;
    ZwClose(event);
    ExReleaseFastMutex(&Lock);
}

PROCESS_DRIVER(OnProcess, ExInitializeFastMutex(&Lock))
