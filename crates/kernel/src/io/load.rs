//! Loading and unloading a driver: `IopLoadDriver`, `IopUnloadDriver`.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use event::{Body, DriverId, Family, Leak, LeakKind};
use nt_abi::{
    DRIVER_EXTENSION, DRIVER_OBJECT, NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_IMAGE_FORMAT,
    STATUS_INVALID_IMAGE_HASH, UNICODE_STRING,
};

use super::driver::{Driver, OwnRoutines, Usage, as_driver};
use crate::choices::CodeIntegrity;
use crate::mm::sysload::{self, ImageError};
use crate::ob::{self, ObjectType, Ref};
use crate::{Kernel, dbg};

/// The type of driver objects: `*IoDriverObjectType`.
pub static DRIVER_TYPE: ObjectType =
    ObjectType { name: "Driver", size: size_of::<DriverBody>(), delete: Some(delete) };

/// A driver object with what its pointers point to.
#[repr(C)]
struct DriverBody {
    object: DRIVER_OBJECT,
    extension: DRIVER_EXTENSION,
    name: Vec<u16>,
    service: Vec<u16>,
    registry_path: Vec<u16>,
    registry_string: UNICODE_STRING,
}

/// Drops what a driver object holds.
///
/// # Safety
/// Called by the object manager, once, with the body of a driver object that nobody else can reach.
unsafe fn delete(body: *mut u8) {
    // SAFETY: by this function's contract.
    unsafe { body.cast::<DriverBody>().drop_in_place() };
}

/// Why a driver was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its image cannot be loaded.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// It has no entry point, so it is no driver but a library of one.
    #[error("the image has no entry point, so it is a library for drivers and not a driver")]
    NoEntryPoint,
    /// A driver of that service is loaded.
    #[error(
        "its service is running already: unload the driver before it is loaded again, or give this one another name"
    )]
    AlreadyLoaded,
    /// There were too many drivers.
    #[error("a bench loads at most 256 drivers")]
    TooMany,
    /// It asks for integrity checks, and is not what was signed.
    #[error("it is linked with /INTEGRITYCHECK, and code-integrity is `embedded`: {0}")]
    NotSigned(#[from] pe_image::SignatureError),
    /// DriverEntry said no.
    #[error("DriverEntry returned {0}")]
    Refused(NTSTATUS),
}

impl LoadError {
    /// What whoever loads the driver is told.
    pub fn status(&self) -> NTSTATUS {
        match self {
            Self::Image(error) => error.status(),
            Self::NoEntryPoint => STATUS_INVALID_IMAGE_FORMAT,
            Self::AlreadyLoaded => nt_abi::STATUS_IMAGE_ALREADY_LOADED,
            Self::TooMany => STATUS_INSUFFICIENT_RESOURCES,
            Self::NotSigned(_) => STATUS_INVALID_IMAGE_HASH,
            Self::Refused(status) => *status,
        }
    }
}

/// How far the unloading of a driver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unload {
    /// It is unloaded.
    Done,
    /// Its devices are in use: it is unloaded when they are not any more.
    Pending,
}

/// Why a driver was not unloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnloadError {
    /// There is no such driver, or not any more.
    #[error("no such driver is loaded")]
    NotLoaded,
    /// It has no unload routine, so it stays (R-UNL-06).
    #[error("the driver has no DriverUnload, so it cannot be unloaded")]
    NoUnload,
}

impl UnloadError {
    /// What whoever unloads the driver is told. Source: DDI (ZwUnloadDriver).
    pub fn status(self) -> NTSTATUS {
        match self {
            Self::NotLoaded => nt_abi::STATUS_OBJECT_NAME_NOT_FOUND,
            Self::NoUnload => nt_abi::STATUS_INVALID_DEVICE_REQUEST,
        }
    }
}

