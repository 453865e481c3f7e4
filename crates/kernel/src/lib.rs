//! The NT executive that drivers run on: one folder per component under its NT name, and one export table.
//!
//! ```text
//!                host ──boot, load_driver, deliver_event──▶ boot.rs
//!                                                             │
//!   io  drivers, devices, files     ps  processes, threads, ◀─┘──▶ notify (the tables)
//!   mm  images, memory descriptors      their notification    ──▶ machine ──▶ driver code
//!   ob  objects, handles, names                                        │ imports
//!   cm  registry     ke  waiting, time, APCs, DPCs, stops              ▼
//!   se  security     ex  pool, locks, work items          export.rs: every routine, by name
//!   flt filter manager   rtl  strings and libraries   zw  system services   dbg  DbgPrint
//!   etw event tracing    po   power     netio  network modules          │
//!                                                                      │
//!                host ◀──records── recorder.rs ◀───────────────────────┘
//! ```
//!
//! The kernel calls nothing of Linux: what it needs from outside comes through [`machine`]. There is one
//! kernel in a process, as drivers hold the addresses of its routines. A routine that drivers call
//! is an `extern "win64"` function with [`export_macro::export`] on it, in the folder of its component.
#![expect(non_snake_case, reason = "kernel routines are named as NT names them")]
#![expect(non_upper_case_globals, reason = "exported variables are named as NT names them")]
#![expect(
    clippy::missing_safety_doc,
    reason = "every kernel routine has the same contract: its arguments are a driver's, valid as its documentation asks"
)]
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a routine works on structures that a driver handed over: one invariant, several reads"
)]

pub mod boot;
pub mod choices;
pub mod cm;
mod config;
pub mod dbg;
pub mod etw;
pub mod ex;
pub mod export;
pub mod flt;
pub mod fsrtl;
mod hash;
pub mod io;
pub mod ke;
pub mod mm;
pub mod netio;
pub mod ob;
pub mod po;
pub mod ps;
mod recorder;
pub mod rtl;
pub mod rule;
pub mod se;
mod stress;
#[cfg(test)]
mod testing;
pub mod zw;

pub(crate) use boot::kernel;
pub use boot::{Kernel, boot};
pub use choices::Choices;
pub use cm::RegistryValue;
pub use config::{Clock, Config, LowPool, Pool};
pub use io::load::{LoadError, Unload, UnloadError};
pub use io::request::{Operation, Progress};
pub use io::user::Completed;
pub use po::request::{PowerState, PowerTarget, UnknownPowerState};
pub use ps::deliver::Refusal;
pub use recorder::{Recorder, Running};
