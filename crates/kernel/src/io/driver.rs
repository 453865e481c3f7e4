//! The drivers of a bench: by id, by address, and which of them runs.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use event::{DriverId, Family};
use nt_abi::DRIVER_OBJECT;

use crate::ob::Ref;
use crate::{Config, Running};

/// A loaded driver.
#[derive(Debug)]
pub struct Driver {
    /// Its place in the order of loading.
    pub id: DriverId,
    /// Its service name: `sensor`.
    pub name: Box<str>,
    /// The file it came from.
    pub path: Box<str>,
    /// Where its image is.
    pub base: usize,
    /// Bytes of its image.
    pub size: usize,
    /// Whether its image has IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY (R-INT-01), or counts as one that has. What holds
    /// while it is loaded is the bit in its loader entry (R-INT-02).
    pub force_integrity: bool,
    /// Its driver object.
    pub(crate) object: Ref<DRIVER_OBJECT>,
    /// Its image; `None` once it was unloaded.
    pub(crate) image: Mutex<Option<pe_image::MappedImage>>,
    pub(crate) usage: Usage,
    pub(crate) running: OwnRoutines,
}

/// Which of a driver's two own routines runs: notify routines may run beside both (R-RM-10, R-RACE-07).
#[derive(Debug, Default)]
pub(crate) struct OwnRoutines {
    pub(crate) entry: AtomicBool,
    pub(crate) unload: AtomicBool,
}

/// Who uses the devices of a driver.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// Files that are open on them.
    pub(crate) open_files: AtomicU32,
    /// Whether the driver is to be unloaded as soon as nobody uses them.
    pub(crate) unload_pending: AtomicBool,
}

/// How many drivers a bench can have loaded over its life.
const MOST: usize = 256;

/// What the I/O manager keeps.
pub(crate) struct State {
    /// Every driver there ever was, in order of loading. Entries are added and never change.
    drivers: [AtomicPtr<Driver>; MOST],
    /// How many there are.
    count: AtomicU64,
    /// Held while a driver is loaded or unloaded: one at a time, as NT does.
    pub(crate) loading: Mutex<()>,
    pub(crate) devices: super::device::Devices,
    /// The loader's entries of drivers.
    pub(crate) modules: super::module::Modules,
    /// What drivers keep with their objects.
    pub(crate) extensions: super::extension::Extensions,
    /// The files of the volume.
    pub(crate) files: Mutex<super::fs::Files>,
    /// What programs have asked of devices and wait for.
    pub(crate) requests: super::request::Requests,
    /// How many drivers are to be unloaded once nobody uses their devices.
    pub(crate) unloads_pending: AtomicU32,
}

impl State {
    pub(crate) fn new(_: &Config) -> Self {
        Self {
            drivers: [const { AtomicPtr::new(std::ptr::null_mut()) }; MOST],
            count: AtomicU64::new(0),
            loading: Mutex::new(()),
            devices: super::device::Devices::default(),
            modules: super::module::Modules::default(),
            extensions: super::extension::Extensions::default(),
            files: Mutex::new(super::fs::Files::new(crate::ke::time::now().0)),
            requests: super::request::Requests::default(),
            unloads_pending: AtomicU32::new(0),
        }
    }

    /// The id that the next driver will have; `None` when there were too many.
    pub(crate) fn next_id(&self) -> Option<DriverId> {
        let count = self.count.load(Ordering::Acquire);
        (count < MOST as u64).then(|| u32::try_from(count).ok().map(DriverId)).flatten()
    }

    /// Adds a driver under the id that [`State::next_id`] gave. Callers hold the loading lock.
    pub(crate) fn add(&self, driver: Driver) -> &'static Driver {
        // Never freed: records, registrations and stops name drivers long after they are gone.
        let driver: &'static Driver = Box::leak(Box::new(driver));
        self.drivers[driver.id.0 as usize].store(std::ptr::from_ref(driver).cast_mut(), Ordering::Release);
        self.count.store(u64::from(driver.id.0) + 1, Ordering::Release);
        driver
    }

    /// The driver with that id, loaded or not any more.
    pub(crate) fn driver(&self, id: DriverId) -> Option<&'static Driver> {
        // SAFETY: null, or a leaked driver.
        unsafe { self.drivers.get(id.0 as usize)?.load(Ordering::Acquire).as_ref() }
    }

    /// All drivers, in order of loading.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static Driver> + '_ {
        (0..u32::try_from(MOST).unwrap_or(u32::MAX)).map_while(|id| self.driver(DriverId(id)))
    }

    /// The driver of a driver object; `None` for those that are part of the kernel.
    pub(crate) fn driver_of(&self, object: *const DRIVER_OBJECT) -> Option<&'static Driver> {
        self.all().find(|driver| std::ptr::eq(driver.object.as_ptr(), object))
    }

    /// The loaded driver whose image holds an address.
    pub(crate) fn driver_at(&self, address: usize) -> Option<&'static Driver> {
        let image = machine::images::find(address)?;
        self.driver(from_tag(image.driver)?)
    }
}

impl Driver {
    /// Whether it is loaded.
    pub(crate) fn is_loaded(&self) -> bool {
        self.image.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// The number the machine knows a driver by: 0 is none.
pub(crate) fn to_tag(id: DriverId) -> u64 {
    u64::from(id.0) + 1
}

/// The driver behind the machine's number.
pub(crate) fn from_tag(tag: u64) -> Option<DriverId> {
    u32::try_from(tag.checked_sub(1)?).ok().map(DriverId)
}

/// The driver that runs on this processor.
pub(crate) fn current_driver() -> Option<DriverId> {
    if !machine::is_attached() {
        return None;
    }
    from_tag(machine::pcr::Kpcr::current().private.driver.get())
}

/// What ran before a driver was entered, for [`leave_driver`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    driver: u64,
    purpose: u8,
    running: Option<Running>,
}

/// Says that `driver` runs now, in `routine`, called for a notification of `family` where it is one.
pub(crate) fn enter_driver(driver: Option<DriverId>, routine: u64, family: Option<Family>) -> Before {
    let processor = machine::pcr::Kpcr::current();
    let before = processor.set_driver(driver.map_or(0, to_tag));
    processor.private.entries.set(processor.private.entries.get().wrapping_add(1));
    let purpose = processor.private.purpose.replace(crate::rule::call::purpose_of(family));
    let now = driver.map(|driver| Running { driver, routine, family });
    Before { driver: before, purpose, running: crate::kernel().recorder.running(now) }
}

/// Says that what ran before runs again.
pub(crate) fn leave_driver(before: Before) {
    let processor = machine::pcr::Kpcr::current();
    processor.set_driver(before.driver);
    processor.private.purpose.set(before.purpose);
    crate::kernel().recorder.running(before.running);
}

/// Runs driver code that is no notification as `driver`.
pub(crate) fn as_driver<T>(driver: Option<DriverId>, routine: u64, run: impl FnOnce() -> T) -> T {
    let before = enter_driver(driver, routine, None);
    let result = run();
    leave_driver(before);
    result
}
