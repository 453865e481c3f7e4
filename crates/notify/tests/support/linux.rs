//! The platform that a Linux host gives the tables: `membarrier` and futexes.

use notify::Platform;
use std::sync::atomic::{AtomicU32, Ordering, compiler_fence};

const MEMBARRIER_CMD_PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

/// Light fences that cost nothing, heavy ones that interrupt every core running this process.
pub(crate) struct Linux(());

fn membarrier(command: libc::c_int) -> libc::c_long {
    // SAFETY: the call takes three integers and touches no memory of the caller.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) }
}

fn futex(word: &AtomicU32, operation: libc::c_int, value: u32) {
    // The result does not matter: who is woken looks again, and who was not put to sleep too.
    // SAFETY: `word` is an aligned 32-bit integer that outlives the call; no timeout is passed.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            operation | libc::FUTEX_PRIVATE_FLAG,
            value,
            std::ptr::null::<libc::timespec>(),
        )
    };
}

impl Linux {
    /// `None` where the kernel has no private expedited `membarrier` (before 4.14, or forbidden by a
    /// sandbox).
    pub(crate) fn new() -> Option<Self> {
        (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0).then_some(Self(()))
    }
}

// SAFETY: a private expedited membarrier, registered for in `new`, is a full barrier in every running
// thread of the process at some point during the call, and threads that do not run pass one when they are
// scheduled; a compiler fence keeps the light side in program order. That is the promised either-or.
// The futex compares and sleeps in one step.
unsafe impl Platform for Linux {
    #[inline(always)]
    fn light_fence(&self) {
        compiler_fence(Ordering::SeqCst);
    }

    fn heavy_fence(&self) {
        assert_eq!(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED), 0, "registered for, so it cannot fail");
    }

    fn block(&self, word: &AtomicU32, expected: u32) {
        futex(word, libc::FUTEX_WAIT, expected);
    }

    fn wake_all(&self, word: &AtomicU32) {
        futex(word, libc::FUTEX_WAKE, i32::MAX as u32);
    }
}
