//! Many machines in one recording, told apart.

use event::{Event, EventKind, ProcessId};
use foldhash::{HashMap, HashMapExt};
use telemetry::{Reason, Rejected};

use super::account::{Account, Cause};
use super::machine::{Machine, Reading};
use super::options::{Options, Which};
use super::seen::Seen;
use super::window::Entry;

/// How many machines one recording may have.
const MACHINES: usize = 4096;
/// How many windows the records of all machines may fill together.
const WINDOWS: usize = 16;

/// Something that drivers are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What.
    pub event: Event<'static>,
    /// Whether the record says so, rather than that it must have been so.
    pub recorded: bool,
}

/// A record that is told.
#[derive(Debug)]
pub struct Accepted<'a> {
    /// The machine, by its place in the order in which they were first heard of.
    pub machine: usize,
    /// Its name; empty where the recording has none.
    pub name: &'a str,
    /// The file, by its place in the order of files.
    pub file: usize,
    /// Which record of that it is.
    pub number: u64,
    /// What it tells: one recorded event, among those that must have been before and behind it. They may be taken out.
    pub events: &'a mut Vec<Told>,
}

/// Events that were told before, of one machine: they are told again.
#[derive(Debug)]
pub struct Passed<'a> {
    /// The machine, as in [`Accepted`].
    pub machine: usize,
    /// Its name.
    pub name: &'a str,
    /// The file, by its place in the order of files.
    pub file: usize,
    /// Which record of that the first is; the others follow it.
    pub first: u64,
    /// What happened.
    pub events: Vec<Event<'static>>,
}

/// A record that is not told.
#[derive(Clone, Copy, Debug)]
pub struct Rejection<'a> {
    /// The file, by its place in the order of files.
    pub file: usize,
    /// Which record of that it is.
    pub number: u64,
    /// Why.
    pub cause: Cause,
    /// What exactly is the matter with it.
    pub detail: &'a str,
}

