//! A minifilter, compiled for Windows, from its DriverEntry to its unloading.

use std::sync::{Mutex, PoisonError};

use event::{
    Architecture, Body, ClientId, Event, EventKind, Name, Process, ProcessId, Record, ThreadId, Time,
};
use kernel::{Config, Recorder};
use machine::Processor;

/// The driver, built from `data/minifilter.c`.
const MINIFILTER: &[u8] = include_bytes!("data/minifilter.sys");

/// What it printed, and what Callboard had to say about it.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl Recorder for Lines {
    fn record(&self, record: &Record<'_>) {
        let line = match &record.body {
            Body::Debug { text, .. } => text.to_string(),
            Body::Note { text, .. } => format!("note: {text}"),
            Body::DriverLoad { missing, .. } => format!("missing imports: {}", missing.len()),
            Body::Finding(finding) => format!("finding {}: {}", finding.rule, finding.message),
            Body::Leak(leak) => format!("leak: {}", leak.what),
            _ => return,
        };
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn halt(&self) -> ! {
        panic!("the bench stopped")
    }
}

#[test]
fn r_ii_04_a_minifilter_names_the_image_of_a_new_process() {
    let _processor = Processor::attach().expect("a test thread can be a processor");
    let kernel = kernel::boot(Config::default(), &Lines);
    kernel.adopt_this_thread();
    let driver = kernel.load_driver("minifilter", "minifilter.sys", MINIFILTER).expect("it loads");
    let creator = ClientId { process: ProcessId(100), thread: ThreadId(104) };
    let created = Process {
        process: ProcessId(200),
        parent: ProcessId(100),
        creator,
        first_thread: ThreadId(204),
        image: Some(Name::from_unix("/usr/bin/true")),
        command_line: Some("true".into()),
        open_name_available: true,
        architecture: Architecture::X64,
        ..Process::default()
    };
    let event = Event {
        time: Time(1),
        context: creator,
        kind: EventKind::ProcessCreate(created),
        conditions: event::Conditions::default(),
    };
    assert!(kernel.deliver_event(&event).is_none());
    kernel.unload_driver(driver).expect("it unloads");
    let lines = std::mem::take(&mut *LINES.lock().unwrap_or_else(PoisonError::into_inner));
    let expected = [
        "missing imports: 0",
        "note: minifilter is a minifilter whose service has no Instances key: it got one with the altitude 385200",
        "attach to device type 8, file system type 2",
        r"true in \usr\bin\ on \Device\HarddiskVolume1",
        // STATUS_PORT_DISCONNECTED: no program has connected.
        "finding L-03: a process routine calls FltSendMessage and waits for a program, which may wait for this \
         very process: queue the message to a worker thread, and return",
        "message: c0000037",
        "unload, flags 1",
    ];
    assert_eq!(lines, expected);
}
