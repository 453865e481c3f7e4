//! Special pool: memory that ends at a page nobody may touch, and that nobody may touch once it is freed.
//!
//! ```text
//!    ┌─────────── pages of the allocation ───────────┬── guard ──┐
//!    │ pattern …            │ what the driver has    │ no access │
//!    └──────────────────────┴────────────────────────┴───────────┘
//! ```
//!
//! An allocation begins at a multiple of 16, as on NT, so up to 15 bytes between its end and the guard hold the
//! pattern too. What is touched wrongly in the pattern is found when the memory is freed (0xC1), all else at the
//! instruction (0xD5, 0xD6).

use std::collections::{BTreeMap, VecDeque};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use machine::platform::Protection;

use super::pool::{Allocation, Kind, PAGE, Tag};
use super::pool_site::Site;

/// What surrounds an allocation on its pages.
const PATTERN: u8 = 0xFD;
/// Larger allocations come from the fast pool.
const LARGEST: usize = 1 << 20;
/// How many bytes of freed memory are kept inaccessible, and how many pieces of it: Linux counts mappings.
const QUARANTINE_BYTES: usize = 32 << 20;
const QUARANTINE_PIECES: usize = 4096;
/// How many allocations are special at a time; each takes two of the mappings that Linux gives a process.
const MOST: usize = 16 * 1024;

/// One allocation, alive or freed.
#[derive(Clone, Copy, Debug)]
struct Region {
    /// Where the driver's bytes begin.
    start: usize,
    /// Bytes that are mapped, the guard included.
    mapped: usize,
    what: Allocation,
    allocated: Site,
    freed: Option<Site>,
    lent: Option<Lent>,
}

/// An argument of notify routines, lent for their calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lent {
    /// What it is, as documents name it: `PS_CREATE_NOTIFY_INFO`.
    pub(crate) what: &'static str,
    /// The process that the notification was about.
    pub(crate) process: u32,
}

/// What an address was that a driver may not touch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touched {
    /// The allocation's first byte and how it was asked for.
    pub(crate) start: usize,
    pub(crate) what: Allocation,
    pub(crate) allocated: Site,
    /// Where it was freed; `None` for a touch beyond the end of a living one.
    pub(crate) freed: Option<Site>,
    /// What it was if it was no pool memory.
    pub(crate) lent: Option<Lent>,
}

/// The special pool.
#[derive(Debug, Default)]
pub(crate) struct Special(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By the first mapped byte.
    regions: BTreeMap<usize, Region>,
    /// Freed regions, the oldest first.
    quarantine: VecDeque<usize>,
    quarantined: usize,
}

/// Where an allocation of `size` bytes begins within its pages, and how many bytes those are.
fn place(size: usize) -> (usize, usize) {
    let pages = size.next_multiple_of(PAGE);
    // A page or more begins on a page, as on NT.
    let offset = if size >= PAGE { 0 } else { pages - size.next_multiple_of(16) };
    (offset, pages)
}

impl Special {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Allocates, with what is not the driver's filled; `None` where the fast pool has to serve.
    pub(crate) fn allocate(&self, what: Allocation, fill: u8, allocated: Site) -> Option<NonNull<u8>> {
        self.map(what, fill, allocated, None)
    }

    /// Memory for an argument, zeroed; it is freed when the calls have returned.
    pub(crate) fn lend(&self, size: usize, lent: Lent) -> Option<NonNull<u8>> {
        let what = Allocation { size: size.max(1), tag: Tag(0), kind: Kind::NonPaged, owner: None };
        self.map(what, 0, Site::default(), Some(lent))
    }

    fn map(&self, what: Allocation, fill: u8, allocated: Site, lent: Option<Lent>) -> Option<NonNull<u8>> {
        if what.size > LARGEST || self.lock().regions.len() >= MOST {
            return None;
        }
        let (offset, pages) = place(what.size);
        let mapped = pages + PAGE;
        let base = machine::platform().map_pages(mapped).ok()?;
        // SAFETY: `mapped` bytes were just mapped, the last page of which is the guard; nobody else has them.
        unsafe {
            if machine::platform().protect_pages(base.add(pages), PAGE, Protection::None).is_err() {
                let _ = machine::platform().unmap_pages(base, mapped);
                return None;
            }
            base.write_bytes(PATTERN, pages);
            base.add(offset).write_bytes(fill, what.size);
        }
        // SAFETY: within the pages.
        let memory = unsafe { base.add(offset) };
        let start = memory.as_ptr().expose_provenance();
        let region = Region { start, mapped, what, allocated, freed: None, lent };
        self.lock().regions.insert(base.as_ptr().expose_provenance(), region);
        Some(memory)
    }

    /// The first byte around a living allocation that does not hold the pattern any more.
    pub(crate) fn damage(&self, start: usize) -> Option<usize> {
        let (base, region) = self.lock().find(start).filter(|(_, region)| region.start == start)?;
        let end = region.start + region.what.size;
        let last = base + region.mapped - PAGE;
        (base..region.start).chain(end..last).find(|&at| {
            // SAFETY: a living region's pages but for the guard are mapped and readable.
            unsafe { std::ptr::with_exposed_provenance::<u8>(at).read_volatile() != PATTERN }
        })
    }

