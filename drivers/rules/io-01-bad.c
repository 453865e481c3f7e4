/* Completes a request twice: where it is refused, and on the way out (IO-01). */
#include "device.h"

static NTSTATUS NTAPI Control(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    NTSTATUS status = STATUS_INVALID_DEVICE_REQUEST;
    UNREFERENCED_PARAMETER(DeviceObject);
    Complete(Irp, status);
    return Complete(Irp, status);
}
