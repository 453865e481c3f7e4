//! What is missing, and what must have been.

use std::collections::BTreeMap;

use event::{Architecture, ClientId, ProcessId, ThreadId};
use telemetry::DriverLoad;

use super::super::{Absent, Cause, Synthesis, Which};
use super::*;

#[test]
fn r_ord_01_a_process_has_its_first_thread_and_ends_with_it() {
    let told = lines(vec![(1, create(8, 4)), (2, image(8, r"C:\bin\p8.exe")), (3, exit(8))]);
    assert_eq!(
        told,
        [
            "create 8 of 4 @1 in 4.92",
            "+ thread 8.first @1 in 4.92",
            "image 8 p8.exe @2 in 8.first",
            "+ ends 8.first @3 in 8.first",
            "exit 8 1 @3 in 8.first",
        ]
    );
}

#[test]
fn r_ord_05_what_was_never_seen_being_created_was_there_before() {
    let outcome = replay(
        Options::default(),
        vec![
            (1, image(12, r"C:\a.dll")),
            (2, What::ThreadCreate(thread(16, 20))),
            (3, exit(24)),
            (4, create(32, 28)),
        ],
    );
    assert_eq!(
        outcome.lines,
        [
            "+ present 12 @1 in 12.first",
            "image 12 a.dll @1 in 12.first",
            "+ present 16 @2 in 16.first",
            "thread 16.20 @2 in 16.first",
            "+ present 24 @3 in 24.first",
            "+ ends 24.first @3 in 24.first",
            "exit 24 1 @3 in 24.first",
            "+ present 28 @4 in 28.first",
            "create 32 of 28 @4 in 28.first",
            "+ thread 32.first @4 in 28.first",
        ]
    );
    assert_eq!(outcome.account.synthesised[&Synthesis::Present], 4);
    let told = replay(strict(), vec![(1, image(12, r"C:\a.dll")), (3, exit(24)), (4, create(32, 28))]);
    assert_eq!(short(&told.lines)[..2], ["! 1 never-seen", "! 2 never-seen"]);
    assert_eq!(short(&told.lines)[2..], ["+ present 28", "create 32 of 28", "+ thread 32.first"]);
}

#[test]
fn r_ord_05_a_process_that_is_named_has_the_name_that_the_record_gives_it() {
    let parent = Subject { image: Some(r"C:\Windows\explorer.exe".into()), ..of(28) };
    let outcome = replay(Options::default(), vec![(1, create_of(of(32), parent))]);
    let EventKind::ProcessPresent(present) = &outcome.events[0].kind else { panic!("{:?}", outcome.events) };
    assert_eq!(present.image.as_ref().unwrap().nt, r"\Device\HarddiskVolume1\Windows\explorer.exe");
    assert_eq!(present.first_thread, outcome.events[1].context.thread);
}

#[test]
fn an_id_that_is_used_again_is_another_process_and_the_exit_was_not_recorded() {
    let outcome = replay(Options::default(), vec![(1, create(8, 4)), (5, create(8, 4)), (6, exit(8))]);
    assert_eq!(
        short(&outcome.lines),
        [
            "create 8 of 4",
            "+ thread 8.first",
            "+ ends 8.first",
            "+ exit 8 0",
            "create 8 of 4",
            "+ thread 8.first",
            "+ ends 8.first",
            "exit 8 1"
        ]
    );
    assert_eq!(outcome.account.synthesised[&Synthesis::ExitMissing], 1);
    let outcome = replay(strict(), vec![(1, create(8, 4)), (5, create(8, 4)), (6, exit(8))]);
    assert_eq!(outcome.account.rejected[&Cause::ExitMissing].number, 2);
}

#[test]
fn an_id_can_be_used_again_at_the_moment_of_the_exit() {
    let told = lines(vec![(1, create(8, 4)), (2, exit(8)), (2, create(8, 4)), (3, exit(8))]);
    assert_eq!(short(&told)[3..6], ["exit 8 1", "create 8 of 4", "+ thread 8.first"]);
    assert!(!told.iter().any(|line| line.starts_with('!')), "{told:?}");
}

/// An image of a process that was given the id of another one, and is named by that: nine seconds after its exit.
fn of_the_next(guid: &str, file: &str) -> What {
    let image = Some(format!(r"C:\bin\{file}").into());
    image_of(Subject { image, ..with_guid(8, guid) }, r"C:\Windows\System32\ntdll.dll")
}

