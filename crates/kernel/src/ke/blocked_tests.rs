//! L-05: which waits of a notify routine are for another thread, and which circles of waits are a hang.

use std::sync::mpsc::{Receiver, Sender, channel};

use ::event::{Family, StopKind};
use nt_abi::*;

use super::event::*;
use super::mutex::KeInitializeMutex;
use super::tests::{Shared, event, leak, until_waited_for, wait_one};
use crate::ex::fast_mutex::*;
use crate::testing::{Records, on_another_processor, stops, with_kernel};
use crate::{Config, Kernel};

/// Without a limit, so that no test depends on the time: what L-02 says of that is left out of what is found.
const LONG: Option<i64> = None;

fn findings(records: &Records) -> Vec<String> {
    records.findings().into_iter().filter(|rule| rule != "L-02").collect()
}

/// Runs `act` as a process notify routine.
fn in_routine(act: impl FnOnce()) {
    let before = crate::io::enter_driver(None, 0, Some(Family::Process));
    act();
    crate::io::leave_driver(before);
}

/// What a routine of the calling thread is found to do while another thread does `other`, which is told when to begin.
fn found(
    routine: impl FnOnce(&'static Kernel, Sender<()>),
    other: impl FnOnce(&'static Kernel, Receiver<()>) + Send + 'static,
) -> Vec<String> {
    with_kernel(Config::default(), |kernel, records| {
        let (begin, begins) = channel();
        let other = on_another_processor(kernel, move || other(kernel, begins));
        in_routine(|| routine(kernel, begin));
        other.join().unwrap();
        findings(records)
    })
}

/// Until somebody is asleep for a lock.
fn until_asleep(kernel: &Kernel) {
    while !kernel.ke.blocked.anybody_waits_for_a_lock() {
        std::thread::yield_now();
    }
}

/// As `ExInitializeFastMutex` makes one, which needs a kernel.
fn fast_mutex() -> *mut FAST_MUTEX {
    let mutex: *mut FAST_MUTEX = leak();
    // SAFETY: fresh memory.
    unsafe {
        (*mutex).Count = 1;
        KeInitializeEvent(&raw mut (*mutex).Event, SynchronizationEvent, 0);
    }
    mutex
}

/// Holds a fast mutex while it does something.
fn holding(mutex: *mut FAST_MUTEX, act: impl FnOnce()) {
    // SAFETY: an initialized mutex.
    unsafe { ExAcquireFastMutex(mutex) };
    act();
    // SAFETY: as above.
    unsafe { ExReleaseFastMutex(mutex) };
}

#[test]
fn l_05_a_routine_that_another_thread_lets_go_on_is_found() {
    for synchronization in [false, true] {
        let event = Shared(event(synchronization, false));
        let sets = move |kernel: &'static Kernel, _: Receiver<()>| {
            until_waited_for(kernel, event.get());
            // SAFETY: an initialized event.
            unsafe { KeSetEvent(event.get(), 0, 0) };
        };
        let found = found(|_, _| assert_eq!(wait_one(event.get(), LONG), STATUS_SUCCESS), sets);
        assert_eq!(found, ["L-05"]);
    }
    let semaphore = Shared(leak::<KSEMAPHORE>());
    // SAFETY: fresh memory.
    unsafe { KeInitializeSemaphore(semaphore.get(), 0, 5) };
    let releases = move |kernel: &'static Kernel, _: Receiver<()>| {
        until_waited_for(kernel, semaphore.get());
        // SAFETY: an initialized semaphore.
        unsafe { KeReleaseSemaphore(semaphore.get(), 0, 1, 0) };
    };
    assert_eq!(found(|_, _| assert_eq!(wait_one(semaphore.get(), LONG), STATUS_SUCCESS), releases), ["L-05"]);
}

#[test]
fn l_05_looking_waiting_in_vain_and_waiting_elsewhere_are_well() {
    let found = found(
        |_, _| {
            assert_eq!(wait_one(event(true, true), LONG), STATUS_SUCCESS);
            assert_eq!(wait_one(event(false, false), Some(0)), STATUS_TIMEOUT);
            assert_eq!(wait_one(event(false, false), Some(-10_000)), STATUS_TIMEOUT);
        },
        |_, _| {},
    );
    assert_eq!(found, [""; 0]);
    with_kernel(Config::default(), |kernel, records| {
        let event = Shared(event(true, false));
        let sets = on_another_processor(kernel, move || {
            until_waited_for(kernel, event.get());
            // SAFETY: an initialized event.
            unsafe { KeSetEvent(event.get(), 0, 0) };
        });
        // No routine runs.
        assert_eq!(wait_one(event.get(), LONG), STATUS_SUCCESS);
        sets.join().unwrap();
        assert_eq!(findings(records), [""; 0]);
    });
}