impl Kernel {
    /// Loads a driver: maps and binds its image, announces it, and runs its DriverEntry.
    ///
    /// `name` is its service name, `path` where the file is, for reports. The calling thread must be a
    /// processor at PASSIVE_LEVEL running a system thread.
    ///
    /// # Errors
    /// See [`LoadError`]. Whatever the error, the driver's image is gone then.
    pub fn load_driver(&'static self, name: &str, path: &str, file: &[u8]) -> Result<DriverId, LoadError> {
        let _one_at_a_time = self.io.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let _request = crate::stress::enter();
        let same = |driver: &&Driver| driver.is_loaded() && driver.name.eq_ignore_ascii_case(name);
        if self.io.all().find(same).is_some() {
            return Err(LoadError::AlreadyLoaded);
        }
        let id = self.io.next_id().ok_or(LoadError::TooMany)?;
        let bytes = file;
        let file = pe_image::parse(file).map_err(ImageError::from)?;
        file.require_driver().map_err(ImageError::from)?;
        let entry = file.entry.ok_or(LoadError::NoEntryPoint)?;
        let force_integrity = file.force_integrity() || self.config.force_integrity;
        // Before anything of it is there, and so before anybody is told of it (R-INT-04).
        if force_integrity && self.config.choices.code_integrity == CodeIntegrity::Embedded {
            pe_image::check_signature(&file)?;
        }
        let file_name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let image = sysload::load(&file, id, file_name, &self.config)?;
        let (base, size) = (image.base(), image.size());
        let entry = base + entry as usize;
        self.record(Body::DriverLoad {
            driver: id,
            name: name.into(),
            path: path.into(),
            base: base as u64,
            size: size as u64,
            missing: image
                .missing()
                .iter()
                .map(|import| format!("{}!{}", import.module, import.name).into())
                .collect(),
        });
        for note in image.notes() {
            self.note(event::Level::Info, &format!("{file_name}: {note}"));
        }
        let object = driver_object(self, &format!(r"\Driver\{name}"), base, size, entry);
        let driver = self.io.add(Driver {
            id,
            name: name.into(),
            path: path.into(),
            base,
            size,
            force_integrity,
            object,
            image: Mutex::new(Some(image)),
            usage: Usage::default(),
            running: OwnRoutines::default(),
        });
        self.make_service_key(name, file_name);
        let mut files = self.io.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.place(r"Windows\System32\drivers", file_name, bytes, crate::ke::time::now().0);
        drop(files);
        if crate::flt::uses_filter_manager(&file) {
            crate::flt::install(self, driver);
        }
        super::module::add(self, driver, &file, entry);
        self.announce(driver, file_name);
        self.enter(driver, entry)
    }

    /// Tells the image routines of the drivers that are there already (C.4: before DriverEntry is called).
    fn announce(&self, driver: &Driver, file_name: &str) {
        if let Some(loader) = crate::ps::thread::current() {
            let load_name = format!(r"\SystemRoot\System32\drivers\{file_name}");
            crate::ps::driver_mapped(self, loader, driver.base, driver.size, &load_name);
        }
    }

    fn enter(&self, driver: &'static Driver, entry: usize) -> Result<DriverId, LoadError> {
        let began = crate::ke::time::monotonic();
        let object = driver.object.as_ptr();
        // SAFETY: the object was made by `driver_object`, so it is the first field of a `DriverBody`.
        let registry = unsafe { &raw mut (*object.cast::<DriverBody>()).registry_string };
        driver.running.entry.store(true, Ordering::Relaxed);
        let status = as_driver(Some(driver.id), entry as u64, || {
            // SAFETY: the entry point of an image that was mapped and bound.
            let returned = self.balanced("DriverEntry", entry, || unsafe {
                machine::call2(entry, object.expose_provenance() as u64, registry.expose_provenance() as u64)
            });
            NTSTATUS::from_u32(u32::try_from(returned & 0xFFFF_FFFF).unwrap_or_default())
        });
        driver.running.entry.store(false, Ordering::Relaxed);
        dbg::flush_line();
        let elapsed = crate::ke::time::monotonic().saturating_sub(began);
        self.record(Body::DriverStart { driver: driver.id, status, elapsed });
        if status.is_success() {
            super::extension::initialise_again(self, object);
            super::device::initialised(object);
            return Ok(driver.id);
        }
        // What a failed driver registered stays registered, and its image is freed all the same (R-UNL-05).
        self.discard(driver, Gone::NeverStarted);
        Err(LoadError::Refused(status))
    }