#[test]
fn the_name_of_an_exited_process_is_not_believed_of_the_next_one_with_its_id() {
    const SECOND: i64 = 10_000_000;
    // Whether it runs the same file or another one, and whether its creation was recorded, a little later, or not.
    for (file, created) in [("p8.exe", true), ("other.exe", true), ("p8.exe", false), ("other.exe", false)] {
        let mut records = vec![
            (SECOND, create_of(with_guid(8, "a"), of(4))),
            (2 * SECOND, exit_of(Subject { image: Some(r"C:\bin\p8.exe".into()), ..with_guid(8, "a") })),
            (11 * SECOND, of_the_next("a", file)),
            (11 * SECOND, of_the_next("a", file)),
        ];
        if created {
            records.push((11 * SECOND + 5, create_of(with_guid(8, "b"), of(4))));
        }
        records.push((11 * SECOND + 9, of_the_next("b", file)));
        let told = lines(records);
        let expected = [
            "create 8 of 4",
            "+ thread 8.first",
            "+ ends 8.first",
            "exit 8 1",
            if created { "create 8 of 4" } else { "+ present 8" },
        ];
        assert_eq!(short(&told)[..5], expected, "{file}, {created}: {told:?}");
        let images = told.iter().filter(|line| line.starts_with("image 8 ntdll.dll @1100000")).count();
        assert_eq!(images, 3, "{file}, {created}: {told:?}");
        assert_eq!(told.iter().filter(|line| line.contains("exit")).count(), 1, "{told:?}");
    }
}

#[test]
fn processes_are_told_apart_by_more_than_their_ids() {
    let told = lines(vec![
        (1, create_of(with_guid(8, "a"), of(4))),
        (2, image_of(with_guid(8, "b"), r"C:\b.dll")),
        (3, exit_of(with_guid(8, "a"))),
        (4, exit_of(with_guid(8, "b"))),
        (5, image_of(with_guid(8, "b"), r"C:\c.dll")),
    ]);
    assert_eq!(
        short(&told),
        [
            "create 8 of 4",
            "+ thread 8.first",
            "+ ends 8.first",
            "+ exit 8 0",
            "+ present 8",
            "image 8 b.dll",
            "! 3 after-exit",
            "image 8 c.dll",
            "+ ends 8.first",
            "exit 8 1",
        ]
    );
}

#[test]
fn the_same_record_again_is_a_duplicate() {
    let told = lines(vec![
        (1, create(8, 4)),
        (1, create(8, 4)),
        (2, create_of(with_guid(12, "g"), of(4))),
        (9, create_of(with_guid(12, "g"), of(4))),
        (10, exit(8)),
        (10, exit(8)),
    ]);
    let rejected: Vec<_> = told.iter().filter(|line| line.starts_with('!')).collect();
    assert_eq!(rejected, ["! 2 duplicate", "! 4 duplicate", "! 6 after-exit"]);
}

#[test]
fn a_parent_that_has_exited_is_a_number_only() {
    let told = lines(vec![
        (1, create_of(with_guid(8, "a"), of(4))),
        (2, exit_of(with_guid(8, "a"))),
        (3, create_of(with_guid(12, "b"), with_guid(8, "a"))),
    ]);
    assert_eq!(told[4..], ["create 12 of 8 @3 in 4.92", "+ thread 12.first @3 in 4.92"]);
}

#[test]
fn c_1_the_creator_is_whose_thread_it_is() {
    let births = |creator| {
        let What::ProcessCreate(create) = create(16, 12) else { unreachable!() };
        What::ProcessCreate(ProcessCreate { creator, ..create })
    };
    let told = |creator| {
        let known = What::ThreadCreate(thread(8, 20));
        replay(
            Options::default(),
            vec![(1, create(8, 4)), (1, create(12, 4)), (2, known), (3, births(creator))],
        )
    };
    let context = |creator| {
        let client: ClientId = told(creator)
            .events
            .iter()
            .rev()
            .find_map(|event| matches!(event.kind, EventKind::ProcessCreate(_)).then_some(event.context))
            .unwrap();
        (client.process.0, client.thread.0)
    };
    assert_eq!(context((Some(8), Some(24))), (8, 24));
    assert_eq!(context((None, Some(20))), (8, 20), "its process is known");
    assert_eq!(context((None, Some(28))), (12, 28), "its process is not");
    assert_eq!(context((None, None)).0, 12);
}

