//! Drivers that want to know of a shutdown, and drivers that want to be initialised again.

use std::sync::{MutexGuard, PoisonError};

use export_macro::export;
use nt_abi::{DEVICE_OBJECT, DO_SHUTDOWN_REGISTERED, NTSTATUS, STATUS_SUCCESS};

use crate::{Kernel, kernel};

/// A device whose driver wants IRP_MJ_SHUTDOWN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    device: usize,
    /// Whether it is told after the file systems have gone.
    last: bool,
}

fn lock(kernel: &Kernel) -> MutexGuard<'_, Vec<Registered>> {
    kernel.io.devices.shutdown.lock().unwrap_or_else(PoisonError::into_inner)
}

fn register(device: *mut DEVICE_OBJECT, last: bool) -> NTSTATUS {
    // The last to register is the first to be told.
    lock(kernel()).insert(0, Registered { device: device.addr(), last });
    // SAFETY: a driver's pointer to its device.
    unsafe { (*device).Flags |= DO_SHUTDOWN_REGISTERED };
    STATUS_SUCCESS
}

/// Registers a device for IRP_MJ_SHUTDOWN. A bench never shuts down, so it is not sent. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoRegisterShutdownNotification(device: *mut DEVICE_OBJECT) -> NTSTATUS {
    register(device, false)
}

/// Registers a device for IRP_MJ_SHUTDOWN after the file systems have gone. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoRegisterLastChanceShutdownNotification(
    device: *mut DEVICE_OBJECT,
) -> NTSTATUS {
    register(device, true)
}

/// Takes the registration of a device for IRP_MJ_SHUTDOWN back. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoUnregisterShutdownNotification(device: *mut DEVICE_OBJECT) {
    forget(device);
    // SAFETY: a driver's pointer to its device.
    unsafe { (*device).Flags &= !DO_SHUTDOWN_REGISTERED };
}

/// A device goes away.
pub(super) fn forget(device: *mut DEVICE_OBJECT) {
    lock(kernel()).retain(|registered| registered.device != device.addr());
}
