//! Events with handles, and waiting for handles.

use std::ptr::NonNull;

use export_macro::export;
use nt_abi::{
    HANDLE, KEVENT, NTSTATUS, OBJ_KERNEL_HANDLE, OBJ_OPENIF, OBJECT_ATTRIBUTES, STATUS_OBJECT_NAME_COLLISION,
    STATUS_OBJECT_NAME_EXISTS, STATUS_OBJECT_TYPE_MISMATCH, STATUS_SUCCESS, UNICODE_STRING,
};

use crate::ke::event::{KeInitializeEvent, KeReadStateEvent, KeResetEvent, KeSetEvent};
use crate::ke::wait::KeWaitForSingleObject;
use crate::kernel;
use crate::ob::attributes::{Attributes, units_of};
use crate::ob::handle::KERNEL_MODE;
use crate::ob::name::Found;
use crate::ob::object::Object;
use crate::ob::types::{EVENT_TYPE, MUTANT_TYPE, SEMAPHORE_TYPE};
use crate::ob::{self, Ref, access};

/// Events of types: NotificationEvent and SynchronizationEvent.
const NOTIFICATION: u32 = 0;
const SYNCHRONISATION: u32 = 1;

fn new(kind: u32, set: bool) -> Ref<Object> {
    let event: NonNull<KEVENT> = ob::create(&EVENT_TYPE, 0);
    // SAFETY: new, of the right size, and nobody else has it.
    unsafe { KeInitializeEvent(event.as_ptr(), kind, u8::from(set)) };
    // SAFETY: the one reference it was created with.
    unsafe { Ref::adopt(event) }.erase()
}

/// The event behind a handle.
fn of_handle(handle: HANDLE) -> Result<Ref<KEVENT>, NTSTATUS> {
    kernel().ob.handles.lookup(handle, &EVENT_TYPE)
}

/// Sets the event behind a handle.
///
/// # Errors
/// As `Handles::lookup`.
pub(super) fn set(handle: HANDLE) -> Result<i32, NTSTATUS> {
    let event = of_handle(handle)?;
    // SAFETY: an event that `event` keeps alive.
    Ok(unsafe { KeSetEvent(event.as_ptr(), 0, 0) })
}

/// Makes an event with a name, or finds it.
///
/// # Errors
/// As the name space; the second answer is STATUS_OBJECT_NAME_EXISTS where the event was there.
fn named(name: &[u16], kind: u32, set: bool, open_if: bool) -> Result<(Ref<Object>, NTSTATUS), NTSTATUS> {
    let made = new(kind, set);
    match kernel().ob.names.create(name, &made, false) {
        Ok(()) => Ok((made, STATUS_SUCCESS)),
        Err(STATUS_OBJECT_NAME_COLLISION) if open_if => match kernel().ob.names.find(None, name, false)? {
            Found::Object { object, .. } if std::ptr::eq(object.kind(), &EVENT_TYPE) => {
                Ok((object, STATUS_OBJECT_NAME_EXISTS))
            }
            _ => Err(STATUS_OBJECT_TYPE_MISMATCH),
        },
        Err(status) => Err(status),
    }
}

/// Makes an event and opens a handle to it. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwCreateEvent(
    handle: *mut HANDLE,
    desired: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    kind: u32,
    set: u8,
) -> NTSTATUS {
    let create = || {
        if kind > SYNCHRONISATION {
            return Err(nt_abi::STATUS_INVALID_PARAMETER);
        }
        let (object, status, flags) = if attributes.is_null() {
            (new(kind, set != 0), STATUS_SUCCESS, 0)
        } else {
            // SAFETY: a driver's pointers.
            let given = unsafe { Attributes::read(attributes) }?;
            match given.name() {
                [] => (new(kind, set != 0), STATUS_SUCCESS, given.flags),
                name => {
                    let (object, status) = named(name, kind, set != 0, given.flags & OBJ_OPENIF != 0)?;
                    (object, status, given.flags)
                }
            }
        };
        let opened = kernel().ob.handles.insert(object, access::granted(desired, &access::OTHER), flags);
        // SAFETY: as above.
        unsafe { handle.write_unaligned(opened) };
        Ok(status)
    };
    create().unwrap_or_else(|status| status)
}

/// Opens a named event. Source: ntifs.h.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwOpenEvent(
    handle: *mut HANDLE,
    desired: u32,
    attributes: *const OBJECT_ATTRIBUTES,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe {
        ob::open::ObOpenObjectByName(
            attributes,
            Some(&EVENT_TYPE),
            0,
            std::ptr::null(),
            desired,
            std::ptr::null(),
            handle,
        )
    }
}

