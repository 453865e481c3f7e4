//! The filter manager as a minifilter uses it, with routines of our own in place of a driver's.

mod names;
mod ports;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use event::{DriverId, Name};
use nt_abi::*;

use super::context::*;
use super::file::*;
use super::filter::*;
use super::link::*;
use super::name::*;
use super::object::*;
use super::parse::FltParseFileNameInformation;
use super::port::*;
use super::security::*;
use super::volume::*;
use super::{VOLUME, misc};
use crate::io::driver::as_driver;
use crate::io::file::ImageFile;
use crate::ob::{ObjectType, Ref};
use crate::testing::{Records, stops, with_kernel};
use crate::{Config, Kernel};

/// What the callbacks were told.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// What the setup callback answers.
static SETUP: AtomicUsize = AtomicUsize::new(0);

static DRIVER_WITHOUT_IMAGE: ObjectType =
    ObjectType { name: "Driver", size: size_of::<DRIVER_OBJECT>(), delete: None };

fn see(what: String) {
    SEEN.lock().unwrap().push(what);
}

fn seen() -> Vec<String> {
    std::mem::take(&mut SEEN.lock().unwrap())
}

unsafe extern "win64" fn setup(
    objects: *const FLT_RELATED_OBJECTS,
    flags: u32,
    device: u32,
    system: u32,
) -> NTSTATUS {
    // SAFETY: what the filter manager passes, which is what is tested.
    let objects = unsafe { &*objects };
    assert!(!objects.Filter.is_null() && !objects.Volume.is_null() && !objects.Instance.is_null());
    see(format!("setup {flags} {device} {system}"));
    NTSTATUS::from_u32(u32::try_from(SETUP.load(Ordering::Relaxed)).unwrap())
}

unsafe extern "win64" fn start(_: *const FLT_RELATED_OBJECTS, reason: u32) {
    see(format!("start {reason}"));
}

unsafe extern "win64" fn complete(_: *const FLT_RELATED_OBJECTS, reason: u32) {
    see(format!("complete {reason}"));
}

unsafe extern "win64" fn cleanup(context: PVOID, kind: u16) {
    // SAFETY: the context that a test allocated, with 8 bytes.
    let value = unsafe { context.cast::<u64>().read() };
    see(format!("cleanup {kind:#x} {value}"));
}

fn registration(contexts: *const FLT_CONTEXT_REGISTRATION) -> FLT_REGISTRATION {
    FLT_REGISTRATION {
        Size: u16::try_from(size_of::<FLT_REGISTRATION>()).unwrap(),
        Version: FLT_REGISTRATION_VERSION_0203,
        ContextRegistration: contexts,
        InstanceSetupCallback: Some(setup),
        InstanceTeardownStartCallback: Some(start),
        InstanceTeardownCompleteCallback: Some(complete),
        ..FLT_REGISTRATION::default()
    }
}

fn context_kind(kind: u16) -> FLT_CONTEXT_REGISTRATION {
    FLT_CONTEXT_REGISTRATION {
        ContextType: kind,
        ContextCleanupCallback: Some(cleanup),
        Size: 8,
        PoolTag: u32::from_le_bytes(*b"Test"),
        ..FLT_CONTEXT_REGISTRATION::default()
    }
}

