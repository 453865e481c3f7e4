/* What the drivers of the rules share: a driver is what it does, in one routine, and what surrounds it is made here. */
#ifndef RULE_H
#define RULE_H

#include "../tests/common.h"

#define TAG 0x656C7552 /* Rule */

#define BEGIN_DRIVER(Prepare, Register, Remove)                                              \
    static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)                                    \
    {                                                                                        \
        UNREFERENCED_PARAMETER(DriverObject);                                                \
        Remove;                                                                              \
    }                                                                                        \
    NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)    \
    {                                                                                        \
        UNREFERENCED_PARAMETER(RegistryPath);                                                \
        DriverObject->DriverUnload = Unload;                                                 \
        Prepare;                                                                             \
        return Register;                                                                     \
    }

/* A driver with a process routine (PCREATE_PROCESS_NOTIFY_ROUTINE_EX), prepared by a statement. */
#define PROCESS_DRIVER(Routine, Prepare)                                                     \
    BEGIN_DRIVER(Prepare, PsSetCreateProcessNotifyRoutineEx(Routine, FALSE),                 \
                 PsSetCreateProcessNotifyRoutineEx(Routine, TRUE))

/* A driver with a thread routine. */
#define THREAD_DRIVER(Routine, Prepare)                                                      \
    BEGIN_DRIVER(Prepare, PsSetCreateThreadNotifyRoutine(Routine), PsRemoveCreateThreadNotifyRoutine(Routine))

/* A driver with an image routine. */
#define IMAGE_DRIVER(Routine, Prepare)                                                       \
    BEGIN_DRIVER(Prepare, PsSetLoadImageNotifyRoutine(Routine), PsRemoveLoadImageNotifyRoutine(Routine))

#define UNPREPARED ((VOID)0)

/* Opens and closes a key that is always there. */
static inline NTSTATUS TouchRegistry(VOID)
{
    UNICODE_STRING name;
    OBJECT_ATTRIBUTES attributes;
    HANDLE key;
    NTSTATUS status;
    RtlInitUnicodeString(&name, L"\\Registry\\Machine\\System");
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    status = ZwOpenKey(&key, KEY_READ, &attributes);
    if (NT_SUCCESS(status))
        ZwClose(key);
    return status;
}

/* Opens and closes a file. */
static inline NTSTATUS TouchFile(PCWSTR Path)
{
    UNICODE_STRING name;
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK io;
    HANDLE file;
    NTSTATUS status;
    RtlInitUnicodeString(&name, Path);
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    status = ZwCreateFile(&file, GENERIC_READ | SYNCHRONIZE, &attributes, &io, NULL, FILE_ATTRIBUTE_NORMAL,
                          FILE_SHARE_READ, FILE_OPEN_IF, FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0);
    if (NT_SUCCESS(status))
        ZwClose(file);
    return status;
}

#endif
