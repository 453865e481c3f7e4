//! How fast records are read, against the crates that take the formats apart: taking turns in one run, the fastest of each.
//!
//! `cargo bench -p callboard-telemetry --bench read [-- FILE…]`: the files, or logs that are made up.
#![expect(clippy::print_stdout, reason = "a benchmark reports to people")]

mod day;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use day::{day, lines};
use evtx::{EvtxParser, ParserSettings};
use serde::de::IgnoredAny;
use telemetry::oracle::evtx;
use telemetry::{Format, detect, open_bytes};

const ROUNDS: usize = 7;

type Way<'a> = (&'a str, Box<dyn Fn(&[u8]) -> usize + 'a>);

fn main() {
    let files: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if files.is_empty() {
        let entries = day(100_000);
        measure("made up, EVTX", &evtx(&entries, usize::MAX));
        measure("made up, JSON", lines(&entries).as_bytes());
    }
    for file in files {
        match std::fs::read(&file) {
            Ok(bytes) => measure(&file, &bytes),
            Err(error) => println!("{file}: {error}"),
        }
    }
}

fn measure(name: &str, bytes: &[u8]) {
    let shared: Arc<[u8]> = Arc::from(bytes);
    let ours: Way<'_> =
        ("callboard", Box::new(move |_| open_bytes(name, Arc::clone(&shared)).map_or(0, Iterator::count)));
    let ways: Vec<Way<'_>> = match detect(bytes) {
        Some(Format::Evtx) => vec![
            ("evtx, each record", Box::new(evtx_records)),
            ("evtx, each record as JSON", Box::new(evtx_json)),
            ours,
        ],
        Some(Format::Json) => vec![
            ("serde_json, nothing kept", Box::new(json::<IgnoredAny>)),
            ("serde_json, values", Box::new(json::<serde_json::Value>)),
            ours,
        ],
        other => return println!("{name}: {other:?} is not measured"),
    };
    // The clock of the processor's time ticks: what is measured must be much longer than a tick.
    let times = ((64 << 20) / bytes.len().max(1)).max(1);
    let mut fastest = vec![(Duration::MAX, 0); ways.len()];
    for _ in 0..ROUNDS {
        for ((_, read), fastest) in ways.iter().zip(&mut fastest) {
            let start = used();
            let count = (0..times).map(|_| black_box(read(black_box(bytes)))).sum::<usize>();
            *fastest = (*fastest).min((used().saturating_sub(start), count));
        }
    }
    println!("{name}: {} MiB", bytes.len() >> 20);
    let ours = fastest.last().map_or(1.0, |(time, _)| time.as_secs_f64());
    for ((way, _), (time, count)) in ways.iter().zip(&fastest) {
        let seconds = time.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "counts of a few millions")]
        let (rate, size) = (*count as f64 / seconds, (bytes.len() * times) as f64 / seconds / 1e6);
        println!(
            "  {way:<28} {rate:>10.0} records/s {size:>6.0} MB/s, callboard is {:.2} of it",
            seconds / ours
        );
    }
}

/// The processor time that this thread has used: other work on the machine counts for nobody.
fn used() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

fn evtx_parser(bytes: &[u8]) -> Option<EvtxParser<std::io::Cursor<Vec<u8>>>> {
    let settings = ParserSettings::default().indent(false);
    EvtxParser::from_buffer(bytes.to_vec()).ok().map(|parser| parser.with_configuration(settings))
}

fn evtx_records(bytes: &[u8]) -> usize {
    let Some(mut parser) = evtx_parser(bytes) else { return 0 };
    let settings = Arc::new(ParserSettings::default().indent(false));
    let chunks = parser.chunks().flatten();
    chunks
        .map(|mut chunk| chunk.parse(Arc::clone(&settings)).map_or(0, |mut chunk| chunk.iter().count()))
        .sum()
}

fn evtx_json(bytes: &[u8]) -> usize {
    evtx_parser(bytes).map_or(0, |mut parser| {
        parser.records_json_bytes().filter(|record| black_box(record).is_ok()).count()
    })
}

fn json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> usize {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.filter(|line| black_box(serde_json::from_slice::<T>(line)).is_ok()).count()
}
