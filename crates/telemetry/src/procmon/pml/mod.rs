//! Procmon's own format, PML: version 9 and later, of 32-bit and 64-bit systems.
//!
//! ```text
//!   header ──▶ offsets of the events ──▶ event ──▶ details
//!      └─────▶ processes ──▶ strings
//! ```
//!
//! The format is not documented by its makers; what is read here is what others found out and published. Events are read
//! one by one by the array of their offsets, in its order, which is that of the log. The tables are at the end of the file,
//! so a file is needed that can be read at any place, and one that was cut off, or that Procmon did not close, cannot be
//! read. Records are numbered from 1 in the order of the array.

mod bytes;
mod event;
mod header;
mod tables;

use std::io::{self, Read, Seek};
use std::sync::Arc;

use self::bytes::{Bytes, u32_at};
use self::event::{Create, DETAILS, FIXED, Fixed, Load, Start};
use self::header::Header;
use self::tables::Tables;
pub use self::tables::{Module, Process};
use super::births::Births;
use super::{Birth, Operation, Raw, by_id, loaded, shared, some};
use crate::{ImageLoad, ProcessCreate, ProcessExit, Reason, Rejected, Subject, ThreadEvent, Told, What};

/// Why a file is not read as a PML.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be read.
    #[error("{0}")]
    Io(io::Error),
    /// It does not begin with `PML_`.
    #[error("the file is no Procmon log: it does not begin with PML_")]
    Signature,
    /// It is older than what is known.
    #[error("version {0} of the format is too old: save the log with a Procmon of this decade")]
    Version(u32),
    /// Procmon was ended before it wrote the tables.
    #[error("Procmon did not close this log, so its tables are missing: open it in Procmon and save it anew")]
    NotClosed,
    /// It ends before a part that every log has.
    #[error(
        "the file is cut off: it ends before its {0}, without which no event says what process it is of; copy it anew or, \
         if this is all there is, open it in Procmon and save it"
    )]
    Truncated(&'static str),
    /// A table makes no sense.
    #[error("the table of {0} is damaged: {1}")]
    Table(&'static str, String),
}

impl OpenError {
    fn table(name: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated(name),
            _ => Self::Io(error),
        }
    }
}

/// Bytes of an offset in the array of offsets: 32 bits, and a byte that nobody knows.
const OFFSET: usize = 5;
/// How many offsets are read at once.
const OFFSETS: u32 = 4096;

/// Why an event is not told.
type Fault = (Reason, String);

/// A PML, event by event.
pub struct Reader<R> {
    bytes: Bytes<R>,
    header: Header,
    tables: Tables,
    births: Births,
    /// The next part of the array of offsets.
    offsets: Vec<u8>,
    number: u32,
    ended: bool,
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the header and the places of the processes.
    ///
    /// # Errors
    /// When it is no whole PML.
    pub fn open(input: R) -> Result<Self, OpenError> {
        let mut bytes = Bytes::new(input).map_err(OpenError::Io)?;
        let size = usize::try_from(bytes.len).unwrap_or(usize::MAX).min(header::SIZE);
        let head = bytes.apart(0, size).map_err(OpenError::table("header"))?;
        let header = Header::parse(&head)?;
        let tables = Tables::open(&mut bytes, &header)?;
        Ok(Self {
            bytes,
            header,
            tables,
            births: Births::default(),
            offsets: Vec::new(),
            number: 0,
            ended: false,
        })
    }

    /// The version of the format.
    pub fn version(&self) -> u32 {
        self.header.version
    }

    /// The machine's name.
    pub fn machine(&self) -> &str {
        &self.header.machine
    }

    /// How many records were read by now.
    pub fn read(&self) -> u64 {
        self.number.into()
    }

    /// The indexes of all processes that the log knows, also of those that were there before it.
    pub fn processes(&self) -> Vec<u32> {
        self.tables.indexes()
    }

    /// A process by its index; `None` where there is none.
    ///
    /// # Errors
    /// When the file cannot be read there.
    pub fn process(&mut self, index: u32) -> io::Result<Option<&Process>> {
        self.tables.process(&mut self.bytes, index)
    }

    /// The images in a process when the log was closed.
    ///
    /// # Errors
    /// When the file cannot be read there.
    pub fn modules(&mut self, index: u32) -> io::Result<Vec<Module>> {
        self.tables.modules(&mut self.bytes, index)
    }

    /// The next event of the log.
    fn record(&mut self) -> Option<Result<Raw, Rejected>> {
        if self.ended || self.number == self.header.events {
            return None;
        }
        let number = u64::from(self.number) + 1;
        let raw = match self.offset() {
            Ok(offset) => {
                self.number += 1;
                self.raw(number, offset)
            }
            Err(error) => {
                self.number += 1;
                self.ended = true;
                let detail = format!("offset {number} of {}: {error}", self.header.events);
                Err((Reason::Truncated, detail))
            }
        };
        Some(raw.map_err(|(reason, detail)| Rejected { number, reason, detail }))
    }

