//! Removal with calls in progress, and the deadlocks it can be part of: SEMANTICS A.5.

mod support;

use notify::platform::Platform;
use notify::{Capacity, Deadlock, Domain, ImageTable, ProcessFlavour, RemoveError, Walker};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Barrier, mpsc};
use support::{board, image, process};

fn deadlock<T: std::fmt::Debug>(result: Result<T, RemoveError>) -> Deadlock {
    match result {
        Err(RemoveError::Deadlock(deadlock)) => deadlock,
        other => panic!("expected a deadlock, got {other:?}"),
    }
}

#[test]
fn r_rm_01_removal_returns_after_the_calls_have() {
    let board = board(Capacity::EIGHT);
    board.image.register(image(1)).unwrap();
    let (in_call, returned) = (Barrier::new(2), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            board.image.walk(&board.walker(), |_| {
                in_call.wait();
                board.until_somebody_waits();
                returned.store(true, Ordering::Relaxed);
            });
        });
        in_call.wait();
        let walker = board.walker();
        board.image.remove(&walker, 1).unwrap();
        assert!(returned.load(Ordering::Relaxed), "the removal came back while its routine ran");
        assert!(board.images_called(&walker).is_empty());
    });
}

#[test]
fn r_rm_02_the_slot_is_empty_while_the_removal_waits() {
    let board = board(Capacity::EIGHT);
    board.image.register(image(1)).unwrap();
    board.image.register(image(2)).unwrap();
    let in_call = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let walker = board.walker();
            board.image.walk(&walker, |found| {
                if found.routine == 1 {
                    in_call.wait();
                    board.until_somebody_waits();
                    // An event that begins now skips the routine; the slot can be had by another.
                    assert_eq!(board.images_called(&walker), [2]);
                    assert_eq!(board.image.register(image(3)).unwrap().slot, 0);
                    assert_eq!(board.images_called(&walker), [3, 2]);
                }
            });
        });
        in_call.wait();
        board.image.remove(&board.walker(), 1).unwrap();
    });
}

#[test]
fn r_rm_04_only_that_registrations_calls_are_waited_for() {
    let board = board(Capacity::EIGHT);
    // The same routine twice: it is the registration that counts.
    board.image.register(image(1)).unwrap();
    board.image.register(image(2)).unwrap();
    board.image.register(image(1)).unwrap();
    let (in_call, removed) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            board.image.walk(&board.walker(), |found| {
                if found.slot == 2 {
                    in_call.wait();
                    removed.wait();
                }
            });
        });
        in_call.wait();
        // Would hang if a call of slot 2 were waited for, since that call waits for us.
        let walker = board.walker();
        assert_eq!(board.image.remove(&walker, 1).unwrap().slot, 0);
        board.image.remove(&walker, 2).unwrap();
        removed.wait();
    });
}

#[test]
fn r_rm_04_a_refilled_slot_is_not_waited_for() {
    let board = board(Capacity::EIGHT);
    board.image.register(image(1)).unwrap();
    let (first, second, removed) = (Barrier::new(2), Barrier::new(2), Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            board.image.walk(&board.walker(), |_| {
                first.wait();
                board.until_somebody_waits();
                board.image.register(image(2)).unwrap();
                second.wait();
            });
        });
        scope.spawn(|| {
            second.wait();
            board.image.walk(&board.walker(), |found| {
                assert_eq!(found.routine, 2);
                removed.wait();
            });
        });
        first.wait();
        board.image.remove(&board.walker(), 1).unwrap();
        removed.wait();
    });
}

#[test]
fn r_rm_05_self_removal_is_known_and_the_entry_is_gone() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    let registered = board.image.register(image(1)).unwrap();
    let mut calls = 0;
    board.image.walk(&walker, |found| {
        calls += 1;
        let deadlock = deadlock(board.image.remove(&walker, 1));
        assert!(deadlock.is_self_removal());
        let [wait] = deadlock.chain() else { panic!("{deadlock}") };
        assert_eq!((wait.waiter, wait.holder), (walker.id(), walker.id()));
        assert_eq!(wait.registration, registered.erased());
        assert!(board.image.is_empty(), "observed: the entry is taken out of the table");
        assert_eq!(found.routine, 1, "what is being called stays readable");
        assert!(matches!(board.image.remove(&walker, 1), Err(RemoveError::NotRegistered)));
    });
    assert_eq!(calls, 1);
    assert!(board.images_called(&walker).is_empty());
}

