/* Leaves the critical region that it entered (L-22). */
#include "rule.h"

static NTSTATUS Use(VOID)
{
    KeEnterCriticalRegion();
    KeLeaveCriticalRegion();
    return STATUS_SUCCESS;
}

BEGIN_DRIVER(UNPREPARED, Use(), UNPREPARED)
