//! What a stressed kernel asks of the world: waiting and new threads go through the scheduler, time is virtual.

use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use machine::Platform;
use machine::hosted::Hosted;
use machine::platform::{BlockOutcome, Now, PlatformError, Protection};

use super::schedule::{Kind, Scheduler, Waited};

/// When a stressed kernel starts: 2025-01-01, in units of 100 ns since 1601.
const START: i64 = 133_801_632_000_000_000;

/// The platform of a stressed kernel.
#[derive(Debug)]
pub(super) struct StressPlatform(pub(super) &'static Scheduler);

impl Platform for StressPlatform {
    fn block(&self, word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> BlockOutcome {
        match self.0.block(word, expected, timeout) {
            Waited::NotOurs => Hosted::instance().block(word, expected, timeout),
            Waited::Over(outcome) => outcome,
            Waited::Deadlock => crate::ke::stop::without_bug_check(
                event::StopKind::Hang,
                "this wait never ends: every thread that runs driver code waits for another one",
            ),
        }
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> u32 {
        self.0.wake(word);
        Hosted::instance().wake(word, count)
    }

    fn spawn(
        &self,
        name: &str,
        stack_size: usize,
        body: Box<dyn FnOnce() + Send>,
    ) -> Result<(), PlatformError> {
        let scheduler = self.0;
        let task = scheduler.add(Kind::System);
        let run = move || {
            scheduler.begin(task);
            body();
            scheduler.end();
        };
        let spawned = Hosted::instance().spawn(name, stack_size, Box::new(run));
        if spawned.is_err() {
            scheduler.remove(task);
        }
        spawned
    }

    fn now(&self) -> Now {
        let monotonic = self.0.time();
        Now { system_time: START + i64::try_from(monotonic / 100).unwrap_or_default(), monotonic }
    }

    fn heavy_fence(&self) {
        Hosted::instance().heavy_fence();
    }

    fn map_pages(&self, length: usize) -> Result<NonNull<u8>, PlatformError> {
        Hosted::instance().map_pages(length)
    }

    fn place_page(&self, address: usize, bytes: &[u8; machine::pcr::PAGE_SIZE]) -> bool {
        Hosted::instance().place_page(address, bytes)
    }

    unsafe fn unmap_pages(&self, start: NonNull<u8>, length: usize) -> Result<(), PlatformError> {
        // SAFETY: promised by the caller.
        unsafe { Hosted::instance().unmap_pages(start, length) }
    }

    unsafe fn protect_pages(
        &self,
        start: NonNull<u8>,
        length: usize,
        to: Protection,
    ) -> Result<(), PlatformError> {
        // SAFETY: promised by the caller.
        unsafe { Hosted::instance().protect_pages(start, length, to) }
    }

    fn random_u64(&self) -> u64 {
        self.0.ask(super::dice::Dice::next)
    }
}
