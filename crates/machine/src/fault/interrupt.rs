//! Stopping a thread from outside, wherever it is: what a watchdog does with driver code that does not come back.

use std::sync::Mutex;

use crate::stop::BugCheck;

/// Why threads are to stop, by their ids. A handler takes its own entry only.
static ORDERED: Mutex<Vec<(i32, BugCheck)>> = Mutex::new(Vec::new());

/// The signal that carries the order: the first that the C library leaves to programs.
pub(super) fn signal() -> libc::c_int {
    libc::SIGRTMIN()
}

/// The id of this thread, for [`stop_thread`].
pub fn this_thread() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// Makes another thread stop with this bug check, with its own registers and stack. The thread must be attached;
/// one that is just in a fault handler ignores the order, so ask again after a while. Does nothing to a
/// thread that is reporting a stop.
///
/// # Errors
/// What the system says, for example that there is no such thread.
pub fn stop_thread(thread: i32, check: BugCheck) -> std::io::Result<()> {
    if let Ok(mut ordered) = ORDERED.lock() {
        ordered.retain(|(other, _)| *other != thread);
        ordered.push((thread, check));
    }
    // SAFETY: sends a signal to a thread of this process.
    let rc = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal()) };
    if rc == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// The order for this thread, if there is one and nobody is just changing the list.
pub(super) fn order() -> Option<BugCheck> {
    let me = this_thread();
    // Never waits: the thread may have been interrupted while it held the lock itself.
    let mut ordered = ORDERED.try_lock().ok()?;
    let index = ordered.iter().position(|(thread, _)| *thread == me)?;
    Some(ordered.swap_remove(index).1)
}