    /// Makes freed memory inaccessible; `false` where it is not special. It is the caller's to free, once.
    pub(crate) fn free(&self, start: usize, freed: Site) -> bool {
        let mut state = self.lock();
        let Some((base, region)) = state.find(start).filter(|(_, region)| region.start == start) else {
            return false;
        };
        let Some(pages) = NonNull::new(std::ptr::with_exposed_provenance_mut::<u8>(base)) else {
            return false;
        };
        // SAFETY: mapped by `allocate`, and freed by its driver: what it still does there is to fault.
        if unsafe { machine::platform().protect_pages(pages, region.mapped, Protection::None) }.is_err() {
            state.unmap(base);
            return true;
        }
        if let Some(region) = state.regions.get_mut(&base) {
            region.freed = Some(freed);
        }
        state.quarantine.push_back(base);
        state.quarantined += region.mapped;
        while state.quarantined > QUARANTINE_BYTES || state.quarantine.len() > QUARANTINE_PIECES {
            let Some(oldest) = state.quarantine.pop_front() else { break };
            let bytes = state.unmap(oldest);
            state.quarantined = state.quarantined.saturating_sub(bytes);
        }
        true
    }

    /// What was touched at an address that faulted, if it is one of ours.
    pub(crate) fn touched(&self, address: usize) -> Option<Touched> {
        let (_, region) = self.lock().find(address)?;
        let Region { start, what, allocated, freed, lent, .. } = region;
        Some(Touched { start, what, allocated, freed, lent })
    }
}

impl State {
    /// The region that an address lies in.
    fn find(&self, address: usize) -> Option<(usize, Region)> {
        let (&base, &region) = self.regions.range(..=address).next_back()?;
        (address - base < region.mapped).then_some((base, region))
    }

    /// Gives a region's pages back, and answers how many bytes they were.
    fn unmap(&mut self, base: usize) -> usize {
        let Some(region) = self.regions.remove(&base) else { return 0 };
        if let Some(pages) = NonNull::new(std::ptr::with_exposed_provenance_mut::<u8>(base)) {
            // SAFETY: mapped by `allocate` with this length, and no longer in the map, so unmapped once.
            let _ = unsafe { machine::platform().unmap_pages(pages, region.mapped) };
        }
        region.mapped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(size: usize) -> Allocation {
        Allocation { size, tag: Tag(u32::from_le_bytes(*b"Spec")), kind: Kind::NonPaged, owner: None }
    }

    #[test]
    fn an_allocation_ends_at_its_guard_and_is_aligned() {
        machine::fault::install().unwrap();
        let special = Special::default();
        for size in [1, 15, 16, 24, 100, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE] {
            let start = special.allocate(of(size), 0, Site::default()).unwrap().as_ptr().addr();
            let alignment = if size >= PAGE { PAGE } else { 16 };
            assert_eq!(start % alignment, 0, "{size}");
            let guard = (start + size).next_multiple_of(PAGE);
            if size < PAGE {
                assert!(guard - (start + size) < 16, "{size}: the guard is near");
            }
            // SAFETY: the driver's bytes, all of which are mapped; the guard, which reads as a fault.
            let inside = unsafe { std::slice::from_raw_parts(start as *const u8, size) };
            assert!(inside.iter().all(|&byte| byte == 0), "{size}");
            assert!(machine::guarded::try_read::<u8>(guard as u64).is_err(), "{size}");
            assert!(special.touched(guard).is_some_and(|touched| touched.freed.is_none()), "{size}");
            assert!(special.free(start, Site::default()));
        }
    }

    #[test]
    fn what_is_freed_cannot_be_touched_and_is_known() {
        machine::fault::install().unwrap();
        let special = Special::default();
        let start = special.allocate(of(40), 0xCD, Site::default()).unwrap().as_ptr().addr();
        assert!(machine::guarded::try_read::<u8>(start as u64).is_ok());
        assert!(special.free(start, Site::default()));
        assert!(machine::guarded::try_read::<u8>(start as u64).is_err());
        let touched = special.touched(start + 8).unwrap();
        assert_eq!((touched.start, touched.what.size), (start, 40));
        assert!(touched.freed.is_some());
    }

    #[test]
    fn damage_around_an_allocation_is_found() {
        let special = Special::default();
        let memory = special.allocate(of(40), 0, Site::default()).unwrap();
        let start = memory.as_ptr().addr();
        assert_eq!(special.damage(start), None);
        // SAFETY: 40 is rounded up to 48, so these bytes of the page hold the pattern.
        unsafe { memory.add(41).write(0) };
        assert_eq!(special.damage(start), Some(start + 41));
        // SAFETY: as above.
        unsafe { memory.sub(1).write(0) };
        assert_eq!(special.damage(start), Some(start - 1));
    }

    #[test]
    fn the_quarantine_is_bounded() {
        let special = Special::default();
        for _ in 0..QUARANTINE_PIECES + 10 {
            let start = special.allocate(of(8), 0, Site::default()).unwrap().as_ptr().addr();
            special.free(start, Site::default());
        }
        let state = special.lock();
        assert_eq!((state.quarantine.len(), state.regions.len()), (QUARANTINE_PIECES, QUARANTINE_PIECES));
        assert!(state.quarantined <= QUARANTINE_BYTES);
    }

    #[test]
    fn what_is_too_large_is_left_to_the_fast_pool() {
        assert!(Special::default().allocate(of(LARGEST + 1), 0, Site::default()).is_none());
    }
}
