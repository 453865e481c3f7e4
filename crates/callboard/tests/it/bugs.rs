//! The known defects of real drivers: each is found by some seed, and its corrected twin by none.
//!
//! A test tries few seeds, as it shares the machine with others; `callboard stress` tries a thousand.

use callboard::Profile;
use callboard::host::BenchOptions;
use callboard::stress::{self, Outcome, Subject};
use event::StopKind;

use crate::support::{callboard, driver};

/// Seeds that a defect is looked for under, at most.
const SEEDS: u64 = 60;
/// Seeds that a corrected twin is run under.
const SILENT_SEEDS: u64 = 4;

fn subject(name: &str) -> Subject {
    let path = driver(&format!("bugs/{name}"));
    let image = std::fs::read(&path).unwrap();
    Subject::new(name, &path.to_string_lossy(), image, BenchOptions::new(Profile::Win11_24H2))
}

fn outcome(subject: &Subject, seed: u64) -> Outcome {
    let outcome = stress::run(subject, seed, &mut |_| {}).unwrap();
    // None of them touches a program's memory: what they touch is theirs, or the kernel's.
    assert!(!names("L-07")(&outcome), "seed {seed}: {outcome:#?}");
    outcome
}

/// Some seed leads the driver to what satisfies `is_it`; its twin is silent.
fn finds(name: &str, is_it: impl Fn(&Outcome) -> bool) {
    let defective = subject(name);
    assert!((0..SEEDS).any(|seed| is_it(&outcome(&defective, seed))), "{SEEDS} seeds do not find it");
    is_silent(&format!("{name}-fixed"));
}

fn is_silent(name: &str) {
    let fixed = subject(name);
    for seed in 0..SILENT_SEEDS {
        let outcome = outcome(&fixed, seed);
        assert!(outcome.is_silent(), "seed {seed}: {outcome:#?}");
    }
}

fn stopped_with(code: u32) -> impl Fn(&Outcome) -> bool {
    move |outcome| outcome.stop.as_ref().is_some_and(|stop| stop.code == code)
}

/// The stop says which rule it comes from.
fn names(rule: &str) -> impl Fn(&Outcome) -> bool {
    move |outcome| outcome.stop.as_ref().is_some_and(|stop| stop.message.contains(rule))
}

fn hung(outcome: &Outcome) -> bool {
    outcome.stop.as_ref().is_some_and(|stop| stop.kind == StopKind::Hang)
}

#[test]
fn bug_01_r_race_07_l_20_a_resource_that_is_freed_before_the_routine_is_removed() {
    // 0x3B with 0xC0000005, and a fault at 0x1A: as it was seen on Windows.
    finds("bug-01", |outcome| {
        stopped_with(0x3B)(outcome)
            && outcome
                .stop
                .as_ref()
                .is_some_and(|stop| stop.parameters[0] == 0xC000_0005 && stop.message.contains("0x1a"))
            && names("L-20")(outcome)
    });
}

#[test]
fn bug_02_r_rm_10_l_19_a_routine_that_is_registered_before_its_list_is_initialised() {
    finds("bug-02", |outcome| stopped_with(0x3B)(outcome) && names("L-19")(outcome));
}

#[test]
fn bug_03_l_20_globals_that_are_destroyed_before_the_removals() {
    finds("bug-03", names("L-20"));
}

#[test]
fn bug_03_an_exit_that_waits_for_children_without_a_limit() {
    finds("bug-03b", hung);
}

#[test]
fn bug_04_r_race_01_a_list_without_a_lock() {
    finds("bug-04", |outcome| !outcome.is_silent());
}

#[test]
fn bug_05_r_unl_02_an_unload_with_a_live_routine() {
    finds("bug-05", |outcome| {
        stopped_with(0xCE)(outcome) && outcome.stop.as_ref().is_some_and(|stop| stop.parameters[1] == 0x10)
    });
}

#[test]
fn bug_06_a_table_that_is_replaced_while_it_is_used() {
    finds("bug-06", |outcome| outcome.stop.is_some());
}

#[test]
fn bug_07_r_race_04_a_thread_routine_that_waits_for_a_worker_which_comes_into_it() {
    finds("bug-07", hung);
}

#[test]
fn bug_08_r_fn_08_a_counted_name_that_is_taken_for_a_terminated_one() {
    finds("bug-08", |outcome| !outcome.is_silent());
}

#[test]
fn bug_09_r_fn_01_r_pci_04_names_that_are_missing() {
    finds("bug-09", stopped_with(0x3B));
}

#[test]
fn bug_10_r_ctx_03_a_thread_routine_at_apc_level_that_opens_a_file() {
    finds("bug-10", |outcome| outcome.findings.iter().any(|finding| finding.rule == "L-10"));
}

#[test]
fn dev_01_r_race_01_a_device_that_is_opened_while_processes_come_and_go() {
    finds("dev-01", |outcome| !outcome.is_silent());
}

#[test]
fn the_same_seed_gives_the_same_records() {
    same_records("bug-03-fixed");
}

#[test]
fn r_dev_07_the_same_seed_gives_the_same_records_where_devices_are_opened() {
    same_records("dev-01-fixed");
}

fn same_records(name: &str) {
    let subject = subject(name);
    let records = |seed| {
        let mut lines = Vec::new();
        stress::run(&subject, seed, &mut |record| lines.push(format!("{record:?}"))).unwrap();
        lines
    };
    for seed in 0..2 {
        let (first, second) = (records(seed), records(seed));
        assert!(first.len() > 20, "seed {seed}: {first:#?}");
        assert_eq!(first, second, "seed {seed}");
    }
    assert_ne!(records(0), records(1));
}

#[test]
fn the_command_names_the_seed_that_finds_something_and_how_to_see_it_again() {
    let path = driver("bugs/bug-09");
    let output = callboard().arg("stress").arg(&path).args(["--seeds", "20"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(120), "{text}");
    assert!(text.contains("bug check 0x3B") && text.contains("see it again: callboard stress "), "{text}");
    let silent = callboard().arg("stress").arg(driver("minimal")).args(["--seeds", "3"]).output().unwrap();
    assert_eq!(silent.status.code(), Some(0), "{silent:?}");
}

/// Prints which seeds find what: `BUG=bug-01 SEEDS=100 cargo test -p callboard --test it survey -- --ignored --nocapture`.
#[test]
#[ignore = "a survey for people"]
fn survey() {
    let name = std::env::var("BUG").unwrap();
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(100);
    let verbose = std::env::var_os("V").is_some();
    let subject = subject(&name);
    let began = std::time::Instant::now();
    for seed in 0..seeds {
        let outcome: Outcome = stress::run(&subject, seed, &mut |record| {
            if verbose {
                eprintln!("{:?} {:?}", record.context, record.body);
            }
        })
        .unwrap();
        if !outcome.is_silent() {
            let stop = outcome
                .stop
                .as_ref()
                .map(|stop| (stop.kind, stop.code, stop.parameters, stop.message.clone()));
            let findings: Vec<_> =
                outcome.findings.iter().map(|it| (it.rule.clone(), it.message.clone())).collect();
            eprintln!("seed {seed}: {stop:?} {findings:?}");
        } else if let Some(status) = outcome.not_loaded {
            eprintln!("seed {seed}: not loaded: {status}");
        }
    }
    eprintln!("{seeds} seeds in {:?}", began.elapsed());
}
