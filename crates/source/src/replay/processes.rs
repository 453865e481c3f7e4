//! Who lives on a recorded machine, and who has exited of late.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use event::{Architecture, ClientId, ProcessId, ThreadId, Time};
use foldhash::HashMap;
use telemetry::{Subject, Unique};

/// How much later than its exit a record of a process may say it was made, in units of 100 ns: a second.
pub(super) const SLACK: i64 = 10_000_000;
/// How many processes that have exited are remembered, for records that come after that.
const REMEMBERED: usize = 4096;
/// Where the ids of threads begin that no record names: above all that Windows gives away. The process's is added.
const FIRST_THREADS: u32 = 0x4000_0000;
/// Where the ids of processes begin that no record says.
const MADE_UP: u32 = 0x2000_0000;

/// The first thread of a process, where no record names it.
pub(super) const fn stand_in(process: u32) -> u32 {
    FIRST_THREADS.wrapping_add(process & (FIRST_THREADS - 1))
}

/// How far a process is with its main image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Main {
    /// Nothing is known of it: the process was there before.
    Unknown,
    /// It comes before any other; with the last component of its name, where that is known.
    Awaited(Option<String>),
    /// It was told without a record, which may come.
    MadeUp(Option<String>),
    /// It was told.
    Told,
}

/// A process that lives.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) unique: Option<Unique>,
    /// When it was created, where that was told.
    pub(super) created: Option<Time>,
    /// Its image, as its creation's record says it.
    pub(super) image: Option<Arc<str>>,
    /// In which context it was created.
    pub(super) creator: ClientId,
    pub(super) first_thread: u32,
    /// Whether the creation of that was told, which comes right behind the process's.
    pub(super) first_told: bool,
    /// Those of its threads that are known and have not exited.
    pub(super) threads: BTreeSet<u32>,
    /// The one that exited last.
    pub(super) last_thread: u32,
    pub(super) architecture: Architecture,
    pub(super) main: Main,
}

/// Which process a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The record does not say.
    Nobody,
    /// Idle or System, which are there as long as the machine.
    System(u32),
    /// One that lives.
    Live(u32),
    /// One that was never heard of.
    Unknown(u32),
    /// One that was never heard of, by the id of another that lives.
    Stale(u32),
    /// One that has exited.
    Gone(u32),
}

/// The processes of a machine.
#[derive(Debug, Default)]
pub(super) struct Processes {
    live: HashMap<u32, Live>,
    /// The ids of those that live, by what tells them from others with the same id.
    unique: HashMap<Unique, u32>,
    /// Whose thread an id is.
    threads: HashMap<u32, u32>,
    gone: VecDeque<(u32, Option<Unique>, Time)>,
    /// The ids of those that have exited, and when, by what tells them from others.
    gone_unique: HashMap<Unique, (u32, Time)>,
    /// When the last process with an id exited, and how many of that id are remembered.
    gone_ids: HashMap<u32, (Time, u32)>,
    made_up: u32,
}

impl Processes {
    /// Which process a record at `time` is of.
    pub(super) fn who(&self, subject: &Subject, time: Time) -> Who {
        let unique = subject.unique.as_ref();
        let Some(id) = subject.process.or_else(|| self.unique.get(unique?).copied()) else {
            return match unique.and_then(|unique| self.gone_unique.get(unique)) {
                Some(&(gone, _)) => Who::Gone(gone),
                None if unique.is_some() => Who::Unknown(self.unused()),
                None => Who::Nobody,
            };
        };
        if id == ProcessId::IDLE.0 || id == ProcessId::SYSTEM.0 {
            return Who::System(id);
        }
        let has_exited = || unique.is_some_and(|unique| self.gone_unique.contains_key(unique));
        let Some(live) = self.live.get(&id) else {
            let before = unique.is_none() && self.gone_ids.get(&id).is_some_and(|(exit, _)| time <= *exit);
            return if has_exited() || before { Who::Gone(id) } else { Who::Unknown(id) };
        };
        let is_before = live.created.is_some_and(|created| time < created);
        match (&live.unique, unique) {
            (Some(one), Some(other)) if one == other => Who::Live(id),
            (Some(_), Some(_)) if is_before || has_exited() => Who::Gone(id),
            (Some(_), Some(_)) => Who::Stale(id),
            (None, Some(_)) if has_exited() => Who::Gone(id),
            _ if is_before => Who::Gone(id),
            _ => Who::Live(id),
        }
    }

