//! What happened, in lines that name processes, threads and drivers as the scenario does.

use std::collections::BTreeMap;

use event::terminal::plain;
use event::{
    Body, DriverId, Event, EventKind, Family, Leak, LeakKind, Notification, ProcessId, Record, ThreadId,
};

use crate::explain;

/// How the scenario calls what records have ids for.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Ids are used again: a name counts from the record at which it was given.
    processes: Vec<(ProcessId, usize, String)>,
    threads: BTreeMap<ThreadId, String>,
    drivers: BTreeMap<DriverId, String>,
}

impl Names {
    /// A process has this name from a record on.
    pub(crate) fn process(&mut self, id: ProcessId, from: usize, name: &str) {
        self.processes.push((id, from, name.to_owned()));
    }

    /// A thread has this name.
    pub(crate) fn thread(&mut self, id: ThreadId, name: &str) {
        self.threads.insert(id, name.to_owned());
    }

    /// A driver has this name.
    pub(crate) fn driver(&mut self, id: DriverId, name: &str) {
        self.drivers.insert(id, name.to_owned());
    }

    /// The driver of a name: of those loaded one after the other, the last.
    pub(crate) fn driver_id(&self, name: &str) -> Option<DriverId> {
        self.drivers.iter().rev().find(|(_, known)| *known == name).map(|(id, _)| *id)
    }

    /// How a driver is called.
    pub(crate) fn of_driver(&self, id: Option<DriverId>) -> String {
        match id {
            Some(id) => self.drivers.get(&id).cloned().unwrap_or_else(|| format!("driver {}", id.0)),
            None => "no driver".into(),
        }
    }

    /// How a process is called at a record.
    pub(crate) fn of_process(&self, id: ProcessId, at: usize) -> String {
        let known = self.processes.iter().rev().find(|(process, from, _)| *process == id && *from <= at);
        match known {
            Some((.., name)) => name.clone(),
            None if id == ProcessId::IDLE => "kernel".into(),
            None if id == ProcessId::SYSTEM => "System".into(),
            None => format!("process {id}"),
        }
    }

    /// An event, as `image ntdll.dll in cmd`.
    pub(crate) fn event(&self, event: &Event<'_>, at: usize) -> String {
        let process = self.of_process(event.process(), at);
        let thread = |id: ThreadId| match self.threads.get(&id) {
            Some(name) => format!(" {name}"),
            None => String::new(),
        };
        match &event.kind {
            EventKind::ProcessPresent(_) => format!("{process} is there"),
            EventKind::ProcessClone(_) => format!("clone {process}"),
            EventKind::ProcessCreate(_) => format!("create {process}"),
            EventKind::ProcessExit(_) => format!("exit {process}"),
            EventKind::ThreadCreate(it) => format!("thread{} in {process}", thread(it.thread.thread)),
            EventKind::ThreadExit(it) => format!("thread exit{} in {process}", thread(it.thread.thread)),
            EventKind::ImageLoad(image) => {
                let name = image.name.as_ref().map_or("(no name)", |name| name.file_name());
                format!("image {name} in {process}")
            }
        }
    }
}

/// Which table is walked for an event.
pub(crate) fn family(event: &Event<'_>) -> Option<Family> {
    match event.kind {
        EventKind::ProcessCreate(_) | EventKind::ProcessExit(_) => Some(Family::Process),
        EventKind::ThreadCreate(_) | EventKind::ThreadExit(_) => Some(Family::Thread),
        EventKind::ImageLoad(_) => Some(Family::Image),
        EventKind::ProcessPresent(_) | EventKind::ProcessClone(_) => None,
    }
}

/// The event that a notice is about: the last of its family before it.
pub(crate) fn event_of<'a>(
    records: &'a [Record<'static>],
    at: usize,
    notice: &Notification,
) -> Option<&'a Event<'static>> {
    records[..at].iter().rev().find_map(|record| match &record.body {
        Body::Event(event) if family(event) == Some(notice.family) => Some(event),
        _ => None,
    })
}

