//! Walks, and what happens to the table meanwhile: SEMANTICS D.

mod support;

use notify::{Capacity, Domain, ImageTable, Walker, platform::Portable};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use support::{board, image};

#[test]
fn r_race_01_slot_order_on_the_walking_thread() {
    let board = board(Capacity::SIXTY_FOUR);
    let walker = board.walker();
    for routine in 1..=64 {
        board.image.register(image(routine)).unwrap();
    }
    let here = std::thread::current().id();
    let mut slots = Vec::new();
    board.image.walk(&walker, |found| {
        assert_eq!(std::thread::current().id(), here);
        slots.push(found.slot);
    });
    assert_eq!(slots, (0..64).collect::<Vec<_>>());
}

#[test]
fn r_race_01_events_run_at_once_on_two_threads() {
    let board = board(Capacity::EIGHT);
    board.image.register(image(1)).unwrap();
    // Both threads are inside the same routine at the barrier, or this never returns.
    let both = Barrier::new(2);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                board.image.walk(&board.walker(), |_| {
                    both.wait();
                });
            });
        }
    });
}

#[test]
fn one_threads_walks_come_one_after_the_other() {
    // So a creation that is walked before an exit is heard before it by every routine.
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    for routine in 1..=3 {
        board.image.register(image(routine)).unwrap();
    }
    let mut heard = Vec::new();
    for event in ["create", "exit"] {
        board.image.walk(&walker, |found| heard.push((event, found.slot)));
    }
    assert_eq!(heard, [("create", 0), ("create", 1), ("create", 2), ("exit", 0), ("exit", 1), ("exit", 2)]);
}

#[test]
fn r_race_03_registered_between_two_events_hears_only_the_second() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    board.image.register(image(1)).unwrap();
    assert_eq!(board.images_called(&walker), [1]);
    board.image.register(image(2)).unwrap();
    board.image.remove(&walker, 1).unwrap();
    assert_eq!(board.images_called(&walker), [2]);
}

#[test]
fn r_race_04_nested_walks_reach_the_same_routine() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    board.image.register(image(1)).unwrap();
    board.image.register(image(2)).unwrap();
    let mut heard = Vec::new();
    board.image.walk(&walker, |outer| {
        assert_eq!(walker.depth(), 1);
        board.image.walk(&walker, |inner| heard.push((outer.routine, inner.routine, walker.depth())));
    });
    assert_eq!(heard, [(1, 1, 2), (1, 2, 2), (2, 1, 2), (2, 2, 2)]);
    assert_eq!(walker.depth(), 0);
    board.image.remove(&walker, 1).unwrap();
}

/// Walks within walks, `left` more levels; calls `innermost` in the last one.
fn nest(table: &ImageTable<Portable>, walker: &Walker<Portable>, left: usize, innermost: &mut dyn FnMut()) {
    table.walk(walker, |_| if left == 0 { innermost() } else { nest(table, walker, left - 1, innermost) });
}

#[test]
fn r_race_04_nesting_deeper_than_the_marks_in_place() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    board.image.register(image(1)).unwrap();
    for deepest in [31, 32, 33, 63, 64, 65, 100] {
        let mut depth = 0;
        nest(&board.image, &walker, deepest, &mut || depth = walker.depth());
        assert_eq!(depth, deepest + 1);
        assert_eq!(walker.depth(), 0);
    }
    board.image.remove(&walker, 1).unwrap();
}

#[test]
fn r_race_04_a_removal_waits_for_a_deeply_nested_call() {
    let board = board(Capacity::EIGHT);
    board.image.register(image(1)).unwrap();
    // Level 41 calls routine 2, which nobody else is calling: only the deep mark holds it.
    let mut returned = false;
    let in_call = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            in_call.wait();
            assert_eq!(board.thread.remove(&board.walker(), 2).unwrap().routine, 2);
        });
        let walker = board.walker();
        board.thread.register(support::thread(2, notify::ThreadFlavour::Plain)).unwrap();
        nest(&board.image, &walker, 39, &mut || {
            board.thread.walk(&walker, |_| {
                in_call.wait();
                board.until_somebody_waits();
                let waits = board.domain.waits();
                assert_eq!(waits[0].holder, walker.id());
                returned = true;
            });
        });
    });
    assert!(returned);
    assert!(board.thread.is_empty());
}

#[test]
fn r_rm_09_registered_from_within_a_walk() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    for routine in 1..=3 {
        board.image.register(image(routine)).unwrap();
    }
    board.image.remove(&walker, 1).unwrap();
    let mut heard = Vec::new();
    board.image.walk(&walker, |found| {
        heard.push(found.routine);
        if found.routine == 2 {
            // Slot 0, which is behind, then slot 3, which is ahead.
            assert_eq!(board.image.register(image(10)).unwrap().slot, 0);
            assert_eq!(board.image.register(image(11)).unwrap().slot, 3);
        }
    });
    assert_eq!(heard, [2, 3, 11]);
    assert_eq!(board.images_called(&walker), [10, 2, 3, 11]);
}

#[test]
fn r_race_05_a_slot_is_reused_during_a_walk() {
    for (removed, expected) in [(1, vec![1, 2, 3]), (3, vec![1, 2, 9])] {
        let board = board(Capacity::EIGHT);
        let walker = board.walker();
        for routine in 1..=3 {
            board.image.register(image(routine)).unwrap();
        }
        let mut heard = Vec::new();
        board.image.walk(&walker, |found| {
            heard.push(found.routine);
            if found.routine == 2 {
                // Routine 1 sits in a slot that the walk has passed, routine 3 in one that is ahead.
                let slot = board.image.remove(&walker, removed).unwrap().slot;
                assert_eq!(board.image.register(image(9)).unwrap().slot, slot);
            }
        });
        assert_eq!(heard, expected);
    }
}

#[test]
fn r_race_08_a_removed_routine_that_is_ahead_is_skipped() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    for routine in 1..=4 {
        board.image.register(image(routine)).unwrap();
    }
    let mut heard = Vec::new();
    board.image.walk(&walker, |found| {
        heard.push(found.routine);
        if found.routine == 1 {
            board.image.remove(&walker, 2).unwrap();
            board.image.remove(&walker, 4).unwrap();
        }
    });
    assert_eq!(heard, [1, 3]);
}

#[test]
fn a_call_that_unwinds_leaves_nothing_marked() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    board.image.register(image(1)).unwrap();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        board
            .image
            .walk(&walker, |_| board.image.walk(&walker, |_| panic!("the routine stopped the system")));
    }));
    assert!(unwound.is_err());
    assert_eq!(walker.depth(), 0);
    // Would be taken for a self-removal, or wait for ever on another thread, if a mark were left.
    board.image.remove(&walker, 1).unwrap();
}

#[test]
fn a_walker_of_another_domain_is_refused() {
    let board = board(Capacity::EIGHT);
    board.image.register(image(1)).unwrap();
    let stranger = Walker::new(&Domain::new(Portable));
    let walked = catch_unwind(AssertUnwindSafe(|| board.image.walk(&stranger, |_| ())));
    assert!(walked.is_err());
    let removed = catch_unwind(AssertUnwindSafe(|| drop(board.image.remove(&stranger, 1))));
    assert!(removed.is_err());
    assert_eq!(board.image.len(), 1);
}
