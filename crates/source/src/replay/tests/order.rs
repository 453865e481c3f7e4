//! Records out of their order.

use super::super::{Cause, Synthesis};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn records_are_put_in_order_within_the_window() {
    let outcome =
        replay(Options::default(), vec![(3, exit(8)), (1, create(8, 4)), (2, image(8, r"C:\bin\p8.exe"))]);
    assert_eq!(
        short(&outcome.lines),
        ["create 8 of 4", "+ thread 8.first", "image 8 p8.exe", "+ ends 8.first", "exit 8 1"]
    );
    assert_eq!((outcome.account.reordered, outcome.account.late), (2, 0));
}

#[test]
fn what_is_later_than_the_window_is_told_when_it_comes() {
    let records =
        || vec![(1, create(8, 4)), (5, create(12, 4)), (9, create(16, 4)), (3, image(8, r"C:\bin\p8.exe"))];
    let outcome = replay(window(1, SECOND), records());
    assert_eq!(short(&outcome.lines)[4..], ["image 8 p8.exe", "create 16 of 4", "+ thread 16.first"]);
    assert_eq!((outcome.account.reordered, outcome.account.late), (0, 1));
    let outcome = replay(Options { window: 1, ..strict() }, records());
    assert_eq!(outcome.account.rejected[&Cause::Late].count, 1);
}

#[test]
fn in_a_pause_all_that_waits_is_told_and_what_came_before_it_is_late() {
    let mut normaliser = Normaliser::new(Options::default());
    let mut told = Vec::new();
    let mut out = |step: Step<'_>| {
        let Step::Accepted(accepted) = step else { panic!("{step:?}") };
        told.extend(accepted.events.iter().map(|told| line(&told.event, told.recorded)));
    };
    let mut take = |normaliser: &mut Normaliser, number, time, what| {
        let record = Told { number, machine: None, time: Some(Time(time)), record_id: None, what };
        normaliser.take(0, Ok(Box::new(record)), &mut out);
    };
    take(&mut normaliser, 1, 5, create(12, 4));
    take(&mut normaliser, 2, 3, create(8, 4));
    assert_eq!(normaliser.waiting(), 2);
    normaliser.idle(&mut |step| {
        let Step::Accepted(accepted) = step else { panic!("{step:?}") };
        assert!(accepted.events.iter().any(|told| told.recorded));
    });
    assert_eq!((normaliser.waiting(), normaliser.account().accepted), (0, 2));
    take(&mut normaliser, 3, 4, image(8, r"C:\bin\p8.exe"));
    take(&mut normaliser, 4, 9, exit(8));
    assert_eq!(normaliser.waiting(), 1, "the pause is over");
    normaliser.finish(&mut |_| ());
    assert_eq!((normaliser.account().accepted, normaliser.account().late), (4, 1));
    assert_eq!(short(&told), ["image 8 p8.exe"]);
}

#[test]
fn a_creation_that_was_recorded_after_what_the_process_did_comes_first() {
    let outcome = replay(
        Options::default(),
        vec![(1, image_of(with_guid(8, "a"), r"C:\a.dll")), (2, create_of(with_guid(8, "a"), of(4)))],
    );
    assert_eq!(
        short(&outcome.lines),
        ["create 8 of 4", "+ thread 8.first", "+ image 8 p8.exe", "image 8 a.dll"]
    );
    assert_eq!(outcome.account.reordered, 1);
}

#[test]
fn an_exit_comes_after_all_that_the_process_did() {
    let told = lines(vec![
        (1, create_of(with_guid(8, "a"), of(4))),
        (2, image_of(with_guid(8, "a"), r"C:\bin\p8.exe")),
        (3, exit_of(with_guid(8, "a"))),
        (4, image_of(with_guid(8, "a"), r"C:\late.dll")),
    ]);
    assert_eq!(short(&told)[2..], ["image 8 p8.exe", "image 8 late.dll", "+ ends 8.first", "exit 8 1"]);
}

#[test]
fn c_2_the_main_image_comes_before_ntdll_and_that_before_all_others() {
    let ntdll = r"C:\Windows\System32\ntdll.dll";
    let told = lines(vec![
        (1, create(8, 4)),
        (2, image(8, r"C:\Windows\System32\kernel32.dll")),
        (3, image(8, ntdll)),
        (4, image(8, r"c:\BIN\P8.EXE")),
    ]);
    assert_eq!(short(&told)[2..], ["image 8 P8.EXE", "image 8 ntdll.dll", "image 8 kernel32.dll"]);
}

#[test]
fn c_2_a_main_image_that_was_not_recorded_was_mapped_all_the_same_and_once() {
    let outcome = replay(
        window(0, SECOND),
        vec![
            (1, create(8, 4)),
            (2, image(8, r"C:\a.dll")),
            (3, image(8, r"C:\bin\p8.exe")),
            (4, image(8, r"C:\bin\p8.exe")),
        ],
    );
    assert_eq!(
        short(&outcome.lines)[2..],
        ["+ image 8 p8.exe", "image 8 a.dll", "! 3 already-told", "image 8 p8.exe"],
        "the fourth is another view"
    );
    assert_eq!(outcome.account.synthesised[&Synthesis::MainImage], 1);
    let outcome = replay(strict(), vec![(1, create(8, 4)), (2, image(8, r"C:\a.dll"))]);
    assert_eq!(outcome.account.rejected[&Cause::Incomplete].number, 2);
}

#[test]
fn the_first_thread_comes_right_behind_the_creation() {
    let told = lines(vec![
        (1, create(8, 4)),
        (2, image(8, r"C:\bin\p8.exe")),
        (3, What::ThreadCreate(thread(8, 100))),
        (4, What::ThreadCreate(thread(8, 104))),
    ]);
    assert_eq!(
        told,
        [
            "create 8 of 4 @1 in 4.92",
            "thread 8.100 @3 in 4.92",
            "image 8 p8.exe @2 in 8.100",
            "thread 8.104 @4 in 8.100",
        ]
    );
}

#[test]
fn a_creation_that_comes_too_late_replaces_what_was_known() {
    let outcome = replay(
        window(0, SECOND),
        vec![
            (1, create_of(with_guid(12, "b"), with_guid(8, "a"))),
            (2, create_of(with_guid(8, "a"), of(4))),
            (3, exit_of(with_guid(8, "a"))),
        ],
    );
    assert_eq!(
        short(&outcome.lines),
        [
            "+ present 8",
            "create 12 of 8",
            "+ thread 12.first",
            "create 8 of 4",
            "+ thread 8.first",
            "+ ends 8.first",
            "exit 8 1"
        ]
    );
}