/// What becomes of a record.
#[derive(Debug)]
pub enum Step<'a> {
    /// It is told.
    Accepted(Accepted<'a>),
    /// It is one of those that are told as they are.
    Passed(Passed<'a>),
    /// It is not.
    Rejected(Rejection<'a>),
}

/// Makes of the records of a recording what happened on its machines, in the order in which drivers are told.
///
/// Holds the processes that live, the records that wait to be put in order, and the numbers that logs gave to those that
/// came (see `seen`), and nothing else of the recording.
#[derive(Debug)]
pub struct Normaliser {
    options: Options,
    account: Account,
    machines: Vec<Machine>,
    by_name: HashMap<String, usize>,
    /// The name that was looked up last: most come many times in a row.
    last: Option<(String, usize)>,
    waiting: usize,
    seen: Seen,
}

impl Normaliser {
    /// Nothing read yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            account: Account::default(),
            machines: Vec::new(),
            by_name: HashMap::new(),
            last: None,
            waiting: 0,
            seen: Seen::default(),
        }
    }

    /// Takes the next record of a file; `out` hears of all whose turn that makes it.
    pub fn take(
        &mut self,
        file: usize,
        record: Result<Box<telemetry::Told>, Rejected>,
        out: &mut dyn FnMut(Step<'_>),
    ) {
        self.account.read += 1;
        let told = match record {
            Ok(told) => told,
            Err(Rejected { number, reason, detail }) => {
                return self.reject(file, number, Cause::Read(reason), &detail, out);
            }
        };
        let name = told.machine.as_deref().unwrap_or_default();
        let index = match self.wanted(name) {
            Ok(index) => index,
            Err(cause) => return self.reject(file, told.number, cause, name, out),
        };
        // NT has no time before 1601.
        let time = told.time.filter(|time| time.0 >= 0);
        if let (Some(id), Some(time)) = (told.record_id, time)
            && !self.seen.is_first(index, id, time)
        {
            let detail = format!("record {} of the log was told before", id.number);
            return self.reject(file, told.number, Cause::Duplicate, &detail, out);
        }
        let entry = Entry::new(file, told, time);
        let Some(machine) = self.machines.get_mut(index) else { return };
        let mut reading = Reading { options: &self.options, account: &mut self.account, out };
        let before = machine.window.len();
        if let Some(late) = machine.hear(entry) {
            machine.tell(late, &mut reading);
        }
        // Many machines share the room of some.
        let full = self.waiting >= self.options.window.saturating_mul(WINDOWS);
        let most = if full { before.min(self.options.window) } else { self.options.window };
        machine.tell_due(most, &mut reading);
        self.waiting = (self.waiting + machine.window.len()).saturating_sub(before);
    }

    /// Takes the next events of a file that holds events as they were told, of the machine `name`, of which the `first` is
    /// that record of the file: they are told again.
    pub fn pass(
        &mut self,
        file: usize,
        first: u64,
        name: &str,
        events: Vec<Event<'static>>,
        out: &mut dyn FnMut(Step<'_>),
    ) {
        self.account.read += events.len() as u64;
        // Nearly always they go on as they came, and none of them is moved.
        if events.iter().all(|event| refused(event).is_none()) {
            return self.pass_all(file, first, name, events, out);
        }
        let (mut next, mut passing) = (first, Vec::new());
        for event in events {
            let Some((cause, detail)) = refused(&event) else {
                passing.push(event);
                continue;
            };
            let number = next + passing.len() as u64;
            self.pass_all(file, next, name, std::mem::take(&mut passing), out);
            self.reject(file, number, cause, &detail, out);
            next = number + 1;
        }
        self.pass_all(file, next, name, passing, out);
    }

    fn pass_all(
        &mut self,
        file: usize,
        first: u64,
        name: &str,
        events: Vec<Event<'static>>,
        out: &mut dyn FnMut(Step<'_>),
    ) {
        if events.is_empty() {
            return;
        }
        match self.wanted(name) {
            Ok(machine) => {
                self.account.accepted += events.len() as u64;
                out(Step::Passed(Passed { machine, name, file, first, events }));
            }
            Err(cause) => {
                (first..).zip(&events).for_each(|(number, _)| self.reject(file, number, cause, name, out));
            }
        }
    }

    /// The recording pauses, and may go on: `out` hears of all records that waited. What comes later and happened before
    /// them is too late to be put in order.
    pub fn idle(&mut self, out: &mut dyn FnMut(Step<'_>)) {
        self.finish(out);
    }

    /// The recording is at its end: `out` hears of all records that waited.
    pub fn finish(&mut self, out: &mut dyn FnMut(Step<'_>)) {
        let mut reading = Reading { options: &self.options, account: &mut self.account, out };
        for machine in &mut self.machines {
            machine.tell_all(&mut reading);
        }
        self.waiting = 0;
    }

    /// What was read, and what became of it.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The machines of the recording so far, also those whose records are not told, in the order in which they were first heard of.
    pub fn machines(&self) -> impl ExactSizeIterator<Item = &str> {
        self.machines.iter().map(|machine| machine.name.as_str())
    }

    /// How many records wait to be put in order.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    fn reject(
        &mut self,
        file: usize,
        number: u64,
        cause: Cause,
        detail: &str,
        out: &mut dyn FnMut(Step<'_>),
    ) {
        self.account.reject(cause, file, number, || detail.to_owned());
        out(Step::Rejected(Rejection { file, number, cause, detail }));
    }

    /// The machine of that name, if it is one whose records are told.
    fn wanted(&mut self, name: &str) -> Result<usize, Cause> {
        let index = self.machine(name).ok_or(Cause::TooManyMachines)?;
        let wanted = match &self.options.machines {
            Which::All => true,
            Which::First => index == 0,
            Which::Named(wanted) => wanted.eq_ignore_ascii_case(name),
        };
        if wanted { Ok(index) } else { Err(Cause::OtherMachine) }
    }

    /// The machine of that name, whatever its case.
    fn machine(&mut self, name: &str) -> Option<usize> {
        if let Some((last, index)) = &self.last
            && last == name
        {
            return Some(*index);
        }
        let index = self.look_up(name)?;
        self.last = Some((name.to_owned(), index));
        Some(index)
    }

    fn look_up(&mut self, name: &str) -> Option<usize> {
        if let Some(index) = self.by_name.get(name) {
            return Some(*index);
        }
        let index = match self.machines.iter().position(|machine| machine.name.eq_ignore_ascii_case(name)) {
            Some(index) => index,
            None if self.machines.len() >= MACHINES => return None,
            None => {
                self.machines.push(Machine::new(self.machines.len(), name.to_owned()));
                self.machines.len() - 1
            }
        };
        // Each way to write it is looked up once, as long as nobody writes it in all ways.
        if self.by_name.len() < 2 * MACHINES {
            self.by_name.insert(name.to_owned(), index);
        }
        Some(index)
    }
}

/// Why an event that was told before is not told again.
fn refused(event: &Event<'_>) -> Option<(Cause, String)> {
    let system = [ProcessId::IDLE, ProcessId::SYSTEM].contains(&event.process());
    if system && matches!(event.kind, EventKind::ProcessCreate(_) | EventKind::ProcessExit(_)) {
        let detail = format!("process {} is there as long as the machine", event.process());
        return Some((Cause::SystemProcess, detail));
    }
    (event.time.0 < 0).then(|| (Cause::Read(Reason::Malformed), "a time before 1601".to_owned()))
}
