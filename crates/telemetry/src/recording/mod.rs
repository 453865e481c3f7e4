//! Callboard's own recordings, `.cbr`: events with all that they hold.
//!
//! ```text
//!   header │ block │ block │ … │ index │ block │ … │ index │ footer
//!            └ events, as they cross the channel, some hundred in a block
//! ```
//!
//! | part | what |
//! |---|---|
//! | `frame` | what every part but the header looks like: a marker, a length, two checksums |
//! | `header` | version, machine, beginning, source |
//! | `write` | [`Writer`]: a block at a time, each by one write |
//! | `read` | [`Reader`]: from front to back, around what is damaged; [`Account`] says what that was |
//! | `index` | where which time and which process is; at the end, rebuilt where it is missing |
//! | `select` | [`Indexed`]: only some of it |
//! | `ndjson` | the same as text, both ways |
//! | `events` | [`Events`]: of both forms, and of all recordings in a file |
//!
//! **What is durable.** A block is handed to the system by one write, at the latest [`Options::max_age`] after its first
//! event (when the writer is called: see [`Writer::tick`]). From then on it outlives the process, also one that is killed.
//! It does not outlive a power cut before the system has written it to the disk: whoever needs that syncs the file.
//! What is read back after a crash is every block that was written as a whole; no footer says that it was one.
//!
//! **What is not known yet.** A frame of a kind that is not known is passed over and counted, reserved fields are written as
//! 0 and not looked at. Anything that an older reader would misunderstand is another version, which it refuses by its number.
//! The wire form of events is not self-describing: it has a number of its own in the header, and a test that fails when it
//! changes without.

mod account;
mod events;
mod frame;
mod header;
mod index;
mod ndjson;
mod read;
mod select;
mod window;
mod write;

pub use account::{Account, Ending, Gap};
pub use events::Events;
pub(crate) use events::TOGETHER;
pub use header::Meta;
pub use ndjson::{Import, LineError, from_ndjson, to_ndjson, write_event, write_first, write_last};
pub use read::{BadRecord, Reader};
pub use select::{Indexed, Query, Selection};
pub use write::{Options, Writer};

/// Why a file is not read as a recording.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It does not begin as recordings do.
    #[error("the file is no recording of Callboard's")]
    Magic,
    /// It was written by a newer Callboard.
    #[error(
        "the recording has {what} {found}, and this Callboard knows those up to {known}: read it with a newer one"
    )]
    Newer {
        /// What is newer.
        what: &'static str,
        /// What the file has.
        found: u32,
        /// What is known.
        known: u32,
    },
    /// Its first line is not understood.
    #[error("{0}")]
    Lines(String),
}
