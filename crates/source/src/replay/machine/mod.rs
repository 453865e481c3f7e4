//! One recorded machine: what its records say becomes what drivers are told.
//!
//! ```text
//!   Entry ──▶ tell ── what comes before it, whatever the times say
//!              ├───── create.rs   processes: created, there before, named
//!              ├───── exit.rs     processes that exit, threads
//!              └───── image.rs    images, drivers
//! ```

mod create;
mod exit;
mod image;

use event::{ClientId, Conditions, Event, EventKind, ProcessId, ThreadId, Time};
use telemetry::{Reason, Subject, What};

use super::account::{Absent, Account, Cause};
use super::identity::{self, Identities};
use super::normaliser::{Accepted, Rejection, Step, Told};
use super::options::Options;
use super::processes::{Processes, SLACK, Who};
use super::window::{Entry, Window};

/// The thread of System in whose context drivers are loaded, and processes created of which nobody knows the creator.
const SYSTEM_WORKER: ClientId = ClientId { process: ProcessId::SYSTEM, thread: ThreadId(92) };

/// Why a record is not told, and what exactly is the matter with it.
type Refused = (Cause, String);

/// What a machine needs of the whole recording.
pub(super) struct Reading<'a> {
    pub(super) options: &'a Options,
    pub(super) account: &'a mut Account,
    pub(super) out: &'a mut dyn FnMut(Step<'_>),
}

/// One recorded machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) window: Window,
    processes: Processes,
    identities: Identities,
    /// What the record that is being told has told so far.
    telling: Vec<Told>,
}

impl Machine {
    pub(super) fn new(index: usize, name: String) -> Self {
        Self {
            index,
            name,
            window: Window::default(),
            processes: Processes::default(),
            identities: Identities::default(),
            telling: Vec::new(),
        }
    }

    /// A record comes. It is given back where it is too late to wait for its turn.
    pub(super) fn hear(&mut self, mut entry: Entry) -> Option<Entry> {
        entry.mistaken = self.identities.check(&mut entry.told.what);
        self.window.insert(entry)
    }

    /// Tells all records that have waited long enough.
    pub(super) fn tell_due(&mut self, most: usize, reading: &mut Reading<'_>) {
        let span = reading.options.span();
        while let Some(entry) = self.window.due(most, span) {
            self.tell(entry, reading);
        }
    }

    /// Tells all records that wait.
    pub(super) fn tell_all(&mut self, reading: &mut Reading<'_>) {
        while let Some(entry) = self.window.next() {
            self.tell(entry, reading);
        }
    }

    /// Tells a record, and before and behind it those that belong there.
    pub(super) fn tell(&mut self, mut entry: Entry, reading: &mut Reading<'_>) {
        let processes = &self.processes;
        entry.mistaken |=
            identity::strip(&mut entry.told.what, |unique| processes.is_long_gone(unique, entry.time));
        if entry.mistaken {
            // What a process does before its creation is recorded is what Sysmon is mistaken about.
            let last = Time(entry.time.0.saturating_add(SLACK));
            identity::correct(&mut entry.told.what, |id| match processes.get(id) {
                Some(live) => {
                    live.unique.clone().filter(|_| live.created.is_none_or(|created| created <= last))
                }
                None => self.window.born(id, last).cloned(),
            });
        }
        self.tell_before(&entry, reading);
        let told = self.tell_one(&mut entry, reading);
        let mut events = std::mem::take(&mut self.telling);
        let (file, number) = (entry.file, entry.told.number);
        let follows = match told {
            Ok(follows) => {
                let account = &mut *reading.account;
                account.accepted += 1;
                account.reordered += u64::from(entry.reordered);
                account.late += u64::from(entry.late);
                (reading.out)(Step::Accepted(Accepted {
                    machine: self.index,
                    name: &self.name,
                    file,
                    number,
                    events: &mut events,
                }));
                follows
            }
            Err((cause, detail)) => {
                reading.account.reject(cause, file, number, || detail.clone());
                (reading.out)(Step::Rejected(Rejection { file, number, cause, detail: &detail }));
                None
            }
        };
        self.telling = events;
        self.telling.clear();
        if let Some(thread) = follows {
            self.tell(thread, reading);
        }
    }

