/*
 * Uses little of the kernel stack in a process routine, and has it expanded for what needs more (L-21)
 *
 * Mode is that of l-21-bad: "quiet" and "frame" do as little.
 */
#include "mode.h"
#include "rule.h"

static volatile ULONG Sum;

/* One and a half kilobyte for each part of a path, in frames on top of each other. */
static ULONG Descend(ULONG Depth, BOOLEAN Quiet)
{
    volatile UCHAR record[1500];
    ULONG below;
    record[Depth] = (UCHAR)Depth;
    if (Depth == 0) {
        KEVENT event;
        if (Quiet)
            return record[Depth];
        KeInitializeEvent(&event, NotificationEvent, FALSE);
        KeResetEvent(&event);
        return record[Depth];
    }
    below = Descend(Depth - 1, Quiet);
    return below + record[Depth];
}

/* 18 KB of frames, which are more than the routine may use of the stack that it is called on. */
static VOID NTAPI DescendFar(PVOID Quiet)
{
    Sum += Descend(12, Quiet != NULL);
}

/* Large, and still within what a routine may use. */
#pragma GCC diagnostic ignored "-Wframe-larger-than="

__attribute__((noinline)) static VOID Fill(volatile UCHAR *Record, ULONG Size)
{
    for (ULONG i = 0; i < Size; i += 512)
        Record[i] = 1;
}

__attribute__((noinline)) static ULONG Collect(VOID)
{
    volatile UCHAR record[11 * 1024];
    Fill(record, sizeof(record));
    return record[0];
}

static VOID NTAPI OnProcess(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
    if (ModeIs(L"frame")) {
        Sum += Collect();
        return;
    }
    Sum += Descend(6, ModeIs(L"quiet"));
    KeExpandKernelStackAndCallout(DescendFar, ModeIs(L"quiet") ? OnProcess : NULL, 24 * 1024);
    DbgPrint("l-21: %u\n", Sum);
}

PROCESS_DRIVER(OnProcess, ReadMode(RegistryPath))
