//! How a host ended, in words.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::channel::{Damage, InFlight};

/// Why the bench itself ended a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A lane made no progress within its limit.
    Hang {
        /// The limit, in milliseconds.
        limit: u64,
        /// The routine that did not return, where one is known.
        routine: Option<InFlight>,
    },
    /// The channel holds what no host writes.
    Damaged(Damage),
    /// The bench is dropped.
    Closed,
}

/// The end of a host process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// It exited or was killed.
    Status(ExitStatus),
    /// Somebody else in the program has waited for it, so that nobody knows how.
    Unknown,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Status(status) = self else {
            return f.write_str("ended in an unknown way (another part of the program waited for it)");
        };
        match (status.signal(), status.code()) {
            (Some(signal), _) => write!(f, "was killed by {}", SignalName(signal)),
            (None, Some(code)) => write!(f, "exited with code {code}"),
            (None, None) => write!(f, "ended: {status}"),
        }
    }
}

/// A signal for people.
struct SignalName(i32);

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            libc::SIGSEGV => "SIGSEGV (an access to memory that nobody handled)",
            libc::SIGBUS => "SIGBUS",
            libc::SIGILL => "SIGILL (an instruction that nobody handled)",
            libc::SIGFPE => "SIGFPE",
            libc::SIGABRT => "SIGABRT",
            libc::SIGTRAP => "SIGTRAP (a breakpoint that nobody handled)",
            libc::SIGKILL => "SIGKILL (by a user, or for want of memory)",
            libc::SIGSYS => "SIGSYS (a system call through the 32-bit gate)",
            libc::SIGTERM => "SIGTERM",
            other => return write!(f, "signal {other}"),
        };
        f.write_str(name)
    }
}
