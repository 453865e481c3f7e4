//! Reader-writer spin locks: 4 bytes of the driver's.
//!
//! The highest bit is a writer, the next one says that somebody sleeps, the rest counts readers. As on NT a writer
//! that waits keeps new readers out: it takes its bit first and waits for the readers to leave.

use std::sync::atomic::{AtomicU32, Ordering};

use export_macro::export;
use machine::Irql;
use nt_abi::KIRQL;

use crate::ke::irql::{KfLowerIrql, KfRaiseIrql};

const WRITER: u32 = 1 << 31;
const SLEEPERS: u32 = 1 << 30;
const READERS: u32 = SLEEPERS - 1;
/// How often a taken lock is looked at before sleeping.
const SPINS: u32 = 200;

/// The driver's word.
///
/// # Safety
/// `lock` is a driver's lock, which stays while it is used.
unsafe fn at<'a>(lock: *mut i32) -> &'a AtomicU32 {
    // SAFETY: by this function's contract.
    unsafe { AtomicU32::from_ptr(lock.cast()) }
}

/// Changes the lock as soon as `change` says to what.
fn until(lock: &AtomicU32, change: impl Fn(u32) -> Option<u32>) {
    let mut spins = 0;
    loop {
        let value = lock.load(Ordering::Relaxed);
        if let Some(new) = change(value) {
            if lock.compare_exchange_weak(value, new, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return;
            }
        } else if spins < SPINS {
            spins += 1;
            std::hint::spin_loop();
        } else if value & SLEEPERS != 0
            || lock.compare_exchange(value, value | SLEEPERS, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            machine::platform().block(lock, value | SLEEPERS, None);
        }
    }
}

fn acquire_exclusive(lock: &AtomicU32) {
    until(lock, |value| (value & WRITER == 0).then_some(value | WRITER));
    wait_for_readers(lock, 0);
}

/// A writer has its bit, and waits until only `own` readers are left: itself, when it upgrades.
fn wait_for_readers(lock: &AtomicU32, own: u32) {
    until(lock, |value| (value & READERS == own).then_some(value - own));
}

fn acquire_shared(lock: &AtomicU32) {
    until(lock, |value| (value & WRITER == 0).then_some(value + 1));
}

/// Releases the lock: `held` says whether it is held that way, `release` what it is then.
fn release(lock: &AtomicU32, held: impl Fn(u32) -> bool, release: impl Fn(u32) -> u32) {
    let done = lock.fetch_update(Ordering::Release, Ordering::Relaxed, |value| {
        held(value).then(|| release(value) & !SLEEPERS)
    });
    match done {
        Ok(before) if before & SLEEPERS != 0 => {
            machine::platform().wake(lock, u32::MAX);
        }
        Ok(_) => {}
        Err(value) => {
            let message = format!(
                "the reader-writer spin lock at {:p} was released and is not held that way (it is {value:#x}); release what was \
                 acquired, once",
                lock.as_ptr()
            );
            crate::kernel().finding(&crate::rule::L_13, &message, None);
        }
    }
}

fn release_exclusive(lock: &AtomicU32) {
    release(lock, |value| value & WRITER != 0, |value| value & !WRITER);
}

fn release_shared(lock: &AtomicU32) {
    release(lock, |value| value & READERS != 0, |value| value - 1);
}

fn raise() -> KIRQL {
    let level = machine::irql::current().max(Irql::DISPATCH).level();
    // SAFETY: a routine without pointers.
    unsafe { KfRaiseIrql(level) }
}

fn lower(old: KIRQL) {
    // SAFETY: a routine without pointers.
    unsafe { KfLowerIrql(old) };
}

/// Raises the IRQL to DISPATCH_LEVEL, acquires a reader-writer spin lock for writing, and returns the old IRQL. Source: DDI.
#[export(irql <= DISPATCH, since = VistaSp1)]
pub unsafe extern "win64" fn ExAcquireSpinLockExclusive(lock: *mut i32) -> KIRQL {
    let old = raise();
    // SAFETY: the driver's lock.
    acquire_exclusive(unsafe { at(lock) });
    old
}

/// Raises the IRQL to DISPATCH_LEVEL, acquires a reader-writer spin lock for reading, and returns the old IRQL. Source: DDI.
#[export(irql <= DISPATCH, since = VistaSp1)]
pub unsafe extern "win64" fn ExAcquireSpinLockShared(lock: *mut i32) -> KIRQL {
    let old = raise();
    // SAFETY: the driver's lock.
    acquire_shared(unsafe { at(lock) });
    old
}

/// Releases a reader-writer spin lock after writing, and lowers the IRQL. Source: DDI.
#[export(irql == DISPATCH, since = VistaSp1)]
pub unsafe extern "win64" fn ExReleaseSpinLockExclusive(lock: *mut i32, old: KIRQL) {
    // SAFETY: the driver's lock.
    release_exclusive(unsafe { at(lock) });
    lower(old);
}

