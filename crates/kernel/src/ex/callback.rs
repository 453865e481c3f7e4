//! Callback objects: a driver notifies, and whoever registered is called.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::DriverId;
use export_macro::export;
use nt_abi::{
    NTSTATUS, OBJ_PERMANENT, OBJECT_ATTRIBUTES, PCALLBACK_FUNCTION, PVOID, STATUS_INVALID_PARAMETER,
    STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_TYPE_MISMATCH, STATUS_SUCCESS,
};

use crate::io::driver::as_driver;
use crate::ke::apc::address_of;
use crate::ob::attributes::Attributes;
use crate::ob::name::Found;
use crate::ob::object::Object;
use crate::ob::{self, ObjectType, Ref};
use crate::{io, kernel};

/// The type of callback objects.
pub static CALLBACK_TYPE: ObjectType =
    ObjectType { name: "Callback", size: size_of::<Callback>(), delete: Some(delete) };

/// One registration: what a driver holds is its address.
#[derive(Debug)]
struct Registration {
    callback: NonNull<Callback>,
    routine: usize,
    context: usize,
    driver: Option<DriverId>,
    /// No call begins any more.
    gone: AtomicBool,
    /// Calls that run; who unregisters waits until there are none.
    running: AtomicU32,
}

// SAFETY: the pointer is to an object that is alive as long as its registrations, and is `Sync` itself.
unsafe impl Send for Registration {}
// SAFETY: as above.
unsafe impl Sync for Registration {}

/// The body of a callback object.
#[derive(Debug)]
struct Callback {
    several: bool,
    registered: Mutex<Vec<Arc<Registration>>>,
}

impl Callback {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Registration>>> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops what a callback object holds.
///
/// # Safety
/// Called by the object manager, once, with a body that nobody else can reach.
unsafe fn delete(body: *mut u8) {
    // SAFETY: by this function's contract.
    unsafe { body.cast::<Callback>().drop_in_place() };
}

fn new(several: bool) -> Ref<Callback> {
    let body: NonNull<Callback> = ob::create(&CALLBACK_TYPE, 0);
    // SAFETY: new, of the right size, and nobody else has it.
    unsafe { body.write(Callback { several, registered: Mutex::default() }) };
    // SAFETY: the one reference it was created with.
    unsafe { Ref::adopt(body) }
}

fn open(attributes: &Attributes, create: bool, several: bool) -> Result<Ref<Callback>, NTSTATUS> {
    let Some(name) = &attributes.name else {
        return if create { Ok(new(several)) } else { Err(STATUS_INVALID_PARAMETER) };
    };
    let of = |object: Ref<Object>| object.of(&CALLBACK_TYPE).ok_or(STATUS_OBJECT_TYPE_MISMATCH);
    let names = &kernel().ob.names;
    match names.find(None, name, false)? {
        Found::Object { object, rest } if rest.is_empty() => of(object),
        Found::Free { .. } if create => {
            let made = new(several);
            let permanent = attributes.flags & OBJ_PERMANENT != 0;
            names.create(name, &made.clone().erase(), permanent)?;
            Ok(made)
        }
        _ => Err(STATUS_OBJECT_NAME_NOT_FOUND),
    }
}

/// Creates or opens a callback object, by name or without one. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ExCreateCallback(
    object: *mut PVOID,
    attributes: *const OBJECT_ATTRIBUTES,
    create: u8,
    several: u8,
) -> NTSTATUS {
    // SAFETY: the driver's structure.
    let opened = unsafe { Attributes::read(attributes) }
        .and_then(|attributes| open(&attributes, create != 0, several != 0));
    match opened {
        Ok(callback) => {
            // SAFETY: the driver's variable, which takes the reference over.
            unsafe { object.write(ob::ledger::hand_out(callback, "ExCreateCallback").cast()) };
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// The callback object at a driver's pointer.
///
/// # Safety
/// `object` is one, which the driver has a reference on.
unsafe fn callback(object: PVOID) -> Option<&'static Callback> {
    // SAFETY: by this function's contract.
    let kind = unsafe { ob::type_of(object) }?;
    // SAFETY: as above.
    std::ptr::eq(kind, &CALLBACK_TYPE).then(|| unsafe { &*object.cast() })
}

/// Registers a routine with a callback object and returns the registration, null where that is not possible. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ExRegisterCallback(
    object: PVOID,
    routine: PCALLBACK_FUNCTION,
    context: PVOID,
) -> PVOID {
    // SAFETY: the driver's object.
    let Some(callback) = (unsafe { callback(object) }) else { return std::ptr::null_mut() };
    let routine = address_of!(routine);
    let mut registered = callback.lock();
    if routine == 0 || !callback.several && !registered.is_empty() {
        return std::ptr::null_mut();
    }
    // SAFETY: alive; the reference is given up when the routine is unregistered.
    unsafe { ob::object::reference(callback) };
    let registration = Arc::new(Registration {
        callback: NonNull::from(callback),
        routine,
        context: context.expose_provenance(),
        driver: kernel().io.driver_at(routine).map(|driver| driver.id).or_else(io::current_driver),
        gone: AtomicBool::new(false),
        running: AtomicU32::new(0),
    });
    let address = Arc::as_ptr(&registration).expose_provenance();
    registered.push(registration);
    std::ptr::with_exposed_provenance_mut(address)
}

/// Removes a registration, and waits until its routine does not run. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ExUnregisterCallback(registration: PVOID) {
    // SAFETY: what ExRegisterCallback returned, and the callback object's list keeps alive.
    let Some(given) = (unsafe { registration.cast::<Registration>().as_ref() }) else { return };
    let object = given.callback;
    // SAFETY: the registration's reference keeps the object alive.
    let callback = unsafe { object.as_ref() };
    let removed = {
        let mut registered = callback.lock();
        let place = registered.iter().position(|other| std::ptr::eq(&raw const **other, given));
        place.map(|place| registered.remove(place))
    };
    let Some(removed) = removed else { return };
    removed.gone.store(true, Ordering::SeqCst);
    loop {
        let running = removed.running.load(Ordering::SeqCst);
        if running == 0 {
            break;
        }
        machine::platform().block(&removed.running, running, None);
    }
    // SAFETY: the reference that the registration was made with.
    unsafe { ob::dereference(object.as_ptr()) };
}

