//! Recorded machines: what other tools have recorded becomes what drivers are told.
//!
//! ```text
//!   telemetry::Told | Rejected ──▶ Normaliser ──▶ Machine ── Window      put in order
//!                                  many machines  │          Processes   who lives, who has exited
//!                                  told apart     │          Drives      NT names
//!                                                 ▼
//!                        Step: Accepted, Passed (events) | Rejected      Account: accepted + rejected = read
//!                                                 │
//!                                                 ▼
//!                                               Player ──Event batch──▶ Recipient (a bench)
//! ```
//!
//! # What is told
//! | record | events | context |
//! |---|---|---|
//! | process created | create, and its first thread: the recorded one, or one that must have been | the creator where known, its parent, or System |
//! | process present | present | |
//! | process exited | the exits of threads that are left, the first one last, and the exit | its last thread |
//! | thread created | thread create | the creating thread, or the process's first |
//! | image mapped | the main image first, where its record is missing, and the image | the mapping thread, or the process's first |
//! | driver loaded | image of process 0 | a worker of System |
//! | any of a process never seen being created | present before it (R-ORD-05) | |
//! | any that proves that an id was used again | the exit that is missing before it | |
//!
//! What is missing in a record is left out as Windows documents it; what must have been is told. Both are counted, and with
//! [`Strictness::Strict`] such records are rejected.

mod account;
mod drives;
mod identity;
mod machine;
mod normaliser;
mod options;
mod player;
mod processes;
mod seen;
mod window;

pub use account::{Absent, Account, Cause, Rejections, Synthesis};
pub use drives::{Drive, Drives, NotADrive};
pub use normaliser::{Accepted, Normaliser, Passed, Rejection, Step, Told};
pub use options::{Options, Strictness, Which};
pub use player::{Gone, Play, Played, Player};

#[cfg(test)]
mod tests;
