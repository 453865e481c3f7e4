/* Reads the header of a mapped image without __try (L-07). */
#include "rule.h"

static volatile USHORT Magic;

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    UNREFERENCED_PARAMETER(FullImageName);
    if (ImageInfo->SystemModeImage || ProcessId != PsGetCurrentProcessId())
        return;
    Magic = *(volatile USHORT *)ImageInfo->ImageBase;
}

IMAGE_DRIVER(OnImage, UNPREPARED)