/// Calls the routines that are registered with a callback object. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExNotifyCallback(object: PVOID, argument1: PVOID, argument2: PVOID) {
    // SAFETY: the driver's object.
    let Some(callback) = (unsafe { callback(object) }) else { return };
    let registered = callback.lock().clone();
    for registration in registered {
        registration.running.fetch_add(1, Ordering::SeqCst);
        if !registration.gone.load(Ordering::SeqCst) {
            as_driver(registration.driver, registration.routine as u64, || {
                let [first, second] =
                    [argument1, argument2].map(|argument| argument.expose_provenance() as u64);
                // SAFETY: the driver's routine, with its context and the notifier's arguments.
                unsafe { machine::call3(registration.routine, registration.context as u64, first, second) }
            });
        }
        if registration.running.fetch_sub(1, Ordering::SeqCst) == 1 {
            machine::platform().wake(&registration.running, u32::MAX);
        }
    }
}

/// Says which registrations of a driver, which is being unloaded, are left.
pub(crate) fn count_of(driver: DriverId) -> usize {
    let names = &kernel().ob.names;
    let Ok(directory) = names.object(r"\Callback") else { return 0 };
    let objects = names.list(&directory).into_iter().filter_map(|(name, _)| {
        let path = format!(r"\Callback\{}", String::from_utf16_lossy(&name));
        names.object(&path).ok()?.of::<Callback>(&CALLBACK_TYPE)
    });
    objects.map(|callback| callback.lock().iter().filter(|one| one.driver == Some(driver)).count()).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use nt_abi::UNICODE_STRING;

    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    static SEEN: Mutex<Vec<[usize; 3]>> = Mutex::new(Vec::new());

    unsafe extern "win64" fn called(context: PVOID, first: PVOID, second: PVOID) {
        SEEN.lock().unwrap().push([context.addr(), first.addr(), second.addr()]);
    }

    fn value(number: usize) -> PVOID {
        std::ptr::without_provenance_mut(number)
    }

    #[test]
    fn who_is_registered_is_called_until_it_is_not() {
        with_kernel(Config::default(), |_, _| {
            let mut units: Vec<u16> = r"\Callback\Test".encode_utf16().collect();
            let bytes = u16::try_from(units.len() * 2).unwrap();
            let mut name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_mut_ptr() };
            let attributes = OBJECT_ATTRIBUTES {
                Length: u32::try_from(size_of::<OBJECT_ATTRIBUTES>()).unwrap(),
                ObjectName: &raw mut name,
                ..OBJECT_ATTRIBUTES::default()
            };
            let (mut made, mut opened) = (std::ptr::null_mut(), std::ptr::null_mut());
            // SAFETY: memory of the test, and objects as they are documented.
            unsafe {
                assert_eq!(
                    ExCreateCallback(&raw mut opened, &raw const attributes, 0, 0),
                    STATUS_OBJECT_NAME_NOT_FOUND
                );
                assert_eq!(ExCreateCallback(&raw mut made, &raw const attributes, 1, 0), STATUS_SUCCESS);
                assert_eq!(ExCreateCallback(&raw mut opened, &raw const attributes, 0, 0), STATUS_SUCCESS);
                assert_eq!(made, opened);
                let registration = ExRegisterCallback(made, Some(called), value(1));
                assert!(!registration.is_null());
                assert!(
                    ExRegisterCallback(made, Some(called), value(2)).is_null(),
                    "several are not allowed"
                );
                ExNotifyCallback(opened, value(3), value(4));
                ExUnregisterCallback(registration);
                ExNotifyCallback(opened, value(5), value(6));
            }
            assert_eq!(*SEEN.lock().unwrap(), [[1, 3, 4]]);
        });
    }
}
