//! Registering and removing without calls in progress: SEMANTICS A.2 and A.3.

mod support;

use notify::platform::Portable;
use notify::{
    Capacity, Domain, DuplicatePolicy, ImageFlavour, MAX_SLOTS, ProcessFlavour, ProcessTable, RegisterError,
    RemoveError, Request, ThreadFlavour, Walker,
};
use support::{board, image, process, thread};

fn rejecting() -> (ProcessTable<Portable>, Walker<Portable>) {
    let domain = Domain::new(Portable);
    let table = ProcessTable::new(&domain, Capacity::SIXTY_FOUR, DuplicatePolicy::Reject);
    (table, Walker::new(&domain))
}

#[test]
fn r_reg_05_the_limit_is_the_profiles() {
    for capacity in [Capacity::EIGHT, Capacity::SIXTY_FOUR] {
        let board = board(capacity);
        for routine in 1..=capacity.get() {
            board.image.register(image(routine)).unwrap();
        }
        assert_eq!(board.image.register(image(1000)), Err(RegisterError::Full));
        assert_eq!(board.image.len(), capacity.get());
    }
    assert_eq!(Capacity::new(0), None);
    assert_eq!(Capacity::new(MAX_SLOTS + 1), None);
    assert_eq!(Capacity::new(8), Some(Capacity::EIGHT));
}

#[test]
fn r_reg_06_every_family_says_full() {
    let board = board(Capacity::EIGHT);
    for routine in 1..=8 {
        board.process.register(process(routine, ProcessFlavour::Ex)).unwrap();
        board.thread.register(thread(routine, ThreadFlavour::Plain)).unwrap();
    }
    assert_eq!(board.process.register(process(9, ProcessFlavour::Ex)), Err(RegisterError::Full));
    assert_eq!(board.thread.register(thread(9, ThreadFlavour::Plain)), Err(RegisterError::Full));
    // The tables are separate: the image table has not lost a slot.
    assert_eq!(board.image.register(image(9)).unwrap().slot, 0);
}

#[test]
fn r_reg_07_one_owner_may_hold_many_slots() {
    let board = board(Capacity::SIXTY_FOUR);
    for (routine, owner) in [(1, 7), (2, 8), (3, 7)] {
        board.image.register(Request { owner, ..image(routine) }).unwrap();
    }
    let slots: Vec<_> = board.image.owned_by(7).iter().map(|found| (found.slot, found.routine)).collect();
    assert_eq!(slots, [(0, 1), (2, 3)]);
    assert!(board.image.owned_by(9).is_empty());
}

#[test]
fn r_reg_08_flavours_share_one_table() {
    let board = board(Capacity::EIGHT);
    let flavours = [ProcessFlavour::Plain, ProcessFlavour::Ex, ProcessFlavour::Ex2];
    for routine in 1..=8 {
        let found = board.process.register(process(routine, flavours[routine % 3])).unwrap();
        assert_eq!(found.slot, routine - 1);
    }
    for flavour in flavours {
        assert_eq!(board.process.register(process(9, flavour)), Err(RegisterError::Full));
    }
}

#[test]
fn r_reg_09_lowest_free_slot_and_nothing_compacted() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    for routine in 1..=5 {
        board.image.register(image(routine)).unwrap();
    }
    board.image.remove(&walker, 2).unwrap();
    board.image.remove(&walker, 4).unwrap();
    let slots: Vec<_> = board.image.snapshot().iter().map(|found| (found.slot, found.routine)).collect();
    assert_eq!(slots, [(0, 1), (2, 3), (4, 5)]);
    assert_eq!(board.image.register(image(6)).unwrap().slot, 1);
    assert_eq!(board.image.register(image(7)).unwrap().slot, 3);
    assert_eq!(board.images_called(&walker), [1, 6, 3, 7, 5], "slot order, not registration order");
}

#[test]
fn r_reg_10_registering_and_removing_on_many_threads() {
    let board = board(Capacity::SIXTY_FOUR);
    let rounds = if cfg!(miri) { 3 } else { 200 };
    std::thread::scope(|scope| {
        for who in 0..4_usize {
            let board = &board;
            scope.spawn(move || {
                let walker = board.walker();
                for _ in 0..rounds {
                    for routine in who * 16 + 1..=who * 16 + 16 {
                        board.image.register(image(routine)).unwrap();
                    }
                    for routine in who * 16 + 1..=who * 16 + 16 {
                        assert_eq!(board.image.remove(&walker, routine).unwrap().routine, routine);
                    }
                }
            });
        }
    });
    assert!(board.image.is_empty());
    assert_eq!(board.image.len(), 0);
}

#[test]
fn r_reg_11_a_failed_registration_leaves_no_trace() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    for routine in 1..=8 {
        board.image.register(image(routine)).unwrap();
    }
    let before = board.image.snapshot();
    board.image.register(image(9)).unwrap_err();
    assert_eq!(board.image.snapshot(), before);
    assert_eq!(board.images_called(&walker), [1, 2, 3, 4, 5, 6, 7, 8]);

    let (table, _walker) = rejecting();
    table.register(process(1, ProcessFlavour::Ex)).unwrap();
    let before = table.snapshot();
    table.register(process(1, ProcessFlavour::Ex)).unwrap_err();
    assert_eq!(table.snapshot(), before);
}

