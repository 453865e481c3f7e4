//! Low pool: allocations that drivers make, or cause, and that fail.
//!
//! What the system needs for itself, such as the packets of its own requests, is always there.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::pool::Allocation;
use crate::config::LowPool;
use crate::{Kernel, io, kernel};

/// How low pool is at this moment.
#[derive(Debug)]
pub(crate) struct Level {
    /// Whether any allocation is still to fail: all that is looked at while pool is not low.
    low: AtomicBool,
    left: Mutex<LowPool>,
}

impl Level {
    pub(crate) fn new(low: LowPool) -> Self {
        let level = Self { low: AtomicBool::default(), left: Mutex::default() };
        level.set(low);
        level
    }

    fn set(&self, low: LowPool) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = low;
        self.low.store(low.failures != 0, Ordering::Release);
    }

    /// Counts an allocation, and says whether it fails.
    fn takes_one(&self) -> bool {
        if !self.low.load(Ordering::Acquire) {
            return false;
        }
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.after > 0 {
            left.after -= 1;
            return false;
        }
        if left.failures == 0 {
            return false;
        }
        if left.failures != LowPool::ALL.failures {
            left.failures -= 1;
            self.low.store(left.failures != 0, Ordering::Release);
        }
        true
    }
}

/// Whether an allocation that a driver makes now, or causes, is to fail.
pub(crate) fn fails() -> bool {
    io::current_driver().is_some() && (kernel().ex.low_pool.takes_one() || crate::stress::fails_allocation())
}

/// Allocates for a driver; `None` when there is no memory, or pool is low. What is not to be zeroed is filled with a
/// pattern.
pub(crate) fn allocate(what: Allocation, zero: bool) -> Option<NonNull<u8>> {
    if fails() { None } else { kernel().ex.pool.allocate(what, zero) }
}

impl Kernel {
    /// Makes pool low from now on, or plentiful again.
    pub fn set_low_pool(&self, low: LowPool) {
        self.ex.low_pool.set(low);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_succeed_then_so_many_fail() {
        let of = |low| {
            let level = Level::new(low);
            (0..6).map(|_| level.takes_one()).collect::<Vec<_>>()
        };
        assert_eq!(of(LowPool::default()), [false; 6]);
        assert_eq!(of(LowPool::NEXT), [true, false, false, false, false, false]);
        assert_eq!(of(LowPool { after: 2, failures: 3 }), [false, false, true, true, true, false]);
        assert_eq!(of(LowPool { after: 1, ..LowPool::ALL }), [false, true, true, true, true, true]);
    }
}
