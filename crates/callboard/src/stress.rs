//! A driver under stress, without a command to watch: one bench per seed, with an event load of its own.
//!
//! The kernel of a stressed bench provokes: see docs/stress.md. What is added here is a load that gives it the
//! occasion: processes that live and die, devices that are opened and closed meanwhile, an unload in the middle of them, and
//! some that come after. The same seed gives the same records, whatever else the machine does.

use std::time::Duration;

use event::{
    Body, ClientId, Event, EventKind, Image, Name, Process, ProcessExit, ProcessId, Record, Severity,
    StopKind, Thread, ThreadExit, ThreadId, Time,
};
use host::{Bench, BenchError, BenchOptions, Caller, Io};
use nt_abi::{NTSTATUS, STATUS_SUCCESS};

/// Processes that live before the driver is unloaded.
const LIVES_BEFORE: u32 = 3;
/// Processes that live after it.
const LIVES_AFTER: u32 = 1;
/// The process during whose life devices are open.
const OPEN_DURING: u32 = 1;
/// `SYNCHRONIZE | FILE_READ_ATTRIBUTES`: what every program may ask for.
const ANY_ACCESS: u32 = 0x0010_0080;
/// The clock of the load: 2025-01-01, in units of 100 ns since 1601.
const START: i64 = 133_801_632_000_000_000;
/// The process that creates all others, and opens devices.
const CREATOR: ClientId = ClientId { process: ProcessId(400), thread: ThreadId(404) };

/// A driver to be stressed.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its service.
    pub service: String,
    /// Where its file is, for reports.
    pub path: String,
    /// The file.
    pub image: Vec<u8>,
    /// How its benches are; the seed is filled in.
    pub options: BenchOptions,
}

impl Subject {
    /// A driver with the options of a bench for stress: a batch is waited for until it is done.
    pub fn new(service: &str, path: &str, image: Vec<u8>, mut options: BenchOptions) -> Self {
        options.patience = Duration::from_secs(600);
        // Hangs are found without a clock; stepping through a driver takes its time on a busy machine.
        options.watchdog = Duration::from_secs(30);
        options.entry_watchdog = Duration::from_secs(30);
        Self { service: service.into(), path: path.into(), image, options }
    }
}

/// What a seed led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The end of the host, where it did not end well.
    pub stop: Option<Stop>,
    /// The rules that were broken, without mere advice.
    pub findings: Vec<Finding>,
    /// What the driver was refused with, where it was not loaded: it may, when memory is low.
    pub not_loaded: Option<NTSTATUS>,
}

/// How a host ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Why.
    pub kind: StopKind,
    /// The bug check, or 0.
    pub code: u32,
    /// Its parameters.
    pub parameters: [u64; 4],
    /// What happened.
    pub message: String,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its id.
    pub rule: String,
    /// What happened.
    pub message: String,
}

impl Outcome {
    /// Whether the driver did nothing wrong.
    pub fn is_silent(&self) -> bool {
        self.stop.is_none() && self.findings.is_empty()
    }

    fn note(&mut self, record: &Record<'_>) {
        match &record.body {
            Body::Stop(stop) => {
                self.stop = Some(Stop {
                    kind: stop.kind,
                    code: stop.code,
                    parameters: stop.parameters,
                    message: stop.message.to_string(),
                });
            }
            Body::Finding(finding) if finding.severity == Severity::Error => {
                let (rule, message) = (finding.rule.to_string(), finding.message.to_string());
                self.findings.push(Finding { rule, message });
            }
            _ => {}
        }
    }
}

