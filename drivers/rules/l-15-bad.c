/* Keeps a pointer to the image name and follows it in the next call (L-15). */
#include "rule.h"

static PUNICODE_STRING Kept;
static volatile WCHAR First;

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ImageInfo);
    if (Kept != NULL)
        First = Kept->Buffer[0];
    Kept = FullImageName;
}

IMAGE_DRIVER(OnImage, UNPREPARED)