/// A driver without an image, with an Instances key where it is to have one.
fn driver(kernel: &'static Kernel, name: &str, installed: bool) -> &'static crate::io::Driver {
    // SAFETY: new, zero is a driver object, and the reference is the one it was created with.
    let object = unsafe { Ref::adopt(crate::ob::create::<DRIVER_OBJECT>(&DRIVER_WITHOUT_IMAGE, 0)) };
    let driver = kernel.io.add(crate::io::Driver {
        id: kernel.io.next_id().unwrap(),
        name: name.into(),
        path: name.into(),
        base: 0,
        size: 0,
        force_integrity: false,
        object,
        image: Mutex::new(None),
        usage: Default::default(),
        running: Default::default(),
    });
    kernel.make_service_key(name, "test.sys");
    if installed {
        super::install(kernel, driver);
    }
    driver
}

fn as_test<T>(driver: DriverId, act: impl FnOnce() -> T) -> T {
    as_driver(Some(driver), 0, act)
}

/// Registers a filter with contexts of all kinds.
fn filter(kernel: &'static Kernel, name: &str) -> (&'static crate::io::Driver, *mut FLT_FILTER) {
    let driver = driver(kernel, name, true);
    let mut kinds: Vec<_> = (0..5).map(|bit| context_kind(1 << bit)).collect();
    kinds.push(FLT_CONTEXT_REGISTRATION {
        ContextType: FLT_CONTEXT_END,
        ..FLT_CONTEXT_REGISTRATION::default()
    });
    let mut filter = std::ptr::null_mut();
    // SAFETY: a driver object, and structures as documented.
    let status =
        unsafe { FltRegisterFilter(driver.object.as_ptr(), &registration(kinds.as_ptr()), &mut filter) };
    assert_eq!(status, STATUS_SUCCESS);
    SETUP.store(0, Ordering::Relaxed);
    seen();
    (driver, filter)
}

fn instance(filter: *mut FLT_FILTER) -> *mut FLT_INSTANCE {
    let mut instance = std::ptr::null_mut();
    let mut count = 0;
    // SAFETY: room for one instance.
    unsafe {
        assert_eq!(
            FltEnumerateInstances(std::ptr::null_mut(), filter, &mut instance, 1, &mut count),
            STATUS_SUCCESS
        );
        assert_eq!(count, 1);
        FltObjectDereference(instance.cast());
    }
    instance
}

fn file(path: &str) -> Ref<ImageFile> {
    ImageFile::open(&Name::from_unix(path.to_owned()))
}

fn allocate(filter: *mut FLT_FILTER, kind: u16, value: u64) -> usize {
    let mut context = 0;
    // SAFETY: a filter that registered this kind with 8 bytes.
    unsafe {
        assert_eq!(FltAllocateContext(filter, kind, 8, 0, &mut context), STATUS_SUCCESS);
        std::ptr::with_exposed_provenance_mut::<u64>(context).write(value);
    }
    context
}

fn text(string: &UNICODE_STRING) -> String {
    crate::rtl::text_of(string)
}

#[test]
fn a_filter_needs_an_instances_key_and_an_altitude_of_its_own() {
    with_kernel(Config::default(), |kernel, _: &Records| {
        let bare = driver(kernel, "bare", false);
        let mut filter = std::ptr::null_mut();
        // SAFETY: a driver object, and structures as documented.
        unsafe {
            let object = bare.object.as_ptr();
            assert_eq!(
                FltRegisterFilter(object, &registration(std::ptr::null()), &mut filter),
                STATUS_OBJECT_NAME_NOT_FOUND
            );
            super::install(kernel, bare);
            let old = FLT_REGISTRATION { Version: 0x0100, ..registration(std::ptr::null()) };
            assert_eq!(FltRegisterFilter(object, &old, &mut filter), STATUS_INVALID_PARAMETER);
            let short = FLT_REGISTRATION { Size: 0x40, ..registration(std::ptr::null()) };
            assert_eq!(FltRegisterFilter(object, &short, &mut filter), STATUS_INVALID_PARAMETER);
            assert!(filter.is_null());
            assert_eq!(
                FltRegisterFilter(object, &registration(std::ptr::null()), &mut filter),
                STATUS_SUCCESS
            );
            let mut second = std::ptr::null_mut();
            let again = FltRegisterFilter(object, &registration(std::ptr::null()), &mut second);
            assert_eq!(again, STATUS_FLT_INSTANCE_ALTITUDE_COLLISION);
            FltUnregisterFilter(filter);
            assert_eq!(
                FltRegisterFilter(object, &registration(std::ptr::null()), &mut second),
                STATUS_SUCCESS
            );
            FltUnregisterFilter(second);
        }
    });
}

#[test]
fn an_instance_is_set_up_at_the_start_and_taken_down_at_the_end() {
    with_kernel(Config::default(), |kernel, _: &Records| {
        let (_, filter) = filter(kernel, "flow");
        // SAFETY: a registered filter.
        unsafe {
            assert_eq!(FltStartFiltering(filter), STATUS_SUCCESS);
            assert_eq!(seen(), ["setup 1 8 2"]);
            assert_eq!(FltStartFiltering(filter), STATUS_INVALID_PARAMETER, "a second time");
            FltUnregisterFilter(filter);
            assert_eq!(seen(), ["start 2", "complete 2"]);
            assert_eq!(FltObjectReference(filter.cast()), STATUS_FLT_DELETING_OBJECT);
        }
    });
}

#[test]
fn a_filter_that_wants_no_instance_gets_none() {
    with_kernel(Config::default(), |kernel, _: &Records| {
        let (_, filter) = filter(kernel, "picky");
        SETUP.store(0xC01C_000F, Ordering::Relaxed);
        // SAFETY: a registered filter; room for nothing is enough.
        unsafe {
            assert_eq!(FltStartFiltering(filter), STATUS_SUCCESS);
            let mut count = 7;
            let none =
                FltEnumerateInstances(std::ptr::null_mut(), filter, std::ptr::null_mut(), 0, &mut count);
            assert_eq!((none, count), (STATUS_SUCCESS, 0));
            FltUnregisterFilter(filter);
        }
        assert_eq!(seen(), ["setup 1 8 2"]);
    });
}

#[test]
fn a_context_is_cleaned_up_with_its_last_reference() {
    with_kernel(Config::default(), |kernel, records| {
        let (driver, filter) = filter(kernel, "contexts");
        // SAFETY: a registered filter, its instance, an open file, contexts of 8 bytes.
        unsafe {
            assert_eq!(FltStartFiltering(filter), STATUS_SUCCESS);
            seen();
            let instance = instance(filter);
            let file = file("/bin/true");
            let object = file.as_file_object();
            let mut other = 0;
            assert_eq!(
                FltAllocateContext(filter, 0x20, 8, 0, &mut other),
                STATUS_FLT_CONTEXT_ALLOCATION_NOT_FOUND
            );
            assert_eq!(
                FltAllocateContext(filter, 0x10, 9, 0, &mut other),
                STATUS_FLT_CONTEXT_ALLOCATION_NOT_FOUND
            );
            assert_eq!(FltAllocateContext(filter, 0x10, 0, 0, &mut other), STATUS_INVALID_PARAMETER);
            assert_eq!(FltAllocateContext(filter, 0x01, 8, 1, &mut other), STATUS_INVALID_PARAMETER);

            let first = allocate(filter, FLT_STREAMHANDLE_CONTEXT, 1);
            assert_eq!(FltGetStreamHandleContext(instance, object, &mut other), STATUS_NOT_FOUND);
            let null = std::ptr::null_mut();
            assert_eq!(FltSetStreamHandleContext(instance, object, 1, first, null), STATUS_SUCCESS);
            assert_eq!(
                FltSetStreamHandleContext(instance, object, 0, first, null),
                STATUS_FLT_CONTEXT_ALREADY_LINKED
            );
            assert_eq!(
                FltSetStreamContext(instance, object, 1, first, null),
                STATUS_INVALID_PARAMETER,
                "another type"
            );
            let second = allocate(filter, FLT_STREAMHANDLE_CONTEXT, 2);
            let kept = FltSetStreamHandleContext(instance, object, 1, second, &mut other);
            assert_eq!((kept, other), (STATUS_FLT_CONTEXT_ALREADY_DEFINED, first));
            FltReleaseContext(other);
            let replaced = FltSetStreamHandleContext(instance, object, 0, second, &mut other);
            assert_eq!((replaced, other), (STATUS_SUCCESS, first));
            FltReleaseContext(other);
            assert!(seen().is_empty(), "the allocation's reference is left");
            FltReleaseContext(first);
            assert_eq!(seen(), ["cleanup 0x10 1"]);
            FltReleaseContext(second);
            assert_eq!(FltGetStreamHandleContext(instance, object, &mut other), STATUS_SUCCESS);
            FltReleaseContext(other);
            drop(file);
            assert_eq!(seen(), ["cleanup 0x10 2"], "the file is closed");

            FltReleaseContext(second);
            assert_eq!(records.findings(), ["L-14"]);
            FltUnregisterFilter(filter);
        }
        assert_eq!(kernel.flt.contexts.owned_by(driver.id), 0);
    });
}

#[test]
fn contexts_go_with_what_they_hang_on() {
    with_kernel(Config::default(), |kernel, _: &Records| {
        let (_, filter) = filter(kernel, "hanging");
        // SAFETY: as above.
        unsafe {
            assert_eq!(FltStartFiltering(filter), STATUS_SUCCESS);
            seen();
            let (instance, null) = (instance(filter), std::ptr::null_mut());
            let mut volume = std::ptr::null_mut();
            let object = file("/bin/true");
            assert_eq!(
                FltGetVolumeFromFileObject(filter, object.as_file_object(), &mut volume),
                STATUS_SUCCESS
            );
            let same = file("/BIN/TRUE");
            for (kind, value) in [(FLT_VOLUME_CONTEXT, 1), (FLT_INSTANCE_CONTEXT, 2), (FLT_STREAM_CONTEXT, 3)]
            {
                let context = allocate(filter, kind, value);
                let status = match kind {
                    FLT_VOLUME_CONTEXT => FltSetVolumeContext(volume, 1, context, null),
                    FLT_INSTANCE_CONTEXT => FltSetInstanceContext(instance, 1, context, null),
                    _ => FltSetStreamContext(instance, object.as_file_object(), 1, context, null),
                };
                assert_eq!(status, STATUS_SUCCESS);
                FltReleaseContext(context);
            }
            let mut found = 0;
            assert_eq!(
                FltGetStreamContext(instance, same.as_file_object(), &mut found),
                STATUS_SUCCESS,
                "the same file"
            );
            FltReleaseContext(found);
            assert_eq!(FltGetVolumeContext(filter, volume, &mut found), STATUS_SUCCESS);
            FltDeleteContext(found);
            assert!(seen().is_empty());
            FltReleaseContext(found);
            assert_eq!(seen(), ["cleanup 0x1 1"]);
            FltObjectDereference(volume.cast());
            FltUnregisterFilter(filter);
        }
        let mut rest = seen();
        rest.sort();
        assert_eq!(rest, ["cleanup 0x2 2", "cleanup 0x8 3", "complete 2", "start 2"]);
    });
}

#[test]
fn an_unregistration_that_would_never_end_is_a_stop() {
    with_kernel(Config::default(), |kernel, records| {
        let (_, filter) = filter(kernel, "stuck");
        allocate(filter, FLT_STREAM_CONTEXT, 1);
        // SAFETY: a registered filter.
        let stop = stops(records, || unsafe { FltUnregisterFilter(filter) });
        assert_eq!(stop.kind, event::StopKind::Hang);
        assert!(stop.message.contains("1 contexts"), "{}", stop.message);
        assert_eq!(records.findings(), ["L-14"]);
    });
}

#[test]
fn what_a_driver_leaves_is_told() {
    with_kernel(Config::default(), |kernel, records| {
        let (driver, filter) = filter(kernel, "messy");
        allocate(filter, FLT_STREAM_CONTEXT, 1);
        let file = file("/bin/true");
        as_test(driver.id, || {
            let mut information = std::ptr::null_mut();
            // SAFETY: an open file.
            unsafe {
                FltGetFileNameInformationUnsafe(
                    file.as_file_object(),
                    std::ptr::null_mut(),
                    0x101,
                    &mut information,
                )
            };
        });
        super::report_leaks(kernel, driver);
        assert_eq!(records.findings(), ["L-18", "L-14"]);
        let leaks = records.all().into_iter().filter(|body| matches!(body, event::Body::Leak(_))).count();
        assert_eq!(leaks, 3, "filter, context, name");
    });
}

static TO_UNREGISTER: AtomicUsize = AtomicUsize::new(0);

unsafe extern "win64" fn filter_unload(flags: u32) -> NTSTATUS {
    see(format!("filter unload {flags}"));
    // SAFETY: the filter that the test registered.
    unsafe {
        FltUnregisterFilter(std::ptr::with_exposed_provenance_mut(TO_UNREGISTER.load(Ordering::Relaxed)))
    };
    STATUS_SUCCESS
}

unsafe extern "win64" fn driver_unload(_: *mut DRIVER_OBJECT) {
    see("driver unload".to_owned());
}

#[test]
fn unloading_a_minifilter_asks_the_filter_and_then_the_driver() {
    with_kernel(Config::default(), |kernel, records| {
        let driver = driver(kernel, "unloads", true);
        let object = driver.object.as_ptr();
        let asked =
            FLT_REGISTRATION { FilterUnloadCallback: Some(filter_unload), ..registration(std::ptr::null()) };
        let mut filter = std::ptr::null_mut();
        // SAFETY: a driver object, structures as documented, and the routine that the filter manager put there.
        unsafe {
            (*object).DriverUnload = Some(driver_unload);
            assert_eq!(FltRegisterFilter(object, &asked, &mut filter), STATUS_SUCCESS);
            TO_UNREGISTER.store(filter.expose_provenance(), Ordering::Relaxed);
            seen();
            let unload = (*object).DriverUnload.unwrap();
            as_test(driver.id, || unload(object));
            assert_eq!(seen(), ["filter unload 1", "driver unload"]);
            assert!((*object).DriverUnload.is_some_and(|routine| std::ptr::fn_addr_eq(
                routine,
                driver_unload as unsafe extern "win64" fn(*mut DRIVER_OBJECT)
            )));
        }
        super::report_leaks(kernel, driver);
        assert!(records.findings().is_empty());
    });
}

#[test]
fn a_minifilter_without_an_unload_callback_stays() {
    with_kernel(Config::default(), |kernel, _: &Records| {
        let driver = driver(kernel, "stays", true);
        let object = driver.object.as_ptr();
        let mut filter = std::ptr::null_mut();
        // SAFETY: a driver object, and structures as documented.
        unsafe {
            (*object).DriverUnload = Some(driver_unload);
            let asked = registration(std::ptr::null());
            assert_eq!(FltRegisterFilter(object, &asked, &mut filter), STATUS_SUCCESS);
            assert!((*object).DriverUnload.is_none());
        }
    });
}
