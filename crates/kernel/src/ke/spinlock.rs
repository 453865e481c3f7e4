//! Spin locks, plain and queued.
//!
//! A lock is the driver's 8 bytes: the low half says whether it is held and whether somebody sleeps for it, the high
//! half which processor holds it. A processor here is a thread of the system, which may lose its core at any time:
//! so who finds a lock taken spins a little, then sleeps.

use super::lock_order::{self, Kind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use event::StopKind;
use export_macro::export;
use machine::Irql;
use machine::pcr::Kpcr;
use nt_abi::{KIRQL, KLOCK_QUEUE_HANDLE};

use super::irql::violation;

const HELD: u64 = 1;
const SLEEPERS: u64 = 2;
/// How often a taken lock is looked at before sleeping.
const SPINS: u32 = 200;

/// A number for this processor that no other has: regions are pages of one address space.
pub(crate) fn this_processor() -> u32 {
    let page = std::ptr::from_ref(Kpcr::current()).addr() >> 12;
    u32::try_from(page & 0xFFFF_FFFF).unwrap_or_default()
}

/// A spin lock of a driver.
#[derive(Clone, Copy)]
struct Lock<'a>(&'a AtomicU64);

impl<'a> Lock<'a> {
    /// The lock at an address of a driver's; one that is not there faults where it is used.
    ///
    /// # Safety
    /// As documented for KSPIN_LOCK: resident memory that stays while the lock is used, aligned to 8.
    unsafe fn at(lock: *mut usize) -> Self {
        // SAFETY: by this function's contract.
        Self(unsafe { AtomicU64::from_ptr(lock.cast()) })
    }

    /// The half that sleepers sleep on: the low one.
    fn word(self) -> &'a AtomicU32 {
        // SAFETY: within the 8 bytes of the lock, which live as long.
        unsafe { AtomicU32::from_ptr(self.0.as_ptr().cast()) }
    }

    fn try_acquire(self, flags: u64) -> bool {
        let mine = u64::from(this_processor()) << 32 | HELD | flags;
        self.0.compare_exchange(0, mine, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn acquire(self) {
        let address = self.0.as_ptr().addr();
        lock_order::acquiring(address, Kind::SpinLock, false);
        if !self.try_acquire(0) {
            self.acquire_slowly();
        }
        lock_order::acquired(address, Kind::SpinLock, false);
    }

    #[cold]
    fn acquire_slowly(self) {
        let address = self.0.as_ptr().addr();
        for _ in 0..SPINS {
            let held = self.0.load(Ordering::Relaxed);
            if held >> 32 == u64::from(this_processor()) {
                let message = format!(
                    "the spin lock at {address:#x} was acquired by the processor that holds it already, which waits for \
                     itself for ever; release it first"
                );
                super::stop::without_bug_check(StopKind::Hang, &message);
            }
            if held == 0 && self.try_acquire(0) {
                return;
            }
            std::hint::spin_loop();
        }
        // Whoever slept takes the lock together with the mark: others may sleep still.
        loop {
            let now = self.0.load(Ordering::Relaxed);
            if now == 0 {
                if self.try_acquire(SLEEPERS) {
                    return;
                }
                continue;
            }
            let marked = now & SLEEPERS != 0
                || self.0.compare_exchange(now, now | SLEEPERS, Ordering::Relaxed, Ordering::Relaxed).is_ok();
            if marked {
                let expected = u32::try_from(HELD | SLEEPERS).unwrap_or_default();
                machine::platform().block(self.word(), expected, None);
            }
        }
    }

    fn release(self) {
        lock_order::released(self.0.as_ptr().addr());
        let before = self.0.swap(0, Ordering::Release);
        if before & HELD == 0 {
            let address = self.0.as_ptr().addr() as u64;
            crate::kernel().finding(
                &crate::rule::L_13,
                &format!("the spin lock at {address:#x} was released and nobody held it; release what was acquired, once"),
                Some((0x10, [address, 0, 0, 0])),
            );
        }
        if before & SLEEPERS != 0 {
            machine::platform().wake(self.word(), 1);
        }
    }
}

/// At DISPATCH_LEVEL, which the old level is answered for.
fn raise_to_dispatch(lock: *mut usize) -> KIRQL {
    let now = machine::irql::current();
    if now > Irql::DISPATCH {
        let message = format!("a spin lock was acquired at {now}; acquire it at DISPATCH_LEVEL or lower");
        violation(&message, [0x42, now.level().into(), lock.addr() as u64, 0]);
        return now.level();
    }
    machine::irql::raise(Irql::DISPATCH).level()
}

fn lower_from_dispatch(to: KIRQL, lock: *mut usize) {
    let now = machine::irql::current();
    if now != Irql::DISPATCH {
        let message = format!(
            "a spin lock was released at {now}; its holder stays at DISPATCH_LEVEL until it releases it"
        );
        violation(&message, [0x32, now.level().into(), lock.addr() as u64, 0]);
    }
    machine::irql::lower(Irql::new(to));
}

fn check_dispatch(lock: *mut usize, code: u64, what: &str) {
    let now = machine::irql::current();
    if now < Irql::DISPATCH {
        let message = format!(
            "a spin lock was {what} by a routine for DISPATCH_LEVEL at {now}; use the one that raises the IRQL"
        );
        violation(&message, [code, now.level().into(), lock.addr() as u64, 0]);
    }
}

/// Makes a spin lock that nobody holds. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeInitializeSpinLock(lock: *mut usize) {
    // SAFETY: the driver's lock.
    unsafe { lock.write_volatile(0) };
}

