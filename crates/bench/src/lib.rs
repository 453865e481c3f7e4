//! A simulated NT machine as a value: what a driver's author writes tests with.
//!
//! ```text
//!   Bench ── builder.rs         which Windows, which clock, which instruments
//!     ├───── process.rs         processes: created, existing, from a section, refused, exiting
//!     ├───── thread.rs          threads
//!     ├───── image.rs           images: mapped, unmapped, a driver's
//!     ├───── memory.rs          what processes have in their memory
//!     ├───── environment.rs     their environment blocks, and their threads'
//!     ├───── drivers.rs         loading and unloading
//!     ├───── device.rs          devices: opened, asked, read, written, closed
//!     ├───── request.rs         what is asked of a device and not waited for
//!     ├───── power.rs           states of power
//!     ├───── clock.rs           time that passes
//!     ├───── evidence.rs        what came of it: notices, verdicts, lines, findings, the stop, leaks
//!     └───── world.rs           who is there (ids, threads, bases), which the bench alone decides
//! ```
//!
//! A call does what a program on Windows would do, with everything that NT tells drivers on the way, in NT's order and
//! in NT's contexts; and it returns what Windows would return to that program.
//!
//! ```
//! use bench::{Bench, Profile, Value};
//! # const SENSOR: &[u8] = include_bytes!("../../../drivers/bin/sensor.sys");
//!
//! # fn main() -> Result<(), bench::Error> {
//! let mut bench = Bench::new(Profile::Win11_24H2)?;
//! bench.set_value("sensor", "Deny", Value::String("*evil.exe".into()))?;
//! bench.load_bytes("sensor", SENSOR)?;
//!
//! let shell = bench.process(r"C:\Windows\explorer.exe").existing().create()?;
//! let refused = bench.process(r"C:\Temp\evil.exe").parent(&shell).create().unwrap_err();
//! assert_eq!(refused.status(), Some(bench::STATUS_ACCESS_DENIED));
//!
//! let passed = bench.process(r"C:\Windows\System32\cmd.exe").command_line("cmd /c dir").parent(&shell).create()?;
//! bench.exit_process(&passed, bench::STATUS_SUCCESS)?;
//! // No rule was broken, and nothing is left behind.
//! bench.finish_clean()?;
//! # Ok(())
//! # }
//! ```
//!
//! A driver that would stop Windows stops the bench, and nothing else; the stop can be looked at:
//!
//! ```
//! use bench::{Bench, Profile, StopKind, Value};
//! # const BSOD: &[u8] = include_bytes!("../../../drivers/bin/bsod.sys");
//!
//! # fn main() -> Result<(), bench::Error> {
//! let mut bench = Bench::new(Profile::Win11_24H2)?;
//! bench.set_value("bsod", "Mode", Value::String("null-read-at-create".into()))?;
//! bench.load_bytes("bsod", BSOD)?;
//! let error = bench.process(r"C:\x.exe").create().unwrap_err();
//! let stop = error.stop().expect("the machine has stopped");
//! assert_eq!(stop.kind, StopKind::BugCheck);
//! assert_eq!(stop.stack[0].module.as_deref(), Some("bsod.sys"));
//! // What a test prints that returns the error with `?`.
//! assert!(format!("{error:?}").contains("stopped with bug check 0x0000003B (SYSTEM_SERVICE_EXCEPTION): "));
//! # Ok(())
//! # }
//! ```
//!
//! Devices are used as programs use them ([`Bench::ioctl`], and [`Bench::begin_ioctl`] for requests that stay pending), and
//! time passes when the test lets it
//! ([`Bench::advance`]).
//!
//! Time is virtual unless [`BenchBuilder::clock`] says otherwise, and ids and bases are the bench's own choice, so that
//! the same calls have the same records.
#![forbid(unsafe_code)]

#[macro_use]
mod conditions;

mod actor;
mod bench;
mod builder;
mod clock;
mod device;
mod drivers;
mod environment;
mod error;
mod evidence;
mod image;
mod memory;
mod power;
mod process;
mod request;
mod system_images;
mod thread;
mod world;

pub use actor::{Actor, Driver, Process, Thread, View};
pub use bench::Bench;
pub use builder::BenchBuilder;
pub use device::{Completed, File, FileBuilder};
pub use error::{Error, Refused};
pub use event::{
    Architecture, Body, ClientId, Conditions, DriverId, Event, EventKind, Family, Finding, Leak, LeakKind,
    Name, ProcessId, Record, Severity, Signature, Stop, StopKind, Subsystem, ThreadId, Time,
};
pub use evidence::{Notice, Verdict};
pub use host::{
    BenchError, Choices, Clock, Config, LowPool, Pool, PowerState, UnknownPowerState, Unload, Value,
};
pub use image::{ImageBuilder, KernelImageBuilder};
pub use nt_abi::{NTSTATUS, Profile, STATUS_ACCESS_DENIED, STATUS_CANCELLED, STATUS_PENDING, STATUS_SUCCESS};
pub use power::Powered;
pub use process::ProcessBuilder;
pub use request::Request;
pub use thread::ThreadBuilder;