    fn offset(&mut self) -> io::Result<u64> {
        let place = self.number % OFFSETS;
        if place == 0 {
            let left = (self.header.events - self.number).min(OFFSETS) as usize * OFFSET;
            let at = self.header.offsets.saturating_add(u64::from(self.number) * OFFSET as u64);
            let there = usize::try_from(self.bytes.len.saturating_sub(at)).unwrap_or(usize::MAX);
            self.offsets = self.bytes.apart(at, left.min(there))?;
        }
        let offset = u32_at(&self.offsets, place as usize * OFFSET);
        offset.map(u64::from).ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    fn raw(&mut self, number: u64, offset: u64) -> Result<Raw, Fault> {
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                (Reason::Truncated, format!("the file ends before the event at {offset:#x} does"))
            }
            _ => (Reason::Damaged, format!("the event at {offset:#x}: {error}")),
        };
        let malformed =
            || (Reason::Malformed, format!("the details of the event at {offset:#x} are too short"));
        let fixed = Fixed::parse(self.bytes.at(offset, FIXED).map_err(unreadable)?).ok_or_else(malformed)?;
        let operation = fixed.operation().map_err(|name| (Reason::OtherKind, name))?;
        let process = self.tables.process(&mut self.bytes, fixed.process).map_err(unreadable)?;
        let process = process
            .ok_or_else(|| (Reason::NoProcess, format!("no process has the index {}", fixed.process)))?;
        let subject = process.subject.clone();
        let is_32_bit = Some(process.is_32_bit);
        let details = fixed.details.min(DETAILS) as usize;
        let at = offset + (FIXED + usize::from(fixed.stack) * self.header.pointer) as u64;
        let details = self.bytes.at(at, details).map_err(unreadable)?;
        let (machine, time) = (Some(Arc::clone(&self.header.machine)), fixed.time);
        let thread = Some(fixed.thread);
        let what = match operation {
            Operation::ProcessCreate | Operation::ProcessDefined => {
                let details = Create::parse(details).ok_or_else(malformed)?;
                let create = create(details, subject, thread);
                if operation == Operation::ProcessCreate {
                    return Ok(Raw::Create(Birth { number, machine, time, create }));
                }
                What::ProcessPresent(ProcessCreate { creator: (None, None), ..create })
            }
            Operation::ProcessStart => {
                let Start { parent, command_line } = Start::parse(details).ok_or_else(malformed)?;
                let (parent, command_line) = (by_id(parent), some(command_line));
                let create =
                    ProcessCreate { subject, parent, creator: (None, thread), command_line, is_32_bit };
                return Ok(Raw::Start(Birth { number, machine, time, create }));
            }
            Operation::ProcessExit => What::ProcessExit(ProcessExit { subject, status: u32_at(details, 0) }),
            Operation::ThreadCreate => {
                let created = Some(u32_at(details, 0).ok_or_else(malformed)?);
                What::ThreadCreate(ThreadEvent { subject, thread: created, by: thread, status: None })
            }
            Operation::ThreadExit => {
                What::ThreadExit(ThreadEvent { subject, thread, by: thread, status: None })
            }
            Operation::LoadImage => {
                let Load { base, size, path } =
                    Load::parse(details, self.header.pointer).ok_or_else(malformed)?;
                loaded(ImageLoad { subject, thread, path: some(path), base: Some(base), size: Some(size) })
            }
        };
        Ok(Raw::Other(Told { number, machine, time, record_id: None, what }))
    }
}

/// A birth as the parent's event has it. It names the parent by itself; if that is not in whose name it stands, it is
/// known by its id alone.
fn create(details: Create, named: Subject, thread: Option<u32>) -> ProcessCreate {
    let ((index, child), (parent_index, parent)) = (details.child, details.parent);
    let parent = match named.process == Some(parent) {
        true => named,
        false => Subject {
            process: Some(parent),
            unique: Some(parent_index.to_string().as_str().into()),
            image: None,
        },
    };
    ProcessCreate {
        subject: Subject {
            process: Some(child),
            unique: Some(index.to_string().as_str().into()),
            image: shared(&details.path),
        },
        parent,
        creator: (None, thread),
        command_line: some(details.command_line),
        is_32_bit: None,
    }
}

impl<R: Read + Seek> Iterator for Reader<R> {
    type Item = Result<Told, Rejected>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(told) = self.births.next() {
                return Some(told);
            }
            match self.record() {
                Some(raw) => self.births.take(raw),
                None => {
                    self.births.end();
                    return self.births.next();
                }
            }
        }
    }
}
