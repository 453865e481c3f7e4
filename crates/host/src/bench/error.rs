//! What can go wrong with a bench.

use std::io;
use std::path::PathBuf;

use nt_abi::NTSTATUS;

use crate::process::SpawnError;

/// Something a bench was asked for did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// There is no shared memory for the channel.
    #[error(
        "cannot make the memory that is shared with the driver host (memfd): {0}; raise the limit on memory or open files"
    )]
    Channel(#[source] io::Error),
    /// The host cannot be started.
    #[error("{0}")]
    Start(String, #[source] Option<io::Error>),
    /// The host ended while it started.
    #[error("the driver host could not start: {0}")]
    Died(String),
    /// The host refused what it was asked: the profile is unknown, the registry value makes no sense.
    #[error("the driver host refused: {message}")]
    Refused {
        /// The status that goes with it.
        status: NTSTATUS,
        /// Why.
        message: String,
    },
    /// A driver's file cannot be read.
    #[error("cannot read the driver {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A driver's image is larger than the staging area.
    #[error("the driver {path} has {size} bytes; a bench takes at most {limit}")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size in bytes.
        size: usize,
        /// The largest that is taken.
        limit: usize,
    },
    /// A driver was not loaded: its image is bad, or its DriverEntry failed.
    #[error("the driver {name} was not loaded: {message}")]
    Load {
        /// The service's name.
        name: String,
        /// The loader's status, or DriverEntry's.
        status: NTSTATUS,
        /// Why, and what to do.
        message: String,
    },
    /// A driver was not unloaded.
    #[error("the driver was not unloaded: {message}")]
    Unload {
        /// The status.
        status: NTSTATUS,
        /// Why.
        message: String,
    },
    /// The buffers of a request to a device are larger than the area for them.
    #[error("the buffers of a request to a device have {size} bytes; a bench takes at most {limit}")]
    Buffers {
        /// Their size in bytes, together.
        size: usize,
        /// The most that is taken.
        limit: usize,
    },
    /// A request to a device is pending, and nothing that could end it is left to happen.
    #[error("the request is still pending: no driver runs, and nothing is due that could complete it")]
    Pending,
    /// A request is longer than the channel takes.
    #[error("a request to the driver host is longer than {0} bytes; shorten the value or the name")]
    TooLong(usize),
    /// The host is dead, or was finished: the last record that [`drain`](crate::Bench::drain) hands over says why.
    #[error("the driver host is gone; its last record says why")]
    Gone,
}

impl From<SpawnError> for BenchError {
    fn from(error: SpawnError) -> Self {
        let text = error.to_string();
        match error {
            SpawnError::Execute(source) | SpawnError::Null(source) | SpawnError::Watch(source) => {
                Self::Start(text, Some(source))
            }
            SpawnError::Hook => Self::Start(text, None),
        }
    }
}