/// Sets an event and tells whether it was set before. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwSetEvent(handle: HANDLE, before: *mut i32) -> NTSTATUS {
    match set(handle) {
        Ok(state) => {
            if !before.is_null() {
                // SAFETY: a driver's pointer.
                unsafe { before.write_unaligned(state) };
            }
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// Clears an event and tells whether it was set before. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwResetEvent(handle: HANDLE, before: *mut i32) -> NTSTATUS {
    match of_handle(handle) {
        Ok(event) => {
            // SAFETY: an event that `event` keeps alive; null or a driver's pointer.
            unsafe {
                let state = KeResetEvent(event.as_ptr());
                if !before.is_null() {
                    before.write_unaligned(state);
                }
            }
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// Clears an event. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwClearEvent(handle: HANDLE) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ZwResetEvent(handle, std::ptr::null_mut()) }
}

/// Returns type and state of an event. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQueryEvent(
    handle: HANDLE,
    class: u32,
    information: *mut u8,
    length: u32,
    told: *mut u32,
) -> NTSTATUS {
    let event = match of_handle(handle) {
        Ok(event) => event,
        Err(status) => return status,
    };
    if class != 0 {
        return nt_abi::STATUS_INVALID_INFO_CLASS;
    }
    if length != 8 {
        return nt_abi::STATUS_INFO_LENGTH_MISMATCH;
    }
    // SAFETY: an event that `event` keeps alive; a driver's pointers.
    unsafe {
        let kind = u32::from((*event.as_ptr()).Header.Type != nt_abi::EventNotificationObject);
        information
            .cast::<[u32; 2]>()
            .write_unaligned([kind, KeReadStateEvent(event.as_ptr()).cast_unsigned()]);
        if !told.is_null() {
            told.write_unaligned(8);
        }
    }
    STATUS_SUCCESS
}

/// Waits for what a handle names: an event, a semaphore, a mutant, a process, a thread. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwWaitForSingleObject(
    handle: HANDLE,
    alertable: u8,
    timeout: *const i64,
) -> NTSTATUS {
    let opened = match kernel().ob.handles.check(handle, None, 0, KERNEL_MODE) {
        Ok(opened) => opened,
        Err(status) => return status,
    };
    let kinds = [
        &EVENT_TYPE,
        &SEMAPHORE_TYPE,
        &MUTANT_TYPE,
        &crate::ps::process::PROCESS_TYPE,
        &crate::ps::thread::THREAD_TYPE,
    ];
    if !kinds.iter().any(|kind| std::ptr::eq(*kind, opened.object.kind())) {
        // A file is waited for by its event, which every request here has set before it returns.
        let file = std::ptr::eq(opened.object.kind(), &crate::io::file::FILE_TYPE);
        return if file { STATUS_SUCCESS } else { STATUS_OBJECT_TYPE_MISMATCH };
    }
    // SAFETY: all these begin with a dispatcher header, and `opened` keeps the object alive.
    unsafe {
        KeWaitForSingleObject(opened.object.as_ptr().cast(), nt_abi::UserRequest, 0, alertable, timeout)
    }
}

/// Waits for what a handle names. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn NtWaitForSingleObject(
    handle: HANDLE,
    alertable: u8,
    timeout: *const i64,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ZwWaitForSingleObject(handle, alertable, timeout) }
}

/// Makes or opens a named event and its handle; null where that fails.
///
/// # Safety
/// The pointers are a driver's.
unsafe fn io_create(name: *const UNICODE_STRING, handle: *mut HANDLE, kind: u32) -> *mut Object {
    let create = || {
        let object = if name.is_null() {
            new(kind, true)
        } else {
            // SAFETY: by this function's contract.
            let name = unsafe { units_of(name) }?;
            named(&name, kind, true, true)?.0
        };
        let opened = kernel().ob.handles.insert(object.clone(), nt_abi::EVENT_ALL_ACCESS, OBJ_KERNEL_HANDLE);
        // SAFETY: by this function's contract.
        unsafe { handle.write_unaligned(opened) };
        Ok::<_, NTSTATUS>(object)
    };
    match create() {
        // As on NT the pointer is as good as the handle: the caller gets no reference of its own.
        Ok(object) => object.as_ptr(),
        Err(_) => std::ptr::null_mut(),
    }
}

/// Makes or opens a named event that stays set until it is cleared. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoCreateNotificationEvent(
    name: *const UNICODE_STRING,
    handle: *mut HANDLE,
) -> *mut Object {
    // SAFETY: a driver's pointers.
    unsafe { io_create(name, handle, NOTIFICATION) }
}

/// Makes or opens a named event that lets one waiter go. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoCreateSynchronizationEvent(
    name: *const UNICODE_STRING,
    handle: *mut HANDLE,
) -> *mut Object {
    // SAFETY: a driver's pointers.
    unsafe { io_create(name, handle, SYNCHRONISATION) }
}

/// Gives the processor to another thread, where one wants it. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwYieldExecution() -> NTSTATUS {
    machine::platform().block(&std::sync::atomic::AtomicU32::new(0), 0, Some(std::time::Duration::ZERO));
    STATUS_SUCCESS
}

/// Lets time pass. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwDelayExecution(alertable: u8, interval: *const i64) -> NTSTATUS {
    // SAFETY: a driver's pointer.
    unsafe { crate::ke::wait::KeDelayExecutionThread(0, alertable, interval) }
}

/// Returns the system time. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQuerySystemTime(time: *mut i64) -> NTSTATUS {
    if time.is_null() {
        return nt_abi::STATUS_ACCESS_VIOLATION;
    }
    // SAFETY: a driver's pointer.
    unsafe { time.write_unaligned(crate::ke::time::now().0) };
    STATUS_SUCCESS
}
