//! A driver that issues system calls by itself fails at each.

use std::time::Duration;

use event::Body;
use host::sandbox::{Layer, Policy, State};
use host::{Bench, Delivery, Done};

use super::common::{bench, bench_with, drained, image};

fn escape(bench: &mut Bench) -> Vec<(String, i64)> {
    let delivery = match bench.deliver(&[image(40)]) {
        Delivery::Pending(_) => bench.finished(Duration::from_secs(20)).expect("it returns").1,
        other => other,
    };
    assert_eq!(delivery, Delivery::Done(Done { events: 1, ..Done::default() }));
    drained(bench)
        .iter()
        .filter_map(|record| match &record.body {
            Body::Debug { text, .. } => {
                let (name, result) = text.split_once(" = ")?;
                Some((name.to_owned(), result.parse().ok()?))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn every_way_out_fails() {
    let mut bench = bench("escape");
    let attempts = escape(&mut bench);
    assert!(attempts.len() > 50, "{} attempts", attempts.len());
    for (name, result) in &attempts {
        let expected = if name == "clone3" { libc::ENOSYS } else { libc::EPERM };
        assert_eq!(*result, -i64::from(expected), "{name}");
    }
    assert!(!std::path::Path::new("/tmp/callboard-escaped").exists());
    bench.finish().unwrap();
}

/// The same attempts where nothing keeps them back: that they fail above is the sandbox's doing.
#[test]
fn without_a_sandbox_the_attempts_are_real() {
    let mut bench = bench_with("open-only", |options| options.sandbox = Policy::Off);
    assert!(bench.sandbox().measures.is_empty());
    let attempts = escape(&mut bench);
    assert!(attempts.iter().any(|(name, result)| name == "open" && *result >= 0), "{attempts:?}");
}

#[test]
fn the_report_says_what_is_in_force() {
    let bench = bench("quiet");
    let report = bench.sandbox();
    for layer in [Layer::NoNewPrivileges, Layer::Capabilities, Layer::Limits, Layer::SystemCalls] {
        assert_eq!(report.state(layer), Some(&State::InForce), "{layer}");
    }
    for (layer, why) in report.gaps() {
        assert!(!why.is_empty(), "{layer} is missing without a reason");
    }
}

#[test]
fn the_host_has_no_file_open_and_no_privilege() {
    let bench = bench("quiet");
    let status = std::fs::read_to_string(format!("/proc/{}/status", bench.host_pid())).unwrap();
    let line = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned()).unwrap()
    };
    assert_eq!(line("Name:"), "callboard-host");
    assert_eq!(line("CapEff:"), "0000000000000000");
    assert_eq!(line("CapPrm:"), "0000000000000000");
    assert_eq!(line("NoNewPrivs:"), "1");
    assert_eq!(line("Seccomp:"), "2");
    if let Ok(files) = std::fs::read_dir(format!("/proc/{}/fd", bench.host_pid())) {
        assert_eq!(files.count(), 0);
    }
}

#[test]
fn the_probe_finds_what_a_bench_gets() {
    let report = host::sandbox::probe().unwrap();
    assert_eq!(&report, bench("quiet").sandbox());
}
