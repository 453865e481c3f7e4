/* Leaves the memory of user mode alone (L-07). */
#include "rule.h"

static volatile ULONG_PTR Base;

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    UNREFERENCED_PARAMETER(FullImageName);
    UNREFERENCED_PARAMETER(ProcessId);
    Base = (ULONG_PTR)ImageInfo->ImageBase;
}

IMAGE_DRIVER(OnImage, UNPREPARED)
