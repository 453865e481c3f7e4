//! The power manager: a machine that is on, on mains power, and stays so, unless the bench tells its devices otherwise.

pub mod request;

use std::sync::atomic::AtomicU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{Body, DriverId, Leak, LeakKind};
use export_macro::export;
use nt_abi::{DEVICE_OBJECT, GUID, IRP, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

use self::request::Powers;
use crate::hash::HashMap;
use crate::io::driver::as_driver;
use crate::{Config, Kernel, io, kernel};

/// GUID_ACDC_POWER_SOURCE: 0 is mains.
const POWER_SOURCE: GUID =
    guid(0x5D3E_9A59, 0xE9D5, 0x4B00, [0xA6, 0xBD, 0xFF, 0x34, 0xFF, 0x51, 0x65, 0x48]);
/// GUID_CONSOLE_DISPLAY_STATE: 1 is on.
const DISPLAY: GUID = guid(0x6FE6_9556, 0x704A, 0x47A0, [0x8F, 0x24, 0xC2, 0x8D, 0x93, 0x6F, 0xDA, 0x47]);
/// GUID_MONITOR_POWER_ON: 1 is on.
const MONITOR: GUID = guid(0x0273_1015, 0x4510, 0x4526, [0x99, 0xE6, 0xE5, 0xA1, 0x7E, 0xBD, 0x1A, 0xEA]);
/// GUID_LOW_POWER_EPOCH: 0 is no.
const LOW_POWER: GUID = guid(0xE1B5_5BF5, 0x6F48, 0x4B3A, [0xA0, 0x2D, 0xA1, 0x8C, 0x09, 0x27, 0x9A, 0xF2]);

const fn guid(data1: u32, data2: u16, data3: u16, data4: [u8; 8]) -> GUID {
    GUID { Data1: data1, Data2: data2, Data3: data3, Data4: data4 }
}

/// What a setting is; `None` for one that a bench has not.
fn value(setting: &GUID) -> Option<u32> {
    let same = |other: &GUID| {
        (other.Data1, other.Data2, other.Data3, other.Data4)
            == (setting.Data1, setting.Data2, setting.Data3, setting.Data4)
    };
    let known = [(POWER_SOURCE, 0), (DISPLAY, 1), (MONITOR, 1), (LOW_POWER, 0)];
    known.iter().find(|(guid, _)| same(guid)).map(|(_, value)| *value)
}

/// What the power manager keeps: who registered for settings, and the states of devices.
#[derive(Debug)]
pub(crate) struct State {
    table: Mutex<(usize, HashMap<usize, Option<DriverId>>)>,
    /// By device; those that are not there are fully on.
    powers: Mutex<HashMap<usize, Powers>>,
    /// What the system is about to do, while a stack hears of it.
    action: AtomicU32,
}

impl State {
    pub(crate) fn new(_: &Config) -> Self {
        Self { table: Mutex::default(), powers: Mutex::default(), action: AtomicU32::new(0) }
    }

    fn lock_powers(&self) -> MutexGuard<'_, HashMap<usize, Powers>> {
        self.powers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn powers(&self, device: *mut DEVICE_OBJECT) -> Powers {
        self.lock_powers().get(&device.addr()).copied().unwrap_or_default()
    }

    fn set_powers(&self, device: *mut DEVICE_OBJECT, powers: Powers) {
        self.lock_powers().insert(device.addr(), powers);
    }

    /// A device is gone; another one may be made at its address.
    pub(crate) fn device_gone(&self, device: usize) {
        self.lock_powers().remove(&device);
    }

    fn table(&self) -> MutexGuard<'_, (usize, HashMap<usize, Option<DriverId>>)> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registers a callback for a power setting, and calls it with what the setting is. Source: DDI.
#[export(irql <= APC, since = VistaSp1)]
pub unsafe extern "win64" fn PoRegisterPowerSettingCallback(
    _device: *mut DEVICE_OBJECT,
    setting: *const GUID,
    callback: usize,
    context: *mut u8,
    handle: *mut usize,
) -> NTSTATUS {
    if setting.is_null() || callback == 0 || handle.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    let owner = io::current_driver();
    let mut table = kernel().po.table();
    table.0 += 1;
    let made = 0xFFFF_9A8C_0000_0000 + table.0 * 0x40;
    table.1.insert(made, owner);
    drop(table);
    // SAFETY: the driver's pointers and its routine; a wrong address faults as the driver's fault.
    unsafe {
        handle.write(made);
        let guid = setting.read_unaligned();
        if let Some(value) = value(&guid) {
            let (guid, value) = (&raw const guid, &raw const value);
            as_driver(owner, callback as u64, || {
                let bytes = size_of::<u32>() as u64;
                let context = context.expose_provenance() as u64;
                machine::call4(
                    callback,
                    guid.expose_provenance() as u64,
                    value.expose_provenance() as u64,
                    bytes,
                    context,
                )
            });
        }
    }
    STATUS_SUCCESS
}

/// Ends a registration for a power setting. STATUS_INVALID_PARAMETER where it is none. Source: DDI.
#[export(irql <= APC, since = VistaSp1)]
pub unsafe extern "win64" fn PoUnregisterPowerSettingCallback(handle: usize) -> NTSTATUS {
    if kernel().po.table().1.remove(&handle).is_some() { STATUS_SUCCESS } else { STATUS_INVALID_PARAMETER }
}

/// Tells that a device has changed its power state, and returns the one before. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn PoSetPowerState(device: *mut DEVICE_OBJECT, kind: u32, state: u32) -> u32 {
    let po = &kernel().po;
    let before = po.powers(device);
    if kind != nt_abi::DevicePowerState {
        // Only the power manager changes the state of the system.
        return before.system;
    }
    po.set_powers(device, Powers { device: state, ..before });
    before.device
}

/// Passes a power request on to the next lower driver. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn PoCallDriver(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: as this routine: since Vista they are the same.
    unsafe { io::irp::IofCallDriver(device, irp) }
}

