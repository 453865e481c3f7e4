//! The executive: pool, locks, work items.
//!
//! ```text
//!   pool.rs        the ledger of pool memory     pool_routines.rs  ExAllocatePool… and ExFreePool…
//!   pool_fast.rs   memory by size                pool_special.rs   memory that ends at a guard
//!   pool_site.rs   where a driver did something  pool_leaks.rs     what was not freed
//!   pool_meter.rs  how much drivers have         pool_contents.rs  what must not be in freed memory
//!   fast_mutex.rs  fast and guarded mutexes      rundown.rs        rundown protection, push locks
//!   resource.rs    executive resources           work.rs           work items
//!   spinlock.rs    reader-writer spin locks      slist.rs          interlocked and lookaside lists
//!   interlocked.rs ExInterlocked…, ExUuidCreate  timer.rs         timers that the system allocates
//!   callback.rs    callback objects              cache_aware.rs   rundown protection for many processors
//!   unload.rs      what an unloaded driver left behind  low_pool.rs  allocations that fail
//! ```

pub mod cache_aware;
pub mod callback;
pub mod fast_mutex;
pub mod interlocked;
pub(crate) mod low_pool;
pub(crate) mod pool;
mod pool_contents;
mod pool_fast;
mod pool_leaks;
mod pool_meter;
pub mod pool_routines;
pub(crate) mod pool_site;
pub(crate) mod pool_special;
pub mod resource;
#[cfg(test)]
mod resource_tests;
pub mod rundown;
pub mod slist;
pub mod spinlock;
pub mod timer;
mod unload;
pub mod work;

use crate::Config;

pub(crate) use low_pool::allocate;
pub(crate) use pool_leaks::report_usage as report_pool_usage;
pub(crate) use unload::report_leaks;

/// What the executive keeps.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) pool: pool::Pool,
    pub(crate) low_pool: low_pool::Level,
    pub(crate) resources: resource::Resources,
    pub(crate) work: work::Work,
}

impl State {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            pool: pool::Pool::new(config.pool),
            low_pool: low_pool::Level::new(config.low_pool),
            resources: resource::Resources::default(),
            work: work::Work::default(),
        }
    }
}
