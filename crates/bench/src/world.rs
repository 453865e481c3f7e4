//! Who is there: processes, threads and images, with ids and addresses that are the same in every run.

use std::collections::BTreeMap;

use event::{Architecture, ClientId, Name, ProcessId, Subsystem, ThreadId};

use crate::Actor;
use crate::environment::Module;
use crate::memory::Memory;

/// The first id that is given out. System, Idle and what a real machine starts before any test are below.
const FIRST_ID: u32 = 1000;

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Made from a section, without a thread: announced to nobody (R-ORD-03).
    WithoutThread,
    /// Its first thread is there and has not started.
    Suspended,
    /// It runs.
    Running,
    /// It has exited.
    Exited,
}

/// A process, as the bench keeps it.
#[derive(Clone, Debug)]
pub(crate) struct ProcessState {
    pub(crate) stage: Stage,
    pub(crate) image: Option<Name<'static>>,
    /// As the test wrote it: for messages.
    pub(crate) path: String,
    pub(crate) architecture: Architecture,
    pub(crate) subsystem: Subsystem,
    /// What its announcement says, while that is still to come.
    pub(crate) unannounced: Option<event::Process<'static>>,
    /// Those that live, oldest first.
    pub(crate) threads: Vec<ThreadId>,
    /// What is mapped, by base: its size.
    pub(crate) views: BTreeMap<u64, u64>,
    /// Its command line, where it is known.
    pub(crate) command_line: Option<String>,
    /// Whether its loader has begun, and made its lists.
    pub(crate) loader_runs: bool,
    /// The images in its loader's lists.
    pub(crate) modules: Vec<Module>,
    /// Of each thread that lives: where its TEB and the committed part of its stack are.
    pub(crate) tebs: BTreeMap<ThreadId, (u64, u64)>,
    /// How many threads have had a TEB.
    pub(crate) threads_made: u64,
}

/// Everything that a bench knows about its machine.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) processes: BTreeMap<u32, ProcessState>,
    /// By thread id, also of threads that are gone: their process.
    pub(crate) threads: BTreeMap<u32, ProcessId>,
    /// What is in the views, for drivers that read it.
    pub(crate) memory: Memory,
    next_id: u32,
    /// The preferred base of each file: the same in every process, as on NT between two boots.
    bases: BTreeMap<String, u64>,
    next_base: [u64; 3],
}

/// What an image is, for where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Region {
    /// 64-bit user addresses.
    User = 0,
    /// 32-bit user addresses.
    User32 = 1,
    /// Kernel addresses.
    Kernel = 2,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            processes: BTreeMap::new(),
            threads: BTreeMap::new(),
            memory: Memory::default(),
            next_id: FIRST_ID,
            bases: BTreeMap::new(),
            next_base: [0x7FF8_8000_0000, 0x6F00_0000, 0xFFFF_F805_6000_0000],
        }
    }

    /// An id that nobody has had.
    pub(crate) fn new_id(&mut self) -> u32 {
        while self.processes.contains_key(&self.next_id) || self.threads.contains_key(&self.next_id) {
            self.next_id += 4;
        }
        let id = self.next_id;
        self.next_id += 4;
        id
    }

    /// Whether an id is somebody's now.
    pub(crate) fn in_use(&self, id: u32) -> bool {
        self.processes.get(&id).is_some_and(|process| process.stage != Stage::Exited)
            || self.threads.get(&id).is_some_and(|process| {
                self.processes.get(&process.0).is_some_and(|process| process.threads.contains(&ThreadId(id)))
            })
    }

    /// A process that has not exited.
    pub(crate) fn live(&mut self, id: ProcessId) -> Option<&mut ProcessState> {
        self.processes.get_mut(&id.0).filter(|process| process.stage != Stage::Exited)
    }

    /// The thread that acts.
    pub(crate) fn client_id(&self, actor: Actor) -> Option<ClientId> {
        match actor {
            Actor::Process(process) => {
                let thread = *self.processes.get(&process.0)?.threads.first()?;
                Some(ClientId { process, thread })
            }
            Actor::Thread(thread) => {
                let process = *self.threads.get(&thread.0)?;
                let lives = self.processes.get(&process.0)?.threads.contains(&thread);
                lives.then_some(ClientId { process, thread })
            }
        }
    }

    /// A new thread of a process.
    pub(crate) fn add_thread(&mut self, process: ProcessId) -> ClientId {
        let thread = ThreadId(self.new_id());
        self.enter_thread(process, thread);
        ClientId { process, thread }
    }

    /// A thread whose id is chosen already.
    pub(crate) fn enter_thread(&mut self, process: ProcessId, thread: ThreadId) {
        self.threads.insert(thread.0, process);
        if let Some(state) = self.processes.get_mut(&process.0) {
            state.threads.push(thread);
        }
        self.place_teb(ClientId { process, thread });
    }

    /// Where a file is mapped, unless something else is said: the same for each process.
    pub(crate) fn base_of(&mut self, file: &str, size: u64, region: Region) -> u64 {
        let key = format!("{region:?} {}", file.to_lowercase());
        if let Some(&base) = self.bases.get(&key) {
            return base;
        }
        // 64 KiB is NT's allocation granularity.
        let room = size.next_multiple_of(0x1_0000);
        let next = &mut self.next_base[region as usize];
        let base = *next;
        *next += room;
        self.bases.insert(key, base);
        base
    }

    /// The first address from `base` on at which nothing is mapped in a process.
    pub(crate) fn free_at(&self, process: ProcessId, base: u64, size: u64) -> u64 {
        let Some(state) = self.processes.get(&process.0) else { return base };
        let mut base = base;
        for (&at, &length) in &state.views {
            if at < base.saturating_add(size) && base < at.saturating_add(length) {
                base = (at + length).next_multiple_of(0x1_0000);
            }
        }
        base
    }
}
