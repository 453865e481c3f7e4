/* Acquires an ERESOURCE on a system thread with kernel APCs enabled (L-12). */
#include "rule.h"

static ERESOURCE Resource;

static NTSTATUS Use(VOID)
{
    NTSTATUS status = ExInitializeResourceLite(&Resource);
    if (!NT_SUCCESS(status))
        return status;
    ExAcquireResourceExclusiveLite(&Resource, TRUE);
    ExReleaseResourceLite(&Resource);
    return STATUS_SUCCESS;
}

/* DriverEntry runs with kernel APCs enabled, other than process and image routines. */
BEGIN_DRIVER(UNPREPARED, Use(), ExDeleteResourceLite(&Resource))
