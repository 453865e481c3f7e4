//! The small lock that mutators take among themselves. A walk never takes one.

use crate::platform::Platform;
use crate::sync::{AtomicU32, Ordering};
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

const FREE: u32 = 0;
const HELD: u32 = 1;
const HELD_AND_AWAITED: u32 = 2;

/// A mutual exclusion lock that sleeps by means of a [`Platform`].
pub(crate) struct Lock<T> {
    state: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through a `Guard`, of which the state word admits one at a time, so
// sharing the lock hands the value from thread to thread and never shares it.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { state: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }

    pub(crate) fn lock<'a, P: Platform>(&'a self, platform: &'a P) -> Guard<'a, T, P> {
        if self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
            // Whoever had to wait cannot know that it was the only one, so it takes the lock as awaited.
            while self.state.swap(HELD_AND_AWAITED, Ordering::Acquire) != FREE {
                platform.block(&self.state, HELD_AND_AWAITED);
            }
        }
        Guard { lock: self, platform }
    }
}

/// The right to the value of a [`Lock`], given back on drop.
pub(crate) struct Guard<'a, T, P: Platform> {
    lock: &'a Lock<T>,
    platform: &'a P,
}

impl<T, P: Platform> Deref for Guard<'_, T, P> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: a guard exists only between the state leaving FREE by its thread and returning there by
        // its drop, so nobody else has a reference to the value.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T, P: Platform> DerefMut for Guard<'_, T, P> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; `&mut self` rules out a second reference through this guard.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T, P: Platform> Drop for Guard<'_, T, P> {
    fn drop(&mut self) {
        if self.lock.state.swap(FREE, Ordering::Release) == HELD_AND_AWAITED {
            self.platform.wake_all(&self.lock.state);
        }
    }
}
