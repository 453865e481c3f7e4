//! Pool memory: tagged, counted by owner, checked when it is freed.
//!
//! What is known of an allocation is kept apart from it, in a ledger by address: a driver that writes past
//! its memory cannot damage what it will be judged by. Behind each allocation stands a pattern that
//! tells whether that happened.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{DriverId, PoolUsage};

use super::pool_fast::{Fast, Written};
use super::pool_meter::AllMeters;
use super::pool_site::Site;
use super::pool_special::{Special, Touched};
use crate::config;
use crate::hash::HashMap;

/// Bytes of a page. Allocations of a page or more begin on one, as on NT.
pub(crate) const PAGE: usize = 4096;
/// The pattern behind an allocation.
const TAIL: [u8; 16] = *b"\xFDCallboard tail\xFD";
/// What memory holds that was not asked to be zeroed, the same in each run.
const FRESH: u8 = 0xCD;
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
    Overrun {
        /// The tag it was allocated with.
        tag: Tag,
        /// How many bytes were asked for.
        size: usize,
        /// The first byte that is not as it was.
        at: usize,
    },
    /// In special pool, the bytes before it on its page were written to.
    Underrun {
        /// The first byte that is not as it was.
        at: usize,
    },
}

/// An allocation and where it was made.
#[derive(Clone, Copy, Debug)]
struct Entry {
    what: Allocation,
    allocated: Site,
    special: bool,
}

/// An allocation that is no more.
#[derive(Clone, Copy, Debug)]
struct Freed {
    address: usize,
    what: Allocation,
    allocated: Site,
    freed: Site,
}

#[derive(Debug, Default)]
struct Shard {
    live: HashMap<usize, Entry>,
    /// A ring of what was freed, and where its next entry goes.
    freed: Vec<Freed>,
    next: usize,
}

/// Every allocation of the bench.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    shards: [Mutex<Shard>; SHARDS],
    fast: Fast,
    special: Option<Special>,
    meters: AllMeters,
}

/// What a driver still has of one tag in one pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    /// Where one of them was allocated.
    pub(crate) allocated: Site,
}

impl Pool {
    /// An empty pool that gives memory out as configured.
    pub(crate) fn new(how: config::Pool) -> Self {
        let special = (how == config::Pool::Special).then(Special::default);
        Self { special, ..Self::default() }
    }

    fn shard(&self, address: usize) -> MutexGuard<'_, Shard> {
        // Neighbouring allocations differ in these bits.
        let index = (address >> 4 ^ address >> 12) % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The special pool, where that is how memory is given out.
    pub(crate) fn special(&self) -> Option<&Special> {
        self.special.as_ref()
    }

    /// Whether memory comes from special pool, where there is room.
    pub(crate) fn is_special(&self) -> bool {
        self.special.is_some()
    }

    /// Where the driver that runs is: with its callers under special pool, where time does not count.
    fn site(&self) -> Site {
        if self.is_special() { Site::with_callers() } else { Site::call_only() }
    }

    /// Allocates; `None` when there is no memory. What is not to be zeroed is filled with a pattern. Stops when memory
    /// that would be used again was written to after it was freed.
    pub(crate) fn allocate(&self, what: Allocation, zero: bool) -> Option<NonNull<u8>> {
        let fill = if zero { 0 } else { FRESH };
        let allocated = self.site();
        let special = self.special.as_ref().and_then(|special| special.allocate(what, fill, allocated));
        let entry = Entry { what, allocated, special: special.is_some() };
        let memory = match special {
            Some(memory) => memory,
            None => self.fast(what.size, fill)?,
        };
        let address = memory.as_ptr().expose_provenance();
        self.shard(address).live.insert(address, entry);
        self.meters.add(&what);
        Some(memory)
    }

