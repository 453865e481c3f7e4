//! Callboard's vocabulary as plain types, and their wire form.
//!
//! ```text
//!   source ──Event──▶ bench ──▶ host ──Record──▶ sinks
//!            event.rs                record.rs
//!                  ids.rs  time.rs  (both ways)
//!                        wire.rs    (how both cross the channel)
//! ```
//!
//! An [`Event`] is something that happened on a machine. A [`Record`] is one line of what a bench
//! saw and did about it. Neither knows Linux, PE files or drivers.
#![forbid(unsafe_code)]

mod borrowed;
mod event;
mod ids;
mod name;
mod owned;
mod record;
pub mod signal;
pub mod terminal;
mod time;
pub mod wire;

pub use event::{
    Architecture, Conditions, Event, EventKind, Image, Mapping, Process, ProcessExit, Signature, Subsystem,
    Thread, ThreadExit,
};
pub use ids::{ClientId, DriverId, ProcessId, ThreadId};
pub use name::Name;
pub use record::{
    Body, Change, Family, Finding, Flavour, Frame, Leak, LeakKind, Level, Notification, PoolPeak, PoolUsage,
    Record, Registers, Severity, Stop, StopKind, Timing,
};
pub use time::Time;
