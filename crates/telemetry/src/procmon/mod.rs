//! Process Monitor's logs, as CSV and as PML.
//!
//! ```text
//!   csv ──▶ columns, detail, clock ─┐
//!                                   ├─▶ Raw ──▶ births ──▶ Told | Rejected
//!   pml ──▶ tables, event, detail ──┘
//! ```
//!
//! Both tell the same of the same run, but that a PML knows more: the machine, and which of two processes with one id is
//! meant. Six operations are told of, and `Process Defined` where a file has it; all others are [`Reason::OtherKind`].
//!
//! What the logs say, and what of it is to be known:
//!
//! * **A birth has two records.** `Process Create` is in the parent's name and `Process Start`, right after it, in the
//!   child's; `births` makes one of them.
//! * **The thread is the creator's, the process is the parent.** Both records stand in the name of the thread that created
//!   the process, and for a process that was given another parent (an elevated program, whose parent is the shell while a
//!   service creates it) that is no thread of the process they name. So the creator of a birth is a thread without a process.
//! * **What was there before the capture is not told of as started**: a log begins with whatever happens first. A PML's table
//!   of processes has them all, see [`pml::Reader::process`].
//! * **Threads exit without a status**: neither form has it, a PML holds `STILL_ACTIVE` in its place.
//! * **Drivers are images of System** in the upper half of the address space: they are told as drivers.
//!
//! [`Reason::OtherKind`]: crate::Reason::OtherKind

mod births;
pub mod csv;
pub mod pml;

use std::sync::Arc;

use event::Time;

use crate::{DriverLoad, ImageLoad, ProcessCreate, ProcessExit, Subject, ThreadEvent, Told, What};

/// One record as its file has it.
enum Raw {
    /// The parent's side of a birth.
    Create(Birth),
    /// The child's side of it.
    Start(Birth),
    /// Anything else.
    Other(Told),
}

/// One side of a birth.
struct Birth {
    number: u64,
    machine: Option<Arc<str>>,
    time: Option<Time>,
    create: ProcessCreate,
}

impl Birth {
    fn told(self) -> Told {
        let Self { number, machine, time, create } = self;
        Told { number, machine, time, record_id: None, what: What::ProcessCreate(create) }
    }

    /// The id of the process that is born.
    fn child(&self) -> Option<u32> {
        self.create.subject.process
    }
}

/// An operation that is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    ProcessDefined,
    ProcessCreate,
    ProcessExit,
    ThreadCreate,
    ThreadExit,
    LoadImage,
    ProcessStart,
}

/// What a `Load Image` loaded: an image, or a driver where it lies where only the kernel does.
fn loaded(image: ImageLoad) -> What {
    const SYSTEM: u32 = 4;
    let driver = image.base.is_some_and(|base| {
        let upper_half_of_32_bits = 0x8000_0000..0x1_0000_0000;
        base >= 0xFFFF_8000_0000_0000
            || image.subject.process == Some(SYSTEM) && upper_half_of_32_bits.contains(&base)
    });
    match driver {
        true => What::DriverLoad(DriverLoad { path: image.path, base: image.base, size: image.size }),
        false => What::ImageLoad(image),
    }
}

/// The process that a record says something of besides its birth.
fn subject(what: &What) -> Option<u32> {
    match what {
        What::ProcessCreate(create) | What::ProcessPresent(create) => create.subject.process,
        What::ProcessExit(ProcessExit { subject, .. })
        | What::ThreadCreate(ThreadEvent { subject, .. })
        | What::ThreadExit(ThreadEvent { subject, .. })
        | What::ImageLoad(ImageLoad { subject, .. }) => subject.process,
        What::DriverLoad(_) => None,
    }
}

/// A text, unless it is empty: columns and strings that are empty say nothing.
fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// The same, to be shared.
fn shared(text: &str) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| text.into())
}

/// A process of which only the id is known.
fn by_id(process: u32) -> Subject {
    Subject { process: Some(process), ..Subject::default() }
}