    /// Memory of fast pool with a tail behind it.
    fn fast(&self, size: usize, fill: u8) -> Option<NonNull<u8>> {
        let memory = match self.fast.allocate(size.saturating_add(TAIL.len())) {
            Ok(memory) => memory?,
            Err(written) => super::pool_routines::freed_memory_is_damaged(written),
        };
        // SAFETY: `size` bytes and the tail were just allocated.
        unsafe { memory.write_bytes(fill, size) };
        // SAFETY: the tail lies within them.
        let tail = unsafe { memory.add(size).cast::<[u8; TAIL.len()]>() };
        // SAFETY: as above.
        unsafe { tail.write_unaligned(TAIL) };
        Some(memory)
    }

    /// Freed memory of fast pool that was written to, where there is any; it is found once.
    pub(crate) fn find_written(&self) -> Option<Written> {
        self.fast.find_written()
    }

    /// Frees what was allocated at `address`; a tag other than 0 must be the allocation's.
    pub(crate) fn free(&self, address: usize, tag: Tag) -> Result<(), FreeError> {
        let freed = self.site();
        let mut shard = self.shard(address);
        let Some(&Entry { what, allocated, special }) = shard.live.get(&address) else {
            let known = shard.freed.iter().any(|freed| freed.address == address);
            return Err(if known { FreeError::Double } else { FreeError::Unknown });
        };
        if tag != Tag(0) && tag != what.tag {
            return Err(FreeError::WrongTag(what.tag));
        }
        let special = self.special.as_ref().filter(|_| special);
        let damage = match special {
            Some(special) => special.damage(address),
            None => tail_damage(address, what.size),
        };
        match damage {
            Some(at) if at < address => return Err(FreeError::Underrun { at }),
            Some(at) => return Err(FreeError::Overrun { tag: what.tag, size: what.size, at }),
            None => {}
        }
        shard.live.remove(&address);
        shard.remember(Freed { address, what, allocated, freed });
        drop(shard);
        self.meters.remove(&what);
        match special {
            Some(special) => _ = special.free(address, freed),
            // SAFETY: allocated by `fast` with this size, and no longer in the ledger, so freed once.
            None => unsafe { self.fast.free(address, what.size + TAIL.len()) },
        }
        Ok(())
    }

    /// What is allocated at exactly that address.
    pub(crate) fn find(&self, address: usize) -> Option<Allocation> {
        self.shard(address).live.get(&address).map(|entry| entry.what)
    }

    /// What of special pool an address that faulted was.
    pub(crate) fn touched(&self, address: usize) -> Option<Touched> {
        self.special.as_ref()?.touched(address)
    }

    /// What is known of an address, in words, for a stop: which allocation, where it was made and freed.
    pub(crate) fn describe(&self, address: usize) -> Option<String> {
        if let Some(touched) = self.touched(address).filter(|touched| touched.lent.is_none()) {
            let start = touched.start;
            return Some(tell(address, start, touched.what, &touched.allocated, touched.freed.as_ref()));
        }
        let mut gone = None;
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let near = |start: usize, size: usize| address.wrapping_sub(start) < size.max(1) + TAIL.len();
            if let Some((&start, entry)) = shard.live.iter().find(|(start, it)| near(**start, it.what.size)) {
                return Some(tell(address, start, entry.what, &entry.allocated, None));
            }
            // Of several that were there one after the other, any is as good as the other but for the exact one.
            let mut freed = shard.freed.iter().filter(|it| near(it.address, it.what.size));
            let exact = shard.freed.iter().find(|freed| freed.address == address);
            gone = exact.or_else(|| freed.next()).copied().or(gone);
        }
        gone.map(|it| tell(address, it.address, it.what, &it.allocated, Some(&it.freed)))
    }

    /// How much a driver had at most; `None` where it never allocated anything.
    pub(crate) fn usage(&self, owner: DriverId) -> Option<PoolUsage> {
        self.meters.usage(owner)
    }

    /// What a driver has allocated, by tag and pool.
    pub(crate) fn owned_by(&self, owner: DriverId) -> BTreeMap<(Tag, Kind), Owned> {
        let mut sums = BTreeMap::<_, Owned>::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for entry in shard.live.values().filter(|entry| entry.what.owner == Some(owner)) {
                let sum = sums.entry((entry.what.tag, entry.what.kind)).or_default();
                sum.count += 1;
                sum.bytes += entry.what.size as u64;
                sum.allocated = entry.allocated;
            }
        }
        sums
    }
}

