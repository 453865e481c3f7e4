//! Records in an order that makes no sense, and runs with nothing in them.

use event::*;
use nt_abi::{STATUS_ACCESS_DENIED, STATUS_SUCCESS};
use report::human::Options;
use report::{Command, Human, Sink as _, Summary};

use crate::published::{lines, validator};
use crate::story::story;

fn shown(records: &[Record<'_>]) -> String {
    let mut out = Vec::new();
    let mut sink = Human::new("test", &mut out, Options::default());
    for record in records {
        sink.record(record).unwrap();
    }
    sink.finish().unwrap();
    sink.finish().unwrap();
    drop(sink);
    String::from_utf8(out).unwrap()
}

fn record(time: i64, body: Body<'static>) -> Record<'static> {
    Record { time: Time(time), context: ClientId::default(), body }
}

fn exit(time: i64, process: u32) -> Record<'static> {
    let kind = EventKind::ProcessExit(ProcessExit { process: ProcessId(process), status: STATUS_SUCCESS });
    record(
        time,
        Body::Event(Event {
            time: Time(time),
            context: ClientId::default(),
            kind,
            conditions: event::Conditions::default(),
        }),
    )
}

#[test]
fn nobody_knows_who_exits_refuses_or_is_told() {
    let (driver, process) = (DriverId(7), ProcessId(40));
    let call =
        Notification { driver, family: Family::Process, slot: 3, routine: 1, elapsed: 5_000, status: None };
    let records = [
        exit(100_000, 40),
        record(90_000, Body::Notification(call)),
        record(80_000, Body::Verdict { process, status: STATUS_ACCESS_DENIED, driver: Some(driver) }),
        record(200_000, Body::DriverStart { driver, status: STATUS_ACCESS_DENIED, elapsed: 0 }),
        record(0, Body::End),
        exit(300_000, 44),
        record(300_000, Body::CommandExit { code: None, signal: Some(9) }),
    ];
    insta::assert_snapshot!(shown(&records));
    let validator = validator();
    assert!(lines(&records, true).iter().all(|line| validator.is_valid(line)));
}

#[test]
fn r_img_01_images_of_process_0_are_the_kernels() {
    let kind = EventKind::ImageLoad(Image {
        process: ProcessId::IDLE,
        name: Some(Name::from_unix("/d/late.sys")),
        base: 0xffff_f800_0000_0000,
        size: 0x1000,
        architecture: Architecture::X64,
        partial: false,
        conflicting: false,
        ..Image::default()
    });
    let context = ClientId { process: ProcessId::SYSTEM, thread: ThreadId(8) };
    let records = [Record {
        time: Time(0),
        context,
        body: Body::Event(Event { time: Time(0), context, kind, conditions: event::Conditions::default() }),
    }];
    let human = shown(&records);
    assert_eq!(human.lines().next(), Some("│     0.000        0 kernel          · image     /d/late.sys"));
    let json = &lines(&records, true)[0];
    assert_eq!((&json["pid"], &json["context_pid"]), (&0.into(), &4.into()));
    assert!(json.get("linux_pid").is_none());
}

#[test]
fn what_is_unusual_is_said_and_what_is_usual_is_not() {
    let context = ClientId { process: ProcessId(400), thread: ThreadId(404) };
    let told = |kind, conditions| Record {
        time: Time(0),
        context,
        body: Body::Event(Event { time: Time(0), context, kind, conditions }),
    };
    let process = |subsystem, inherits_no_handles| {
        let process = ProcessId(400);
        EventKind::ProcessCreate(Process { process, subsystem, inherits_no_handles, ..Process::default() })
    };
    let image = |mapping, signature| {
        EventKind::ImageLoad(Image { process: ProcessId(400), mapping, signature, ..Image::default() })
    };
    let signature = Signature { level: 12, kind: 3 };
    let all = Conditions {
        apc_level: true,
        all_apcs_disabled: true,
        unterminated_names: true,
        user_pages_gone: true,
    };
    let records = [
        told(process(Subsystem::Wsl, true), all),
        told(image(Mapping::NoExecute, signature), Conditions::default()),
        told(process(Subsystem::Win32, false), Conditions::default()),
        told(image(Mapping::Image, Signature::default()), Conditions::default()),
    ];
    let renamed = EventKind::ImageLoad(Image {
        process: ProcessId(400),
        name: Some(Name::from_unix("/tmp/old")),
        file: Some(Name::from_unix("/tmp/new")),
        ..Image::default()
    });
    let renamed = lines(&[told(renamed, Conditions::default())], false);
    let written = lines(&records, false);
    let validator = validator();
    assert!(written.iter().chain(&renamed).all(|line| validator.is_valid(line)), "{written:?}");
    assert_eq!((&renamed[0]["image"], &renamed[0]["file"]), (&"/tmp/old".into(), &"/tmp/new".into()));
    assert_eq!(renamed[0]["file_nt"], r"\Device\HarddiskVolume1\tmp\new");
    assert!(written[3].get("file").is_none());
    assert_eq!((&written[0]["subsystem"], &written[0]["inherits_no_handles"]), (&"wsl".into(), &true.into()));
    assert_eq!(
        written[0]["conditions"].to_string(),
        r#"["apc_level","all_apcs_disabled","unterminated_names","user_pages_gone"]"#
    );
    assert_eq!(written[1]["mapping"], "no_execute");
    assert_eq!((&written[1]["signature_level"], &written[1]["signature_type"]), (&12.into(), &3.into()));
    for usual in &written[2..] {
        for field in
            ["subsystem", "inherits_no_handles", "conditions", "mapping", "signature_level", "signature_type"]
        {
            assert!(usual.get(field).is_none(), "{field} in {usual}");
        }
    }
    let human = shown(&records);
    assert!(
        human.contains("(apc_level, all_apcs_disabled, unterminated_names, user_pages_gone, wsl)"),
        "{human}"
    );
    assert!(human.contains("(no_execute)"), "{human}");
}

#[test]
fn a_run_with_nothing_in_it_says_so() {
    insta::assert_snapshot!(shown(&[]));
}

#[test]
fn backwards_is_as_good_an_order_as_any() {
    let mut records = story();
    records.reverse();
    assert_eq!(shown(&records).matches("refused   by driver 0").count(), 1, "its name is not known yet");
    let validator = validator();
    assert!(lines(&records, true).iter().all(|line| validator.is_valid(line)));
}

#[test]
fn the_summary_has_what_exit_codes_need() {
    let mut summary = Summary::new();
    for record in story() {
        summary.record(&record).unwrap();
    }
    assert_eq!((summary.processes_created, summary.processes_refused, summary.processes_exited), (2, 1, 2));
    assert_eq!((summary.processes_present, summary.processes_cloned), (1, 1));
    assert_eq!((summary.threads_created, summary.threads_exited, summary.images), (1, 1, 3));
    assert_eq!((summary.errors, summary.warnings, summary.findings(), summary.leaks), (1, 0, 1, 2));
    assert_eq!(summary.stops, [(StopKind::BugCheck, 0xCE)]);
    assert!(summary.stopped() && summary.complete);
    assert_eq!(summary.command, Some(Command { code: Some(0), signal: None }));
    assert!(summary.command.unwrap().succeeded());
    let late = &summary.drivers[&DriverId(1)];
    assert_eq!((&*late.name, late.missing.len(), late.failed_registrations), ("late", 2, 1));
    assert_eq!(summary.failed_drivers().count(), 0);
    // Four process calls, two thread calls and three image calls of sensor; late's sums are the bench's.
    assert_eq!(summary.tally.calls(), 4 + 2 + 3 + 3);
}
