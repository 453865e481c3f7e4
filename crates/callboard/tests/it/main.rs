//! The command line from end to end: real commands, real drivers, real failures.
//!
//! ```text
//!   support.rs   running callboard and reading its records
//!   commands.rs  the commands of the README       errors.rs   wrong input, each with its exit code
//!   witness.rs   what happened, as a driver saw it, against what Linux says
//!   drivers.rs   statuses, refusals, leftovers     stops.rs    bug checks, hangs, dead hosts
//!   conformance  the in-driver conformance suite
//!   hostile.rs   a driver that tries to get out    other.rs    inspect, exports, doctor, man, completions
//!   pool.rs      pool memory used well and badly   profiles.rs profiles and choices
//!   lifetimes.rs kept, held and acquired wrongly   rules.rs   a pair of drivers for each rule
//!   loads.rs     drivers that come and go          stack.rs   how much of it routines use
//!   waits.rs     for other threads                 bugs.rs    known defects, under stress
//!   termination.rs  processes that a driver ends   replay.rs  recordings
//!   reports.rs   SARIF, JUnit and Perfetto         inputs.rs   what recordings are read from
//!   requirements.rs  what takes a defect, or somebody who interferes, to be seen
//! ```

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod baseline;
mod bugs;
mod commands;
mod conformance;
mod drivers;
mod errors;
mod hostile;
mod inputs;
mod kills;
mod lifetimes;
mod loads;
mod other;
mod pool;
mod profiles;
mod recordings;
mod references;
mod replay;
mod reports;
mod requirements;
mod rule_pages;
mod rules;
mod stack;
mod stops;
mod support;
mod termination;
mod waits;
mod witness;
