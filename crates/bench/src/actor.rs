//! What a test holds in its hands: processes, threads, drivers, views.

use event::{ClientId, DriverId, ProcessId, ThreadId};

/// A process of a bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub(crate) id: ProcessId,
}

impl Process {
    /// Its id, a multiple of 4 (R-CB-02).
    pub fn id(&self) -> ProcessId {
        self.id
    }
}

/// A thread of a bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thread {
    pub(crate) id: ClientId,
}

impl Thread {
    /// Its process and its own id.
    pub fn id(&self) -> ClientId {
        self.id
    }
}

/// A loaded driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Driver {
    pub(crate) id: DriverId,
}

impl Driver {
    /// Its place in the order of loading, as records name it.
    pub fn id(&self) -> DriverId {
        self.id
    }
}

/// A mapped image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    pub(crate) process: ProcessId,
    pub(crate) base: u64,
    pub(crate) size: u64,
}

impl View {
    /// Where it is mapped.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// How much address space it takes, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// Who does something: a process, by its oldest thread that lives, or one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Some thread of a process.
    Process(ProcessId),
    /// A thread.
    Thread(ThreadId),
}

impl From<&Process> for Actor {
    fn from(process: &Process) -> Self {
        Self::Process(process.id)
    }
}

impl From<Process> for Actor {
    fn from(process: Process) -> Self {
        Self::Process(process.id)
    }
}

impl From<&Thread> for Actor {
    fn from(thread: &Thread) -> Self {
        Self::Thread(thread.id.thread)
    }
}

impl From<Thread> for Actor {
    fn from(thread: Thread) -> Self {
        Self::Thread(thread.id.thread)
    }
}
