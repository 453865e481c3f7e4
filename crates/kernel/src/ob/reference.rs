//! References to objects: `ObReferenceObjectByHandle`, `ObfDereferenceObject` and their family.

use std::ptr::NonNull;

use export_macro::export;
use nt_abi::{HANDLE, NTSTATUS, OBJECT_HANDLE_INFORMATION, STATUS_OBJECT_TYPE_MISMATCH, STATUS_SUCCESS};

use super::handle::{Opened, is_kernel_handle};
use super::ledger::{given_back, hand_out};
use super::object::{self, Object};
use super::{ObjectType, Ref};
use crate::kernel;

/// REFERENCE_BY_POINTER.
const REFERENCE_BY_POINTER: u32 = 0x18;

/// The reference that a driver's pointer stands for, shared; a stop where there is no object.
///
/// # Safety
/// 48 bytes before the pointer are readable, or the driver faults as on Windows.
pub(crate) unsafe fn share(object: *mut Object) -> Ref<Object> {
    // SAFETY: by this function's contract.
    match NonNull::new(object).filter(|object| unsafe { object::type_of(object.as_ptr()) }.is_some()) {
        // SAFETY: a live object, as was just seen.
        Some(object) => unsafe { Ref::share(object) },
        None => no_object(object),
    }
}

/// A driver passed what is no object, or not any more.
fn no_object(object: *mut Object) -> ! {
    let address = object.addr() as u64;
    let message = format!(
        "uses {address:#x} as an object, where there is none: it was dereferenced more often than referenced, or never one"
    );
    let check = (REFERENCE_BY_POINTER, [0, address, 0, 0]);
    kernel().finding(&crate::rule::L_14, &message, Some(check));
    machine::bug_check(REFERENCE_BY_POINTER, 0, address, 0, 0)
}

fn is_of(object: &Ref<Object>, kind: Option<&'static ObjectType>) -> bool {
    kind.is_none_or(|kind| std::ptr::eq(kind, object.kind()))
}

/// What is told of a handle that was looked up.
fn told(opened: &Opened) -> OBJECT_HANDLE_INFORMATION {
    OBJECT_HANDLE_INFORMATION { HandleAttributes: opened.attributes, GrantedAccess: opened.access }
}

/// Finds the object behind a handle and takes a reference on it. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ObReferenceObjectByHandle(
    handle: HANDLE,
    access: u32,
    kind: Option<&'static ObjectType>,
    mode: i8,
    object: *mut *mut Object,
    information: *mut OBJECT_HANDLE_INFORMATION,
) -> NTSTATUS {
    // SAFETY: the driver's pointer; a bad one faults as on Windows.
    unsafe { object.write_unaligned(std::ptr::null_mut()) };
    match kernel().ob.handles.check(handle, kind, access, mode) {
        Ok(opened) => {
            if !information.is_null() {
                // SAFETY: as above.
                unsafe { information.write_unaligned(told(&opened)) };
            }
            // SAFETY: as above.
            unsafe { object.write_unaligned(hand_out(opened.object, "ObReferenceObjectByHandle")) };
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// Finds the object behind a handle and takes a reference on it, with a tag for tracing. Source: DDI.
#[export(irql == PASSIVE, since = Win7)]
pub unsafe extern "win64" fn ObReferenceObjectByHandleWithTag(
    handle: HANDLE,
    access: u32,
    kind: Option<&'static ObjectType>,
    mode: i8,
    _tag: u32,
    object: *mut *mut Object,
    information: *mut OBJECT_HANDLE_INFORMATION,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ObReferenceObjectByHandle(handle, access, kind, mode, object, information) }
}

/// Takes a reference on an object whose type is checked for callers of user mode. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ObReferenceObjectByPointer(
    object: *mut Object,
    _access: u32,
    kind: Option<&'static ObjectType>,
    _mode: i8,
) -> NTSTATUS {
    // SAFETY: a driver's pointer.
    let object = unsafe { share(object) };
    if !is_of(&object, kind) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    hand_out(object, "ObReferenceObjectByPointer");
    STATUS_SUCCESS
}

/// Takes a reference on an object, with a tag for tracing. Source: DDI.
#[export(irql <= DISPATCH, since = Win7)]
pub unsafe extern "win64" fn ObReferenceObjectByPointerWithTag(
    object: *mut Object,
    access: u32,
    kind: Option<&'static ObjectType>,
    mode: i8,
    _tag: u32,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ObReferenceObjectByPointer(object, access, kind, mode) }
}

