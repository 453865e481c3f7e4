//! Rundown protection and push locks: locks of one word, which sleepers sleep on.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use export_macro::export;

use crate::ke::blocked::{On, falls_asleep};
use crate::ke::lock_order::{self, Kind};
use nt_abi::{EX_PUSH_LOCK, EX_RUNDOWN_REF};

/// Set once nobody may use the object any more; above it is the number of its users, doubled.
const RUNNING_DOWN: u64 = 1;
const USER: u64 = 2;

/// The driver's word, atomically.
///
/// # Safety
/// `word` is 8 aligned bytes of the driver's, which stay while they are used.
unsafe fn atomic<'a, T>(word: *mut T) -> &'a AtomicU64 {
    // SAFETY: by this function's contract.
    unsafe { AtomicU64::from_ptr(word.cast()) }
}

/// The half that sleepers sleep on.
fn low_half(word: &AtomicU64) -> &AtomicU32 {
    // SAFETY: within the 8 bytes, which live as long.
    unsafe { AtomicU32::from_ptr(word.as_ptr().cast()) }
}

fn low(value: u64) -> u32 {
    u32::try_from(value & 0xFFFF_FFFF).unwrap_or_default()
}

fn acquire(word: &AtomicU64, count: u32) -> bool {
    let more = USER * u64::from(count);
    word.fetch_update(Ordering::Acquire, Ordering::Relaxed, |value| {
        (value & RUNNING_DOWN == 0).then(|| value.wrapping_add(more))
    })
    .is_ok()
}

fn release(word: &AtomicU64, count: u32) {
    let fewer = USER * u64::from(count);
    let address = word.as_ptr().addr();
    let before = word.fetch_sub(fewer, Ordering::Release);
    // From here on the memory may be gone: who waits is woken by address.
    if before & !RUNNING_DOWN < fewer {
        let message = format!(
            "the rundown protection at {address:#x} was released more often than it was acquired; release it once for each TRUE \
             of ExAcquireRundownProtection"
        );
        crate::kernel().finding(&crate::rule::L_13, &message, None);
    } else if before - fewer == RUNNING_DOWN {
        machine::platform().wake(low_half(word), u32::MAX);
    }
}

/// Makes rundown protection that can be acquired. Source: DDI.
#[export(irql <= APC, since = Xp)]
pub unsafe extern "win64" fn ExInitializeRundownProtection(protection: *mut EX_RUNDOWN_REF) {
    // SAFETY: the driver's structure.
    unsafe { atomic(protection) }.store(0, Ordering::Release);
}

/// Makes rundown protection that was run down usable again. Source: DDI.
#[export(irql <= APC, since = Xp)]
pub unsafe extern "win64" fn ExReInitializeRundownProtection(protection: *mut EX_RUNDOWN_REF) {
    // SAFETY: the driver's structure.
    unsafe { atomic(protection) }.store(0, Ordering::Release);
}

/// Protects an object from going away, and says whether that was still possible. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn ExAcquireRundownProtection(protection: *mut EX_RUNDOWN_REF) -> u8 {
    // SAFETY: the driver's structure.
    u8::from(acquire(unsafe { atomic(protection) }, 1))
}

/// Protects an object several times, and says whether that was still possible. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn ExAcquireRundownProtectionEx(protection: *mut EX_RUNDOWN_REF, count: u32) -> u8 {
    // SAFETY: the driver's structure.
    u8::from(acquire(unsafe { atomic(protection) }, count))
}

/// Gives up the protection of an object. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn ExReleaseRundownProtection(protection: *mut EX_RUNDOWN_REF) {
    // SAFETY: the driver's structure.
    release(unsafe { atomic(protection) }, 1);
}

/// Gives up several protections of an object. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn ExReleaseRundownProtectionEx(protection: *mut EX_RUNDOWN_REF, count: u32) {
    // SAFETY: the driver's structure.
    release(unsafe { atomic(protection) }, count);
}