    /// Whether a process exited so long before `time` that nothing can have been recorded of it then.
    pub(super) fn is_long_gone(&self, unique: &Unique, time: Time) -> bool {
        self.gone_unique.get(unique).is_some_and(|(_, exit)| time.0.saturating_sub(exit.0) > SLACK)
    }

    /// Whether a process that is known by its id only can have one whose last process exited no later than `time`.
    pub(super) fn is_free_again(&self, id: u32, subject: &Subject, time: Time) -> bool {
        let exited = self.gone_ids.get(&id).is_some_and(|(exit, _)| *exit <= time);
        exited && subject.unique.is_none() && subject.process.is_some() && !self.live.contains_key(&id)
    }

    /// An id that no process has, for one whose record says none.
    fn unused(&self) -> u32 {
        MADE_UP + self.made_up % (MADE_UP / 4) * 4
    }

    pub(super) fn get(&self, id: u32) -> Option<&Live> {
        self.live.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Live> {
        self.live.get_mut(&id)
    }

    /// A process lives from now on. Answers whether its id is made up.
    pub(super) fn enter(&mut self, id: u32, subject: &Subject, live: Live) -> bool {
        if let Some(unique) = &live.unique {
            self.unique.insert(unique.clone(), id);
        }
        for thread in &live.threads {
            self.threads.insert(*thread, id);
        }
        self.live.insert(id, live);
        let made_up = subject.process.is_none();
        self.made_up = self.made_up.wrapping_add(u32::from(made_up));
        made_up
    }

    /// A process that was known by its id only is now known by more.
    pub(super) fn recognise(&mut self, id: u32, subject: &Subject) {
        if let Some(unique) = &subject.unique
            && let Some(live) = self.live.get_mut(&id).filter(|live| live.unique.is_none())
        {
            live.unique = Some(unique.clone());
            self.unique.insert(unique.clone(), id);
        }
    }

    /// A process exits.
    pub(super) fn leave(&mut self, id: u32, time: Time) {
        let Some(live) = self.forget(id) else { return };
        while self.gone.len() >= REMEMBERED
            && let Some((id, unique, _)) = self.gone.pop_front()
        {
            if let Some((_, count)) = self.gone_ids.get_mut(&id) {
                *count -= 1;
                if *count == 0 {
                    self.gone_ids.remove(&id);
                }
            }
            if let Some(unique) = unique {
                self.gone_unique.remove(&unique);
            }
        }
        if let Some(unique) = &live.unique {
            self.gone_unique.insert(unique.clone(), (id, time));
        }
        let exit = self.gone_ids.entry(id).or_insert((time, 0));
        *exit = (exit.0.max(time), exit.1 + 1);
        self.gone.push_back((id, live.unique, time));
    }

    /// A process is heard of no more; it may be another one with the same id.
    pub(super) fn forget(&mut self, id: u32) -> Option<Live> {
        let live = self.live.remove(&id)?;
        for thread in &live.threads {
            if self.threads.get(thread) == Some(&id) {
                self.threads.remove(thread);
            }
        }
        if let Some(unique) = &live.unique
            && self.unique.get(unique) == Some(&id)
        {
            self.unique.remove(unique);
        }
        Some(live)
    }

    /// Whose thread an id is.
    pub(super) fn owner(&self, thread: u32) -> Option<u32> {
        self.threads.get(&thread).copied()
    }

    /// A thread lives from now on.
    pub(super) fn enter_thread(&mut self, process: u32, thread: u32) {
        if let Some(live) = self.live.get_mut(&process) {
            live.threads.insert(thread);
            self.threads.insert(thread, process);
        }
    }

    /// A thread exits.
    pub(super) fn leave_thread(&mut self, process: u32, thread: u32) {
        if let Some(live) = self.live.get_mut(&process) {
            live.threads.remove(&thread);
            live.last_thread = thread;
        }
        if self.threads.get(&thread) == Some(&process) {
            self.threads.remove(&thread);
        }
    }

    /// A thread of a process: the one that the record names, or else the first one.
    pub(super) fn client(&self, process: u32, thread: Option<u32>) -> ClientId {
        let first = || self.live.get(&process).map(|live| live.first_thread);
        let thread = thread.or_else(first).unwrap_or_default();
        ClientId { process: ProcessId(process), thread: ThreadId(thread) }
    }
}
