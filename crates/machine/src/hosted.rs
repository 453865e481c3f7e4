//! The platform of a Linux process: futexes, threads, `membarrier`.

use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::activity;
use crate::platform::{BlockOutcome, Now, Platform, PlatformError, Protection};

/// Seconds between 1601-01-01, where NT's time starts, and 1970-01-01.
const NT_EPOCH_SECONDS: i64 = 11_644_473_600;
const HUNDRED_NANOSECONDS_PER_SECOND: i64 = 10_000_000;

const MEMBARRIER_CMD_PRIVATE_EXPEDITED: i64 = 1 << 3;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: i64 = 1 << 4;

/// The platform that a Linux process is.
#[derive(Debug)]
pub struct Hosted {
    membarrier: bool,
}

impl Hosted {
    /// The one instance; asks the system once whether it has `membarrier`.
    pub fn instance() -> &'static Hosted {
        static INSTANCE: OnceLock<Hosted> = OnceLock::new();
        INSTANCE.get_or_init(|| {
            // SAFETY: the system call takes three integers and touches no memory of ours.
            let rc = unsafe {
                libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0)
            };
            Hosted { membarrier: rc == 0 }
        })
    }

    /// Whether [`Platform::heavy_fence`] is a `membarrier`, so that the light half costs nothing.
    pub fn has_membarrier(&self) -> bool {
        self.membarrier
    }
}

/// Sleeps while a word holds a value.
fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> BlockOutcome {
    let spec = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    });
    let spec_pointer = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the word and the time outlive the call, which only reads them.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            expected,
            spec_pointer,
        )
    };
    if rc == 0 {
        return BlockOutcome::Woken;
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) => BlockOutcome::TimedOut,
        Some(libc::EAGAIN) => BlockOutcome::Changed,
        _ => BlockOutcome::Woken,
    }
}

/// Sleeps without being counted out.
pub(crate) fn wait_word(word: &AtomicU32, expected: u32, timeout: Duration) {
    futex_wait(word, expected, Some(timeout));
}

/// Wakes those who sleep by [`wait_word`].
pub(crate) fn wake_word(word: &AtomicU32) {
    // SAFETY: waking uses the address as a name only.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, i32::MAX)
    };
}

