//! `CmRegisterCallback` and its family: drivers that see what is done to the registry, before and after.

use std::ffi::c_void;
use std::sync::PoisonError;

use export_macro::export;
use nt_abi::{
    NTSTATUS, REG_POST_OPERATION_INFORMATION, RegNtCallbackObjectContextCleanup, STATUS_CALLBACK_BYPASS,
    STATUS_FLT_INSTANCE_ALTITUDE_COLLISION, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, UNICODE_STRING,
};

use super::key::{KEY_TYPE, KeyObject};
use crate::io::driver::as_driver;
use crate::ob::interceptors::{Active, Altitude};
use crate::ob::object::Object;
use crate::ob::{self, Ref};
use crate::{Kernel, kernel};

/// One registered callback.
#[derive(Debug)]
pub(crate) struct Callback {
    routine: usize,
    context: usize,
}

/// An operation that callbacks are told of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    /// `REG_NOTIFY_CLASS` before and after.
    pub(super) classes: (u32, u32),
    /// Where the structure of the first has `CallContext` and `ObjectContext`.
    pub(super) contexts: (usize, usize),
}

/// What a callback left for its second call.
struct Called {
    entry: Active<Callback>,
    call_context: *mut c_void,
}

/// Does something to the registry with the callbacks before and after.
///
/// `object` is the key that contexts belong to, `information` the structure of the class. `run` answers the status and,
/// where it made one, the key that callbacks are told of afterwards.
pub(super) fn around<I>(
    kernel: &Kernel,
    operation: Operation,
    object: Option<&Ref<KeyObject>>,
    information: &mut I,
    run: impl FnOnce(&mut I) -> (NTSTATUS, Option<Ref<KeyObject>>),
) -> NTSTATUS {
    let all = kernel.cm.callbacks.all();
    if all.is_empty() {
        return run(information).0;
    }
    let (call_at, object_at) = operation.contexts;
    let mut called: Vec<Called> = Vec::new();
    let mut blocked = None;
    for entry in all {
        let at = std::ptr::from_mut(information).cast::<u8>();
        let object_context = object.map_or(std::ptr::null_mut(), |object| object.context_of(entry.cookie));
        // SAFETY: both are offsets of pointers within the structure, by the table of operations.
        unsafe {
            at.byte_add(call_at).cast::<*mut c_void>().write(std::ptr::null_mut());
            at.byte_add(object_at).cast::<*mut c_void>().write(object_context);
        }
        let status = call(&entry, operation.classes.0, at.cast());
        if !status.is_success() {
            // Whoever bypasses has done the work, and the caller sees success.
            blocked = Some(if status == STATUS_CALLBACK_BYPASS { STATUS_SUCCESS } else { status });
            break;
        }
        // SAFETY: as above.
        let call_context = unsafe { at.byte_add(call_at).cast::<*mut c_void>().read() };
        called.push(Called { entry, call_context });
    }
    let (mut status, made) = match blocked {
        Some(status) => (status, None),
        None => run(information),
    };
    let shown = made.as_ref().or(object);
    for called in called.into_iter().rev() {
        let mut after = REG_POST_OPERATION_INFORMATION {
            Object: shown.map_or(std::ptr::null_mut(), |object| object.as_ptr().cast()),
            Status: status,
            PreInformation: std::ptr::from_mut(information).cast(),
            ReturnStatus: status,
            CallContext: called.call_context,
            ObjectContext: shown
                .map_or(std::ptr::null_mut(), |object| object.context_of(called.entry.cookie)),
            ..REG_POST_OPERATION_INFORMATION::default()
        };
        if call(&called.entry, operation.classes.1, (&raw mut after).cast()) == STATUS_CALLBACK_BYPASS {
            status = after.ReturnStatus;
        }
    }
    status
}

fn call(entry: &Active<Callback>, class: u32, information: *mut c_void) -> NTSTATUS {
    let (routine, context) = (entry.value.routine, entry.value.context as u64);
    let returned = as_driver(entry.owner, routine as u64, || {
        // SAFETY: what the driver registered; the structure lives during the call.
        unsafe { machine::call3(routine, context, class.into(), information.expose_provenance() as u64) }
    });
    NTSTATUS::from_u32(u32::try_from(returned & 0xFFFF_FFFF).unwrap_or_default())
}

/// The key object a driver passed.
///
/// # Safety
/// `object` is a driver's pointer.
unsafe fn key(object: *mut Object) -> Result<Ref<KeyObject>, NTSTATUS> {
    if object.is_null() {
        return Err(STATUS_INVALID_PARAMETER);
    }
    // SAFETY: by this function's contract.
    unsafe { ob::reference::share(object) }.of(&KEY_TYPE).ok_or(STATUS_INVALID_PARAMETER)
}

/// Registers a callback at an altitude. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn CmRegisterCallbackEx(
    routine: usize,
    altitude: &UNICODE_STRING,
    _driver: *mut c_void,
    context: *mut c_void,
    cookie: *mut i64,
    _reserved: *mut c_void,
) -> NTSTATUS {
    let Some(altitude) = Altitude::parse(&crate::rtl::text_of(altitude)) else {
        return STATUS_INVALID_PARAMETER;
    };
    let value = Callback { routine, context: context.expose_provenance() };
    let owner = owner(routine);
    match kernel().cm.callbacks.register(altitude, owner, value) {
        Some(made) => {
            // SAFETY: a driver's pointer.
            unsafe { cookie.write_unaligned(made.cast_signed()) };
            STATUS_SUCCESS
        }
        None => STATUS_FLT_INSTANCE_ALTITUDE_COLLISION,
    }
}

