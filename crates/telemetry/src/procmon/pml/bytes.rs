//! A file of any size, read where it is needed, and numbers and strings in what was read.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

/// How much is read at once where records follow each other.
const BLOCK: usize = 64 << 10;

pub(super) struct Bytes<R> {
    input: R,
    pub(super) len: u64,
    /// The part that was read last, and where it is.
    block: Vec<u8>,
    start: u64,
}

impl<R: Read + Seek> Bytes<R> {
    pub(super) fn new(mut input: R) -> io::Result<Self> {
        let len = input.seek(SeekFrom::End(0))?;
        Ok(Self { input, len, block: Vec::new(), start: 0 })
    }

    /// Some bytes of the file; an error of the kind `UnexpectedEof` where it ends before.
    pub(super) fn at(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let within = |bytes: &Self| {
            let at = usize::try_from(offset.checked_sub(bytes.start)?).ok()?;
            (at.checked_add(len)? <= bytes.block.len()).then_some(at)
        };
        let at = match within(self) {
            Some(at) => at,
            None => {
                self.start = offset;
                self.block = read(&mut self.input, self.len, offset, len, BLOCK)?;
                0
            }
        };
        Ok(&self.block[at..at + len])
    }

    /// The same, without giving up the part that records are read from.
    pub(super) fn apart(&mut self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        read(&mut self.input, self.len, offset, len, len)
    }
}

/// Reads at least `len` bytes, and up to `more`.
fn read<R: Read + Seek>(
    input: &mut R,
    end: u64,
    offset: u64,
    len: usize,
    more: usize,
) -> io::Result<Vec<u8>> {
    let left = end.saturating_sub(offset);
    if left < len as u64 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let more = left.min(more.max(len) as u64);
    input.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    input.take(more).read_to_end(&mut bytes)?;
    if bytes.len() < len {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// Numbers at offsets, `None` behind the end.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A string up to its first NUL. What is no UTF-16 becomes U+FFFD: NT allows such names.
pub(super) fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units.take_while(|unit| *unit != 0))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}