/// Runs a driver through one seed and hands over every record.
///
/// # Errors
/// When there is no bench to be had, or the file is no driver. A host that dies is an outcome.
pub fn run(subject: &Subject, seed: u64, each: &mut dyn FnMut(&Record<'_>)) -> Result<Outcome, BenchError> {
    let mut options = subject.options.clone();
    options.config.stress = Some(seed);
    if seed % 2 == 1 {
        // A use after free is certain to be noticed; the other half keeps the memory as Windows lays it out.
        options.config.pool = kernel::Pool::Special;
    }
    let mut bench = Bench::start(options)?;
    let mut outcome = Outcome::default();
    let driven = drive(subject, seed, &mut bench, &mut outcome);
    bench.drain(&mut |record| {
        each(record);
        outcome.note(record);
    });
    match driven {
        Err(BenchError::Gone) | Ok(()) => Ok(outcome),
        Err(error) => Err(error),
    }
}

fn drive(subject: &Subject, seed: u64, bench: &mut Bench, outcome: &mut Outcome) -> Result<(), BenchError> {
    let driver = match bench.load(&subject.service, &subject.path, &subject.image) {
        Err(BenchError::Load { status, .. }) => {
            outcome.not_loaded = Some(status);
            None
        }
        other => Some(other?),
    };
    let devices = driver.map_or(Ok(Vec::new()), |driver| bench.devices(driver))?;
    for number in 0..LIVES_BEFORE {
        let files = if number == OPEN_DURING { open(bench, &devices)? } else { Vec::new() };
        bench.deliver(&life(number));
        close(bench, files)?;
    }
    if let Some(driver) = driver {
        let mut files = open(bench, &devices)?;
        // A driver whose device is open is unloaded when that is closed.
        if seed % 4 < 2 {
            close(bench, std::mem::take(&mut files))?;
        }
        match bench.unload(driver) {
            // One without DriverUnload stays.
            Ok(_) | Err(BenchError::Unload { .. }) => {}
            Err(error) => return Err(error),
        }
        close(bench, files)?;
    }
    for number in LIVES_BEFORE..LIVES_BEFORE + LIVES_AFTER {
        bench.deliver(&life(number));
    }
    bench.finish()
}

fn caller() -> Caller {
    Caller { context: CREATOR, time: Time(START) }
}

/// Opens devices, as far as their driver lets anybody.
fn open(bench: &mut Bench, devices: &[String]) -> Result<Vec<u64>, BenchError> {
    let mut files = Vec::new();
    for device in devices {
        match bench.open(caller(), device, ANY_ACCESS, false) {
            Ok(file) => files.push(file),
            Err(BenchError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

fn close(bench: &mut Bench, files: Vec<u64>) -> Result<(), BenchError> {
    for file in files {
        bench.io(caller(), file, Io::Close, &[], &[])?;
    }
    Ok(())
}

/// An ordinary process, from its creation to its exit.
fn life(number: u32) -> Vec<Event<'static>> {
    let base = 1000 + number * 100;
    let own = ClientId { process: ProcessId(base), thread: ThreadId(base + 4) };
    let time = Time(START + i64::from(number) * 10_000);
    let name = |nt: &'static str| Some(Name { nt: nt.into(), host: None });
    let image = |file, base, size| {
        EventKind::ImageLoad(Image { process: own.process, name: name(file), base, size, ..Image::default() })
    };
    let main = r"\Device\HarddiskVolume1\Windows\System32\whoami.exe";
    let process = Process {
        process: own.process,
        parent: CREATOR.process,
        creator: CREATOR,
        first_thread: own.thread,
        image: name(main),
        command_line: Some("whoami /all".into()),
        open_name_available: true,
        ..Process::default()
    };
    let events = [
        (CREATOR, EventKind::ProcessCreate(process)),
        (CREATOR, EventKind::ThreadCreate(Thread::new(own))),
        (own, image(main, 0x1_4000_0000, 0x1_2000)),
        (own, image(r"\Device\HarddiskVolume1\Windows\System32\ntdll.dll", 0x7FFE_0000_0000, 0x1F_8000)),
        (own, EventKind::ThreadExit(ThreadExit { thread: own, status: STATUS_SUCCESS })),
        (own, EventKind::ProcessExit(ProcessExit { process: own.process, status: STATUS_SUCCESS })),
    ];
    let told = |(context, kind)| Event { time, context, kind, conditions: event::Conditions::default() };
    events.into_iter().map(told).collect()
}
