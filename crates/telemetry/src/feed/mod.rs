//! All that a part gives, whatever its format: records, or events as they were told, and pauses where it comes as it is made.

mod live;

use std::sync::Arc;

use event::Event;

use crate::logged::Log;
use crate::recording::Events;
use crate::{Format, OpenError, Part, Records, Rejected, Told, json, open};
use live::Live;

/// What a part gives next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fed {
    /// A record that tells something.
    Told(Box<Told>),
    /// A record that does not, or that is not there.
    Rejected(Rejected),
    /// Events as they were told, of one of Callboard's own recordings.
    Events {
        /// Which of the part the first of them is, or on which line; the others follow it.
        first: u64,
        /// Their machine; empty where the recording has no name for it.
        machine: Arc<str>,
        /// What happened, at least one.
        events: Vec<Event<'static>>,
    },
    /// Nothing else is there yet, and what was given before has waited for it: it may be told. Only of a
    /// [live](Part::is_live) part.
    Idle,
}

impl Fed {
    /// How many records it is.
    pub fn records(&self) -> usize {
        match self {
            Self::Told(_) | Self::Rejected(_) => 1,
            Self::Events { events, .. } => events.len(),
            Self::Idle => 0,
        }
    }
}

/// What a part gives, one after the other.
pub struct Feed(Source);

enum Source {
    Given(Giver),
    Live(Live),
}

/// A reader, whatever its format.
enum Giver {
    Records(Records<'static>),
    /// Records that others tell better are among them.
    Raw(json::Raw),
    Events(Events),
}

/// What a reader gives.
enum Given {
    Fed(Fed),
    Raw(Box<Told>, Log),
}

impl Feed {
    /// Opens a part. A live one is read by a thread of its own from then on, as far as it is asked for.
    ///
    /// # Errors
    /// It is not what it looked like.
    pub fn open(part: &Part, format: Format) -> Result<Self, OpenError> {
        let unfit = |error: crate::recording::OpenError| open::unfit(part, format, error.to_string());
        let giver = match format {
            Format::Cbr => Giver::Events(Events::of_blocks(part).map_err(unfit)?),
            Format::CbrLines => Giver::Events(Events::of_lines(part).map_err(unfit)?),
            Format::Json if part.is_live() => Giver::Raw(json::raw(part)),
            _ => Giver::Records(open::read(part, format)?),
        };
        Ok(Self(if part.is_live() { Source::Live(Live::new(giver)) } else { Source::Given(giver) }))
    }
}

impl Iterator for Feed {
    type Item = Fed;

    fn next(&mut self) -> Option<Fed> {
        match &mut self.0 {
            Source::Live(live) => live.next(),
            Source::Given(giver) => match giver.next()? {
                Given::Fed(fed) => Some(fed),
                Given::Raw(told, _) => Some(Fed::Told(told)),
            },
        }
    }
}

impl Iterator for Giver {
    type Item = Given;

    fn next(&mut self) -> Option<Given> {
        let fed = match self {
            Self::Records(records) => records.next()?.map_or_else(Fed::Rejected, Fed::Told),
            Self::Raw(raw) => match raw.next()? {
                Ok((told, log)) => return Some(Given::Raw(told, log)),
                Err(rejected) => Fed::Rejected(rejected),
            },
            Self::Events(reader) => match reader.next_together()? {
                Ok(events) => {
                    let first = reader.number() + 1 - events.len() as u64;
                    Fed::Events { first, machine: Arc::clone(reader.machine()), events }
                }
                Err(rejected) => Fed::Rejected(rejected),
            },
        };
        Some(Given::Fed(fed))
    }
}
