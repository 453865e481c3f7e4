//! Who: processes, threads and drivers.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The id of an NT process: a multiple of 4 (R-CB-02). 0 is the Idle process, 4 is System.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId(pub u32);

/// The id of an NT thread: a multiple of 4, from the same number space as process ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ThreadId(pub u32);

/// Where the thread ids of a live source start. Linux lets a thread share its number with its
/// process (and every number is below 2^22); NT takes both from one table, so threads move up.
const LIVE_THREADS: u32 = 4 << 22;

impl ProcessId {
    /// The process whose images are drivers: announced as process 0 (R-IMG-01).
    pub const IDLE: Self = Self(0);
    /// The System process.
    pub const SYSTEM: Self = Self(4);

    /// The id that a Linux process has on a live bench: `(pid + 1) * 4`, so that pid 1 is not System.
    pub const fn from_linux(pid: u32) -> Self {
        Self((pid + 1) * 4)
    }

    /// The Linux process behind an id of a live bench.
    pub const fn to_linux(self) -> Option<u32> {
        match (self.0 / 4).checked_sub(1) {
            Some(pid) if pid > 0 => Some(pid),
            _ => None,
        }
    }
}

impl ThreadId {
    /// The id that a Linux thread has on a live bench.
    pub const fn from_linux(tid: u32) -> Self {
        Self(LIVE_THREADS + tid * 4)
    }

    /// The Linux thread behind an id of a live bench.
    pub const fn to_linux(self) -> Option<u32> {
        match self.0.checked_sub(LIVE_THREADS) {
            Some(scaled) => Some(scaled / 4),
            None => None,
        }
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A thread together with its process, as NT's `CLIENT_ID`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientId {
    /// The process that owns the thread.
    pub process: ProcessId,
    /// The thread.
    pub thread: ThreadId,
}

impl ClientId {
    /// A live Linux thread, by its process and thread numbers.
    pub const fn from_linux(pid: u32, tid: u32) -> Self {
        Self { process: ProcessId::from_linux(pid), thread: ThreadId::from_linux(tid) }
    }
}

/// A loaded driver: its place in the order of loading, from 0. Never reused in a bench.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DriverId(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_cb_02_live_ids_are_multiples_of_four_and_distinct() {
        for number in [1, 2, 77, 4_194_304 - 1] {
            let (process, thread) = (ProcessId::from_linux(number), ThreadId::from_linux(number));
            assert_eq!((process.0 % 4, thread.0 % 4), (0, 0));
            assert_ne!(process.0, thread.0);
            assert_eq!(process.to_linux(), Some(number));
            assert_eq!(thread.to_linux(), Some(number));
        }
    }

    #[test]
    fn no_live_process_is_system_or_idle() {
        assert!(ProcessId::from_linux(1) > ProcessId::SYSTEM);
        assert_eq!(ProcessId::SYSTEM.to_linux(), None);
        assert!(ThreadId::from_linux(1).0 > ProcessId::from_linux(4_194_303).0);
    }
}
