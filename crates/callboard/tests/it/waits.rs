//! Routines that wait for other threads (L-05), and those that only take locks.

use bench::{Bench, Clock, Error, Profile, STATUS_SUCCESS, Value};
use event::{Stop, StopKind};

use crate::support::driver;

/// What is found in a driver of the pair in a mode, rule and message; and the stop.
fn come(name: &str, mode: &str) -> (Vec<(String, String)>, Option<Stop<'static>>) {
    let mut bench = Bench::builder().profile(Profile::Win11_24H2).clock(Clock::Real).start().unwrap();
    bench.set_value("rule", "Mode", Value::String(mode.into())).unwrap();
    let outcome = live(&mut bench, name);
    bench.collect();
    let findings = bench.findings().into_iter();
    let findings = findings.map(|found| (found.rule.to_string(), found.message.to_string())).collect();
    match outcome {
        Ok(()) => (findings, None),
        Err(Error::Stopped(stop)) => (findings, Some(*stop)),
        Err(other) => panic!("{name} {mode}: {other}: {:#?}", bench.records()),
    }
}

fn live(bench: &mut Bench, name: &str) -> Result<(), Error> {
    bench.load("rule", driver(&format!("rules/{name}")))?;
    for _ in 0..3 {
        let process = bench.process(r"C:\Windows\System32\cmd.exe").create()?;
        bench.exit_process(&process, STATUS_SUCCESS)?;
    }
    bench.finish()
}

#[test]
fn s_imgcb_4_l_05_each_way_to_wait_for_another_thread_is_found() {
    for (mode, what) in [
        ("event", "waited until another thread set an event"),
        ("semaphore", "waited until another thread released a semaphore"),
        ("end", "waited until another thread ended"),
        ("lock", "waits for the fast mutex at 0x"),
    ] {
        let (findings, stop) = come("l-05-bad", mode);
        assert!(stop.is_none(), "{mode}: {stop:#?}");
        let [(rule, message)] = &findings[..] else { panic!("{mode}: {findings:#?}") };
        assert_eq!(rule, "L-05", "{mode}: {message}");
        assert!(
            message.starts_with("a process notify routine ") && message.contains(what),
            "{mode}: {message}"
        );
    }
}

#[test]
fn s_imgcb_4_l_05_threads_that_hold_what_the_other_wants_are_a_hang() {
    let (_, stop) = come("l-05-bad", "circle");
    let stop = stop.unwrap();
    assert_eq!((stop.kind, stop.code), (StopKind::Hang, 0), "{stop:#?}");
    for part in
        ["L-05: ", "waits for the mutex at 0x", "is in a process notify routine of rule, at l-05-bad.sys+0x"]
    {
        assert!(stop.message.contains(part), "{part}: {}", stop.message);
    }
}

#[test]
fn l_05_locks_that_are_held_briefly_and_looks_are_well() {
    for mode in ["lock", "event", "mutex", "look"] {
        let (findings, stop) = come("l-05-good", mode);
        assert!(findings.is_empty() && stop.is_none(), "{mode}: {findings:#?} {stop:#?}");
    }
}
