//! Which record makes which row.
//!
//! Every row begins with its kind; `page/read.js` reads them by the same letters. `when` is in 100 ns units since the
//! row with a `when` before, so that it may be negative; `process` and `driver` are numbers of `P` and `D` rows.
//!
//! ```text
//!   R  unix ms, 100 ns behind them, version, profile, machine, command     a run begins
//!   D  name, path, base, size, missing imports                             a driver
//!   E  when, driver, status, whether good, nanoseconds                     DriverEntry returned
//!   U  when, driver, nanoseconds                                           it was unloaded
//!   G  when, driver, what, whether good                                    a registration
//!   P  when, origin, pid, parent, parent's pid, creator's pid, name, image, command line, remarks
//!   X  when, process, status                                               it exited
//!   T  when, process, tid            Q  when, process, tid, status         a thread came, went
//!   I  when, process, image, base, size, remarks                           an image was mapped
//!   N  driver, family, nanoseconds, CreationStatus                         a routine was called for the row before
//!   V  when, process, status, driver                                       a refusal
//!   K  when, process, status, driver                                       a termination
//!   B  when, process, because                                              from here on it would not have happened
//!   O  when, process, driver, text                                         a driver printed a line
//!   F  when, process, driver, rule, severity, message, bug check, stack    a finding
//!   S  when, process, driver, title, message, parameters, stack, registers a stop
//!   L  when, driver, one, several, which, how many, bytes                  a leak
//!   M  when, process, change, text                                         not as in the run it is compared with
//!   W  when, level, text                                                   a note
//!   C  when, text, whether good                                            the command ended
//!   Z  when                                                                the run ended
//! ```

mod trouble;

use std::collections::HashMap;

use event::{Body, ClientId, DriverId, Event, EventKind, Level, Process, ProcessId, Record, Time};

use super::budget::{Budget, Class};
use super::cells::{Row, Texts, short};
use super::people::{Origin, People, Waiting};
use super::totals::{DriverRow, Kind, Totals};
use crate::words;

/// How many findings and refusals are kept for the page without a script.
const TOLD: usize = 100;
/// How many processes may be said not to have happened before the next event.
const DOUBTS: usize = 1_024;
/// The farthest that a row is from the one before: JavaScript's numbers are exact up to here.
const FARTHEST: i64 = 1 << 52;
/// From 1601 to 1970, in 100 ns units.
const UNIX_EPOCH: i64 = 116_444_736_000_000_000;

/// The event that notifications and the like follow.
struct Now {
    time: Time,
    kind: Kind,
    context: ClientId,
    process: ProcessId,
    written: bool,
}

/// Turns records into rows.
pub(super) struct Rows {
    texts: Texts,
    people: People,
    budget: Budget,
    pub(super) totals: Totals,
    /// The drivers of this run, by their ids in it.
    drivers: HashMap<DriverId, u64>,
    /// All drivers, by name and path.
    driver_rows: HashMap<(Box<str>, Box<str>), u64>,
    driver_names: Vec<Box<str>>,
    last: Time,
    now: Option<Now>,
    /// Processes of which it was said that they would not have happened, since the last event: some are created by
    /// the next.
    doubts: Vec<(ProcessId, Option<u64>, Time)>,
    /// What went wrong first, in words.
    pub(super) told: Vec<String>,
    /// What was run.
    pub(super) title: String,
}

impl Rows {
    pub(super) fn new(details: u64) -> Self {
        Self {
            texts: Texts::default(),
            people: People::default(),
            budget: Budget::new(details),
            totals: Totals::default(),
            drivers: HashMap::new(),
            driver_rows: HashMap::new(),
            driver_names: Vec::new(),
            last: Time(0),
            now: None,
            doubts: Vec::new(),
            told: Vec::new(),
            title: String::new(),
        }
    }

    pub(super) fn left_out(&self) -> super::budget::LeftOut {
        self.budget.left_out()
    }