impl Platform for Hosted {
    fn block(&self, word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> BlockOutcome {
        let _asleep = activity::is_counting().then(|| activity::Asleep::on(word, expected));
        futex_wait(word, expected, timeout)
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> u32 {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        // SAFETY: waking uses the address as a name only.
        let rc = unsafe {
            libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, count)
        };
        u32::try_from(rc).unwrap_or(0)
    }

    fn spawn(
        &self,
        name: &str,
        stack_size: usize,
        body: Box<dyn FnOnce() + Send>,
    ) -> Result<(), PlatformError> {
        let mut builder = std::thread::Builder::new().name(name.replace('\0', " "));
        if stack_size != 0 {
            builder = builder.stack_size(stack_size);
        }
        if !activity::is_counting() {
            return match builder.spawn(body) {
                Ok(_detached) => Ok(()),
                Err(source) => Err(PlatformError::Spawn { name: name.to_owned(), stack_size, source }),
            };
        }
        // It counts from now on, and not only once it has begun.
        activity::begin();
        let counted = move || {
            body();
            activity::end();
        };
        match builder.spawn(counted) {
            Ok(_detached) => Ok(()),
            Err(source) => {
                activity::end();
                Err(PlatformError::Spawn { name: name.to_owned(), stack_size, source })
            }
        }
    }

    fn now(&self) -> Now {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(since_1970.as_secs()).unwrap_or(0) + NT_EPOCH_SECONDS;
        let system_time =
            seconds * HUNDRED_NANOSECONDS_PER_SECOND + i64::from(since_1970.subsec_nanos() / 100);
        Now { system_time, monotonic: self.monotonic() }
    }

    fn monotonic(&self) -> u64 {
        let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `spec` is ours to write.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut spec) };
        u64::try_from(spec.tv_sec * 1_000_000_000 + spec.tv_nsec).unwrap_or(0)
    }

    fn heavy_fence(&self) {
        fence(Ordering::SeqCst);
        if self.membarrier {
            // SAFETY: the system call takes three integers and touches no memory of ours.
            unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) };
        }
    }

    fn map_pages(&self, length: usize) -> Result<NonNull<u8>, PlatformError> {
        // SAFETY: a new anonymous mapping at an address of the system's choice replaces nothing.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        match NonNull::new(address.cast::<u8>()) {
            Some(start) if address != libc::MAP_FAILED => Ok(start),
            _ => {
                Err(PlatformError::Memory { action: "map", length, source: std::io::Error::last_os_error() })
            }
        }
    }

    fn place_page(&self, address: usize, bytes: &[u8; crate::pcr::PAGE_SIZE]) -> bool {
        // SAFETY: a new anonymous mapping that, by MAP_FIXED_NOREPLACE, replaces nothing.
        let mapped = unsafe {
            libc::mmap(
                std::ptr::without_provenance_mut(address),
                bytes.len(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
                -1,
                0,
            )
        };
        if mapped == libc::MAP_FAILED {
            return false;
        }
        if mapped.addr() != address {
            // A kernel that takes the address for a hint.
            // SAFETY: the mapping is a moment old, and nobody knows it.
            unsafe { libc::munmap(mapped, bytes.len()) };
            return false;
        }
        // SAFETY: as many bytes were just mapped, for writing.
        unsafe { mapped.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        // SAFETY: the mapping is ours.
        unsafe { libc::mprotect(mapped, bytes.len(), libc::PROT_READ) == 0 }
    }

    unsafe fn unmap_pages(&self, start: NonNull<u8>, length: usize) -> Result<(), PlatformError> {
        // SAFETY: the caller promises that the range is its own and unused.
        let rc = unsafe { libc::munmap(start.as_ptr().cast(), length) };
        if rc == 0 {
            return Ok(());
        }
        Err(PlatformError::Memory { action: "unmap", length, source: std::io::Error::last_os_error() })
    }

    unsafe fn protect_pages(
        &self,
        start: NonNull<u8>,
        length: usize,
        to: Protection,
    ) -> Result<(), PlatformError> {
        let bits = match to {
            Protection::None => libc::PROT_NONE,
            Protection::Read => libc::PROT_READ,
            Protection::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
            Protection::ReadExecute => libc::PROT_READ | libc::PROT_EXEC,
            Protection::ReadWriteExecute => libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
        };
        // SAFETY: the caller promises that the range is its own and that no reference depends on it.
        let rc = unsafe { libc::mprotect(start.as_ptr().cast(), length, bits) };
        if rc == 0 {
            return Ok(());
        }
        Err(PlatformError::Memory { action: "protect", length, source: std::io::Error::last_os_error() })
    }

    fn random_u64(&self) -> u64 {
        let mut bytes = [0u8; 8];
        // SAFETY: the buffer is ours and as long as said.
        let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        if got == 8 {
            return u64::from_ne_bytes(bytes);
        }
        // Only ancient systems and strict sandboxes get here; the clock differs at least from call to call.
        let now = self.now();
        now.monotonic.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ now.system_time.cast_unsigned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_word_is_not_waited_for() {
        let word = AtomicU32::new(1);
        assert_eq!(Hosted::instance().block(&word, 0, None), BlockOutcome::Changed);
    }

    #[test]
    fn a_wait_ends_when_its_time_is_up() {
        let word = AtomicU32::new(0);
        let outcome = Hosted::instance().block(&word, 0, Some(Duration::from_millis(1)));
        assert_eq!(outcome, BlockOutcome::TimedOut);
    }

    #[test]
    fn a_sleeper_is_woken_from_another_thread() {
        static WORD: AtomicU32 = AtomicU32::new(0);
        static DONE: AtomicU32 = AtomicU32::new(0);
        let hosted = Hosted::instance();
        hosted
            .spawn(
                "sleeper",
                0,
                Box::new(|| {
                    while WORD.load(Ordering::SeqCst) == 0 {
                        Hosted::instance().block(&WORD, 0, None);
                    }
                    DONE.store(1, Ordering::SeqCst);
                    Hosted::instance().wake(&DONE, 1);
                }),
            )
            .unwrap();
        WORD.store(1, Ordering::SeqCst);
        hosted.wake(&WORD, 1);
        while DONE.load(Ordering::SeqCst) == 0 {
            hosted.block(&DONE, 0, None);
        }
    }

    #[test]
    fn the_clocks_are_those_of_this_century() {
        let first = Hosted::instance().now();
        let second = Hosted::instance().now();
        // 2020-01-01 and 2100-01-01 in NT's units.
        assert!((132_223_104_000_000_000..157_469_184_000_000_000).contains(&first.system_time));
        assert!(second.monotonic >= first.monotonic);
    }

    #[test]
    fn pages_come_zeroed_and_go() {
        let hosted = Hosted::instance();
        let pages = hosted.map_pages(8192).unwrap();
        // SAFETY: 8192 bytes were mapped just now.
        assert_eq!(unsafe { pages.add(8191).read() }, 0);
        // SAFETY: the range is ours and no reference into it exists.
        unsafe { hosted.protect_pages(pages, 4096, Protection::Read) }.unwrap();
        // SAFETY: the range is ours and unused from here on.
        unsafe { hosted.unmap_pages(pages, 8192) }.unwrap();
    }
}
