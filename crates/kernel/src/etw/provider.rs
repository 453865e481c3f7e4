//! Registering event providers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{Body, DriverId, Leak, LeakKind};
use export_macro::export;
use nt_abi::{
    EVENT_DESCRIPTOR, GUID, NTSTATUS, PETWENABLECALLBACK, PVOID, REGHANDLE, STATUS_INVALID_HANDLE,
    STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

use crate::hash::HashMap;
use crate::{Config, Kernel, io, kernel};

/// A registered provider.
#[derive(Clone, Copy, Debug)]
struct Provider {
    id: GUID,
    owner: Option<DriverId>,
}

/// What event tracing keeps.
#[derive(Debug)]
pub(crate) struct State {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    providers: HashMap<REGHANDLE, Provider>,
    made: u64,
    activities: u64,
}

impl State {
    pub(crate) fn new(_: &Config) -> Self {
        Self { table: Mutex::default() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a handle is one of a registered provider.
    pub(super) fn knows(&self, handle: REGHANDLE) -> bool {
        self.table().providers.contains_key(&handle)
    }
}

/// A GUID as people write it.
fn text(guid: &GUID) -> String {
    let [a, b, rest @ ..] = guid.Data4;
    let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{{{:08x}-{:04x}-{:04x}-{a:02x}{b:02x}-{rest}}}", guid.Data1, guid.Data2, guid.Data3)
}

/// Registers an event provider. Its callback is never called, as nobody enables it. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn EtwRegister(
    id: *const GUID,
    _callback: PETWENABLECALLBACK,
    _context: PVOID,
    handle: *mut REGHANDLE,
) -> NTSTATUS {
    if id.is_null() || handle.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    let mut table = kernel().etw.table();
    table.made += 1;
    // As unlike a small number as the pointers that Windows gives.
    let made = 0xFFFF_B80F_0000_0000 + table.made * 0x70;
    // SAFETY: the driver's pointers.
    unsafe {
        table.providers.insert(made, Provider { id: id.read_unaligned(), owner: io::current_driver() });
        handle.write(made);
    }
    STATUS_SUCCESS
}

/// Unregisters an event provider. STATUS_INVALID_HANDLE where it is not registered. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn EtwUnregister(handle: REGHANDLE) -> NTSTATUS {
    if kernel().etw.table().providers.remove(&handle).is_some() {
        STATUS_SUCCESS
    } else {
        STATUS_INVALID_HANDLE
    }
}

/// Says whether anybody listens to a provider at a level: nobody does. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn EtwProviderEnabled(_handle: REGHANDLE, _level: u8, _keyword: u64) -> u8 {
    0
}

/// Says whether anybody listens to an event: nobody does. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn EtwEventEnabled(_handle: REGHANDLE, _event: *const EVENT_DESCRIPTOR) -> u8 {
    0
}

/// Attaches information to a provider: traits and such, which nobody reads. Source: DDI.
#[export(irql == PASSIVE, since = Win81)]
pub unsafe extern "win64" fn EtwSetInformation(
    handle: REGHANDLE,
    _class: u32,
    _data: PVOID,
    _bytes: u32,
) -> NTSTATUS {
    if kernel().etw.knows(handle) { STATUS_SUCCESS } else { STATUS_INVALID_HANDLE }
}

/// Makes an activity id; those of threads are not kept, as nothing that is written is. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn EtwActivityIdControl(code: u32, id: *mut GUID) -> NTSTATUS {
    /// EVENT_ACTIVITY_CTRL_GET_ID to EVENT_ACTIVITY_CTRL_CREATE_SET_ID.
    const CODES: std::ops::RangeInclusive<u32> = 1..=5;
    if id.is_null() || !CODES.contains(&code) {
        return STATUS_INVALID_PARAMETER;
    }
    // All but setting one give one.
    if code != 2 {
        let mut table = kernel().etw.table();
        table.activities += u64::from(code != 1);
        let made = GUID { Data4: table.activities.to_be_bytes(), ..GUID::default() };
        // SAFETY: the driver's pointer.
        unsafe { id.write_unaligned(made) };
    }
    STATUS_SUCCESS
}

/// Says which providers an unloaded driver left registered: enabling one would call freed code (L-18).
pub(crate) fn report_leaks(kernel: &Kernel, driver: &io::Driver) {
    let mut left: Vec<String> = {
        let table = kernel.etw.table();
        table.providers.values().filter(|one| one.owner == Some(driver.id)).map(|one| text(&one.id)).collect()
    };
    left.sort();
    for id in left {
        kernel.record(Body::Leak(Leak {
            driver: driver.id,
            kind: LeakKind::Routine,
            what: format!("event provider {id}").into(),
            count: 1,
            bytes: 0,
        }));
        let message = format!(
            "{} was unloaded with its event provider {id} still registered: call EtwUnregister in DriverUnload",
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
    fn a_provider_is_registered_until_it_is_not() {
        with_kernel(Config::default(), |kernel, _| {
            let id = GUID { Data1: 0x1234_5678, Data2: 1, Data3: 2, Data4: [3; 8] };
            let mut handle = 0;
            // SAFETY: pointers to what the routine documents.
            unsafe {
                assert_eq!(
                    EtwRegister(std::ptr::null(), None, std::ptr::null_mut(), &mut handle),
                    STATUS_INVALID_PARAMETER
                );
                assert_eq!(EtwRegister(&id, None, std::ptr::null_mut(), &mut handle), STATUS_SUCCESS);
                assert!(kernel.etw.knows(handle));
                assert_eq!(EtwUnregister(handle), STATUS_SUCCESS);
                assert_eq!(EtwUnregister(handle), STATUS_INVALID_HANDLE);
            }
            assert_eq!(text(&id), "{12345678-0001-0002-0303-030303030303}");
        });
    }

    #[test]
    fn new_activities_differ() {
        with_kernel(Config::default(), |_, _| {
            let (mut first, mut second) = (GUID::default(), GUID::default());
            // SAFETY: pointers to what the routine documents.
            unsafe {
                assert_eq!(EtwActivityIdControl(3, &mut first), STATUS_SUCCESS);
                assert_eq!(EtwActivityIdControl(3, &mut second), STATUS_SUCCESS);
                assert_eq!(EtwActivityIdControl(9, &mut second), STATUS_INVALID_PARAMETER);
            }
            assert_ne!(first.Data4, second.Data4);
        });
    }
}
