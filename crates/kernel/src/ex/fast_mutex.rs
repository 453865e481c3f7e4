//! Fast mutexes and guarded mutexes: one structure, owned by a thread, not recursive.

use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use event::StopKind;
use export_macro::export;
use machine::Irql;
use nt_abi::{FAST_MUTEX, KGUARDED_MUTEX, PVOID};

use crate::ke::blocked::Lock;
use crate::ke::lock_order::{self, Kind};
use crate::ke::{self, irql::violation, region};
use crate::ps::thread::current;

fn me() -> PVOID {
    current().map_or(std::ptr::null_mut(), |thread| std::ptr::from_ref(thread).cast_mut().cast())
}

/// The counter that says who has a mutex: 1 when nobody.
///
/// # Safety
/// `mutex` is an initialized fast mutex.
unsafe fn count<'a>(mutex: *mut FAST_MUTEX) -> &'a AtomicI32 {
    // SAFETY: by this function's contract.
    unsafe { AtomicI32::from_ptr(&raw mut (*mutex).Count) }
}

unsafe fn owner<'a>(mutex: *mut FAST_MUTEX) -> &'a AtomicPtr<std::ffi::c_void> {
    // SAFETY: by the callers' contracts.
    unsafe { AtomicPtr::from_ptr(&raw mut (*mutex).Owner) }
}

/// Acquires a mutex for the current thread.
///
/// # Safety
/// As for [`count`].
unsafe fn acquire(mutex: *mut FAST_MUTEX, old: Irql) {
    lock_order::acquiring(mutex.addr(), Kind::FastMutex, false);
    // SAFETY: by this function's contract.
    unsafe {
        if count(mutex).fetch_sub(1, Ordering::Acquire) != 1 {
            if !me().is_null() && owner(mutex).load(Ordering::Relaxed) == me() {
                let message = format!(
                    "the fast mutex at {mutex:p} was acquired by the thread that owns it already, which waits for itself for \
                     ever; fast mutexes are not recursive"
                );
                ke::stop::without_bug_check(StopKind::Hang, &message);
            }
            (*mutex).Contention = (*mutex).Contention.wrapping_add(1);
            let lock = Lock::FastMutex(mutex.expose_provenance());
            ke::wait::wait_for((&raw mut (*mutex).Event).expose_provenance(), lock);
        }
        own(mutex, old);
    }
}

unsafe fn own(mutex: *mut FAST_MUTEX, old: Irql) {
    // SAFETY: by the callers' contracts.
    unsafe {
        owner(mutex).store(me(), Ordering::Relaxed);
        (*mutex).OldIrql = old.level().into();
    }
    lock_order::acquired(mutex.addr(), Kind::FastMutex, false);
}

unsafe fn try_acquire(mutex: *mut FAST_MUTEX, old: Irql) -> bool {
    // SAFETY: by the callers' contracts.
    unsafe {
        let got = count(mutex).compare_exchange(1, 0, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if got {
            own(mutex, old);
        }
        got
    }
}

/// Releases a mutex, and answers the IRQL it was acquired at.
///
/// # Safety
/// As for [`count`].
unsafe fn release(mutex: *mut FAST_MUTEX) -> Irql {
    lock_order::released(mutex.addr());
    // SAFETY: by this function's contract.
    unsafe {
        let old = Irql::new(u8::try_from((*mutex).OldIrql & 15).unwrap_or(0));
        if owner(mutex).load(Ordering::Relaxed) != me() {
            let message = format!(
                "the fast mutex at {mutex:p} was released by a thread that does not own it; release it where it was acquired"
            );
            crate::kernel().finding(&crate::rule::L_13, &message, None);
        }
        owner(mutex).store(std::ptr::null_mut(), Ordering::Relaxed);
        if count(mutex).fetch_add(1, Ordering::Release) < 0 {
            ke::event::set(&raw mut (*mutex).Event);
        }
        old
    }
}

fn raise(mutex: *mut FAST_MUTEX) -> Irql {
    let now = machine::irql::current();
    if now > Irql::APC {
        let message = format!("a fast mutex was acquired at {now}; acquire it at APC_LEVEL or lower");
        violation(&message, [0x33, now.level().into(), mutex.addr() as u64, 0]);
        return now;
    }
    machine::irql::raise(Irql::APC)
}

/// Makes a fast mutex that nobody owns. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExInitializeFastMutex(mutex: *mut FAST_MUTEX) {
    crate::kernel().ke.lock_order.forget(&(mutex.addr()..mutex.addr() + 1));
    // SAFETY: the driver's mutex.
    unsafe {
        mutex.write(FAST_MUTEX { Count: 1, ..FAST_MUTEX::default() });
        ke::event::KeInitializeEvent(&raw mut (*mutex).Event, nt_abi::SynchronizationEvent, 0);
    }
}

