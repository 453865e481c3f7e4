//! What can go wrong while writing.

use std::io;

/// An output that could not be written, with what is left of it and what to do.
///
/// Told once per output: the sink writes nothing more, and the run may go on without it.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The disk, quota or file size limit is used up.
    #[error(
        "{output}: no room left after {lines} lines; they are kept, later records are not written: free some space \
         or write somewhere else"
    )]
    Full {
        /// The output: its path, or what it is called.
        output: String,
        /// How many whole lines it holds, at least.
        lines: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever read the output has gone (`| head`).
    #[error("{output}: its reader closed it after {lines} lines; later records are not written")]
    Closed {
        /// The output: its path, or what it is called.
        output: String,
        /// How many whole lines were handed over.
        lines: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else the system said.
    #[error(
        "{output}: cannot be written after {lines} lines: {error}; they are kept, later records are not written"
    )]
    Write {
        /// The output: its path, or what it is called.
        output: String,
        /// How many whole lines it holds, at least.
        lines: u64,
        /// What the system said.
        error: io::Error,
    },
    /// Several outputs failed at the same record.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<SinkError>),
}

impl SinkError {
    pub(crate) fn new(output: &str, lines: u64, source: io::Error) -> Self {
        let output = output.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { output, lines, source }
            }
            io::ErrorKind::BrokenPipe => Self::Closed { output, lines, source },
            _ => Self::Write { output, lines, error: source },
        }
    }
}
