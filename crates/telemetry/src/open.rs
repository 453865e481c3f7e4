//! A file is opened: what it is packed in, what it holds, and its records one after the other.

use std::fmt::Write as _;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use crate::container::{self, Bytes, Part, Source};
use crate::format::{Format, PREFIX, detect};
use crate::{Reason, Records, Rejected, Told, evtx, json, procmon};

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file, or what is packed in it, cannot be read.
    #[error("{name} cannot be read: {error}")]
    Unreadable {
        /// The file.
        name: String,
        /// What went wrong.
        #[source]
        error: io::Error,
    },
    /// An archive that is damaged, or that is made to do harm.
    #[error("{name} is an archive that cannot be read: {why}")]
    Archive {
        /// The file.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// An archive in an archive.
    #[error("{name} holds {kind}: what is packed twice is not read, unpack it once before")]
    Nested {
        /// The file and the entry.
        name: String,
        /// What it holds.
        kind: &'static str,
    },
    /// There is nothing in it.
    #[error("{name} is empty")]
    Empty {
        /// The file.
        name: String,
    },
    /// It is of no format that is understood.
    #[error(
        "{name} is no recording that is understood: it begins with {found}; understood are EVTX (\"ElfFile\\0\"), JSON ({{ or [), \
         Procmon's CSV (its header) and PML (\"PML_\"), and Callboard's own recordings and their lines, each also in gzip or zip"
    )]
    Unknown {
        /// The file.
        name: String,
        /// Its first bytes.
        found: String,
    },
    /// It holds what drivers answered.
    #[error(
        "{name} holds the records of a run (callboard.record/1), and no recording: `--baseline` compares with them, \
         `run --record FILE.cbr` makes a recording"
    )]
    Answers {
        /// The file.
        name: String,
    },
    /// Its format is known, and it cannot be read as that.
    #[error("{name} is {format}, and cannot be read: {why}")]
    Unfit {
        /// The file.
        name: String,
        /// Its format.
        format: Format,
        /// What is the matter with it.
        why: String,
    },
}

/// A part of a file that is of no format that is understood, beside others that are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The file and the entry.
    pub name: String,
    /// Its first bytes.
    pub found: String,
}

/// The records of a file: of all its parts, one part after the other.
pub struct Reader {
    parts: std::vec::IntoIter<(Part, Format)>,
    now: Option<(Part, Format, Records<'static>)>,
    skipped: Vec<Skipped>,
}

/// What is in a file: streams of records, each of a format that is understood.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Those that are understood; at least one.
    pub parts: Vec<(Part, Format)>,
    /// Those that are not: nothing of them is read.
    pub skipped: Vec<Skipped>,
}

/// Looks into a file, or standard input for `-`, whatever it is packed in. What is found can be read more than once, but
/// what comes through a pipe: of that only the beginning is waited for, and the rest is read [once](Part::is_live).
///
/// # Errors
/// It cannot be read, is an archive that is refused, or holds nothing that is understood.
pub fn look(path: &Path) -> Result<Contents, OpenError> {
    let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    match Source::of(path) {
        Ok(Source::File(bytes)) => Contents::of(&name, container::parts(&name, bytes)?),
        Ok(Source::Live(input)) => look_live(&name, input),
        Err(error) => Err(OpenError::Unreadable { name, error }),
    }
}

/// Looks into what comes as it is made.
///
/// # Errors
/// As [`look`].
pub fn look_live(name: &str, input: Box<dyn Read + Send>) -> Result<Contents, OpenError> {
    // Of text a whole line says what it is.
    let enough = |prefix: &[u8]| {
        let lines = memchr::memrchr(b'\n', prefix).map_or(0, |end| end + 1);
        detect(prefix).is_some_and(Format::has_magic) || detect(&prefix[..lines]).is_some()
    };
    Contents::of(name, container::live_parts(name, input, PREFIX, enough)?)
}

/// Opens a file, or standard input for `-`, whatever it is packed in.
///
/// # Errors
/// As [`look`], and a recording of Callboard's own, whose events [`recording`](crate::recording) reads.
pub fn open(path: &Path) -> Result<Reader, OpenError> {
    Reader::new(look(path)?)
}

/// As [`open`], for a file that is in memory.
///
/// # Errors
/// As [`open`].
pub fn open_bytes(name: &str, bytes: impl Into<Arc<[u8]>>) -> Result<Reader, OpenError> {
    Reader::new(look_bytes(name, bytes)?)
}

/// As [`look`], for a file that is in memory.
///
/// # Errors
/// As [`look`].
pub fn look_bytes(name: &str, bytes: impl Into<Arc<[u8]>>) -> Result<Contents, OpenError> {
    Contents::of(name, container::parts(name, Bytes::memory(bytes.into()))?)
}

