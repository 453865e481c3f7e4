//! For each rule a driver that breaks it, and a twin that keeps it: the first is found, of the second nothing is said.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bench::{Bench, Body, Clock, Conditions, Error, PowerState, Profile, STATUS_SUCCESS, Value};
use event::{Severity, Stop, StopKind};

use crate::support::callboard;

/// What a pair is told, beyond that a process comes and goes.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    /// Nothing more.
    Usual,
    /// That all APCs are disabled while images are mapped (R-CTX-02).
    AllApcsDisabled,
    /// Images without a name (R-FN-01).
    Nameless,
    /// That images are mapped, and their pages gone when they are touched (L-07).
    PagesGone,
    /// That the system goes to sleep, and wakes up.
    Sleep,
    /// Nothing of processes: a program sends its device a control code.
    Control,
}

/// How a driver that breaks a rule ends.
#[derive(Clone, Copy)]
enum End {
    /// It goes on, and the rule is found.
    Found,
    /// The machine stops, with this kind and code, and says at least this.
    Stops(StopKind, u32, &'static str),
    /// It goes on, and the rule is found when it is unloaded with what it leaks.
    Leaks,
}

/// Each rule, what its pair is told, and how the one that breaks it ends.
const PAIRS: &[(&str, Told, End)] = &[
    ("L-01", Told::Usual, End::Found),
    ("L-02", Told::Usual, End::Found),
    ("L-03", Told::Usual, End::Found),
    ("L-04", Told::Usual, End::Found),
    ("L-05", Told::Usual, End::Found),
    ("L-06", Told::Usual, End::Found),
    ("L-07", Told::PagesGone, End::Stops(StopKind::BugCheck, 0x3B, "touch it under __try only (L-07)")),
    ("L-08", Told::Usual, End::Stops(StopKind::Hang, 0, "L-08")),
    ("L-09", Told::AllApcsDisabled, End::Found),
    ("L-10", Told::Usual, End::Found),
    ("L-11", Told::Usual, End::Found),
    ("L-12", Told::Usual, End::Found),
    ("L-13", Told::Usual, End::Found),
    ("L-14", Told::Usual, End::Leaks),
    (
        "L-15",
        Told::Nameless,
        End::Stops(
            StopKind::BugCheck,
            0x3B,
            "routines had returned: copy what is needed later; --pool special finds the first use (L-15)",
        ),
    ),
    (
        "L-16",
        Told::Nameless,
        End::Stops(StopKind::BugCheck, 0x3B, "a null pointer or a field of one: test it before use (L-16)"),
    ),
    ("L-17", Told::Usual, End::Leaks),
    ("L-18", Told::Usual, End::Found),
    ("L-21", Told::Usual, End::Found),
    ("L-22", Told::Usual, End::Found),
    (
        "IO-01",
        Told::Control,
        End::Stops(StopKind::BugCheck, 0x44, "IO-01: a request was completed that had been"),
    ),
    ("IO-02", Told::Control, End::Found),
    ("PO-01", Told::Sleep, End::Found),
];

fn folder() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../drivers/bin/rules")).to_owned()
}

/// What came of a driver.
#[derive(Debug)]
struct Came {
    broken: BTreeSet<String>,
    /// The bug checks that the findings foretell.
    foretold: Vec<(u32, [u64; 4])>,
    stop: Option<Stop<'static>>,
    leaks: usize,
}

/// Runs a driver through the life of a process. A stop is an end like any other.
fn run(path: &Path, told: Told) -> Came {
    let mut bench = Bench::builder().profile(Profile::Win11_24H2).clock(Clock::Real).start().unwrap();
    let outcome = live(&mut bench, path, told);
    bench.collect();
    let stop = match outcome {
        Ok(()) => None,
        Err(Error::Stopped(stop)) => Some(*stop),
        Err(other) => panic!("{}: {other}: {:#?}", path.display(), bench.records()),
    };
    let findings = bench.findings();
    let broken = findings.iter().map(|finding| finding.rule.to_string()).collect();
    let foretold = findings.iter().filter_map(|finding| finding.bug_check).collect();
    Came { broken, foretold, stop, leaks: bench.leaks().len() }
}

