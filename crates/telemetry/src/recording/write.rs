//! Writing a recording, a block at a time.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

use event::wire::{self, WireError};
use event::{Event, Time};

use super::frame::{Content, Kind, MOST};
use super::header::Meta;
use super::index::{Builder, Entry};

/// The largest event: two command lines and some names are a quarter of it.
const MOST_EVENT: usize = 1 << 20;

/// How a recording is written.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The most events in a block.
    pub block_events: u32,
    /// The most bytes in a block, before it is compressed; its last event may go over it.
    pub block_bytes: usize,
    /// How long an event waits at most for its block to be full.
    pub max_age: Option<Duration>,
    /// Whether blocks are compressed.
    pub compress: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            block_events: 1024,
            block_bytes: 64 << 10,
            max_age: Some(Duration::from_millis(100)),
            compress: true,
        }
    }
}

/// The block that is being filled.
#[derive(Default)]
struct Block {
    /// Room for its events, and how much of it is used.
    bytes: Vec<u8>,
    used: usize,
    count: u32,
    earliest: Time,
    latest: Time,
    processes: BTreeSet<u32>,
    began: Option<Instant>,
}

/// Writes a recording.
///
/// An error of the output loses nothing that was taken: the block stays here and is written anew by the next call, as a
/// whole; what was written of it before is passed over by readers.
pub struct Writer<W: Write> {
    /// `None` once it was taken back.
    out: Option<W>,
    options: Options,
    block: Block,
    index: Builder,
    /// The number of the next block's first event.
    first: u64,
    /// How many bytes the output has taken.
    position: u64,
    frame: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a recording by its header.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(out: W, meta: &Meta, options: Options) -> io::Result<Self> {
        let options = Options {
            block_events: options.block_events.clamp(1, 1 << 16),
            block_bytes: options.block_bytes.min(MOST - MOST_EVENT),
            ..options
        };
        let mut writer = Self {
            out: Some(out),
            options,
            block: Block::default(),
            index: Builder::default(),
            first: 0,
            position: 0,
            frame: meta.header(),
        };
        if writer.frame.len() > super::header::MOST {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the names in the header are too long"));
        }
        writer.put()?;
        Ok(writer)
    }

    /// Takes an event. It is in the file when its block is: see [`Options`].
    ///
    /// # Errors
    /// Those of the output, and an event that is too large. The event was not taken then; all before it were.
    pub fn push(&mut self, event: &Event<'_>) -> io::Result<()> {
        let Options { block_events, block_bytes, .. } = self.options;
        if self.block.count >= block_events || self.block.used >= block_bytes || self.is_due() {
            self.flush()?;
        }
        let block = &mut self.block;
        let mut room = 512;
        let len = loop {
            if block.bytes.len() < block.used + room {
                block.bytes.resize(block.used + room, 0);
            }
            match wire::encode(event, &mut block.bytes[block.used..]) {
                Ok(len) if len <= MOST_EVENT => break len,
                Err(WireError::Full(_)) if room < MOST_EVENT => room *= 4,
                _ => return Err(io::Error::new(ErrorKind::InvalidInput, "an event of more than a mebibyte")),
            }
        };
        if block.count == 0 {
            (block.earliest, block.latest) = (event.time, event.time);
            block.began = self.options.max_age.map(|_| Instant::now());
        }
        block.used += len;
        block.count += 1;
        block.earliest = block.earliest.min(event.time);
        block.latest = block.latest.max(event.time);
        block.processes.insert(event.process().0);
        Ok(())
    }

    /// Writes the block if its first event has waited long enough. A source that may pause calls this at least as often as
    /// events may wait.
    ///
    /// # Errors
    /// Those of the output.
    pub fn tick(&mut self) -> io::Result<()> {
        if self.is_due() { self.flush() } else { Ok(()) }
    }

    /// Writes all events that were taken.
    ///
    /// # Errors
    /// Those of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.block.count == 0 {
            return Ok(());
        }
        let Block { bytes, used, count, earliest, latest, processes, .. } = &self.block;
        let (count, earliest, latest) = (*count, *earliest, *latest);
        let entry = Entry { offset: self.position, count, first: self.first, earliest, latest };
        let content = Content {
            kind: Kind::Events,
            bytes: &bytes[..*used],
            count,
            first: self.first,
            earliest,
            latest,
        };
        content.pack(self.options.compress, &mut self.frame);
        let processes = processes.iter().copied().collect::<Vec<_>>();
        self.put()?;
        self.first += u64::from(count);
        (self.block.used, self.block.count) = (0, 0);
        self.block.processes.clear();
        self.index.add(entry, &processes);
        if self.index.is_full() {
            self.write_index()?;
        }
        Ok(())
    }

    /// Ends the recording by its index and its footer, and gives the output back.
    ///
    /// # Errors
    /// Those of the output; what was taken before is in the file as far as it has taken it.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        if !self.index.is_empty() {
            self.write_index()?;
        }
        let footer = self.index.footer();
        let (earliest, latest) = self.index.span();
        let content =
            Content { kind: Kind::Footer, bytes: &footer, count: 0, first: self.first, earliest, latest };
        content.pack(false, &mut self.frame);
        self.put()?;
        self.out.take().ok_or_else(|| io::Error::other("the output was taken back"))
    }

    /// How many events were taken.
    pub fn events(&self) -> u64 {
        self.first + u64::from(self.block.count)
    }

    fn is_due(&self) -> bool {
        let Some((began, most)) = self.block.began.zip(self.options.max_age) else { return false };
        self.block.count > 0 && began.elapsed() >= most
    }

    fn write_index(&mut self) -> io::Result<()> {
        let bytes = self.index.bytes();
        let (earliest, latest) = self.index.span();
        let content =
            Content { kind: Kind::Index, bytes: &bytes, count: 0, first: self.first, earliest, latest };
        let offset = self.position;
        content.pack(self.options.compress, &mut self.frame);
        self.put()?;
        self.index.written(offset);
        Ok(())
    }

    /// Hands the frame to the output. What that takes of it is counted, also where it then fails.
    fn put(&mut self) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        let mut rest = self.frame.as_slice();
        while !rest.is_empty() {
            match out.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    self.position += taken as u64;
                    rest = &rest[taken..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        out.flush()
    }
}

impl<W: Write> Drop for Writer<W> {
    /// A writer that is not finished still writes what it has taken; the recording then has no footer.
    fn drop(&mut self) {
        if self.out.is_some() {
            // Nobody is left to be told of an error.
            let _ = self.flush();
        }
    }
}
