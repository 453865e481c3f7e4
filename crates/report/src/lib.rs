//! One stream of records in, one sink per format out.
//!
//! ```text
//!                       ┌─▶ Human    human/    the timeline that people read, and its summary
//!   Record ─▶ Fanout ───┼─▶ Ndjson   ndjson/   one JSON object a line, schema `callboard.record/1`
//!             sink.rs   ├─▶ Html     html/     one page for a browser: the process tree over time
//!                       └─▶ Summary  summary.rs, tally.rs   what it all came to (exit codes)
//!
//!   output.rs  whole lines to a writer, the first failure told once      error.rs
//!   names.rs   what processes and drivers are called, from the records seen so far
//!   histogram.rs  how long many calls took
//!   escape.rs  what a driver prints cannot control a terminal            words.rs  moment.rs
//! ```
//!
//! A sink never fails on what a record says and never decides anything: what a driver did is shown, and
//! whether it is good enough is for the caller, who has a [`Summary`] for it.
#![forbid(unsafe_code)]

mod error;
mod escape;
mod histogram;
pub mod html;
pub mod human;
mod moment;
mod names;
pub mod ndjson;
mod output;
mod sink;
mod summary;
mod tally;
mod words;

pub use error::SinkError;
pub use histogram::Histogram;
pub use html::Html;
pub use human::Human;
pub use ndjson::Ndjson;
pub use output::{LineFile, Pace, Truncate};
pub use sink::{Fanout, Sink};
pub use summary::{Command, Driver, Missing, Summary};
pub use tally::Tally;
