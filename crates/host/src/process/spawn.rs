//! Starting a host.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::executive::Which;
use crate::sandbox::Policy;

/// The environment variable by which a process knows that it is to be a host.
pub(super) const MARKER: &CStr = c"CALLBOARD_HOST";
/// What it holds: the version of the arrangement.
pub(super) const MARKER_VALUE: &CStr = c"channel-1-on-stdin";

/// What a host keeps of its parent's environment: what the dynamic linker needs to find the program's
/// libraries. The rest is nobody's business in there.
const KEPT: [&str; 1] = ["LD_LIBRARY_PATH"];

/// How a host is to start: what it must know before it has read any request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// How much sandbox there has to be.
    pub(crate) policy: Policy,
    /// Keep the standard error.
    pub(crate) debug: bool,
    /// What runs in it.
    pub(crate) executive: Which,
}

const OFF: u32 = 1;
const DEBUG: u32 = 2;
const TRIAL: u32 = 4;

impl Start {
    /// As a word of the channel's header.
    pub(crate) fn to_bits(self) -> u32 {
        let mut bits = 0;
        if self.policy == Policy::Off {
            bits |= OFF;
        }
        if self.debug {
            bits |= DEBUG;
        }
        if self.executive != Which::Kernel {
            bits |= TRIAL;
        }
        bits
    }

    /// Back from the header.
    pub(crate) fn from_bits(bits: u32) -> Self {
        let mut start = Self { policy: Policy::Required, debug: bits & DEBUG != 0, executive: Which::Kernel };
        if bits & OFF != 0 {
            start.policy = Policy::Off;
        }
        #[cfg(any(test, feature = "trial"))]
        if bits & TRIAL != 0 {
            start.executive = Which::Trial;
        }
        start
    }
}

/// A host could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    /// The program cannot be executed again.
    #[error(
        "cannot start the driver host, which is this program once more (/proc/self/exe): {0}; /proc must be mounted and \
         the program's file executable"
    )]
    Execute(#[source] io::Error),
    /// Not even nothing can be opened.
    #[error("cannot open /dev/null, which the driver host gets as its output: {0}")]
    Null(#[source] io::Error),
    /// The process is there and cannot be watched.
    #[error("cannot watch the driver host (pidfd_open): {0}; Linux 5.4 or later is needed")]
    Watch(#[source] io::Error),
    /// The hook was stripped from the program.
    #[error(
        "this program was linked without the driver host's start-up hook (.init_array); do not strip that section"
    )]
    Hook,
}

/// How a host is started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How {
    /// Its standard error is kept.
    pub(crate) debug: bool,
    /// Its memory is laid out in the same way in every run, where this machine permits that.
    pub(crate) fixed: bool,
}

/// Where the system puts what the host maps.
///
/// Images of processes, those of Windows as those of Linux, lie below the end of user space, which is where the system
/// begins as well. What drivers read of a process is put where it is there (R-IMG-02), so the host has to be elsewhere:
/// the old layout begins at a third of user space.
fn layout(fixed: bool) -> libc::c_ulong {
    let flags = libc::ADDR_COMPAT_LAYOUT | if fixed { libc::ADDR_NO_RANDOMIZE } else { 0 };
    libc::c_ulong::from(flags.cast_unsigned())
}

/// Starts a host on a channel.
pub(super) fn spawn(channel: OwnedFd, how: How) -> Result<(Child, OwnedFd), SpawnError> {
    if !super::hook::is_linked() {
        return Err(SpawnError::Hook);
    }
    // Opened here, so that its failure is not taken for the program's.
    let nothing = || File::options().write(true).open("/dev/null").map(Stdio::from).map_err(SpawnError::Null);
    let mut command = Command::new("/proc/self/exe");
    command.arg0("callboard-host").env_clear();
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env(MARKER.to_string_lossy().as_ref(), MARKER_VALUE.to_string_lossy().as_ref())
        .stdin(Stdio::from(channel))
        .stdout(nothing()?)
        .stderr(if how.debug { Stdio::inherit() } else { nothing()? })
        // Signals of the terminal are for the command that is traced, and for the bench.
        .process_group(0);
    let layout = layout(how.fixed);
    let lay_out = move || {
        // SAFETY: a system call of its own process alone, which may be made between fork and exec. A machine that does not
        // permit it gives each run another layout, and nothing else.
        unsafe { libc::personality(layout) };
        Ok(())
    };
    // SAFETY: `lay_out` makes one system call, and neither allocates nor takes a lock.
    unsafe { command.pre_exec(lay_out) };
    let mut child = command.spawn().map_err(SpawnError::Execute)?;
    match open_pidfd(child.id()) {
        Ok(pidfd) => Ok((child, pidfd)),
        Err(error) => {
            // It has no parent any more that could hold it to anything.
            let _ = child.kill();
            let _ = child.wait();
            Err(SpawnError::Watch(error))
        }
    }
}

fn open_pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: makes a new descriptor. The child has not been waited for, so the number is still its own.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the descriptor was made just now and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Kills a host. Does nothing to one that is dead.
pub(super) fn kill(pidfd: &OwnedFd) {
    // SAFETY: sends a signal to exactly that process; the pointer may be null.
    unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            libc::SIGKILL,
            std::ptr::null::<u8>(),
            0,
        );
    }
}
