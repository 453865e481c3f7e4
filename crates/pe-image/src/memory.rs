//! Address space: reserve, write, seal, read. The only file of this crate with `unsafe`.
//!
//! ```text
//!   Draft (guard | read+write, private | guard) ──seal──▶ Region (guard | runs of one protection | guard)
//! ```
//! While it is a [`Draft`], nobody else knows the range and it is an ordinary byte slice. As a
//! [`Region`] its writable pages belong to whoever runs the image: this crate then lends slices of
//! pages that cannot be written only, and copies from the others byte by byte.

use crate::error::MapError;
use crate::section::{PAGE, Protection};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes without access on either side of an image.
pub const GUARD_SIZE: usize = 0x10000;

const PAGE_SIZE: usize = PAGE as usize;

/// Pages of one protection; `None` is no access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) pages: Range<usize>,
    pub(crate) protection: Option<Protection>,
}

/// A reserved range with its guards. Unmapped when dropped.
#[derive(Debug)]
struct Reservation {
    base: usize,
    size: usize,
}

impl Reservation {
    /// Reserves `size` bytes (whole pages) and guards around them.
    fn new(at: Option<usize>, size: usize) -> Result<Self, MapError> {
        let whole = size + 2 * GUARD_SIZE;
        let start = match at {
            None => 0,
            Some(base) if base.is_multiple_of(PAGE_SIZE) && base.checked_add(whole).is_some() => base
                .checked_sub(GUARD_SIZE)
                .filter(|&start| start > 0)
                .ok_or(MapError::BadAddress { address: base })?,
            Some(address) => return Err(MapError::BadAddress { address }),
        };
        let fixed = if at.is_some() { libc::MAP_FIXED_NOREPLACE } else { 0 };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | fixed;
        // SAFETY: an anonymous mapping at an address that is either the kernel's choice or, by
        // MAP_FIXED_NOREPLACE, refused if anything is there: no existing mapping is touched.
        let mapped = unsafe { libc::mmap(start as *mut libc::c_void, whole, libc::PROT_NONE, flags, -1, 0) };
        let failed = |source| MapError::Reserve { address: at, size: whole, source };
        if mapped == libc::MAP_FAILED {
            return Err(failed(io::Error::last_os_error()));
        }
        let reservation = Self { base: mapped as usize + GUARD_SIZE, size };
        // A kernel that does not know MAP_FIXED_NOREPLACE takes the address as a mere hint.
        if at.is_some_and(|base| base != reservation.base) {
            return Err(failed(io::Error::from_raw_os_error(libc::EEXIST)));
        }
        Ok(reservation)
    }

    /// Changes what `pages` (offsets, whole pages inside the range) allow.
    fn protect(&self, pages: &Range<usize>, protection: Option<Protection>) -> Result<(), MapError> {
        let whole = pages.start.is_multiple_of(PAGE_SIZE) && pages.end.is_multiple_of(PAGE_SIZE);
        let inside = pages.start <= pages.end && pages.end <= self.size;
        let failed = |source| MapError::Protect {
            start: pages.start,
            end: pages.end,
            protection: protection.unwrap_or_default(),
            source,
        };
        if !whole || !inside {
            return Err(failed(io::Error::from_raw_os_error(libc::EINVAL)));
        }
        if pages.is_empty() {
            return Ok(());
        }
        let flags = protection.map_or(libc::PROT_NONE, |p| {
            let write = if p.write { libc::PROT_WRITE } else { 0 };
            libc::PROT_READ | write | if p.execute { libc::PROT_EXEC } else { 0 }
        });
        let address = (self.base + pages.start) as *mut libc::c_void;
        // SAFETY: the pages lie inside the range that this reservation owns (checked above). Who
        // lends references into it keeps to its own rule: Draft has it exclusively, Region never
        // makes pages inaccessible or writable that it has lent, except by the unsafe `revoke`.
        let result = unsafe { libc::mprotect(address, pages.len(), flags) };
        if result == 0 { Ok(()) } else { Err(failed(io::Error::last_os_error())) }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let start = (self.base - GUARD_SIZE) as *mut libc::c_void;
        // SAFETY: exactly the range that `new` mapped and that nobody else owns; references into it
        // borrow from this value, so none is left.
        // A failure would leave the range mapped, which harms nobody: nothing to do about it.
        let _ = unsafe { libc::munmap(start, self.size + 2 * GUARD_SIZE) };
    }
}