    /// Unloads a driver: runs its DriverUnload, says what it left behind, and frees its image. Where files are open on its
    /// devices (a request that is pending keeps its file open), or a device is attached to one, it is marked, and unloaded
    /// as soon as that is over: no file can be opened on it meanwhile. Requests for files that are open still reach it.
    /// Source: "Unload Routine Environment"; that `NtUnloadDriver` succeeds then, as for a driver that goes at once, is
    /// from implementations that can be looked at.
    ///
    /// # Errors
    /// See [`UnloadError`].
    pub fn unload_driver(&'static self, id: DriverId) -> Result<Unload, UnloadError> {
        let _one_at_a_time = self.io.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let _request = crate::stress::enter();
        let driver = self.io.driver(id).filter(|driver| driver.is_loaded()).ok_or(UnloadError::NotLoaded)?;
        let object = driver.object.as_ptr();
        // SAFETY: the object is alive; the driver may have written to it, so it is read as memory.
        let unload = unsafe { (&raw const (*object).DriverUnload).read_volatile() };
        let Some(unload) = unload else {
            self.record(Body::DriverUnload { driver: id, elapsed: None });
            return Err(UnloadError::NoUnload);
        };
        if !is_unused(driver) {
            if !driver.usage.unload_pending.swap(true, Ordering::Relaxed) {
                self.io.unloads_pending.fetch_add(1, Ordering::Release);
            }
            let message = format!(
                "{} is to be unloaded and is in use ({}): its DriverUnload runs when that is over",
                driver.name,
                users(driver)
            );
            self.note(event::Level::Info, &message);
            return Ok(Unload::Pending);
        }
        if driver.usage.unload_pending.swap(false, Ordering::Relaxed) {
            self.io.unloads_pending.fetch_sub(1, Ordering::Release);
        }
        self.unload_now(driver, (unload as *const ()).expose_provenance());
        Ok(Unload::Done)
    }

    fn unload_now(&'static self, driver: &'static Driver, unload: usize) {
        let object = driver.object.as_ptr();
        let began = crate::ke::time::monotonic();
        // SAFETY: the object is alive; the field is the I/O manager's.
        unsafe { (*object).Flags |= nt_abi::DRVO_UNLOAD_INVOKED };
        driver.running.unload.store(true, Ordering::Relaxed);
        crate::stress::unloading();
        as_driver(Some(driver.id), unload as u64, || {
            // SAFETY: what the driver said its unload routine is; a wrong address faults as the driver's fault.
            self.balanced("DriverUnload", unload, || unsafe {
                machine::call1(unload, object.expose_provenance() as u64)
            })
        });
        driver.running.unload.store(false, Ordering::Relaxed);
        dbg::flush_line();
        let elapsed = crate::ke::time::monotonic().saturating_sub(began);
        self.record(Body::DriverUnload { driver: driver.id, elapsed: Some(elapsed) });
        self.discard(driver, Gone::Unloaded);
    }

    /// Runs driver code that must leave IRQL and APC-disable counts as it found them: they would be the context
    /// of the next notification, and its routine would be blamed (L-13).
    fn balanced<T>(&self, what: &str, routine: usize, run: impl FnOnce() -> T) -> T {
        let thread = crate::ps::thread::current();
        let before =
            thread.map(|thread| (machine::irql::current(), crate::ke::region::ApcDisable::of(thread)));
        let result = run();
        if let (Some(thread), Some(before)) = (thread, before) {
            crate::ps::check_balance(self, thread, before, routine as u64, what);
        }
        result
    }

    /// Unloads every driver that can be, the last loaded first.
    pub fn unload_all(&'static self) {
        let all: Vec<_> = self.io.all().filter(|driver| driver.is_loaded()).map(|driver| driver.id).collect();
        for id in all.into_iter().rev() {
            // One that has no DriverUnload stays, as on Windows; that has been recorded.
            let _ = self.unload_driver(id);
            super::settle(self);
        }
        for driver in self.io.all().filter(|driver| driver.is_loaded()) {
            crate::ex::report_pool_usage(self, driver.id);
        }
        let still_used = self.io.all().filter(|driver| driver.usage.unload_pending.load(Ordering::Relaxed));
        for driver in still_used {
            let message = format!(
                "{} stays loaded, as it is in use ({}); what it would leave behind is not looked for",
                driver.name,
                users(driver)
            );
            self.note(event::Level::Warning, &message);
        }
    }

