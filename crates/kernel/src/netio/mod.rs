//! The network module registrar: NETIO.SYS. Providers register; no client of one is ever there to be attached.

use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{Body, DriverId, Leak, LeakKind};
use export_macro::export;
use nt_abi::{NTSTATUS, STATUS_INVALID_HANDLE, STATUS_INVALID_PARAMETER, STATUS_PENDING, STATUS_SUCCESS};

use crate::hash::HashMap;
use crate::{Config, Kernel, io, kernel};

/// Where a provider's registration is.
#[derive(Clone, Copy, Debug)]
struct Provider {
    owner: Option<DriverId>,
    /// Whether its deregistration was asked for.
    leaving: bool,
}

/// What the registrar keeps.
#[derive(Debug)]
pub(crate) struct State {
    table: Mutex<(usize, HashMap<usize, Provider>)>,
}

impl State {
    pub(crate) fn new(_: &Config) -> Self {
        Self { table: Mutex::default() }
    }

    fn table(&self) -> MutexGuard<'_, (usize, HashMap<usize, Provider>)> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registers a provider module. Source: DDI.
#[export(irql == PASSIVE, module = "NETIO.SYS", since = VistaSp1)]
pub unsafe extern "win64" fn NmrRegisterProvider(
    characteristics: *const u8,
    _context: *mut u8,
    handle: *mut usize,
) -> NTSTATUS {
    if characteristics.is_null() || handle.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    let mut table = kernel().netio.table();
    table.0 += 1;
    let made = 0xFFFF_8A05_0000_0000 + table.0 * 0x40;
    table.1.insert(made, Provider { owner: io::current_driver(), leaving: false });
    // SAFETY: the driver's pointer.
    unsafe { handle.write(made) };
    STATUS_SUCCESS
}

/// Begins to deregister a provider module: always STATUS_PENDING, and then there is
/// `NmrWaitForProviderDeregisterComplete`. Source: DDI.
#[export(irql == PASSIVE, module = "NETIO.SYS", since = VistaSp1)]
pub unsafe extern "win64" fn NmrDeregisterProvider(handle: usize) -> NTSTATUS {
    match kernel().netio.table().1.get_mut(&handle) {
        Some(provider) => {
            provider.leaving = true;
            STATUS_PENDING
        }
        None => STATUS_INVALID_HANDLE,
    }
}

/// Waits until a provider module is deregistered: at once, as no client is attached. Source: DDI.
#[export(irql == PASSIVE, module = "NETIO.SYS", since = VistaSp1)]
pub unsafe extern "win64" fn NmrWaitForProviderDeregisterComplete(handle: usize) -> NTSTATUS {
    let mut table = kernel().netio.table();
    if !table.1.get(&handle).is_some_and(|provider| provider.leaving) {
        return STATUS_INVALID_HANDLE;
    }
    table.1.remove(&handle);
    STATUS_SUCCESS
}

/// Tells that a provider has finished detaching from a client: there was none. Source: DDI.
#[export(irql <= DISPATCH, module = "NETIO.SYS", since = VistaSp1)]
pub unsafe extern "win64" fn NmrProviderDetachClientComplete(_binding: usize) {}

/// Says which provider modules an unloaded driver has left registered (L-18).
pub(crate) fn report_leaks(kernel: &Kernel, driver: &io::Driver) {
    let count = kernel.netio.table().1.values().filter(|one| one.owner == Some(driver.id)).count() as u64;
    if count > 0 {
        let what = "network module provider".into();
        kernel.record(Body::Leak(Leak { driver: driver.id, kind: LeakKind::Routine, what, count, bytes: 0 }));
        let message = format!(
            "{} was unloaded with {count} network module providers still registered: call NmrDeregisterProvider and \
             NmrWaitForProviderDeregisterComplete in DriverUnload",
            driver.name
        );
        kernel.finding_of(Some(driver.id), &crate::rule::L_18, &message, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with_kernel;

    #[test]
    fn a_provider_is_gone_after_the_wait_only() {
        with_kernel(Config::default(), |kernel, _| {
            let mut handle = 0;
            // SAFETY: pointers to what the routines document.
            unsafe {
                assert_eq!(NmrRegisterProvider(&0, std::ptr::null_mut(), &mut handle), STATUS_SUCCESS);
                assert_eq!(
                    NmrWaitForProviderDeregisterComplete(handle),
                    STATUS_INVALID_HANDLE,
                    "nobody asked"
                );
                assert_eq!(NmrDeregisterProvider(handle), STATUS_PENDING);
                assert_eq!(kernel.netio.table().1.len(), 1);
                assert_eq!(NmrWaitForProviderDeregisterComplete(handle), STATUS_SUCCESS);
                assert_eq!(NmrDeregisterProvider(handle), STATUS_INVALID_HANDLE);
            }
        });
    }
}
