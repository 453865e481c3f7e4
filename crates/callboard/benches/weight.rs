//! How much memory a replay takes, of this process and its host together, as recordings grow; and how long a small one takes
//! from the start of the command to its end.
//!
//! `cargo bench -p callboard --bench weight`
#![expect(clippy::print_stdout, reason = "a benchmark reports to people")]

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use event::{
    ClientId, Conditions, Event, EventKind, Image, Name, Process, ProcessExit, ProcessId, Thread, ThreadExit,
    ThreadId, Time,
};
use nt_abi::STATUS_SUCCESS;
use telemetry::recording::{Meta, Options, Writer};

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard");
/// How many processes live at one time.
const LIVING: u64 = 500;
/// 1 May 2024.
const BEGIN: i64 = 133_589_952_000_000_000;

fn main() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    for events in [10_000, 100_000, 1_000_000, 10_000_000] {
        let path = folder.path().join("run.cbr");
        record(&path, events)?;
        let (shown, _) = heaviest(&["events", "-q", "--format", "ndjson"], &path)?;
        let (quiet, passed) = heaviest(&["replay", "-q", "--set", "Quiet:dword=1"], &path)?;
        let page = folder.path().join("page.html");
        let page = format!("--report=html={}", page.display());
        let (reported, _) = heaviest(&["replay", "-q", "--set", "Quiet:dword=1", &page], &path)?;
        let rate = events * 1_000 / u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
        println!(
            "{events:>9} events: events {shown} KiB, replay {quiet} KiB ({rate} a second), with a page {reported} KiB"
        );
    }
    let path = folder.path().join("small.cbr");
    record(&path, 20)?;
    let mut fastest = Duration::MAX;
    for _ in 0..20 {
        let began = Instant::now();
        start(&["replay", "-q"], &path)?.wait()?;
        fastest = fastest.min(began.elapsed());
    }
    println!("20 events, from the start of the command to its end: {:.1} ms", fastest.as_secs_f64() * 1000.0);
    Ok(())
}

/// A recording of processes, each with a thread and six images.
fn record(path: &Path, events: u64) -> io::Result<()> {
    let mut writer = Writer::new(BufWriter::new(File::create(path)?), &Meta::default(), Options::default())?;
    let mut written = 0;
    let mut push = |time: u64, context: ClientId, kind: EventKind<'_>| {
        let time = Time(BEGIN + i64::try_from(time).unwrap_or(i64::MAX) * 1_000);
        written += 1;
        writer.push(&Event { time, context, kind, conditions: Conditions::default() })
    };
    let client = |number: u64| {
        let process = 1_000 + u32::try_from(number % (2 * LIVING)).unwrap_or(0) * 8;
        ClientId { process: ProcessId(process), thread: ThreadId(process + 4) }
    };
    for number in 0..events / 10 {
        let (this, time) = (client(number), number * 10);
        let image = Some(Name::from_nt(r"\Device\HarddiskVolume1\Windows\System32\cmd.exe"));
        let process = Process {
            process: this.process,
            first_thread: this.thread,
            parent: ProcessId::SYSTEM,
            image,
            command_line: Some("cmd.exe /c something".into()),
            ..Process::default()
        };
        push(
            time,
            ClientId { process: ProcessId::SYSTEM, thread: ThreadId(92) },
            EventKind::ProcessCreate(process),
        )?;
        push(time, this, EventKind::ThreadCreate(Thread::new(this)))?;
        for at in 0..6 {
            let name = Name::from_nt(r"\Device\HarddiskVolume1\Windows\System32\kernel32.dll");
            let base = 0x7FF0_0000_0000 + at * 0x10_0000;
            let image =
                Image { name: Some(name), process: this.process, base, size: 0x8_0000, ..Image::default() };
            push(time + at, this, EventKind::ImageLoad(image))?;
        }
        if let Some(older) = number.checked_sub(LIVING) {
            let older = client(older);
            let status = STATUS_SUCCESS;
            push(time + 8, older, EventKind::ThreadExit(ThreadExit { thread: older, status }))?;
            push(time + 9, older, EventKind::ProcessExit(ProcessExit { process: older.process, status }))?;
        }
    }
    writer.finish().map(drop)
}

fn start(arguments: &[&str], path: &Path) -> io::Result<Child> {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn()
}

/// The most memory that a command and its children had together, in KiB, and how long it took.
fn heaviest(arguments: &[&str], path: &Path) -> io::Result<(u64, Duration)> {
    let began = Instant::now();
    let mut child = start(arguments, path)?;
    let mut most = 0;
    while child.try_wait()?.is_none() {
        most = most.max(resident(child.id()));
        thread::sleep(Duration::from_millis(5));
    }
    Ok((most, began.elapsed()))
}

/// What a process and its children have in memory, in KiB.
fn resident(process: u32) -> u64 {
    let read = |what: &str| std::fs::read_to_string(format!("/proc/{process}/{what}")).unwrap_or_default();
    let status = read("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let own = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: String = children.collect();
    own + children.split_whitespace().filter_map(|child| child.parse().ok()).map(resident).sum::<u64>()
}
