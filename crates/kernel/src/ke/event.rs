//! Events and semaphores.

use export_macro::export;
use nt_abi::{EventNotificationObject, KEVENT, KSEMAPHORE, SemaphoreObject};

use super::dispatcher::{self, state};
use super::irql::violation;
use crate::kernel;

/// STATUS_SEMAPHORE_LIMIT_EXCEEDED.
const LIMIT_EXCEEDED: u32 = 0xC000_0047;

/// Sets an event on the kernel's own account and answers its old state.
///
/// # Safety
/// `event` is an event.
pub(crate) unsafe fn set(event: *mut KEVENT) -> i32 {
    // SAFETY: by this function's contract.
    unsafe { set_as(event, 0) }
}

/// Sets an event as the act of a thread, and answers its old state.
///
/// # Safety
/// `event` is an event.
unsafe fn set_as(event: *mut KEVENT, actor: usize) -> i32 {
    let object = event.expose_provenance();
    // SAFETY: by this function's contract.
    unsafe {
        dispatcher::touch(object);
        let mut waiters = kernel().ke.dispatcher.lock();
        let before = state(object);
        dispatcher::set_state(object, 1);
        waiters.signal(object, actor);
        before
    }
}

/// Clears an event and answers its old state.
///
/// # Safety
/// `event` is an event.
unsafe fn clear(event: *mut KEVENT) -> i32 {
    let object = event.expose_provenance();
    // SAFETY: by this function's contract.
    unsafe {
        dispatcher::touch(object);
        let _waiters = kernel().ke.dispatcher.lock();
        let before = state(object);
        dispatcher::set_state(object, 0);
        before
    }
}

/// Makes an event: of notification type (0) or synchronization type (1), set or not. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeInitializeEvent(event: *mut KEVENT, kind: u32, set: u8) {
    let kind = EventNotificationObject + u8::from(kind != 0);
    // SAFETY: the driver's event.
    unsafe {
        dispatcher::initialize(&raw mut (*event).Header, kind, size_of::<KEVENT>(), i32::from(set != 0))
    };
}

/// Sets an event, wakes who waits for it, and returns whether it was set before. Source: DDI; 0xC4/0x80.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeSetEvent(event: *mut KEVENT, _increment: i32, _wait: u8) -> i32 {
    let irql = machine::irql::current();
    if irql > machine::Irql::DISPATCH {
        let message = format!("KeSetEvent was called at {irql}; set events at DISPATCH_LEVEL or lower");
        violation(&message, [0x80, irql.level().into(), event.addr() as u64, 0]);
    }
    // SAFETY: the driver's event.
    unsafe { set_as(event, dispatcher::acting_thread()) }
}

/// Clears an event and returns whether it was set before. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeResetEvent(event: *mut KEVENT) -> i32 {
    // SAFETY: the driver's event.
    unsafe { clear(event) }
}

/// Clears an event. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeClearEvent(event: *mut KEVENT) {
    // SAFETY: the driver's event.
    unsafe { clear(event) };
}

/// Wakes who waits for an event at this moment, leaves it cleared, and returns whether it was set before. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KePulseEvent(event: *mut KEVENT, _increment: i32, _wait: u8) -> i32 {
    let object = event.expose_provenance();
    // SAFETY: the driver's event.
    unsafe {
        dispatcher::touch(object);
        let mut waiters = kernel().ke.dispatcher.lock();
        let before = state(object);
        dispatcher::set_state(object, 1);
        waiters.signal(object, dispatcher::acting_thread());
        dispatcher::set_state(object, 0);
        before
    }
}

/// Returns whether an event is set. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeReadStateEvent(event: *mut KEVENT) -> i32 {
    // SAFETY: the driver's event.
    unsafe { state(event.expose_provenance()) }
}

/// Makes a semaphore with a count and a limit. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeInitializeSemaphore(semaphore: *mut KSEMAPHORE, count: i32, limit: i32) {
    // SAFETY: the driver's semaphore.
    unsafe {
        dispatcher::initialize(&raw mut (*semaphore).Header, SemaphoreObject, size_of::<KSEMAPHORE>(), count);
        (*semaphore).Limit = limit;
    }
}

/// Adds to the count of a semaphore and returns the old one; raises when the limit would be exceeded. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeReleaseSemaphore(
    semaphore: *mut KSEMAPHORE,
    _increment: i32,
    add: i32,
    _wait: u8,
) -> i32 {
    let object = semaphore.expose_provenance();
    // SAFETY: the driver's semaphore.
    unsafe {
        dispatcher::touch(object);
        let limit = (*semaphore).Limit;
        let mut waiters = kernel().ke.dispatcher.lock();
        let before = state(object);
        match before.checked_add(add) {
            Some(after) if after <= limit && after >= before => {
                dispatcher::set_state(object, after);
                waiters.signal(object, dispatcher::acting_thread());
                before
            }
            _ => {
                drop(waiters);
                crate::rtl::raise_status(LIMIT_EXCEEDED)
            }
        }
    }
}

/// Returns the count of a semaphore. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeReadStateSemaphore(semaphore: *mut KSEMAPHORE) -> i32 {
    // SAFETY: the driver's semaphore.
    unsafe { state(semaphore.expose_provenance()) }
}
