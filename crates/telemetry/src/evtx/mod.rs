//! Windows event logs: chunks of 64 KiB, each with records and all that they refer to, so that each is read by itself.
//!
//! ```text
//!   bytes ──▶ chunks, the oldest first ──▶ direct: templates, values ───────────────────────────▶ Fields ──▶ logged
//!                                     └──▶ records (crate evtx) ──▶ the event as JSON ──▶ json::event ──┘
//! ```
//!
//! The second way is for chunks in which anything is unusual or damaged.
//!
//! Checksums are not asked for: a log that was copied from a running machine has stale ones, and what is damaged shows by
//! not being readable. Records that were deleted are not dug out.

mod chunks;
mod direct;

use std::collections::VecDeque;
use std::sync::Arc;

use ::evtx::{EvtxChunkData, ParserSettings};
use event::Time;
use memchr::memmem;

use crate::container::Part;
use crate::json;
use crate::json::keys::Keys;
use crate::logged::{self, Log, Outcome, Refusal};
use crate::names::Names;
use crate::supersede::{Ahead, Supersede};
use crate::{Reason, Rejected, Told};
use chunks::{Chunk, Chunks, Place};
use direct::Direct;

/// The records of a part.
pub(crate) fn records(part: Part) -> Records {
    with(part, Ways::new)
}

/// The same, all of them by the second way.
#[cfg(feature = "fuzzing")]
pub(crate) fn rendered(part: Part) -> Records {
    with(part, || Ways { direct: None, ..Ways::new() })
}

/// How many chunks are read by the first way, and how many have records at all.
#[cfg(feature = "fuzzing")]
pub(crate) fn direct(part: &Part) -> (usize, usize) {
    let (mut direct, mut read, mut all) = (Direct::default(), 0, 0);
    for chunk in part.seekable().and_then(Chunks::new).into_iter().flatten().flatten() {
        if let Chunk::Data { place, data, .. } = chunk
            && let Ok(chunk) = EvtxChunkData::new(data, false)
        {
            let end = usize::try_from(chunk.header.free_space_offset).unwrap_or(usize::MAX);
            read += usize::from(direct.read(&chunk.data, end, place).is_some());
            all += 1;
        }
    }
    (read, all)
}

fn with(part: Part, ways: fn() -> Ways) -> Records {
    let again = part.clone();
    Records {
        state: State::Closed(part),
        supersede: Supersede::new(move || ahead(&again.aside(), ways())),
        ways: ways(),
        ready: VecDeque::new(),
        number: 0,
    }
}

/// An iterator over the records of a log.
pub(crate) struct Records {
    state: State,
    supersede: Supersede,
    ways: Ways,
    /// What the chunk that was read last has left.
    ready: VecDeque<Outcome>,
    number: u64,
}

enum State {
    Closed(Part),
    Open(Chunks),
    Ended,
}

/// The ways in which a chunk is read.
struct Ways {
    direct: Option<Direct>,
    settings: Arc<ParserSettings>,
    keys: Keys,
    names: Names,
}

impl Ways {
    fn new() -> Self {
        Self {
            direct: Some(Direct::default()),
            settings: Arc::new(ParserSettings::default().indent(false)),
            keys: Keys::new(),
            names: Names::default(),
        }
    }
}

impl Iterator for Records {
    type Item = Result<Box<Told>, Rejected>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Closed(part) => match part.seekable().and_then(Chunks::new) {
                    Ok(chunks) => self.state = State::Open(chunks),
                    Err(error) => return Some(Err(crate::damage(1, &error))),
                },
                State::Open(mut chunks) => match chunks.next()? {
                    Ok(chunk) => {
                        let ready = &mut self.ready;
                        chunks.spare = read(chunk, &mut self.ways, &mut |outcome| ready.push_back(outcome));
                        self.state = State::Open(chunks);
                    }
                    Err(error) => return Some(Err(crate::damage(self.number + 1, &error))),
                },
                State::Ended => return None,
            }
        }
        let outcome = self.ready.pop_front()?;
        self.number += 1;
        let number = self.number;
        Some(match outcome.and_then(|(told, log)| self.supersede.judge(told, log)) {
            Ok(mut told) => {
                told.number = number;
                Ok(told)
            }
            Err((reason, detail)) => Err(Rejected { number, reason, detail }),
        })
    }
}

