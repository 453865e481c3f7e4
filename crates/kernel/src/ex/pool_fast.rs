//! Fast pool: memory by size, given out again as late as possible.
//!
//! ```text
//!   class of a size ── never used: the rest of a chunk
//!                   └─ freed: a queue, of which the oldest is used again once it is long enough
//! ```
//! Which memory is free is written down apart from it, and nothing but drivers' memory lies beside it: a driver that
//! writes where it may not damages what drivers own. Freed memory is filled, and looked at before it is used again.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::pool::PAGE;

/// What freed memory holds until it is used again.
const FREED: u8 = 0xDD;
/// Eight bytes of that.
pub(super) const FREED_WORD: u64 = u64::from_le_bytes([FREED; 8]);
/// Sizes below a page are rounded up to a multiple of this, which is also how small memory is aligned.
const STEP: usize = 32;
/// The largest memory that is kept by size, in pages; larger memory is the allocator's.
const MOST_PAGES: usize = 16;
/// How many classes are of less than a page.
const SMALL: usize = PAGE / STEP - 1;
/// How many there are with those of whole pages.
const CLASSES: usize = SMALL + MOST_PAGES;
/// What a class takes at once, at least.
const CHUNK: usize = 16 * PAGE;
/// How many freed bytes of a class wait before the oldest are used again.
const WAITING: usize = 2 * PAGE;

/// Memory of one size.
#[derive(Debug, Default)]
struct Class {
    /// Addresses, the one that was freed first in front.
    freed: VecDeque<usize>,
    /// Where memory begins that was never used, and where that ends.
    fresh: usize,
    end: usize,
}

/// Memory that does not hold any more what it was filled with when it was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// The first byte that was written to.
    pub(crate) at: usize,
    /// What stands there, in eight bytes.
    pub(crate) found: u64,
}

/// The memory of fast pool.
#[derive(Debug)]
pub(crate) struct Fast([Mutex<Class>; CLASSES]);

impl Default for Fast {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

/// The class of `size` bytes; `None` for what is larger than any.
fn class_of(size: usize) -> Option<usize> {
    let size = size.max(1);
    let index = if size <= SMALL * STEP { size.div_ceil(STEP) - 1 } else { SMALL + size.div_ceil(PAGE) - 1 };
    (index < CLASSES).then_some(index)
}

/// How many bytes the memory of a class has.
fn bytes_of(class: usize) -> usize {
    if class < SMALL { (class + 1) * STEP } else { (class - SMALL + 1) * PAGE }
}

fn large(size: usize) -> Option<Layout> {
    Layout::from_size_align(size, PAGE).ok()
}

impl Fast {
    fn class(&self, index: usize) -> MutexGuard<'_, Class> {
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory for `size` bytes, aligned to 16, and to a page where it is one or more; `Ok(None)` when there is none.
    ///
    /// # Errors
    /// When what would be used again was written to after it was freed. It is not given out any more.
    pub(crate) fn allocate(&self, size: usize) -> Result<Option<NonNull<u8>>, Written> {
        let Some(index) = class_of(size) else {
            let Some(layout) = large(size) else { return Ok(None) };
            // SAFETY: the layout's size is not zero, as no class holds it.
            return Ok(NonNull::new(unsafe { alloc(layout) }));
        };
        let rounded = bytes_of(index);
        let mut class = self.class(index);
        let waiting = class.freed.len() * rounded;
        let again =
            if waiting > WAITING || !class.has_fresh(rounded) { class.freed.pop_front() } else { None };
        if let Some(address) = again {
            drop(class);
            return match written(address, rounded) {
                Some(written) => Err(written),
                None => Ok(NonNull::new(std::ptr::with_exposed_provenance_mut(address))),
            };
        }
        Ok(class.take_fresh(rounded))
    }

    /// Takes back memory for `size` bytes.
    ///
    /// # Safety
    /// It must come from [`allocate`](Self::allocate) of the same size, and nobody may use it any more.
    pub(crate) unsafe fn free(&self, address: usize, size: usize) {
        let memory = std::ptr::with_exposed_provenance_mut::<u8>(address);
        let Some(index) = class_of(size) else {
            if let Some(layout) = large(size) {
                // SAFETY: by contract from `alloc`, with this layout.
                unsafe { dealloc(memory, layout) };
            }
            return;
        };
        // SAFETY: the memory of a class has that many bytes, and by contract nobody uses them.
        unsafe { memory.write_bytes(FREED, bytes_of(index)) };
        self.class(index).freed.push_back(address);
    }

