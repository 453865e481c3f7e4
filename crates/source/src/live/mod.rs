//! A command tree on this machine, held still by ptrace while drivers decide.
//!
//! ```text
//!   command ─▶ spawn ─▶ tracer ─▶ notice ──Event batch──▶ Recipient
//!              filter    tree      describe  start            │
//!              signals   sys       images    layout           ▼
//!                                            refuse ◀──── Refusal
//!                                            terminate ◀─ Termination
//! ```
//!
//! # What is announced
//! | Linux | events, in one batch | context |
//! |---|---|---|
//! | `execve`, image mapped, not run | create, thread create | the thread that forked, or who stands in for it |
//! | | main image, ELF interpreter | the new process's first thread |
//! | `execve` in a process that was announced | its thread and process exit before the above | the thread that asked |
//! | `clone` of a thread | thread create | the creating thread |
//! | `mmap`, `mprotect` that made code of an image | image | the mapping thread |
//! | exit of a thread, of the last one | thread exit, and process exit | the exiting thread |
//! | fork without `execve` | nothing; a clone before the first of the above that it does | its maker |
//!
//! # What happens when the tracer is killed
//! So is every task it traces (`PTRACE_O_EXITKILL`): they may not go on unseen, and could not, since the
//! filter makes mappings of code fail when nobody answers for them.

mod command;
mod describe;
mod error;
mod filter;
mod images;
mod layout;
mod memory;
mod notice;
mod observer;
mod probe;
mod refuse;
mod run;
mod signals;
mod spawn;
mod start;
mod status;
mod sys;
mod terminate;
mod tick;
mod tracer;
mod tree;

pub use command::Command;
pub use error::LiveError;
pub use memory::read_memory;
pub use observer::{Counts, Observer, Outcome};
pub use probe::{Probe, ProbeOutcome, probe};
pub use run::{Options, run};
pub use status::Ending;
