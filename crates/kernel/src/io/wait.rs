//! Events of drivers.

use nt_abi::KEVENT;

/// Sets an event, without a boost.
///
/// # Safety
/// `event` is an initialised event.
pub(super) unsafe fn set_event(event: *mut KEVENT) {
    // SAFETY: by this function's contract.
    unsafe { crate::ke::event::KeSetEvent(event, 0, 0) };
}