/// Whether it came as it has to where `rule` is broken.
fn as_expected(rule: &str, came: &Came, end: End) -> bool {
    let only_it = came.broken == BTreeSet::from([rule.to_owned()]);
    match end {
        // Some rules of locks and IRQL end in a stop after the finding.
        End::Found => only_it,
        End::Leaks => only_it && came.leaks == 1 && came.stop.is_none(),
        End::Stops(kind, code, part) => {
            // Where the stop itself says which rule it comes from.
            (came.broken.is_empty() || only_it)
                && came
                    .stop
                    .as_ref()
                    .is_some_and(|stop| stop.kind == kind && stop.code == code && stop.message.contains(part))
        }
    }
}

fn live(bench: &mut Bench, path: &Path, told: Told) -> Result<(), Error> {
    if told == Told::AllApcsDisabled {
        bench.set_conditions(Conditions { all_apcs_disabled: true, ..Conditions::default() });
    }
    if told == Told::PagesGone {
        bench.set_conditions(Conditions { user_pages_gone: true, ..Conditions::default() });
    }
    let driver = bench.load("rule", path)?;
    if told == Told::Control {
        let file = bench.open(r"\\.\CallboardRule")?;
        bench.ioctl(&file, 0x22_2000, &[], 0)?;
        return bench.finish();
    }
    if told == Told::Sleep {
        bench.set_power(driver, PowerState::S3)?;
        bench.set_power(driver, PowerState::S0)?;
    }
    for _ in 0..3 {
        let process = bench.process(r"C:\Windows\System32\cmd.exe");
        let process = if told == Told::Nameless { process.without_name() } else { process };
        let process = process.create()?;
        bench.exit_process(&process, STATUS_SUCCESS)?;
    }
    bench.finish()
}

