//! Waiting, with real threads.

use std::sync::atomic::{AtomicU32, Ordering};

use ::event::StopKind;
use nt_abi::*;

use super::event::*;
use super::irql::*;
use super::mutex::*;
use super::region::*;
use super::wait::*;
use crate::Config;
use crate::ps::thread::{Ethread, current};
use crate::testing::{on_another_processor, stops, with_kernel};

/// What driver memory is: it stays where it is, and threads share it.
pub(super) fn leak<T: Default>() -> *mut T {
    Box::leak(Box::default())
}

/// An address that another thread may have.
pub(super) struct Shared<T>(pub(super) *mut T);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

// SAFETY: dispatcher objects are made to be shared.
unsafe impl<T> Send for Shared<T> {}

impl<T> Shared<T> {
    pub(super) fn get(self) -> *mut T {
        self.0
    }
}

pub(super) fn event(synchronization: bool, set: bool) -> *mut KEVENT {
    let event = leak();
    // SAFETY: fresh memory.
    unsafe { KeInitializeEvent(event, u32::from(synchronization), u8::from(set)) };
    event
}

pub(super) fn wait_one<T>(object: *mut T, timeout: Option<i64>) -> NTSTATUS {
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: an initialized object.
    unsafe { KeWaitForSingleObject(object.cast(), 0, 0, 0, timeout) }
}

/// Until another thread waits for `object`.
pub(super) fn until_waited_for<T>(kernel: &crate::Kernel, object: *mut T) {
    while !kernel.ke.dispatcher.lock().is_waited_for(object.expose_provenance()) {
        std::thread::yield_now();
    }
}

fn release(mutex: *mut KMUTANT) -> i32 {
    let routine = (KeReleaseMutex as *const ()).expose_provenance();
    // SAFETY: an initialized mutex.
    let result = unsafe { machine::call2(routine, mutex.expose_provenance() as u64, 0) };
    u32::try_from(result & 0xFFFF_FFFF).unwrap_or(0).cast_signed()
}

#[test]
fn a_notification_event_stays_set_and_a_synchronization_event_does_not() {
    with_kernel(Config::default(), |_, _| {
        let (stays, does_not) = (event(false, true), event(true, true));
        for (event, again) in [(stays, STATUS_SUCCESS), (does_not, STATUS_TIMEOUT)] {
            assert_eq!(wait_one(event, Some(0)), STATUS_SUCCESS);
            assert_eq!(wait_one(event, Some(0)), again);
        }
        // SAFETY: both were initialized.
        unsafe {
            assert_eq!((KeReadStateEvent(stays), KeReadStateEvent(does_not)), (1, 0));
            assert_eq!((KeResetEvent(stays), KeResetEvent(stays)), (1, 0));
            assert_eq!((KeSetEvent(stays, 0, 0), KeSetEvent(stays, 0, 0)), (0, 1));
            KeClearEvent(stays);
            assert_eq!((*stays).Header.SignalState, 0);
            let head = &raw mut (*stays).Header.WaitListHead;
            assert_eq!((*head).Flink, head, "an empty list");
        }
    });
}

#[test]
fn setting_an_event_wakes_one_waiter_or_all() {
    with_kernel(Config::default(), |kernel, _| {
        for (synchronization, woken) in [(false, 3), (true, 1)] {
            static WOKEN: AtomicU32 = AtomicU32::new(0);
            WOKEN.store(0, Ordering::SeqCst);
            let (event, waiting) = (Shared(event(synchronization, false)), Shared(event(false, false)));
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    on_another_processor(kernel, move || {
                        let objects = [event.get().cast::<u8>(), waiting.get().cast()];
                        // SAFETY: initialized objects.
                        let status = unsafe {
                            KeWaitForMultipleObjects(
                                2,
                                objects.as_ptr(),
                                WaitAny,
                                0,
                                0,
                                0,
                                std::ptr::null(),
                                std::ptr::null_mut(),
                            )
                        };
                        if status == STATUS_WAIT_0 {
                            WOKEN.fetch_add(1, Ordering::SeqCst);
                        }
                    })
                })
                .collect();
            while kernel.ke.dispatcher.lock().count_of(event.get().expose_provenance()) < 3 {
                std::thread::yield_now();
            }
            // SAFETY: initialized events.
            unsafe {
                KeSetEvent(event.get(), 0, 0);
                KeSetEvent(waiting.get(), 0, 0);
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(WOKEN.load(Ordering::SeqCst), woken);
        }
    });
}

