//! How fast recordings are replayed, from the start of the command to its end, against only parsing the same file with the
//! same crate on one thread: taking turns in one run, the fastest of each. In time that passes, and in processor time of all
//! threads and processes together, which other work on the machine disturbs less.
//!
//! `cargo bench -p callboard --bench replay`
#![expect(clippy::print_stdout, reason = "a benchmark reports to people")]

#[path = "../../telemetry/benches/day/mod.rs"]
mod day;

use std::fs::File;
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, BufWriter};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use event::{Event, EventKind, Time};
use evtx::{EvtxParser, ParserSettings};
use telemetry::recording::{Meta, Options, Reader, Writer, from_ndjson};

const ROUNDS: usize = 7;
const RECORDS: u32 = 200_000;
/// How many times the day is played from a recording.
const DAYS: i64 = 5;
const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard");
/// The built-in driver with every notice, which prints nothing.
const SENSOR: &[&str] = &["--set", "Quiet:dword=1"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name);
    let (evtx, json, cbr) = (file("day.evtx"), file("day.json"), file("days.cbr"));
    let entries = day::day(RECORDS);
    std::fs::write(&evtx, telemetry::oracle::evtx(&entries, usize::MAX))?;
    std::fs::write(&json, day::lines(&entries))?;
    drop(entries);
    let events = record(&json, &file("day.cbr"), &cbr)?;

    let records = u64::from(RECORDS);
    against("evtx, each record as JSON", parse_evtx, &evtx, records)?;
    against("serde_json, a Value each", parse_json, &json, records)?;
    let minimal = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin/minimal.sys");
    let minimal = minimal.display().to_string();
    for (name, more) in
        [("a driver that does nothing", &["--driver", &minimal][..]), ("the built-in driver", SENSOR)]
    {
        let mut best = Cost::MOST;
        for _ in 0..ROUNDS {
            best = best.min(replay(&cbr, more)?);
        }
        println!("days.cbr, {events} events through {name}: {}", best.rates(events));
    }
    Ok(())
}

/// What something took.
#[derive(Clone, Copy)]
struct Cost {
    passed: Duration,
    processor: Duration,
}

impl Cost {
    const MOST: Self = Self { passed: Duration::MAX, processor: Duration::MAX };

    fn of(what: impl FnOnce() -> io::Result<()>) -> io::Result<Self> {
        let (start, before) = (Instant::now(), processor()?);
        what()?;
        Ok(Self { passed: start.elapsed(), processor: processor()?.saturating_sub(before) })
    }

    fn min(self, other: Self) -> Self {
        Self { passed: self.passed.min(other.passed), processor: self.processor.min(other.processor) }
    }

    fn rates(self, count: u64) -> String {
        #[expect(clippy::cast_precision_loss, reason = "counts of a few millions")]
        let rate = |time: Duration| count as f64 / time.as_secs_f64();
        format!(
            "{:.2} s, {:.0} a second; {:.2} s of processors, {:.0} for each",
            self.passed.as_secs_f64(),
            rate(self.passed),
            self.processor.as_secs_f64(),
            rate(self.processor)
        )
    }
}

/// The processor time of this process and of those that it has waited for.
fn processor() -> io::Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // Behind the name, which may have anything in it.
    let fields = text.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    let ticks: u64 = fields.skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(10 * ticks))
}

/// Times both, taking turns.
fn against(name: &str, parse: fn(&Path) -> io::Result<u64>, file: &Path, records: u64) -> io::Result<()> {
    let (mut only, mut whole) = (Cost::MOST, Cost::MOST);
    for _ in 0..ROUNDS {
        let parsed = Cost::of(|| {
            assert_eq!(black_box(parse(file)?), records);
            Ok(())
        });
        only = only.min(parsed?);
        whole = whole.min(replay(file, SENSOR)?);
    }
    let ratio = |of: fn(&Cost) -> Duration| of(&only).as_secs_f64() / of(&whole).as_secs_f64();
    let file = file.file_name().unwrap_or_default().display();
    println!("{file}, {records} records");
    println!("  only {name}: {}", only.rates(records));
    println!("  replayed through the built-in driver: {}", whole.rates(records));
    println!(
        "  {:.2} of it, and {:.2} by processor time",
        ratio(|cost| cost.passed),
        ratio(|cost| cost.processor)
    );
    Ok(())
}

fn replay(file: &Path, more: &[&str]) -> io::Result<Cost> {
    let mut command = Command::new(PROGRAM);
    command.arg("replay").arg(file).arg("-q").args(more);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Cost::of(|| {
        let status = command.status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {status}"))) }
    })
}

fn parse_evtx(file: &Path) -> io::Result<u64> {
    let settings = ParserSettings::default().indent(false).num_threads(1);
    let parser = EvtxParser::from_path(file).map_err(io::Error::other)?;
    let mut parser = parser.with_configuration(settings);
    Ok(parser.records_json_bytes().filter(|record| black_box(record).is_ok()).count() as u64)
}

fn parse_json(file: &Path) -> io::Result<u64> {
    let (mut lines, mut line, mut count) =
        (BufReader::with_capacity(1 << 18, File::open(file)?), Vec::new(), 0);
    while lines.read_until(b'\n', &mut line)? > 0 {
        count += u64::from(black_box(serde_json::from_slice::<serde_json::Value>(&line)).is_ok());
        line.clear();
    }
    Ok(count)
}

/// Makes a recording of the day, several times over, and says how many events it has.
fn record(json: &Path, day: &Path, days: &Path) -> io::Result<u64> {
    let mut command = Command::new(PROGRAM);
    command.arg("events").arg(json).args(["--format", "ndjson"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    if let Some(lines) = child.stdout.take() {
        from_ndjson(BufReader::new(lines), BufWriter::new(File::create(day)?), Options::default())
            .map_err(io::Error::other)?;
    }
    child.wait()?;
    let mut writer = Writer::new(BufWriter::new(File::create(days)?), &Meta::default(), Options::default())?;
    let mut count = 0;
    for n in 0..DAYS {
        let mut reader = Reader::open(File::open(day)?).map_err(io::Error::other)?;
        while let Some(event) = reader.next_event() {
            let event = event.map_err(io::Error::other)?;
            if n == 0 || !matches!(event.kind, EventKind::ProcessPresent(_)) {
                let time = Time(event.time.0 + n * 864_000_000_000);
                writer.push(&Event { time, ..event })?;
                count += 1;
            }
        }
    }
    writer.finish()?;
    Ok(count)
}
