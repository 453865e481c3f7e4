//! Process and thread ids. Both are drawn from one space on Windows, so the types keep them apart.

use core::fmt;

use crate::abi::{ClientIdPair, Handle};

/// A process id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pid(usize);

/// A thread id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tid(usize);

/// Which thread of which process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientId {
    /// The process.
    pub process: Pid,
    /// The thread.
    pub thread: Tid,
}

macro_rules! id {
    ($name:ident) => {
        impl $name {
            pub(crate) fn from_handle(handle: Handle) -> Self {
                Self(handle.addr())
            }

            /// The number that tools show.
            #[must_use]
            pub const fn get(self) -> usize {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id!(Pid);
id!(Tid);

impl ClientId {
    pub(crate) fn from_pair(pair: ClientIdPair) -> Self {
        Self { process: Pid::from_handle(pair.process), thread: Tid::from_handle(pair.thread) }
    }
}
