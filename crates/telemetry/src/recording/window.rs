//! The part of a stream that is looked at.

use std::io::{self, ErrorKind, Read};

/// How much is asked for at once.
const CHUNK: usize = 64 << 10;

pub(super) struct Window<R> {
    input: R,
    bytes: Vec<u8>,
    /// How much of `bytes` was read.
    end: usize,
    at: usize,
    /// Where `bytes[at]` is in the stream.
    pub(super) position: u64,
}

impl<R: Read> Window<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, bytes: Vec::new(), end: 0, at: 0, position: 0 }
    }

    /// What was read and not consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.at..self.end]
    }

    /// Reads until there are so many bytes; fewer are there only at the end of the stream.
    pub(super) fn fill(&mut self, len: usize) -> io::Result<&[u8]> {
        if self.end - self.at < len && self.at > 0 {
            self.bytes.copy_within(self.at..self.end, 0);
            self.end -= self.at;
            self.at = 0;
        }
        while self.end - self.at < len {
            if self.bytes.len() < self.end + CHUNK {
                self.bytes.resize(self.end + CHUNK, 0);
            }
            match self.input.read(&mut self.bytes[self.end..]) {
                Ok(0) => break,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.bytes())
    }

    pub(super) fn consume(&mut self, len: usize) {
        self.at += len;
        self.position += len as u64;
    }

    /// Goes to the next place, behind this one, at which one of `markers` begins; to the end of the stream where there is
    /// none.
    pub(super) fn seek(&mut self, markers: &[&[u8]]) -> io::Result<()> {
        let keep = markers.iter().map(|marker| marker.len()).max().unwrap_or(1) - 1;
        self.consume(1);
        loop {
            let there = self.fill(CHUNK)?;
            let at = markers.iter().filter_map(|marker| memchr::memmem::find(there, marker)).min();
            if let Some(at) = at {
                self.consume(at);
                return Ok(());
            }
            // A marker may begin in the last bytes.
            let len = there.len();
            if len < CHUNK {
                self.consume(len);
                return Ok(());
            }
            self.consume(len - keep);
        }
    }
}
