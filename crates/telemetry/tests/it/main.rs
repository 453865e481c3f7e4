//! The readers as their users see them.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

mod data;
mod docs;
mod events;
mod faults;
mod procmon_made;
mod procmon_real;
mod procmon_run;
mod recording;
