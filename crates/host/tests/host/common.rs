//! What the tests of benches share.

use std::time::{Duration, Instant};

use event::{Body, ClientId, Event, EventKind, Image, Name, Process, ProcessId, Record, ThreadId, Time};
use host::{Bench, BenchOptions};

/// A bench with the stand-in for the kernel and one driver.
pub(super) fn bench(driver: &str) -> Bench {
    bench_with(driver, |_| {})
}

pub(super) fn bench_with(driver: &str, change: impl FnOnce(&mut BenchOptions)) -> Bench {
    let mut options = BenchOptions::new(nt_abi::Profile::Win11_24H2).with_trial();
    change(&mut options);
    let mut bench = Bench::start(options).expect("a host starts");
    bench.load(driver, "/drivers/it.sys", b"image").expect("the script loads");
    bench
}

pub(super) fn create(process: u32, image: &str) -> Event<'_> {
    let context = ClientId { process: ProcessId(8), thread: ThreadId(12) };
    let created =
        Process { process: ProcessId(process), image: Some(Name::from_unix(image)), ..Process::default() };
    Event {
        time: Time(1),
        context,
        kind: EventKind::ProcessCreate(created),
        conditions: event::Conditions::default(),
    }
}

pub(super) fn image(process: u32) -> Event<'static> {
    let context = ClientId { process: ProcessId(process), thread: ThreadId(16) };
    let image = Image {
        process: ProcessId(process),
        name: Some(Name::from_unix("/lib/libc.so.6").into_owned()),
        base: 0x1000,
        size: 0x2000,
        architecture: event::Architecture::X64,
        partial: false,
        conflicting: false,
        ..event::Image::default()
    };
    Event {
        time: Time(2),
        context,
        kind: EventKind::ImageLoad(image),
        conditions: event::Conditions::default(),
    }
}

/// All records that are there, as text and nothing borrowed.
pub(super) fn drained(bench: &mut Bench) -> Vec<Record<'static>> {
    let mut records = Vec::new();
    bench.drain(&mut |record| records.push(owned(record)));
    records
}

/// All records up to the stop, which must come.
pub(super) fn until_stop(bench: &mut Bench) -> Vec<Record<'static>> {
    let give_up = Instant::now() + Duration::from_secs(20);
    let mut records = Vec::new();
    while !records.iter().any(|record: &Record<'_>| matches!(record.body, Body::Stop(_))) {
        records.extend(drained(bench));
        assert!(Instant::now() < give_up, "no stop came; there were {records:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
    records.extend(drained(bench));
    records
}

pub(super) fn owned(record: &Record<'_>) -> Record<'static> {
    let mut buffer = vec![0; 1 << 18];
    let used = event::wire::encode(record, &mut buffer).expect("it fits");
    let bytes = Box::leak(buffer[..used].to_vec().into_boxed_slice());
    event::wire::decode(bytes).expect("it was encoded just now").0
}
