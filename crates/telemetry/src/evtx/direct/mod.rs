//! A chunk read without making text of its records: what a template's values mean is learnt once, from its definition.
//!
//! Events have few forms, and all of a chunk's records are read so, or none is: where anything in it is unusual or damaged,
//! the crate `evtx` reads the chunk, whose word on what can be read is the last. Both ways tell the same, which the tests
//! and the fuzz target hold against each other.

mod cursor;
mod template;
mod values;

use std::ops::{Range, RangeInclusive};
use std::vec::Drain;

use event::Time;

use super::chunks::{Place, RECORD_LEAST, RECORD_MAGIC};
use crate::fields::{Field, Fields};
use crate::logged::{self, Outcome};
use crate::names::Names;
use cursor::Cursor;
use template::{Content, Kind, Template};
use values::{Instance, Read, Values};

const CHUNK_HEADER: usize = 512;
/// Where the heads of the lists of names are in a chunk's header, and how many there are.
const NAMES: usize = 128;
const LISTS: usize = 64;
/// What stands in a record before its event.
const RECORD_HEADER: usize = 24;
/// The years in which a log can have been written: from 1728 to 2234.
const WRITTEN: RangeInclusive<u64> = 40_000_000_000_000_000..=200_000_000_000_000_000;

/// What is kept from one record, and one chunk, to the next.
#[derive(Debug, Default)]
pub(super) struct Direct {
    /// The templates of the chunk, by where they stand.
    templates: Vec<(usize, Template)>,
    outer: Values,
    inner: Values,
    /// The texts of a record, which are UTF-8: of what is about it, and its own.
    texts: [Vec<u8>; 2],
    read: Vec<(Field, u8, Read)>,
    names: Names,
    outcomes: Vec<Outcome>,
}

impl Direct {
    /// Reads the records of a chunk, which end at `end`; none where one of them has a form that is not known.
    pub(super) fn read<'d>(
        &'d mut self,
        chunk: &[u8],
        end: usize,
        place: Place,
    ) -> Option<Drain<'d, Outcome>> {
        self.templates.clear();
        self.outcomes.clear();
        names_are_whole(chunk)?;
        let last = Cursor::new(chunk, 32).u64()?;
        let end = end.min(chunk.len());
        let mut at = CHUNK_HEADER;
        while at < end {
            let mut cursor = Cursor::new(chunk, at);
            let magic = cursor.take(RECORD_MAGIC.len())?;
            let size = cursor.size()?;
            let (number, written) = (cursor.u64()?, cursor.u64()?);
            let whole = size >= RECORD_LEAST && size <= chunk.len() - at;
            if magic != RECORD_MAGIC || !whole || !WRITTEN.contains(&written) {
                return None;
            }
            let outcome = self.record(chunk, at + RECORD_HEADER..at + size - 4, written)?;
            self.outcomes.push(
                outcome.map_err(|(reason, detail)| (reason, format!("{place}: record {number}: {detail}"))),
            );
            at += size;
            if number == last {
                break;
            }
        }
        Some(self.outcomes.drain(..))
    }

    /// Reads one event.
    fn record(&mut self, chunk: &[u8], event: Range<usize>, written: u64) -> Option<Outcome> {
        let instance = Instance::read(chunk, event.clone())?;
        let outer = self.template(chunk, instance)?;
        let template = &self.templates[outer].1;
        let inner = self.outer.find(chunk, event, instance, template.inner)?;
        let fits = template.kind == Kind::Event && self.outer.fit(template);
        // Where the event's own fields go, nothing else can stand.
        let clear = template.inner.is_none_or(|value| inner.is_some() || self.outer.is_nothing(value));
        if !fits || !clear || (inner.is_some() && template.has_data) {
            return None;
        }
        let mut data = None;
        if let Some(inner) = inner {
            let instance = Instance::read(chunk, inner.clone())?;
            let index = self.template(chunk, instance)?;
            let template = &self.templates[index].1;
            self.inner.find(chunk, inner, instance, None)?;
            if template.kind == Kind::Event || !self.inner.fit(template) {
                return None;
            }
            data = (template.kind == Kind::Data).then_some(index);
        }
        self.texts.iter_mut().for_each(Vec::clear);
        self.read.clear();
        let outer = &self.templates[outer].1.fields;
        let about = outer.partition_point(|(field, ..)| field.is_of_event());
        let inner = data.map_or(&[][..], |index| &self.templates[index].1.fields);
        let ([about_it, text], read, mut fields) = (&mut self.texts, &mut self.read, Fields::default());
        take(&outer[..about], &self.outer, chunk, about_it, read)?;
        set(&mut fields, read, about_it);
        // Most of a log may be of other kinds.
        if let Some(refusal) = logged::foreign(&fields) {
            return Some(Err(refusal));
        }
        take(&outer[about..], &self.outer, chunk, text, read)?;
        take(inner, &self.inner, chunk, text, read)?;
        set(&mut fields, read, text);
        Some(tell(&fields, written, &mut self.names))
    }

    /// The template of an instance, by its place among those of the chunk.
    fn template(&mut self, chunk: &[u8], instance: Instance) -> Option<usize> {
        let known = self.templates.iter().position(|(at, _)| *at == instance.template);
        if known.is_some() {
            return known;
        }
        self.templates.push((instance.template, Template::learn(chunk, instance.template)?));
        Some(self.templates.len() - 1)
    }
}

/// Reads the fields of a template.
fn take(
    fields: &[(Field, u8, Content)],
    values: &Values,
    chunk: &[u8],
    text: &mut Vec<u8>,
    into: &mut Vec<(Field, u8, Read)>,
) -> Option<()> {
    for (field, rank, content) in fields {
        let read = match content {
            Content::Text(fixed) => {
                let from = text.len();
                text.extend(fixed.as_bytes());
                Read::Text(from..text.len())
            }
            Content::Value(value) => values.read(chunk, *value, text)?,
        };
        // A moment is written out where something else is expected.
        if matches!(read, Read::Time(_)) && !matches!(field, Field::Time | Field::UtcTime) {
            return None;
        }
        into.push((*field, *rank, read));
    }
    Some(())
}

/// Sets what was read.
fn set<'a>(fields: &mut Fields<'a>, read: &mut Vec<(Field, u8, Read)>, text: &'a [u8]) {
    for (field, rank, read) in read.drain(..) {
        if let Some(value) = read.value(text) {
            fields.set(field, rank, value);
        }
    }
}

fn tell(fields: &Fields<'_>, written: u64, names: &mut Names) -> Outcome {
    let (mut told, log) = logged::tell(fields, 0, names)?;
    if told.time.is_none() {
        told.time = i64::try_from(written).ok().map(Time);
    }
    Ok((told, log))
}

/// Whether all names of a chunk can be read: without them, none of its records can.
fn names_are_whole(chunk: &[u8]) -> Option<()> {
    let mut heads = Cursor::new(chunk, NAMES);
    let mut seen = Vec::new();
    for _ in 0..LISTS {
        let mut at = heads.size()?;
        while at != 0 && !seen.contains(&at) {
            seen.push(at);
            (at, _) = Cursor::new(chunk, at).link()?;
        }
    }
    Some(())
}