#[test]
fn r_fn_01_what_a_record_does_not_say_is_absent_and_counted() {
    let bare = What::ProcessCreate(ProcessCreate { subject: of(8), ..ProcessCreate::default() });
    let load = What::ImageLoad(ImageLoad { subject: of(8), ..ImageLoad::default() });
    let outcome = replay(
        Options::default(),
        vec![
            (1, bare.clone()),
            (2, load),
            (3, What::ProcessExit(ProcessExit { subject: of(8), status: None })),
        ],
    );
    let EventKind::ProcessCreate(process) = &outcome.events[0].kind else { panic!("{:?}", outcome.events) };
    assert_eq!((&process.image, &process.command_line, process.parent), (&None, &None, ProcessId(0)));
    assert_eq!((process.architecture, process.open_name_available), (Architecture::X64, false));
    let once = [
        Absent::ImageName,
        Absent::CommandLine,
        Absent::Parent,
        Absent::Architecture,
        Absent::Status,
        Absent::Path,
        Absent::Base,
        Absent::Size,
    ];
    assert_eq!(outcome.account.absent, BTreeMap::from(once.map(|what| (what, 1))));
    let outcome = replay(strict(), vec![(1, bare)]);
    assert_eq!(outcome.account.rejected[&Cause::Incomplete].detail, "it has no image name");
}

#[test]
fn r_img_01_a_driver_is_an_image_of_process_0() {
    let driver = DriverLoad {
        path: Some(r"C:\Windows\System32\drivers\x.sys".into()),
        base: Some(0xFFFF_8000_0000_0000),
        size: Some(0x1000),
    };
    let outcome = replay(Options::default(), vec![(1, What::DriverLoad(driver))]);
    assert_eq!(outcome.lines, ["image 0 x.sys @1 in 4.92"]);
    let EventKind::ImageLoad(image) = &outcome.events[0].kind else { panic!("{:?}", outcome.events) };
    assert_eq!((image.base, image.size), (0xFFFF_8000_0000_0000, 0x1000));
    assert!(outcome.account.absent.is_empty());
}

#[test]
fn system_is_there_as_long_as_the_machine() {
    let told = lines(vec![
        (1, create(4, 0)),
        (2, exit(4)),
        (3, image(4, r"C:\Windows\System32\ntdll.dll")),
        (4, create(8, 4)),
    ]);
    assert_eq!(
        short(&told),
        [
            "! 1 system-process",
            "! 2 system-process",
            "image 4 ntdll.dll",
            "create 8 of 4",
            "+ thread 8.first"
        ]
    );
}

#[test]
fn threads_that_are_left_exit_with_their_process() {
    let told = lines(vec![
        (1, create(8, 4)),
        (1, What::ThreadCreate(thread(8, 100))),
        (2, What::ThreadCreate(thread(8, 104))),
        (3, What::ThreadCreate(thread(8, 108))),
        (4, What::ThreadExit(thread(8, 104))),
        (5, exit(8)),
    ]);
    assert_eq!(
        told,
        [
            "create 8 of 4 @1 in 4.92",
            "thread 8.100 @1 in 4.92",
            "thread 8.104 @2 in 8.100",
            "thread 8.108 @3 in 8.100",
            "ends 8.104 @4 in 8.104",
            "+ ends 8.108 @5 in 8.108",
            "+ ends 8.100 @5 in 8.100",
            "exit 8 1 @5 in 8.100",
        ]
    );
}

#[test]
fn a_thread_whose_id_is_used_again_has_exited() {
    let told = lines(vec![
        (1, create(8, 4)),
        (1, create(12, 4)),
        (2, What::ThreadCreate(thread(8, 100))),
        (3, What::ThreadCreate(thread(12, 100))),
    ]);
    // Each is the first thread of its process, which has none before.
    assert_eq!(
        short(&told),
        [
            "create 8 of 4",
            "thread 8.100",
            "create 12 of 4",
            "+ thread 12.first",
            "+ ends 8.100",
            "thread 12.100"
        ]
    );
}

