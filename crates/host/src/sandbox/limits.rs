//! Privileges, capabilities and resource limits.

use std::io::{Error, Result};

/// Address space: the kernel's model reserves much and uses little.
const ADDRESS_SPACE: u64 = 64 << 30;
/// Private writable memory: drivers' pools, stacks, the kernel's objects.
const DATA: u64 = 4 << 30;
/// Threads, where they are counted for this host alone.
const THREADS: u64 = 1024;

/// No `execve` gives more rights than the process has.
pub(super) fn no_new_privileges() -> Result<()> {
    // SAFETY: sets a flag of the process.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// Gives up every capability, for good.
pub(super) fn drop_capabilities() -> Result<()> {
    // SAFETY: changes a set of flags of the process.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    for capability in 0..64 {
        // SAFETY: as above.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            // Beyond the last that this kernel knows, or not ours to drop; the sets below decide.
            break;
        }
    }
    /// `_LINUX_CAPABILITY_VERSION_3`: 64 capabilities in two halves.
    const VERSION: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION, 0];
    let none = [0_u32; 6];
    // SAFETY: both arrays have the layout and size of that version, and are only read.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) })
}

/// Bounds what the process may use. `own_users`: threads are counted in a user namespace of its own.
pub(super) fn bound(own_users: bool, debug: bool) -> Result<()> {
    limit(libc::RLIMIT_CORE, 0)?;
    limit(libc::RLIMIT_AS, ADDRESS_SPACE)?;
    limit(libc::RLIMIT_DATA, DATA)?;
    limit(libc::RLIMIT_MEMLOCK, 0)?;
    limit(libc::RLIMIT_MSGQUEUE, 0)?;
    if own_users {
        limit(libc::RLIMIT_NPROC, THREADS)?;
    }
    if debug {
        return Ok(());
    }
    limit(libc::RLIMIT_FSIZE, 0)?;
    limit(libc::RLIMIT_NOFILE, 0)?;
    // Nobody else of the same user may look into the process: its memory is a driver's.
    // SAFETY: sets a flag of the process.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
}

/// Has the system kill this process when the thread that started it ends; ends at once when `parent` is gone.
pub(super) fn die_with(parent: u32) {
    // SAFETY: sets a property of the process.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: asks for a number.
    if unsafe { libc::getppid() }.cast_unsigned() != parent {
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) }
    }
}

/// Sets a limit, hard and soft, or leaves a stricter one.
fn limit(what: libc::__rlimit_resource_t, value: u64) -> Result<()> {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `now` is ours to write.
    check(unsafe { libc::getrlimit(what, &raw mut now) })?;
    let value = value.min(now.rlim_max);
    let new = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: `new` is only read.
    check(unsafe { libc::setrlimit(what, &raw const new) })
}

fn check(result: impl Into<i64>) -> Result<()> {
    if result.into() < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}
