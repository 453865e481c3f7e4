//! Processes.

use std::collections::BTreeMap;

use event::{
    Architecture, ClientId, Conditions, EventKind, Name, ProcessExit, ProcessId, Subsystem, ThreadId,
};
use nt_abi::NTSTATUS;

use crate::bench::failed;
use crate::world::{ProcessState, Region, Stage};
use crate::{Actor, Bench, Error, Process, Thread, environment, memory, system_images};

/// The size of a main image whose size nobody says.
const MAIN_IMAGE_SIZE: u64 = 0x6_7000;

/// A process to be. From [`Bench::process`].
#[derive(Debug)]
#[must_use = "nothing happens before `create`"]
pub struct ProcessBuilder<'a> {
    bench: &'a mut Bench,
    path: String,
    image: Option<Name<'static>>,
    command_line: Option<String>,
    parent: Option<Actor>,
    creator: Option<Actor>,
    origin: Origin,
    first_thread_by: Option<Actor>,
    suspended: bool,
    architecture: Architecture,
    subsystem: Subsystem,
    inherits_no_handles: bool,
    id: Option<u32>,
    conditions: Conditions,
}

/// How a process comes to be.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Created,
    Existing,
    FromSection,
    CloneOf(ProcessId),
}

impl Bench {
    /// A process that runs the file `path` (`C:\…`, `\Device\…`; a Linux path for [`Subsystem::Wsl`]). Its command line is
    /// the quoted path, its parent and creator are the [`shell`](Self::shell), unless said otherwise.
    pub fn process(&mut self, path: &str) -> ProcessBuilder<'_> {
        let conditions = self.conditions;
        ProcessBuilder {
            bench: self,
            path: path.to_owned(),
            image: Some(Name::from_nt(path)),
            command_line: Some(format!("\"{path}\"")),
            parent: None,
            creator: None,
            origin: Origin::Created,
            first_thread_by: None,
            suspended: false,
            architecture: Architecture::X64,
            subsystem: Subsystem::Win32,
            inherits_no_handles: false,
            id: None,
            conditions,
        }
    }

    /// The first thread of a process that lives.
    ///
    /// # Errors
    /// [`Error::Failed`] when it has none: it has exited, or is without one still.
    pub fn first_thread(&self, process: &Process) -> Result<Thread, Error> {
        let id = self.world.client_id(Actor::Process(process.id));
        id.map(|id| Thread { id })
            .ok_or_else(|| failed("the process has no thread", nt_abi::STATUS_INVALID_CID))
    }

    /// Lets the first thread of a suspended process start: it maps the main image and what the system brings
    /// (R-ORD-02). Nothing happens for one that runs.
    ///
    /// # Errors
    /// [`Error::Failed`] when the process has exited or has no thread, [`Error::Stopped`].
    pub fn resume(&mut self, process: &Process) -> Result<(), Error> {
        let thread = self.first_thread(process)?;
        let conditions = self.conditions;
        if self.world.live(process.id).is_some_and(|state| state.stage == Stage::Suspended) {
            self.first_start(thread.id, conditions)?;
        }
        self.settle()
    }

    /// Ends a process: its threads exit, oldest last, and the last of them ends it (SEMANTICS C.2).
    ///
    /// # Errors
    /// [`Error::Failed`] when it has exited, [`Error::Stopped`].
    pub fn exit_process(&mut self, process: &Process, status: NTSTATUS) -> Result<(), Error> {
        self.end_process(process.id, status)?;
        self.settle()
    }

    /// The exit of a process, and nothing more.
    pub(crate) fn end_process(&mut self, process: ProcessId, status: NTSTATUS) -> Result<(), Error> {
        let Some(state) = self.world.live(process) else {
            return Err(failed("the process has exited", nt_abi::STATUS_PROCESS_IS_TERMINATING));
        };
        let threads = state.threads.clone();
        // The first thread is the one that calls ExitProcess: it ends the others, and is the last.
        for thread in threads.into_iter().rev() {
            self.end_thread(ClientId { process, thread }, status)?;
        }
        if self.world.live(process).is_some() {
            // It never had a thread: whoever drops it runs the exit (R-ORD-03).
            let context = self.context_of(None)?;
            self.process_gone(context, process, status)?;
        }
        Ok(())
    }

    /// The exit of a process that has no thread any more.
    pub(crate) fn process_gone(
        &mut self,
        context: ClientId,
        process: ProcessId,
        status: NTSTATUS,
    ) -> Result<(), Error> {
        if let Some(state) = self.world.processes.get_mut(&process.0) {
            state.stage = Stage::Exited;
            state.threads.clear();
            state.views.clear();
            state.tebs.clear();
        }
        let conditions = self.conditions;
        // Its memory is there while drivers are told (R-EXIT-01).
        let told = self.happen(context, EventKind::ProcessExit(ProcessExit { process, status }), conditions);
        self.world.memory.clear(process);
        told.map(drop)
    }

    /// Announces a process with its first thread, which `inserter` inserts, and starts that unless it is to wait.
    pub(crate) fn insert_first_thread(
        &mut self,
        process: ProcessId,
        inserter: ClientId,
        suspended: bool,
        conditions: Conditions,
    ) -> Result<Thread, Error> {
        let Some(mut announced) = self.world.live(process).and_then(|state| state.unannounced.take()) else {
            return Err(failed("the process has exited", nt_abi::STATUS_PROCESS_IS_TERMINATING));
        };
        let thread = ClientId { process, thread: announced.first_thread };
        // The creator that routines are told of is the one in whose context they are told (R-PCI-06).
        announced.creator = inserter;
        self.world.enter_thread(process, thread.thread);
        announced.teb = self.world.teb_of(thread);
        let teb = announced.teb;
        if let Some(state) = self.world.live(process) {
            state.stage = Stage::Suspended;
        }
        let refused = self.happen(inserter, EventKind::ProcessCreate(announced), conditions)?;
        // What NT does not come to when the process was refused is for the kernel to know (R-VETO-08, R-VETO-09).
        self.happen(inserter, EventKind::ThreadCreate(event::Thread { thread, teb }), conditions)?;
        if !suspended {
            self.first_start(thread, conditions)?;
        }
        match refused {
            None => Ok(Thread { id: thread }),
            Some(refused) => {
                // Its first thread was inserted and dies, and the process with it (R-VETO-07).
                self.exit_thread(&Thread { id: thread }, refused.status)?;
                Err(Error::Refused(refused))
            }
        }
    }

    /// The first thread of a process starts: the main image, then the system's (SEMANTICS C.2 and C.3).
    fn first_start(&mut self, thread: ClientId, conditions: Conditions) -> Result<(), Error> {
        let Some(state) = self.world.live(thread.process) else { return Ok(()) };
        state.stage = Stage::Running;
        let (name, architecture, subsystem) = (state.image.clone(), state.architecture, state.subsystem);
        if subsystem == Subsystem::Wsl {
            // What a pico process runs is no PE image.
            return Ok(());
        }
        let main = event::Image {
            process: thread.process,
            base: environment::main_base(architecture),
            size: MAIN_IMAGE_SIZE,
            name,
            architecture,
            ..event::Image::default()
        };
        self.map(thread, main, None, conditions)?;
        for image in system_images::at_start(&self.config, architecture) {
            let image = event::Image {
                process: thread.process,
                base: image.base,
                size: image.size,
                name: Some(Name::from_nt(image.path)),
                architecture: image.architecture,
                ..event::Image::default()
            };
            self.map(thread, image, None, conditions)?;
        }
        // What the kernel has mapped was told before the process's own loader has begun.
        self.runs(thread.process);
        Ok(())
    }

    /// Maps an image at its base, which is free.
    pub(crate) fn map(
        &mut self,
        context: ClientId,
        image: event::Image<'static>,
        contents: Option<Vec<u8>>,
        conditions: Conditions,
    ) -> Result<(), Error> {
        if let Some(state) = self.world.live(image.process) {
            state.views.insert(image.base, image.size);
            let bytes =
                contents.unwrap_or_else(|| memory::header(image.architecture, image.base, image.size));
            self.world.memory.map(image.process, image.base, image.size, bytes);
        }
        let own = context.process == image.process;
        self.happen(context, EventKind::ImageLoad(image.clone()), conditions)?;
        if own {
            self.world.loader_sees(&image);
        }
        Ok(())
    }

    /// Where an image goes.
    pub(crate) fn place(
        &mut self,
        process: ProcessId,
        file: &str,
        size: u64,
        architecture: Architecture,
    ) -> u64 {
        let region = match (process, architecture) {
            (ProcessId::IDLE, _) => Region::Kernel,
            (_, Architecture::X86) => Region::User32,
            _ => Region::User,
        };
        let base = self.world.base_of(file, size, region);
        self.world.free_at(process, base, size)
    }
}

