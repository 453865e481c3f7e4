//! Processes and threads, and the notification of their lives.
//!
//! ```text
//!   event ──▶ deliver.rs ──▶ walk.rs, image.rs ──▶ notify.rs (the tables) ──▶ driver routine
//!                │ objects: process.rs thread.rs, by id: cid.rs       arguments.rs
//!   beginning.rs  the images that a process begins with
//!   set.rs     PsSet…/PsRemove… notify routines        query.rs  PsGet…, PsLookup…
//!   block.rs   the memory that a registration takes    system_thread.rs  PsCreateSystemThread
//! ```

mod arguments;
mod beginning;
mod block;
pub mod cid;
pub mod deliver;
mod image;
mod lend;
pub mod notify;
pub mod parts;
pub mod process;
pub mod query;
pub mod set;
pub mod silo;
pub mod system_thread;
pub mod thread;
mod walk;

pub(crate) use self::notify::Tables;
pub(crate) use arguments::follows_poison;
pub(crate) use image::{driver_mapped, user_memory};
pub(crate) use walk::check_balance;

/// What the process manager keeps.
#[derive(Debug)]
pub(crate) struct State {
    /// Processes and threads by id.
    pub(crate) cid: cid::CidTable,
    /// The three tables of notify routines.
    pub(crate) tables: Tables,
    /// The memory behind what is in them.
    pub(crate) blocks: block::Blocks,
    /// The threads that drivers created.
    pub(crate) system_threads: system_thread::SystemThreads,
    /// The System process, alive as long as the kernel.
    pub(crate) system: process::SystemProcess,
}

impl State {
    pub(crate) fn new(config: &crate::Config) -> Self {
        let state = Self {
            cid: cid::CidTable::new(),
            tables: Tables::new(config),
            blocks: block::Blocks::default(),
            system_threads: system_thread::SystemThreads::default(),
            system: process::SystemProcess::new(crate::ke::time::now()),
        };
        state.cid.insert(event::ProcessId::SYSTEM.0, &state.system.0);
        state
    }
}

#[cfg(test)]
mod choice_tests;
#[cfg(test)]
mod integrity_tests;
#[cfg(test)]
mod lock_tests;
#[cfg(test)]
mod requirement_tests;
#[cfg(test)]
mod telling_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unload_tests;