fn owner(routine: usize) -> Option<event::DriverId> {
    kernel().io.driver_at(routine).map(|driver| driver.id).or_else(crate::io::current_driver)
}

/// Registers a callback below all that have an altitude. Source: DDI.
#[export(irql <= APC, since = Xp)]
pub unsafe extern "win64" fn CmRegisterCallback(
    routine: usize,
    context: *mut c_void,
    cookie: *mut i64,
) -> NTSTATUS {
    let value = Callback { routine, context: context.expose_provenance() };
    let made = kernel().cm.callbacks.register_lowest(owner(routine), value);
    // SAFETY: a driver's pointer.
    unsafe { cookie.write_unaligned(made.cast_signed()) };
    STATUS_SUCCESS
}

/// Removes a callback, once none of its calls runs. Source: DDI.
#[export(irql <= APC, since = Xp)]
pub unsafe extern "win64" fn CmUnRegisterCallback(cookie: i64) -> NTSTATUS {
    let removed = kernel().cm.callbacks.unregister(cookie.cast_unsigned());
    if removed { STATUS_SUCCESS } else { STATUS_INVALID_PARAMETER }
}

/// Returns the version of registry callbacks. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn CmGetCallbackVersion(major: *mut u32, minor: *mut u32) {
    // SAFETY: null, or a driver's pointers.
    unsafe {
        if !major.is_null() {
            major.write(1);
        }
        if !minor.is_null() {
            minor.write(1);
        }
    }
}

/// A name that a driver was given, with its characters.
#[repr(C)]
struct Given {
    string: UNICODE_STRING,
    units: Box<[u16]>,
}

fn give(path: Vec<u16>) -> *mut Given {
    let mut units = path.into_boxed_slice();
    let bytes = u16::try_from(units.len() * 2).unwrap_or(u16::MAX - 1);
    let string = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_mut_ptr() };
    Box::into_raw(Box::new(Given { string, units }))
}

/// Returns a number and the name of a key object; the name is released with `CmCallbackReleaseKeyObjectIDEx`.
/// Source: DDI.
#[export(irql <= APC, since = Win8)]
pub unsafe extern "win64" fn CmCallbackGetKeyObjectIDEx(
    _cookie: *const i64,
    object: *mut Object,
    id: *mut usize,
    name: *mut *const UNICODE_STRING,
    _flags: u32,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    let key = match unsafe { key(object) } {
        Ok(key) => key,
        Err(status) => return status,
    };
    // SAFETY: as above, each may be null.
    unsafe {
        if !id.is_null() {
            id.write(key.number());
        }
        if !name.is_null() {
            name.write(give(super::key::path_of(kernel(), &key.erase())).cast());
        }
    }
    STATUS_SUCCESS
}

/// Releases a name that `CmCallbackGetKeyObjectIDEx` gave. Source: DDI.
#[export(irql <= APC, since = Win8)]
pub unsafe extern "win64" fn CmCallbackReleaseKeyObjectIDEx(name: *const UNICODE_STRING) {
    if !name.is_null() {
        // SAFETY: what the driver was given by the routine above, and gives back once.
        drop(unsafe { Box::from_raw(name.cast_mut().cast::<Given>()) });
    }
}

/// Returns a number and the name of a key object; the name lives as long as the object. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn CmCallbackGetKeyObjectID(
    _cookie: *const i64,
    object: *mut Object,
    id: *mut usize,
    name: *mut *const UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    let key = match unsafe { key(object) } {
        Ok(key) => key,
        Err(status) => return status,
    };
    let kept =
        key.kept_name(|| give(super::key::path_of(kernel(), &key.clone().erase())).expose_provenance());
    // SAFETY: as above, each may be null.
    unsafe {
        if !id.is_null() {
            id.write(key.number());
        }
        if !name.is_null() {
            name.write(std::ptr::with_exposed_provenance(kept));
        }
    }
    STATUS_SUCCESS
}

/// Frees the name that a key object kept for drivers.
///
/// # Safety
/// `kept` is what `CmCallbackGetKeyObjectID` made, and nobody uses it any more.
pub(super) unsafe fn free_kept(kept: usize) {
    // SAFETY: by this function's contract.
    drop(unsafe { Box::from_raw(std::ptr::with_exposed_provenance_mut::<Given>(kept)) });
}

/// Attaches a driver's context to a key object. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn CmSetCallbackObjectContext(
    object: *mut Object,
    cookie: *const i64,
    new: *mut c_void,
    old: *mut *mut c_void,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    unsafe {
        let key = match key(object) {
            Ok(key) => key,
            Err(status) => return status,
        };
        let before = key.set_context(cookie.read_unaligned().cast_unsigned(), new);
        if !old.is_null() {
            old.write(before);
        }
    }
    STATUS_SUCCESS
}

/// Returns the transaction of a key object: none of the bench has one. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn CmGetBoundTransaction(_cookie: *const i64, _object: *mut Object) -> *mut c_void {
    std::ptr::null_mut()
}

/// Tells the callbacks that have contexts on a key object that it goes away.
pub(super) fn clean_up(contexts: &std::sync::Mutex<Vec<(u64, usize)>>, object: *mut KeyObject) {
    let left = std::mem::take(&mut *contexts.lock().unwrap_or_else(PoisonError::into_inner));
    if left.is_empty() {
        return;
    }
    for entry in kernel().cm.callbacks.all() {
        for (_, context) in left.iter().filter(|(cookie, _)| *cookie == entry.cookie) {
            // REG_CALLBACK_CONTEXT_CLEANUP_INFORMATION: object, its context, reserved.
            let mut information = [object.expose_provenance(), *context, 0];
            call(&entry, RegNtCallbackObjectContextCleanup, information.as_mut_ptr().cast());
        }
    }
}
