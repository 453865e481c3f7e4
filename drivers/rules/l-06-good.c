/* Only notes in its image routine what was mapped (L-06). */
#include "rule.h"

static volatile ULONG_PTR Newest;

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    UNREFERENCED_PARAMETER(FullImageName);
    UNREFERENCED_PARAMETER(ProcessId);
    Newest = (ULONG_PTR)ImageInfo->ImageBase;
}

IMAGE_DRIVER(OnImage, UNPREPARED)
