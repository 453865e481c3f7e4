//! What a replay is compared with: other drivers, or the records of another replay.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use callboard::exit;
use event::{
    Body, ClientId, Conditions, DriverId, Event, EventKind, Family, Finding, Name, Notification, Process,
    ProcessId, Record, Severity, Stop, StopKind, Time,
};
use nt_abi::NTSTATUS;
use serde::Deserialize;

use super::answers::Answers;
use crate::Failure;
use crate::drivers::{self, DriverFile};

/// How long a line of records may be.
const LINE: u64 = 16 << 20;

/// What a replay is compared with.
pub(super) enum Baseline {
    /// Drivers, which are told the same at the same time.
    Drivers(Vec<DriverFile>),
    /// What the drivers of another replay of the same recording have said, by machine.
    Records(Mutex<BTreeMap<String, Answers>>),
}

impl Baseline {
    /// Reads the files: drivers, or one file of records.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Option<Self>, Failure> {
        let Some(first) = paths.first() else { return Ok(None) };
        if !is_records(first) {
            return drivers::named(paths).map(|drivers| Some(Self::Drivers(drivers)));
        }
        if paths.len() > 1 {
            let message = "--baseline: either drivers, or one file of records";
            return Err(Failure::new(exit::USAGE, message));
        }
        records(first).map(|machines| Some(Self::Records(Mutex::new(machines))))
    }

    /// The drivers, where it is such.
    pub(super) fn drivers(&self) -> &[DriverFile] {
        match self {
            Self::Drivers(drivers) => drivers,
            Self::Records(_) => &[],
        }
    }
}

/// Whether a file looks like lines of JSON.
fn is_records(path: &Path) -> bool {
    let mut first = [0];
    File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok() && first == *b"{"
}

/// What stands in a line; of other types than these nothing is needed.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    schema: Option<&'a str>,
    time: &'a str,
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    machine: std::borrow::Cow<'a, str>,
    driver_id: Option<u32>,
    driver: Option<std::borrow::Cow<'a, str>>,
    image: Option<std::borrow::Cow<'a, str>>,
    image_nt: Option<std::borrow::Cow<'a, str>>,
    family: Option<&'a str>,
    duration_ns: Option<u64>,
    status: Option<&'a str>,
    rule: Option<&'a str>,
    message: Option<std::borrow::Cow<'a, str>>,
}

/// What was said on each machine of another replay.
fn records(path: &Path) -> Result<BTreeMap<String, Answers>, Failure> {
    let failed = |number: u64, why: &dyn std::fmt::Display| {
        Failure::new(exit::USAGE, format_args!("--baseline {}: line {number}: {why}", path.display()))
    };
    let mut file = BufReader::new(File::open(path).map_err(|error| failed(0, &error))?);
    let mut machines: BTreeMap<String, Answers> = BTreeMap::new();
    let (mut name, mut answers, mut ended) = (String::new(), Answers::default(), true);
    let (mut text, mut number) = (String::new(), 0);
    loop {
        number += 1;
        text.clear();
        let read = (&mut file).take(LINE).read_line(&mut text).map_err(|error| failed(number, &error))?;
        if read == 0 {
            break;
        }
        let line: Line<'_> = serde_json::from_str(&text).map_err(|error| {
            failed(
                number,
                &format_args!("{error}; it must be what `replay --format ndjson -o FILE` has written"),
            )
        })?;
        if number == 1 && line.schema != Some("callboard.record/1") {
            return Err(failed(number, &"the schema is not callboard.record/1"));
        }
        match line.kind {
            "start" => {
                line.machine.as_ref().clone_into(&mut name);
                (answers, ended) = (Answers::default(), false);
            }
            "end" => {
                machines.insert(std::mem::take(&mut name), std::mem::take(&mut answers));
                ended = true;
            }
            _ => {
                if let Some(record) = record(&line) {
                    answers.see(&record);
                }
            }
        }
    }
    if ended { Ok(machines) } else { Err(failed(number, &"the run was cut short: its end is missing")) }
}

/// As much of a record as answers are made of.
fn record<'a>(line: &'a Line<'a>) -> Option<Record<'a>> {
    let driver = line.driver_id.map(DriverId);
    let status = || line.status.and_then(|text| u32::from_str_radix(text.strip_prefix("0x")?, 16).ok());
    let body = match line.kind {
        "driver_load" => Body::DriverLoad {
            driver: driver?,
            name: line.driver.as_deref()?.into(),
            path: "".into(),
            base: 0,
            size: 0,
            missing: Vec::new(),
        },
        "process_create" => {
            let name =
                |nt: &'a str, host: Option<&'a str>| Name { nt: nt.into(), host: host.map(Into::into) };
            let image = line.image_nt.as_deref().or(line.image.as_deref());
            let image = image.map(|nt| name(nt, line.image.as_deref()));
            let process = Process { process: ProcessId(line.pid), image, ..Process::default() };
            event(EventKind::ProcessCreate(process))
        }
        "process_exit" | "thread_create" | "thread_exit" | "image_load" => event(kind(line.kind)?),
        "notification" => Body::Notification(Notification {
            driver: driver?,
            family: match line.family? {
                "process" => Family::Process,
                "thread" => Family::Thread,
                _ => Family::Image,
            },
            slot: 0,
            routine: 0,
            elapsed: line.duration_ns?,
            status: None,
        }),
        "verdict" => {
            let status = NTSTATUS::from_u32(status()?);
            Body::Verdict { process: ProcessId(line.pid), status, driver }
        }
        "finding" => Body::Finding(Finding {
            rule: line.rule?.into(),
            severity: Severity::Warning,
            driver,
            message: "".into(),
            bug_check: None,
            stack: Vec::new(),
        }),
        "stop" => Body::Stop(Stop {
            kind: StopKind::BugCheck,
            code: 0,
            parameters: [0; 4],
            driver,
            message: line.message.as_deref()?.into(),
            registers: None,
            stack: Vec::new(),
        }),
        _ => return None,
    };
    Some(Record { time: telemetry::moment(line.time)?, context: ClientId::default(), body })
}

fn event(kind: EventKind<'_>) -> Body<'_> {
    Body::Event(Event {
        time: Time(0),
        context: ClientId::default(),
        kind,
        conditions: Conditions::default(),
    })
}

/// An event of a kind, of nobody.
fn kind(kind: &str) -> Option<EventKind<'static>> {
    Some(match kind {
        "process_exit" => EventKind::ProcessExit(event::ProcessExit {
            process: ProcessId::IDLE,
            status: NTSTATUS::from_u32(0),
        }),
        "thread_create" => EventKind::ThreadCreate(event::Thread::new(ClientId::default())),
        "thread_exit" => EventKind::ThreadExit(event::ThreadExit {
            thread: ClientId::default(),
            status: NTSTATUS::from_u32(0),
        }),
        "image_load" => EventKind::ImageLoad(event::Image::default()),
        _ => return None,
    })
}
