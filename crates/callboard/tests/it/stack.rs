//! How much of the kernel stack routines use (L-21): found where a kernel routine is called, and where none is.

use bench::{Bench, Profile, STATUS_SUCCESS, Value};

use crate::support::driver;

/// What was found in a driver of the pair in a mode: rule and message, and the frames.
fn found(name: &str, mode: &str) -> Vec<(String, String, usize)> {
    let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
    bench.set_value("rule", "Mode", Value::String(mode.into())).unwrap();
    bench.load("rule", driver(&format!("rules/{name}"))).unwrap();
    for _ in 0..3 {
        let process = bench.process(r"C:\Windows\System32\cmd.exe").create().unwrap();
        bench.exit_process(&process, STATUS_SUCCESS).unwrap();
    }
    bench.finish().unwrap();
    let findings = bench.findings().into_iter();
    findings.map(|found| (found.rule.to_string(), found.message.to_string(), found.stack.len())).collect()
}

#[test]
fn l_21_too_much_stack_is_found_with_a_kernel_routine_and_without() {
    // 18 KB of frames, also without a call; and one of 13 KB with a short one on top.
    for (mode, least, frames) in [("calls", 18_000, 6), ("quiet", 16_000, 4), ("frame", 13 * 1024, 2)] {
        let found = found("l-21-bad", mode);
        let [(rule, message, depth)] = &found[..] else { panic!("{mode}: {found:#?}") };
        assert_eq!(rule, "L-21");
        let bytes = message.split_whitespace().find_map(|word| word.parse::<usize>().ok());
        assert!(bytes.is_some_and(|bytes| (least..24_000).contains(&bytes)), "{mode}: {message}");
        assert!(message.starts_with("a process notify routine uses "), "{mode}: {message}");
        assert!(*depth >= frames, "{mode}: {depth} frames");
    }
}

#[test]
fn l_21_little_stack_is_well_and_so_is_an_expanded_one() {
    for mode in ["calls", "quiet", "frame"] {
        assert_eq!(found("l-21-good", mode), [], "{mode}");
    }
}

#[test]
fn l_21_a_routine_that_uses_the_stack_up_is_named_with_the_stop() {
    let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
    bench.set_value("bsod", "Mode", Value::String("stack-overflow-at-create".into())).unwrap();
    bench.load("bsod", driver("bsod")).unwrap();
    let ended = bench.process(r"C:\Windows\System32\cmd.exe").create();
    assert!(ended.is_err(), "{ended:?}");
    bench.collect();
    let stop = bench.stop().unwrap();
    assert_eq!((stop.code, stop.parameters[0]), (0x7F, 8), "{stop:#?}");
    let rules: Vec<_> = bench.findings().into_iter().map(|found| found.rule.to_string()).collect();
    assert_eq!(rules, ["L-21"]);
}