/// Raises the IRQL to DISPATCH_LEVEL, acquires a spin lock and returns the old IRQL. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeAcquireSpinLockRaiseToDpc(lock: *mut usize) -> KIRQL {
    let old = raise_to_dispatch(lock);
    // SAFETY: the driver's lock.
    unsafe { Lock::at(lock) }.acquire();
    old
}

/// Acquires a spin lock as KeAcquireSpinLockRaiseToDpc does, under its older name. Source: DDI, KeAcquireSpinLock.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KfAcquireSpinLock(lock: *mut usize) -> KIRQL {
    // SAFETY: passed on from the driver's call.
    unsafe { KeAcquireSpinLockRaiseToDpc(lock) }
}

/// Raises the IRQL to that of a DPC where it is lower, acquires a spin lock and returns the old IRQL. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn KeAcquireSpinLockForDpc(lock: *mut usize) -> KIRQL {
    // SAFETY: passed on from the driver's call.
    unsafe { KeAcquireSpinLockRaiseToDpc(lock) }
}

/// Acquires a spin lock, raising the IRQL to DISPATCH_LEVEL, and stores the old IRQL. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeAcquireSpinLock(lock: *mut usize, old: *mut KIRQL) {
    // SAFETY: the driver's lock and variable.
    unsafe { old.write(KeAcquireSpinLockRaiseToDpc(lock)) };
}

/// Releases a spin lock and lowers the IRQL to what it was. Source: DDI; 0xC4/0x32.
#[export(irql == DISPATCH)]
pub unsafe extern "win64" fn KeReleaseSpinLock(lock: *mut usize, old: KIRQL) {
    // SAFETY: the driver's lock.
    unsafe { Lock::at(lock) }.release();
    lower_from_dispatch(old, lock);
}

/// Releases a spin lock as KeReleaseSpinLock does, under its older name. Source: DDI, KeReleaseSpinLock.
#[export(irql == DISPATCH)]
pub unsafe extern "win64" fn KfReleaseSpinLock(lock: *mut usize, old: KIRQL) {
    // SAFETY: passed on from the driver's call.
    unsafe { KeReleaseSpinLock(lock, old) };
}

/// Releases a spin lock of KeAcquireSpinLockForDpc and lowers the IRQL to what it was. Source: DDI.
#[export(irql == DISPATCH, since = Vista)]
pub unsafe extern "win64" fn KeReleaseSpinLockForDpc(lock: *mut usize, old: KIRQL) {
    // SAFETY: passed on from the driver's call.
    unsafe { KeReleaseSpinLock(lock, old) };
}

