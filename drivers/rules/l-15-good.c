/* Keeps a copy of the image name (L-15). */
#include "rule.h"

static WCHAR Buffer[260];
static UNICODE_STRING Kept = {0, sizeof(Buffer), Buffer};
static FAST_MUTEX Lock;
static volatile WCHAR First;

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ImageInfo);
    ExAcquireFastMutex(&Lock);
    First = Kept.Buffer[0];
    RtlCopyUnicodeString(&Kept, FullImageName);
    ExReleaseFastMutex(&Lock);
}

IMAGE_DRIVER(OnImage, ExInitializeFastMutex(&Lock))
