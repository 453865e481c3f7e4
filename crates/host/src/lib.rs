//! The sandboxed process in which drivers run, and the bench that talks to it.
//!
//! ```text
//!   the user's program                          the host (the same program, executed once more)
//!   ┌─────────────────────────────┐            ┌───────────────────────────────────────────┐
//!   │ bench/    Bench: load,      │            │ process/hook  before main                 │
//!   │           deliver, drain    │            │ sandbox/      before any driver byte      │
//!   │ process/  spawn, watch      │            │ child/        a worker per lane, recorder │
//!   └──────────────┬──────────────┘            └─────────────────┬─────────────────────────┘
//!                  │           channel/  (shared memory)         │ executive.rs
//!                  └─ protocol.rs: requests ▶ ◀ replies, records ┘     kernel ▶ drivers
//! ```
//!
//! Any program that links this crate can be its own host: nothing is installed beside it, and a
//! user's test binary needs no set-up. A driver can write anywhere in the host, so the host is
//! believed nothing: see [`Bench`] and the channel's documentation.
//!
//! Unsafe code is in four places: `channel/memory.rs` (offsets become memory), `channel/futex.rs`,
//! `process` (the hook, descriptors) and `sandbox` (system calls that change the process).

mod bench;
mod channel;
mod child;
mod executive;
mod kernel_executive;
mod process;
mod protocol;
pub mod sandbox;
#[cfg(any(test, feature = "trial"))]
mod trial;

pub use bench::{Answer, Bench, BenchError, BenchOptions, Delivery, Done, Status, Ticket, UserMemory};
pub use kernel::{Choices, Clock, Config, LowPool, Pool, PowerState, PowerTarget, UnknownPowerState, Unload};
pub use protocol::{Caller, Io, Refusal, Value};
