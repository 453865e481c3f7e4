//! How fast recordings are read: Callboard's own, and Procmon's CSV against only taking the same file apart.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends")]

#[path = "../tests/it/events.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod events;
#[path = "../tests/it/procmon_run.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod procmon_run;

use std::hint::black_box;
use std::io::Cursor;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use procmon_run::{Act, Process, Record, Run, US};
use telemetry::procmon::{csv, pml};
use telemetry::recording::{Meta, Options, Reader, Writer, from_ndjson, to_ndjson};

const EVENTS: u32 = 100_000;

fn recordings(criterion: &mut Criterion) {
    let all: Vec<_> = (0..u64::from(EVENTS)).map(events::ordinary).collect();
    let write = |compress| {
        let mut writer =
            Writer::new(Vec::new(), &Meta::default(), Options { compress, ..Options::default() }).unwrap();
        all.iter().for_each(|event| writer.push(event).unwrap());
        writer.finish().unwrap()
    };
    let read = |recording: &[u8]| {
        let mut reader = Reader::open(recording).unwrap();
        let mut count = 0;
        while let Some(event) = reader.next_event() {
            black_box(event.unwrap());
            count += 1;
        }
        assert_eq!(count, EVENTS);
    };
    let mut group = criterion.benchmark_group("recording");
    group.throughput(Throughput::Elements(EVENTS.into()));
    for (name, compress) in [("plain", false), ("compressed", true)] {
        let recording = write(compress);
        println!("{name}: {} bytes an event", recording.len() / EVENTS as usize);
        group.bench_function(format!("read, {name}"), |b| b.iter(|| read(&recording)));
        group.bench_function(format!("write, {name}"), |b| b.iter(|| write(compress)));
    }
    let recording = write(true);
    let lines = || {
        let mut lines = Vec::new();
        to_ndjson(&mut Reader::open(recording.as_slice()).unwrap(), &mut lines, |record| panic!("{record}"))
            .unwrap();
        lines
    };
    group.bench_function("to lines", |b| b.iter(lines));
    let text = lines();
    group.bench_function("from lines", |b| {
        b.iter(|| from_ndjson(text.as_slice(), std::io::sink(), Options::default()).unwrap());
    });
    group.finish();
}

/// A run with the operations of a real one, in about its proportions.
fn run() -> Run {
    let processes = (0..64_u32).map(|n| Process {
        id: 4 * n + 100,
        parent: 100,
        image: format!(r"C:\Windows\System32\process-{n}.exe"),
        line: format!(r#""C:\Windows\System32\process-{n}.exe" --number {n}"#),
        wide: true,
    });
    let record = |n: u32| {
        let act = match n % 32 {
            0 => Act::Start { parent: 0, line: format!("tool --number {n}") },
            1 => Act::Exit(0),
            2..=8 => Act::ThreadCreate(n),
            9..=14 => Act::ThreadExit,
            _ => Act::Load {
                path: format!(r"C:\Windows\System32\library-{}.dll", n % 200),
                base: 0x7FFA_0000_0000 + (u64::from(n) << 12),
                size: 0x4_0000,
            },
        };
        Record { process: n as usize % 64, thread: 4 * (n % 500), ticks: i64::from(n) * 1000, act }
    };
    Run { processes: processes.collect(), records: (0..EVENTS).map(record).collect() }
}

fn procmon(criterion: &mut Criterion) {
    let run = run();
    let (text, log) = (run.to_csv(US), run.to_pml(8));
    let mut group = criterion.benchmark_group("procmon");
    group.throughput(Throughput::Elements(EVENTS.into()));
    group.bench_function("CSV", |b| {
        b.iter(|| {
            let reader = csv::Reader::open(text.as_bytes(), csv::Options::default()).unwrap();
            assert_eq!(reader.filter(Result::is_ok).count(), EVENTS as usize);
        });
    });
    group.bench_function("CSV, only the csv crate, bytes", |b| {
        b.iter(|| {
            let (mut reader, mut record) =
                (::csv::Reader::from_reader(text.as_bytes()), ::csv::ByteRecord::new());
            while reader.read_byte_record(&mut record).unwrap() {
                black_box(&record);
            }
        });
    });
    group.bench_function("CSV, only the csv crate, a record each", |b| {
        b.iter(|| {
            ::csv::Reader::from_reader(text.as_bytes()).records().map(Result::unwrap).map(black_box).count()
        });
    });
    group.bench_function("PML", |b| {
        b.iter(|| {
            let reader = pml::Reader::open(Cursor::new(&log)).unwrap();
            assert_eq!(reader.filter(Result::is_ok).count(), EVENTS as usize);
        });
    });
    group.finish();
}

criterion_group! {
    name = readers;
    config = Criterion::default().sample_size(20);
    targets = recordings, procmon
}
criterion_main!(readers);