/// Releases a reader-writer spin lock after reading, and lowers the IRQL. Source: DDI.
#[export(irql == DISPATCH, since = VistaSp1)]
pub unsafe extern "win64" fn ExReleaseSpinLockShared(lock: *mut i32, old: KIRQL) {
    // SAFETY: the driver's lock.
    release_shared(unsafe { at(lock) });
    lower(old);
}

/// Acquires a reader-writer spin lock for writing at DISPATCH_LEVEL. Source: DDI.
#[export(irql any, since = VistaSp1)]
pub unsafe extern "win64" fn ExAcquireSpinLockExclusiveAtDpcLevel(lock: *mut i32) {
    // SAFETY: the driver's lock.
    acquire_exclusive(unsafe { at(lock) });
}

/// Acquires a reader-writer spin lock for reading at DISPATCH_LEVEL. Source: DDI.
#[export(irql any, since = VistaSp1)]
pub unsafe extern "win64" fn ExAcquireSpinLockSharedAtDpcLevel(lock: *mut i32) {
    // SAFETY: the driver's lock.
    acquire_shared(unsafe { at(lock) });
}

/// Releases a reader-writer spin lock after writing, and leaves the IRQL. Source: DDI.
#[export(irql any, since = VistaSp1)]
pub unsafe extern "win64" fn ExReleaseSpinLockExclusiveFromDpcLevel(lock: *mut i32) {
    // SAFETY: the driver's lock.
    release_exclusive(unsafe { at(lock) });
}

/// Releases a reader-writer spin lock after reading, and leaves the IRQL. Source: DDI.
#[export(irql any, since = VistaSp1)]
pub unsafe extern "win64" fn ExReleaseSpinLockSharedFromDpcLevel(lock: *mut i32) {
    // SAFETY: the driver's lock.
    release_shared(unsafe { at(lock) });
}

/// Makes a reader of a reader-writer spin lock its writer, if nobody else reads, and says whether it did. Source: DDI.
#[export(irql any, since = VistaSp1)]
pub unsafe extern "win64" fn ExTryConvertSharedSpinLockExclusive(lock: *mut i32) -> u8 {
    // SAFETY: the driver's lock.
    let lock = unsafe { at(lock) };
    let converted = lock.fetch_update(Ordering::Acquire, Ordering::Relaxed, |value| {
        (value & !SLEEPERS == 1).then_some(WRITER | value & SLEEPERS)
    });
    u8::from(converted.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::{on_another_processor, with_kernel};

    static LOCK: AtomicU32 = AtomicU32::new(0);
    static SUM: AtomicU32 = AtomicU32::new(0);

    fn lock() -> *mut i32 {
        LOCK.as_ptr().cast()
    }

    fn work() {
        for round in 0..2000 {
            // SAFETY: a static.
            unsafe {
                let old = ExAcquireSpinLockExclusive(lock());
                SUM.store(SUM.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                ExReleaseSpinLockExclusive(lock(), old);
                let old = ExAcquireSpinLockShared(lock());
                assert!(SUM.load(Ordering::Relaxed) > round);
                ExReleaseSpinLockShared(lock(), old);
            }
        }
    }

    #[test]
    fn writers_exclude_all_and_readers_only_writers() {
        with_kernel(Config::default(), |kernel, records| {
            // SAFETY: a static: two readers at once, of whom none can become the writer.
            unsafe {
                let old = ExAcquireSpinLockShared(lock());
                ExAcquireSpinLockSharedAtDpcLevel(lock());
                assert_eq!(ExTryConvertSharedSpinLockExclusive(lock()), 0);
                ExReleaseSpinLockSharedFromDpcLevel(lock());
                assert_eq!(ExTryConvertSharedSpinLockExclusive(lock()), 1);
                ExReleaseSpinLockExclusive(lock(), old);
            }
            let others: Vec<_> = (0..3).map(|_| on_another_processor(kernel, work)).collect();
            work();
            others.into_iter().for_each(|other| other.join().unwrap());
            assert_eq!((SUM.load(Ordering::Relaxed), LOCK.load(Ordering::Relaxed)), (8000, 0));
            assert!(records.findings().is_empty());
        });
    }

    #[test]
    fn releasing_what_is_not_held_is_a_finding() {
        with_kernel(Config::default(), |_, records| {
            let mut lock = 0;
            // SAFETY: a local.
            unsafe { ExReleaseSpinLockSharedFromDpcLevel(&raw mut lock) };
            assert_eq!((records.findings(), lock), (vec!["L-13".to_owned()], 0));
        });
    }
}
