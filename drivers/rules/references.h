/* What the two drivers of L-14 share: what they take, and their routines. */
#ifndef REFERENCES_H
#define REFERENCES_H

#include "mode.h"
#include "rule.h"

typedef struct _FLT_INSTANCE *PFLT_INSTANCE;
typedef struct _FLT_FILE_NAME_INFORMATION *PFLT_FILE_NAME_INFORMATION;
NTSTATUS NTAPI FltGetFileNameInformationUnsafe(PFILE_OBJECT FileObject, PFLT_INSTANCE Instance, ULONG NameOptions,
                                               PFLT_FILE_NAME_INFORMATION *FileNameInformation);
VOID NTAPI FltReleaseFileNameInformation(PFLT_FILE_NAME_INFORMATION FileNameInformation);
NTSTATUS NTAPI ZwCreateEvent(PHANDLE EventHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                             EVENT_TYPE EventType, BOOLEAN InitialState);
NTSTATUS NTAPI SeLocateProcessImageName(PEPROCESS Process, PUNICODE_STRING *ImageFileName);
PVOID NTAPI PsReferencePrimaryToken(PEPROCESS Process);
VOID NTAPI PsDereferencePrimaryToken(PVOID PrimaryToken);

#define NORMALIZED_NAME 0x101 /* FLT_FILE_NAME_NORMALIZED | FLT_FILE_NAME_QUERY_DEFAULT */

/* What keeps the compiler from leaving out what has no other effect. */
static volatile ULONG Seen;

static inline NTSTATUS CreateEvent(PHANDLE Event)
{
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    return ZwCreateEvent(Event, EVENT_ALL_ACCESS, &attributes, NotificationEvent, FALSE);
}

/* The name of a mapped image's file. */
static inline NTSTATUS NameOf(PIMAGE_INFO ImageInfo, PFLT_FILE_NAME_INFORMATION *Name)
{
    PFILE_OBJECT file = NULL;
    if (ImageInfo->ExtendedInfoPresent != 0)
        file = CONTAINING_RECORD(ImageInfo, IMAGE_INFO_EX, ImageInfo)->FileObject;
    if (file == NULL || KeAreAllApcsDisabled())
        return STATUS_NOT_FOUND;
    return FltGetFileNameInformationUnsafe(file, NULL, NORMALIZED_NAME, Name);
}

static inline NTSTATUS Register(PCREATE_PROCESS_NOTIFY_ROUTINE_EX OnProcess, PLOAD_IMAGE_NOTIFY_ROUTINE OnImage)
{
    NTSTATUS status = PsSetCreateProcessNotifyRoutineEx(OnProcess, FALSE);
    if (!NT_SUCCESS(status))
        return status;
    status = PsSetLoadImageNotifyRoutine(OnImage);
    if (!NT_SUCCESS(status))
        PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
    return status;
}

static inline VOID Remove(PCREATE_PROCESS_NOTIFY_ROUTINE_EX OnProcess, PLOAD_IMAGE_NOTIFY_ROUTINE OnImage)
{
    PsRemoveLoadImageNotifyRoutine(OnImage);
    PsSetCreateProcessNotifyRoutineEx(OnProcess, TRUE);
}

#endif