/// A range that is being filled: zeros at first, readable and writable.
#[derive(Debug)]
pub(crate) struct Draft {
    reservation: Reservation,
}

impl Draft {
    pub(crate) fn reserve(at: Option<usize>, size: usize) -> Result<Self, MapError> {
        let reservation = Reservation::new(at, size)?;
        reservation.protect(&(0..size), Some(Protection::READ_WRITE))?;
        Ok(Self { reservation })
    }

    pub(crate) fn base(&self) -> usize {
        self.reservation.base
    }

    /// The image's bytes.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let Reservation { base, size } = self.reservation;
        // SAFETY: `reserve` made these `size` bytes readable and writable, zero-filled by the kernel;
        // they belong to this value alone until `seal` consumes it, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(base as *mut u8, size) }
    }

    /// Gives every run its protection; pages in no run get no access.
    pub(crate) fn seal(self, runs: Vec<Run>) -> Result<Region, MapError> {
        let mut complete = Vec::with_capacity(runs.len() * 2 + 1);
        let mut next = 0;
        for run in runs {
            if run.pages.start > next {
                complete.push(Run { pages: next..run.pages.start, protection: None });
            }
            next = run.pages.end;
            complete.push(run);
        }
        if next < self.reservation.size {
            complete.push(Run { pages: next..self.reservation.size, protection: None });
        }
        for run in &complete {
            self.reservation.protect(&run.pages, run.protection)?;
        }
        Ok(Region { reservation: self.reservation, runs: complete, revoked: AtomicBool::new(false) })
    }
}

/// A finished image in memory.
#[derive(Debug)]
pub(crate) struct Region {
    reservation: Reservation,
    /// Ascending, without gaps, over the whole range.
    runs: Vec<Run>,
    revoked: AtomicBool,
}

impl Region {
    pub(crate) fn base(&self) -> usize {
        self.reservation.base
    }

    pub(crate) fn size(&self) -> usize {
        self.reservation.size
    }

    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Index of the run that `offset` is in.
    fn run_at(&self, offset: usize) -> Option<usize> {
        let index = self.runs.partition_point(|run| run.pages.end <= offset);
        self.runs.get(index).filter(|run| run.pages.contains(&offset)).map(|_| index)
    }

    /// The bytes from `offset` on as far as they cannot be written; `None` if they can be, or are no
    /// part of the image.
    pub(crate) fn constant_tail(&self, offset: usize) -> Option<&[u8]> {
        if self.revoked.load(Ordering::Acquire) {
            return None;
        }
        let constant = |run: &Run| run.protection.is_some_and(|p| !p.write);
        let first = self.run_at(offset)?;
        let runs = self.runs.get(first..)?;
        let end = runs.iter().take_while(|run| constant(run)).last()?.pages.end;
        let address = (self.reservation.base + offset) as *const u8;
        // SAFETY: `offset..end` lies in runs of this region that are readable and not writable, so
        // the bytes are initialised and nobody changes them; the region stays mapped while the
        // borrow lives, and `revoke` (unsafe) promises that no borrow does.
        Some(unsafe { std::slice::from_raw_parts(address, end - offset) })
    }

