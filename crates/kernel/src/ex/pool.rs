//! Pool memory: tagged, counted by owner, checked when it is freed.
//!
//! What is known of an allocation is kept apart from it, in a ledger by address: a driver that writes past
//! its memory cannot damage what it will be judged by. Behind each allocation stands a pattern that
//! tells whether that happened.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::{BTreeMap, HashMap};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{Body, DriverId, Leak, LeakKind};

use crate::Kernel;

/// Bytes of a page. Allocations of a page or more begin on one, as on NT.
const PAGE: usize = 4096;
/// The pattern behind an allocation.
const TAIL: [u8; 16] = *b"\xFDCallboard tail\xFD";
/// What memory holds that was not asked to be zeroed, the same in each run.
const FRESH: u8 = 0xCD;
/// What freed memory holds until it is used again.
const FREED: u8 = 0xDD;
/// The ledger is split so that processors seldom meet.
const SHARDS: usize = 16;
/// How many freed addresses are remembered, to tell a double free from a wild one.
const REMEMBERED: usize = 256;

/// A pool tag: four characters, the first in the lowest byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tag(pub(crate) u32);

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.to_le_bytes().iter().try_for_each(|&byte| write!(f, "{}", byte.escape_ascii()))
    }
}

/// Which pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// May be touched at any IRQL.
    NonPaged,
    /// May be touched below DISPATCH_LEVEL.
    Paged,
}

/// What is known of an allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocation {
    pub(crate) size: usize,
    pub(crate) tag: Tag,
    pub(crate) kind: Kind,
    pub(crate) owner: Option<DriverId>,
}

/// What is wrong with a free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FreeError {
    /// Nothing is allocated there.
    Unknown,
    /// It was freed before.
    Double,
    /// It was allocated with another tag.
    WrongTag(Tag),
    /// The bytes behind it were written to.
    Overrun(Tag),
}

#[derive(Debug, Default)]
struct Shard {
    live: HashMap<usize, Allocation>,
    /// A ring of addresses that were freed, and where its next entry goes.
    freed: Vec<usize>,
    next: usize,
}

/// Every allocation of the bench.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    shards: [Mutex<Shard>; SHARDS],
}

fn layout(size: usize) -> Option<Layout> {
    let align = if size >= PAGE { PAGE } else { 16 };
    Layout::from_size_align(size.checked_add(TAIL.len())?, align).ok()
}

impl Pool {
    fn shard(&self, address: usize) -> MutexGuard<'_, Shard> {
        // Neighbouring allocations differ in these bits.
        let index = (address >> 4 ^ address >> 12) % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Allocates; `None` when there is no memory. What is not to be zeroed is filled with a pattern.
    pub(crate) fn allocate(&self, what: Allocation, zero: bool) -> Option<NonNull<u8>> {
        let layout = layout(what.size)?;
        // SAFETY: the layout has the tail's size at least.
        let memory = NonNull::new(unsafe { alloc(layout) })?;
        // SAFETY: `size` bytes and the tail were just allocated.
        unsafe {
            memory.write_bytes(if zero { 0 } else { FRESH }, what.size);
            memory.add(what.size).cast::<[u8; TAIL.len()]>().write_unaligned(TAIL);
        }
        let address = memory.as_ptr().expose_provenance();
        self.shard(address).live.insert(address, what);
        Some(memory)
    }

    /// Frees what was allocated at `address`; a tag other than 0 must be the allocation's.
    pub(crate) fn free(&self, address: usize, tag: Tag) -> Result<(), FreeError> {
        let mut shard = self.shard(address);
        let Some(&what) = shard.live.get(&address) else {
            return Err(if shard.freed.contains(&address) { FreeError::Double } else { FreeError::Unknown });
        };
        if tag != Tag(0) && tag != what.tag {
            return Err(FreeError::WrongTag(what.tag));
        }
        let memory = std::ptr::with_exposed_provenance_mut::<u8>(address);
        // SAFETY: the ledger has it, so it is allocated, with a tail behind its size.
        let tail = unsafe { memory.add(what.size).cast::<[u8; TAIL.len()]>().read_unaligned() };
        if tail != TAIL {
            return Err(FreeError::Overrun(what.tag));
        }
        shard.live.remove(&address);
        shard.remember(address);
        drop(shard);
        if let Some(layout) = layout(what.size) {
            // SAFETY: allocated with this layout, and no longer in the ledger, so freed once.
            unsafe {
                memory.write_bytes(FREED, what.size);
                dealloc(memory, layout);
            }
        }
        Ok(())
    }

