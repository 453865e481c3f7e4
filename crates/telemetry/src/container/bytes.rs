//! Bytes that several readers read at once, each from a place of its own.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A span of a file or of memory. A clone begins where it is cloned and moves on its own.
#[derive(Clone)]
pub struct Bytes {
    store: Store,
    start: u64,
    end: u64,
    at: u64,
    /// How far the furthest of those clones is that are read to be told of.
    reached: Arc<AtomicU64>,
}

#[derive(Clone)]
enum Store {
    File(Arc<File>),
    Memory(Arc<[u8]>),
}

impl Bytes {
    pub(crate) fn file(file: File, length: u64) -> Self {
        Self { store: Store::File(Arc::new(file)), start: 0, end: length, at: 0, reached: Arc::default() }
    }

    pub(crate) fn memory(bytes: Arc<[u8]>) -> Self {
        let end = bytes.len() as u64;
        Self { store: Store::Memory(bytes), start: 0, end, at: 0, reached: Arc::default() }
    }

    /// How many there are.
    pub const fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// So many of them from there on, or as many as there are.
    pub(crate) fn span(&self, from: u64, length: u64) -> Self {
        let start = self.start.saturating_add(from).min(self.end);
        let end = start.saturating_add(length).min(self.end);
        Self { store: self.store.clone(), start, end, at: start, reached: Arc::default() }
    }

    /// How many of them were read.
    pub(super) fn reached(&self) -> u64 {
        self.reached.load(Ordering::Relaxed)
    }

    /// The same, for one who only looks ahead.
    pub(super) fn aside(&self) -> Self {
        Self { reached: Arc::default(), ..self.clone() }
    }
}

impl Read for Bytes {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let most = left.min(into.len());
        let into = &mut into[..most];
        let read = match &self.store {
            Store::File(file) => file.read_at(into, self.at)?,
            Store::Memory(bytes) => {
                let from = usize::try_from(self.at).unwrap_or(usize::MAX);
                into.copy_from_slice(&bytes[from..from + most]);
                most
            }
        };
        self.at += read as u64;
        self.reached.fetch_max(self.at - self.start, Ordering::Relaxed);
        Ok(read)
    }
}

impl Seek for Bytes {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => self.start.checked_add(at),
            SeekFrom::End(by) => self.end.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        let to = to.filter(|to| *to >= self.start).ok_or(io::ErrorKind::InvalidInput)?;
        // Behind the end there is nothing to read, as in a file.
        self.at = to.min(self.end);
        Ok(to - self.start)
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.store {
            Store::File(_) => "file",
            Store::Memory(_) => "memory",
        };
        write!(f, "Bytes({kind}, {}..{} at {})", self.start, self.end, self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_stay_within_their_bytes_and_clones_move_on_their_own() {
        let bytes = Bytes::memory(Arc::from(&b"0123456789"[..]));
        let mut span = bytes.span(2, 5);
        let mut text = String::new();
        span.seek(SeekFrom::End(-3)).unwrap();
        let mut clone = span.clone();
        span.read_to_string(&mut text).unwrap();
        assert_eq!(text, "456");
        clone.read_to_string(&mut text).unwrap();
        assert_eq!(text, "456456");
        assert_eq!(bytes.span(8, u64::MAX).len(), 2);
        assert!(bytes.span(20, 1).is_empty());
        span.seek(SeekFrom::Start(0)).unwrap_or_default();
        span.seek(SeekFrom::Current(-1)).unwrap_err();
    }
}
