/* Tests the image name for NULL (L-16). */
#include "rule.h"

static volatile USHORT Longest;

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ImageInfo);
    if (FullImageName != NULL && FullImageName->Length > Longest)
        Longest = FullImageName->Length;
}

IMAGE_DRIVER(OnImage, UNPREPARED)