    /// Says what the driver left behind, and frees its image: its addresses fault from now on.
    fn discard(&self, driver: &'static Driver, gone: Gone) {
        self.routines_left(driver, gone);
        crate::ex::report_leaks(self, driver.id);
        crate::io::device::report_leaks(self, driver);
        ob::leaks::report(self, driver);
        super::extension::forget(self, driver.object.as_ptr());
        super::module::remove(self, driver);
        self.ke.lock_order.forget(&(driver.base..driver.base + driver.size));
        crate::flt::report_leaks(self, driver);
        crate::etw::report_leaks(self, driver);
        crate::po::report_leaks(self, driver);
        crate::netio::report_leaks(self, driver);
        crate::dbg::debugger::report_leaks(self, driver);
        crate::mm::report_leaks(self, driver.id);
        crate::rule::report_repeated(self, driver.id);
        self.ob.names.remove(&driver.object.clone().erase());
        machine::images::unregister(driver.base);
        if let Some(image) = driver.image.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Kept for ever: a later jump to a routine in it must find nothing else there (R-UNL-02).
            std::mem::forget(image.retire());
        }
    }

    /// R-UNL-01: a routine left behind is a bug check at the next event.
    fn routines_left(&self, driver: &Driver, gone: Gone) {
        let (came_to, when) = match gone {
            Gone::Unloaded => ("was unloaded", "in DriverUnload"),
            Gone::NeverStarted => ("did not start and is freed", "before DriverEntry returns its error"),
        };
        let tables = &self.ps.tables;
        let owner = u64::from(driver.id.0);
        let process = tables.process.owned_by(owner).into_iter().map(|left| (Family::Process, left.erased()));
        let image = tables.image.owned_by(owner).into_iter().map(|left| (Family::Image, left.erased()));
        let thread = tables.thread.owned_by(owner).into_iter().map(|left| (Family::Thread, left.erased()));
        for (family, left) in process.chain(thread).chain(image) {
            let (what, remove) = match family {
                Family::Process => ("process", "call the routine that set it again, with Remove TRUE"),
                Family::Thread => ("thread", "call PsRemoveCreateThreadNotifyRoutine"),
                Family::Image => ("image", "call PsRemoveLoadImageNotifyRoutine"),
            };
            let offset = left.routine.wrapping_sub(driver.base);
            let place = format!("{}.sys+{offset:#x}", driver.name);
            self.record(Body::Leak(Leak {
                driver: driver.id,
                kind: LeakKind::Routine,
                what: format!("{what} notify routine {place}").into(),
                count: 1,
                bytes: 0,
            }));
            let message = format!(
                "{} {came_to} with its {what} notify routine {place} still registered (slot {}); the next {what} \
                 event calls freed code: {when}, {remove}",
                driver.name, left.slot
            );
            let address = left.routine as u64;
            let check = crate::ke::stop::unloaded_code(address);
            let routine = crate::ke::stop::frame_at(address);
            self.finding_at(Some(driver.id), &crate::rule::L_18, &message, Some(check), vec![routine]);
        }
    }
}

/// Whether nobody uses the devices of a driver, which are marked for its unloading.
fn is_unused(driver: &Driver) -> bool {
    let attached = super::device::unload_pending(driver.object.as_ptr());
    !attached && driver.usage.open_files.load(Ordering::Acquire) == 0
}

/// Who uses the devices of a driver, in words.
fn users(driver: &Driver) -> String {
    match driver.usage.open_files.load(Ordering::Relaxed) {
        0 => "a device of another driver is attached to one of its own".into(),
        1 => "a file is open on its device".into(),
        files => format!("{files} files are open on its devices"),
    }
}

/// The drivers that were to be unloaded before and that nobody uses any more.
fn due(kernel: &Kernel) -> Option<&'static Driver> {
    if kernel.io.unloads_pending.load(Ordering::Acquire) == 0 {
        return None;
    }
    kernel.io.all().find(|driver| driver.usage.unload_pending.load(Ordering::Relaxed) && is_unused(driver))
}

/// Whether a driver can be unloaded that could not before.
pub(super) fn is_due(kernel: &Kernel) -> bool {
    due(kernel).is_some()
}

