//! Pool memory used well and badly, in both kinds of pool.

use bench::{Bench, Body, Profile, STATUS_SUCCESS};
use callboard::host::Pool;
use event::{PoolPeak, PoolUsage};
use serde_json::Value;

use crate::support::{Run, callboard, can_trace, driver, run_with};

/// Runs the driver that misuses pool memory in a given way.
fn misuse(pool: &str, mode: &str) -> Run {
    let setting = format!("Mode={mode}");
    run_with("rules/pool-bad", &["--pool", pool, "--set", &setting], &["sh", "-c", "/bin/true; echo went on"])
}

/// It stopped with this code and first parameter where one is given, and the message says these words.
fn stopped(pool: &str, mode: &str, code: &str, words: &[&str]) -> Value {
    let run = misuse(pool, mode);
    assert_eq!((run.code, run.stdout.as_str()), (120, "went on\n"), "{pool} {mode}: {}", run.stderr);
    let stop = run.one("stop").clone();
    assert_eq!(stop["bug_check"], code, "{pool} {mode}: {stop:#}");
    let message = stop["message"].as_str().unwrap_or_default();
    for word in words {
        assert!(message.contains(word), "{pool} {mode}: no `{word}` in {message}");
    }
    assert!(run.lines().iter().all(|line| !line.contains("survived")), "{pool} {mode}");
    stop
}

#[test]
fn special_pool_finds_an_overrun_at_the_instruction() {
    if !can_trace() {
        return;
    }
    let words = ["24 bytes past the end of the 40 bytes", "tag Pool", "allocated at pool-bad.sys+0x"];
    let stop = stopped("special", "overrun-far", "0x000000D6", &words);
    assert_eq!(stop["parameters"][1], "0x1", "a write: {stop:#}");
    assert_eq!(stop["parameters"][2], stop["registers"]["rip"], "{stop:#}");
    assert_eq!(stop["stack"][0]["module"], "pool-bad.sys", "{stop:#}");
}

#[test]
fn special_pool_finds_a_use_after_free_at_the_instruction() {
    if !can_trace() {
        return;
    }
    let words =
        ["byte 8 of the 40 bytes", "tag Pool", "allocated at pool-bad.sys+0x", "freed at pool-bad.sys+0x"];
    assert_eq!(stopped("special", "use-after-free", "0x000000D5", &words)["parameters"][1], "0x0");
    assert_eq!(stopped("special", "write-after-free", "0x000000D5", &words)["parameters"][1], "0x1");
    stopped("special", "system-use-after-free", "0x000000CC", &words[1..]);
}

#[test]
fn special_pool_finds_what_does_not_reach_its_guard_when_memory_is_freed() {
    if !can_trace() {
        return;
    }
    let stop =
        stopped("special", "overrun", "0x000000C1", &["0 bytes past the end of the 40 bytes", "tag Pool"]);
    assert_eq!(stop["parameters"][3], "0x24", "{stop:#}");
    let stop = stopped("special", "underrun", "0x000000C1", &["1 bytes before the 40 bytes"]);
    assert_eq!(stop["parameters"][3], "0x23", "{stop:#}");
}

#[test]
fn an_overrun_of_fast_pool_is_found_when_it_is_freed() {
    if !can_trace() {
        return;
    }
    stopped(
        "fast",
        "overrun",
        "0x00000019",
        &["the 40 bytes of nonpaged pool with tag Pool", "allocated at pool-bad.sys+0x"],
    );
}

