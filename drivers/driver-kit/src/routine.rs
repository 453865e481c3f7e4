//! From NT's routines, which take no context, to a handler.
//!
//! NT calls a plain function. So each family has a few of them (`routine::<0>`, `routine::<1>`, …),
//! each with a slot of its own that holds the handler it leads to. A slot is filled before its routine
//! is registered and emptied after the routine's removal, which waits for the calls under way: a
//! routine therefore never meets an empty or a changing slot.

use core::cell::UnsafeCell;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::NtStatus;

/// Routines that one driver can have registered at a time, per family. NT's own table has 64 slots
/// for all drivers together.
pub(crate) const SLOTS: usize = 4;

/// The slots of one family.
pub(crate) struct Slots<H: ?Sized>([Slot<H>; SLOTS]);

struct Slot<H: ?Sized> {
    taken: AtomicBool,
    handler: UnsafeCell<Option<NonNull<H>>>,
}

// SAFETY: `handler` is written only by the one owner of `taken` while the routine is not registered,
// and read only by the routine while it is; NT's registration and removal order the two. The handler
// itself is used from any thread, hence Sync.
unsafe impl<H: ?Sized + Sync> Sync for Slots<H> {}

impl<H: ?Sized> Slots<H> {
    pub(crate) const fn new() -> Self {
        Self([const { Slot { taken: AtomicBool::new(false), handler: UnsafeCell::new(None) } }; SLOTS])
    }

    /// Takes a free slot for `handler`.
    pub(crate) fn take(&self, handler: NonNull<H>) -> Result<usize, NtStatus> {
        let free = |slot: &Slot<H>| {
            slot.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let index = self.0.iter().position(free).ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        // SAFETY: the exchange made us the slot's only owner, and its routine is not registered.
        unsafe { *self.0[index].handler.get() = Some(handler) };
        Ok(index)
    }

    /// Gives a slot back.
    ///
    /// # Safety
    /// The caller took it, and its routine is not registered (any more).
    pub(crate) unsafe fn release(&self, index: usize) {
        // SAFETY: the caller is the only owner and no routine reads.
        unsafe { *self.0[index].handler.get() = None };
        self.0[index].taken.store(false, Ordering::Release);
    }

    /// Whether a slot is taken.
    pub(crate) fn is_taken(&self, index: usize) -> bool {
        self.0[index].taken.load(Ordering::Acquire)
    }

    /// The handler of a slot, for the time of one call of its routine.
    ///
    /// # Safety
    /// To be called by the slot's own routine only, and the borrow must end before it returns.
    pub(crate) unsafe fn handler<'call>(&self, index: usize) -> Option<&'call H> {
        // SAFETY: while the routine is registered nobody writes the slot.
        let handler = unsafe { *self.0[index].handler.get() };
        // SAFETY: the guard keeps the handler alive until the routine's removal, which waits for us.
        handler.map(|handler| unsafe { handler.as_ref() })
    }
}

/// A pointer that a guard can own: its target stays where it is when the pointer moves.
///
/// # Safety
/// `deref` must give the same address for as long as the pointer lives, wherever it is moved to, and
/// nothing may obtain a `&mut` to the target while the guard owns the pointer.
pub unsafe trait Shared: Deref<Target: Sized> + 'static {}

// SAFETY: a reference gives what it points to, for ever.
unsafe impl<T: 'static> Shared for &'static T {}

// SAFETY: the target is on the heap and only shared.
#[cfg(feature = "alloc")]
unsafe impl<T: 'static> Shared for alloc::sync::Arc<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_run_out_and_come_back() {
        let slots = Slots::<u32>::new();
        let value = 7;
        let handler = NonNull::from(&value);
        for expected in 0..SLOTS {
            assert_eq!(slots.take(handler), Ok(expected));
        }
        assert_eq!(slots.take(handler), Err(NtStatus::INSUFFICIENT_RESOURCES));
        // SAFETY: taken above, and no routine is registered.
        unsafe { slots.release(2) };
        assert!(!slots.is_taken(2));
        assert_eq!(slots.take(handler), Ok(2));
    }
}