/// Lets nobody protect an object any more, and waits until nobody does. Source: DDI.
#[export(irql <= APC, since = Xp)]
pub unsafe extern "win64" fn ExWaitForRundownProtectionRelease(protection: *mut EX_RUNDOWN_REF) {
    // SAFETY: the driver's structure.
    let word = unsafe { atomic(protection) };
    word.fetch_or(RUNNING_DOWN, Ordering::AcqRel);
    loop {
        let value = word.load(Ordering::Acquire);
        if value == RUNNING_DOWN {
            return;
        }
        machine::platform().block(low_half(word), low(value), None);
    }
}

/// Says that an object was run down: nobody can protect it from now on. Source: DDI.
#[export(irql <= APC, since = Xp)]
pub unsafe extern "win64" fn ExRundownCompleted(protection: *mut EX_RUNDOWN_REF) {
    // SAFETY: the driver's structure.
    unsafe { atomic(protection) }.store(RUNNING_DOWN, Ordering::Release);
}

// A push lock: held exclusively, somebody sleeps, and the number of those who share it.
const EXCLUSIVE: u64 = 1;
const SLEEPERS: u64 = 2;
const SHARER: u64 = 16;

fn lock(word: &AtomicU64, exclusive: bool) {
    let address = word.as_ptr().addr();
    lock_order::acquiring(address, Kind::PushLock, !exclusive);
    wait_for_lock(word, exclusive);
    lock_order::acquired(address, Kind::PushLock, !exclusive);
}

fn wait_for_lock(word: &AtomicU64, exclusive: bool) {
    let free = |value: u64| if exclusive { value & !SLEEPERS == 0 } else { value & EXCLUSIVE == 0 };
    let taken = |value: u64| if exclusive { value | EXCLUSIVE } else { value + SHARER };
    loop {
        let value = word.load(Ordering::Relaxed);
        if free(value) {
            if word.compare_exchange_weak(value, taken(value), Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return;
            }
        } else if value & SLEEPERS != 0
            || word.compare_exchange(value, value | SLEEPERS, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let _asleep = falls_asleep(On::OwnerlessLock, true);
            machine::platform().block(low_half(word), low(value | SLEEPERS), None);
        }
    }
}

fn unlock(word: &AtomicU64, exclusive: bool) {
    lock_order::released(word.as_ptr().addr());
    let released = word.fetch_update(Ordering::Release, Ordering::Relaxed, |value| {
        let held = if exclusive { value & EXCLUSIVE != 0 } else { value >= SHARER };
        let left = if exclusive { value & !EXCLUSIVE } else { value.wrapping_sub(SHARER) };
        // Who is the last wakes all sleepers, who mark the lock again if they have to.
        held.then_some(if left & !SLEEPERS == 0 { 0 } else { left })
    });
    match released {
        Ok(before) => {
            let left = if exclusive { before & !EXCLUSIVE } else { before - SHARER };
            if left == SLEEPERS {
                machine::platform().wake(low_half(word), u32::MAX);
            }
        }
        Err(_) => {
            let address = word.as_ptr().addr();
            let message = format!(
                "the push lock at {address:#x} was released and is not held that way; release what was acquired"
            );
            crate::kernel().finding(&crate::rule::L_13, &message, None);
        }
    }
}

/// Makes a push lock that nobody holds. Source: DDI.
#[export(irql any, since = Win10_1803)]
pub unsafe extern "win64" fn ExInitializePushLock(push_lock: *mut EX_PUSH_LOCK) {
    // SAFETY: the driver's lock.
    unsafe { atomic(push_lock) }.store(0, Ordering::Release);
}

/// Acquires a push lock exclusively. Source: DDI.
#[export(irql <= APC, since = Win8)]
pub unsafe extern "win64" fn ExAcquirePushLockExclusiveEx(push_lock: *mut EX_PUSH_LOCK, _flags: u32) {
    // SAFETY: the driver's lock.
    lock(unsafe { atomic(push_lock) }, true);
}