#[test]
fn l_05_what_the_kernel_or_a_dpc_signals_is_no_other_thread() {
    let sets_itself = Shared(event(false, false));
    let kernel_sets = move |kernel: &'static Kernel, _: Receiver<()>| {
        until_waited_for(kernel, sets_itself.get());
        // SAFETY: an initialized event.
        unsafe { set(sets_itself.get()) };
    };
    let waits = |event: Shared<KEVENT>| {
        move |_: &'static Kernel, _: Sender<()>| {
            assert_eq!(wait_one(event.get(), LONG), STATUS_SUCCESS);
        }
    };
    assert_eq!(found(waits(sets_itself), kernel_sets), [""; 0]);

    unsafe extern "win64" fn in_dpc(_: *mut KDPC, event: PVOID, _: PVOID, _: PVOID) {
        // SAFETY: the test's event.
        unsafe { KeSetEvent(event.cast(), 0, 0) };
    }
    let by_dpc = Shared(event(false, false));
    let dpc_sets = move |kernel: &'static Kernel, _: Receiver<()>| {
        until_waited_for(kernel, by_dpc.get());
        let dpc = leak::<KDPC>();
        // SAFETY: a DPC of this test, and its routine.
        unsafe {
            super::dpc::KeInitializeDpc(dpc, Some(in_dpc), by_dpc.get().cast());
            super::dpc::KeInsertQueueDpc(dpc, std::ptr::null_mut(), std::ptr::null_mut());
        }
    };
    assert_eq!(found(waits(by_dpc), dpc_sets), [""; 0]);
}

#[test]
fn l_05_a_lock_that_is_held_while_its_owner_runs_is_well() {
    let mutex = Shared(fast_mutex());
    let holds = move |kernel: &'static Kernel, begins: Receiver<()>| {
        begins.recv().unwrap();
        holding(mutex.get(), || until_asleep(kernel));
    };
    let takes = move |_: &'static Kernel, begin: Sender<()>| {
        begin.send(()).unwrap();
        // SAFETY: an initialized mutex; the other thread is about to take it.
        while unsafe { (*mutex.get()).Count } == 1 {
            std::thread::yield_now();
        }
        holding(mutex.get(), || ());
    };
    assert_eq!(found(takes, holds), [""; 0]);

    // An event that is used as a lock: whoever waits for it and gets it sets it again.
    let event = Shared(event(true, true));
    let owns = move |kernel: &'static Kernel, begins: Receiver<()>| {
        assert_eq!(wait_one(event.get(), LONG), STATUS_SUCCESS);
        begins.recv().unwrap();
        until_waited_for(kernel, event.get());
        // SAFETY: an initialized event.
        unsafe { KeSetEvent(event.get(), 0, 0) };
    };
    let waits = move |_: &'static Kernel, begin: Sender<()>| {
        // SAFETY: an initialized event.
        while unsafe { KeReadStateEvent(event.get()) } != 0 {
            std::thread::yield_now();
        }
        begin.send(()).unwrap();
        assert_eq!(wait_one(event.get(), LONG), STATUS_SUCCESS);
    };
    assert_eq!(found(waits, owns), [""; 0]);
}

#[test]
fn l_05_a_lock_whose_owner_waits_is_found_whichever_waits_first() {
    for owner_first in [true, false] {
        let (mutex, event) = (Shared(fast_mutex()), Shared(event(false, false)));
        let owner = move |kernel: &'static Kernel, begins: Receiver<()>| {
            begins.recv().unwrap();
            holding(mutex.get(), || {
                if !owner_first {
                    until_asleep(kernel);
                }
                assert_eq!(wait_one(event.get(), Some(-200_000)), STATUS_TIMEOUT);
            });
        };
        let takes = move |kernel: &'static Kernel, begin: Sender<()>| {
            begin.send(()).unwrap();
            if owner_first {
                until_waited_for(kernel, event.get());
            }
            // SAFETY: an initialized mutex; the other thread has it, or is about to.
            while unsafe { (*mutex.get()).Count } == 1 {
                std::thread::yield_now();
            }
            holding(mutex.get(), || ());
        };
        assert_eq!(found(takes, owner), ["L-05"], "{owner_first}");
    }
}

fn mutex() -> *mut KMUTANT {
    let mutex = leak();
    // SAFETY: fresh memory.
    unsafe { KeInitializeMutex(mutex, 0) };
    mutex
}

#[test]
fn l_05_threads_that_wait_for_each_other_in_a_routine_are_a_hang_that_names_them() {
    with_kernel(Config::default(), |kernel, records: &'static Records| {
        let (first, second) = (Shared(mutex()), Shared(fast_mutex()));
        let (begin, begins) = channel();
        // It never ends: its mutex is not released, and its processor stays.
        on_another_processor(kernel, move || {
            begins.recv().unwrap();
            holding(second.get(), || {
                wait_one(first.get(), None);
            });
        });
        let stop = stops(records, || {
            in_routine(|| {
                assert_eq!(wait_one(first.get(), LONG), STATUS_SUCCESS);
                begin.send(()).unwrap();
                until_waited_for(kernel, first.get());
                holding(second.get(), || ());
            });
        });
        assert_eq!((stop.kind, stop.code), (StopKind::Hang, 0));
        for part in ["L-05: ", "the mutex at 0x", "the fast mutex at 0x", "is in a process notify routine"] {
            assert!(stop.message.contains(part), "{part}: {}", stop.message);
        }
        machine::irql::set(machine::Irql::PASSIVE);
    });
}