/// Takes a reference on an object and returns how many there are. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ObfReferenceObject(object: *mut Object) -> i64 {
    // SAFETY: a driver's pointer; the count is read while the reference is held.
    let object = unsafe { share(object) };
    // SAFETY: the reference keeps it alive.
    let count = unsafe { object::pointer_count(object.as_ptr()) };
    hand_out(object, "ObReferenceObject");
    count
}

/// Takes a reference on an object, with a tag for tracing. Source: DDI.
#[export(irql <= DISPATCH, since = Win7)]
pub unsafe extern "win64" fn ObfReferenceObjectWithTag(object: *mut Object, _tag: u32) -> i64 {
    // SAFETY: as this routine.
    unsafe { ObfReferenceObject(object) }
}

/// Gives a reference up and returns how many are left; without any left the object is deleted. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ObfDereferenceObject(object: *mut Object) -> i64 {
    // SAFETY: a driver's pointer.
    if unsafe { object::type_of(object) }.is_none() {
        no_object(object);
    }
    // SAFETY: a live object, as was just seen.
    if !unsafe { given_back(object) } {
        return not_held(object);
    }
    // SAFETY: as above; the reference is the driver's to give up.
    unsafe { object::dereference(object) }
}

/// L-14: a driver gives up a reference that no driver has. On Windows somebody else's goes; here it stays, as what the
/// kernel holds must not go away under it.
fn not_held(object: *mut Object) -> i64 {
    let address = object.addr() as u64;
    // SAFETY: the caller has seen that it is a live object; somebody else holds it.
    let (kind, count) = unsafe { (object::type_of(object), object::pointer_count(object)) };
    let kind = kind.map_or("?", |kind| kind.name);
    let message = format!(
        "ObDereferenceObject gives up a reference on the {kind} object at {address:#x}, and no driver holds one: on Windows it \
         is somebody else's, and the object is freed while it is used. Dereference once what a PsLookup… or ObReference… \
         referenced, and nothing that a routine was only given"
    );
    let check = (REFERENCE_BY_POINTER, [0, address, 0, 0]);
    kernel().finding(&crate::rule::L_14, &message, Some(check));
    count
}

/// Gives a reference up, with a tag for tracing. Source: DDI.
#[export(irql <= DISPATCH, since = Win7)]
pub unsafe extern "win64" fn ObfDereferenceObjectWithTag(object: *mut Object, _tag: u32) -> i64 {
    // SAFETY: as this routine.
    unsafe { ObfDereferenceObject(object) }
}

/// Gives a reference up so that the deletion cannot deadlock with the caller: nothing here can. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn ObDereferenceObjectDeferDelete(object: *mut Object) {
    // SAFETY: as this routine.
    unsafe { ObfDereferenceObject(object) };
}

/// Gives a reference up, as `ObDereferenceObjectDeferDelete`, with a tag for tracing. Source: DDI.
#[export(irql <= DISPATCH, since = Win7)]
pub unsafe extern "win64" fn ObDereferenceObjectDeferDeleteWithTag(object: *mut Object, _tag: u32) {
    // SAFETY: as this routine.
    unsafe { ObfDereferenceObject(object) };
}

/// Returns the type of an object. Source: public symbol lists.
#[export(irql <= DISPATCH, since = Win7)]
pub unsafe extern "win64" fn ObGetObjectType(object: *mut Object) -> *const ObjectType {
    // SAFETY: a driver's pointer.
    unsafe { object::type_of(object) }.map_or(std::ptr::null(), std::ptr::from_ref)
}

/// Says whether a handle is one of the kernel's. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn ObIsKernelHandle(handle: HANDLE) -> u8 {
    u8::from(is_kernel_handle(handle))
}

/// Changes a handle's attributes: whether it is inherited, and whether it may be closed. Source: public symbol lists.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ObSetHandleAttributes(
    handle: HANDLE,
    flags: *const [u8; 2],
    _mode: i8,
) -> NTSTATUS {
    // SAFETY: the driver's pointer to two booleans.
    let [inherit, protect] = unsafe { flags.read() };
    let mut attributes = 0;
    if inherit != 0 {
        attributes |= nt_abi::OBJ_INHERIT;
    }
    if protect != 0 {
        attributes |= super::handle::PROTECT_CLOSE;
    }
    let set = kernel().ob.handles.set_attributes(handle, attributes);
    if set { STATUS_SUCCESS } else { nt_abi::STATUS_INVALID_HANDLE }
}