#[test]
fn r_rm_06_self_removal_from_a_nested_event() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    board.image.register(image(1)).unwrap();
    board.process.register(process(2, ProcessFlavour::Ex)).unwrap();
    let mut seen = None;
    board.image.walk(&walker, |_| {
        board.process.walk(&walker, |_| seen = Some(deadlock(board.image.remove(&walker, 1))));
    });
    let seen = seen.unwrap();
    assert!(seen.is_self_removal());
    let text = seen.to_string();
    assert!(text.contains("waits for the image routine 0x1 (slot 0)"), "{text}");
}

#[test]
fn r_rm_06_the_other_of_two_registrations_is_no_self_removal() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    board.image.register(image(1)).unwrap();
    board.image.register(image(1)).unwrap();
    board.image.walk(&walker, |found| {
        if found.slot == 1 {
            assert_eq!(board.image.remove(&walker, 1).unwrap().slot, 0);
        }
    });
    assert_eq!(board.images_called(&walker), [1]);
}

#[test]
fn r_rm_07_removing_another_routine_from_within_a_call_is_legal() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    board.image.register(image(1)).unwrap();
    board.image.register(image(2)).unwrap();
    board.image.walk(&walker, |_| drop(board.image.remove(&walker, 2)));
    assert_eq!(board.images_called(&walker), [1]);
}

#[test]
fn r_rm_07_two_routines_that_remove_each_other() {
    let board = board(Capacity::EIGHT);
    board.image.register(image(1)).unwrap();
    board.process.register(process(2, ProcessFlavour::Ex)).unwrap();
    let both_in_call = Barrier::new(2);
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let (board, both_in_call) = (&board, &both_in_call);
        let tell_too = tell.clone();
        scope.spawn(move || {
            let walker = board.walker();
            board.image.walk(&walker, |_| {
                both_in_call.wait();
                let result = board.process.remove(&walker, 2, ProcessFlavour::Ex);
                tell.send((walker.id(), result.map(|found| found.routine))).unwrap();
            });
        });
        scope.spawn(move || {
            let walker = board.walker();
            board.process.walk(&walker, |_| {
                both_in_call.wait();
                let result = board.image.remove(&walker, 1);
                tell_too.send((walker.id(), result.map(|found| found.routine))).unwrap();
            });
        });
    });
    // Whoever comes second sees the circle; when it gives way, the first one's wait is over.
    let (loser, refused) = told.recv().unwrap();
    let (winner, granted) = told.recv().unwrap();
    granted.unwrap();
    let chain = deadlock(refused);
    let [first, second] = chain.chain() else { panic!("{chain}") };
    assert_eq!((first.waiter, first.holder), (loser, winner));
    assert_eq!((second.waiter, second.holder), (winner, loser));
    assert_ne!(first.registration.family, second.registration.family);
    assert!(board.image.is_empty() && board.process.is_empty());
}

#[test]
fn r_rm_07_a_circle_through_three_threads() {
    let board = board(Capacity::EIGHT);
    for routine in 0..3 {
        board.image.register(image(routine)).unwrap();
    }
    let (all_in_call, refused) = (Barrier::new(3), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for who in 0..3 {
            let (board, all_in_call, refused) = (&board, &all_in_call, &refused);
            scope.spawn(move || {
                let walker = board.walker();
                board.image.walk(&walker, |found| {
                    if found.routine == who {
                        all_in_call.wait();
                        match board.image.remove(&walker, (who + 1) % 3) {
                            Err(RemoveError::Deadlock(deadlock)) => {
                                assert_eq!(deadlock.chain().len(), 3, "{deadlock}");
                                assert_eq!(deadlock.chain()[2].holder, walker.id());
                                refused.fetch_add(1, Ordering::Relaxed);
                            }
                            result => drop(result.unwrap()),
                        }
                    }
                });
            });
        }
    });
    assert_eq!(refused.into_inner(), 1, "one gives way, the other two are served");
}

#[test]
fn r_rm_07_waiting_for_a_thread_that_is_blocked_for_ever() {
    let board = board(Capacity::EIGHT);
    board.image.register(image(1)).unwrap();
    board.process.register(process(2, ProcessFlavour::Ex)).unwrap();
    let (stuck, go_on) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let walker = board.walker();
            board.process.walk(&walker, |_| {
                board.image.walk(&walker, |_| {
                    // Blocks "for ever" inside routine 1, itself inside routine 2.
                    walker.stays_blocked(&deadlock(board.image.remove(&walker, 1)));
                    stuck.wait();
                    go_on.wait();
                });
            });
        });
        stuck.wait();
        let walker = board.walker();
        let seen = deadlock(board.process.remove(&walker, 2, ProcessFlavour::Ex));
        assert!(!seen.is_self_removal());
        let [to_the_stuck, circle] = seen.chain() else { panic!("{seen}") };
        assert_eq!(to_the_stuck.waiter, walker.id());
        assert_eq!(circle.waiter, to_the_stuck.holder);
        assert_eq!(circle.holder, to_the_stuck.holder);
        go_on.wait();
    });
}

