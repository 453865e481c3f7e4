//! Process, thread and image notify drivers for Windows 10 and 11 (x64), in safe Rust.
//!
//! ```text
//!   driver_entry!(Mine)          your Driver::start           NT
//!   ┌──────────────┐  Entry<'_>  ┌─────────────────┐ register ┌──────────────┐
//!   │ DriverEntry  │ ──────────▶ │ ProcessNotify   │ ───────▶ │ notify table │
//!   │              │ ◀────────── │ ThreadNotify    │          │ (64 slots)   │
//!   │ DriverUnload │    state    │ ImageNotify     │ ◀─────── │              │
//!   └──────┬───────┘             └───────▲─────────┘  notice  └──────────────┘
//!          └── drops the state: each guard removes its routine, waits for the calls
//!              that are under way, and only then drops the handler it was given
//! ```
//!
//! A whole driver:
//!
//! ```
//! use driver_kit::{dbg_print, driver_entry, Driver, Entry, NtStatus};
//! use driver_kit::{ProcessCreated, ProcessExited, ProcessHandler, ProcessNotify, Verdict};
//!
//! struct Printer;
//!
//! impl ProcessHandler for Printer {
//!     fn created(&self, notice: &ProcessCreated<'_>) -> Verdict {
//!         dbg_print!("{} started by {}", notice.pid(), notice.parent());
//!         Verdict::Allow
//!     }
//!     fn exited(&self, notice: &ProcessExited<'_>) {
//!         dbg_print!("{} ended with {}", notice.pid(), notice.status());
//!     }
//! }
//!
//! struct Mine {
//!     _processes: ProcessNotify<&'static Printer>,
//! }
//!
//! impl Driver for Mine {
//!     fn start(_entry: &Entry<'_>) -> Result<Self, NtStatus> {
//!         Ok(Mine { _processes: ProcessNotify::register(&Printer)? })
//!     }
//! }
//!
//! driver_entry!(Mine);
//! ```
//!
//! What a routine is given dies with the call, so a notice's strings cannot be kept:
//!
//! ```compile_fail,E0521
//! use driver_kit::{NtStr, ProcessCreated, ProcessExited, ProcessHandler, Verdict};
//! use std::sync::Mutex;
//!
//! struct Keeper(Mutex<Option<&'static NtStr>>);
//!
//! impl ProcessHandler for Keeper {
//!     fn created(&self, notice: &ProcessCreated<'_>) -> Verdict {
//!         *self.0.lock().unwrap() = notice.image_name(); // error: borrowed data escapes
//!         Verdict::Allow
//!     }
//!     fn exited(&self, _: &ProcessExited<'_>) {}
//! }
//! ```
//!
//! Where to look:
//!
//! | file | subject |
//! |---|---|
//! | `entry` | [`driver_entry!`], [`Driver`], [`Entry`] |
//! | `process`, `thread`, `image` | one family each: its guard, its handler trait, its notices |
//! | `routine` | the slots that lead from NT's context-free routines to a handler |
//! | `string`, `pattern` | [`NtStr`], [`NtString`] and wildcard matching |
//! | `parameters` | [`Parameters`]: the values under the service's `Parameters` key |
//! | `print` | [`dbg_print!`], [`dbg_error!`] |
//! | `pool`, `panic` | Rust's heap on the pool; a panic as a bug check |
//! | `abi`, `nt` | NT's own types and routines, the only raw edge |
//!
//! Off Windows the crate builds against a small simulated kernel (`nt::simulated`), which is how its
//! tests run anywhere.
#![cfg_attr(windows, no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod abi;
mod entry;
mod id;
mod image;
mod nt;
#[cfg(all(windows, feature = "panic-handler"))]
mod panic;
mod parameters;
mod pattern;
#[cfg(all(windows, feature = "alloc"))]
mod pool;
mod print;
mod process;
mod routine;
mod status;
mod string;
#[cfg(test)]
mod tests;
mod thread;

pub use entry::{Driver, Entry};
pub use id::{ClientId, Pid, Tid};
pub use image::{ImageHandler, ImageLoaded, ImageNotify, ImageProperties};
pub use parameters::Parameters;
pub use print::Level;
pub use process::{ProcessCreated, ProcessExited, ProcessHandler, ProcessNotify, Verdict};
pub use routine::Shared;
pub use status::NtStatus;
pub use string::NtStr;
#[cfg(feature = "alloc")]
pub use string::NtString;
pub use thread::{ThreadCreated, ThreadExited, ThreadHandler, ThreadNotify};

/// For the crate's macros only.
#[doc(hidden)]
pub mod macros {
    pub use crate::abi::{DriverObject, UnicodeString};
    pub use crate::entry::{State, enter, leave};
    pub use crate::print::line;
}