impl ProcessBuilder<'_> {
    /// Its command line, as one string.
    pub fn command_line(mut self, line: &str) -> Self {
        self.command_line = Some(line.to_owned());
        self
    }

    /// Its command line is unknown: routines get NULL (R-PCI-04).
    pub fn without_command_line(mut self) -> Self {
        self.command_line = None;
        self
    }

    /// The name of its image is unknown: routines get NULL (R-FN-01).
    pub fn without_name(mut self) -> Self {
        self.image = None;
        self
    }

    /// The process it inherits from, which need not be its creator (R-PCI-05). The creator's unless said.
    pub fn parent(mut self, parent: impl Into<Actor>) -> Self {
        self.parent = Some(parent.into());
        self
    }

    /// Who creates it: the routines run in that thread's context. The parent unless said.
    pub fn creator(mut self, creator: impl Into<Actor>) -> Self {
        self.creator = Some(creator.into());
        self
    }

    /// It was there before anybody watched: nobody is told, but its exit will be (R-ORD-05).
    pub fn existing(mut self) -> Self {
        self.origin = Origin::Existing;
        self
    }

    /// Its first thread does not start before [`Bench::resume`] (R-ORD-02).
    pub fn suspended(mut self) -> Self {
        self.suspended = true;
        self
    }

    /// It is made from a section, in two steps, so that the name it was opened by is not available (R-PCI-02). Nobody is
    /// told before its first thread is inserted: by [`Bench::thread`], or at once by
    /// [`first_thread_by`](Self::first_thread_by). A refusal is what inserting that thread returns.
    pub fn from_section(mut self) -> Self {
        self.origin = Origin::FromSection;
        self
    }

    /// Made from a section, its first thread inserted at once by somebody who need not be its creator.
    pub fn first_thread_by(mut self, who: impl Into<Actor>) -> Self {
        self.origin = Origin::FromSection;
        self.first_thread_by = Some(who.into());
        self
    }

    /// It is a clone of another process: its creation is announced to nobody (R-ORD-04). It has that one's image, command
    /// line and architecture.
    pub fn clone_of(mut self, process: &Process) -> Self {
        self.origin = Origin::CloneOf(process.id);
        self
    }

    /// What it is compiled for.
    pub fn architecture(mut self, architecture: Architecture) -> Self {
        self.architecture = architecture;
        self
    }

    /// Whose process it is. A pico process's image is a Linux path.
    pub fn subsystem(mut self, subsystem: Subsystem) -> Self {
        self.subsystem = subsystem;
        if subsystem == Subsystem::Wsl && self.image.is_some() {
            self.image = Some(Name { nt: self.path.clone().into(), host: None });
        }
        self
    }

    /// It inherits none of its parent's handles, which one page says to be seen in the parent's id (R-PCI-07).
    pub fn without_inherited_handles(mut self) -> Self {
        self.inherits_no_handles = true;
        self
    }

    /// Its id, which a process that has exited may have had: as NT uses ids again (R-EXIT-06).
    pub fn id(mut self, id: u32) -> Self {
        self.id = Some(id);
        self
    }

    conditions!();

    /// Creates it.
    ///
    /// # Errors
    /// [`Error::Refused`] when a driver refuses it, with that driver's status. [`Error::Failed`] when parent or creator has
    /// exited, or the id is no id or somebody's. [`Error::Stopped`] when the machine stops of it.
    pub fn create(self) -> Result<Process, Error> {
        let Self { bench, path, mut image, mut command_line, mut architecture, mut subsystem, .. } = self;
        if let Some(id) = self.id
            && (id % 4 != 0 || id <= ProcessId::SYSTEM.0 || bench.world.in_use(id))
        {
            return Err(failed(
                format!("{id} cannot be a new process's id"),
                nt_abi::STATUS_INVALID_PARAMETER,
            ));
        }
        let existing = matches!(self.origin, Origin::Existing);
        let creator = match self.creator.or(self.parent) {
            // What was there before has a creator only where the test says so.
            None if existing => ClientId::default(),
            actor => bench.context_of(actor)?,
        };
        let parent = match self.parent {
            Some(Actor::Process(id)) => id,
            Some(Actor::Thread(_)) => bench.context_of(self.parent)?.process,
            None => creator.process,
        };
        let parent = match self.origin {
            Origin::CloneOf(original) => {
                let Some(state) = bench.world.live(original) else {
                    return Err(failed(
                        "what is to be cloned has exited",
                        nt_abi::STATUS_PROCESS_IS_TERMINATING,
                    ));
                };
                (image, architecture, subsystem) = (state.image.clone(), state.architecture, state.subsystem);
                command_line = None;
                original
            }
            _ => parent,
        };
        let id = ProcessId(self.id.unwrap_or_else(|| bench.world.new_id()));
        let first_thread = ThreadId(bench.world.new_id());
        let mut announced = event::Process {
            process: id,
            parent,
            creator,
            first_thread,
            image: image.clone(),
            command_line: command_line.clone().map(Into::into),
            open_name_available: !matches!(self.origin, Origin::FromSection),
            architecture,
            inherits_no_handles: self.inherits_no_handles,
            subsystem,
            peb: 0,
            teb: 0,
        };
        bench.world.processes.insert(
            id.0,
            ProcessState {
                stage: Stage::WithoutThread,
                image,
                path,
                architecture,
                subsystem,
                unannounced: None,
                threads: Vec::new(),
                views: BTreeMap::new(),
                command_line,
                loader_runs: false,
                modules: Vec::new(),
                tebs: BTreeMap::new(),
                threads_made: 0,
            },
        );
        announced.peb = bench.world.place_peb(id);
        let made = Process { id };
        match self.origin {
            Origin::Created => {
                bench.announce_later(id, announced);
                bench.insert_first_thread(id, creator, self.suspended, self.conditions)?;
            }
            Origin::FromSection => {
                bench.announce_later(id, announced.clone());
                // It can be looked up from now on.
                bench.happen(creator, EventKind::ProcessPresent(announced), self.conditions)?;
                if let Some(who) = self.first_thread_by {
                    let inserter = bench.context_of(Some(who))?;
                    bench.insert_first_thread(id, inserter, self.suspended, self.conditions)?;
                }
            }
            Origin::Existing => {
                let itself = ClientId { process: id, thread: first_thread };
                bench.world.enter_thread(id, first_thread);
                announced.teb = bench.world.teb_of(itself);
                bench.runs(id);
                bench.happen(itself, EventKind::ProcessPresent(announced), self.conditions)?;
            }
            Origin::CloneOf(_) => {
                let thread = ClientId { process: id, thread: first_thread };
                bench.world.enter_thread(id, first_thread);
                let teb = bench.world.teb_of(thread);
                announced.teb = teb;
                bench.runs(id);
                bench.happen(creator, EventKind::ProcessClone(announced), self.conditions)?;
                let made = event::Thread { thread, teb };
                bench.happen(creator, EventKind::ThreadCreate(made), self.conditions)?;
            }
        }
        bench.settle()?;
        Ok(made)
    }
}

impl Bench {
    fn announce_later(&mut self, process: ProcessId, announced: event::Process<'static>) {
        if let Some(state) = self.world.live(process) {
            state.unannounced = Some(announced);
        }
    }

    fn runs(&mut self, process: ProcessId) {
        if let Some(state) = self.world.live(process) {
            (state.stage, state.loader_runs) = (Stage::Running, true);
            self.world.place_peb(process);
        }
    }
}