/// Acquires a spin lock at DISPATCH_LEVEL. Source: DDI; 0xC4/0x40.
#[export(irql any)]
pub unsafe extern "win64" fn KeAcquireSpinLockAtDpcLevel(lock: *mut usize) {
    check_dispatch(lock, 0x40, "acquired");
    // SAFETY: the driver's lock.
    unsafe { Lock::at(lock) }.acquire();
}

/// Releases a spin lock without touching the IRQL. Source: DDI; 0xC4/0x41.
#[export(irql any)]
pub unsafe extern "win64" fn KeReleaseSpinLockFromDpcLevel(lock: *mut usize) {
    check_dispatch(lock, 0x41, "released");
    // SAFETY: the driver's lock.
    unsafe { Lock::at(lock) }.release();
}

/// Acquires a spin lock at DISPATCH_LEVEL if nobody holds it, and says whether it did. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeTryToAcquireSpinLockAtDpcLevel(lock: *mut usize) -> u8 {
    check_dispatch(lock, 0x40, "acquired");
    // SAFETY: the driver's lock.
    let got = unsafe { Lock::at(lock) }.try_acquire(0);
    if got {
        lock_order::acquired(lock.addr(), Kind::SpinLock, false);
    }
    u8::from(got)
}

/// Says whether nobody holds a spin lock. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeTestSpinLock(lock: *mut usize) -> u8 {
    // SAFETY: the driver's lock.
    u8::from(unsafe { Lock::at(lock) }.0.load(Ordering::Relaxed) & HELD == 0)
}

/// Fills in the driver's queue handle.
///
/// # Safety
/// `handle` must be writable.
unsafe fn fill(handle: *mut KLOCK_QUEUE_HANDLE, lock: *mut usize, old: KIRQL) {
    // SAFETY: by this function's contract.
    unsafe {
        (*handle).LockQueue.Next = std::ptr::null_mut();
        (*handle).LockQueue.Lock = lock;
        (*handle).OldIrql = old;
    }
}

/// Raises the IRQL to DISPATCH_LEVEL and acquires a queued spin lock. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn KeAcquireInStackQueuedSpinLock(
    lock: *mut usize,
    handle: *mut KLOCK_QUEUE_HANDLE,
) {
    // SAFETY: the driver's lock and handle.
    unsafe { fill(handle, lock, KeAcquireSpinLockRaiseToDpc(lock)) };
}

/// Acquires a queued spin lock in a DPC, raising the IRQL where it is lower. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn KeAcquireInStackQueuedSpinLockForDpc(
    lock: *mut usize,
    handle: *mut KLOCK_QUEUE_HANDLE,
) {
    // SAFETY: passed on from the driver's call.
    unsafe { KeAcquireInStackQueuedSpinLock(lock, handle) };
}

/// Acquires a queued spin lock at DISPATCH_LEVEL. Source: DDI.
#[export(irql any, since = Xp)]
pub unsafe extern "win64" fn KeAcquireInStackQueuedSpinLockAtDpcLevel(
    lock: *mut usize,
    handle: *mut KLOCK_QUEUE_HANDLE,
) {
    // SAFETY: the driver's lock and handle.
    unsafe {
        KeAcquireSpinLockAtDpcLevel(lock);
        fill(handle, lock, Irql::DISPATCH.level());
    }
}

/// Releases a queued spin lock and lowers the IRQL to what it was. Source: DDI.
#[export(irql == DISPATCH, since = Xp)]
pub unsafe extern "win64" fn KeReleaseInStackQueuedSpinLock(handle: *mut KLOCK_QUEUE_HANDLE) {
    // SAFETY: the driver's handle, as it was filled in at the acquisition.
    unsafe { KeReleaseSpinLock((*handle).LockQueue.Lock, (*handle).OldIrql) };
}

