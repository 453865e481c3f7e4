//! Real drivers on the real kernel, through the whole of it: host, sandbox, channel.

use std::path::PathBuf;
use std::time::Duration;

use event::{Body, DriverId, ProcessId, Record, StopKind};
use host::{Bench, BenchError, BenchOptions, Delivery, Done, Refusal, Status, Value};
use nt_abi::STATUS_ACCESS_DENIED;

use super::common::{create, drained, image, until_stop};

fn driver(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../drivers/bin")).join(name).with_extension("sys")
}

fn start() -> Bench {
    Bench::start(BenchOptions::new(nt_abi::Profile::Win11_24H2)).expect("a host starts")
}

/// Loads a driver, or says what the host had to say of it.
fn load(bench: &mut Bench, name: &str) -> DriverId {
    bench.load_file(name, &driver(name)).unwrap_or_else(|error| {
        let records: Vec<Body<'_>> = drained(bench).into_iter().map(|record| record.body).collect();
        panic!("{error}: {records:#?}")
    })
}

fn deliver(bench: &mut Bench, batch: &[event::Event<'_>]) -> Delivery {
    match bench.deliver(batch) {
        Delivery::Pending(_) => bench.finished(Duration::from_secs(20)).expect("it is done some time").1,
        other => other,
    }
}

fn prints(records: &[Record<'static>]) -> Vec<String> {
    let print = |record: &Record<'static>| match &record.body {
        Body::Debug { text, .. } => Some(text.to_string()),
        _ => None,
    };
    records.iter().filter_map(print).collect()
}

#[test]
fn a_driver_is_loaded_told_and_unloaded() {
    let mut bench = start();
    assert_eq!(load(&mut bench, "minimal"), DriverId(0));
    assert_eq!(
        deliver(&mut bench, &[create(40, "/bin/true"), image(40)]),
        Delivery::Done(Done { events: 2, ..Done::default() })
    );
    bench.finish().unwrap();
    assert_eq!(bench.status(), Status::Finished);
    let records = drained(&mut bench);
    let has = |wanted: fn(&Body<'_>) -> bool| records.iter().any(|record| wanted(&record.body));
    assert!(
        has(|body| matches!(body, Body::DriverStart { status, .. } if status.is_success())),
        "{records:?}"
    );
    assert!(has(|body| matches!(body, Body::Event(_))));
    assert!(has(|body| matches!(body, Body::DriverUnload { elapsed: Some(_), .. })), "{records:?}");
    assert!(!has(|body| matches!(body, Body::Stop(_))), "{records:?}");
}

#[test]
fn every_way_out_fails_from_a_driver() {
    let mut bench = start();
    // Its DriverEntry may say no in the end; what counts is what it printed until then.
    match bench.load_file("hostile", &driver("hostile")) {
        Ok(_) | Err(BenchError::Load { .. }) => {}
        Err(other) => panic!("{other}"),
    }
    let lines = prints(&drained(&mut bench));
    let done = lines.iter().find(|line| line.contains("hostile: done"));
    assert!(done.is_some_and(|line| line.ends_with("escaped=0")), "{lines:#?}");
    assert_eq!(bench.status(), Status::Running);
}

#[test]
fn the_sensor_refuses_what_its_parameters_say() {
    let mut bench = start();
    bench.set_value("sensor", "Deny", Value::MultiString(vec!["*\\uname".into()])).unwrap();
    let sensor = load(&mut bench, "sensor");
    let refused = Refusal { process: ProcessId(40), status: STATUS_ACCESS_DENIED, driver: Some(sensor) };
    assert_eq!(
        deliver(&mut bench, &[create(40, "/usr/bin/uname"), image(40)]),
        Delivery::Done(Done { refused: Some(refused), events: 2, terminated: false })
    );
    assert_eq!(
        deliver(&mut bench, &[create(44, "/bin/ls")]),
        Delivery::Done(Done { events: 1, ..Done::default() })
    );
    let records = drained(&mut bench);
    let images = records.iter().filter(|record| {
        matches!(&record.body, Body::Event(event) if matches!(event.kind, event::EventKind::ImageLoad(_)))
    });
    assert_eq!(images.count(), 0, "R-VETO-08");
}

/// Every way in which the driver `bsod` ends its machine at a process creation.
#[test]
fn each_way_to_stop_is_one_stop_that_names_the_driver() {
    for (mode, kind) in [
        ("null-read-at-create", StopKind::BugCheck),
        ("jump-to-garbage-at-create", StopKind::BugCheck),
        ("divide-by-zero-at-create", StopKind::BugCheck),
        ("bug-check-at-create", StopKind::BugCheck),
        ("stack-overflow-at-create", StopKind::BugCheck),
        ("breakpoint-at-create", StopKind::BugCheck),
        ("hang-at-create", StopKind::Hang),
    ] {
        let mut options = BenchOptions::new(nt_abi::Profile::Win11_24H2);
        options.watchdog = Duration::from_millis(500);
        let mut bench = Bench::start(options).expect("a host starts");
        bench.set_value("bsod", "Mode", Value::String(mode.into())).unwrap();
        load(&mut bench, "bsod");
        assert_eq!(deliver(&mut bench, &[create(40, "/bin/true")]), Delivery::Gone, "{mode}");
        let records = until_stop(&mut bench);
        let stops = records.iter().filter(|record| matches!(record.body, Body::Stop(_))).count();
        let Some(Body::Stop(stop)) = records.last().map(|record| &record.body) else {
            panic!("{mode}: {records:?}")
        };
        assert_eq!((stop.kind, stop.driver, stops), (kind, Some(DriverId(0)), 1), "{mode}: {stop:?}");
        assert!(stop.stack.iter().any(|frame| frame.module.is_some()), "{mode}: {stop:?}");
    }
}
