//! How many threads run: for a clock that moves only when nobody does.
//!
//! Counted are threads that the platform has started and those that [`begin`] has. A thread does not run while it sleeps
//! in [`block`](crate::Platform::block) and the word it sleeps on holds what it held: whoever changes the word is the one
//! who has it run, however long the system takes to do so. Nothing is counted before [`start`].

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

static COUNTING: AtomicBool = AtomicBool::new(false);
static THREADS: AtomicUsize = AtomicUsize::new(0);
static SLEEPERS: Mutex<Vec<Sleeper>> = Mutex::new(Vec::new());
static IDLE: Mutex<Option<fn()>> = Mutex::new(None);
/// How many wait until they are alone.
static WATCHERS: AtomicU32 = AtomicU32::new(0);
/// Changes when a thread goes to sleep or ends while somebody watches.
static BELL: AtomicU32 = AtomicU32::new(0);
/// How long a watcher sleeps before it looks again, whatever happens.
const LOOK: Duration = Duration::from_millis(1);

struct Sleeper {
    word: *const AtomicU32,
    expected: u32,
}

// SAFETY: the word is shared by all threads, and alive as long as its sleeper is in the list.
unsafe impl Send for Sleeper {}

fn sleepers() -> MutexGuard<'static, Vec<Sleeper>> {
    SLEEPERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to count, from nobody. `idle` is called by the last thread right before it sleeps.
pub fn start(idle: fn()) {
    // Now, so that it is the same thread in each run that allocates: addresses are to be the same too.
    sleepers().reserve(64);
    *IDLE.lock().unwrap_or_else(PoisonError::into_inner) = Some(idle);
    THREADS.store(0, Ordering::SeqCst);
    COUNTING.store(true, Ordering::SeqCst);
}

/// Stops to count.
pub fn stop() {
    COUNTING.store(false, Ordering::SeqCst);
}

/// Whether threads are counted.
pub(crate) fn is_counting() -> bool {
    COUNTING.load(Ordering::Relaxed)
}

/// One thread more is counted.
pub fn begin() {
    THREADS.fetch_add(1, Ordering::SeqCst);
}

/// One thread less is.
pub fn end() {
    let _ = THREADS.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |threads| threads.checked_sub(1));
    changed();
}

/// How many threads run.
pub fn running() -> usize {
    let sleepers = sleepers();
    let asleep = sleepers
        .iter()
        .filter(|sleeper| {
            // SAFETY: its sleeper takes it out of the list, under this lock, before it lets go of the word.
            unsafe { &*sleeper.word }.load(Ordering::SeqCst) == sleeper.expected
        })
        .count();
    THREADS.load(Ordering::SeqCst).saturating_sub(asleep)
}

/// A thread that sleeps, until this is dropped.
pub(crate) struct Asleep<'a>(&'a AtomicU32);

impl<'a> Asleep<'a> {
    /// The calling thread goes to sleep as long as `word` holds `expected`.
    pub(crate) fn on(word: &'a AtomicU32, expected: u32) -> Self {
        sleepers().push(Sleeper { word, expected });
        changed();
        Self(word)
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        let mut sleepers = sleepers();
        if let Some(place) = sleepers.iter().position(|sleeper| std::ptr::eq(sleeper.word, self.0)) {
            sleepers.swap_remove(place);
        }
    }
}

/// A thread runs no more: those are told who want to know.
fn changed() {
    if WATCHERS.load(Ordering::SeqCst) > 0 {
        BELL.fetch_add(1, Ordering::SeqCst);
        crate::hosted::wake_word(&BELL);
    }
    let idle = *IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(idle) = idle
        && is_counting()
        && running() == 0
    {
        idle();
    }
}

/// Waits until nobody runs but the caller, `limit` at most; answers whether that came.
pub fn wait_until_alone(limit: Duration) -> bool {
    let began = Instant::now();
    WATCHERS.fetch_add(1, Ordering::SeqCst);
    let alone = loop {
        let bell = BELL.load(Ordering::SeqCst);
        if running() <= 1 {
            break true;
        }
        if began.elapsed() > limit {
            break false;
        }
        crate::hosted::wait_word(&BELL, bell, LOOK);
    };
    WATCHERS.fetch_sub(1, Ordering::SeqCst);
    alone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeper_whose_word_has_changed_runs() {
        let (first, second) = (AtomicU32::new(0), AtomicU32::new(0));
        start(|| ());
        let before = running();
        begin();
        begin();
        let on_first = Asleep::on(&first, 0);
        let on_second = Asleep::on(&second, 0);
        assert_eq!(running(), before);
        first.store(1, Ordering::SeqCst);
        assert_eq!(running(), before + 1, "it was told to go on, and need not have noticed");
        drop(on_first);
        assert_eq!(running(), before + 1);
        drop(on_second);
        assert_eq!(running(), before + 2);
        end();
        end();
        stop();
    }
}
