//! What a bench saw and did: one record a line.

use std::borrow::Cow;

use nt_abi::NTSTATUS;
use serde::{Deserialize, Serialize};

use crate::{ClientId, DriverId, Event, ProcessId, Time};

/// One line of what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// When, by the bench's clock.
    pub time: Time,
    /// In whose context; zero ids where it is nobody's (loading, a system thread).
    pub context: ClientId,
    /// What.
    #[serde(borrow)]
    pub body: Body<'a>,
}

/// What a record tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body<'a> {
    /// The first record of a run.
    Start {
        /// Callboard's version.
        version: Cow<'a, str>,
        /// The profile that is stood in for.
        profile: Cow<'a, str>,
        /// The recorded machine that is replayed; empty where it has no name, and where nothing is replayed.
        machine: Cow<'a, str>,
        /// The command and its arguments; empty where there is none.
        command: Vec<Cow<'a, str>>,
    },
    /// A driver's image was mapped; DriverEntry has not run.
    DriverLoad {
        /// The driver.
        driver: DriverId,
        /// Its service name.
        name: Cow<'a, str>,
        /// The file it came from.
        path: Cow<'a, str>,
        /// Where it was mapped.
        base: u64,
        /// Bytes of address space.
        size: u64,
        /// Imports that nobody implements, as `module!name`.
        missing: Vec<Cow<'a, str>>,
    },
    /// DriverEntry returned.
    DriverStart {
        /// The driver.
        driver: DriverId,
        /// What DriverEntry returned.
        status: NTSTATUS,
        /// How long it ran, in nanoseconds.
        elapsed: u64,
    },
    /// A driver was unloaded.
    DriverUnload {
        /// The driver.
        driver: DriverId,
        /// How long DriverUnload ran, in nanoseconds; `None` where it has none and stays loaded.
        elapsed: Option<u64>,
    },
    /// A driver registered or removed a routine, or tried to.
    Registration {
        /// The driver.
        driver: DriverId,
        /// Which table.
        family: Family,
        /// By which routine of the family.
        flavour: Flavour,
        /// The driver's routine.
        routine: u64,
        /// The slot it has, or had; `None` on failure.
        slot: Option<u8>,
        /// Whether it was a removal.
        removed: bool,
        /// What the driver was told.
        status: NTSTATUS,
    },
    /// Something happened on the machine.
    Event(#[serde(borrow)] Event<'a>),
    /// One routine was called for the event before.
    Notification(Notification),
    /// All routines were called for a process creation.
    Verdict {
        /// The process.
        process: ProcessId,
        /// What its creation ends with.
        status: NTSTATUS,
        /// The driver that wrote it last, where one did.
        driver: Option<DriverId>,
    },
    /// A driver terminated a process: it exits with that status as soon as whoever runs it has ended it (R-IMG-03).
    Termination {
        /// The process.
        process: ProcessId,
        /// What it exits with.
        status: NTSTATUS,
        /// The driver, where one is known to have run.
        driver: Option<DriverId>,
    },
    /// What a process is recorded to have done from here on, up to its exit, would not have happened.
    Doubt {
        /// The process.
        process: ProcessId,
        /// Which was refused, or terminated by a driver: the process itself, or one that it descends from.
        because: ProcessId,
    },
    /// A driver printed something: whole lines, without their line end.
    Debug {
        /// The driver; `None` where no driver is known to run.
        driver: Option<DriverId>,
        /// DPFLTR component id.
        component: u32,
        /// DPFLTR level.
        level: u32,
        /// The line.
        text: Cow<'a, str>,
    },
    /// A rule that a driver broke.
    Finding(#[serde(borrow)] Finding<'a>),
    /// A bug check, or the end of a host by other means. The last record of a host.
    Stop(#[serde(borrow)] Stop<'a>),
    /// Something a driver left behind when it was unloaded.
    Leak(#[serde(borrow)] Leak<'a>),
    /// A driver did something that it, or the one it is compared with, did not do before.
    Difference {
        /// What.
        change: Change,
        /// The process it is about; 0 where it is about none.
        process: ProcessId,
        /// What is different, in a sentence.
        text: Cow<'a, str>,
    },
    /// Something Callboard itself has to say.
    Note {
        /// How much it matters.
        level: Level,
        /// One sentence.
        text: Cow<'a, str>,
    },
    /// The traced command ended.
    CommandExit {
        /// Its exit status, where it exited.
        code: Option<i32>,
        /// The signal that killed it, where one did.
        signal: Option<i32>,
    },
    /// The time a routine took, summed over a run.
    Timing(Timing),
    /// What a driver took of pool while it was loaded; told when it is freed, or at the end where it stays.
    PoolUsage(PoolUsage),
    /// The last record of a run.
    End,
}

/// What is different from what a run is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Change {
    /// A process is refused that was not.
    RefusalNew,
    /// A process is not refused that was.
    RefusalGone,
    /// A process is refused with another status.
    RefusalOther,
    /// A rule is broken that was not.
    FindingNew,
    /// A rule is not broken that was.
    FindingGone,
    /// The machine stopped that did not.
    StopNew,
    /// The machine did not stop that did.
    StopGone,
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// Good to know.
    Info,
    /// Something is not as the user would expect.
    Warning,
}

/// Which table a routine is registered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Family {
    /// Process create and exit.
    Process,
    /// Thread create and exit.
    Thread,
    /// Image load.
    Image,
}

/// By which routine of a family something was registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Flavour {
    /// The oldest form.
    Plain,
    /// The `Ex` form.
    Ex,
    /// The `Ex2` form (processes).
    Ex2,
}

