//! Recordings as lines, read around what is damaged: one after the other, as `callboard events` writes them.

use std::io::{self, BufRead, Read};

use event::Event;

use super::super::{Meta, OpenError};
use super::line::Line;
use super::{MOST, begins, last};
use crate::{Reason, Refusal};

const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Where in a recording the lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before the first line of one.
    Between,
    Within,
    /// Behind a first line that is not understood.
    Unknown,
}

/// What a line was found to be.
enum Found {
    Event(Box<Event<'static>>),
    Bad(Refusal),
    /// Nothing is to be said of it.
    Nothing,
}

/// The events of lines.
pub(crate) struct Lines<R> {
    input: R,
    text: Vec<u8>,
    number: u64,
    at: At,
    meta: Meta,
    /// Lines of the recording that told an event, and those that did not.
    events: u64,
    bad: u64,
    /// Whether more is to be said of the line that was read last.
    again: bool,
}

impl<R: BufRead> Lines<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// When it cannot be read, or names a schema that is not known.
    pub(crate) fn open(input: R) -> Result<Self, OpenError> {
        let mut lines = Self {
            input,
            text: Vec::new(),
            number: 0,
            at: At::Between,
            meta: Meta::default(),
            events: 0,
            bad: 0,
            again: false,
        };
        lines.again = lines.line()?;
        match begins(lines.shown()) {
            Some(Err(why)) => Err(OpenError::Lines(why)),
            _ => Ok(lines),
        }
    }

    /// Which line was read last, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What the recording is of that the last event is from.
    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The next event, or what is in the place of one.
    ///
    /// # Errors
    /// Those of the input.
    pub(crate) fn next_event(&mut self) -> io::Result<Option<Result<Event<'static>, Refusal>>> {
        loop {
            if !std::mem::take(&mut self.again) && !self.line()? {
                let cut = self.at == At::Within;
                self.at = At::Between;
                return Ok(cut.then(|| Err(unfinished())));
            }
            match self.look() {
                Found::Nothing => {}
                Found::Event(event) => return Ok(Some(Ok(*event))),
                Found::Bad(refusal) => return Ok(Some(Err(refusal))),
            }
        }
    }

    fn look(&mut self) -> Found {
        if self.shown().trim_ascii().is_empty() {
            return Found::Nothing;
        }
        if self.text.len() as u64 == MOST {
            self.bad += 1;
            return Found::Bad((Reason::Malformed, format!("a line longer than {} MiB", MOST >> 20)));
        }
        let parsed = match Line::parse(self.shown()) {
            Ok(line) => line.event().map(Event::into_owned),
            Err(why) => Err(why),
        };
        match (parsed, self.at) {
            (Ok(event), At::Within) => {
                self.events += 1;
                Found::Event(Box::new(event))
            }
            (Ok(_), At::Unknown) => {
                Found::Bad((Reason::Malformed, "the first line of its recording is not understood".into()))
            }
            (Ok(_), At::Between) => {
                self.begin(Meta::default());
                self.again = true;
                Found::Bad((Reason::Damaged, "the first line of the recording is missing".into()))
            }
            (Err(why), _) => self.look_at_ends(why),
        }
    }

    /// A line that tells no event, and why it does not.
    fn look_at_ends(&mut self, why: String) -> Found {
        if let Some(begun) = begins(self.shown()) {
            if self.at == At::Within {
                self.at = At::Between;
                self.again = true;
                return Found::Bad(unfinished());
            }
            return match begun {
                Ok(meta) => {
                    self.begin(meta);
                    Found::Nothing
                }
                Err(why) => {
                    self.at = At::Unknown;
                    Found::Bad((Reason::Malformed, why))
                }
            };
        }
        if let Some(end) = last(self.shown()) {
            let (at, lines) = (std::mem::replace(&mut self.at, At::Between), self.events + self.bad);
            return match at {
                At::Unknown => Found::Nothing,
                At::Between => Found::Bad((Reason::Malformed, "the end of no recording".into())),
                At::Within if end == lines => Found::Nothing,
                At::Within => {
                    let detail = format!("the end of {end} events, where {lines} lines were read");
                    Found::Bad((Reason::Damaged, detail))
                }
            };
        }
        self.bad += 1;
        let cut = !self.text.ends_with(b"\n");
        Found::Bad((if cut { Reason::Truncated } else { Reason::Malformed }, why))
    }

    fn begin(&mut self, meta: Meta) {
        self.meta = meta;
        self.at = At::Within;
        (self.events, self.bad) = (0, 0);
    }

    /// The line as it counts: each file that was put behind another may have begun with a mark.
    fn shown(&self) -> &[u8] {
        self.text.strip_prefix(MARK).unwrap_or(&self.text)
    }

    /// Reads a line, and says whether there was one. Of one that is too long the beginning is kept.
    fn line(&mut self) -> io::Result<bool> {
        self.text.clear();
        self.input.by_ref().take(MOST).read_until(b'\n', &mut self.text)?;
        self.number += u64::from(!self.text.is_empty());
        if self.text.len() as u64 == MOST {
            self.input.skip_until(b'\n')?;
        }
        Ok(!self.text.is_empty())
    }
}

fn unfinished() -> Refusal {
    (Reason::Truncated, "the recording was not finished: it has no last line".into())
}