/// Which of its routines of a family a driver's slot is, from 1; `None` where it has but one.
fn which(records: &[Record<'static>], notice: &Notification) -> Option<usize> {
    let mut slots: Vec<u8> = Vec::new();
    for record in records {
        if let Body::Registration { driver, family, slot: Some(slot), removed: false, .. } = record.body
            && driver == notice.driver
            && family == notice.family
            && !slots.contains(&slot)
        {
            slots.push(slot);
        }
    }
    if slots.len() < 2 {
        return None;
    }
    slots.iter().position(|slot| *slot == notice.slot).map(|index| index + 1)
}

/// The notices among records `from..to`, a line each: `edr: create cmd`.
pub(crate) fn notices(names: &Names, records: &[Record<'static>], from: usize, to: usize) -> Vec<String> {
    let notice = |at: usize| match &records.get(at)?.body {
        Body::Notification(notice) => Some(notice_line(names, records, at, notice)),
        _ => None,
    };
    (from..to).filter_map(notice).collect()
}

fn notice_line(names: &Names, records: &[Record<'static>], at: usize, notice: &Notification) -> String {
    let driver = names.of_driver(Some(notice.driver));
    let which = which(&records[..at], notice).map(|which| format!("#{which}")).unwrap_or_default();
    let what = match event_of(records, at, notice) {
        Some(event) => names.event(event, at),
        None => "something".into(),
    };
    let status = match notice.status {
        Some(status) if status.0 != 0 => match status.name() {
            Some(name) => format!(" -> {name}"),
            None => format!(" -> 0x{:08X}", status.as_u32()),
        },
        _ => String::new(),
    };
    format!("{driver}{which}: {what}{status}")
}

/// The lines that drivers printed among some records.
pub(crate) fn debug_lines(records: &[Record<'static>]) -> Vec<String> {
    let line = |record: &Record<'static>| match &record.body {
        Body::Debug { text, .. } => Some(plain(text)),
        _ => None,
    };
    records.iter().filter_map(line).collect()
}

/// Something left behind: `edr: pool Tag1`.
pub(crate) fn leak(names: &Names, leak: &Leak<'_>) -> String {
    let kind = match leak.kind {
        LeakKind::Pool => "pool ",
        LeakKind::Device => "device ",
        LeakKind::SymbolicLink => "symbolic link ",
        LeakKind::Routine => "routine ",
        LeakKind::Thread => "thread ",
        LeakKind::Handle => "handle ",
        LeakKind::Other => "",
    };
    let what = plain(&leak.what);
    // Some say themselves what they are.
    let kind = if what.contains(kind.trim_end()) { "" } else { kind };
    format!("{}: {kind}{what}", names.of_driver(Some(leak.driver)))
}

/// How many lines of a step are told at most, from its beginning and its end.
const SHOWN: usize = 24;
/// How much of the stack of a stop is told.
const FRAMES: usize = 4;
/// How a finding is told.
pub(crate) const FINDING: &str = "  finding ";

/// What happened among records `from..to`, for people.
pub(crate) fn tell(names: &Names, records: &[Record<'static>], from: usize, to: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, record) in records.iter().enumerate().take(to).skip(from) {
        match &record.body {
            Body::Event(event) => lines.push(names.event(event, at)),
            // Only what a notice adds to its event.
            Body::Notification(notice) if notice.family == Family::Process => {
                lines.push(format!("  {}", notice_line(names, records, at, notice)));
            }
            Body::Debug { driver, text, .. } => {
                lines.push(format!("  {} prints: {}", names.of_driver(*driver), plain(text)));
            }
            Body::Finding(finding) => {
                lines.push(format!("{FINDING}{}", explain::finding(names, finding)));
            }
            Body::Registration { driver, family, status, removed, .. } if status.0 != 0 => {
                let what = if *removed { "removing" } else { "registering" };
                let driver = names.of_driver(Some(*driver));
                let family = match family {
                    Family::Process => "process",
                    Family::Thread => "thread",
                    Family::Image => "image",
                };
                lines.push(format!("  {driver}: {what} the {family} routine failed: {status}"));
            }
            Body::Stop(stop) => {
                lines.push(format!("STOP: {}", plain(&stop.message)));
                let frames = stop.stack.iter().take(FRAMES);
                lines.extend(frames.map(|frame| format!("  at {}", explain::place(frame))));
            }
            Body::Leak(it) => lines.push(format!("left behind by {}", leak(names, it))),
            _ => {}
        }
    }
    if lines.len() > SHOWN {
        let left_out = lines.len() - SHOWN;
        let tail = lines.split_off(lines.len() - SHOWN / 2);
        lines.truncate(SHOWN / 2);
        lines.push(format!("… {left_out} more lines …"));
        lines.extend(tail);
    }
    lines
}
