//! What runs in the host process.
//!
//! ```text
//!   hook ──▶ main ─ sandbox ─ starts lane 0's worker ─ boot ─▶ serves lane 0
//!                                     └─ starts lane 1's, which starts lane 2's when it is first used …
//! ```
//!
//! There is always one idle worker more than lanes in use, so that a lane whose routine takes its time
//! never keeps the next from starting.

mod main;
mod recorder;
mod worker;

pub(crate) use main::{EXIT_STOPPED, exit, main};
pub(crate) use recorder::Recorder;
