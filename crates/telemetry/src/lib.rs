//! What other tools have recorded of Windows machines, read record by record.
//!
//! ```text
//!   file, pipe ──▶ container (plain, gzip, zip) ──▶ format, by content ──▶ Feed ──▶ Told | Rejected | Events | Idle
//!                                                   evtx  json  procmon    feed/
//!                                                   recording
//! ```
//!
//! A reader tells what stands in its file and adds nothing: what is missing is `None`. What a machine did is made of that
//! by the normaliser (`source::replay`), which knows what drivers are owed. Nothing here holds more of a file than one
//! record (or one chunk of it) at a time, and nothing panics on what a file holds.
#![forbid(unsafe_code)]

mod civil;
mod container;
mod evtx;
mod feed;
mod fields;
mod format;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod json;
mod logged;
mod names;
mod open;
#[cfg(feature = "fuzzing")]
pub mod oracle;
pub mod procmon;
mod record;
pub mod recording;
mod security;
mod supersede;
mod sysmon;
mod time;
mod unique;
mod utf16;

pub use container::{Bytes, Part};
pub use feed::{Fed, Feed};
pub use format::{Format, PREFIX, detect};
pub use open::{Contents, OpenError, Reader, Skipped, look, look_bytes, look_live, open, open_bytes, read};
pub use record::{
    DriverLoad, ImageLoad, Log, ProcessCreate, ProcessExit, Reason, RecordId, Rejected, Subject, ThreadEvent,
    Told, What,
};
pub use time::parse as moment;
pub use unique::Unique;

/// What a file holds, one record after the other, in the order of the file: each is accepted or rejected, and none is left
/// out, so that what was accepted and what was rejected is what was read.
pub type Records<'a> = Box<dyn Iterator<Item = Result<Box<Told>, Rejected>> + Send + 'a>;

/// Why a record is not told: the reason, and what exactly.
pub(crate) type Refusal = (Reason, String);

/// The record for what ends a file before its end.
pub(crate) fn damage(number: u64, error: &std::io::Error) -> Rejected {
    let reason = match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Reason::Truncated,
        _ => Reason::Damaged,
    };
    Rejected { number, reason, detail: format!("nothing more can be read: {error}") }
}
