/*
 * What the drivers of the conformance suite share: checks, the log of their lines, and the device by which a
 * program in user mode leads them.
 *
 * A suite is one driver. It defines, before it includes this file, SUITE (its name) and SUITE_DEVICE (the wide name
 * of its device), and after it
 *
 *   SuiteStart    registers and checks what can be checked at once; called by DriverEntry
 *   SuitePhase    the program says that phase N begins; the driver looks back at what it saw of the phase before
 *   SuiteStop     removes what SuiteStart registered, and looks back at all; called by phase 0, or by DriverUnload
 *
 * Lines, printed and kept:
 *
 *   conformance: ok R-REG-05 registration.c:120 text
 *   conformance: FAIL R-REG-05 registration.c:120 text (got 0x…, expected 0x…)
 *   conformance: todo R-REG-05 registration.c:120 text (holds | does not hold)    documents leave it open
 *   conformance: skip R-REG-05 reason                                             cannot be checked here
 *   conformance: note NAME VALUE                                                  what was found out
 *   conformance: done SUITE checks=N failures=M todo=K skips=S
 */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include "../tests/common.h"
#include <stdarg.h>

#ifndef __FILE_NAME__
#define __FILE_NAME__ __FILE__
#endif

/* Control codes, all buffered and for anybody who opened the device. */
/* Out: CONFORMANCE_RESULT. */
#define IOCTL_CONFORMANCE_RESULT CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)
/* In: the number of the phase that begins, a ULONG; 0 ends the suite, so that all its lines can be read. */
#define IOCTL_CONFORMANCE_PHASE CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS)
/* In: an offset, a ULONG. Out: the bytes of the log from there, as many as fit; none at its end. */
#define IOCTL_CONFORMANCE_LINES CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_BUFFERED, FILE_ANY_ACCESS)

/* How the suite stands. */
typedef struct _CONFORMANCE_RESULT {
    ULONG Checks; /* that were made, failed ones included */
    ULONG Failures;
    ULONG Todos;
    ULONG Skips;
} CONFORMANCE_RESULT;

#define STATUS_PROCEDURE_NOT_FOUND_ ((NTSTATUS)0xC000007A)

/* Builds of Windows that brought something. */
#define BUILD_7 7600
#define BUILD_8 9200
#define BUILD_81 9600
#define BUILD_10 10240
#define BUILD_1703 15063
#define BUILD_1709 16299

typedef NTSTATUS(NTAPI *SET_PROCESS_EX2)(ULONG Type, PVOID Routine, BOOLEAN Remove);
typedef NTSTATUS(NTAPI *SET_THREAD_EX)(ULONG Type, PVOID Routine);
typedef NTSTATUS(NTAPI *SET_IMAGE_EX)(PLOAD_IMAGE_NOTIFY_ROUTINE Routine, ULONG_PTR Flags);

/* PsCreateThreadNotifyNonSystem, PsCreateThreadNotifySubsystems, PsCreateProcessNotifySubsystems. */
#define THREAD_NON_SYSTEM 0
#define THREAD_SUBSYSTEMS 1
#define PROCESS_SUBSYSTEMS 0
/* PS_IMAGE_NOTIFY_CONFLICTING_ARCHITECTURE. */
#define IMAGE_CONFLICTING 1

/* Of mingw-w64's headers some lack it. */
int __cdecl _vsnprintf(char *Buffer, SIZE_T Count, const char *Format, va_list Arguments);

static NTSTATUS SuiteStart(PDRIVER_OBJECT DriverObject);
static VOID SuitePhase(ULONG Phase);
static VOID SuiteStop(VOID);

/* The Windows that runs. */
static ULONG Build;
static volatile LONG Checks, Failures, Todos, Skips, Finished;

#define LOG_BYTES 0x100000
static CHAR Log[LOG_BYTES];
static volatile LONG LogUsed;

