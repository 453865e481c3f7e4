//! All that the kernel needs from outside, as one trait.
//!
//! The kernel never calls Linux: what it needs of the world comes through [`Platform`], so that a
//! ring-0 backend stays possible and unit tests need no child process. [`Hosted`] is the
//! implementation for a Linux process and what [`platform`] answers until another one is installed.

use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, compiler_fence, fence};
use std::time::Duration;

use crate::hosted::Hosted;

/// Why [`Platform::block`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockOutcome {
    /// Somebody called [`Platform::wake`], or the wait ended for no reason; look at the word again.
    Woken,
    /// The time was up.
    TimedOut,
    /// The word did not hold the expected value, so nothing was waited for.
    Changed,
}

/// One reading of the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Units of 100 ns since 1601-01-01 UTC, as in `KeQuerySystemTime`.
    pub system_time: i64,
    /// Nanoseconds of a clock that never goes back; its zero means nothing.
    pub monotonic: u64,
}

/// What may be done with mapped pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Nothing: a guard.
    None,
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    ReadExecute,
    /// Read, write and execute, as executable pool is.
    ReadWriteExecute,
}

/// The platform refused.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// No thread could be made.
    #[error(
        "cannot start the thread `{name}` with a stack of {stack_size} bytes: {source}; raise the thread or memory limit"
    )]
    Spawn {
        /// The name that was asked for.
        name: String,
        /// The stack that was asked for, in bytes.
        stack_size: usize,
        /// What the system said.
        source: std::io::Error,
    },
    /// Memory could not be mapped, unmapped or protected.
    #[error("cannot {action} {length} bytes of memory: {source}; raise the memory limit")]
    Memory {
        /// `map`, `unmap` or `protect`.
        action: &'static str,
        /// How much was asked for, in bytes.
        length: usize,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What the kernel needs from outside.
pub trait Platform: Sync {
    /// Sleeps while `word` holds `expected`, until woken or until `timeout` has passed (`None`: for ever).
    ///
    /// The test and the going to sleep are one step: a [`wake`](Self::wake) that follows a change of the
    /// word is never missed. May return [`BlockOutcome::Woken`] without reason.
    fn block(&self, word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> BlockOutcome;

    /// Wakes at most `count` of those who sleep on `word`; answers how many.
    fn wake(&self, word: &AtomicU32, count: u32) -> u32;

    /// Starts a thread. A `stack_size` of 0 asks for the usual size.
    ///
    /// # Errors
    /// [`PlatformError::Spawn`] when the system has no room for another thread.
    fn spawn(
        &self,
        name: &str,
        stack_size: usize,
        body: Box<dyn FnOnce() + Send>,
    ) -> Result<(), PlatformError>;

    /// Reads the clocks.
    fn now(&self) -> Now;

    /// Reads the one that never goes back, where the other is not needed.
    fn monotonic(&self) -> u64 {
        self.now().monotonic
    }

    /// The expensive half of an asymmetric fence: when it returns, every thread of the process has
    /// executed a full fence since it was called. The cheap half is [`light_fence`].
    fn heavy_fence(&self);

    /// Maps `length` bytes (rounded up to pages) of zeroed memory, readable and writable.
    ///
    /// # Errors
    /// [`PlatformError::Memory`] when there is no room.
    fn map_pages(&self, length: usize) -> Result<NonNull<u8>, PlatformError>;

    /// Puts a page at an address, readable only. `false` where something is mapped already, or there is no room.
    /// A signal handler may call this.
    fn place_page(&self, address: usize, bytes: &[u8; crate::pcr::PAGE_SIZE]) -> bool;

    /// Gives mapped pages back.
    ///
    /// # Safety
    /// `[start, start + length)` came from [`map_pages`](Self::map_pages) or [`place_page`](Self::place_page), and
    /// nobody uses it any more.
    ///
    /// # Errors
    /// [`PlatformError::Memory`] when the range is not one of whole pages.
    unsafe fn unmap_pages(&self, start: NonNull<u8>, length: usize) -> Result<(), PlatformError>;

    /// Changes what may be done with mapped pages.
    ///
    /// # Safety
    /// `[start, start + length)` came from [`map_pages`](Self::map_pages), and no reference of Rust's
    /// depends on the access that is taken away.
    ///
    /// # Errors
    /// [`PlatformError::Memory`] when the range is not one of whole pages or the system forbids it.
    unsafe fn protect_pages(
        &self,
        start: NonNull<u8>,
        length: usize,
        to: Protection,
    ) -> Result<(), PlatformError>;

    /// A number that nobody can guess.
    fn random_u64(&self) -> u64;
}

static PLATFORM: OnceLock<&'static dyn Platform> = OnceLock::new();
static INTERPOSED: OnceLock<&'static dyn Platform> = OnceLock::new();
static ASYMMETRIC: AtomicBool = AtomicBool::new(false);

/// Installs the platform for the life of the process; `false` when one is installed (or was already used).
///
/// `asymmetric` says that [`Platform::heavy_fence`] reaches threads that only executed [`light_fence`]
/// without its being a real fence, as `membarrier` does.
pub fn install_platform(platform: &'static dyn Platform, asymmetric: bool) -> bool {
    let installed = PLATFORM.set(platform).is_ok();
    if installed {
        ASYMMETRIC.store(asymmetric, Ordering::SeqCst);
    }
    installed
}

/// Puts a platform in front of the installed one, for the life of the process; `false` when there is one already.
///
/// For a kernel that decides itself which thread goes on: it may come after the first use, as every wait names its
/// word and is asked for anew. Fences stay those of the platform behind it.
pub fn interpose_platform(platform: &'static dyn Platform) -> bool {
    INTERPOSED.set(platform).is_ok()
}

/// The interposed platform, or the installed one, or [`Hosted`] when none was installed before the first use.
pub fn platform() -> &'static dyn Platform {
    if let Some(interposed) = INTERPOSED.get() {
        return *interposed;
    }
    *PLATFORM.get_or_init(|| {
        let hosted = Hosted::instance();
        ASYMMETRIC.store(hosted.has_membarrier(), Ordering::SeqCst);
        hosted
    })
}

/// The cheap half of an asymmetric fence: orders what was stored before it against what is loaded after it,
/// as seen by whoever calls [`Platform::heavy_fence`]. Costs nothing where `membarrier` works.
#[inline]
pub fn light_fence() {
    if ASYMMETRIC.load(Ordering::Relaxed) {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}