#[test]
fn a_process_that_is_known_by_no_id_has_one_that_nobody_has() {
    let nameless = Subject { unique: Some("g".into()), ..Subject::default() };
    let outcome = replay(
        Options::default(),
        vec![
            (1, create_of(nameless.clone(), of(4))),
            (2, image_of(nameless.clone(), r"C:\bin\p0.exe")),
            (3, exit_of(nameless.clone())),
        ],
    );
    let id = outcome.events[0].process();
    assert!(id.0 >= 0x2000_0000 && id.0.is_multiple_of(4), "{id}");
    assert!(outcome.events.iter().all(|event| event.process() == id));
    assert_eq!(outcome.account.synthesised[&Synthesis::ProcessId], 1);
    assert_eq!(outcome.account.rejections(), 0);
    assert_eq!(short(&replay(strict(), vec![(1, create_of(nameless, of(4)))]).lines), ["! 1 incomplete"]);
}

#[test]
fn machines_are_told_apart_and_one_can_be_chosen() {
    let records = |machine: &str| {
        [(1, create(8, 4)), (2, exit(8))].map(|(number, what)| Told {
            number,
            machine: Some(machine.into()),
            time: Some(Time(if number == 1 { 1 } else { 2 })),
            record_id: None,
            what,
        })
    };
    let told = |options| {
        let mut normaliser = Normaliser::new(options);
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut out = |step: Step<'_>| {
            if let Step::Accepted(accepted) = step {
                *counts.entry(accepted.name.to_owned()).or_default() += accepted.events.len();
            }
        };
        for told in [records("HOST42"), records("other"), records("host42")].into_iter().flatten() {
            normaliser.take(0, Ok(Box::new(told)), &mut out);
        }
        normaliser.finish(&mut out);
        (counts, normaliser.account().clone())
    };
    let (counts, account) = told(Options::default());
    // The third has the same records as the first, of the same machine.
    assert_eq!(counts, BTreeMap::from([("HOST42".to_owned(), 4), ("other".to_owned(), 4)]));
    assert_eq!(account.rejections(), 2);
    let (counts, account) = told(Options { machines: Which::Named("OTHER".into()), ..Options::default() });
    assert_eq!(counts, BTreeMap::from([("other".to_owned(), 4)]));
    assert_eq!(account.rejected[&Cause::OtherMachine].count, 4);
    let (counts, _) = told(Options { machines: Which::First, ..Options::default() });
    assert_eq!(counts, BTreeMap::from([("HOST42".to_owned(), 4)]));
}

#[test]
fn what_is_no_time_is_none() {
    let told = lines(vec![(i64::MIN, create(8, 4)), (5, exit(8))]);
    assert_eq!(told[0], "create 8 of 4 @5 in 4.92");
    let stand_in = super::super::processes::stand_in(u32::MAX);
    assert!(ThreadId(stand_in) >= ThreadId(0x4000_0000));
}

#[test]
fn events_of_our_own_recordings_are_told_again_unless_no_machine_has_them() {
    let mut normaliser = Normaliser::new(Options::default());
    let event = |time, process| {
        let kind = EventKind::ProcessExit(event::ProcessExit {
            process: ProcessId(process),
            status: nt_abi::NTSTATUS(0),
        });
        Event {
            time: Time(time),
            context: ClientId::default(),
            kind,
            conditions: event::Conditions::default(),
        }
    };
    let mut told = Vec::new();
    let mut out = |step: Step<'_>| match step {
        Step::Passed(passed) => {
            told.extend((passed.first..).zip(passed.events.iter().map(|event| event.time.0)));
        }
        Step::Rejected(rejected) => told.push((rejected.number, -1)),
        Step::Accepted(_) => panic!("it is no record"),
    };
    normaliser.pass(0, 1, "M", vec![event(9, 8), event(5, 12)], &mut out);
    normaliser.pass(0, 3, "M", vec![event(7, 4), event(-1, 16), event(6, 8), event(6, 0)], &mut out);
    normaliser.pass(0, 7, "M", vec![event(8, 16), event(2, 20), event(-2, 8), event(3, 24)], &mut out);
    let expected = [(1, 9), (2, 5), (3, -1), (4, -1), (5, 6), (6, -1), (7, 8), (8, 2), (9, -1), (10, 3)];
    assert_eq!(told, expected, "in their order");
    assert_eq!(
        normaliser.account().to_string(),
        "read 10 = accepted 6 + rejected 4 (malformed 2, system-process 2)"
    );
}