/// Acquires a fast mutex and raises the IRQL to APC_LEVEL. Source: DDI; 0xC4/0x33.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ExAcquireFastMutex(mutex: *mut FAST_MUTEX) {
    let old = raise(mutex);
    // SAFETY: the driver's mutex.
    unsafe { acquire(mutex, old) };
}

/// Releases a fast mutex and lowers the IRQL to what it was. Source: DDI; 0xC4/0x34.
#[export(irql == APC)]
pub unsafe extern "win64" fn ExReleaseFastMutex(mutex: *mut FAST_MUTEX) {
    let now = machine::irql::current();
    if now != Irql::APC {
        let message =
            format!("a fast mutex was released at {now}; its owner stays at APC_LEVEL until it releases it");
        violation(&message, [0x34, now.level().into(), mutex.addr() as u64, 0]);
    }
    // SAFETY: the driver's mutex.
    let old = unsafe { release(mutex) };
    machine::irql::lower(old);
}

/// Acquires a fast mutex, raising the IRQL to APC_LEVEL, if nobody owns it, and says whether it did. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ExTryToAcquireFastMutex(mutex: *mut FAST_MUTEX) -> u8 {
    let old = raise(mutex);
    // SAFETY: the driver's mutex.
    let got = unsafe { try_acquire(mutex, old) };
    if !got {
        machine::irql::lower(old);
    }
    u8::from(got)
}

/// Reports an unsafe form that is used where APCs are enabled.
fn check_unsafe(code: u64, mutex: *mut FAST_MUTEX) {
    let Some(thread) = current() else { return };
    let apcs = region::ApcDisable::of(thread);
    let irql = machine::irql::current();
    if irql < Irql::APC && apcs.kernel == 0 && apcs.special == 0 {
        let message = "an unsafe form of a fast mutex was used with APCs enabled; enter a critical region before and leave it afterwards";
        violation(message, [code, irql.level().into(), apcs.combined(), mutex.addr() as u64]);
    }
}

/// Acquires a fast mutex where APCs are disabled already. Source: DDI; 0xC4/0x39.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ExAcquireFastMutexUnsafe(mutex: *mut FAST_MUTEX) {
    check_unsafe(0x39, mutex);
    // SAFETY: the driver's mutex.
    unsafe { acquire(mutex, machine::irql::current()) };
}

/// Releases a fast mutex that was acquired by ExAcquireFastMutexUnsafe. Source: DDI; 0xC4/0x3A.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ExReleaseFastMutexUnsafe(mutex: *mut FAST_MUTEX) {
    check_unsafe(0x3A, mutex);
    // SAFETY: the driver's mutex.
    unsafe { release(mutex) };
}

/// Makes a guarded mutex that nobody owns. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeInitializeGuardedMutex(mutex: *mut KGUARDED_MUTEX) {
    // SAFETY: the driver's mutex: the same structure.
    unsafe { ExInitializeFastMutex(mutex.cast()) };
}

/// Enters a guarded region and acquires a guarded mutex. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeAcquireGuardedMutex(mutex: *mut KGUARDED_MUTEX) {
    region::enter_guarded();
    // SAFETY: the driver's mutex.
    unsafe { acquire(mutex.cast(), machine::irql::current()) };
}

/// Releases a guarded mutex and leaves the guarded region. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeReleaseGuardedMutex(mutex: *mut KGUARDED_MUTEX) {
    // SAFETY: the driver's mutex.
    unsafe { release(mutex.cast()) };
    region::leave_guarded();
}

