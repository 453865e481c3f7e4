//! Handles to objects that a driver has a pointer to or knows the name of, and duplicates of handles.

use std::ffi::c_void;

use export_macro::export;
use nt_abi::{
    GENERIC_MAPPING, HANDLE, NTSTATUS, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, STATUS_INVALID_PARAMETER,
    STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_TYPE_MISMATCH, STATUS_PROCESS_IS_TERMINATING, STATUS_SUCCESS,
    UNICODE_STRING,
};

use super::attributes::{Attributes, units_of};
use super::callback::{Opening, around};
use super::handle::KERNEL_MODE;
use super::name::Found;
use super::object::Object;
use super::{ObjectType, Ref, access};
use crate::ps::process::{Eprocess, PROCESS_TYPE};
use crate::ps::thread::THREAD_TYPE;
use crate::{Kernel, kernel};

/// What generic rights mean for objects of a type.
pub(crate) fn mapping(kind: &'static ObjectType) -> &'static GENERIC_MAPPING {
    match kind {
        kind if std::ptr::eq(kind, &PROCESS_TYPE) => &access::PROCESS,
        kind if std::ptr::eq(kind, &THREAD_TYPE) => &access::THREAD,
        kind if std::ptr::eq(kind, &crate::cm::key::KEY_TYPE) => &access::KEY,
        kind if std::ptr::eq(kind, &crate::io::file::FILE_TYPE) => &access::FILE,
        _ => &access::OTHER,
    }
}

/// Opens a handle to an object, with the callbacks of drivers before and after.
///
/// # Safety
/// `handle` is a driver's pointer.
pub(crate) unsafe fn open(
    kernel: &Kernel,
    object: Ref<Object>,
    desired: u32,
    attributes: u32,
    handle: *mut HANDLE,
) -> NTSTATUS {
    let desired = access::granted(desired, mapping(object.kind()));
    let kernel_handle = attributes & OBJ_KERNEL_HANDLE != 0;
    let held = object.clone();
    let opening = Opening { object: &held, access: desired, kernel_handle, duplicate: None };
    around(kernel, &opening, |granted| {
        let opened = kernel.ob.handles.insert(object, granted, attributes);
        // SAFETY: by this function's contract; a bad one faults as on Windows.
        unsafe { handle.write_unaligned(opened) };
        STATUS_SUCCESS
    })
}

/// Opens a handle to an object that the caller has a pointer to. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ObOpenObjectByPointer(
    object: *mut Object,
    attributes: u32,
    _access_state: *const c_void,
    desired: u32,
    kind: Option<&'static ObjectType>,
    _mode: i8,
    handle: *mut HANDLE,
) -> NTSTATUS {
    // SAFETY: a driver's pointer.
    let object = unsafe { super::reference::share(object) };
    if kind.is_some_and(|kind| !std::ptr::eq(kind, object.kind())) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    // SAFETY: as above.
    unsafe { open(kernel(), object, desired, attributes, handle) }
}

/// Opens a handle to an object, with a tag for tracing. Source: DDI.
#[export(irql <= APC, since = Win7)]
pub unsafe extern "win64" fn ObOpenObjectByPointerWithTag(
    object: *mut Object,
    attributes: u32,
    state: *const c_void,
    desired: u32,
    kind: Option<&'static ObjectType>,
    mode: i8,
    _tag: u32,
    handle: *mut HANDLE,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ObOpenObjectByPointer(object, attributes, state, desired, kind, mode, handle) }
}

/// The object of a path: a key where the path leads into the registry, a file where it goes on behind a device.
///
/// # Errors
/// As the components that the path leads through.
pub(crate) fn by_name(
    kernel: &Kernel,
    given: &Attributes,
    kind: Option<&'static ObjectType>,
) -> Result<Ref<Object>, NTSTATUS> {
    let root = if given.root.is_null() {
        None
    } else {
        Some(kernel.ob.handles.check(given.root, None, 0, KERNEL_MODE)?.object)
    };
    if root.as_ref().is_some_and(|root| std::ptr::eq(root.kind(), &crate::cm::key::KEY_TYPE)) {
        return Ok(crate::cm::key::open_by_name(kernel, given.root, given.name())?.erase());
    }
    let link = kind.is_some_and(|kind| std::ptr::eq(kind, &super::name::LINK_TYPE));
    let object = match kernel.ob.names.find(root.as_ref(), given.name(), link)? {
        Found::Object { object, rest } if rest.is_empty() => object,
        Found::Object { .. } | Found::Free { .. } => return Err(STATUS_OBJECT_NAME_NOT_FOUND),
        Found::Registry(path) => crate::cm::key::open_by_name(kernel, std::ptr::null_mut(), &path)?.erase(),
    };
    if kind.is_some_and(|kind| !std::ptr::eq(kind, object.kind())) {
        return Err(STATUS_OBJECT_TYPE_MISMATCH);
    }
    Ok(object)
}