#[test]
fn r_rm_07_a_refused_removal_does_not_block_others_when_its_thread_goes_on() {
    let board = board(Capacity::EIGHT);
    board.image.register(image(1)).unwrap();
    board.process.register(process(2, ProcessFlavour::Ex)).unwrap();
    let refused = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let walker = board.walker();
            board.process.walk(&walker, |_| {
                board.image.walk(&walker, |_| drop(deadlock(board.image.remove(&walker, 1))));
                refused.wait();
                board.until_somebody_waits();
            });
        });
        refused.wait();
        // The thread inside routine 2 was refused once but is running: this wait ends.
        board.process.remove(&board.walker(), 2, ProcessFlavour::Ex).unwrap();
    });
}

#[test]
fn r_race_06_removal_waits_for_the_last_of_many_calls() {
    const CALLERS: usize = 4;
    let board = board(Capacity::EIGHT);
    board.image.register(image(1)).unwrap();
    let (in_call, running) = (Barrier::new(CALLERS + 1), AtomicUsize::new(CALLERS));
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                board.image.walk(&board.walker(), |_| {
                    in_call.wait();
                    board.until_somebody_waits();
                    running.fetch_sub(1, Ordering::Relaxed);
                });
            });
        }
        in_call.wait();
        board.image.remove(&board.walker(), 1).unwrap();
        assert_eq!(running.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn r_race_07_resources_may_be_freed_after_removal() {
    // What a careful driver does: remove, then free. The routine must never see the freed state.
    let board = board(Capacity::EIGHT);
    let rounds = if cfg!(miri) { 5 } else { 300 };
    let (freed, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let walker = board.walker();
                while !stop.load(Ordering::Relaxed) {
                    board.image.walk(&walker, |_| {
                        assert!(!freed.load(Ordering::Relaxed), "called after removal");
                        std::thread::yield_now();
                        assert!(!freed.load(Ordering::Relaxed), "the removal returned during the call");
                    });
                }
            });
        }
        let walker = board.walker();
        for _ in 0..rounds {
            freed.store(false, Ordering::Relaxed);
            board.image.register(image(1)).unwrap();
            std::thread::yield_now();
            board.image.remove(&walker, 1).unwrap();
            freed.store(true, Ordering::Relaxed);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn who_waits_for_whom_can_be_asked() {
    let board = board(Capacity::EIGHT);
    let registered = board.image.register(image(1)).unwrap();
    let in_call = Barrier::new(2);
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let walker = board.walker();
            board.image.walk(&walker, |_| {
                in_call.wait();
                board.until_somebody_waits();
                let waits = board.domain.waits();
                assert_eq!(waits.len(), 1);
                assert_eq!(waits[0].registration, registered.erased());
                assert_eq!(waits[0].holder, walker.id());
            });
        });
        in_call.wait();
        board.image.remove(&board.walker(), 1).unwrap();
        holder.join().unwrap();
        assert!(board.domain.waits().is_empty());
    });
}

/// Sleeps as seldom as it may: a sleep ends for no reason, again and again. Counts them.
#[derive(Default)]
struct Restless {
    sleeps: AtomicUsize,
}

// SAFETY: the fences are sequentially consistent ones; a sleep always ends, so that no wake can be missed.
unsafe impl Platform for Restless {
    fn light_fence(&self) {
        std::sync::atomic::fence(Ordering::SeqCst);
    }

    fn heavy_fence(&self) {
        std::sync::atomic::fence(Ordering::SeqCst);
    }

    fn block(&self, _word: &AtomicU32, _expected: u32) {
        self.sleeps.fetch_add(1, Ordering::SeqCst);
        std::thread::yield_now();
    }

    fn wake_all(&self, _word: &AtomicU32) {}
}

#[test]
fn r_rm_03_a_removal_sleeps_and_no_end_of_a_sleep_but_the_call_s_ends_it() {
    let domain = Domain::new(Restless::default());
    let table = ImageTable::new(&domain, Capacity::EIGHT);
    table.register(image(1)).unwrap();
    let (in_call, called) = (Barrier::new(2), AtomicBool::new(true));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            table.walk(&Walker::new(&domain), |_| {
                in_call.wait();
                // The removal has gone to sleep and was woken without a reason, many times.
                while domain.platform().sleeps.load(Ordering::SeqCst) < 200 {
                    std::thread::yield_now();
                }
                called.store(false, Ordering::SeqCst);
            });
        });
        in_call.wait();
        table.remove(&Walker::new(&domain), 1).unwrap();
        assert!(!called.load(Ordering::SeqCst), "the removal returned during the call");
    });
}