/* Prints a line and keeps it. At any IRQL up to DISPATCH_LEVEL, on any processor. */
static VOID Say(PCSTR Format, ...)
{
    CHAR line[400];
    va_list arguments;
    int length;
    LONG at;

    va_start(arguments, Format);
    length = _vsnprintf(line, sizeof(line) - 2, Format, arguments);
    va_end(arguments);
    if (length < 0 || length > (int)sizeof(line) - 2)
        length = sizeof(line) - 2;
    line[length++] = '\n';
    line[length] = 0;
    DbgPrint("%s", line);
    at = InterlockedExchangeAdd(&LogUsed, length);
    if (at + length <= LOG_BYTES)
        for (int i = 0; i < length; i++)
            Log[at + i] = line[i];
}

static BOOLEAN OkAt(PCSTR Ids, PCSTR File, ULONG Line, BOOLEAN Holds, PCSTR Text)
{
    InterlockedIncrement(&Checks);
    if (!Holds)
        InterlockedIncrement(&Failures);
    Say("conformance: %s %s %s:%u %s%s", Holds ? "ok" : "FAIL", Ids, File, Line, Text,
        Holds ? "" : " (got false, expected true)");
    return Holds;
}

static BOOLEAN EqualAt(PCSTR Ids, PCSTR File, ULONG Line, ULONG64 Got, ULONG64 Expected, PCSTR Text)
{
    BOOLEAN holds = Got == Expected;
    if (holds)
        return OkAt(Ids, File, Line, TRUE, Text);
    InterlockedIncrement(&Checks);
    InterlockedIncrement(&Failures);
    Say("conformance: FAIL %s %s:%u %s (got 0x%I64x, expected 0x%I64x)", Ids, File, Line, Text, Got, Expected);
    return FALSE;
}

static inline VOID TodoAt(PCSTR Ids, PCSTR File, ULONG Line, BOOLEAN Holds, PCSTR Text)
{
    InterlockedIncrement(&Todos);
    Say("conformance: todo %s %s:%u %s (%s)", Ids, File, Line, Text, Holds ? "holds" : "does not hold");
}

static inline VOID SkipFor(PCSTR Ids, PCSTR Reason)
{
    InterlockedIncrement(&Skips);
    Say("conformance: skip %s %s", Ids, Reason);
}

/* Something holds. */
#define ok(Ids, Condition, Text) OkAt(Ids, __FILE_NAME__, __LINE__, (Condition) ? TRUE : FALSE, Text)
/* Two numbers or addresses are equal. */
#define equal(Ids, Got, Expected, Text) \
    EqualAt(Ids, __FILE_NAME__, __LINE__, (ULONG64)(Got), (ULONG64)(Expected), Text)
/* A routine returned this status. */
#define status(Ids, Got, Expected, Text) equal(Ids, (ULONG)(Got), (ULONG)(Expected), Text)
/* Documents leave it open, or it is known not to hold yet: said, and no failure either way. */
#define todo(Ids, Condition, Text) TodoAt(Ids, __FILE_NAME__, __LINE__, (Condition) ? TRUE : FALSE, Text)
/* Cannot be checked here. */
#define skip(Ids, Reason) SkipFor(Ids, Reason)

static VOID ReadVersion(VOID)
{
    RTL_OSVERSIONINFOW version = {0};
    version.dwOSVersionInfoSize = sizeof(version);
    RtlGetVersion(&version);
    Build = version.dwBuildNumber;
    Say("conformance: note build %u", Build);
}

/* Whether the header of the image that holds us has FORCE_INTEGRITY. */
static inline BOOLEAN HasIntegrity(PDRIVER_OBJECT DriverObject)
{
    PUCHAR image = DriverObject->DriverStart;
    PUCHAR header = image + *(PULONG)(image + 0x3C);
    return (*(PUSHORT)(header + 24 + 70) & 0x0080) != 0;
}