#[test]
fn each_rule_is_found_in_its_driver_and_not_in_the_twin() {
    let mut wrong = Vec::new();
    for &(rule, told, end) in PAIRS {
        let came = |which| run(&folder().join(format!("{}-{which}.sys", rule.to_lowercase())), told);
        let (bad, good) = (came("bad"), came("good"));
        if !as_expected(rule, &bad, end) {
            wrong.push(format!("{rule}: the driver that breaks it: {bad:?}"));
        }
        if !good.broken.is_empty() || good.stop.is_some() || good.leaks != 0 {
            wrong.push(format!("{rule}: its twin: {good:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_rule_foretells_the_bug_check_of_the_documents() {
    // With what is the same in each run: addresses are not.
    type Check = fn(u64) -> (u32, [u64; 4]);
    let documented: &[(&str, Check)] = &[
        ("L-10", |at| (0xC4, [0xE6, at, 0, 1])),
        ("L-11", |_| (0xC4, [0x2001F, 0, 0, 0])),
        ("L-12", |at| (0xC4, [0x37, 0, 0, at])),
        ("L-13", |_| (0x01, [0, 0, 0xFFFF, 0])),
        ("L-17", |at| (0xC4, [0x62, at, 0, 1])),
        ("L-18", |at| (0xCE, [at, 0x10, at, 0])),
        ("L-22", |_| (0xC4, [0x3E, 0, 0, 0])),
    ];
    for &(rule, told, end) in PAIRS {
        let came = run(&folder().join(format!("{}-bad.sys", rule.to_lowercase())), told);
        let expected = documented.iter().find(|(known, _)| *known == rule).map(|(_, check)| check);
        let Some(&(code, parameters)) = came.foretold.first() else {
            assert!(expected.is_none(), "{rule} foretells nothing");
            continue;
        };
        let check = expected.unwrap_or_else(|| panic!("{rule} foretells {code:#x}, {parameters:#x?}"));
        let address = parameters.into_iter().find(|&parameter| parameter > u64::from(u32::MAX)).unwrap_or(0);
        assert_eq!((code, parameters), check(address), "{rule}");
        // What is foretold is for a machine that goes on.
        assert!(matches!(end, End::Found | End::Leaks), "{rule}");
    }
}

#[test]
fn l_01_what_is_broken_again_and_again_at_one_place_is_said_once_and_counted() {
    let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
    live(&mut bench, &folder().join("l-01-bad.sys"), Told::Usual).unwrap();
    assert_eq!(bench.findings().len(), 1, "{:#?}", bench.findings());
    let counted =
        |body: &Body<'_>| matches!(body, Body::Note { text, .. } if text.contains("L-01 was broken 6 times"));
    assert!(bench.records().iter().any(|record| counted(&record.body)), "{:#?}", bench.records());
}

#[test]
fn l_07_user_memory_that_is_there_is_read_and_that_is_gone_is_caught_under_try_alone() {
    // The first two bytes of an image are MZ; the guarded read gets them, or the exception and no stop.
    for (told, said) in [(Told::Usual, "magic=0x5A4D gone=0"), (Told::PagesGone, "magic=0x0000 gone=")] {
        let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
        live(&mut bench, &folder().join("l-07-good.sys"), told).unwrap();
        let says = |body: &Body<'_>| matches!(body, Body::Debug { text, .. } if text.contains(said));
        assert!(bench.records().iter().any(|record| says(&record.body)), "{said}: {:#?}", bench.records());
        assert!(bench.findings().is_empty(), "{:#?}", bench.findings());
    }
    // Without pages that go nobody sees it, as on Windows.
    let came = run(&folder().join("l-07-bad.sys"), Told::Usual);
    assert!(came.stop.is_none() && came.broken.is_empty(), "{came:?}");
    let stop = run(&folder().join("l-07-bad.sys"), Told::PagesGone).stop.unwrap();
    assert_eq!((stop.code, stop.parameters[0]), (0x3B, 0xC000_0005), "{stop:?}");
    assert_eq!(stop.driver, Some(event::DriverId(0)), "{stop:?}");
}

fn shown(arguments: &[&str]) -> (i32, String, String) {
    let output = callboard().arg("rules").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn l_06_rules_are_listed_and_explained() {
    let (code, list, _) = shown(&[]);
    assert_eq!(code, 0);
    assert!(list.starts_with("L-01     "), "{list}");
    assert!(list.lines().any(|line| line.starts_with("L-04     warning  A notify routine")), "{list}");
    let page = include_str!("../../../../docs/rules/L-06.md");
    assert_eq!(shown(&["L-06"]), (0, page.to_owned(), String::new()));
    assert_eq!(shown(&["l-06"]).1, page);
    let (code, nothing, told) = shown(&["L-99"]);
    assert_eq!((code, nothing.as_str()), (2, ""));
    assert!(told.contains("no rule L-99") && told.contains("L-22, IO-01"), "{told}");
}

#[test]
fn l_06_rules_are_readable_by_programs() {
    let list: Vec<serde_json::Value> = serde_json::from_str(&shown(&["--format", "json"]).1).unwrap();
    assert_eq!(list.len(), shown(&[]).1.lines().count());
    let rule = list.iter().find(|rule| rule["id"] == "L-06").unwrap();
    assert!(rule["title"].is_string() && rule["severity"].is_string() && rule["page"].is_null(), "{rule}");
    let explained: serde_json::Value = serde_json::from_str(&shown(&["l-06", "--format", "json"]).1).unwrap();
    assert!(explained[0]["page"].as_str().unwrap().starts_with("# L-06: "), "{explained}");
}

/// A bench on which `registration-bad` will do what a mode says.
fn registering(mode: &str) -> (Bench, PathBuf) {
    let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
    bench.set_value("rule", "Mode", Value::String(mode.into())).unwrap();
    (bench, folder().join("registration-bad.sys"))
}

#[test]
fn r_reg_03_s_imgex_14_s_procex_16_a_set_routine_above_passive_level_is_found() {
    // The rule of Driver Verifier's that knows the three older forms, and with the IRQL for the newer ones.
    const OLDER: [u64; 4] = [0x2001C, 0, 0, 0];
    const NEWER: [u64; 4] = [0xE5, 1, 0, 0];
    for (mode, routine, parameters) in [
        ("process", "PsSetCreateProcessNotifyRoutine ", OLDER),
        ("process-ex", "PsSetCreateProcessNotifyRoutineEx ", NEWER),
        ("thread", "PsSetCreateThreadNotifyRoutine ", OLDER),
        ("image", "PsSetLoadImageNotifyRoutine ", OLDER),
        ("image-ex", "PsSetLoadImageNotifyRoutineEx ", NEWER),
    ] {
        let (mut bench, path) = registering(mode);
        bench.load("rule", &path).unwrap();
        bench.finish().unwrap();
        let findings = bench.findings();
        let [finding] = findings[..] else { panic!("{mode}: {findings:#?}") };
        assert_eq!(finding.rule, "L-11", "{finding:#?}");
        assert!(
            finding.message.starts_with(routine) && finding.message.contains("APC_LEVEL"),
            "{finding:#?}"
        );
        assert_eq!(finding.bug_check, Some((0xC4, parameters)), "{finding:#?}");
    }
    let (mut bench, path) = registering("none");
    bench.load("rule", &path).unwrap();
    bench.finish().unwrap();
    assert!(bench.findings().is_empty(), "{:#?}", bench.findings());
}

#[test]
fn r_reg_04_a_notify_routine_that_a_power_request_sets_or_removes_is_found() {
    // What is called again at one place is said once.
    let set = |mode: &str, names: &[&str]| {
        let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
        bench.set_value("rule", "Mode", Value::String(mode.into())).unwrap();
        let driver = bench.load("rule", folder().join("po-01-bad.sys")).unwrap();
        bench.query_power(driver, PowerState::S3).unwrap();
        bench.set_power(driver, PowerState::D3).unwrap();
        assert!(bench.findings().is_empty(), "{mode}: {:#?}", bench.findings());
        bench.set_power(driver, PowerState::S3).unwrap();
        bench.set_power(driver, PowerState::S0).unwrap();
        bench.finish().unwrap();
        let findings = bench.findings();
        assert_eq!(findings.len(), names.len(), "{mode}: {findings:#?}");
        for (finding, name) in findings.iter().zip(names) {
            assert_eq!((&*finding.rule, finding.severity), ("PO-01", Severity::Error), "{finding:#?}");
            let message = format!("{name} is called while a set-power request is handled");
            assert!(finding.message.starts_with(&message), "{finding:#?}");
        }
    };
    for (mode, name) in [
        ("process", "PsSetCreateProcessNotifyRoutine"),
        ("process-ex", "PsSetCreateProcessNotifyRoutineEx"),
        ("process-ex2", "PsSetCreateProcessNotifyRoutineEx2"),
    ] {
        set(mode, &[name]);
    }
    let remove = "PsRemoveCreateThreadNotifyRoutine";
    set("thread", &[remove, "PsSetCreateThreadNotifyRoutine"]);
    set("thread-ex", &[remove, "PsSetCreateThreadNotifyRoutineEx"]);
    let remove = "PsRemoveLoadImageNotifyRoutine";
    set("image", &[remove, "PsSetLoadImageNotifyRoutine"]);
    set("image-ex", &[remove, "PsSetLoadImageNotifyRoutineEx"]);
}

#[test]
fn r_reg_04_a_query_is_no_set_power_request() {
    let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
    bench.set_value("rule", "Mode", Value::String("query".into())).unwrap();
    let driver = bench.load("rule", folder().join("po-01-bad.sys")).unwrap();
    bench.query_power(driver, PowerState::S3).unwrap();
    bench.query_power(driver, PowerState::S0).unwrap();
    bench.finish().unwrap();
    assert!(bench.findings().is_empty(), "{:#?}", bench.findings());
}

#[test]
fn r_unl_05_a_routine_of_a_driver_entry_that_failed_is_named_and_then_a_stop() {
    let (mut bench, path) = registering("entry-fails");
    let refused = bench.load("rule", &path).unwrap_err();
    assert_eq!(refused.status().map(bench::NTSTATUS::as_u32), Some(0xC000_009A), "{refused}");
    bench.collect();
    let findings = bench.findings();
    let [finding] = findings[..] else { panic!("{findings:#?}") };
    assert_eq!(
        (&*finding.rule, finding.bug_check.map(|check| check.0)),
        ("L-18", Some(0xCE)),
        "{finding:#?}"
    );
    for part in ["rule.sys+0x", "process notify routine", "before DriverEntry returns", "with Remove TRUE"] {
        assert!(finding.message.contains(part), "{part}: {finding:#?}");
    }
    let routine = finding.bug_check.unwrap().1[0];

    let next = bench.process(r"C:\Windows\System32\cmd.exe").create();
    assert!(matches!(next, Err(Error::Stopped(_))), "{next:?}");
    let stop = bench.stop().unwrap();
    assert_eq!((stop.code, stop.parameters[0]), (0xCE, routine), "{stop:#?}");
}