#[test]
fn c1_duplicate_process_routines_by_policy() {
    let (table, walker) = rejecting();
    table.register(process(1, ProcessFlavour::Ex)).unwrap();
    assert_eq!(table.register(process(1, ProcessFlavour::Ex)), Err(RegisterError::Duplicate));
    assert_eq!(
        table.register(process(1, ProcessFlavour::Plain)),
        Err(RegisterError::Duplicate),
        "the address counts"
    );
    table.remove(&walker, 1, ProcessFlavour::Ex).unwrap();
    table.register(process(1, ProcessFlavour::Plain)).unwrap();

    let accepting = board(Capacity::EIGHT);
    for slot in 0..2 {
        assert_eq!(accepting.process.register(process(1, ProcessFlavour::Ex)).unwrap().slot, slot);
    }
}

#[test]
fn c1_a_full_table_says_duplicate_before_full() {
    let domain = Domain::new(Portable);
    let table = ProcessTable::new(&domain, Capacity::EIGHT, DuplicatePolicy::Reject);
    for routine in 1..=8 {
        table.register(process(routine, ProcessFlavour::Ex)).unwrap();
    }
    assert_eq!(table.register(process(3, ProcessFlavour::Ex)), Err(RegisterError::Duplicate));
    assert_eq!(table.register(process(9, ProcessFlavour::Ex)), Err(RegisterError::Full));
}

#[test]
fn a3_process_removal_needs_address_and_flavour() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    board.process.register(process(1, ProcessFlavour::Ex)).unwrap();
    for (routine, flavour) in [(1, ProcessFlavour::Plain), (1, ProcessFlavour::Ex2), (2, ProcessFlavour::Ex)]
    {
        let error = board.process.remove(&walker, routine, flavour).unwrap_err();
        assert!(matches!(error, RemoveError::NotRegistered), "{error:?}");
    }
    assert_eq!(board.process.len(), 1, "a failed removal changes nothing");
    board.process.remove(&walker, 1, ProcessFlavour::Ex).unwrap();
    let error = board.process.remove(&walker, 1, ProcessFlavour::Ex).unwrap_err();
    assert!(matches!(error, RemoveError::NotRegistered), "{error:?}");
}

#[test]
fn r_reg_14_removal_takes_the_lowest_of_duplicates() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    for routine in [5, 6, 5, 5] {
        board.image.register(image(routine)).unwrap();
    }
    assert_eq!(board.image.remove(&walker, 5).unwrap().slot, 0);
    assert_eq!(board.images_called(&walker), [6, 5, 5]);
    assert_eq!(board.image.remove(&walker, 5).unwrap().slot, 2);
    assert_eq!(board.image.remove(&walker, 5).unwrap().slot, 3);
    assert!(matches!(board.image.remove(&walker, 5), Err(RemoveError::NotRegistered)));
    assert_eq!(board.images_called(&walker), [6]);
}

#[test]
fn r_reg_15_image_and_thread_removal_match_either_form() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    board.image.register(Request { flavour: ImageFlavour::Ex, flags: 1, ..image(1) }).unwrap();
    let removed = board.image.remove(&walker, 1).unwrap();
    assert_eq!((removed.flavour, removed.flags), (ImageFlavour::Ex, 1), "flags are kept");
    for flavour in [ThreadFlavour::Plain, ThreadFlavour::NonSystem, ThreadFlavour::Subsystems] {
        board.thread.register(thread(1, flavour)).unwrap();
        assert_eq!(board.thread.remove(&walker, 1).unwrap().flavour, flavour);
    }
}

#[test]
fn r_reg_16_one_routine_in_several_families_and_types() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    board.image.register(image(1)).unwrap();
    board.thread.register(thread(1, ThreadFlavour::NonSystem)).unwrap();
    board.thread.register(thread(1, ThreadFlavour::Subsystems)).unwrap();
    let mut types = Vec::new();
    board.thread.walk(&walker, |found| types.push(found.flavour));
    assert_eq!(types, [ThreadFlavour::NonSystem, ThreadFlavour::Subsystems]);
    assert_eq!(board.images_called(&walker), [1]);
    board.thread.remove(&walker, 1).unwrap();
    assert_eq!(board.images_called(&walker), [1], "the other family keeps its registration");
}

#[test]
fn a_registration_is_named_anew_each_time() {
    let board = board(Capacity::EIGHT);
    let walker = board.walker();
    let first = board.image.register(image(1)).unwrap();
    board.image.remove(&walker, 1).unwrap();
    let second = board.image.register(image(1)).unwrap();
    assert_eq!(first.slot, second.slot);
    assert_ne!(first.id, second.id);
}