/// Reads the records of a chunk, and of a bad one as many as can be read. Gives its room back.
fn read(chunk: Chunk, ways: &mut Ways, emit: &mut dyn FnMut(Outcome)) -> Vec<u8> {
    let Ways { direct, settings, keys, names } = ways;
    let (place, cut, mut data) = match chunk {
        Chunk::Bad { reason, detail } => {
            emit(Err((reason, detail)));
            return Vec::new();
        }
        Chunk::Data { place, cut, data } => match EvtxChunkData::new(data, false) {
            Ok(data) => (place, cut, data),
            Err(error) => {
                emit(Err((Reason::Damaged, format!("{place}: {}", explained(&error)))));
                return Vec::new();
            }
        },
    };
    if let Some(end) = cut {
        data.header.free_space_offset = end;
    }
    let end = usize::try_from(data.header.free_space_offset).unwrap_or(usize::MAX);
    let read = direct.as_mut().and_then(|direct| direct.read(&data.data, end, place));
    if let Some(outcomes) = read {
        outcomes.for_each(&mut *emit);
    } else {
        render(&mut data, place, settings, (keys, names), emit);
    }
    if cut.is_some() {
        emit(Err((Reason::Truncated, format!("{place}: the file ends within this chunk"))));
    }
    data.data
}

/// Reads them by the second way.
fn render(
    data: &mut EvtxChunkData,
    place: Place,
    settings: &Arc<ParserSettings>,
    (keys, names): (&mut Keys, &mut Names),
    emit: &mut dyn FnMut(Outcome),
) {
    match data.parse(Arc::clone(settings)) {
        Ok(mut chunk) => {
            for record in chunk.iter() {
                emit(match record {
                    Ok(record) => one(record, keys, names)
                        .map_err(|(reason, detail)| (reason, format!("{place}: {detail}"))),
                    Err(error) => Err((Reason::Damaged, format!("{place}: {}", explained(&error)))),
                });
            }
        }
        Err(error) => emit(Err((Reason::Damaged, format!("{place}: {}", explained(&error))))),
    }
}

fn one(record: ::evtx::EvtxRecord<'_>, keys: &mut Keys, names: &mut Names) -> Outcome {
    let (id, written) = (record.event_record_id, record.timestamp);
    let named = |(reason, detail): Refusal| (reason, format!("record {id}: {detail}"));
    let json = record.into_json_bytes().map_err(|error| named((Reason::Damaged, explained(&error))))?;
    let (fields, _) =
        json::event::read(&json.data, keys).map_err(|error| named((Reason::Malformed, error.to_string())))?;
    let (mut told, log) = logged::tell(&fields, 0, names).map_err(named)?;
    if told.time.is_none() {
        told.time = i64::try_from(written.as_nanosecond()).ok().map(Time::from_unix_nanos);
    }
    Ok((told, log))
}

/// An error with what it comes from.
fn explained(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{}: {error}", text.trim_end_matches('.'));
        source = error.source();
    }
    text
}

/// The second pass over a log, for what Sysmon tells in it.
fn ahead(part: &Part, mut ways: Ways) -> Ahead {
    let sysmon: Vec<u8> = "Sysmon".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let sysmon = memmem::Finder::new(&sysmon).into_owned();
    // An end that is no clean one is the first pass's to report.
    let chunks = part.seekable().and_then(Chunks::new).into_iter().flatten().map_while(Result::ok);
    Box::new(chunks.flat_map(move |chunk| {
        let mut found = Vec::new();
        // A chunk has the name of each provider of its records in it.
        if let Chunk::Data { data, .. } = &chunk
            && sysmon.find(data).is_some()
        {
            read(chunk, &mut ways, &mut |outcome| {
                if let Ok((told, Log::Sysmon)) = outcome {
                    found.push(told);
                }
            });
        }
        found
    }))
}
