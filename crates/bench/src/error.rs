//! What a call came to when it did not work.

use core::fmt;

use event::{DriverId, Stop, StopKind};
use host::BenchError;
use nt_abi::{BugCheckCode, NTSTATUS};

/// Something that did not work, as Windows would say it to the program that asked.
///
/// Its `Debug` is its `Display`: what a test that returns it prints is a sentence.
#[derive(thiserror::Error)]
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
    #[error("the machine has stopped{}: {}", with_code(.0), .0.message)]
    Stopped(Box<Stop<'static>>),
    /// Drivers broke rules, or left something behind: a line for each. Only [`Bench::finish_clean`](crate::Bench::finish_clean)
    /// says so.
    #[error("the drivers did something wrong:{}", .0.iter().map(|line| format!("\n  {line}")).collect::<String>())]
    Unclean(Vec<String>),
    /// The host could not be started, a driver was not loaded or unloaded, a value was not written.
    #[error(transparent)]
    Host(BenchError),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bug check of a stop, where it is one.
fn with_code(stop: &Stop<'_>) -> String {
    match stop.kind {
        StopKind::BugCheck => format!(" with bug check {}", BugCheckCode(stop.code)),
        _ => String::new(),
    }
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
            Self::Host(_) | Self::Stopped(_) | Self::Unclean(_) => None,
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