/// Acquires a push lock shared. Source: DDI.
#[export(irql <= APC, since = Win8)]
pub unsafe extern "win64" fn ExAcquirePushLockSharedEx(push_lock: *mut EX_PUSH_LOCK, _flags: u32) {
    // SAFETY: the driver's lock.
    lock(unsafe { atomic(push_lock) }, false);
}

/// Releases a push lock that was acquired exclusively. Source: DDI.
#[export(irql <= APC, since = Win8)]
pub unsafe extern "win64" fn ExReleasePushLockExclusiveEx(push_lock: *mut EX_PUSH_LOCK, _flags: u32) {
    // SAFETY: the driver's lock.
    unlock(unsafe { atomic(push_lock) }, true);
}

/// Releases a push lock that was acquired shared. Source: DDI.
#[export(irql <= APC, since = Win8)]
pub unsafe extern "win64" fn ExReleasePushLockSharedEx(push_lock: *mut EX_PUSH_LOCK, _flags: u32) {
    // SAFETY: the driver's lock.
    unlock(unsafe { atomic(push_lock) }, false);
}

fn try_lock(word: &AtomicU64, exclusive: bool) -> u8 {
    let got = word.fetch_update(Ordering::Acquire, Ordering::Relaxed, |value| {
        if exclusive {
            (value & !SLEEPERS == 0).then_some(value | EXCLUSIVE)
        } else {
            (value & EXCLUSIVE == 0).then_some(value + SHARER)
        }
    });
    if got.is_ok() {
        lock_order::acquired(word.as_ptr().addr(), Kind::PushLock, !exclusive);
    }
    u8::from(got.is_ok())
}

/// Acquires a push lock exclusively if nobody holds it, and says whether it did. Source: DDI.
#[export(irql <= APC, since = Win8)]
pub unsafe extern "win64" fn ExTryAcquirePushLockExclusiveEx(
    push_lock: *mut EX_PUSH_LOCK,
    _flags: u32,
) -> u8 {
    // SAFETY: the driver's lock.
    try_lock(unsafe { atomic(push_lock) }, true)
}

/// Acquires a push lock shared if nobody holds it exclusively, and says whether it did. Source: DDI.
#[export(irql <= APC, since = Win8)]
pub unsafe extern "win64" fn ExTryAcquirePushLockSharedEx(push_lock: *mut EX_PUSH_LOCK, _flags: u32) -> u8 {
    // SAFETY: the driver's lock.
    try_lock(unsafe { atomic(push_lock) }, false)
}

/// Releases a push lock, however it is held. Source: DDI.
#[export(irql <= APC, since = Win8)]
pub unsafe extern "win64" fn ExReleasePushLockEx(push_lock: *mut EX_PUSH_LOCK, _flags: u32) {
    // SAFETY: the driver's lock.
    unsafe { ExfReleasePushLock(push_lock) };
}

/// Acquires a push lock exclusively, under its older name. Not documented by Microsoft.
#[export(irql <= APC, since = Xp)]
pub unsafe extern "win64" fn ExfAcquirePushLockExclusive(push_lock: *mut EX_PUSH_LOCK) {
    // SAFETY: the driver's lock.
    lock(unsafe { atomic(push_lock) }, true);
}

/// Acquires a push lock shared, under its older name. Not documented by Microsoft.
#[export(irql <= APC, since = Xp)]
pub unsafe extern "win64" fn ExfAcquirePushLockShared(push_lock: *mut EX_PUSH_LOCK) {
    // SAFETY: the driver's lock.
    lock(unsafe { atomic(push_lock) }, false);
}

/// Releases a push lock that was acquired exclusively, under its older name. Not documented by Microsoft.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn ExfReleasePushLockExclusive(push_lock: *mut EX_PUSH_LOCK) {
    // SAFETY: the driver's lock.
    unlock(unsafe { atomic(push_lock) }, true);
}

