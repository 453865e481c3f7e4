//! Whole pages that drivers ask for: what is mapped, for what, and for whom.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{Body, DriverId, Leak, LeakKind};
use nt_abi::PAGE_SIZE;

use crate::Kernel;

/// What pages are for; each kind is given back by its own routine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// `MmAllocateContiguousMemory…`
    Contiguous,
    /// `MmAllocateNonCachedMemory`
    NonCached,
    /// `MmAllocatePagesForMdl…`
    MdlPages,
    /// `MmMapIoSpace`
    IoSpace,
    /// A section's memory.
    Section,
    /// `ZwAllocateVirtualMemory`
    Virtual,
}

/// Pages in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    /// Bytes, a multiple of the page size.
    pub(crate) size: usize,
    pub(crate) used_for: Use,
    pub(crate) owner: Option<DriverId>,
    /// PAGE_… as the driver asked for it.
    pub(crate) protect: u32,
}

/// Every region, by address.
#[derive(Debug, Default)]
pub(crate) struct Regions(Mutex<BTreeMap<usize, Region>>);

impl Regions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Region>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Maps zeroed pages for at least `size` bytes; `None` when there are none.
    pub(crate) fn map(&self, size: usize, used_for: Use) -> Option<NonNull<u8>> {
        let size = size.max(1).checked_next_multiple_of(PAGE_SIZE)?;
        let pages = machine::platform().map_pages(size).ok()?;
        let owner = crate::io::current_driver();
        let region = Region { size, used_for, owner, protect: nt_abi::PAGE_READWRITE };
        self.lock().insert(pages.as_ptr().expose_provenance(), region);
        Some(pages)
    }

    /// Gives back the region that begins at `start`, if there is one for that use.
    pub(crate) fn unmap(&self, start: usize, used_for: Use) -> Option<Region> {
        let mut regions = self.lock();
        let region = *regions.get(&start).filter(|region| region.used_for == used_for)?;
        regions.remove(&start);
        drop(regions);
        let pages = NonNull::new(std::ptr::with_exposed_provenance_mut(start))?;
        // SAFETY: the ledger has it, so `map` made it; what drivers still do with it is a fault, as on Windows.
        let _ = unsafe { machine::platform().unmap_pages(pages, region.size) };
        Some(region)
    }

    /// The region that holds an address, and where it begins.
    pub(crate) fn find(&self, address: usize) -> Option<(usize, Region)> {
        let regions = self.lock();
        let (&start, &region) = regions.range(..=address).next_back()?;
        (address - start < region.size).then_some((start, region))
    }

    /// Changes what may be done with pages of a region; `false` when they are of none, or the system refuses.
    pub(crate) fn protect(&self, start: usize, size: usize, protect: u32) -> bool {
        let Some((base, region)) = self.find(start) else { return false };
        let Some(to) = protection(protect).filter(|_| start + size <= base + region.size) else {
            return false;
        };
        let (low, high) = (start & !(PAGE_SIZE - 1), (start + size).next_multiple_of(PAGE_SIZE));
        let Some(pages) = NonNull::new(std::ptr::with_exposed_provenance_mut(low)) else { return false };
        // SAFETY: pages of a region, which no reference of Rust's points into.
        let done = unsafe { machine::platform().protect_pages(pages, high - low, to) }.is_ok();
        if done && let Some(region) = self.lock().get_mut(&base) {
            region.protect = protect;
        }
        done
    }

    /// Records what an unloaded driver has not given back (L-17).
    pub(crate) fn report_leaks(&self, kernel: &Kernel, driver: DriverId) {
        let left: Vec<(usize, Region)> = self
            .lock()
            .iter()
            .filter(|(_, region)| region.owner == Some(driver))
            .map(|(&at, &region)| (at, region))
            .collect();
        for (at, region) in left {
            kernel.record(Body::Leak(Leak {
                driver,
                kind: LeakKind::Other,
                what: format!("{} at {at:#x}", region.used_for.title()).into(),
                count: 1,
                bytes: region.size as u64,
            }));
        }
    }
}

impl Use {
    fn title(self) -> &'static str {
        match self {
            Self::Contiguous => "contiguous memory",
            Self::NonCached => "noncached memory",
            Self::MdlPages => "pages of an MDL",
            Self::IoSpace => "mapped I/O space",
            Self::Section => "a section",
            Self::Virtual => "virtual memory",
        }
    }
}

/// A page protection of NT as one of the machine; `None` for a value that is none.
pub(crate) fn protection(protect: u32) -> Option<machine::platform::Protection> {
    use machine::platform::Protection;
    use nt_abi::*;
    Some(match protect & 0xFF {
        PAGE_NOACCESS => Protection::None,
        PAGE_READONLY => Protection::Read,
        PAGE_READWRITE | PAGE_WRITECOPY => Protection::ReadWrite,
        PAGE_EXECUTE | PAGE_EXECUTE_READ => Protection::ReadExecute,
        PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY => Protection::ReadWriteExecute,
        _ => return None,
    })
}

/// What the memory manager keeps.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) regions: Regions,
    pub(crate) views: super::section::Views,
}

impl State {
    pub(crate) fn new(_: &crate::Config) -> Self {
        Self::default()
    }
}

/// Records what an unloaded driver has not given back (L-17).
pub(crate) fn report_leaks(kernel: &Kernel, driver: DriverId) {
    kernel.mm.regions.report_leaks(kernel, driver);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    #[test]
    fn pages_are_found_protected_and_given_back() {
        with_kernel(Config::default(), |kernel, _| {
            let regions = &kernel.mm.regions;
            let start = regions.map(5000, Use::Contiguous).unwrap().as_ptr().addr();
            assert_eq!(start % PAGE_SIZE, 0);
            assert_eq!(regions.find(start + 8191).map(|(at, region)| (at, region.size)), Some((start, 8192)));
            assert!(regions.find(start + 8192).is_none_or(|(at, _)| at != start));
            assert!(regions.protect(start, 4096, nt_abi::PAGE_READONLY));
            // SAFETY: the page cannot be written, which is an error.
            assert!(unsafe { machine::guarded::try_write(start as u64, 1u8) }.is_err());
            assert!(!regions.protect(start, 4096, 3));
            assert!(regions.unmap(start, Use::Virtual).is_none());
            assert!(regions.unmap(start, Use::Contiguous).is_some());
            assert!(regions.find(start).is_none());
        });
    }
}
