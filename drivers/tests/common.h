/* What the test drivers share: the kernel's header, what mingw-w64's lacks, and two helpers. */
#ifndef COMMON_H
#define COMMON_H

#define NTDDI_VERSION 0x0A000000
#define _WIN32_WINNT 0x0A00
#include <ntddk.h>

NTKERNELAPI NTSTATUS NTAPI PsLookupProcessByProcessId(HANDLE ProcessId, PEPROCESS *Process);
NTKERNELAPI NTSTATUS NTAPI PsLookupThreadByThreadId(HANDLE ThreadId, PETHREAD *Thread);
NTKERNELAPI NTSTATUS NTAPI PsGetProcessExitStatus(PEPROCESS Process);
NTKERNELAPI NTSTATUS NTAPI PsGetThreadExitStatus(PETHREAD Thread);

DRIVER_INITIALIZE DriverEntry;

/* Ids are handles in name only. */
#define ID(handle) ((ULONG64)(ULONG_PTR)(handle))

/* The address of a kernel routine, or NULL where this version of Windows has not got it. */
static inline PVOID Resolve(PCWSTR Name)
{
    UNICODE_STRING name;
    RtlInitUnicodeString(&name, Name);
    return MmGetSystemRoutineAddress(&name);
}

static inline WCHAR Lower(WCHAR c)
{
    return c >= L'A' && c <= L'Z' ? (WCHAR)(c + 32) : c;
}

/* Whether a name ends in `Suffix`, which is in lower case. */
static inline BOOLEAN EndsWith(PCUNICODE_STRING Name, PCWSTR Suffix)
{
    USHORT length = 0, units;
    if (Name == NULL)
        return FALSE;
    units = Name->Length / sizeof(WCHAR);
    while (Suffix[length] != 0)
        length++;
    if (units < length)
        return FALSE;
    for (USHORT i = 0; i < length; i++)
        if (Lower(Name->Buffer[units - length + i]) != Suffix[i])
            return FALSE;
    return TRUE;
}

#endif