#[test]
fn waiting_for_all_takes_all_at_once_or_none() {
    with_kernel(Config::default(), |kernel, _| {
        let (first, second) = (Shared(event(true, true)), Shared(event(true, false)));
        let waiter = on_another_processor(kernel, move || {
            let objects = [first.get().cast::<u8>(), second.get().cast()];
            // SAFETY: initialized objects.
            let status = unsafe {
                KeWaitForMultipleObjects(
                    2,
                    objects.as_ptr(),
                    WaitAll,
                    0,
                    0,
                    0,
                    std::ptr::null(),
                    std::ptr::null_mut(),
                )
            };
            assert_eq!(status, STATUS_SUCCESS);
        });
        until_waited_for(kernel, second.get());
        // SAFETY: initialized events.
        unsafe {
            assert_eq!(KeReadStateEvent(first.get()), 1, "not taken before the other is there");
            KeSetEvent(second.get(), 0, 0);
        }
        waiter.join().unwrap();
        // SAFETY: as above.
        unsafe { assert_eq!((KeReadStateEvent(first.get()), KeReadStateEvent(second.get())), (0, 0)) };
    });
}

#[test]
fn a_pulse_wakes_only_who_waits() {
    with_kernel(Config::default(), |kernel, _| {
        let event = Shared(event(false, false));
        let waiter =
            on_another_processor(kernel, move || assert_eq!(wait_one(event.get(), None), STATUS_SUCCESS));
        until_waited_for(kernel, event.get());
        // SAFETY: an initialized event.
        unsafe { KePulseEvent(event.get(), 0, 0) };
        waiter.join().unwrap();
        assert_eq!(wait_one(event.get(), Some(0)), STATUS_TIMEOUT);
    });
}

#[test]
fn timeouts_are_relative_absolute_or_none() {
    with_kernel(Config::default(), |_, _| {
        let event = event(false, false);
        for timeout in [-10_000, 1, crate::ke::time::now().0 + 10_000] {
            assert_eq!(wait_one(event, Some(timeout)), STATUS_TIMEOUT);
        }
        let before = crate::ke::time::monotonic();
        // SAFETY: a local.
        assert_eq!(unsafe { KeDelayExecutionThread(0, 0, &-20_000) }, STATUS_SUCCESS);
        assert!(crate::ke::time::monotonic() - before >= 2_000_000, "2 ms at least");
    });
}

#[test]
fn a_mutex_is_recursive_and_disables_apcs_of_its_owner() {
    with_kernel(Config::default(), |_, _| {
        let mutex = leak::<KMUTANT>();
        // SAFETY: fresh memory, then an initialized mutex.
        unsafe {
            KeInitializeMutex(mutex, 0);
            assert_eq!((wait_one(mutex, None), wait_one(mutex, None)), (STATUS_SUCCESS, STATUS_SUCCESS));
            assert_eq!((KeReadStateMutex(mutex), KeAreApcsDisabled()), (-1, 1));
            assert_eq!(release(mutex), -1);
            assert_eq!((KeReadStateMutex(mutex), KeAreApcsDisabled()), (0, 1));
            assert_eq!(release(mutex), 0);
            assert_eq!((KeReadStateMutex(mutex), KeAreApcsDisabled()), (1, 0));
        }
    });
}

