//! What a call came to when it did not work.

use core::fmt;

use event::{DriverId, Stop};
use host::BenchError;
use nt_abi::NTSTATUS;

/// Something that did not work, as Windows would say it to the program that asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A driver refused the creation of a process.
    #[error("{0}")]
    Refused(Refused),
    /// NT does not do it.
    #[error("{what}: {status}")]
    Failed {
        /// What was asked for, and why it is not done.
        what: String,
        /// What the caller gets.
        status: NTSTATUS,
    },
    /// The machine has stopped, now or before: a bug check, a hang, the end of the drivers' process.
    #[error("the machine has stopped: {}", .0.message)]
    Stopped(Box<Stop<'static>>),
    /// The host could not be started, a driver was not loaded or unloaded, a value was not written.
    #[error(transparent)]
    Host(BenchError),
}

impl Error {
    /// The status that the caller would get on Windows, where there is one.
    pub fn status(&self) -> Option<NTSTATUS> {
        match self {
            Self::Refused(refused) => Some(refused.status),
            Self::Failed { status, .. } => Some(*status),
            Self::Host(
                BenchError::Refused { status, .. }
                | BenchError::Load { status, .. }
                | BenchError::Unload { status, .. },
            ) => Some(*status),
            Self::Host(_) | Self::Stopped(_) => None,
        }
    }

    /// The refusal, where it is one.
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Refused(refused) => Some(refused),
            _ => None,
        }
    }

    /// The stop, where the machine has stopped.
    pub fn stop(&self) -> Option<&Stop<'static>> {
        match self {
            Self::Stopped(stop) => Some(stop),
            _ => None,
        }
    }
}

/// A process creation that a driver refused (R-VETO-02).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What the creator gets, exactly as the driver wrote it.
    pub status: NTSTATUS,
    /// The driver that wrote it last.
    pub driver: Option<DriverId>,
    /// That driver's service.
    pub service: Option<String>,
    /// What was to be created.
    pub image: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = self.service.as_deref().unwrap_or("a driver");
        write!(f, "{who} refused {} with {}", self.image, self.status)
    }
}
