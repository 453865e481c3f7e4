//! The readers as their users see them: what they tell of files, whole and damaged.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at what it did not expect, and says what it skips"
)]

mod containers;
mod damage;
mod data;
mod docs;
mod events;
mod evtx_logs;
mod evtx_ways;
mod exports;
mod faults;
mod feed;
mod field;
mod procmon_made;
mod procmon_real;
mod procmon_run;
mod recording;
mod shapes;
mod support;
