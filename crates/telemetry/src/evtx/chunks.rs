//! The chunks of a log, in the order in which they were written.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use crate::Reason;
use crate::container::Bytes;

/// The file's header takes so much, of which the first part says something.
const HEADER: u64 = 4096;
const HEADER_FIELDS: usize = 128;
/// A chunk, and its own header.
const CHUNK: usize = 64 << 10;
const CHUNK_HEADER: usize = 512;
const FILE_MAGIC: &[u8] = b"ElfFile\0";
const CHUNK_MAGIC: &[u8] = b"ElfChnk\0";
/// A record begins so; its size follows.
pub(super) const RECORD_MAGIC: &[u8] = b"\x2A\x2A\0\0";
/// The least that a record takes: its header, and its size again.
pub(super) const RECORD_LEAST: usize = 28;

/// Where a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    number: u64,
    offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chunk {} at offset {:#x}", self.number, self.offset)
    }
}

/// A chunk, or what is there in place of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// `cut` is where the last whole record ends when the file ends within the chunk.
    Data {
        place: Place,
        cut: Option<u32>,
        data: Vec<u8>,
    },
    Bad {
        reason: Reason,
        detail: String,
    },
}

/// The chunks of a log.
pub(super) struct Chunks {
    bytes: Bytes,
    /// Those from the oldest on, then those before it: a full log goes on at its beginning.
    order: [Range<u64>; 2],
    /// What is said at the end.
    missing: Option<Chunk>,
    /// Room for a chunk: that of one that was read before.
    pub(super) spare: Vec<u8>,
}

impl Chunks {
    pub(super) fn new(mut bytes: Bytes) -> io::Result<Self> {
        let mut header = Vec::new();
        bytes.seek(SeekFrom::Start(0))?;
        (&mut bytes).take(HEADER_FIELDS as u64).read_to_end(&mut header)?;
        let length = bytes.len();
        if header.len() < HEADER_FIELDS || length < HEADER {
            let detail = format!("the file ends within its header: {length} of {HEADER} bytes");
            let missing = Some(Chunk::Bad { reason: Reason::Truncated, detail });
            return Ok(Self { bytes, order: [0..0, 0..0], missing, spare: Vec::new() });
        }
        let count = (length - HEADER).div_ceil(CHUNK as u64);
        let declared = u64::from(u16::from_le_bytes([header[42], header[43]]));
        let missing = (declared > count).then(|| Chunk::Bad {
            reason: Reason::Truncated,
            detail: format!("the file ends after {count} of {declared} chunks"),
        });
        // A number that is of no chunk says nothing.
        let oldest = header[8..16]
            .try_into()
            .map(u64::from_le_bytes)
            .ok()
            .filter(|oldest| *oldest < count)
            .unwrap_or(0);
        Ok(Self { bytes, order: [oldest..count, 0..oldest], missing, spare: Vec::new() })
    }

    /// The chunk of this number; nothing for space that no chunk was written to yet.
    fn read(&mut self, number: u64) -> io::Result<Option<Chunk>> {
        let place = Place { number, offset: HEADER + number * CHUNK as u64 };
        let mut data = std::mem::take(&mut self.spare);
        data.clear();
        data.reserve_exact(CHUNK);
        self.bytes.seek(SeekFrom::Start(place.offset))?;
        (&mut self.bytes).take(CHUNK as u64).read_to_end(&mut data)?;
        if data.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let length = data.len();
        if data.starts_with(FILE_MAGIC) {
            // What is behind it are its chunks, which stand elsewhere than those of this log would.
            self.order[0].end = self.order[0].end.min(number);
            let rest = self.bytes.len().saturating_sub(place.offset);
            let detail = format!(
                "{place}: another log begins here, with {rest} bytes that are not read: give each log as a file of its own"
            );
            return Ok(Some(Chunk::Bad { reason: Reason::Damaged, detail }));
        }
        let magic = &data[..length.min(CHUNK_MAGIC.len())];
        if !CHUNK_MAGIC.starts_with(magic) {
            let detail = format!("{place}: no chunk is there, but \"{}\"", magic.escape_ascii());
            return Ok(Some(Chunk::Bad { reason: Reason::Damaged, detail }));
        }
        if length < CHUNK_HEADER {
            self.missing = None;
            let detail = format!("{place}: the file ends within this chunk's header");
            return Ok(Some(Chunk::Bad { reason: Reason::Truncated, detail }));
        }
        let used = u32::from_le_bytes([data[48], data[49], data[50], data[51]]);
        let cut = (length < CHUNK && used as usize > length).then(|| whole(&data));
        if cut.is_some() {
            // It is said of the chunk.
            self.missing = None;
        }
        data.resize(CHUNK, 0);
        Ok(Some(Chunk::Data { place, cut, data }))
    }
}

/// Where the last whole record of a chunk ends.
fn whole(data: &[u8]) -> u32 {
    let mut at = CHUNK_HEADER;
    while let Some(&[m0, m1, m2, m3, s0, s1, s2, s3]) = data.get(at..at + 8) {
        let size = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
        if [m0, m1, m2, m3] != RECORD_MAGIC || size < RECORD_LEAST || data.len() - at < size {
            break;
        }
        at += size;
    }
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Iterator for Chunks {
    type Item = io::Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = self.order.iter_mut().find_map(Iterator::next);
            let Some(number) = next else { return self.missing.take().map(Ok) };
            match self.read(number) {
                Ok(None) => {}
                Ok(Some(chunk)) => return Some(Ok(chunk)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
