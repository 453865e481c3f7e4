//! What drivers keep too long, hold too long or acquire in the wrong order.

use serde_json::Value;

use crate::support::{Run, can_trace, run_with};

const COMMAND: &[&str] = &["sh", "-c", "/bin/true; /bin/true; echo went on"];

fn run(driver: &str, pool: &str, mode: &str) -> Run {
    let setting = format!("Mode={mode}");
    run_with(driver, &["--pool", pool, "--set", &setting], COMMAND)
}

/// The one finding of a run that went on.
fn found(driver: &str, mode: &str) -> Value {
    let run = run(driver, "fast", mode);
    assert_eq!((run.code, run.stdout.as_str()), (0, "went on\n"), "{mode}: {}", run.stderr);
    run.one("finding").clone()
}

fn silent(driver: &str) {
    for pool in ["fast", "special"] {
        let run = run_with(driver, &["--pool", pool], COMMAND);
        assert_eq!((run.code, run.stdout.as_str()), (0, "went on\n"), "{pool}: {}", run.stderr);
        for kind in ["finding", "leak", "stop"] {
            assert!(run.of(kind).is_empty(), "{driver} {pool}: {:#?}", run.of(kind));
        }
    }
}

#[test]
fn l_05_two_orders_of_locks_are_found_without_a_deadlock() {
    if !can_trace() {
        return;
    }
    for mode in ["inversion", "mixed"] {
        let finding = found("rules/lock-01-bad", mode);
        assert_eq!(
            (&finding["rule"], &finding["bug_check"]),
            (&"LOCK-01".into(), &"0x000000C4".into()),
            "{finding:#}"
        );
        assert_eq!(finding["parameters"][0], "0x1001", "{finding:#}");
        assert!(
            finding["message"].as_str().is_some_and(|message| message.contains("lock-01-bad.sys+0x")),
            "{finding:#}"
        );
        assert!(finding["stack"].to_string().contains("lock-01-bad.sys"), "{finding:#}");
    }
}

#[test]
fn r_rm_08_a_removal_under_a_lock_of_the_routine_is_found() {
    if !can_trace() {
        return;
    }
    let finding = found("rules/lock-01-bad", "removal");
    assert_eq!(finding["rule"], "LOCK-01", "{finding:#}");
    assert!(
        finding["message"]
            .as_str()
            .is_some_and(|message| message.contains("is removed while the fast mutex")),
        "{finding:#}"
    );
}

#[test]
fn l_13_a_lock_that_is_held_on_return_is_found() {
    if !can_trace() {
        return;
    }
    let run = run("rules/lock-01-bad", "fast", "leaves-locked");
    let findings = run.of("finding");
    let left = findings.iter().find(|finding| finding["rule"] == "L-13");
    let message = left.and_then(|finding| finding["message"].as_str()).unwrap_or_default();
    assert!(message.contains("returned with the resource at"), "{findings:#?}");
}

#[test]
fn l_05_one_order_is_well() {
    if can_trace() {
        silent("rules/lock-01-good");
    }
}

/// It stopped, and a finding says which argument was used after its call.
fn kept(pool: &str, mode: &str, what: &str, code: &str) {
    let run = run("rules/arguments-bad", pool, mode);
    assert_eq!((run.code, run.stdout.as_str()), (120, "went on\n"), "{pool} {mode}: {}", run.stderr);
    let finding = run.one("finding");
    assert_eq!(finding["rule"], "L-15", "{finding:#}");
    let message = finding["message"].as_str().unwrap_or_default();
    assert!(message.contains(what) && message.contains("returned"), "{pool} {mode}: {message}");
    assert_eq!(run.one("stop")["bug_check"], code, "{pool} {mode}: {:#}", run.one("stop"));
    assert!(run.lines().iter().all(|line| !line.contains("survived")), "{pool} {mode}");
}

#[test]
fn l_15_special_pool_names_the_argument_that_was_kept() {
    if !can_trace() {
        return;
    }
    kept("special", "create-info", "PS_CREATE_NOTIFY_INFO of process", "0x000000D5");
    kept("special", "command-line", "CommandLine of process", "0x000000D5");
    kept("special", "image-info", "IMAGE_INFO of process", "0x000000D5");
    kept("special", "image-name", "FullImageName of process", "0x000000D5");
}

#[test]
fn l_15_fast_pool_knows_its_poison() {
    if !can_trace() {
        return;
    }
    for mode in ["create-info", "command-line", "image-info", "image-name"] {
        kept("fast", mode, "what a notify routine was given", "0x0000003B");
    }
}

/// Creates two processes beside a driver that refuses the first when its process routine has returned.
fn refuses_late(profile: bench::Profile, pool: bench::Pool) -> (bench::Bench, Result<(), bench::Error>) {
    let mut bench = bench::Bench::builder().profile(profile).pool(pool).start().unwrap();
    bench.set_value("arguments-bad", "Mode", bench::Value::String("late-refusal".into())).unwrap();
    let driver = bench.load("arguments-bad", crate::support::driver("rules/arguments-bad")).unwrap();
    let mut live = || {
        for path in [r"C:\first.exe", r"C:\second.exe"] {
            let process = bench.process(path).create()?;
            bench.exit_process(&process, bench::NTSTATUS(7))?;
        }
        bench.unload(driver).map(drop)
    };
    let result = live();
    bench.collect();
    (bench, result)
}

#[test]
fn r_veto_10_a_refusal_that_comes_too_late_refuses_nobody_under_any_profile() {
    for profile in bench::Profile::ALL {
        let (bench, result) = refuses_late(profile, bench::Pool::Fast);
        result.unwrap();
        let (mut exits, mut late) = (Vec::new(), 0);
        for record in bench.records() {
            match &record.body {
                bench::Body::Verdict { .. } => panic!("{profile}: {record:?}"),
                bench::Body::Event(event) => {
                    if let bench::EventKind::ProcessExit(exit) = &event.kind {
                        exits.push(exit.status.0);
                    }
                }
                bench::Body::Debug { text, .. } => late += usize::from(text.contains("too late")),
                _ => {}
            }
        }
        assert_eq!((exits, late), (vec![7, 7], 2), "{profile}");
        let findings = bench.findings();
        let [finding] = findings[..] else { panic!("{profile}: {findings:?}") };
        assert_eq!(finding.rule, "L-15");
        for part in ["STATUS_ACCESS_DENIED", "CreationStatus", "changes nothing"] {
            assert!(finding.message.contains(part), "{}", finding.message);
        }
        assert!(finding.driver.is_some());
        assert_eq!(finding.stack[0].module.as_deref(), Some("arguments-bad.sys"));
    }
}

#[test]
fn r_veto_10_under_special_pool_the_write_itself_is_found() {
    let (bench, result) = refuses_late(bench::Profile::Win11_24H2, bench::Pool::Special);
    assert!(result.unwrap_err().stop().is_some());
    let findings = bench.findings();
    assert!(findings.iter().any(|it| it.rule == "L-15" && it.message.contains("byte 64")), "{findings:?}");
}

#[test]
fn l_15_a_driver_that_copies_is_well() {
    if can_trace() {
        silent("rules/arguments-good");
    }
}
