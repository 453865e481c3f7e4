//! What the readers tell of files, whole and damaged.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at what it did not expect, and says what it skips"
)]

mod containers;
mod damage;
mod evtx_logs;
mod field;
mod shapes;
mod support;
