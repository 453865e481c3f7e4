//! A recording from front to back, around what is damaged.

use std::io::{self, Read};

use event::{Event, Time};

use super::OpenError;
use super::account::{Account, Ending, Gap};
use super::frame::{Fault, HEAD, Head, Kind, MARKER};
use super::header::{self, FIXED, Header, Meta};
use super::window::Window;

/// So many bytes may be looked at in vain, and so many times what was passed: a file made of heads of blocks that are
/// none would else be read once for each of them.
const VAIN: u64 = 64 << 20;
const VAIN_TIMES: u64 = 8;

/// An event that cannot be understood, though its block is as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {number} cannot be understood, nor what follows it in its block: {why}")]
pub struct BadRecord {
    /// Its number in the recording, from 0.
    pub number: u64,
    /// How many are not read with it: those that follow it in its block.
    pub count: u64,
    /// What the matter is.
    pub why: String,
}

/// A block of events, as it lies in the file.
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) count: u32,
    pub(super) first: u64,
    pub(super) earliest: Time,
    pub(super) latest: Time,
}

/// A recording, event by event.
pub struct Reader<R> {
    window: Window<R>,
    meta: Option<Meta>,
    account: Account,
    /// The block that is being read: its events, how far, and which number is next.
    block: Vec<u8>,
    cursor: usize,
    next: u64,
    /// The number behind the block's last event.
    behind: u64,
    /// Where the bytes begin that are no part of a block, and why.
    gap: Option<(u64, &'static str)>,
    vain: u64,
    /// The block that was read last.
    place: Option<Place>,
}

impl<R: Read> Reader<R> {
    /// Reads the header of a recording. A damaged one is no error: what follows it is read, without [`Self::meta`].
    ///
    /// # Errors
    /// When it is no recording, or one of a newer Callboard's.
    pub fn open(input: R) -> Result<Self, OpenError> {
        let mut window = Window::new(input);
        let len = header::length(window.fill(FIXED)?).unwrap_or(FIXED);
        let header = header::parse(window.fill(len)?)?;
        let mut reader = Self {
            window,
            meta: None,
            account: Account::default(),
            block: Vec::new(),
            cursor: 0,
            next: 0,
            behind: 0,
            gap: None,
            vain: 0,
            place: None,
        };
        match header {
            Header::Whole(meta, len) => {
                reader.meta = Some(meta);
                reader.window.consume(len);
            }
            Header::Damaged => {
                reader.gap = Some((0, "a damaged header"));
                reader.window.seek(&MARKER)?;
            }
        }
        Ok(reader)
    }

    /// What it is of; `None` where the header is damaged.
    pub fn meta(&self) -> Option<&Meta> {
        self.meta.as_ref()
    }

    /// What was read by now, and what was not.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The next event; `None` at the end, of which [`Self::account`] says how it is.
    pub fn next_event(&mut self) -> Option<Result<Event<'_>, BadRecord>> {
        while self.cursor == self.block.len() {
            if !self.next_block() {
                return None;
            }
        }
        self.next_in_block()
    }

    /// The next event of the block; `None` at its end.
    pub(super) fn next_in_block(&mut self) -> Option<Result<Event<'_>, BadRecord>> {
        if self.cursor == self.block.len() {
            return None;
        }
        Some(match event::wire::decode::<Event<'_>>(&self.block[self.cursor..]) {
            Ok((event, rest)) => {
                self.cursor = self.block.len() - rest.len();
                self.next += 1;
                self.account.events += 1;
                Ok(event)
            }
            Err(error) => {
                self.cursor = self.block.len();
                let count = self.behind.saturating_sub(self.next).max(1);
                self.account.bad += count;
                Err(BadRecord { number: self.next, count, why: error.to_string() })
            }
        })
    }

    /// Goes to the next block of events, and says whether there is one.
    pub(super) fn next_block(&mut self) -> bool {
        self.block.clear();
        self.cursor = 0;
        if self.account.ending != Ending::NotReached {
            return false;
        }
        match self.look() {
            Ok(found) => found,
            Err(error) => {
                self.close_gap();
                self.account.ending = Ending::Unreadable(error.to_string());
                false
            }
        }
    }

    /// Where the block is that was read last.
    pub(super) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    fn look(&mut self) -> io::Result<bool> {
        loop {
            if self.window.fill(HEAD)?.is_empty() {
                self.close_gap();
                self.account.ending = Ending::Unfinished;
                return Ok(false);
            }
            let offset = self.window.position;
            match self.frame()? {
                Err(fault) => {
                    self.gap.get_or_insert((offset, fault.words()));
                    if self.vain > VAIN + VAIN_TIMES * offset {
                        self.close_gap();
                        self.account.ending = Ending::GaveUp;
                        return Ok(false);
                    }
                    self.window.seek(&MARKER)?;
                }
                Ok(head) => {
                    self.gap_before(offset);
                    self.window.consume(HEAD + head.stored);
                    match head.kind {
                        // Written as a whole, and once more because the output said that it was not.
                        Kind::Events if head.first < self.behind => {
                            self.block.clear();
                            self.account.repeated += 1;
                        }
                        Kind::Events => {
                            self.begin(&head, offset);
                            return Ok(true);
                        }
                        Kind::Index => {}
                        Kind::Unknown(_) => self.account.unknown += 1,
                        Kind::Footer => {
                            self.account.lost_events += head.first.saturating_sub(self.behind);
                            self.account.ending = Ending::Finished;
                            self.pass_rest()?;
                            return Ok(false);
                        }
                    }
                }
            }
        }
    }

    /// The frame that begins here, its content in `block`.
    fn frame(&mut self) -> io::Result<Result<Head, Fault>> {
        let head = match Head::parse(self.window.bytes()) {
            Ok(head) => head,
            Err(Fault::Head) if self.window.bytes().len() < HEAD => return Ok(Err(Fault::Cut)),
            Err(fault) => return Ok(Err(fault)),
        };
        let there = self.window.fill(HEAD + head.stored)?;
        let unpacked = match there.get(HEAD..HEAD + head.stored) {
            None => Err(Fault::Cut),
            Some(stored) => head.unpack(stored, &mut self.block),
        };
        if unpacked.is_err() {
            self.vain += head.stored as u64;
        }
        if unpacked.is_err() || head.kind != Kind::Events {
            self.block.clear();
        }
        Ok(unpacked.map(|()| head))
    }

    fn begin(&mut self, head: &Head, offset: u64) {
        let Head { count, first, earliest, latest, .. } = *head;
        self.account.lost_events += first.saturating_sub(self.behind);
        self.account.blocks += 1;
        self.next = first;
        self.behind = first + u64::from(count);
        self.place = Some(Place { offset, count, first, earliest, latest });
    }

    /// What follows the footer belongs to nothing.
    fn pass_rest(&mut self) -> io::Result<()> {
        let offset = self.window.position;
        loop {
            let len = self.window.fill(1)?.len();
            if len == 0 {
                break;
            }
            self.window.consume(len);
        }
        let bytes = self.window.position - offset;
        self.account.gap(Gap { offset, bytes, why: "bytes behind the end of the recording" });
        Ok(())
    }

    fn close_gap(&mut self) {
        let end = self.window.position + self.window.bytes().len() as u64;
        self.gap_before(end);
    }

    fn gap_before(&mut self, end: u64) {
        if let Some((offset, why)) = self.gap.take() {
            self.account.gap(Gap { offset, bytes: end - offset, why });
        }
    }
}
