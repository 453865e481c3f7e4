//! Server silos: there are none, everything runs in the host.

use export_macro::export;
use nt_abi::{NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED};

use super::process::Eprocess;

/// Returns the server silo of the current thread: NULL, the host's. Source: DDI.
#[export(irql <= DISPATCH, since = Win10_1607)]
pub unsafe extern "win64" fn PsGetCurrentServerSilo() -> *mut u8 {
    std::ptr::null_mut()
}

/// Returns the silo of the current thread: NULL, the host's. Source: DDI.
#[export(irql <= DISPATCH, since = Win10_1607)]
pub unsafe extern "win64" fn PsGetCurrentSilo() -> *mut u8 {
    std::ptr::null_mut()
}

/// Returns the silo of the host: NULL. Source: DDI.
#[export(irql <= DISPATCH, since = Win10_1607)]
pub unsafe extern "win64" fn PsGetHostSilo() -> *mut u8 {
    std::ptr::null_mut()
}

/// Returns the server silo of a process: NULL, the host's. Source: DDI.
#[export(irql <= DISPATCH, since = Win10_1607)]
pub unsafe extern "win64" fn PsGetProcessServerSilo(_process: &Eprocess) -> *mut u8 {
    std::ptr::null_mut()
}

/// Returns the server silo that a silo is in: NULL, the host's. Source: DDI.
#[export(irql <= DISPATCH, since = Win10_1607)]
pub unsafe extern "win64" fn PsGetEffectiveServerSilo(_silo: *mut u8) -> *mut u8 {
    std::ptr::null_mut()
}

/// Says whether a silo is the host's. Source: DDI.
#[export(irql <= DISPATCH, since = Win10_1607)]
pub unsafe extern "win64" fn PsIsHostSilo(silo: *mut u8) -> u8 {
    u8::from(silo.is_null())
}

/// Says whether the current thread is in a server silo: it is not. Source: DDI.
#[export(irql <= DISPATCH, since = Win10_1607)]
pub unsafe extern "win64" fn PsIsCurrentThreadInServerSilo() -> u8 {
    0
}

/// Puts the current thread into a silo, and returns the one it was in: the host's both. Source: DDI.
#[export(irql <= DISPATCH, since = Win10_1607)]
pub unsafe extern "win64" fn PsAttachSiloToCurrentThread(_silo: *mut u8) -> *mut u8 {
    std::ptr::null_mut()
}

/// Puts the current thread back into the silo it was in. Source: DDI.
#[export(irql <= DISPATCH, since = Win10_1607)]
pub unsafe extern "win64" fn PsDetachSiloFromCurrentThread(_before: *mut u8) {}

/// Registers what is told of server silos. STATUS_NOT_SUPPORTED, as there will never be one. Source: DDI.
#[export(irql == PASSIVE, since = Win10_1607)]
pub unsafe extern "win64" fn PsRegisterSiloMonitor(
    registration: *const u8,
    monitor: *mut *mut u8,
) -> NTSTATUS {
    if registration.is_null() || monitor.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the driver's pointer.
    unsafe { monitor.write(std::ptr::null_mut()) };
    STATUS_NOT_SUPPORTED
}