#[test]
fn releasing_a_mutex_of_somebody_else_raises() {
    with_kernel(Config::default(), |_, records| {
        let mutex = leak::<KMUTANT>();
        // SAFETY: fresh memory.
        unsafe { KeInitializeMutex(mutex, 0) };
        let stop = stops(records, || {
            release(mutex);
        });
        assert_eq!(stop.parameters[0], 0xC000_0046, "STATUS_MUTANT_NOT_OWNED");
    });
}

#[test]
fn a_mutex_whose_owner_ends_is_abandoned() {
    with_kernel(Config::default(), |kernel, _| {
        let mutex = Shared(leak::<KMUTANT>());
        // SAFETY: fresh memory.
        unsafe { KeInitializeMutex(mutex.get(), 0) };
        let owner = on_another_processor(kernel, move || {
            assert_eq!(wait_one(mutex.get(), None), STATUS_SUCCESS);
            crate::ke::signal_exited(current().unwrap().kthread.header());
        });
        owner.join().unwrap();
        assert_eq!(wait_one(mutex.get(), Some(0)), STATUS_ABANDONED);
        assert_eq!(release(mutex.get()), 0);
        assert_eq!(wait_one(mutex.get(), Some(0)), STATUS_SUCCESS, "only once");
        release(mutex.get());
    });
}

#[test]
fn a_semaphore_counts_to_its_limit() {
    with_kernel(Config::default(), |_, records| {
        let semaphore = leak::<KSEMAPHORE>();
        // SAFETY: fresh memory.
        unsafe {
            KeInitializeSemaphore(semaphore, 1, 2);
            assert_eq!(wait_one(semaphore, Some(0)), STATUS_SUCCESS);
            assert_eq!(wait_one(semaphore, Some(0)), STATUS_TIMEOUT);
            assert_eq!(KeReleaseSemaphore(semaphore, 0, 2, 0), 0);
            assert_eq!(KeReadStateSemaphore(semaphore), 2);
        }
        stops(records, || {
            // SAFETY: initialized above.
            unsafe { KeReleaseSemaphore(semaphore, 0, 1, 0) };
        });
        // SAFETY: as above.
        assert_eq!(unsafe { KeReadStateSemaphore(semaphore) }, 2);
    });
}

#[test]
fn a_blocking_wait_at_dispatch_level_stops_and_a_look_does_not() {
    with_kernel(Config::default(), |_, records| {
        let event = event(false, false);
        // SAFETY: a routine without pointers.
        unsafe { KfRaiseIrql(2) };
        assert_eq!(wait_one(event, Some(0)), STATUS_TIMEOUT);
        let stop = stops(records, || {
            wait_one(event, None);
        });
        assert_eq!(stop.code, 0xB8);
        assert_eq!(records.findings(), ["L-22"]);
        machine::irql::set(machine::Irql::PASSIVE);
    });
}

#[test]
fn an_exit_wakes_who_waits_for_the_thread() {
    with_kernel(Config::default(), |kernel, _| {
        let thread =
            Ethread::new(kernel.ps.system.0.clone(), ::event::ThreadId(4000), ::event::Time(0), true, 0);
        let object = Shared(thread.as_ptr());
        let waiter =
            on_another_processor(kernel, move || assert_eq!(wait_one(object.get(), None), STATUS_SUCCESS));
        until_waited_for(kernel, object.get());
        crate::ke::signal_exited(thread.kthread.header());
        waiter.join().unwrap();
    });
}

#[test]
fn waiting_for_too_many_objects_is_a_bug_check() {
    with_kernel(Config::default(), |_, records| {
        let too_many = stops(records, || {
            let objects = [std::ptr::null_mut(); 4];
            // SAFETY: the count is judged before an object is looked at.
            unsafe {
                KeWaitForMultipleObjects(
                    4,
                    objects.as_ptr(),
                    0,
                    0,
                    0,
                    0,
                    std::ptr::null(),
                    std::ptr::null_mut(),
                )
            };
        });
        assert_eq!((too_many.kind, too_many.code), (StopKind::BugCheck, 0x0C));
    });
}