impl Contents {
    fn of(name: &str, found: Vec<Part>) -> Result<Self, OpenError> {
        let (mut parts, mut skipped, mut only) = (Vec::new(), Vec::new(), None);
        for part in found {
            let name = part.name().to_owned();
            let unreadable = |error| OpenError::Unreadable { name: name.clone(), error };
            let prefix = part.prefix(PREFIX).map_err(unreadable)?;
            match detect(&prefix).filter(|_| !is_answers(&prefix)) {
                // Their readers jump about.
                Some(format @ (Format::Evtx | Format::Pml)) => {
                    parts.push((part.spooled().map_err(unreadable)?, format));
                }
                Some(format) => parts.push((part, format)),
                None => {
                    let found = shown(&prefix);
                    let empty = prefix.is_empty();
                    skipped.push(Skipped { name: name.clone(), found: found.clone() });
                    let error = match empty {
                        true => OpenError::Empty { name },
                        false if is_answers(&prefix) => OpenError::Answers { name },
                        false => OpenError::Unknown { name, found },
                    };
                    only.get_or_insert(error);
                }
            }
        }
        match (parts.is_empty(), only) {
            (false, _) => Ok(Self { parts, skipped }),
            (true, Some(error)) => Err(error),
            (true, None) => Err(OpenError::Empty { name: name.into() }),
        }
    }
}

impl Reader {
    fn new(contents: Contents) -> Result<Self, OpenError> {
        let Contents { parts, skipped } = contents;
        let mut parts = parts.into_iter();
        let now = match parts.next() {
            Some((part, format)) => Some(opened(part, format)?),
            None => None,
        };
        Ok(Self { parts, now, skipped })
    }

    /// The part that the last record came from, and its format.
    pub fn part(&self) -> Option<(&str, Format)> {
        self.now.as_ref().map(|(part, format, _)| (part.name(), *format))
    }

    /// The parts that are of no format that is understood: nothing of them is read.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }
}

impl Iterator for Reader {
    type Item = Result<Told, Rejected>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (_, _, now) = self.now.as_mut()?;
            if let Some(record) = now.next() {
                return Some(record.map(|told| *told));
            }
            let (part, format) = self.parts.next()?;
            match opened(part, format) {
                Ok(next) => self.now = Some(next),
                Err(error) => {
                    return Some(Err(Rejected {
                        number: 0,
                        reason: Reason::Damaged,
                        detail: error.to_string(),
                    }));
                }
            }
        }
    }
}

fn opened(part: Part, format: Format) -> Result<(Part, Format, Records<'static>), OpenError> {
    let records = read(&part, format)?;
    Ok((part, format, records))
}

/// The records of a part: where the reader of each format is named.
///
/// # Errors
/// It is not what it looked like, or a recording of Callboard's own, whose events [`recording`](crate::recording) reads.
pub fn read(part: &Part, format: Format) -> Result<Records<'static>, OpenError> {
    let unfit = |why| unfit(part, format, why);
    Ok(match format {
        Format::Evtx => Box::new(evtx::records(part.clone())),
        Format::Json => Box::new(json::records(part.clone())),
        Format::ProcmonCsv => {
            let input = BufReader::new(part.stream());
            let reader = procmon::csv::Reader::open(input, procmon::csv::Options::default());
            let reader = reader.map_err(|error| unfit(error.to_string()))?;
            Box::new(reader.map(|record| record.map(Box::new)))
        }
        Format::Pml => {
            let input = part.seekable().map_err(|error| unfit(error.to_string()))?;
            let reader = procmon::pml::Reader::open(input).map_err(|error| unfit(error.to_string()))?;
            Box::new(reader.map(|record| record.map(Box::new)))
        }
        Format::Cbr | Format::CbrLines => {
            return Err(unfit("it holds events as they are told, and no records".into()));
        }
    })
}

pub(crate) fn unfit(part: &Part, format: Format, why: String) -> OpenError {
    OpenError::Unfit { name: part.name().into(), format, why }
}

/// Whether something is what `--format ndjson` writes of a run: that its first line says.
fn is_answers(prefix: &[u8]) -> bool {
    let line = prefix.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.starts_with(b"{\"type\":") && memchr::memmem::find(line, b"\"schema\":\"callboard.record/").is_some()
}

/// The first bytes of something, for an error.
fn shown(prefix: &[u8]) -> String {
    let first = &prefix[..prefix.len().min(8)];
    if first.is_empty() {
        return "nothing".into();
    }
    let mut shown = format!("\"{}\" (", first.escape_ascii());
    for (index, byte) in first.iter().enumerate() {
        let _ = write!(shown, "{}{byte:02x}", if index == 0 { "" } else { " " });
    }
    shown + ")"
}