/// One call of one routine for one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Whose routine.
    pub driver: DriverId,
    /// Which table.
    pub family: Family,
    /// The slot in it.
    pub slot: u8,
    /// The routine.
    pub routine: u64,
    /// How long it ran, in nanoseconds.
    pub elapsed: u64,
    /// CreationStatus as the routine left it (process creation only).
    pub status: Option<NTSTATUS>,
}

/// What all calls of one driver's routines of one family came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// The driver.
    pub driver: DriverId,
    /// Which routines.
    pub family: Family,
    /// How many calls.
    pub calls: u64,
    /// Nanoseconds in all.
    pub total: u64,
    /// Nanoseconds in the longest.
    pub longest: u64,
}

/// What a driver took of pool while it was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolUsage {
    /// The driver.
    pub driver: DriverId,
    /// Of paged pool.
    pub paged: PoolPeak,
    /// Of nonpaged pool.
    pub nonpaged: PoolPeak,
}

/// The high-water mark of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolPeak {
    /// How many allocations there were in all.
    pub allocations: u64,
    /// How many bytes were allocated at the same time, at most.
    pub peak: u64,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// Against the documented advice.
    Warning,
    /// Windows would misbehave, or Driver Verifier would stop.
    Error,
}

impl Severity {
    /// The word for it: `warning`, `error`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A rule that a driver broke, with evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding<'a> {
    /// The rule's id (`L-18`).
    pub rule: Cow<'a, str>,
    /// How bad it is.
    pub severity: Severity,
    /// Who broke it.
    pub driver: Option<DriverId>,
    /// What happened, and what to do, in a sentence or two.
    pub message: Cow<'a, str>,
    /// The bug check that Windows would answer with, where one is known: code and parameters.
    pub bug_check: Option<(u32, [u64; 4])>,
    /// Where in the driver, innermost first.
    pub stack: Vec<Frame<'a>>,
}

/// Why a host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopKind {
    /// A bug check, as Windows would have.
    BugCheck,
    /// A routine did not return within the watchdog's time, or provably never will.
    Hang,
    /// A driver called a routine that Callboard does not have.
    Unimplemented,
    /// The host was killed, or crashed in a way that left no bug check.
    HostDied,
}

/// The end of a host, with everything known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop<'a> {
    /// Why.
    pub kind: StopKind,
    /// The bug check code; 0 where there was none.
    pub code: u32,
    /// Its four parameters.
    pub parameters: [u64; 4],
    /// The driver that ran.
    pub driver: Option<DriverId>,
    /// What happened in a sentence, and what to do.
    pub message: Cow<'a, str>,
    /// The processor's registers in the driver, where known.
    pub registers: Option<Box<Registers>>,
    /// The stack, innermost first.
    pub stack: Vec<Frame<'a>>,
}

/// The integer registers at a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are the processor's registers, by their names")]
pub struct Registers {
    pub rip: u64,
    pub rsp: u64,
    pub rbp: u64,
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub eflags: u32,
    pub irql: u8,
}

/// One level of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame<'a> {
    /// The address.
    pub address: u64,
    /// The image it lies in (`sensor.sys`).
    pub module: Option<Cow<'a, str>>,
    /// Its offset in that image.
    pub offset: u64,
    /// The symbol, where one is known, with its offset: `DriverEntry+0x1c`.
    pub symbol: Option<Cow<'a, str>>,
}

/// What kind of thing was left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeakKind {
    /// Pool memory.
    Pool,
    /// A device object.
    Device,
    /// A symbolic link.
    SymbolicLink,
    /// A registered routine.
    Routine,
    /// A system thread that still runs.
    Thread,
    /// An open handle.
    Handle,
    /// Anything else, named in the text.
    Other,
}

/// Something a driver left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leak<'a> {
    /// Who.
    pub driver: DriverId,
    /// What kind of thing.
    pub kind: LeakKind,
    /// Which one: a pool tag, a name, an address.
    pub what: Cow<'a, str>,
    /// How many.
    pub count: u64,
    /// How many bytes; 0 where that means nothing.
    pub bytes: u64,
}
