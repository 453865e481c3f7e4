//! How a host process comes to be: any program that links this crate is its own host.
//!
//! ```text
//!   bench                                   host
//!   spawn.rs ──fork+exec /proc/self/exe──▶  hook.rs (before main) ──▶ child
//!   watch.rs ◀────── pidfd: its death ────  (never returns)
//! ```

mod death;
mod hook;
mod spawn;
mod watch;

pub(crate) use death::{Death, Reason};
pub(crate) use spawn::{How, SpawnError, Start};
pub(crate) use watch::{Watch, Watched, end, watch};
