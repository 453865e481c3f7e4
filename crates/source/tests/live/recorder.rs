//! A recipient that writes events down in a form that is the same in every run.

use std::{collections::HashMap, ffi::OsStr, io::Write, time::Duration};

use event::{ClientId, Event, EventKind, Image, Name, Process, ProcessId, ThreadId};
use nt_abi::NTSTATUS;
use source::{
    Delivery, Recipient, Refusal, Reply, Ticket,
    live::{Command, LiveError, Observer, Options, Outcome, run},
};

/// Looks at an event while its task is held still.
type Look<'a> = Box<dyn FnMut(&Event<'_>) + 'a>;

/// Writes down events: processes are named `0`, `1` … in the order in which they appear (`0` is the
/// watcher), threads `1.0`, `1.1` … in theirs; the context is in front.
#[derive(Default)]
pub(crate) struct Recorder<'a> {
    /// One line for each event.
    pub(crate) lines: Vec<String>,
    /// Notes for people.
    pub(crate) notes: Vec<String>,
    /// The file name of an image that is refused.
    pub(crate) refuse: Option<&'static str>,
    /// Whether answers come late, each after the next batch or a wait.
    pub(crate) late: bool,
    /// After how many batches it is gone.
    pub(crate) gone_after: Option<usize>,
    /// Looks at each event.
    pub(crate) look: Option<Look<'a>>,
    /// Every process that was created, by its Linux number.
    pub(crate) created: Vec<u32>,
    pub(crate) processes: HashMap<ProcessId, usize>,
    pub(crate) threads: HashMap<ProcessId, Vec<ThreadId>>,
    pub(crate) seen: usize,
    pub(crate) batches: usize,
    pub(crate) waiting: Vec<(Ticket, Reply)>,
}

/// What a refused creation ends with in these tests.
pub(crate) const REFUSED: NTSTATUS = NTSTATUS(0xC000_0022_u32.cast_signed());

pub(crate) fn file_name(name: Option<&Name<'_>>) -> String {
    name.map_or("?".to_owned(), |name| name.file_name().to_owned())
}

impl Recorder<'_> {
    fn process(&mut self, id: ProcessId) -> String {
        let next = self.processes.len();
        self.processes.entry(id).or_insert(next).to_string()
    }

    fn thread(&mut self, id: ClientId) -> String {
        let process = self.process(id.process);
        let threads = self.threads.entry(id.process).or_default();
        let index = threads.iter().position(|thread| *thread == id.thread).unwrap_or_else(|| {
            threads.push(id.thread);
            threads.len() - 1
        });
        format!("{process}.{index}")
    }

    fn describe(&mut self, process: &Process<'_>) -> String {
        let creator = self.thread(process.creator);
        let parent = self.process(process.parent);
        self.thread(ClientId { process: process.process, thread: process.first_thread });
        let this = self.process(process.process);
        let line = process.command_line.as_deref().unwrap_or("?");
        format!("{this} of {parent} by {creator} {} `{line}`", file_name(process.image.as_ref()))
    }

    fn line(&mut self, event: &Event<'_>) -> String {
        if let EventKind::ProcessPresent(process) = &event.kind {
            let this = self.process(process.process);
            return format!("present {this}");
        }
        let context = self.thread(event.context);
        let what = match &event.kind {
            EventKind::ProcessPresent(_) => String::new(),
            EventKind::ProcessClone(process) => format!("clone {}", self.describe(process)),
            EventKind::ProcessCreate(process) => {
                self.created.extend(process.process.to_linux());
                format!("create {}", self.describe(process))
            }
            EventKind::ProcessExit(exit) => {
                format!("exit {} {:#x}", self.process(exit.process), exit.status.0)
            }
            EventKind::ThreadCreate(thread) => format!("thread {}", self.thread(thread.thread)),
            EventKind::ThreadExit(exit) => {
                format!("thread exit {} {:#x}", self.thread(exit.thread), exit.status.0)
            }
            EventKind::ImageLoad(image) => self.image(image),
        };
        format!("[{context}] {what}")
    }

    fn image(&mut self, image: &Image<'_>) -> String {
        format!("image {}{}", file_name(image.name.as_ref()), if image.partial { " (partial)" } else { "" })
    }

    /// The lines without those of libraries, which differ from machine to machine.
    pub(crate) fn without_libraries(&self) -> Vec<&str> {
        let library = |line: &str| line.contains("image lib") || (line.contains("image ld-linux"));
        self.lines.iter().map(String::as_str).filter(|line| !library(line)).collect()
    }

    /// Lines that say something.
    pub(crate) fn with(&self, text: &str) -> Vec<&str> {
        self.lines.iter().map(String::as_str).filter(|line| line.contains(text)).collect()
    }
}

