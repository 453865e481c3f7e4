//! Namespaces of its own, and nothing in them.

use std::io::{Error, Result};
use std::ptr::null;

use super::report::{Layer, Report};

/// What is left to take after the user namespace, each for itself so that one refusal costs only that one.
const NAMESPACES: [(Layer, i32); 4] = [
    (Layer::MountNamespace, libc::CLONE_NEWNS),
    (Layer::NetworkNamespace, libc::CLONE_NEWNET),
    (Layer::IpcNamespace, libc::CLONE_NEWIPC),
    (Layer::UtsNamespace, libc::CLONE_NEWUTS),
];

/// Moves the calling process into namespaces of its own, as far as it may.
///
/// There is no process namespace: one is entered by the next child only, and a host has none. That
/// it cannot signal or trace others is the business of the system-call filter and Landlock.
pub(super) fn enter(report: &mut Report) {
    // First, because it gives the right to the others where the user has none.
    report.note(Layer::UserNamespace, unshare(libc::CLONE_NEWUSER));
    let mut own_mounts = false;
    for (layer, flag) in NAMESPACES {
        let result = unshare(flag);
        own_mounts |= layer == Layer::MountNamespace && result.is_ok();
        report.note(layer, result);
    }
    if own_mounts {
        report.note(Layer::EmptyRoot, empty_root());
    }
}

fn unshare(flag: i32) -> Result<()> {
    // SAFETY: changes which namespaces this process is in; touches no memory.
    check(unsafe { libc::unshare(flag) })
}

/// Makes an empty read-only directory the root, in a mount namespace of one's own.
fn empty_root() -> Result<()> {
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC | libc::MS_RDONLY;
    // Nothing done here reaches the namespace that was left.
    // SAFETY: all strings are C strings, null where the call takes none.
    check(unsafe { libc::mount(null(), c"/".as_ptr(), null(), libc::MS_REC | libc::MS_PRIVATE, null()) })?;
    // Any directory that is there would do; the program was started through this one.
    // SAFETY: as above.
    check(unsafe {
        libc::mount(
            c"none".as_ptr(),
            c"/proc".as_ptr(),
            c"tmpfs".as_ptr(),
            flags,
            c"size=4k,mode=555".as_ptr().cast(),
        )
    })?;
    // SAFETY: a C string.
    check(unsafe { libc::chdir(c"/proc".as_ptr()) })?;
    // SAFETY: C strings. The old root is stacked on the new one …
    check(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })?;
    // SAFETY: a C string. … and taken off.
    check(unsafe { libc::umount2(c".".as_ptr(), libc::MNT_DETACH) })?;
    // SAFETY: a C string.
    check(unsafe { libc::chdir(c"/".as_ptr()) })
}

fn check(result: impl Into<i64>) -> Result<()> {
    if result.into() < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}
