//! Scenarios: what happens on a simulated NT machine, and what its drivers must do, in a TOML file.
//!
//! ```text
//!   text ──toml──▶ file::Scenario ──resolve──▶ Scenario ──run──▶ Outcome
//!                        │                        │
//!                     BadFile, with line, column and advice
//! ```
//!
//! `callboard test` runs them; docs/scenarios.md describes the format to its authors.
#![forbid(unsafe_code)]

mod act;
mod ask;
mod check;
mod diff;
mod explain;
pub mod file;
mod outcome;
mod parse;
mod problem;
mod resolve;
mod run;
mod schema;
mod story;
mod suggest;
mod wording;

pub use outcome::{DiffLine, Failure, Outcome};
pub use parse::{ReadError, Scenario};
pub use problem::{BadFile, Place, Problem};
pub use run::Options;
pub use schema::schema;

/// A scenario to begin with, which passes: what `callboard test --init` writes.
pub const STARTER: &str = include_str!("starter.toml");