    /// What waits and comes before a record, whatever the times say.
    fn tell_before(&mut self, entry: &Entry, reading: &mut Reading<'_>) {
        match &entry.told.what {
            What::ProcessCreate(_) | What::ProcessPresent(_) | What::DriverLoad(_) => {}
            What::ProcessExit(exit) => {
                self.create_first(&exit.subject, entry.time, reading);
                // Where only the id says which process it is, later records may be of another one; and long after its exit
                // they are, whatever else they say.
                let all = exit.subject.unique.is_some();
                let last = Time(entry.time.0.saturating_add(SLACK));
                let belongs = |other: &Entry| {
                    let born = matches!(other.told.what, What::ProcessCreate(_) | What::ProcessPresent(_));
                    let ends = matches!(other.told.what, What::ProcessExit(_));
                    !born && !ends && (all && other.time <= last || other.time == entry.time)
                };
                while let Some(before) = self.window.take(&exit.subject, belongs) {
                    self.tell(before, reading);
                }
            }
            What::ThreadCreate(thread) | What::ThreadExit(thread) => {
                self.create_first(&thread.subject, entry.time, reading);
            }
            What::ImageLoad(image) => {
                self.create_first(&image.subject, entry.time, reading);
                self.begin_first(image, entry.time, reading);
            }
        }
    }

    /// A process that is told of has been created before.
    fn create_first(&mut self, subject: &Subject, time: Time, reading: &mut Reading<'_>) {
        if !matches!(self.processes.who(subject, time), Who::Unknown(_) | Who::Stale(_)) {
            return;
        }
        let all = subject.unique.is_some();
        let creates = |other: &Entry| {
            matches!(&other.told.what, What::ProcessCreate(_) | What::ProcessPresent(_))
                && (all || other.time == time)
        };
        if let Some(create) = self.window.take(subject, creates) {
            self.tell(create, reading);
        }
    }

    /// Tells one record, or says why not. The record that is given back comes right behind it.
    fn tell_one(&mut self, entry: &mut Entry, reading: &mut Reading<'_>) -> Result<Option<Entry>, Refused> {
        let strict = reading.options.is_strict();
        if strict && entry.late {
            return Err((Cause::Late, "records that happened after it have been told".into()));
        }
        let present = matches!(entry.told.what, What::ProcessPresent(_));
        let timeless = entry.undated && !present;
        if strict && timeless {
            return Err(lacks(Absent::Time));
        }
        let mut follows = None;
        match &mut entry.told.what {
            What::ProcessCreate(create) | What::ProcessPresent(create) => {
                follows = self.create(create, entry.time, present, entry.late, reading)?;
            }
            What::ProcessExit(exit) => self.exit(&exit.subject, exit.status, entry.time, reading)?,
            What::ThreadCreate(thread) => self.thread_create(thread, entry.time, reading)?,
            What::ThreadExit(thread) => self.thread_exit(thread, entry.time, reading)?,
            What::ImageLoad(image) => self.image(image, entry.time, reading)?,
            What::DriverLoad(driver) => self.driver(driver, entry.time, reading)?,
        }
        if timeless {
            reading.account.lacks(Absent::Time);
        }
        Ok(follows)
    }

    fn push(&mut self, time: Time, context: ClientId, kind: EventKind<'static>, recorded: bool) {
        let event = Event { time, context, kind, conditions: Conditions::default() };
        self.telling.push(Told { event, recorded });
    }

    /// A thread of a process: the one that the record names, or else its first one.
    fn context(&self, process: u32, thread: Option<u32>) -> ClientId {
        match ProcessId(process) {
            ProcessId::IDLE => SYSTEM_WORKER,
            ProcessId::SYSTEM if thread.is_none() => SYSTEM_WORKER,
            _ => self.processes.client(process, thread),
        }
    }
}

fn nobody() -> Refused {
    (Cause::Read(Reason::NoProcess), "it does not say which process it is of".into())
}

fn lacks(what: Absent) -> Refused {
    (Cause::Incomplete, format!("it has no {}", what.name()))
}

/// Strict: a record says all that one of its kind says.
fn refuse_absent(absent: &[(Absent, bool)]) -> Result<(), Refused> {
    absent.iter().find(|(_, absent)| *absent).map_or(Ok(()), |(what, _)| Err(lacks(*what)))
}
