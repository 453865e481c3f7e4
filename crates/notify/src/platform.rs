//! What the tables need from the machine they run on: two fences and a way to sleep.

use crate::sync::AtomicU32;

/// The machine under the tables.
///
/// A walk announces "I am calling X" and then looks whether X is still registered; a removal empties
/// X's slot and then looks who is calling X. Neither may miss the other, which takes a full barrier
/// between the store and the load *on both sides*. Walks are frequent and removals are rare, so the
/// barrier may be lopsided: [`light_fence`](Platform::light_fence) as cheap as a compiler fence when
/// [`heavy_fence`](Platform::heavy_fence) makes up for it in every thread (on Linux:
/// `membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)`). Where there is no such service both are a
/// sequentially consistent fence: [`Spin`], and `Portable` with feature `std`.
///
/// # Safety
/// A registration is freed on the word of these fences, so an implementor promises:
///
/// * **Fences.** For a light fence *L* executed by one thread and a heavy fence *H* executed by
///   another, one of two holds: everything that thread stored before *L* is visible to the loads
///   after *H*, or everything stored before *H* is visible to the loads after *L*. Two heavy fences
///   relate in the same way. (Two light fences need not.)
/// * **Sleeping.** `wake_all` on a word makes every `block` on that word return whose comparison came
///   before it. `block` may return early or for no reason; it must not return late for ever.
pub unsafe trait Platform: Send + Sync + 'static {
    /// The walker's half of the barrier: runs once per slot, so it should cost nothing.
    fn light_fence(&self);

    /// The remover's half: makes up for every light fence of every thread. May cost microseconds.
    fn heavy_fence(&self);

    /// Puts the calling thread to sleep if `word` still holds `expected`, until a wake (a futex wait).
    ///
    /// The comparison and the falling asleep are one step as seen by [`wake_all`](Self::wake_all).
    fn block(&self, word: &AtomicU32, expected: u32);

    /// Wakes every thread that sleeps on `word`.
    fn wake_all(&self, word: &AtomicU32);
}

/// No operating system: sequentially consistent fences, and busy waiting in place of sleep.
///
/// Right for bare metal and single-purpose emulators; where threads can sleep, give them a platform that
/// lets them (the NT kernel's removal does not spin, R-RM-03).
#[derive(Debug, Clone, Copy, Default)]
pub struct Spin;

// SAFETY: both fences are sequentially consistent fences, which the language orders totally: that is the
// promised either-or. `block` always returns, so no wake can be missed.
unsafe impl Platform for Spin {
    #[inline]
    fn light_fence(&self) {
        core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
    }

    #[inline]
    fn heavy_fence(&self) {
        core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
    }

    fn block(&self, _word: &AtomicU32, _expected: u32) {
        core::hint::spin_loop();
    }

    fn wake_all(&self, _word: &AtomicU32) {}
}

#[cfg(feature = "std")]
pub use portable::Portable;

#[cfg(feature = "std")]
mod portable {
    use super::Platform;
    use crate::sync::{AtomicU32, Ordering};
    use std::sync::{Condvar, Mutex, PoisonError};

    /// Anything with `std`: sequentially consistent fences, sleepers on a condition variable.
    ///
    /// Correct everywhere (this is the platform for Miri) and fast nowhere: each slot of a walk pays for
    /// a full fence. A host that cares implements [`Platform`] with its system's asymmetric barrier.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct Portable;

    static SLEEPERS: Mutex<()> = Mutex::new(());
    static WAKE: Condvar = Condvar::new();

    // SAFETY: both fences are sequentially consistent fences, which the language orders totally. The word
    // is compared under the mutex that a waker also takes, so a wake comes either before the
    // comparison, and then is none of its business, or after the wait began, and then ends it.
    unsafe impl Platform for Portable {
        #[inline]
        fn light_fence(&self) {
            core::sync::atomic::fence(Ordering::SeqCst);
        }

        #[inline]
        fn heavy_fence(&self) {
            core::sync::atomic::fence(Ordering::SeqCst);
        }

        fn block(&self, word: &AtomicU32, expected: u32) {
            let sleepers = SLEEPERS.lock().unwrap_or_else(PoisonError::into_inner);
            if word.load(Ordering::Acquire) == expected {
                drop(WAKE.wait(sleepers).unwrap_or_else(PoisonError::into_inner));
            }
        }

        fn wake_all(&self, _word: &AtomicU32) {
            let _sleepers = SLEEPERS.lock().unwrap_or_else(PoisonError::into_inner);
            WAKE.notify_all();
        }
    }
}
