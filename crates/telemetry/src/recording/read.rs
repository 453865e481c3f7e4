//! A recording from front to back, around what is damaged; and those that follow it in one stream, as `cat` makes them.

use std::io::{self, Read};

use event::{Event, Time};

use super::OpenError;
use super::account::{Account, Ending, Gap};
use super::frame::{Fault, HEAD, Head, Kind, MARKER};
use super::header::{self, FIXED, Header, MAGIC, Meta};
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

/// What follows a recording in its stream.
enum Following {
    /// Another: its meta, and how many bytes its header takes.
    Header(Meta, usize),
    /// Another, of whose header nothing is left.
    Blocks,
    /// Another that cannot be read.
    Refused(OpenError),
}

/// A recording, event by event.
pub struct Reader<R> {
    window: Window<R>,
    meta: Option<Meta>,
    account: Account,
    /// The block that is being read: its events, how far, and which number is next.
    block: Vec<u8>,
    cursor: usize,
    /// The content of the frame that is being looked at.
    content: Vec<u8>,
    next: u64,
    /// The number behind the block's last event.
    behind: u64,
    /// Where the bytes begin that are no part of a block, and why.
    gap: Option<(u64, &'static str)>,
    vain: u64,
    /// The block that was read last.
    place: Option<Place>,
    following: Option<Following>,
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
            content: Vec::new(),
            next: 0,
            behind: 0,
            gap: None,
            vain: 0,
            place: None,
            following: None,
        };
        match header {
            Header::Whole(meta, len) => {
                reader.meta = Some(meta);
                reader.window.consume(len);
            }
            Header::Damaged => {
                reader.gap = Some((0, "a damaged header"));
                reader.window.seek(&[&MARKER, &MAGIC])?;
            }
        }
        Ok(reader)
    }

    /// Goes to the recording that follows in the same stream, and says whether one does. For use at the end of this one,
    /// whose account it ends.
    ///
    /// # Errors
    /// When it is one of a newer Callboard's: nothing more is read.
    pub fn next_recording(&mut self) -> Result<bool, OpenError> {
        let (meta, header) = match self.following.take() {
            None => return Ok(false),
            Some(Following::Refused(error)) => return Err(error),
            Some(Following::Header(meta, len)) => (Some(meta), len),
            Some(Following::Blocks) => (None, 0),
        };
        self.window.consume(header);
        self.meta = meta;
        self.account = Account::default();
        self.block.clear();
        (self.cursor, self.next, self.behind, self.place) = (0, 0, 0, None);
        Ok(true)
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

    /// How many events the block says it has left.
    pub(super) fn left(&self) -> u64 {
        self.behind.saturating_sub(self.next)
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
                let count = self.left().max(1);
                self.account.bad += count;
                Err(BadRecord { number: self.next, count, why: error.to_string() })
            }
        })
    }

    /// Goes to the next block of events, and says whether there is one.
    pub(super) fn next_block(&mut self) -> bool {
        self.cursor = self.block.len();
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
                    if let Some(header) = self.header()? {
                        self.gap_before(offset);
                        self.following = Some(header);
                        self.account.ending = Ending::Unfinished;
                        return Ok(false);
                    }
                    self.gap.get_or_insert((offset, fault.words()));
                    if self.is_vain() {
                        self.close_gap();
                        self.account.ending = Ending::GaveUp;
                        return Ok(false);
                    }
                    self.window.seek(&[&MARKER, &MAGIC])?;
                }
                Ok(head) => {
                    self.gap_before(offset);
                    let again = head.kind == Kind::Events && head.first < self.behind;
                    if again && !self.is_repeated(&head) {
                        // Numbers that begin anew, as behind a header that is damaged.
                        self.following = Some(Following::Blocks);
                        self.account.ending = Ending::Unfinished;
                        return Ok(false);
                    }
                    self.window.consume(HEAD + head.stored);
                    match head.kind {
                        Kind::Events if again => {
                            self.account.repeated += 1;
                            if self.go_on(&head, offset) {
                                return Ok(true);
                            }
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

    /// The frame that begins here, its content in `content`.
    fn frame(&mut self) -> io::Result<Result<Head, Fault>> {
        let head = match Head::parse(self.window.bytes()) {
            Ok(head) => head,
            Err(Fault::Head) if self.window.bytes().len() < HEAD => return Ok(Err(Fault::Cut)),
            Err(fault) => return Ok(Err(fault)),
        };
        let there = self.window.fill(HEAD + head.stored)?;
        let unpacked = match there.get(HEAD..HEAD + head.stored) {
            None => Err(Fault::Cut),
            Some(stored) => head.unpack(stored, &mut self.content),
        };
        if unpacked.is_err() {
            self.vain += head.stored as u64;
        }
        Ok(unpacked.map(|()| head))
    }

    /// Whether a block is the last one once more: it was written as a whole, and again because the output said that it was
    /// not. Events may have been added to it in between.
    fn is_repeated(&self, head: &Head) -> bool {
        self.place.as_ref().is_some_and(|last| last.first == head.first && last.count <= head.count)
            && self.content.starts_with(&self.block)
    }

    /// Goes on with what the last block has when it is there once more, if there is anything new in it.
    fn go_on(&mut self, head: &Head, offset: u64) -> bool {
        self.cursor = self.block.len();
        std::mem::swap(&mut self.block, &mut self.content);
        self.behind = head.first + u64::from(head.count);
        let Head { count, first, earliest, latest, .. } = *head;
        self.place = Some(Place { offset, count, first, earliest, latest });
        self.cursor < self.block.len()
    }

    fn begin(&mut self, head: &Head, offset: u64) {
        std::mem::swap(&mut self.block, &mut self.content);
        self.cursor = 0;
        let Head { count, first, earliest, latest, .. } = *head;
        self.account.lost_events += first.saturating_sub(self.behind);
        self.account.blocks += 1;
        self.next = first;
        self.behind = first + u64::from(count);
        self.place = Some(Place { offset, count, first, earliest, latest });
    }

    /// The header of another recording, if one begins here.
    fn header(&mut self) -> io::Result<Option<Following>> {
        if !self.window.bytes().starts_with(&MAGIC) {
            return Ok(None);
        }
        let Some(len) = header::length(self.window.fill(FIXED)?) else { return Ok(None) };
        Ok(match header::parse(self.window.fill(len)?) {
            Ok(Header::Whole(meta, len)) => Some(Following::Header(meta, len)),
            Ok(Header::Damaged) => {
                self.vain += len as u64;
                None
            }
            Err(error) => Some(Following::Refused(error)),
        })
    }

    /// Whether too much was looked at in vain.
    fn is_vain(&self) -> bool {
        self.vain > VAIN + VAIN_TIMES * self.window.position
    }

    /// What follows the footer belongs to nothing, up to where another recording begins.
    fn pass_rest(&mut self) -> io::Result<()> {
        let offset = self.window.position;
        while !self.window.fill(HEAD)?.is_empty() {
            self.following = self.header()?;
            let block = Head::parse(self.window.bytes()).is_ok_and(|head| head.kind == Kind::Events);
            if self.following.is_none() && block {
                self.following = Some(Following::Blocks);
            }
            if self.following.is_some() {
                break;
            }
            match self.is_vain() {
                true => self.window.consume(self.window.bytes().len()),
                false => self.window.seek(&[&MARKER, &MAGIC])?,
            }
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
