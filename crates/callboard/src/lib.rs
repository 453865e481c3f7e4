//! Callboard runs unmodified Windows x64 kernel drivers (`.sys`) on Linux, and delivers to them what the NT kernel
//! delivers: every process that is created or exits, every thread, every image that is mapped, with the power
//! to refuse a process.
//!
//! This is the facade for programs that use it as a library; `callboard --help` is the command line.
//!
//! ```text
//!   Bench       one simulated NT machine, its drivers in a sandboxed process of their own
//!   event       what happens (Event) and what comes of it (Record)
//!   live        a command tree on this machine as a source of events
//!   report      sinks for records: a timeline for people, NDJSON for programs
//!   exports     the kernel routines that drivers can import
//! ```
//!
//! ```no_run
//! use callboard::{Bench, BenchOptions, Profile};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut bench = Bench::start(BenchOptions::new(Profile::Win11_24H2))?;
//! bench.load("sensor", "sensor.sys", callboard::SENSOR)?;
//! bench.finish()?;
//! bench.drain(&mut |record| println!("{record:?}"));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod exit;
mod live_bench;
mod symbolise;

pub use event;
pub use host::{Bench, BenchError, BenchOptions, Value};
pub use kernel::export as exports;
pub use live_bench::{LiveBench, Notes};
pub use nt_abi::Profile;
pub use report;
pub use source::live;
pub use symbolise::Symbolise;

/// The built-in driver, `sensor.sys`: a valid driver for Windows 10 and 11, built from `drivers/sensor`.
pub const SENSOR: &[u8] = include_bytes!("../../../drivers/bin/sensor.sys");
