//! The events of recordings, in either form, one after the other, and what is in the place of those that are not there.

use std::io::{BufReader, Read};
use std::sync::Arc;

use event::Event;

use super::ndjson::Lines;
use super::{Account, BadRecord, Ending, OpenError, Reader};
use crate::utf16::Narrow;
use crate::{Part, Reason, Refusal, Rejected};

/// How many events are given together at most.
pub(crate) const TOGETHER: usize = 512;

/// The events of all recordings in a part: each is told or rejected, and so is each place at which some are missing, and
/// each end that is none.
pub struct Events {
    form: Form,
    machine: Arc<str>,
    number: u64,
    /// Rejections that are to be given out before anything else is read.
    rest: Rest,
}

type Input = Box<dyn Read + Send>;
type Rest = Box<dyn Iterator<Item = Refusal> + Send>;

enum Form {
    Blocks(Box<Reader<Input>>),
    Lines(Box<Lines<BufReader<Narrow<Input>>>>),
    Ended,
}

impl Events {
    /// Opens a part that holds blocks.
    ///
    /// # Errors
    /// When it holds no recording, or one of a newer Callboard's.
    pub fn of_blocks(part: &Part) -> Result<Self, OpenError> {
        let reader = Reader::open(part.stream())?;
        let machine = machine(&reader);
        Ok(Self {
            form: Form::Blocks(Box::new(reader)),
            machine,
            number: 0,
            rest: Box::new(std::iter::empty()),
        })
    }

    /// Opens a part that holds lines.
    ///
    /// # Errors
    /// As of blocks.
    pub fn of_lines(part: &Part) -> Result<Self, OpenError> {
        let lines = Lines::open(BufReader::new(Narrow::new(part.stream())))?;
        let machine = Arc::from("");
        Ok(Self {
            form: Form::Lines(Box::new(lines)),
            machine,
            number: 0,
            rest: Box::new(std::iter::empty()),
        })
    }

    /// The machine that the last event is from; empty where the recording has no name for it.
    pub fn machine(&self) -> &Arc<str> {
        &self.machine
    }

    /// Which of the part the last event is, or, of lines, on which line it is: the first is 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next events of one machine, whose numbers follow each other: at least one, and no more than can be had without
    /// waiting for the stream. [`Self::number`] is that of the last.
    pub(crate) fn next_together(&mut self) -> Option<Result<Vec<Event<'static>>, Rejected>> {
        let first = match self.next()? {
            Ok(event) => event,
            Err(rejected) => return Some(Err(rejected)),
        };
        let Form::Blocks(reader) = &mut self.form else { return Some(Ok(vec![first])) };
        let left = usize::try_from(reader.left()).unwrap_or(usize::MAX);
        let mut events = Vec::with_capacity(left.saturating_add(1).min(TOGETHER));
        events.push(first);
        while events.len() < TOGETHER
            && let Some(next) = reader.next_in_block()
        {
            match next {
                Ok(event) => events.push(event.into_owned()),
                Err(bad) => {
                    self.rest = rest_of_block(&bad);
                    break;
                }
            }
        }
        self.number += events.len() as u64 - 1;
        Some(Ok(events))
    }

    /// The next event in blocks.
    fn block(&mut self) -> Option<Result<Event<'static>, Refusal>> {
        while let Form::Blocks(reader) = &mut self.form {
            match reader.next_event() {
                Some(Ok(event)) => return Some(Ok(event.into_owned())),
                Some(Err(bad)) => self.rest = rest_of_block(&bad),
                None => {
                    self.rest = Box::new(missing(reader.account()));
                    self.follow();
                }
            }
            if let Some(refusal) = self.rest.next() {
                return Some(Err(refusal));
            }
        }
        None
    }

    /// Goes to the recording that follows.
    fn follow(&mut self) {
        let Form::Blocks(reader) = &mut self.form else { return };
        match reader.next_recording() {
            Ok(true) => self.machine = machine(reader),
            Ok(false) => self.form = Form::Ended,
            Err(error) => {
                let detail = format!("another recording follows, and it is not read: {error}");
                let rest = std::mem::replace(&mut self.rest, Box::new(std::iter::empty()));
                self.rest = Box::new(rest.chain(std::iter::once((Reason::Damaged, detail))));
                self.form = Form::Ended;
            }
        }
    }

    /// The next event on lines.
    fn line(&mut self) -> Option<Result<Event<'static>, Refusal>> {
        let Form::Lines(lines) = &mut self.form else { return None };
        let next = lines.next_event();
        self.number = lines.number();
        match next {
            Ok(Some(Ok(event))) => {
                if lines.meta().machine != *self.machine {
                    self.machine = Arc::from(lines.meta().machine.as_str());
                }
                Some(Ok(event))
            }
            Ok(Some(Err(refusal))) => Some(Err(refusal)),
            Ok(None) => {
                self.form = Form::Ended;
                None
            }
            Err(error) => {
                self.form = Form::Ended;
                let Rejected { reason, detail, .. } = crate::damage(self.number, &error);
                Some(Err((reason, detail)))
            }
        }
    }
}

impl Iterator for Events {
    type Item = Result<Event<'static>, Rejected>;

    fn next(&mut self) -> Option<Self::Item> {
        let blocks = !matches!(self.form, Form::Lines(_));
        let next = match (self.rest.next(), blocks) {
            (Some(refusal), _) => Some(Err(refusal)),
            (None, true) => self.block(),
            (None, false) => self.line(),
        }?;
        self.number += u64::from(blocks);
        Some(next.map_err(|(reason, detail)| Rejected { number: self.number, reason, detail }))
    }
}

/// The events of a block that are not read.
fn rest_of_block(bad: &BadRecord) -> Rest {
    let count = usize::try_from(bad.count).unwrap_or(usize::MAX);
    Box::new(std::iter::repeat_n((Reason::Damaged, bad.to_string()), count))
}

fn machine(reader: &Reader<Input>) -> Arc<str> {
    reader.meta().map_or("", |meta| &meta.machine).into()
}

/// What a recording lacks. How many events are missing at a place is not always known: each place counts as one.
fn missing(account: &Account) -> impl Iterator<Item = Refusal> + Send + 'static {
    let (gaps, count, lost) = (account.gaps.clone(), account.gap_count, account.lost_events);
    let places = (0..count).map(move |place| {
        let known = usize::try_from(place).ok().and_then(|place| gaps.get(place));
        let detail = known.map_or_else(
            || "more bytes that are no part of it".into(),
            |gap| format!("{} bytes at {}: {}", gap.bytes, gap.offset, gap.why),
        );
        (Reason::Damaged, detail)
    });
    let whole_blocks = (count == 0 && lost > 0).then(|| {
        (Reason::Damaged, format!("{lost} events are missing, by the numbers of those around them"))
    });
    let ending = match &account.ending {
        Ending::Finished | Ending::NotReached => None,
        Ending::Unfinished => {
            Some("the recording was not finished: what was being written is not there".into())
        }
        Ending::Unreadable(error) => Some(error.clone()),
        Ending::GaveUp => Some("most of what follows only looks like a recording".into()),
    };
    places.chain(whole_blocks).chain(ending.map(|detail| (Reason::Truncated, detail)))
}
