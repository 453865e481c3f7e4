//! For each rule a driver that breaks it, and a twin that keeps it: the first is found, of the second nothing is said.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bench::{Bench, Body, Clock, Conditions, Error, Profile, STATUS_SUCCESS, Value};

/// What a pair is told, beyond that a process comes and goes.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    /// Nothing more.
    Usual,
    /// That all APCs are disabled while images are mapped (R-CTX-02).
    AllApcsDisabled,
    /// Images without a name (R-FN-01).
    Nameless,
}

/// Each rule, and what its pair is told.
const PAIRS: &[(&str, Told)] = &[
    ("L-01", Told::Usual),
    ("L-02", Told::Usual),
    ("L-03", Told::Usual),
    ("L-06", Told::Usual),
    ("L-09", Told::AllApcsDisabled),
    ("L-10", Told::Usual),
    ("L-11", Told::Usual),
    ("L-12", Told::Usual),
    ("L-13", Told::Usual),
    ("L-14", Told::Usual),
    ("L-18", Told::Usual),
    ("L-22", Told::Usual),
];

fn folder() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../drivers/bin/rules")).to_owned()
}

/// Runs a driver through the life of a process, and answers the rules that it broke. A stop is an end like any other.
fn broken_by(path: &Path, told: Told) -> BTreeSet<String> {
    let mut bench = Bench::builder().profile(Profile::Win11_24H2).clock(Clock::Real).start().unwrap();
    let outcome = live(&mut bench, path, told);
    bench.collect();
    match outcome {
        Ok(()) | Err(Error::Stopped(_)) => {}
        Err(other) => panic!("{}: {other}: {:#?}", path.display(), bench.records()),
    }
    bench.findings().into_iter().map(|finding| finding.rule.to_string()).collect()
}

fn live(bench: &mut Bench, path: &Path, told: Told) -> Result<(), Error> {
    if told == Told::AllApcsDisabled {
        bench.set_conditions(Conditions { all_apcs_disabled: true, ..Conditions::default() });
    }
    bench.load("rule", path)?;
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
    for &(rule, told) in PAIRS {
        let broken = |which| broken_by(&folder().join(format!("{}-{which}.sys", rule.to_lowercase())), told);
        let (bad, good) = (broken("bad"), broken("good"));
        if bad != BTreeSet::from([rule.to_owned()]) || !good.is_empty() {
            wrong.push(format!("{rule}: the driver that breaks it breaks {bad:?}, its twin {good:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
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

/// A bench on which `registration-bad` will do what a mode says.
fn registering(mode: &str) -> (Bench, PathBuf) {
    let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
    bench.set_value("rule", "Mode", Value::String(mode.into())).unwrap();
    (bench, folder().join("registration-bad.sys"))
}

#[test]
fn r_reg_03_s_imgex_14_s_procex_16_a_set_routine_above_passive_level_is_found() {
    for (mode, routine) in [
        ("process", "PsSetCreateProcessNotifyRoutine "),
        ("process-ex", "PsSetCreateProcessNotifyRoutineEx "),
        ("thread", "PsSetCreateThreadNotifyRoutine "),
        ("image", "PsSetLoadImageNotifyRoutine "),
        ("image-ex", "PsSetLoadImageNotifyRoutineEx "),
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
        let (code, [rule, caller, irql, _]) = finding.bug_check.unwrap();
        assert_eq!((code, rule, irql), (0xC4, 0x2001C, 1), "{finding:#?}");
        assert_ne!(caller, 0, "{finding:#?}");
    }
    let (mut bench, path) = registering("none");
    bench.load("rule", &path).unwrap();
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
