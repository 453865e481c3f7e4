//! Events of Windows logs as JSON, in the shapes that shippers and stores give them.
//!
//! ```text
//!   stream ──▶ utf16 ──▶ split ──▶ event (by shape, packed) ──▶ Fields ──▶ logged: Told | Rejected
//! ```

mod dates;
pub(crate) mod event;
pub(crate) mod keys;
mod packed;
mod positions;
mod scan;
pub(crate) mod shape;
mod split;
mod wrap;

use std::io::Read;

use crate::container::Part;
use crate::logged::{self, Log, Outcome};
use crate::names::Names;
use crate::supersede::{Ahead, Supersede};
use crate::utf16::Narrow;
use crate::{Reason, Refusal, Rejected, Told};
use dates::Dates;
use keys::Keys;
use memchr::memmem;
use split::{Bad, LONGEST, Piece, Splitter};

/// The records of a part.
pub(crate) fn records(part: Part) -> Records {
    let raw = raw(&part);
    Records { raw, supersede: Supersede::new(move || ahead(&part.aside())) }
}

/// The records of a part, each as it is by itself.
pub(crate) fn raw(part: &Part) -> Raw {
    Raw {
        split: Some(split(part.stream())),
        keys: Keys::new(),
        dates: Dates::default(),
        names: Names::default(),
    }
}

type Split = Splitter<Box<dyn Read + Send>>;

/// An iterator over the records of JSON text.
pub(crate) struct Records {
    raw: Raw,
    supersede: Supersede,
}

impl Iterator for Records {
    type Item = Result<Box<Told>, Rejected>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.raw.next()?.and_then(|(told, log)| self.supersede.judge_numbered(told, log)))
    }
}

/// An iterator over the same, none of which is judged by what others tell.
pub(crate) struct Raw {
    /// Until the text has ended.
    split: Option<Split>,
    keys: Keys,
    dates: Dates,
    names: Names,
}

fn split(stream: Box<dyn Read + Send>) -> Split {
    Splitter::new(Box::new(Narrow::new(stream)))
}

impl Iterator for Raw {
    type Item = Result<(Box<Told>, Log), Rejected>;

    fn next(&mut self) -> Option<Self::Item> {
        let split = self.split.as_mut()?;
        let (outcome, length) = match split.next() {
            Ok(None) => {
                self.split = None;
                return None;
            }
            Ok(Some(Piece::Record { text, cut })) => {
                record(text, cut, &mut self.keys, &mut self.dates, &mut self.names)
            }
            Ok(Some(Piece::Bad { what })) => (Err(bad(what)), None),
            Err(error) => {
                let rejected = crate::damage(split.number() + 1, &error);
                self.split = None;
                return Some(Err(rejected));
            }
        };
        let (number, offset) = (split.number(), split.offset());
        if let Some(length) = length {
            split.again_from(length);
        }
        Some(match outcome {
            Ok((mut told, log)) => {
                told.number = number;
                Ok((told, log))
            }
            Err((reason, detail)) => {
                Err(Rejected { number, reason, detail: format!("at offset {offset}: {detail}") })
            }
        })
    }
}

/// What a record tells, and where in its text another begins.
fn record(
    text: &[u8],
    cut: bool,
    keys: &mut Keys,
    dates: &mut Dates,
    names: &mut Names,
) -> (Outcome, Option<usize>) {
    let (mut fields, length) = match event::read(text, keys) {
        Ok(read) => read,
        Err(error) => {
            let reason = if cut && error.is_eof() { Reason::Truncated } else { Reason::Malformed };
            return (Err((reason, error.to_string())), None);
        }
    };
    dates.settle(&mut fields);
    let between = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b']');
    match text[length..].iter().position(|byte| !between(byte)) {
        Some(at) if text[length + at] == b'{' => (logged::tell(&fields, 0, names), Some(length + at)),
        Some(_) => (Err((Reason::Malformed, "text after the end of the record".into())), None),
        None => (logged::tell(&fields, 0, names), None),
    }
}

fn bad(what: Bad) -> Refusal {
    match what {
        Bad::NoObject => (Reason::Malformed, "text that begins no object".into()),
        Bad::Broken => (Reason::Malformed, "an object that does not end".into()),
        Bad::Long => (Reason::Malformed, format!("a record longer than {} MiB", LONGEST >> 20)),
        Bad::Cut => (Reason::Truncated, "the file ends within this record".into()),
        Bad::Open => (Reason::Truncated, "the file ends within the array of records".into()),
    }
}

/// The second pass over a part, for what Sysmon tells in it.
fn ahead(part: &Part) -> Ahead {
    let (mut split, mut keys, mut dates) = (split(part.stream()), Keys::new(), Dates::default());
    let mut names = Names::default();
    // What an event of Sysmon has in it somewhere. Names that are written with escapes are not found: nobody does.
    let marks = ["ysmon", "YSMON", "UtcTime"].map(memmem::Finder::new);
    Box::new(std::iter::from_fn(move || {
        loop {
            // An end that is no clean one is the first pass's to report.
            let (outcome, length) = match split.next().ok()?? {
                Piece::Record { text, .. } if !marks.iter().any(|mark| mark.find(text).is_some()) => continue,
                Piece::Record { text, cut } => record(text, cut, &mut keys, &mut dates, &mut names),
                Piece::Bad { .. } => continue,
            };
            if let Some(length) = length {
                split.again_from(length);
            }
            if let Ok((told, Log::Sysmon)) = outcome {
                return Some(told);
            }
        }
    }))
}