/// Releases a push lock that was acquired shared, under its older name. Not documented by Microsoft.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn ExfReleasePushLockShared(push_lock: *mut EX_PUSH_LOCK) {
    // SAFETY: the driver's lock.
    unlock(unsafe { atomic(push_lock) }, false);
}

/// Releases a push lock, however it is held. Not documented by Microsoft.
#[export(irql <= APC, since = Xp)]
pub unsafe extern "win64" fn ExfReleasePushLock(push_lock: *mut EX_PUSH_LOCK) {
    // SAFETY: the driver's lock.
    let word = unsafe { atomic(push_lock) };
    unlock(word, word.load(Ordering::Relaxed) & EXCLUSIVE != 0);
}

/// Wakes who was blocked on a push lock by ExBlockPushLock, which nobody can be here. Not documented by Microsoft.
#[export(irql <= APC, since = Xp)]
pub unsafe extern "win64" fn ExfUnblockPushLock(_push_lock: *mut EX_PUSH_LOCK, _wait_block: *mut u8) {}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::Config;
    use crate::testing::{on_another_processor, with_kernel};

    #[test]
    fn a_rundown_waits_for_the_last_user_and_lets_nobody_in() {
        static PROTECTION: AtomicU64 = AtomicU64::new(0);
        with_kernel(Config::default(), |kernel, records| {
            let protection = PROTECTION.as_ptr().cast::<EX_RUNDOWN_REF>();
            // SAFETY: a static.
            unsafe {
                ExInitializeRundownProtection(protection);
                assert_eq!(
                    (ExAcquireRundownProtection(protection), ExAcquireRundownProtectionEx(protection, 2)),
                    (1, 1)
                );
                let waiter = on_another_processor(kernel, || {
                    ExWaitForRundownProtectionRelease(PROTECTION.as_ptr().cast())
                });
                while PROTECTION.load(Ordering::Relaxed) & RUNNING_DOWN == 0 {
                    std::thread::yield_now();
                }
                assert_eq!(ExAcquireRundownProtection(protection), 0);
                ExReleaseRundownProtectionEx(protection, 2);
                assert!(!waiter.is_finished());
                ExReleaseRundownProtection(protection);
                waiter.join().unwrap();
                ExReInitializeRundownProtection(protection);
                assert_eq!(ExAcquireRundownProtection(protection), 1);
            }
            assert!(records.findings().is_empty());
        });
    }

    #[test]
    fn a_push_lock_is_shared_or_exclusive() {
        static LOCK: AtomicU64 = AtomicU64::new(0);
        static SUM: AtomicUsize = AtomicUsize::new(0);
        fn work() {
            let lock = LOCK.as_ptr().cast();
            for _ in 0..1000 {
                // SAFETY: a static.
                unsafe {
                    ExAcquirePushLockExclusiveEx(lock, 0);
                    SUM.store(SUM.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                    ExReleasePushLockExclusiveEx(lock, 0);
                    ExAcquirePushLockSharedEx(lock, 0);
                    ExReleasePushLockSharedEx(lock, 0);
                }
            }
        }
        with_kernel(Config::default(), |kernel, records| {
            let lock = LOCK.as_ptr().cast();
            // SAFETY: a static: two sharers at once.
            unsafe {
                ExAcquirePushLockSharedEx(lock, 0);
                ExfAcquirePushLockShared(lock);
                ExfReleasePushLock(lock);
                ExReleasePushLockSharedEx(lock, 0);
            }
            let others: Vec<_> = (0..3).map(|_| on_another_processor(kernel, work)).collect();
            work();
            others.into_iter().for_each(|other| other.join().unwrap());
            assert_eq!((SUM.load(Ordering::Relaxed), LOCK.load(Ordering::Relaxed)), (4000, 0));
            assert!(records.findings().is_empty());
        });
    }
}