    /// Appends what was kept back.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.settle_doubts(None, out);
        self.totals.settle();
    }

    /// Appends a record's rows, if it has any.
    pub(super) fn add(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let before = out.len();
        self.totals.add(record);
        self.record(record, out);
        self.budget.spend(out.len() - before);
    }

    fn record(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let time = self.when(record);
        if matches!(record.body, Body::Start { .. } | Body::End) {
            self.settle_doubts(None, out);
        }
        match &record.body {
            Body::Start { version, profile, machine, command } => {
                self.start(time, (version, profile, machine), command, out);
            }
            Body::DriverLoad { driver, name, path, base, size, missing } => {
                let missing: Vec<_> = missing.iter().map(AsRef::as_ref).collect();
                self.driver_load(*driver, (name, path), (*base, *size), &missing, out);
            }
            Body::DriverStart { driver, status, elapsed } => {
                let driver = self.driver(*driver, out);
                if !status.is_success() {
                    self.tell(|rows| {
                        format!(
                            "{}: DriverEntry returned {}",
                            rows.name(Some(driver)),
                            words::status(*status)
                        )
                    });
                }
                if self.budget.take(Class::Matter) {
                    let row = self.row(out, 'E', time).number(driver).text(&words::status(*status));
                    row.number(status.is_success()).number(*elapsed).end();
                }
            }
            Body::DriverUnload { driver, elapsed } => {
                let driver = self.driver(*driver, out);
                if self.budget.take(Class::Matter) {
                    self.row(out, 'U', time).number(driver).optional(*elapsed).end();
                }
            }
            Body::Registration { driver, family, flavour, slot, removed, status, .. } => {
                let driver = self.driver(*driver, out);
                if self.budget.take(Class::Matter) {
                    let api = words::registrar(*family, *flavour, *removed);
                    let place = slot.map_or_else(String::new, |slot| format!(", slot {slot}"));
                    let what = format!("{api}: {}{place}", words::status(*status));
                    self.row(out, 'G', time).number(driver).text(&what).number(status.is_success()).end();
                }
            }
            Body::Event(event) => self.event(event, out),
            Body::Notification(call) => {
                let driver = self.driver(call.driver, out);
                let now = self.now.as_ref().filter(|now| now.kind.family() == call.family);
                self.totals.call(driver, now.map_or(Kind::any(call.family), |now| now.kind), call.elapsed);
                if now.is_some_and(|now| now.written) {
                    let status = call.status.filter(|status| status.as_u32() != 0).map(words::status);
                    let row =
                        Row::new(out, &mut self.texts, 'N').number(driver).text(words::family(call.family));
                    row.number(call.elapsed).text_or_null(status.as_deref()).end();
                }
            }
            Body::Verdict { process, status, driver } if !status.is_success() => {
                let driver = driver.map(|driver| self.driver(driver, out));
                self.totals.refusal(driver, words::status(*status));
                self.tell_of(*process, |rows, process| {
                    format!("{process} was refused by {} with {}", rows.name(driver), words::status(*status))
                });
                self.ended('V', time, (*process, driver), &words::status(*status), out);
            }
            Body::Verdict { .. } => {}
            Body::Termination { process, status, driver } => {
                let driver = driver.map(|driver| self.driver(driver, out));
                self.tell_of(*process, |rows, process| {
                    let status = words::exit_status(*status);
                    format!("{process} was terminated by {} with {status}", rows.name(driver))
                });
                self.ended('K', time, (*process, driver), &words::exit_status(*status), out);
            }
            Body::Doubt { process, because } => {
                self.totals.doubted += 1;
                self.doubts.push((*process, self.people.row(*because), time));
                if self.doubts.len() > DOUBTS {
                    self.settle_doubts(None, out);
                }
            }
            Body::Debug { driver, text, .. } => {
                let driver = driver.map(|driver| self.driver(driver, out));
                let process = self.subject(record.context).and_then(|process| self.people.row(process));
                if self.budget.take(Class::Line) {
                    self.row(out, 'O', time).optional(process).optional(driver).text(text).end();
                }
            }
            Body::Finding(finding) => self.finding((record, time), finding, out),
            Body::Stop(stop) => self.stop((record, time), stop, out),
            Body::Leak(leak) => self.leak(time, leak, out),
            Body::Difference { change, process, text } => {
                self.totals.differences += 1;
                self.tell(|_| text.to_string());
                if self.budget.take(Class::Matter) {
                    // It comes when a machine's processes are gone, some of them long ago.
                    let process = self.people.row(*process);
                    self.row(out, 'M', time).optional(process).text(words::change(*change)).text(text).end();
                }
            }
            Body::Note { level, text } => {
                let (class, word) = match level {
                    Level::Info => (Class::Line, "note"),
                    Level::Warning => (Class::Matter, "warning"),
                };
                if self.budget.take(class) {
                    self.row(out, 'W', time).text(word).text(text).end();
                }
            }
            Body::CommandExit { code, signal } => {
                let good = (*code, *signal) == (Some(0), None);
                self.row(out, 'C', time).text(&words::command_end(*code, *signal)).number(good).end();
            }
            Body::Timing(timing) => {
                let driver = self.driver(timing.driver, out);
                self.totals.told(driver, *timing);
            }
            Body::PoolUsage(usage) => {
                let driver = self.driver(usage.driver, out);
                self.totals.pool(driver, usage);
            }
            Body::End => {
                self.totals.settle();
                self.row(out, 'Z', time).end();
            }
        }
    }

    fn start(
        &mut self,
        time: Time,
        (version, profile, machine): (&str, &str, &str),
        command: &[impl AsRef<str>],
        out: &mut Vec<u8>,
    ) {
        self.totals.settle();
        self.people.clear();
        self.drivers.clear();
        self.now = None;
        self.last = time;
        let command = words::shell_form(command);
        if self.title.is_empty() {
            self.title = short(if command.is_empty() { machine } else { &command });
        }
        if self.budget.take(Class::Matter) {
            let ticks = time.0.saturating_sub(UNIX_EPOCH);
            Row::new(out, &mut self.texts, 'R')
                .number(ticks.div_euclid(10_000))
                .number(ticks.rem_euclid(10_000))
                .text(version)
                .text(profile)
                .text(machine)
                .text(&command)
                .end();
        }
    }

    /// Begins a row that has a time.
    fn row<'a>(&'a mut self, out: &'a mut Vec<u8>, kind: char, time: Time) -> Row<'a> {
        let since = time.0.saturating_sub(self.last.0).clamp(-FARTHEST, FARTHEST);
        self.last = Time(self.last.0.saturating_add(since));
        Row::new(out, &mut self.texts, kind).number(since)
    }

    fn driver_load(
        &mut self,
        id: DriverId,
        (name, path): (&str, &str),
        (base, size): (u64, u64),
        missing: &[&str],
        out: &mut Vec<u8>,
    ) -> u64 {
        let key = (name.into(), path.into());
        let next = self.driver_names.len() as u64;
        let number = *self.driver_rows.entry(key).or_insert(next);
        if number == next {
            self.driver_names.push(short(name).into());
            let row = Row::new(out, &mut self.texts, 'D').text(name).text(path);
            row.text(&format!("{base:#x}")).number(size).lines(missing).end();
        }
        self.drivers.insert(id, number);
        number
    }

    /// The number of a driver; one whose load was not recorded is called by its id.
    fn driver(&mut self, id: DriverId, out: &mut Vec<u8>) -> u64 {
        match self.drivers.get(&id) {
            Some(&number) => number,
            None => self.driver_load(id, (&format!("driver {}", id.0), ""), (0, 0), &[], out),
        }
    }

    fn name(&self, driver: DriverRow) -> &str {
        let index = driver.and_then(|driver| usize::try_from(driver).ok());
        index.and_then(|index| self.driver_names.get(index)).map_or("the kernel", |name| name)
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let id = event.process();
        let kind = Kind::of(&event.kind);
        let created =
            matches!(event.kind, EventKind::ProcessCreate(_) | EventKind::ProcessClone(_)).then_some(id);
        let doubted = self.settle_doubts(created, out);
        let written = match &event.kind {
            EventKind::ProcessPresent(process) => self.appear(event, process, Origin::Present, out),
            EventKind::ProcessClone(process) => self.appear(event, process, Origin::Cloned, out),
            EventKind::ProcessCreate(process) => self.appear(event, process, Origin::Created, out),
            EventKind::ProcessExit(exit) => {
                let at_home = self.meet(id, event.time, Class::Process, out);
                let first = self.people.get(id).is_some_and(|person| !person.gone);
                let status = words::exit_status(exit.status);
                let fits = first && at_home.is_some() || self.budget.take(Class::Process);
                let told = at_home.filter(|_| fits);
                if let Some(number) = told {
                    self.row(out, 'X', event.time).number(number).text(&status).end();
                }
                self.people.leave(id);
                told.is_some()
            }
            EventKind::ThreadCreate(thread) => {
                self.happen(event, Class::Thread, out, 'T', |row| row.number(thread.thread.thread.0).end())
            }
            EventKind::ThreadExit(exit) => self.happen(event, Class::Thread, out, 'Q', |row| {
                row.number(exit.thread.thread.0).text(&words::exit_status(exit.status)).end();
            }),
            EventKind::ImageLoad(image) => self.happen(event, Class::Image, out, 'I', |row| {
                let name = image.name.as_ref().map(event::Name::for_people);
                let mut remarks = words::unusual(event);
                remarks.extend(
                    [(image.partial, "partial"), (image.conflicting, "conflicting")]
                        .iter()
                        .filter_map(|&(holds, word)| holds.then_some(word)),
                );
                if image.architecture != event::Architecture::X64 {
                    remarks.push(words::architecture(image.architecture));
                }
                let row = row.text_or_null(name).text(&format!("{:#x}", image.base)).number(image.size);
                row.text_or_null(remark(&remarks).as_deref()).end();
            }),
        };
        if let Some(because) = doubted {
            self.doubt(id, because, event.time, out);
        }
        self.now = Some(Now { time: event.time, kind, context: event.context, process: id, written });
    }

    /// Marks the processes of which it was said that they would not have happened, but for the one that is created now:
    /// its cause is handed out.
    fn settle_doubts(&mut self, created: Option<ProcessId>, out: &mut Vec<u8>) -> Option<Option<u64>> {
        let mut doubted = None;
        for (process, because, time) in std::mem::take(&mut self.doubts) {
            if created == Some(process) {
                doubted = Some(because);
            } else {
                self.doubt(process, because, time, out);
            }
        }
        doubted
    }

    fn doubt(&mut self, id: ProcessId, because: Option<u64>, time: Time, out: &mut Vec<u8>) {
        if let Some(number) = self.people.row(id)
            && self.budget.take(Class::Process)
        {
            self.row(out, 'B', time).number(number).optional(because).end();
        }
    }

    /// When what a record says was: while drivers are told of an event, it is the event's time, as a bench's clock stands
    /// still or is ahead by then.
    fn when(&self, record: &Record<'_>) -> Time {
        let belongs = |now: &&Now| match &record.body {
            Body::Verdict { process, .. }
            | Body::Termination { process, .. }
            | Body::Doubt { process, .. } => *process == now.process,
            Body::Debug { .. } | Body::Finding(_) | Body::Stop(_) => now.context == record.context,
            _ => false,
        };
        self.now.as_ref().filter(belongs).map_or(record.time, |now| now.time)
    }

    /// A row about something that happened in a process, where there is room.
    fn happen(
        &mut self,
        event: &Event<'_>,
        class: Class,
        out: &mut Vec<u8>,
        kind: char,
        rest: impl FnOnce(Row<'_>),
    ) -> bool {
        let number = self.meet(event.process(), event.time, class, out);
        // A process has no row only where there is no room for anything in it.
        let fits = self.budget.take(class);
        let Some(number) = number.filter(|_| fits) else { return false };
        rest(self.row(out, kind, event.time).number(number));
        true
    }

    /// A process appears. It has a row if there is room, and may have one later.
    fn appear(
        &mut self,
        event: &Event<'_>,
        process: &Process<'_>,
        origin: Origin,
        out: &mut Vec<u8>,
    ) -> bool {
        let parent = self.people.row(process.parent);
        let process = process.clone().into_owned();
        self.people.insert(Waiting { time: event.time, origin, process, parent });
        let fits = self.budget.take(Class::Process);
        if fits {
            self.admit(event.process(), out);
        }
        fits
    }

    /// The row of a process to which something happens; one that was never spoken of before is made known.
    fn meet(&mut self, id: ProcessId, time: Time, class: Class, out: &mut Vec<u8>) -> Option<u64> {
        if self.people.get(id).is_none() {
            self.totals.unseen += 1;
            let process = Process { process: id, ..Process::default() };
            self.people.insert(Waiting { time, origin: Origin::Unseen, process, parent: None });
            if class == Class::Matter || self.budget.take(Class::Process) {
                self.admit(id, out);
            }
        }
        if class == Class::Matter {
            self.admit(id, out);
        }
        self.people.row(id)
    }

    /// Writes the row of a process that has none.
    fn admit(&mut self, id: ProcessId, out: &mut Vec<u8>) {
        let Some(waiting) = self.people.give_row(id) else { return };
        let name = self.people.get(id).and_then(|person| person.name.clone());
        let Waiting { time, origin, process, parent } = *waiting;
        let origin = match origin {
            Origin::Created => 0,
            Origin::Present => 1,
            Origin::Cloned => 2,
            Origin::Unseen => 3,
        };
        let mut remarks = Vec::new();
        if process.architecture != event::Architecture::X64 {
            remarks.push(words::architecture(process.architecture));
        }
        remarks.extend(words::subsystem(process.subsystem));
        let image = process.image.as_ref().map(event::Name::for_people);
        self.row(out, 'P', time)
            .number(origin)
            .number(id.0)
            .optional(parent)
            .number(process.parent.0)
            .number(process.creator.process.0)
            .text_or_null(name.as_deref())
            .text_or_null(image)
            .text_or_null(process.command_line.as_deref())
            .text_or_null(remark(&remarks).as_deref())
            .end();
    }

    /// The process that a record is about which is made while drivers are told of an event, or in somebody's context.
    fn subject(&self, context: ClientId) -> Option<ProcessId> {
        match &self.now {
            Some(now) if now.context == context => Some(now.process),
            _ => (context != ClientId::default()).then_some(context.process),
        }
    }
}

fn remark(words: &[&str]) -> Option<String> {
    (!words.is_empty()).then(|| words.join(", "))
}
