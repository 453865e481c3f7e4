/* Asks for the name of an image where not all APCs are disabled (L-09). */
#include "rule.h"

typedef struct _FLT_INSTANCE *PFLT_INSTANCE;
typedef struct _FLT_FILE_NAME_INFORMATION *PFLT_FILE_NAME_INFORMATION;
NTSTATUS NTAPI FltGetFileNameInformationUnsafe(PFILE_OBJECT FileObject, PFLT_INSTANCE Instance, ULONG NameOptions,
                                               PFLT_FILE_NAME_INFORMATION *FileNameInformation);
VOID NTAPI FltReleaseFileNameInformation(PFLT_FILE_NAME_INFORMATION FileNameInformation);

#define NORMALIZED_NAME 0x101 /* FLT_FILE_NAME_NORMALIZED | FLT_FILE_NAME_QUERY_DEFAULT */

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    PFLT_FILE_NAME_INFORMATION name;
    PFILE_OBJECT file;
    UNREFERENCED_PARAMETER(FullImageName);
    UNREFERENCED_PARAMETER(ProcessId);
    if (KeAreAllApcsDisabled() || ImageInfo->ExtendedInfoPresent == 0)
        return;
    file = CONTAINING_RECORD(ImageInfo, IMAGE_INFO_EX, ImageInfo)->FileObject;
    if (file != NULL && NT_SUCCESS(FltGetFileNameInformationUnsafe(file, NULL, NORMALIZED_NAME, &name)))
        FltReleaseFileNameInformation(name);
}

IMAGE_DRIVER(OnImage, UNPREPARED)
