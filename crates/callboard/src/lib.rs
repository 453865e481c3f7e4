//! Callboard runs unmodified Windows x64 kernel drivers (`.sys`) on Linux, and delivers to them what the NT kernel
//! delivers: every process that is created or exits, every thread, every image that is mapped, with the power
//! to refuse a process.
//!
//! This is the facade for programs that use it as a library; `callboard --help` is the command line.
//!
//! ```text
//!   Bench       one simulated NT machine, for tests: processes, images, devices, a clock
//!   host        the sandboxed process that drivers run in, for whoever brings events of their own
//!   event       what happens (Event) and what comes of it (Record)
//!   live        a command tree on this machine as a source of events
//!   replay      recordings of other machines as one
//!   report      sinks for records: a timeline for people, NDJSON for programs
//!   exports     the kernel routines that drivers can import
//! ```
//!
//! A driver that may refuse one process, and not another:
//!
//! ```
//! use callboard::{Bench, Profile, Value};
//!
//! # fn main() -> Result<(), callboard::Error> {
//! let mut bench = Bench::new(Profile::Win11_24H2)?;
//! bench.set_value("sensor", "Deny", Value::String("*evil.exe".into()))?;
//! bench.load_bytes("sensor", callboard::SENSOR)?;
//! let error = bench.process(r"C:\Temp\evil.exe").create().unwrap_err();
//! assert_eq!(error.to_string(), r"sensor refused C:\Temp\evil.exe with 0xC0000022 (STATUS_ACCESS_DENIED)");
//! bench.process(r"C:\Windows\System32\cmd.exe").create()?;
//! # Ok(())
//! # }
//! ```
//!
//! See [`mod@bench`] for all that a test can do.
#![forbid(unsafe_code)]

pub mod exit;
mod live_bench;
pub mod stress;
mod symbolise;

pub use ::bench;
pub use bench::{Bench, Error, NTSTATUS, STATUS_ACCESS_DENIED, STATUS_SUCCESS, Value};
pub use event;
pub use host;
pub use kernel::export as exports;
pub use live_bench::{LiveBench, Notes};
pub use nt_abi::Profile;
pub use report;
pub use source::{live, replay};
pub use symbolise::Symbolise;

/// The built-in driver, `sensor.sys`: a valid driver for Windows 10 and 11, built from `drivers/sensor`.
pub const SENSOR: &[u8] = include_bytes!("../../../drivers/bin/sensor.sys");