/// Opens a handle to an object by its name. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ObOpenObjectByName(
    attributes: *const OBJECT_ATTRIBUTES,
    kind: Option<&'static ObjectType>,
    _mode: i8,
    _access_state: *const c_void,
    desired: u32,
    _parse_context: *const c_void,
    handle: *mut HANDLE,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    let found = unsafe { Attributes::read(attributes) }
        .and_then(|given| Ok((by_name(kernel(), &given, kind)?, given.flags)));
    match found {
        // SAFETY: as above.
        Ok((object, flags)) => unsafe { open(kernel(), object, desired, flags, handle) },
        Err(status) => status,
    }
}

/// Finds an object by its name and takes a reference on it. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ObReferenceObjectByName(
    name: *const UNICODE_STRING,
    attributes: u32,
    _access_state: *const c_void,
    _desired: u32,
    kind: Option<&'static ObjectType>,
    _mode: i8,
    _parse_context: *const c_void,
    object: *mut *mut Object,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    let found = unsafe { units_of(name) }.and_then(|name| {
        let given = Attributes { root: std::ptr::null_mut(), name: Some(name), flags: attributes };
        by_name(kernel(), &given, kind)
    });
    match found {
        Ok(found) => {
            // SAFETY: as above.
            unsafe { object.write_unaligned(super::ledger::hand_out(found, "ObReferenceObjectByName")) };
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// Options of a duplication.
const CLOSE_SOURCE: u32 = 1;
const SAME_ACCESS: u32 = 2;
const SAME_ATTRIBUTES: u32 = 4;

/// Runs with another process's handles as the current ones.
fn in_process<T>(process: &Ref<Eprocess>, run: impl FnOnce() -> T) -> T {
    use std::sync::atomic::Ordering;
    let Some(thread) = crate::ps::thread::current() else { return run() };
    let before = thread.attached.swap(process.as_ptr(), Ordering::Relaxed);
    let result = run();
    thread.attached.store(before, Ordering::Relaxed);
    result
}

/// Makes a handle to what another handle names, in the same or in another process. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwDuplicateObject(
    source_process: HANDLE,
    source: HANDLE,
    target_process: HANDLE,
    target: *mut HANDLE,
    desired: u32,
    attributes: u32,
    options: u32,
) -> NTSTATUS {
    let kernel = kernel();
    let from: Ref<Eprocess> = match kernel.ob.handles.lookup(source_process, &PROCESS_TYPE) {
        Ok(process) => process,
        Err(status) => return status,
    };
    let to = if target_process.is_null() {
        None
    } else {
        Some(kernel.ob.handles.lookup(target_process, &PROCESS_TYPE))
    };
    match to.transpose() {
        // SAFETY: a driver's pointer.
        Ok(to) => unsafe { duplicate((&from, source), (to.as_ref(), target), desired, attributes, options) },
        Err(status) => status,
    }
}

/// Makes a handle to what another handle names; the processes are given by their objects. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ObDuplicateObject(
    source_process: *mut Object,
    source: HANDLE,
    target_process: *mut Object,
    target: *mut HANDLE,
    desired: u32,
    attributes: u32,
    options: u32,
    _mode: i8,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    unsafe {
        let process = |object: *mut Object| super::reference::share(object).of::<Eprocess>(&PROCESS_TYPE);
        let Some(from) = process(source_process) else { return STATUS_OBJECT_TYPE_MISMATCH };
        let to = if target_process.is_null() { None } else { process(target_process) };
        duplicate((&from, source), (to.as_ref(), target), desired, attributes, options)
    }
}

/// Makes a handle to what another handle names.
///
/// # Safety
/// `target` is null or a driver's pointer.
unsafe fn duplicate(
    (from, source): (&Ref<Eprocess>, HANDLE),
    (to, target): (Option<&Ref<Eprocess>>, *mut HANDLE),
    desired: u32,
    attributes: u32,
    options: u32,
) -> NTSTATUS {
    let duplicate = || {
        let kernel = kernel();
        let opened = in_process(from, || kernel.ob.handles.check(source, None, 0, KERNEL_MODE));
        if options & CLOSE_SOURCE != 0 && opened.is_ok() {
            in_process(from, || kernel.ob.handles.close(source))?;
        }
        let opened = opened?;
        let Some(to) = to else {
            return if options & CLOSE_SOURCE != 0 {
                Ok(STATUS_SUCCESS)
            } else {
                Err(STATUS_INVALID_PARAMETER)
            };
        };
        if to.exit_time().0 != 0 {
            return Err(STATUS_PROCESS_IS_TERMINATING);
        }
        let wanted = if options & SAME_ACCESS != 0 { opened.access } else { desired };
        let wanted = access::granted(wanted, mapping(opened.object.kind()));
        let flags = if options & SAME_ATTRIBUTES != 0 { opened.attributes } else { attributes };
        let kernel_handle = attributes & OBJ_KERNEL_HANDLE != 0;
        let opening =
            Opening { object: &opened.object, access: wanted, kernel_handle, duplicate: Some((from, to)) };
        Ok(around(kernel, &opening, |granted| {
            let process = if kernel_handle { event::ProcessId::SYSTEM } else { to.id };
            let object = opened.object.clone();
            let made = kernel.ob.handles.insert_into(process.0, kernel_handle, object, granted, flags);
            if !target.is_null() {
                // SAFETY: a driver's pointer.
                unsafe { target.write_unaligned(made) };
            }
            STATUS_SUCCESS
        }))
    };
    duplicate().unwrap_or_else(|status| status)
}