    /// Copies the bytes at `offset`, writable ones too; false if not all of them can be read.
    pub(crate) fn copy(&self, offset: usize, into: &mut [u8]) -> bool {
        let Some(end) = offset.checked_add(into.len()) else { return false };
        let Some(first) = self.run_at(offset) else { return into.is_empty() };
        let touched = self.runs.get(first..).unwrap_or(&[]).iter().take_while(|run| run.pages.start < end);
        let readable = touched.clone().all(|run| run.protection.is_some());
        if end > self.size() || !readable || self.revoked.load(Ordering::Acquire) {
            return false;
        }
        for (byte, address) in into.iter_mut().zip(self.reservation.base + offset..) {
            // SAFETY: every byte of `offset..end` lies in a readable run of this region (checked
            // above), which stays mapped while `self` is borrowed. Code of the image may write it at
            // the same time, hence volatile and byte by byte: any value is a valid `u8`.
            *byte = unsafe { std::ptr::read_volatile(address as *const u8) };
        }
        true
    }

    /// Takes all access away; the range stays reserved.
    ///
    /// # Safety
    /// No slice that [`Self::constant_tail`] lent is used any more, and no thread is in
    /// [`Self::copy`]: both would fault.
    pub(crate) unsafe fn revoke(&self) -> Result<(), MapError> {
        self.revoked.store(true, Ordering::Release);
        self.reservation.protect(&(0..self.size()), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pages: Range<usize>, protection: Protection) -> Run {
        Run { pages, protection: Some(protection) }
    }

    #[test]
    fn only_constant_pages_are_lent_and_only_readable_ones_copied() {
        let mut draft = Draft::reserve(None, 0x4000).unwrap();
        draft.bytes_mut()[0x1FFE..0x2002].copy_from_slice(&[1, 2, 3, 4]);
        let runs = vec![
            run(0..0x1000, Protection::READ),
            run(0x1000..0x2000, Protection::READ_EXECUTE),
            run(0x2000..0x3000, Protection::READ_WRITE),
        ];
        let region = draft.seal(runs).unwrap();
        assert_eq!(region.constant_tail(0x0FF0).unwrap().len(), 0x1010);
        assert_eq!(region.constant_tail(0x1FFE).unwrap(), [1, 2]);
        assert!(region.constant_tail(0x2000).is_none());
        assert!(region.constant_tail(0x3000).is_none());
        assert!(region.constant_tail(0x4000).is_none());
        let mut bytes = [0; 4];
        assert!(region.copy(0x1FFE, &mut bytes));
        assert_eq!(bytes, [1, 2, 3, 4]);
        assert!(!region.copy(0x2FFE, &mut bytes), "the last two bytes are in a page without access");
        assert!(!region.copy(0x3FFE, &mut bytes));
        assert!(!region.copy(usize::MAX, &mut bytes));
        // SAFETY: nothing is borrowed from the region.
        unsafe { region.revoke() }.unwrap();
        assert!(region.constant_tail(0).is_none());
        assert!(!region.copy(0, &mut bytes));
    }

    #[test]
    fn a_taken_address_is_refused() {
        let first = Draft::reserve(None, 0x1000).unwrap();
        let error = Draft::reserve(Some(first.base()), 0x1000).unwrap_err();
        assert!(
            matches!(error, MapError::Reserve { source, .. } if source.raw_os_error() == Some(libc::EEXIST))
        );
        assert!(matches!(
            Draft::reserve(Some(0x1001), 0x1000),
            Err(MapError::BadAddress { address: 0x1001 })
        ));
        assert!(matches!(Draft::reserve(Some(GUARD_SIZE), 0x1000), Err(MapError::BadAddress { .. })));
        assert!(matches!(
            Draft::reserve(Some(usize::MAX & !0xFFF), 0x1000),
            Err(MapError::BadAddress { .. })
        ));
    }

    #[test]
    fn a_dropped_range_can_be_reserved_again() {
        // Far from where the system puts mappings by itself: other tests map and unmap meanwhile.
        let base = 0x1234_5670_0000;
        for _ in 0..2 {
            assert_eq!(Draft::reserve(Some(base), 0x1000).unwrap().base(), base);
        }
    }
}
