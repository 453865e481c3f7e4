//! What happened on a machine.

use std::borrow::Cow;

use nt_abi::NTSTATUS;
use serde::{Deserialize, Serialize};

use crate::{ClientId, Name, ProcessId, ThreadId, Time};

/// Something that happened on a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event<'a> {
    /// When it happened.
    pub time: Time,
    /// The thread in whose context NT tells drivers of it (SEMANTICS C.1): the creator's for a
    /// process or thread that is created, the last thread for an exit, the mapping one for an image.
    pub context: ClientId,
    /// What happened.
    #[serde(borrow)]
    pub kind: EventKind<'a>,
    /// What is unusual about the way in which drivers are told.
    pub conditions: Conditions,
}

/// What is allowed to be otherwise than usual, and what a bench can ask for to see whether a driver bears it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Thread routines run at APC_LEVEL (R-CTX-03).
    pub apc_level: bool,
    /// Image routines run with all APCs disabled, not only normal kernel APCs (R-CTX-02).
    pub all_apcs_disabled: bool,
    /// Names are counted strings without a NUL behind them (R-PCI-03, R-FN-08).
    pub unterminated_names: bool,
    /// The memory of the process is gone when a routine touches it, as it may be at any moment (L-07).
    pub user_pages_gone: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind<'a> {
    /// A process that was there before anybody watched: drivers can look it up and will see its
    /// exit, but its creation is announced to nobody (R-ORD-05).
    ProcessPresent(#[serde(borrow)] Process<'a>),
    /// A process was created as a clone of its parent: neither its creation nor its exit is
    /// announced (R-ORD-04), but it can be looked up and its images and threads are its own.
    ProcessClone(#[serde(borrow)] Process<'a>),
    /// A process was created, and its first thread is about to be.
    ProcessCreate(#[serde(borrow)] Process<'a>),
    /// The last thread of a process is gone.
    ProcessExit(ProcessExit),
    /// A thread was created.
    ThreadCreate(Thread),
    /// A thread exits.
    ThreadExit(ThreadExit),
    /// An image was mapped, and its entry point has not run.
    ImageLoad(#[serde(borrow)] Image<'a>),
}

/// A process at its creation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process<'a> {
    /// Its id.
    pub process: ProcessId,
    /// The process it inherits from, which need not be its creator (R-PCI-05).
    pub parent: ProcessId,
    /// The thread that created it.
    pub creator: ClientId,
    /// Its first thread.
    pub first_thread: ThreadId,
    /// Its main image; `None` where it could not be found out (R-FN-01).
    #[serde(borrow)]
    pub image: Option<Name<'a>>,
    /// The command line, in one string as NT has it; `None` where unknown (R-PCI-04).
    #[serde(borrow)]
    pub command_line: Option<Cow<'a, str>>,
    /// Whether `image` is the exact name the executable was opened by (R-PCI-02).
    pub open_name_available: bool,
    /// What its code is written for.
    pub architecture: Architecture,
    /// Whether it inherits no handles of its parent's: one page says that it is then told without a parent (C6).
    pub inherits_no_handles: bool,
    /// Whose process it is: a subsystem's own is told to routines of the Ex2 form only (R-PCI-09).
    pub subsystem: Subsystem,
    /// Where its environment block is, the PEB; 0 where it has none.
    pub peb: u64,
    /// Where its first thread's is, the TEB; 0 where it has none.
    pub teb: u64,
}

/// Which subsystem a process belongs to (R-PCI-10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subsystem {
    /// An ordinary process.
    #[default]
    Win32,
    /// A pico process of the Windows Subsystem for Linux, version 1.
    Wsl,
}

/// What a process or an image is compiled for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// x86-64, the native architecture of every profile.
    #[default]
    X64,
    /// 32-bit x86: a WoW64 process or image.
    X86,
    /// Anything else that could be executable somewhere.
    Other,
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessExit {
    /// Which process.
    pub process: ProcessId,
    /// Its exit status.
    pub status: NTSTATUS,
}

/// A thread at its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// The new thread, in its process.
    pub thread: ClientId,
    /// Where its environment block is, the TEB; 0 where it has none (R-EXIT-04).
    pub teb: u64,
}

impl Thread {
    /// A thread without an environment block, as all are that are not a bench's.
    pub const fn new(thread: ClientId) -> Self {
        Self { thread, teb: 0 }
    }
}

/// The end of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadExit {
    /// Which thread.
    pub thread: ClientId,
    /// Its exit status.
    pub status: NTSTATUS,
}

/// An image that was mapped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image<'a> {
    /// The process it was mapped into.
    pub process: ProcessId,
    /// The file; `None` where it could not be found out (R-FN-01).
    #[serde(borrow)]
    pub name: Option<Name<'a>>,
    /// The file that `name` stands for, where that is called otherwise by now: a name may be stale, and it is the file
    /// object that says which file it is (R-FN-05). `None` where `name` is its name.
    #[serde(borrow)]
    pub file: Option<Name<'a>>,
    /// Where it was mapped.
    pub base: u64,
    /// How much address space it takes, in bytes, in whole pages.
    pub size: u64,
    /// What it is compiled for.
    pub architecture: Architecture,
    /// Whether the view maps only a part of the image.
    pub partial: bool,
    /// Whether it conflicts with the architecture of the process it was mapped into, so that only
    /// routines that asked for such images are told (R-WOW-03).
    pub conflicting: bool,
    /// How it was mapped: not every way is announced (SEMANTICS C.4).
    pub mapping: Mapping,
    /// How it is signed.
    pub signature: Signature,
}

/// How a file was mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mapping {
    /// As an image that can be executed: `SEC_IMAGE`.
    #[default]
    Image,
    /// As an image that cannot: `SEC_IMAGE_NO_EXECUTE`. Announced to nobody. Windows 7 has no such mapping: what asks for
    /// one since (`LOAD_LIBRARY_AS_IMAGE_RESOURCE`) is mapped there as an image that can, and announced.
    NoExecute,
    /// As data. Announced to nobody.
    Data,
}

/// What code integrity found out about an image (R-II-02).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// `SE_SIGNING_LEVEL`, 0 (unchecked) to 15.
    pub level: u8,
    /// `SE_IMAGE_SIGNATURE_TYPE`, 0 (none) to 7.
    pub kind: u8,
}

impl Event<'_> {
    /// The process the event is about.
    pub fn process(&self) -> ProcessId {
        match &self.kind {
            EventKind::ProcessPresent(process)
            | EventKind::ProcessClone(process)
            | EventKind::ProcessCreate(process) => process.process,
            EventKind::ProcessExit(exit) => exit.process,
            EventKind::ThreadCreate(thread) => thread.thread.process,
            EventKind::ThreadExit(exit) => exit.thread.process,
            EventKind::ImageLoad(image) => image.process,
        }
    }
}
