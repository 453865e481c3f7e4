//! The callback block behind each registration: nonpaged pool, which a registration needs and may not get (S-IMGEX-6).
//!
//! The tables keep what a walk looks at; a block is there to be accounted for. All are alike, so that it does not matter
//! which of them a removal gives back.

use std::sync::{Mutex, PoisonError};

use crate::ex::pool::{Allocation, Kind, Pool, Tag};

/// The tag of callback blocks (G.2).
const TAG: Tag = Tag(u32::from_le_bytes(*b"Cbrb"));
/// Bytes of a callback block on x64 (G.2).
const SIZE: usize = 0x18;

/// The blocks of all three tables.
#[derive(Debug, Default)]
pub(crate) struct Blocks(Mutex<Vec<usize>>);

impl Blocks {
    /// Allocates a block; false when there is no memory. It is the system's, and so no driver's leak.
    pub(super) fn add(&self, pool: &Pool) -> bool {
        if crate::ex::low_pool::fails() {
            return false;
        }
        let what = Allocation { size: SIZE, tag: TAG, kind: Kind::NonPaged, owner: None };
        let Some(memory) = pool.allocate(what, true) else { return false };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(memory.as_ptr().expose_provenance());
        true
    }

    /// Frees a block.
    pub(super) fn remove(&self, pool: &Pool) {
        let block = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(block) = block {
            // It came from this pool, and was not given back since.
            let _ = pool.free(block, TAG);
        }
    }

    /// The blocks there are, as the pool knows them.
    #[cfg(test)]
    pub(super) fn all(&self, pool: &Pool) -> Vec<Option<(usize, String, Kind)>> {
        let blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |&block| pool.find(block).map(|what| (what.size, what.tag.to_string(), what.kind));
        blocks.iter().map(known).collect()
    }
}