/// Acquires a guarded mutex, in a guarded region, if nobody owns it, and says whether it did. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeTryToAcquireGuardedMutex(mutex: *mut KGUARDED_MUTEX) -> u8 {
    region::enter_guarded();
    // SAFETY: the driver's mutex.
    let got = unsafe { try_acquire(mutex.cast(), machine::irql::current()) };
    if !got {
        region::leave_guarded();
    }
    u8::from(got)
}

/// Acquires a guarded mutex where all APCs are disabled already. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeAcquireGuardedMutexUnsafe(mutex: *mut KGUARDED_MUTEX) {
    // SAFETY: the driver's mutex.
    unsafe { acquire(mutex.cast(), machine::irql::current()) };
}

/// Releases a guarded mutex that was acquired by KeAcquireGuardedMutexUnsafe. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeReleaseGuardedMutexUnsafe(mutex: *mut KGUARDED_MUTEX) {
    // SAFETY: the driver's mutex.
    unsafe { release(mutex.cast()) };
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::Config;
    use crate::testing::{on_another_processor, stops, with_kernel};

    fn mutex() -> *mut FAST_MUTEX {
        let mutex = Box::leak(Box::default());
        // SAFETY: fresh memory.
        unsafe { ExInitializeFastMutex(mutex) };
        mutex
    }

    #[test]
    fn a_fast_mutex_excludes_and_restores_the_level() {
        static MUTEX: AtomicPtr<FAST_MUTEX> = AtomicPtr::new(std::ptr::null_mut());
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        const ROUNDS: usize = 1000;
        fn work() {
            let mutex = MUTEX.load(Ordering::SeqCst);
            for _ in 0..ROUNDS {
                // SAFETY: initialized below.
                unsafe {
                    ExAcquireFastMutex(mutex);
                    assert_eq!(machine::irql::current(), Irql::APC);
                    COUNT.store(COUNT.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                    ExReleaseFastMutex(mutex);
                }
            }
            assert_eq!(machine::irql::current(), Irql::PASSIVE);
        }
        with_kernel(Config::default(), |kernel, records| {
            MUTEX.store(mutex(), Ordering::SeqCst);
            let others: Vec<_> = (0..3).map(|_| on_another_processor(kernel, work)).collect();
            work();
            others.into_iter().for_each(|other| other.join().unwrap());
            assert_eq!(COUNT.load(Ordering::Relaxed), 4 * ROUNDS);
            // SAFETY: initialized above.
            unsafe { assert_eq!((*MUTEX.load(Ordering::SeqCst)).Count, 1) };
            assert!(records.findings().is_empty());
        });
    }

    #[test]
    fn acquiring_a_fast_mutex_twice_is_a_stop_that_says_so() {
        with_kernel(Config::default(), |_, records| {
            let mutex = mutex();
            // SAFETY: initialized.
            unsafe { ExAcquireFastMutex(mutex) };
            // SAFETY: as above.
            assert_eq!(unsafe { ExTryToAcquireFastMutex(mutex) }, 0);
            let stop = stops(records, || {
                // SAFETY: as above.
                unsafe { ExAcquireFastMutex(mutex) };
            });
            assert_eq!(stop.kind, StopKind::Hang);
            machine::irql::set(Irql::PASSIVE);
        });
    }

    #[test]
    fn unsafe_forms_need_apcs_disabled_and_a_guarded_mutex_disables_them() {
        with_kernel(Config::default(), |_, records| {
            let mutex = mutex();
            // SAFETY: initialized.
            unsafe {
                KeAcquireGuardedMutex(mutex.cast());
                assert_eq!(region::KeAreAllApcsDisabled(), 1);
                KeReleaseGuardedMutex(mutex.cast());
                assert_eq!(region::KeAreAllApcsDisabled(), 0);
                region::KeEnterCriticalRegion();
                ExAcquireFastMutexUnsafe(mutex);
                ExReleaseFastMutexUnsafe(mutex);
                region::KeLeaveCriticalRegion();
                assert!(records.findings().is_empty());
                ExAcquireFastMutexUnsafe(mutex);
                ExReleaseFastMutexUnsafe(mutex);
            }
            assert_eq!(records.findings(), ["L-22", "L-22"]);
        });
    }
}