    /// Freed memory that was written to, of all that waits. What is found is given out no more.
    pub(crate) fn find_written(&self) -> Option<Written> {
        for index in 0..CLASSES {
            let mut class = self.class(index);
            let found = class
                .freed
                .iter()
                .enumerate()
                .find_map(|(number, &it)| Some((number, written(it, bytes_of(index))?)));
            if let Some((number, written)) = found {
                class.freed.remove(number);
                return Some(written);
            }
        }
        None
    }
}

impl Class {
    fn has_fresh(&self, size: usize) -> bool {
        self.end - self.fresh >= size
    }

    /// Memory that was never used, from a new chunk where need be. Chunks are never given back.
    fn take_fresh(&mut self, size: usize) -> Option<NonNull<u8>> {
        if !self.has_fresh(size) {
            let layout = Layout::from_size_align(CHUNK.max(4 * size), PAGE).ok()?;
            // SAFETY: the layout's size is not zero.
            let chunk = NonNull::new(unsafe { alloc(layout) })?;
            self.fresh = chunk.as_ptr().expose_provenance();
            self.end = self.fresh + layout.size();
        }
        let memory = NonNull::new(std::ptr::with_exposed_provenance_mut(self.fresh));
        self.fresh += size;
        memory
    }
}

/// The first of `size` freed bytes that is not as it was left.
fn written(start: usize, size: usize) -> Option<Written> {
    let memory = std::ptr::with_exposed_provenance::<u8>(start);
    // SAFETY: memory of a class is never given back, and only drivers that break the rules write to what is freed.
    let bytes = unsafe { std::slice::from_raw_parts(memory, size) };
    let at = bytes.iter().position(|&byte| byte != FREED)?;
    let found = bytes.get(at & !7..(at & !7) + 8)?;
    let found = found.try_into().map_or(0, u64::from_le_bytes);
    Some(Written { at: start + at, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocated(fast: &Fast, size: usize) -> usize {
        fast.allocate(size).unwrap().unwrap().as_ptr().expose_provenance()
    }

    #[test]
    fn every_size_has_a_class_that_holds_it() {
        let mut before = 0;
        for size in 1..=MOST_PAGES * PAGE {
            let class = class_of(size).unwrap();
            assert!((before..=before + 1).contains(&class) && bytes_of(class) >= size, "{size}");
            assert!(class == 0 || bytes_of(class - 1) < size, "{size} fits a smaller one");
            before = class;
        }
        assert_eq!((before, class_of(MOST_PAGES * PAGE + 1)), (CLASSES - 1, None));
    }

    #[test]
    fn memory_is_aligned_and_apart() {
        let fast = Fast::default();
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for size in [1, 16, 24, 40, 4000, 4064, 4065, PAGE, PAGE + 16, 3 * PAGE, 40 * PAGE] {
            for _ in 0..40 {
                let at = allocated(&fast, size);
                assert_eq!(at % if size >= PAGE { PAGE } else { 16 }, 0);
                assert!(taken.iter().all(|&(other, its)| at + size <= other || other + its <= at));
                taken.push((at, size));
            }
        }
    }

    #[test]
    fn what_is_freed_is_used_again_late_and_oldest_first() {
        let fast = Fast::default();
        let many = WAITING / STEP + 1;
        let first: Vec<_> = (0..many).map(|_| allocated(&fast, 20)).collect();
        for &at in &first {
            // SAFETY: allocated with this size just now, and forgotten.
            unsafe { fast.free(at, 20) };
        }
        assert_eq!(allocated(&fast, 20), first[0]);
        assert!(!first.contains(&allocated(&fast, 20)), "the queue is short now");
    }

    #[test]
    fn a_write_to_freed_memory_is_found_and_the_memory_is_out_of_use() {
        let fast = Fast::default();
        let at = allocated(&fast, 100);
        // SAFETY: allocated with this size just now, and forgotten.
        unsafe { fast.free(at, 100) };
        assert_eq!(fast.find_written(), None);
        // SAFETY: memory of a class is never given back.
        unsafe { std::ptr::with_exposed_provenance_mut::<u8>(at + 9).write(7) };
        let found = u64::from_le_bytes([FREED, 7, FREED, FREED, FREED, FREED, FREED, FREED]);
        assert_eq!(fast.find_written(), Some(Written { at: at + 9, found }));
        assert_eq!(fast.find_written(), None);
        for _ in 0..CHUNK / 128 * 2 {
            assert_ne!(allocated(&fast, 100), at);
        }
    }

    #[test]
    fn an_impossible_size_is_no_memory() {
        assert_eq!(Fast::default().allocate(usize::MAX - 4), Ok(None));
    }
}
