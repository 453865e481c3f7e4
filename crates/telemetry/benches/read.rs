//! How fast records are read, against the crates that take the formats apart: taking turns in one run, the fastest of each.
//!
//! `cargo bench -p callboard-telemetry --bench read [-- FILE…]`: the files, or logs that are made up.
#![expect(clippy::print_stdout, reason = "a benchmark reports to people")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use evtx::{EvtxParser, ParserSettings};
use serde::de::IgnoredAny;
use telemetry::oracle::{Entry, evtx};
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

/// A day as hosts have it: most events are of images.
fn day(count: u32) -> Vec<Entry> {
    let fixed = |number: u32| {
        vec![
            ("RuleName", "-".to_owned()),
            ("UtcTime", "2020-10-23 16:58:01.123".to_owned()),
            ("ProcessGuid", format!("{{39e4a257-9ae6-5f97-d027-{number:012x}}}")),
            ("ProcessId", number.to_string()),
            ("Image", "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe".to_owned()),
        ]
    };
    let rest: [&[(&str, &str)]; 3] = [
        &[
            (
                "CommandLine",
                "\"C:\\Windows\\System32\\cmd.exe\" /c echo \"a b\" > C:\\Users\\u\\AppData\\Local\\Temp\\x.txt",
            ),
            ("CurrentDirectory", "C:\\Windows\\System32\\"),
            ("User", "HOST42\\user"),
            ("IntegrityLevel", "High"),
            ("Hashes", "SHA1=5CC5DB09B1F1615ACBA22D79D0B6C0797AF763F5,MD5=74A0194782E039ACE1F7349544DC1CF4"),
            ("ParentProcessGuid", "{39e4a257-9acc-5f97-cd27-000000000700}"),
            ("ParentProcessId", "12340"),
            ("ParentImage", "C:\\Windows\\System32\\cmd.exe"),
            ("ParentCommandLine", "\"C:\\Windows\\System32\\cmd.exe\""),
        ],
        &[("User", "HOST42\\user")],
        &[
            ("ImageLoaded", "C:\\Windows\\System32\\wtsapi32.dll"),
            ("FileVersion", "10.0.19041.546 (WinBuild.160101.0800)"),
            ("Description", "Windows Remote Desktop Session Host Server SDK APIs"),
            ("Product", "Microsoft Windows Operating System"),
            ("Company", "Microsoft Corporation"),
            ("OriginalFileName", "wtsapi32.dll"),
            ("Hashes", "SHA1=F4B972ED5FEE471BDFB01B195C58F2D341299B93,MD5=2E8BC179A27B230AF644C81C956A7627"),
            ("Signed", "true"),
            ("Signature", "Microsoft Windows"),
            ("SignatureStatus", "Valid"),
        ],
    ];
    (0..count)
        .map(|number| {
            let (id, rest) = match number % 50 {
                0 => (1, rest[0]),
                1 => (5, rest[1]),
                _ => (7, rest[2]),
            };
            let mut fields = fixed(number);
            fields.extend(rest.iter().map(|(name, value)| (*name, (*value).to_owned())));
            Entry {
                provider: "Microsoft-Windows-Sysmon",
                channel: "Microsoft-Windows-Sysmon/Operational",
                id,
                computer: "HOST42.example.org".into(),
                time: 132_479_458_811_230_000,
                fields,
            }
        })
        .collect()
}

fn lines(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let mut line = serde_json::Map::new();
        let envelope = [
            ("SourceName", entry.provider.into()),
            ("Channel", entry.channel.into()),
            ("Hostname", entry.computer.clone().into()),
            ("@timestamp", "2020-10-23T16:58:01.123Z".into()),
            ("EventID", entry.id.into()),
        ];
        let fields = entry.fields.iter().map(|(name, value)| (*name, value.clone().into()));
        line.extend(envelope.into_iter().chain(fields).map(|(name, value)| (name.to_owned(), value)));
        let message: Vec<String> =
            entry.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        line.insert("Message".into(), message.join("\r\n").into());
        text += &serde_json::Value::Object(line).to_string();
        text.push('\n');
    }
    text
}