    /// What is allocated at exactly that address.
    pub(crate) fn find(&self, address: usize) -> Option<Allocation> {
        self.shard(address).live.get(&address).copied()
    }

    /// What a driver has allocated, by tag and pool: count and bytes.
    pub(crate) fn owned_by(&self, owner: DriverId) -> BTreeMap<(Tag, Kind), (u64, u64)> {
        let mut sums = BTreeMap::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for what in shard.live.values().filter(|what| what.owner == Some(owner)) {
                let (count, bytes) = sums.entry((what.tag, what.kind)).or_default();
                *count += 1;
                *bytes += what.size as u64;
            }
        }
        sums
    }
}

impl Shard {
    fn remember(&mut self, address: usize) {
        if self.freed.len() < REMEMBERED {
            self.freed.push(address);
        } else {
            self.freed[self.next] = address;
            self.next = (self.next + 1) % REMEMBERED;
        }
    }
}

/// Records what an unloaded driver has not freed (L-17).
pub(crate) fn report_leaks(kernel: &Kernel, driver: DriverId) {
    for ((tag, kind), (count, bytes)) in kernel.ex.pool.owned_by(driver) {
        kernel.record(Body::Leak(Leak {
            driver,
            kind: LeakKind::Pool,
            what: format!("{} pool, tag {tag}", if kind == Kind::Paged { "paged" } else { "nonpaged" })
                .into(),
            count,
            bytes,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: Tag = Tag(u32::from_le_bytes(*b"Test"));

    fn of(size: usize) -> Allocation {
        Allocation { size, tag: TAG, kind: Kind::NonPaged, owner: Some(DriverId(1)) }
    }

    #[test]
    fn memory_is_aligned_and_filled() {
        let pool = Pool::default();
        let small = pool.allocate(of(24), true).unwrap();
        let page = pool.allocate(of(PAGE), false).unwrap();
        assert_eq!((small.as_ptr().addr() % 16, page.as_ptr().addr() % PAGE), (0, 0));
        // SAFETY: both were just allocated with these sizes.
        unsafe {
            assert!(std::slice::from_raw_parts(small.as_ptr(), 24).iter().all(|&byte| byte == 0));
            assert!(std::slice::from_raw_parts(page.as_ptr(), PAGE).iter().all(|&byte| byte == FRESH));
        }
        assert_eq!(
            pool.owned_by(DriverId(1)),
            BTreeMap::from([((TAG, Kind::NonPaged), (2, 24 + PAGE as u64))])
        );
        for memory in [small, page] {
            assert_eq!(pool.free(memory.as_ptr().addr(), TAG), Ok(()));
        }
        assert!(pool.owned_by(DriverId(1)).is_empty());
    }

    #[test]
    fn frees_are_checked() {
        let pool = Pool::default();
        let address = pool.allocate(of(8), true).unwrap().as_ptr().addr();
        assert_eq!(pool.free(address + 16, TAG), Err(FreeError::Unknown));
        assert_eq!(pool.free(address, Tag(1)), Err(FreeError::WrongTag(TAG)));
        assert_eq!(pool.free(address, Tag(0)), Ok(()));
        assert_eq!(pool.free(address, TAG), Err(FreeError::Double));
    }

    #[test]
    fn an_overrun_is_seen_when_freed() {
        let pool = Pool::default();
        let memory = pool.allocate(of(8), true).unwrap();
        // SAFETY: within the allocation, whose tail follows the 8 bytes.
        unsafe { memory.add(8).write(1) };
        assert_eq!(pool.free(memory.as_ptr().addr(), TAG), Err(FreeError::Overrun(TAG)));
    }

    #[test]
    fn an_impossible_size_is_no_memory() {
        assert!(Pool::default().allocate(of(usize::MAX - 4), true).is_none());
        assert!(Pool::default().allocate(of(isize::MAX as usize), true).is_none());
    }

    #[test]
    fn tags_read_as_people_write_them() {
        assert_eq!(TAG.to_string(), "Test");
        assert_eq!(Tag(0x0000_0041).to_string(), r"A\x00\x00\x00");
    }
}
