/* Sends a message to a program in a process routine (L-03). */
#include "rule.h"

typedef struct _FLT_FILTER *PFLT_FILTER;
typedef struct _FLT_PORT *PFLT_PORT;
NTSTATUS NTAPI FltSendMessage(PFLT_FILTER Filter, PFLT_PORT *ClientPort, PVOID SenderBuffer, ULONG SenderBufferLength,
                              PVOID ReplyBuffer, PULONG ReplyLength, PLARGE_INTEGER Timeout);

/* No program is connected, as when it is being started or is the very one that waits. */
static PFLT_PORT Client;
static PFLT_FILTER Filter;

static VOID Ask(VOID)
{
    ULONG question = 1;
    LARGE_INTEGER soon;
    soon.QuadPart = -10 * 10000;
    FltSendMessage(Filter, &Client, &question, sizeof(question), NULL, NULL, &soon);
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    Ask();
}

PROCESS_DRIVER(OnProcess, UNPREPARED)
