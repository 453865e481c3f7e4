//! What every part of a recording but its header looks like.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | the marker |
//! | 4 | 1 | its kind |
//! | 5 | 1 | how its content is stored |
//! | 6 | 2 | reserved |
//! | 8 | 4 | bytes of content in the file |
//! | 12 | 4 | bytes of content |
//! | 16 | 4 | how many events are in it |
//! | 20 | 8 | the number of the first of them in the recording, from 0 |
//! | 28 | 8 | the earliest time of them |
//! | 36 | 8 | the latest |
//! | 44 | 8 | reserved |
//! | 52 | 4 | CRC-32 of the content in the file |
//! | 56 | 4 | CRC-32 of the 56 bytes before |
//! | 60 | … | the content |
//!
//! Numbers are little-endian. The marker's last digit is the version, so that blocks are recognised without the header.

use event::Time;

/// What a frame begins with: no text does, and no UTF-8.
pub(super) const MARKER: [u8; 4] = *b"\xCBfr1";
/// Bytes before the content.
pub(super) const HEAD: usize = 60;
/// The most content: a block's limit and its last event.
pub(super) const MOST: usize = 4 << 20;

/// More events than a recording has: numbers of events are added up.
const MOST_EVENTS: u64 = 1 << 56;

/// What is in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Events.
    Events,
    /// Where events are.
    Index,
    /// The end.
    Footer,
    /// Something that a later Callboard has added.
    Unknown(u8),
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// Whether the content is compressed: LZ4, one block.
    pub(super) compressed: bool,
    pub(super) stored: usize,
    pub(super) raw: usize,
    pub(super) count: u32,
    pub(super) first: u64,
    pub(super) earliest: Time,
    pub(super) latest: Time,
    crc: u32,
}

/// Why a head, or what follows it, is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No marker, or a checksum that is wrong.
    Head,
    /// Lengths that no writer writes.
    Length,
    /// A number of an event that no recording has.
    Number,
    /// A content whose checksum is wrong, or that does not decompress.
    Content,
    /// The file ends inside of it.
    Cut,
}

impl Fault {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Head => "no block begins here",
            Self::Length => "a block of a length that is never written",
            Self::Number => "a block of events with numbers that are never written",
            Self::Content => "a block whose content is not what was written",
            Self::Cut => "a block that the file ends inside of",
        }
    }
}

impl Head {
    /// Reads the head at the front of some bytes, of which there are [`HEAD`].
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let bytes: &[u8; HEAD] = bytes.first_chunk().ok_or(Fault::Head)?;
        if bytes[..4] != MARKER || !matches(&bytes[..56], word(bytes, 56)) {
            return Err(Fault::Head);
        }
        let long = |at: usize| u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32;
        let (stored, raw) = (word(bytes, 8) as usize, word(bytes, 12) as usize);
        let first = long(20);
        if first > MOST_EVENTS {
            return Err(Fault::Number);
        }
        if stored > MOST || raw > MOST || bytes[5] > 1 || bytes[5] == 0 && stored != raw {
            return Err(Fault::Length);
        }
        let count = word(bytes, 16);
        // An event takes more than a byte.
        if count as usize > raw {
            return Err(Fault::Number);
        }
        let kind = match bytes[4] {
            1 => Kind::Events,
            2 => Kind::Index,
            3 => Kind::Footer,
            other => Kind::Unknown(other),
        };
        Ok(Self {
            kind,
            compressed: bytes[5] == 1,
            stored,
            raw,
            count,
            first,
            earliest: Time(long(28).cast_signed()),
            latest: Time(long(36).cast_signed()),
            crc: word(bytes, 52),
        })
    }

    /// Unpacks the content, as it is in the file, into `raw`.
    pub(super) fn unpack(&self, stored: &[u8], raw: &mut Vec<u8>) -> Result<(), Fault> {
        if !matches(stored, self.crc) {
            return Err(Fault::Content);
        }
        raw.clear();
        if !self.compressed {
            raw.extend_from_slice(stored);
            return Ok(());
        }
        raw.resize(self.raw, 0);
        match lz4_flex::block::decompress_into(stored, raw) {
            Ok(len) if len == self.raw => Ok(()),
            _ => Err(Fault::Content),
        }
    }
}

/// What is to be written as a frame.
pub(super) struct Content<'a> {
    pub(super) kind: Kind,
    pub(super) bytes: &'a [u8],
    pub(super) count: u32,
    pub(super) first: u64,
    pub(super) earliest: Time,
    pub(super) latest: Time,
}

impl Content<'_> {
    /// Writes the frame into `out`, compressed where that is wanted and makes it smaller.
    pub(super) fn pack(&self, compress: bool, out: &mut Vec<u8>) {
        out.clear();
        out.resize(HEAD, 0);
        let mut compressed = false;
        if compress {
            out.resize(HEAD + lz4_flex::block::get_maximum_output_size(self.bytes.len()), 0);
            let len = lz4_flex::block::compress_into(self.bytes, &mut out[HEAD..]).unwrap_or(usize::MAX);
            compressed = len < self.bytes.len();
            out.truncate(if compressed { HEAD + len } else { HEAD });
        }
        if !compressed {
            out.extend_from_slice(self.bytes);
        }
        let (head, stored) = out.split_at_mut(HEAD);
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        head[..4].copy_from_slice(&MARKER);
        head[4] = match self.kind {
            Kind::Events => 1,
            Kind::Index => 2,
            Kind::Footer => 3,
            Kind::Unknown(kind) => kind,
        };
        head[5] = u8::from(compressed);
        head[8..12].copy_from_slice(&len(stored));
        head[12..16].copy_from_slice(&len(self.bytes));
        head[16..20].copy_from_slice(&self.count.to_le_bytes());
        head[20..28].copy_from_slice(&self.first.to_le_bytes());
        head[28..36].copy_from_slice(&self.earliest.0.to_le_bytes());
        head[36..44].copy_from_slice(&self.latest.0.to_le_bytes());
        head[52..56].copy_from_slice(&crc32fast::hash(stored).to_le_bytes());
        let crc = crc32fast::hash(&head[..56]);
        head[56..60].copy_from_slice(&crc.to_le_bytes());
    }
}

fn word(bytes: &[u8; HEAD], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Whether a checksum is that of some bytes. A fuzzer, which does not guess checksums, is let through.
fn matches(bytes: &[u8], crc: u32) -> bool {
    cfg!(fuzzing) || crc32fast::hash(bytes) == crc
}
