/* Leaves a critical region that it did not enter (L-22). */
#include "rule.h"

static NTSTATUS Use(VOID)
{
    KeLeaveCriticalRegion();
    return STATUS_SUCCESS;
}

BEGIN_DRIVER(UNPREPARED, Use(), UNPREPARED)