impl Shard {
    fn remember(&mut self, freed: Freed) {
        if self.freed.len() < REMEMBERED {
            self.freed.push(freed);
        } else {
            self.freed[self.next] = freed;
            self.next = (self.next + 1) % REMEMBERED;
        }
    }
}

/// The first byte of an allocation's tail that is not as it was.
fn tail_damage(address: usize, size: usize) -> Option<usize> {
    let memory = std::ptr::with_exposed_provenance::<u8>(address);
    // SAFETY: callers have it in the ledger, so it is allocated, with a tail behind its size.
    let tail = unsafe { memory.add(size).cast::<[u8; TAIL.len()]>().read_unaligned() };
    tail.iter().zip(TAIL).position(|(&is, was)| is != was).map(|offset| address + size + offset)
}

fn tell(address: usize, start: usize, what: Allocation, allocated: &Site, freed: Option<&Site>) -> String {
    let (size, tag) = (what.size, what.tag);
    let offset = address.wrapping_sub(start).cast_signed();
    let place = match offset {
        0 => String::new(),
        _ if offset < 0 => format!("{} bytes before ", -offset),
        _ if offset.cast_unsigned() < size => format!("byte {offset} of "),
        _ => format!("{} bytes past the end of ", offset.cast_unsigned() - size),
    };
    let kind = if what.kind == Kind::Paged { "paged" } else { "nonpaged" };
    let freed = freed.map_or_else(String::new, |freed| format!(", freed at {freed}"));
    format!(
        "{address:#x} is {place}the {size} bytes of {kind} pool with tag {tag} at {start:#x}, allocated at {allocated}{freed}"
    )
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
        let owned = Owned { count: 2, bytes: 24 + PAGE as u64, allocated: Site::default() };
        assert_eq!(pool.owned_by(DriverId(1)), BTreeMap::from([((TAG, Kind::NonPaged), owned)]));
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
        let address = memory.as_ptr().addr();
        let overrun = FreeError::Overrun { tag: TAG, size: 8, at: address + 8 };
        assert_eq!(pool.free(address, TAG), Err(overrun));
        let told = pool.describe(address + 8).unwrap();
        assert!(
            told.contains("0 bytes past the end of the 8 bytes of nonpaged pool with tag Test"),
            "{told}"
        );
    }

    #[test]
    fn what_was_freed_is_remembered_in_words() {
        for how in [config::Pool::Fast, config::Pool::Special] {
            let pool = Pool::new(how);
            let address = pool.allocate(of(24), true).unwrap().as_ptr().addr();
            assert_eq!(pool.free(address, TAG), Ok(()));
            let told = pool.describe(address + 4).unwrap();
            assert!(told.contains("byte 4 of the 24 bytes") && told.contains("freed at"), "{told}");
            assert_eq!(pool.free(address, TAG), Err(FreeError::Double));
        }
    }

    #[test]
    fn special_pool_finds_what_was_written_around_an_allocation() {
        let pool = Pool::new(config::Pool::Special);
        let memory = pool.allocate(of(24), true).unwrap();
        let address = memory.as_ptr().addr();
        // SAFETY: the page of the allocation, which ends 8 bytes behind it.
        unsafe { memory.add(24).write(1) };
        let overrun = FreeError::Overrun { tag: TAG, size: 24, at: address + 24 };
        assert_eq!(pool.free(address, TAG), Err(overrun));
        let memory = pool.allocate(of(24), true).unwrap();
        let address = memory.as_ptr().addr();
        // SAFETY: the page of the allocation, which begins far before it.
        unsafe { memory.sub(3).write(1) };
        assert_eq!(pool.free(address, TAG), Err(FreeError::Underrun { at: address - 3 }));
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
