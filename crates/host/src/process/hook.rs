//! Recognising, before `main`, that this process is to be a host.

use std::os::fd::BorrowedFd;

use super::spawn::{MARKER, MARKER_VALUE};
use crate::channel::Channel;
use crate::child;

/// Runs before `main`, in every program that links this crate; does nothing but look at one
/// environment variable unless the program was started to be a host.
///
/// By itself, not by a crate: it is these three lines, and it must come before anything else runs.
#[used]
// SAFETY: the section holds pointers to functions that the C library calls before `main`.
#[unsafe(link_section = ".init_array")]
static HOOK: extern "C" fn() = hook;

/// Keeps the hook in any program that can start a host: a reference from what is surely linked.
pub(super) fn is_linked() -> bool {
    let hook: *const extern "C" fn() = &raw const HOOK;
    // SAFETY: reads a pointer-sized static; volatile, so that nothing is folded away.
    unsafe { hook.read_volatile() as usize != 0 }
}

extern "C" fn hook() {
    // SAFETY: no other thread runs yet that could change the environment.
    let marker = unsafe { libc::getenv(MARKER.as_ptr()) };
    if marker.is_null() {
        return;
    }
    // SAFETY: `getenv` gave a C string, and nobody changes it meanwhile.
    let ours = unsafe { std::ffi::CStr::from_ptr(marker) } == MARKER_VALUE;
    // Nothing this process may start is to take itself for a host.
    // SAFETY: as for `getenv`.
    unsafe { libc::unsetenv(MARKER.as_ptr()) };
    // The channel is the standard input: inherited by this process alone, whatever else its parent starts.
    // SAFETY: borrowed for the call; a descriptor that is closed gives an error there.
    let input = unsafe { BorrowedFd::borrow_raw(libc::STDIN_FILENO) };
    if ours && let Some(channel) = Channel::open(input) {
        child::main(channel);
    }
}
