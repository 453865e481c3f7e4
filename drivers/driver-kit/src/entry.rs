//! From `DriverEntry` to `DriverUnload`: [`Driver`], [`Entry`] and [`driver_entry!`](crate::driver_entry).

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use crate::abi::{DriverObject, UnicodeString};
use crate::{NtStatus, NtStr, image, process, thread};

/// A driver: the state that lives from a successful start to the unload. Its fields are dropped in the
/// order of their declaration, so declare guards before what should outlive them.
pub trait Driver: Sized + Send + 'static {
    /// Sets up the state and registers. Runs in the System process at PASSIVE_LEVEL. Handlers may be
    /// called before this returns.
    ///
    /// # Errors
    /// Whatever made it impossible; the driver is then not loaded.
    fn start(entry: &Entry<'_>) -> Result<Self, NtStatus>;
}

/// What `DriverEntry` is given.
pub struct Entry<'call> {
    registry_path: &'call NtStr,
}

impl<'call> Entry<'call> {
    /// The driver's service key, e.g. `\Registry\Machine\System\CurrentControlSet\Services\sensor`;
    /// [`Parameters::open`](crate::Parameters::open) reads below it.
    #[must_use]
    pub fn registry_path(&self) -> &'call NtStr {
        self.registry_path
    }
}

/// Generates `DriverEntry` and `DriverUnload` for a type that implements [`Driver`](crate::Driver).
#[macro_export]
macro_rules! driver_entry {
    ($driver:ty) => {
        static DRIVER_KIT_STATE: $crate::macros::State<$driver> = $crate::macros::State::new();

        /// Called by NT when the driver is loaded.
        ///
        /// # Safety
        /// To be called by NT, once, under the contract of `DRIVER_INITIALIZE`.
        #[unsafe(no_mangle)]
        unsafe extern "system" fn DriverEntry(
            driver: *mut $crate::macros::DriverObject,
            registry_path: *const $crate::macros::UnicodeString,
        ) -> i32 {
            // SAFETY: NT calls once, with valid arguments.
            unsafe { $crate::macros::enter(&DRIVER_KIT_STATE, driver, registry_path, unload) }
        }

        unsafe extern "system" fn unload(_: *mut $crate::macros::DriverObject) {
            // SAFETY: NT calls this once, after DriverEntry has succeeded.
            unsafe { $crate::macros::leave(&DRIVER_KIT_STATE) }
        }
    };
}

/// Where the macro keeps the state.
#[doc(hidden)]
pub struct State<D>(UnsafeCell<MaybeUninit<D>>);

// SAFETY: DriverEntry writes it before DriverUnload can be called, and nobody else touches it; the
// value may move to the unloading thread because Driver is Send.
unsafe impl<D: Driver> Sync for State<D> {}

impl<D: Driver> State<D> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }
}

/// # Safety
/// To be called once, with what NT gave to `DriverEntry`; `unload` must be the one that calls [`leave`].
#[doc(hidden)]
pub unsafe fn enter<D: Driver>(
    state: &'static State<D>,
    driver: *mut DriverObject,
    registry_path: *const UnicodeString,
    unload: unsafe extern "system" fn(*mut DriverObject),
) -> i32 {
    // SAFETY: NT's registry path is valid during DriverEntry.
    let registry_path = unsafe { NtStr::from_counted(registry_path) };
    let entry = Entry { registry_path: registry_path.unwrap_or(NtStr::from_units(&[])) };
    match D::start(&entry) {
        Ok(started) => {
            // SAFETY: nothing else uses the state before DriverUnload.
            unsafe { (*state.0.get()).write(started) };
            // SAFETY: NT's driver object is valid and ours to fill in during DriverEntry.
            unsafe { (*driver).unload = Some(unload) };
            NtStatus::SUCCESS.raw()
        }
        Err(status) => {
            remove_leaked_routines();
            // A start that fails with a success status would leave a driver without a state.
            if status.is_success() { NtStatus::UNSUCCESSFUL.raw() } else { status.raw() }
        }
    }
}

/// # Safety
/// To be called once, after [`enter`] has succeeded.
#[doc(hidden)]
pub unsafe fn leave<D: Driver>(state: &'static State<D>) {
    // SAFETY: `enter` has written the value, and this is its only other user.
    let state = unsafe { &mut *state.0.get() };
    // SAFETY: as above; it is dropped this once.
    unsafe { state.assume_init_drop() };
    remove_leaked_routines();
}

/// A guard may be leaked in safe code; a routine must not outlive the driver all the same.
fn remove_leaked_routines() {
    process::remove_all();
    thread::remove_all();
    image::remove_all();
}
