//! Some of a recording, by time and process, without reading the rest. Where several follow each other in one file, it is
//! the first.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Read, Seek, SeekFrom};

use event::{Event, ProcessId, Time};

use super::OpenError;
use super::account::{Account, Ending};
use super::frame::{HEAD, Head, Kind};
use super::header::{self, FIXED, Header, Meta};
use super::index::{Builder, Entry, FOOTER, Index};
use super::read::{BadRecord, Place, Reader};

/// What is wanted of a recording.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query {
    /// Nothing before this.
    pub from: Option<Time>,
    /// Nothing after this.
    pub until: Option<Time>,
    /// Nothing of another process.
    pub process: Option<ProcessId>,
}

impl Query {
    fn takes(&self, event: &Event<'_>) -> bool {
        self.overlaps(event.time, event.time) && self.process.is_none_or(|process| event.process() == process)
    }

    fn overlaps(&self, earliest: Time, latest: Time) -> bool {
        self.from.is_none_or(|from| latest >= from) && self.until.is_none_or(|until| earliest <= until)
    }
}

/// One index, in the file or, where it was made anew, here.
enum Part {
    Stored(u64),
    Made(Index),
}

/// A recording with its index.
pub struct Indexed<R> {
    input: R,
    meta: Option<Meta>,
    /// In the order of the recording.
    parts: Vec<Part>,
    events: u64,
    rebuilt: Option<Account>,
}

impl<R: Read + Seek> Indexed<R> {
    /// Opens a recording by its footer. Where that is missing or damaged, the whole of it is read once to make the index
    /// anew, and [`Self::rebuilt`] says so.
    ///
    /// # Errors
    /// When it is no recording, or one of a newer Callboard's.
    pub fn open(mut input: R) -> Result<Self, OpenError> {
        input.seek(SeekFrom::Start(0))?;
        let mut head = Vec::new();
        input.by_ref().take((FIXED + header::MOST) as u64).read_to_end(&mut head)?;
        let meta = match header::parse(&head)? {
            Header::Whole(meta, _) => Some(meta),
            Header::Damaged => None,
        };
        if let Some((parts, events)) = stored(&mut input)? {
            return Ok(Self { input, meta, parts, events, rebuilt: None });
        }
        input.seek(SeekFrom::Start(0))?;
        let (parts, account) = rebuild(&mut input)?;
        Ok(Self { input, meta, parts, events: account.events, rebuilt: Some(account) })
    }

    /// What it is of; `None` where the header is damaged.
    pub fn meta(&self) -> Option<&Meta> {
        self.meta.as_ref()
    }

    /// How many events there are.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How the recording was found to be when its index had to be made anew; `None` where it has one.
    pub fn rebuilt(&self) -> Option<&Account> {
        self.rebuilt.as_ref()
    }

    /// Some of the events, in the order of the recording.
    pub fn select(&mut self, query: Query) -> Selection<'_, R> {
        let parts = (0..self.parts.len()).collect();
        Selection {
            indexed: self,
            query,
            parts,
            blocks: VecDeque::new(),
            block: Vec::new(),
            cursor: 0,
            next: 0,
            behind: 0,
            given: 0,
        }
    }
}

/// The places of the indexes and the number of events, by the footer; `None` where not all of that is there.
fn stored<R: Read + Seek>(input: &mut R) -> io::Result<Option<(Vec<Part>, u64)>> {
    let len = input.seek(SeekFrom::End(0))?;
    let Some(at) = len.checked_sub((HEAD + FOOTER) as u64) else { return Ok(None) };
    let Some((footer, content)) = frame(input, at, Kind::Footer)? else { return Ok(None) };
    let last = content.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
    let (mut parts, mut offset, mut before) = (Vec::new(), last, at);
    while offset != 0 {
        // Each is before the one that names it, so that a hostile file does not lead in circles.
        if offset >= before {
            return Ok(None);
        }
        let Some(index) = read_index(input, offset)? else { return Ok(None) };
        parts.push(Part::Stored(offset));
        (before, offset) = (offset, index.previous);
    }
    parts.reverse();
    Ok(Some((parts, footer.first)))
}

fn read_index<R: Read + Seek>(input: &mut R, offset: u64) -> io::Result<Option<Index>> {
    let Some((_, content)) = frame(input, offset, Kind::Index)? else { return Ok(None) };
    Ok(postcard::from_bytes(&content).ok())
}

