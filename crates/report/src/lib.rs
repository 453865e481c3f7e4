//! One stream of records in, one sink per format out.
//!
//! ```text
//!                       ┌─▶ Human    human/    the timeline that people read, and its summary
//!   Record ─▶ Fanout ───┼─▶ Ndjson   ndjson/   one JSON object a line, schema `callboard.record/1`
//!             sink.rs   ├─▶ Html     html/     one page for a browser: the process tree over time
//!                       ├─▶ Sarif    sarif/    findings, stops and leaks for editors and build servers    rule.rs
//!                       ├─▶ Junit    junit/    each driver and rule as a test, for build servers
//!                       ├─▶ Perfetto perfetto/ processes, threads and calls on a time line
//!                       └─▶ Summary  summary.rs, tally.rs   what it all came to (exit codes)
//!
//!   output.rs  whole lines to a writer, the first failure told once      error.rs
//!   names.rs   what processes and drivers are called, from the records seen so far
//!   histogram.rs  how long many calls took
//!   escape.rs  what a driver prints cannot control a terminal            words.rs  moment.rs  json.rs  frame.rs
//!   machine.rs a replay tells of several machines, one after the other
//! ```
//!
//! A sink never fails on what a record says and never decides anything: what a driver did is shown, and
//! whether it is good enough is for the caller, who has a [`Summary`] for it.
#![forbid(unsafe_code)]

mod error;
mod escape;
mod frame;
mod histogram;
pub mod html;
pub mod human;
mod json;
mod junit;
mod machine;
mod moment;
mod names;
pub mod ndjson;
mod output;
mod perfetto;
mod rule;
mod sarif;
mod sink;
mod summary;
mod tally;
mod words;

pub use error::SinkError;
pub use histogram::Histogram;
pub use html::Html;
pub use human::Human;
pub use junit::Junit;
pub use moment::Rfc3339;
pub use ndjson::Ndjson;
pub use output::{LineFile, Pace, Truncate};
pub use perfetto::Perfetto;
pub use rule::Rule;
pub use sarif::Sarif;
pub use sink::{Fanout, Sink};
pub use summary::{Command, Driver, Missing, Summary};
pub use tally::Tally;
pub use words::leak_words;