/// Says that a driver is ready for the next power request: since Vista that is known without. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn PoStartNextPowerIrp(_irp: *mut IRP) {}

/// Says which registrations for power settings an unloaded driver has left (L-18).
pub(crate) fn report_leaks(kernel: &Kernel, driver: &io::Driver) {
    let count = kernel.po.table().1.values().filter(|owner| **owner == Some(driver.id)).count() as u64;
    if count > 0 {
        let what = "power setting callback".into();
        kernel.record(Body::Leak(Leak { driver: driver.id, kind: LeakKind::Routine, what, count, bytes: 0 }));
        let message = format!(
            "{} was unloaded with {count} power setting callbacks still registered: call \
             PoUnregisterPowerSettingCallback in DriverUnload",
            driver.name
        );
        kernel.finding_of(Some(driver.id), &crate::rule::L_18, &message, None);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::testing::with_kernel;

    static TOLD: AtomicU32 = AtomicU32::new(0);

    unsafe extern "win64" fn told(_: *const GUID, value: *const u32, bytes: u32, _: *mut u8) -> NTSTATUS {
        // SAFETY: a value of as many bytes.
        TOLD.store(unsafe { value.read() } * 10 + bytes, Ordering::Relaxed);
        STATUS_SUCCESS
    }

    #[test]
    fn a_callback_is_told_what_a_setting_is() {
        with_kernel(Config::default(), |_, _| {
            let (mut handle, routine) = (0, (told as *const ()).expose_provenance());
            let null = std::ptr::null_mut();
            // SAFETY: pointers to what the routine documents.
            unsafe {
                let status = PoRegisterPowerSettingCallback(
                    null,
                    &DISPLAY,
                    routine,
                    std::ptr::null_mut(),
                    &mut handle,
                );
                assert_eq!((status, TOLD.swap(0, Ordering::Relaxed)), (STATUS_SUCCESS, 14));
                assert_eq!(PoUnregisterPowerSettingCallback(handle), STATUS_SUCCESS);
                assert_eq!(PoUnregisterPowerSettingCallback(handle), STATUS_INVALID_PARAMETER);
                let other = GUID::default();
                PoRegisterPowerSettingCallback(null, &other, routine, std::ptr::null_mut(), &mut handle);
                assert_eq!(TOLD.load(Ordering::Relaxed), 0, "a setting that nobody knows");
            }
        });
    }
}