/// A frame of a kind at an offset, where there is one.
fn frame<R: Read + Seek>(input: &mut R, offset: u64, kind: Kind) -> io::Result<Option<(Head, Vec<u8>)>> {
    input.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    input.by_ref().take(HEAD as u64).read_to_end(&mut bytes)?;
    let Ok(head) = Head::parse(&bytes) else { return Ok(None) };
    bytes.clear();
    input.by_ref().take(head.stored as u64).read_to_end(&mut bytes)?;
    let mut content = Vec::new();
    let whole = head.kind == kind && bytes.len() == head.stored && head.unpack(&bytes, &mut content).is_ok();
    Ok(whole.then_some((head, content)))
}

fn rebuild<R: Read>(input: R) -> Result<(Vec<Part>, Account), OpenError> {
    let mut reader = Reader::open(input)?;
    let (mut parts, mut builder) = (Vec::new(), Builder::default());
    let mut processes = BTreeSet::new();
    while reader.next_block() {
        let Some(&Place { offset, count, first, earliest, latest }) = reader.place() else { break };
        processes.clear();
        while let Some(event) = reader.next_in_block() {
            processes.extend(event.ok().map(|event| event.process().0));
        }
        builder.add(
            Entry { offset, count, first, earliest, latest },
            &processes.iter().copied().collect::<Vec<_>>(),
        );
        if builder.is_full() {
            parts.push(Part::Made(std::mem::take(&mut builder).into_index()));
        }
    }
    parts.push(Part::Made(builder.into_index()));
    let mut account = reader.account().clone();
    if let Ending::Unreadable(error) = &account.ending {
        return Err(OpenError::Io(io::Error::other(error.clone())));
    }
    if account.ending == Ending::NotReached {
        account.ending = Ending::Unfinished;
    }
    Ok((parts, account))
}

/// Some of a recording's events.
pub struct Selection<'a, R> {
    indexed: &'a mut Indexed<R>,
    query: Query,
    /// Which indexes were not looked at yet.
    parts: VecDeque<usize>,
    /// Which blocks of the last one were not read yet.
    blocks: VecDeque<Entry>,
    block: Vec<u8>,
    cursor: usize,
    next: u64,
    behind: u64,
    /// The number behind the block before: one that is there twice may have more in it the second time.
    given: u64,
}

impl<R: Read + Seek> Selection<'_, R> {
    /// The next event.
    pub fn next_event(&mut self) -> Option<Result<Event<'_>, BadRecord>> {
        loop {
            while self.cursor == self.block.len() {
                match self.next_block() {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(bad) => return Some(Err(bad)),
                }
            }
            let (start, number) = (self.cursor, self.next);
            match event::wire::decode::<Event<'_>>(&self.block[start..]) {
                Ok((event, rest)) => {
                    let takes = self.query.takes(&event);
                    self.cursor = self.block.len() - rest.len();
                    self.next += 1;
                    if !takes || number < self.given {
                        continue;
                    }
                }
                Err(error) => {
                    self.cursor = self.block.len();
                    let count = self.behind.saturating_sub(number).max(1);
                    return Some(Err(BadRecord { number, count, why: error.to_string() }));
                }
            }
            // Decoded once more for the caller: what was looked at cannot be given out of a loop.
            return event::wire::decode(&self.block[start..]).ok().map(|(event, _)| Ok(event));
        }
    }

    /// Reads the next block that may hold something wanted, and says whether there is one.
    fn next_block(&mut self) -> Result<bool, BadRecord> {
        let bad =
            |entry: &Entry, why: String| BadRecord { number: entry.first, count: entry.count.into(), why };
        loop {
            if let Some(entry) = self.blocks.pop_front() {
                let (head, content) = frame(&mut self.indexed.input, entry.offset, Kind::Events)
                    .map_err(|error| bad(&entry, error.to_string()))?
                    .ok_or_else(|| bad(&entry, format!("the block at {} is damaged", entry.offset)))?;
                (self.block, self.cursor, self.given) = (content, 0, self.behind);
                (self.next, self.behind) = (head.first, head.first + u64::from(head.count));
                return Ok(true);
            }
            let Some(part) = self.parts.pop_front() else { return Ok(false) };
            let made;
            let index = match &self.indexed.parts[part] {
                Part::Made(index) => index,
                Part::Stored(offset) => {
                    let read = read_index(&mut self.indexed.input, *offset).ok().flatten();
                    made = read.ok_or_else(|| BadRecord {
                        number: self.behind,
                        count: 0,
                        why: format!("the index at {offset} is damaged"),
                    })?;
                    &made
                }
            };
            let wanted = |entry: &&Entry| self.query.overlaps(entry.earliest, entry.latest);
            self.blocks = match self.query.process {
                None => index.blocks.iter().filter(wanted).copied().collect(),
                Some(process) => {
                    let places = index.processes.get(&process.0).into_iter().flatten();
                    let blocks = places.filter_map(|place| index.blocks.get(*place as usize));
                    blocks.filter(wanted).copied().collect()
                }
            };
        }
    }
}