/* Ends the suite, once. */
static VOID Finish(VOID)
{
    if (InterlockedExchange(&Finished, 1))
        return;
    SuiteStop();
    Say("conformance: done " SUITE " checks=%u failures=%u todo=%u skips=%u", Checks, Failures, Todos, Skips);
}

static NTSTATUS Complete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static NTSTATUS NTAPI OpenClose(PDEVICE_OBJECT Device, PIRP Irp)
{
    UNREFERENCED_PARAMETER(Device);
    return Complete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI Control(PDEVICE_OBJECT Device, PIRP Irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    ULONG in = stack->Parameters.DeviceIoControl.InputBufferLength;
    ULONG out = stack->Parameters.DeviceIoControl.OutputBufferLength;
    PVOID buffer = Irp->AssociatedIrp.SystemBuffer;

    UNREFERENCED_PARAMETER(Device);
    switch (stack->Parameters.DeviceIoControl.IoControlCode) {
    case IOCTL_CONFORMANCE_RESULT: {
        CONFORMANCE_RESULT *result = buffer;
        if (out < sizeof(*result))
            return Complete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
        result->Checks = Checks;
        result->Failures = Failures;
        result->Todos = Todos;
        result->Skips = Skips;
        return Complete(Irp, STATUS_SUCCESS, sizeof(*result));
    }
    case IOCTL_CONFORMANCE_PHASE:
        if (in < sizeof(ULONG))
            return Complete(Irp, STATUS_INVALID_PARAMETER, 0);
        if (*(PULONG)buffer == 0)
            Finish();
        else
            SuitePhase(*(PULONG)buffer);
        return Complete(Irp, STATUS_SUCCESS, 0);
    case IOCTL_CONFORMANCE_LINES: {
        ULONG used = (ULONG)LogUsed < LOG_BYTES ? (ULONG)LogUsed : LOG_BYTES, from, count;
        if (in < sizeof(ULONG))
            return Complete(Irp, STATUS_INVALID_PARAMETER, 0);
        from = *(PULONG)buffer;
        count = from < used ? used - from : 0;
        if (count > out)
            count = out;
        for (ULONG i = 0; i < count; i++)
            ((PCHAR)buffer)[i] = Log[from + i];
        return Complete(Irp, STATUS_SUCCESS, count);
    }
    default:
        return Complete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNICODE_STRING link;
    if (!Finished) {
        equal("R-UNL-06", KeGetCurrentIrql(), PASSIVE_LEVEL, "DriverUnload is called at PASSIVE_LEVEL");
        equal("R-UNL-06", PsGetCurrentProcessId(), 4, "DriverUnload is called in the System process");
    }
    Finish();
    RtlInitUnicodeString(&link, L"\\DosDevices\\" SUITE_DEVICE);
    IoDeleteSymbolicLink(&link);
    if (DriverObject->DeviceObject != NULL)
        IoDeleteDevice(DriverObject->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNICODE_STRING name, link;
    PDEVICE_OBJECT device = NULL;
    NTSTATUS result;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    DriverObject->MajorFunction[IRP_MJ_CREATE] = OpenClose;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = OpenClose;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = OpenClose;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = Control;
    RtlInitUnicodeString(&name, L"\\Device\\" SUITE_DEVICE);
    RtlInitUnicodeString(&link, L"\\DosDevices\\" SUITE_DEVICE);
    result = IoCreateDevice(DriverObject, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(result))
        return result;
    result = IoCreateSymbolicLink(&link, &name);
    if (NT_SUCCESS(result)) {
        ReadVersion();
        result = SuiteStart(DriverObject);
        if (!NT_SUCCESS(result))
            IoDeleteSymbolicLink(&link);
    }
    if (!NT_SUCCESS(result)) {
        Say("conformance: FAIL - " SUITE ".c:0 the suite could not start (got 0x%08X, expected 0x00000000)", result);
        IoDeleteDevice(device);
    }
    return result;
}

#endif