/// Unloads the drivers that could not be unloaded before. The calling thread must run a system thread, as NT has a worker of
/// its own do it.
pub(super) fn unload_due(kernel: &'static Kernel) {
    let _one_at_a_time = kernel.io.loading.lock().unwrap_or_else(PoisonError::into_inner);
    let _request = crate::stress::enter();
    while let Some(driver) = due(kernel) {
        driver.usage.unload_pending.store(false, Ordering::Relaxed);
        kernel.io.unloads_pending.fetch_sub(1, Ordering::Release);
        // SAFETY: the object is alive; the driver may have written to it, so it is read as memory.
        let unload = unsafe { (&raw const (*driver.object.as_ptr()).DriverUnload).read_volatile() };
        if let Some(unload) = unload {
            kernel.unload_now(driver, (unload as *const ()).expose_provenance());
        }
    }
}

/// Why an image is freed.
#[derive(Clone, Copy)]
enum Gone {
    /// Its DriverUnload has run.
    Unloaded,
    /// Its DriverEntry failed, so that DriverUnload never runs.
    NeverStarted,
}

/// Makes the object that DriverEntry is given, with the strings it points to.
fn driver_object(kernel: &Kernel, path: &str, base: usize, size: usize, entry: usize) -> Ref<DRIVER_OBJECT> {
    let name = path.rsplit('\\').next().unwrap_or(path);
    let units = |text: String| text.encode_utf16().chain([0]).collect::<Vec<u16>>();
    let service = units(name.to_owned());
    let registry_path = units(crate::cm::service_key(name));
    let body: NonNull<DriverBody> = ob::create(&DRIVER_TYPE, 0);
    let object = body.as_ptr();
    let made = DriverBody {
        object: DRIVER_OBJECT {
            Type: nt_abi::IO_TYPE_DRIVER,
            Size: i16::try_from(size_of::<DRIVER_OBJECT>()).unwrap_or_default(),
            Flags: nt_abi::DRVO_LEGACY_DRIVER,
            DriverStart: std::ptr::with_exposed_provenance_mut(base),
            DriverSize: u32::try_from(size).unwrap_or(u32::MAX),
            // SAFETY: a field of the allocation that is being filled.
            DriverExtension: unsafe { &raw mut (*object).extension },
            // SAFETY: an address in the driver's image, stored and not called here.
            DriverInit: unsafe { std::mem::transmute::<usize, nt_abi::PDRIVER_INITIALIZE>(entry) },
            MajorFunction: [Some(super::device::invalid_device_request); 28],
            ..DRIVER_OBJECT::default()
        },
        extension: DRIVER_EXTENSION { DriverObject: object.cast(), ..DRIVER_EXTENSION::default() },
        name: units(path.to_owned()),
        service,
        registry_path,
        registry_string: UNICODE_STRING::default(),
    };
    // SAFETY: new memory of the right size that nobody else has.
    let made = unsafe {
        body.write(made);
        &mut *object
    };
    made.object.DriverName = string_of(&mut made.name);
    made.extension.ServiceKeyName = string_of(&mut made.service);
    made.registry_string = string_of(&mut made.registry_path);
    // SAFETY: the one reference it was created with; a driver object is the first field of its body.
    let object: Ref<DRIVER_OBJECT> = unsafe { Ref::adopt(body.cast()) };
    // A name that is taken is that of a driver of the same name which is loaded: this one has none then.
    let _ = kernel.ob.names.create(&crate::ob::name::units(path), &object.clone().erase(), true);
    object
}

/// Makes the object of a driver that is part of the kernel, with one dispatch routine for everything.
pub(super) fn kernel_driver(
    kernel: &Kernel,
    path: &str,
    dispatch: unsafe extern "win64" fn(*mut nt_abi::DEVICE_OBJECT, *mut nt_abi::IRP) -> NTSTATUS,
) -> *mut DRIVER_OBJECT {
    let object = driver_object(kernel, path, 0, 0, 0).into_raw();
    // SAFETY: new, and nobody else has it; it is never given up.
    unsafe { (*object).MajorFunction = [Some(dispatch); 28] };
    object
}

/// The counted string over NUL-terminated units.
fn string_of(units: &mut [u16]) -> UNICODE_STRING {
    let bytes = u16::try_from(units.len() * 2).unwrap_or(u16::MAX - 1);
    UNICODE_STRING { Length: bytes - 2, MaximumLength: bytes, Buffer: units.as_mut_ptr() }
}
