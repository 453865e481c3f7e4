//! Processes that are created, that were there before, and that records name.

use event::{Architecture, ClientId, EventKind, Name, Process, ProcessId, Thread, ThreadId, Time};
use nt_abi::NTSTATUS;
use telemetry::{ProcessCreate, Subject, What};

use super::super::account::{Absent, Cause, Synthesis};
use super::super::processes::{Live, Main, Who, stand_in};
use super::super::window::Entry;
use super::{Machine, Reading, Refused, SYSTEM_WORKER, nobody, refuse_absent};

impl Machine {
    pub(super) fn create(
        &mut self,
        create: &ProcessCreate,
        time: Time,
        present: bool,
        late: bool,
        reading: &mut Reading<'_>,
    ) -> Result<Option<Entry>, Refused> {
        let strict = reading.options.is_strict();
        let image = create.subject.image.as_deref().and_then(|path| reading.options.drives.name(path));
        let parent = create.parent.process;
        let absent = [
            (Absent::ImageName, image.is_none()),
            (Absent::CommandLine, create.command_line.is_none()),
            (Absent::Parent, parent.is_none()),
        ];
        if strict && !present {
            refuse_absent(&absent)?;
        }
        if strict && create.subject.process.is_none() {
            return Err((Cause::Incomplete, "it has no process id".into()));
        }
        let id = match self.processes.who(&create.subject, time) {
            Who::Nobody => return Err(nobody()),
            Who::System(id) if present => {
                self.push(time, SYSTEM_WORKER, EventKind::ProcessPresent(described(id, create, image)), true);
                return Ok(None);
            }
            Who::System(id) => return Err((Cause::SystemProcess, format!("process {id} is not created"))),
            // Clocks are coarse: the id of one that exited may be another's at the same moment.
            Who::Gone(id) if self.processes.is_free_again(id, &create.subject, time) => id,
            Who::Gone(id) => return Err((Cause::AfterExit, format!("process {id} has exited"))),
            Who::Unknown(id) => id,
            Who::Stale(id) => {
                self.close(id, time, reading)?;
                id
            }
            Who::Live(id) => {
                self.live_again(id, create, time, (present, late), reading)?;
                id
            }
        };
        let creator = if present { None } else { Some(self.creator(create, id, time, reading)) };
        let thread = self.first_thread(id, create, present);
        let first_thread = thread.as_ref().and_then(thread_of).unwrap_or_else(|| stand_in(id));
        let own = ClientId { process: ProcessId(id), thread: ThreadId(first_thread) };
        let mut process = described(id, create, image);
        process.first_thread = own.thread;
        process.creator = creator.unwrap_or_default();
        let main = process.image.as_ref().map(|name| name.file_name().to_lowercase());
        let live = Live {
            unique: create.subject.unique.clone(),
            created: creator.map(|_| time),
            image: create.subject.image.clone(),
            creator: creator.unwrap_or(own),
            first_thread,
            first_told: creator.is_none() || thread.is_none(),
            threads: [first_thread].into(),
            last_thread: first_thread,
            architecture: process.architecture,
            main: if present { Main::Unknown } else { Main::Awaited(main) },
        };
        if let Some(owner) = self.processes.owner(first_thread) {
            self.close_thread(owner, first_thread, time, NTSTATUS(0), reading.account);
        }
        if self.processes.enter(id, &create.subject, live) {
            reading.account.made(Synthesis::ProcessId);
        }
        let Some(creator) = creator else {
            self.push(time, own, EventKind::ProcessPresent(process), true);
            return Ok(None);
        };
        for (what, _) in absent.into_iter().filter(|(_, absent)| *absent) {
            reading.account.lacks(what);
        }
        if create.is_32_bit.is_none() {
            reading.account.lacks(Absent::Architecture);
        }
        self.push(time, creator, EventKind::ProcessCreate(process), true);
        if thread.is_none() {
            reading.account.made(Synthesis::FirstThread);
            self.push(time, creator, EventKind::ThreadCreate(Thread::new(own)), false);
        }
        Ok(thread)
    }

    /// A process is created, or said to be there, whose id is taken.
    pub(super) fn live_again(
        &mut self,
        id: u32,
        create: &ProcessCreate,
        time: Time,
        (present, late): (bool, bool),
        reading: &mut Reading<'_>,
    ) -> Result<(), Refused> {
        let Some(live) = self.processes.get(id) else { return Ok(()) };
        let surely = live.unique.is_some() && live.unique == create.subject.unique;
        let again = match live.created {
            Some(created) => surely || created == time && live.image == create.subject.image,
            None => present,
        };
        if again {
            return Err((Cause::Duplicate, format!("process {id} is known already")));
        }
        if surely || late && live.created.is_none() {
            // It was named before its creation was read.
            self.processes.forget(id);
            return Ok(());
        }
        self.close(id, time, reading)
    }

