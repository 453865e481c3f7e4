/* Reads the header of a mapped image under __try, in the context of its process (L-07). */
#include "guarded.h"

static volatile LONG Gone;
static volatile USHORT Magic;

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    USHORT magic;
    UNREFERENCED_PARAMETER(FullImageName);
    /* Drivers lie in the memory of the kernel, and have no process. */
    if (ImageInfo->SystemModeImage || ProcessId != PsGetCurrentProcessId())
        return;
    if (ReadGuarded(ImageInfo->ImageBase, &magic))
        Magic = magic;
    else
        InterlockedIncrement(&Gone);
}

static VOID Say(VOID)
{
    DbgPrint("l-07-good: magic=0x%04X gone=%d\n", Magic, Gone);
}

BEGIN_DRIVER(UNPREPARED, PsSetLoadImageNotifyRoutine(OnImage), PsRemoveLoadImageNotifyRoutine(OnImage); Say())
