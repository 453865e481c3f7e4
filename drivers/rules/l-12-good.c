/* Acquires an ERESOURCE inside of a critical region (L-12). */
#include "rule.h"

static ERESOURCE Resource;

static NTSTATUS Use(VOID)
{
    NTSTATUS status = ExInitializeResourceLite(&Resource);
    if (!NT_SUCCESS(status))
        return status;
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(&Resource, TRUE);
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();
    return STATUS_SUCCESS;
}

/* DriverEntry runs with kernel APCs enabled, other than process and image routines. */
BEGIN_DRIVER(UNPREPARED, Use(), ExDeleteResourceLite(&Resource))