    /// The thread in whose context a process is created.
    pub(super) fn creator(
        &mut self,
        create: &ProcessCreate,
        child: u32,
        time: Time,
        reading: &mut Reading<'_>,
    ) -> ClientId {
        let parent = self.mention(&create.parent, child, time, reading);
        let (process, thread) = create.creator;
        if let Some(process) = process {
            let subject = Subject { process: Some(process), ..Subject::default() };
            if let Some(process) = self.mention(&subject, child, time, reading) {
                return self.context(process.0, thread);
            }
        }
        if let Some((owner, thread)) = thread.and_then(|thread| Some((self.processes.owner(thread)?, thread)))
        {
            return self.processes.client(owner, Some(thread));
        }
        parent.map_or(SYSTEM_WORKER, |parent| self.context(parent.0, thread))
    }

    /// A process that a record names beside its own. `None` where that is not known, or has exited: then only its number is.
    pub(super) fn mention(
        &mut self,
        subject: &Subject,
        child: u32,
        time: Time,
        reading: &mut Reading<'_>,
    ) -> Option<ProcessId> {
        match self.processes.who(subject, time) {
            Who::Nobody | Who::Gone(_) | Who::Stale(_) => None,
            Who::Unknown(id) if id == child || subject.process.is_none() => None,
            Who::System(id) => Some(ProcessId(id)),
            Who::Unknown(id) => {
                self.present(id, subject, time, reading);
                Some(ProcessId(id))
            }
            Who::Live(id) => {
                self.processes.recognise(id, subject);
                Some(ProcessId(id))
            }
        }
    }

    /// The record of a process's first thread, where that waits: it comes right behind the creation.
    pub(super) fn first_thread(&mut self, id: u32, create: &ProcessCreate, present: bool) -> Option<Entry> {
        if present {
            return None;
        }
        let taken =
            |thread: u32| thread == 0 || self.processes.owner(thread).is_some_and(|owner| owner != id);
        self.window.take(&create.subject, |other| {
            matches!(&other.told.what, What::ThreadCreate(thread) if thread.thread.is_some_and(|it| !taken(it)))
        })
    }

    /// A process that is named and was never seen being created was there before (R-ORD-05).
    pub(super) fn present(&mut self, id: u32, subject: &Subject, time: Time, reading: &mut Reading<'_>) {
        let first_thread = stand_in(id);
        let own = ClientId { process: ProcessId(id), thread: ThreadId(first_thread) };
        let live = Live {
            unique: subject.unique.clone(),
            created: None,
            image: subject.image.clone(),
            creator: own,
            first_thread,
            first_told: true,
            threads: [first_thread].into(),
            last_thread: first_thread,
            architecture: Architecture::X64,
            main: Main::Unknown,
        };
        let account = &mut *reading.account;
        if self.processes.enter(id, subject, live) {
            account.made(Synthesis::ProcessId);
        }
        account.made(Synthesis::Present);
        let process = Process {
            process: ProcessId(id),
            first_thread: own.thread,
            image: subject.image.as_deref().and_then(|path| reading.options.drives.name(path)),
            ..Process::default()
        };
        self.push(time, own, EventKind::ProcessPresent(process), false);
    }

    /// The process that a record tells of, made known if it was not.
    pub(super) fn known(
        &mut self,
        subject: &Subject,
        time: Time,
        reading: &mut Reading<'_>,
    ) -> Result<u32, Refused> {
        let strict = reading.options.is_strict();
        match self.processes.who(subject, time) {
            Who::Nobody => Err(nobody()),
            Who::Gone(id) => Err((Cause::AfterExit, format!("process {id} has exited"))),
            Who::System(id) => Ok(id),
            Who::Live(id) => {
                self.processes.recognise(id, subject);
                Ok(id)
            }
            Who::Unknown(id) | Who::Stale(id) if strict => {
                Err((Cause::NeverSeen, format!("process {id} was never seen being created")))
            }
            Who::Unknown(id) => {
                self.present(id, subject, time, reading);
                Ok(id)
            }
            Who::Stale(id) => {
                self.close(id, time, reading)?;
                self.present(id, subject, time, reading);
                Ok(id)
            }
        }
    }

    /// The same for what Idle does not do: its threads are nobody's.
    pub(super) fn known_but_idle(
        &mut self,
        subject: &Subject,
        time: Time,
        reading: &mut Reading<'_>,
    ) -> Result<u32, Refused> {
        match self.known(subject, time, reading)? {
            0 => Err((Cause::SystemProcess, "threads of process 0 are not told".into())),
            id => Ok(id),
        }
    }
}

/// A process as its record describes it.
fn described(id: u32, create: &ProcessCreate, image: Option<Name<'static>>) -> Process<'static> {
    Process {
        process: ProcessId(id),
        parent: ProcessId(create.parent.process.unwrap_or(0)),
        open_name_available: image.is_some(),
        image,
        command_line: create.command_line.clone().map(Into::into),
        architecture: match create.is_32_bit {
            Some(true) => Architecture::X86,
            _ => Architecture::X64,
        },
        ..Process::default()
    }
}

fn thread_of(entry: &Entry) -> Option<u32> {
    match &entry.told.what {
        What::ThreadCreate(thread) => thread.thread,
        _ => None,
    }
}