/// Releases a queued spin lock of KeAcquireInStackQueuedSpinLockForDpc. Source: DDI.
#[export(irql == DISPATCH, since = Vista)]
pub unsafe extern "win64" fn KeReleaseInStackQueuedSpinLockForDpc(handle: *mut KLOCK_QUEUE_HANDLE) {
    // SAFETY: passed on from the driver's call.
    unsafe { KeReleaseInStackQueuedSpinLock(handle) };
}

/// Releases a queued spin lock without touching the IRQL. Source: DDI.
#[export(irql any, since = Xp)]
pub unsafe extern "win64" fn KeReleaseInStackQueuedSpinLockFromDpcLevel(handle: *mut KLOCK_QUEUE_HANDLE) {
    // SAFETY: the driver's handle, as it was filled in at the acquisition.
    unsafe { KeReleaseSpinLockFromDpcLevel((*handle).LockQueue.Lock) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::{on_another_processor, stops, with_kernel};

    #[test]
    fn a_spin_lock_excludes_and_restores_the_level() {
        static LOCK: AtomicU64 = AtomicU64::new(0);
        static COUNT: AtomicU64 = AtomicU64::new(0);
        const ROUNDS: u64 = 3000;
        fn work() {
            let lock = LOCK.as_ptr().cast::<usize>();
            for _ in 0..ROUNDS {
                // SAFETY: a static is a good lock.
                unsafe {
                    let old = KeAcquireSpinLockRaiseToDpc(lock);
                    // Not one locked instruction: only the lock keeps the sum right.
                    COUNT.store(COUNT.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                    KeReleaseSpinLock(lock, old);
                }
            }
            assert_eq!(machine::irql::current(), Irql::PASSIVE);
        }
        with_kernel(Config::default(), |kernel, records| {
            let others: Vec<_> = (0..3).map(|_| on_another_processor(kernel, work)).collect();
            work();
            others.into_iter().for_each(|other| other.join().unwrap());
            assert_eq!(COUNT.load(Ordering::Relaxed), 4 * ROUNDS);
            assert_eq!(LOCK.load(Ordering::Relaxed), 0);
            assert!(records.findings().is_empty());
        });
    }

    #[test]
    fn acquiring_twice_on_a_processor_is_a_stop_that_says_so() {
        with_kernel(Config::default(), |_, records| {
            let mut lock = 0usize;
            let lock = &raw mut lock;
            // SAFETY: a local is a good lock.
            let old = unsafe { KeAcquireSpinLockRaiseToDpc(lock) };
            let stop = stops(records, || {
                // SAFETY: as above.
                unsafe { KeAcquireSpinLockAtDpcLevel(lock) };
            });
            assert_eq!(stop.kind, StopKind::Hang);
            assert!(stop.message.contains("waits for itself"));
            // SAFETY: as above.
            unsafe { KeReleaseSpinLock(lock, old) };
        });
    }

    #[test]
    fn queued_locks_keep_the_level_in_their_handle() {
        with_kernel(Config::default(), |_, records| {
            let mut lock = 0usize;
            let mut handle = KLOCK_QUEUE_HANDLE::default();
            // SAFETY: locals.
            unsafe {
                KeAcquireInStackQueuedSpinLock(&raw mut lock, &raw mut handle);
                assert_eq!(machine::irql::current(), Irql::DISPATCH);
                assert_eq!(KeTryToAcquireSpinLockAtDpcLevel(&raw mut lock), 0);
                KeReleaseInStackQueuedSpinLock(&raw mut handle);
            }
            assert_eq!((machine::irql::current(), lock), (Irql::PASSIVE, 0));
            assert!(records.findings().is_empty());
        });
    }

    #[test]
    fn spin_lock_levels_are_checked() {
        with_kernel(Config::default(), |_, records| {
            let mut lock = 0usize;
            // SAFETY: a local.
            unsafe {
                KeAcquireSpinLockAtDpcLevel(&raw mut lock);
                KeReleaseSpinLockFromDpcLevel(&raw mut lock);
                assert_eq!(records.findings(), ["L-22", "L-22"]);
                KeReleaseSpinLock(&raw mut lock, 0);
                assert_eq!(records.findings(), ["L-22", "L-22", "L-13", "L-22"]);
            }
        });
    }
}
