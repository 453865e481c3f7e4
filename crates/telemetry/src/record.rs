//! One record of a recording, as its file tells it.

use std::fmt;
use std::sync::Arc;

use event::Time;

use crate::Unique;

/// A record that tells something which drivers are told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which record of its file it is: the first is 1. For text with a line for each record, the line.
    pub number: u64,
    /// The machine that it happened on, as the file names it.
    pub machine: Option<Arc<str>>,
    /// When it happened.
    pub time: Option<Time>,
    /// What tells it from all others that its machine wrote, where it comes from a log that numbers them.
    pub record_id: Option<RecordId>,
    /// What happened.
    pub what: What,
}

/// The number that a log of Windows gave a record: EventRecordID. It stays with the record wherever that is copied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The log: each counts for itself.
    pub log: Log,
    /// The number.
    pub number: u64,
}

/// A log of Windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Log {
    /// Sysmon's.
    Sysmon,
    /// The security log.
    Security,
}

/// What a record tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A process was created.
    ProcessCreate(ProcessCreate),
    /// A process that the format says was there before the recording began.
    ProcessPresent(ProcessCreate),
    /// A process exited.
    ProcessExit(ProcessExit),
    /// A thread was created.
    ThreadCreate(ThreadEvent),
    /// A thread exited.
    ThreadExit(ThreadEvent),
    /// An image was mapped into a process.
    ImageLoad(ImageLoad),
    /// A driver was loaded.
    DriverLoad(DriverLoad),
}

/// A process, by all that its file says to tell it from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Its id.
    pub process: Option<u32>,
    /// What tells it from others with the same id.
    pub unique: Option<Unique>,
    /// Its main image, as a DOS or NT path.
    pub image: Option<Arc<str>>,
}

/// A process at its creation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessCreate {
    /// The process.
    pub subject: Subject,
    /// Its parent.
    pub parent: Subject,
    /// The process and thread that created it, where the format knows them apart from the parent.
    pub creator: (Option<u32>, Option<u32>),
    /// Its command line.
    pub command_line: Option<String>,
    /// Whether its code is 32-bit, where the file says so.
    pub is_32_bit: Option<bool>,
}

/// The end of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessExit {
    /// The process.
    pub subject: Subject,
    /// Its exit status.
    pub status: Option<u32>,
}

/// A thread at its beginning or end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadEvent {
    /// The process it belongs to.
    pub subject: Subject,
    /// Its id.
    pub thread: Option<u32>,
    /// The thread that did it, where the file says so.
    pub by: Option<u32>,
    /// Its exit status, at its end.
    pub status: Option<u32>,
}

/// An image that was mapped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageLoad {
    /// The process.
    pub subject: Subject,
    /// The thread that mapped it, where the file says so.
    pub thread: Option<u32>,
    /// Its path, DOS or NT.
    pub path: Option<String>,
    /// Where it was mapped.
    pub base: Option<u64>,
    /// How many bytes it takes there.
    pub size: Option<u64>,
}

/// A driver that was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriverLoad {
    /// Its path, DOS or NT.
    pub path: Option<String>,
    /// Where it was mapped, and how many bytes it takes there.
    pub base: Option<u64>,
    /// How many bytes it takes there.
    pub size: Option<u64>,
}

/// A record that was read and is not passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Which record of its file it is, as [`Told::number`].
    pub number: u64,
    /// Why, in one word that can be counted.
    pub reason: Reason,
    /// What exactly, for people: the field, the offset, what stands there.
    pub detail: String,
}

/// Why a record is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It tells something that drivers are not told of (a registry value, a network connection).
    OtherKind,
    /// It cannot be read: the file is damaged here.
    Damaged,
    /// The file ends in the middle of it.
    Truncated,
    /// It is whole, and is no record of its format.
    Malformed,
    /// It lacks what says which process it is of.
    NoProcess,
    /// The same file tells the same by a better record (Security 4688 where Sysmon 1 is there).
    Superseded,
}

impl Reason {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 6] =
        [Self::OtherKind, Self::Damaged, Self::Truncated, Self::Malformed, Self::NoProcess, Self::Superseded];

    /// The word for it: stable, for scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OtherKind => "other-kind",
            Self::Damaged => "damaged",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::NoProcess => "no-process",
            Self::Superseded => "superseded",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