impl Recipient for Recorder<'_> {
    fn deliver(&mut self, batch: &[Event<'_>]) -> Delivery {
        self.batches += 1;
        if self.gone_after.is_some_and(|after| self.batches > after) {
            return Delivery::Gone;
        }
        let mut reply = Reply::default();
        for event in batch {
            if let Some(look) = &mut self.look {
                look(event);
            }
            let line = self.line(event);
            self.lines.push(line);
            if let EventKind::ProcessCreate(process) = &event.kind
                && self.refuse.is_some_and(|name| name == file_name(process.image.as_ref()))
            {
                reply.refused = Some(Refusal { process: process.process, status: REFUSED, driver: None });
                break;
            }
        }
        if !self.late {
            return Delivery::Done(reply);
        }
        self.seen += 1;
        let ticket = Ticket(u32::try_from(self.seen).unwrap());
        self.waiting.push((ticket, reply));
        Delivery::Pending(ticket)
    }

    fn finished(&mut self, wait: Duration) -> Option<(Ticket, Delivery)> {
        // Who is asked not to wait is not done yet.
        if wait.is_zero() || self.waiting.is_empty() {
            return None;
        }
        let (ticket, reply) = self.waiting.remove(0);
        Some((ticket, Delivery::Done(reply)))
    }
}

struct Notes<'a>(&'a mut Vec<String>);

impl Observer for Notes<'_> {
    fn note(&mut self, _: event::Level, text: &str) {
        self.0.push(text.to_owned());
    }
}

/// Runs a command and writes down what it does.
pub(crate) fn record<A: AsRef<OsStr>>(
    recorder: &mut Recorder<'_>,
    program: impl AsRef<OsStr>,
    arguments: &[A],
) -> Result<Outcome, LiveError> {
    let mut notes = Vec::new();
    let outcome =
        run(&Command::new(program, arguments), recorder, Options { observer: Some(&mut Notes(&mut notes)) });
    recorder.notes = notes;
    outcome
}

/// Runs a script and gives what it did, and the code it ended with.
pub(crate) fn script(recorder: &mut Recorder<'_>, text: &str) -> u8 {
    record(recorder, "sh", &["-c", text]).unwrap().ending.shell_code()
}

/// Whether this machine lets tests trace. Where it does not, that is said, once for each test; it is a failure where what
/// they say is to prove something (`cargo xtask conformance`).
pub(crate) fn may_trace() -> bool {
    static MAY: std::sync::OnceLock<Result<(), String>> = std::sync::OnceLock::new();
    let may = MAY.get_or_init(|| match record(&mut Recorder::default(), "true", &[""; 0]) {
        Err(error @ (LiveError::NotPermitted { .. } | LiveError::NoFilter { .. })) => Err(error.to_string()),
        _ => Ok(()),
    });
    if let Err(why) = may {
        assert!(std::env::var_os("CALLBOARD_REQUIRE_TRACING").is_none(), "tracing is not permitted: {why}");
        skipped(why);
    }
    may.is_ok()
}

/// Says that something was not tested, past the capture of the test harness.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// The program that does what no shell can.
pub(crate) const TRACEE: &str = env!("CARGO_BIN_EXE_callboard-source-tracee");