#[test]
fn a_write_to_freed_memory_of_fast_pool_is_found_when_the_driver_goes() {
    if !can_trace() {
        return;
    }
    // The driver goes on, and prints that it did: nothing looks before.
    let run = misuse("fast", "write-after-free");
    assert_eq!(run.code, 120, "{}", run.stderr);
    let stop = run.one("stop");
    assert_eq!(
        (&stop["bug_check"], &stop["parameters"][0]),
        (&"0x00000019".into(), &"0x3".into()),
        "{stop:#}"
    );
    assert_eq!(stop["parameters"][2], "0xdddddddddddddd01", "what was written: {stop:#}");
    let message = stop["message"].as_str().unwrap_or_default();
    for word in ["written to after it was freed", "byte 8 of the 40 bytes", "freed at pool-bad.sys+0x"] {
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn bad_frees_are_found_in_both_pools() {
    if !can_trace() {
        return;
    }
    for pool in ["fast", "special"] {
        let words = ["tag Pool", "allocated at pool-bad.sys+0x", "freed at pool-bad.sys+0x"];
        assert_eq!(stopped(pool, "double-free", "0x000000C2", &words)["parameters"][0], "0x7");
        assert_eq!(stopped(pool, "wrong-tag", "0x000000C2", &words[..2])["parameters"][0], "0xa");
    }
    assert_eq!(stopped("fast", "never-allocated", "0x000000C2", &[])["parameters"][0], "0x46");
    assert_eq!(stopped("special", "never-allocated", "0x000000C1", &[])["parameters"][3], "0x20");
}

#[test]
fn paged_pool_is_not_used_at_dispatch_level() {
    if !can_trace() {
        return;
    }
    assert_eq!(stopped("fast", "allocate-high", "0x000000C2", &[])["parameters"][0], "0x8");
    assert_eq!(stopped("fast", "free-high", "0x000000C2", &["paged pool"])["parameters"][0], "0x9");
    assert_eq!(stopped("special", "allocate-high", "0x000000C4", &[])["parameters"][0], "0x1");
    assert_eq!(stopped("special", "free-high", "0x000000C4", &["paged pool"])["parameters"][0], "0x11");
}

#[test]
fn freed_memory_holds_no_set_timer_and_no_resource() {
    if !can_trace() {
        return;
    }
    stopped("fast", "timer", "0x000000C7", &["KeCancelTimer", "256 bytes"]);
    assert_eq!(stopped("special", "timer", "0x000000C4", &["KeCancelTimer"])["parameters"][0], "0x15");
    assert_eq!(
        stopped("special", "resource", "0x000000C4", &["ExDeleteResourceLite"])["parameters"][0],
        "0x17"
    );
    found("resource", "0x000000C4", "0x17");
}

/// It went on, and one finding predicts this.
fn found(mode: &str, code: &str, first: &str) {
    let run = misuse("fast", mode);
    assert_eq!((run.code, run.of("stop").len()), (0, 0), "{mode}: {}", run.stderr);
    let finding = run.one("finding");
    assert_eq!(finding["rule"], "POOL-01", "{finding:#}");
    assert_eq!(finding["bug_check"], code, "{finding:#}");
    assert_eq!(finding["parameters"][0], first, "{finding:#}");
}

#[test]
fn requests_that_nobody_could_find_again_are_findings() {
    if !can_trace() {
        return;
    }
    found("zero-bytes", "0x000000C4", "0x0");
    found("tag-zero", "0x000000C2", "0x9b");
    found("tag-blank", "0x000000C2", "0x9d");
}

#[test]
fn l_17_a_driver_that_uses_pool_well_is_not_blamed() {
    if !can_trace() {
        return;
    }
    for pool in ["fast", "special"] {
        let run =
            run_with("rules/pool-good", &["--pool", pool], &["sh", "-c", "/bin/true; /bin/true; echo done"]);
        assert_eq!((run.code, run.stdout.as_str()), (0, "done\n"), "{pool}: {}", run.stderr);
        for kind in ["finding", "leak", "stop"] {
            assert!(run.of(kind).is_empty(), "{pool}: {:#?}", run.of(kind));
        }
        assert!(
            !run.lines().is_empty() && run.lines().iter().all(|line| line.contains("failures=0")),
            "{pool}"
        );
    }
}

/// What a driver took of pool in the lives of `processes` processes, one after the other.
fn taken(name: &str, pool: Pool, processes: u64) -> Option<PoolUsage> {
    let mut bench = Bench::builder().profile(Profile::Win11_24H2).pool(pool).start().unwrap();
    bench.load("pool", driver(name)).unwrap();
    for _ in 0..processes {
        let process = bench.process(r"C:\Windows\System32\whoami.exe").create().unwrap();
        bench.exit_process(&process, STATUS_SUCCESS).unwrap();
    }
    bench.finish().unwrap();
    let told: Vec<_> = bench
        .records()
        .iter()
        .filter_map(|record| match &record.body {
            Body::PoolUsage(usage) => Some(*usage),
            _ => None,
        })
        .collect();
    assert!(told.len() <= 1, "{told:#?}");
    told.first().copied()
}

#[test]
fn what_a_driver_takes_of_pool_is_told_when_it_goes() {
    // What pool-good does for each creation: a block of each of these sizes in each pool, one at a time, and two objects.
    let sizes: Vec<u64> = (1..64).chain((64..9000).step_by(509)).collect();
    let (count, largest) = (sizes.len() as u64, sizes.last().copied().unwrap());
    for pool in [Pool::Fast, Pool::Special] {
        for processes in [1, 3] {
            let usage = taken("rules/pool-good", pool, processes).unwrap();
            let peak = |allocations, peak| PoolPeak { allocations: allocations * processes, peak };
            assert_eq!((usage.paged, usage.nonpaged), (peak(count, largest), peak(count + 2, largest)));
        }
        // One block of 100 bytes, which stays until the end, and in one of them beyond it.
        for name in ["rules/l-17-good", "rules/l-17-bad"] {
            let usage = taken(name, pool, 5).unwrap();
            let once = PoolPeak { allocations: 1, peak: 100 };
            assert_eq!((usage.paged, usage.nonpaged), (PoolPeak::default(), once), "{name}");
        }
        // It cannot be unloaded.
        let usage = taken("stays", pool, 1).unwrap();
        assert_eq!(usage.paged, PoolPeak { allocations: 1, peak: 48 });
        assert_eq!(taken("minimal", pool, 1), None);
    }
}

#[test]
fn what_a_driver_takes_of_pool_is_shown_when_more_is_asked_for() {
    if !can_trace() {
        return;
    }
    let run = run_with("rules/l-17-good", &["-v"], &["true"]);
    let usage = run.one("pool_usage");
    assert_eq!((&usage["nonpaged_allocations"], &usage["nonpaged_peak_bytes"]), (&1.into(), &100.into()));
    let path = driver("rules/l-17-good");
    let shown = |more: &[&str]| {
        let output = callboard().arg("run").arg(&path).args(more).args(["--", "true"]).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let line = "l-17-good 1 nonpaged allocation, 100 B at most";
    assert!(shown(&["-v"]).contains(line), "{}", shown(&["-v"]));
    assert!(!shown(&[]).contains("at most"), "{}", shown(&[]));
}

#[test]
fn s_imgex_6_low_pool_of_a_stressed_kernel_reaches_registrations() {
    use callboard::stress::{self, Subject};
    // It allocates nothing itself, and removes its first routine when the second fails.
    let path = driver("veto-chain");
    let options = callboard::host::BenchOptions::new(callboard::Profile::Win11_24H2);
    let image = std::fs::read(&path).unwrap();
    let subject = Subject::new("veto-chain", &path.to_string_lossy(), image, options);
    let refused = (0..200).find_map(|seed| {
        let outcome = stress::run(&subject, seed, &mut |_| {}).unwrap();
        assert!(outcome.is_silent(), "seed {seed}: {outcome:#?}");
        outcome.not_loaded
    });
    assert_eq!(refused, Some(callboard::NTSTATUS::from_u32(0xC000_009A)));
}
