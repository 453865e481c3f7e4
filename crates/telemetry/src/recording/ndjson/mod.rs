//! A recording as lines of JSON, and back: the same events, whichever way.
//!
//! `docs/recordings.md` describes the lines.

mod line;
mod lines;
mod text;

use std::io::{self, BufRead, Read, Write};

use event::{Event, Time};
use serde::{Deserialize, Serialize};

use self::line::{Line, Moment};
pub(crate) use self::lines::Lines;
use super::{BadRecord, Meta, Options, Reader, Writer};

/// The version of the lines.
const SCHEMA: &str = "callboard.recording/1";
/// More than any line has.
const MOST: u64 = 16 << 20;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    r#type: String,
    schema: String,
    machine: String,
    started: Moment,
    source: String,
    producer: String,
}

/// The last line, of a recording that was finished.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    r#type: String,
    events: u64,
}

/// Why lines are not read on.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The input cannot be read, or the output not be written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A line is not what it should be.
    #[error("line {line}: {why}")]
    Line {
        /// Which line, from 1.
        line: u64,
        /// What the matter is.
        why: String,
    },
}

/// What was read of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Import {
    /// How many events.
    pub events: u64,
    /// Whether the last line was there; if it was not, the recording is left unfinished too.
    pub finished: bool,
}

/// Writes the first line of a recording.
///
/// # Errors
/// Those of the output.
pub fn write_first(out: &mut impl Write, meta: &Meta) -> io::Result<()> {
    let first = First {
        r#type: "recording".into(),
        schema: SCHEMA.into(),
        machine: meta.machine.clone(),
        started: Moment::of(meta.started),
        source: meta.source.clone(),
        producer: meta.producer.clone(),
    };
    text::write(out, &first)
}

/// Writes the line of an event.
///
/// # Errors
/// Those of the output.
pub fn write_event(out: &mut impl Write, event: &Event<'_>) -> io::Result<()> {
    text::write(out, &Line::of(event))
}

/// Writes the last line of a recording of so many events: it is whole.
///
/// # Errors
/// Those of the output.
pub fn write_last(out: &mut impl Write, events: u64) -> io::Result<()> {
    text::write(out, &Last { r#type: "end".into(), events })
}

/// Writes what is left of a recording as lines. [`Reader::account`] then says what that was; `bad` is told of events that
/// have no line since they cannot be understood.
///
/// # Errors
/// Those of the output.
pub fn to_ndjson<R: Read, W: Write>(
    reader: &mut Reader<R>,
    mut out: W,
    mut bad: impl FnMut(BadRecord),
) -> io::Result<()> {
    write_first(&mut out, &reader.meta().cloned().unwrap_or_default())?;
    while let Some(event) = reader.next_event() {
        match event {
            Ok(event) => write_event(&mut out, &event)?,
            Err(record) => bad(record),
        }
    }
    if reader.account().is_whole() {
        write_last(&mut out, reader.account().events)?;
    }
    out.flush()
}

/// Writes lines as a recording.
///
/// # Errors
/// Those of either side, and the first line that is not as this version has them. What came before it is in the recording.
pub fn from_ndjson<R: BufRead, W: Write>(
    mut input: R,
    out: W,
    options: Options,
) -> Result<Import, LineError> {
    let mut number = 0;
    let mut text = Vec::new();
    let mut next = |text: &mut Vec<u8>| -> Result<Option<u64>, LineError> {
        text.clear();
        number += 1;
        input.by_ref().take(MOST).read_until(b'\n', text)?;
        if text.len() as u64 == MOST {
            return Err(LineError::Line { line: number, why: "too long".into() });
        }
        Ok((!text.is_empty()).then_some(number))
    };
    let fault = |line, why: String| LineError::Line { line, why };
    let Some(line) = next(&mut text)? else { return Err(fault(1, "no lines".into())) };
    let meta = first(&text).map_err(|why| fault(line, why))?;
    let mut writer = Writer::new(out, &meta, options)?;
    while let Some(line) = next(&mut text)? {
        let why = match Line::parse(&text) {
            Ok(parsed) => match parsed.event() {
                Ok(event) => {
                    writer.push(&event)?;
                    continue;
                }
                Err(why) => why,
            },
            Err(why) => why,
        };
        let events = writer.events();
        match last(&text) {
            None => return Err(fault(line, why)),
            Some(end) if end != events => {
                return Err(fault(line, format!("the end of {end} events, where {events} were read")));
            }
            Some(_) => {}
        }
        if next(&mut text)?.is_some() {
            return Err(fault(line + 1, "a line behind the end".into()));
        }
        writer.finish()?;
        return Ok(Import { events, finished: true });
    }
    writer.flush()?;
    Ok(Import { events: writer.events(), finished: false })
}

fn first(text: &[u8]) -> Result<Meta, String> {
    /// What every version has.
    #[derive(Deserialize)]
    struct Schema {
        schema: Option<String>,
    }
    let schema = serde_json::from_slice::<Schema>(text).map_err(|error| error.to_string())?.schema;
    match schema.as_deref() {
        Some(SCHEMA) => {}
        Some(other) => return Err(format!("the schema is {other}, and this Callboard reads {SCHEMA}")),
        None => return Err(format!("the first line does not name the schema {SCHEMA}")),
    }
    let first: First = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let started: Time = first.started.time()?;
    let First { machine, source, producer, .. } = first;
    Ok(Meta { machine, started, source, producer })
}

/// What a line says if it is the first of a recording; `None` if it is another.
fn begins(text: &[u8]) -> Option<Result<Meta, String>> {
    #[derive(Deserialize)]
    struct Type {
        r#type: String,
    }
    let kind = serde_json::from_slice::<Type>(text).ok()?;
    (kind.r#type == "recording").then(|| first(text))
}

fn last(text: &[u8]) -> Option<u64> {
    let last: Last = serde_json::from_slice(text).ok()?;
    (last.r#type == "end").then_some(last.events)
}
