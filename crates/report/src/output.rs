//! Whole lines to a writer.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::SinkError;

/// When lines are handed to the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// After every record, in one write: whatever happens to this process, what it was told is kept.
    #[default]
    EveryRecord,
    /// In blocks of whole lines, and at once for records that matter (stops, findings, refusals, ends).
    /// For replays, where the same records can be had again.
    Blocks,
}

/// How much [`Pace::Blocks`] collects before it writes.
const BLOCK: usize = 64 << 10;

/// A named writer that takes whole lines, and says once when it can take no more.
pub(crate) struct Output<W> {
    name: String,
    writer: W,
    pace: Pace,
    pending: Vec<u8>,
    pending_lines: u64,
    lines: u64,
    failed: bool,
}

impl<W: Write> Output<W> {
    pub(crate) fn new(name: impl Into<String>, writer: W, pace: Pace) -> Self {
        Self {
            name: name.into(),
            writer,
            pace,
            pending: Vec::new(),
            pending_lines: 0,
            lines: 0,
            failed: false,
        }
    }

    /// Whether it has failed, so that nothing need be formatted for it.
    pub(crate) fn is_closed(&self) -> bool {
        self.failed
    }

    /// Where the next lines are to be appended, each with its line end.
    pub(crate) fn pending(&mut self) -> &mut Vec<u8> {
        &mut self.pending
    }

    /// Takes over the `lines` that were appended; `urgent` ones are written whatever the pace.
    pub(crate) fn commit(&mut self, lines: u64, urgent: bool) -> Result<(), SinkError> {
        self.pending_lines += lines;
        if self.pace == Pace::EveryRecord || urgent || self.pending.len() >= BLOCK {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes everything that was committed.
    pub(crate) fn flush(&mut self) -> Result<(), SinkError> {
        if self.failed {
            self.pending.clear();
            return Ok(());
        }
        let result = if self.pending.is_empty() {
            Ok(())
        } else {
            self.writer.write_all(&self.pending).and_then(|()| self.writer.flush())
        };
        self.pending.clear();
        let lines = std::mem::take(&mut self.pending_lines);
        match result {
            Ok(()) => {
                self.lines += lines;
                Ok(())
            }
            Err(source) => {
                self.failed = true;
                Err(SinkError::new(&self.name, self.lines, source))
            }
        }
    }
}

/// A writer whose end can be cut off again.
pub trait Truncate: Write {
    /// Makes it `length` bytes long.
    ///
    /// # Errors
    /// It is not that kind of file.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

impl Truncate for File {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// A file in which no line is ever cut short by a full disk: a write that fails in its middle is undone.
#[derive(Debug)]
pub struct LineFile<F = File> {
    file: F,
    length: u64,
}

impl LineFile<File> {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// As [`File::create`].
    pub fn create(path: &Path) -> io::Result<Self> {
        File::create(path).map(Self::new)
    }
}

impl<F: Truncate> LineFile<F> {
    /// Around a file that is still empty.
    pub fn new(file: F) -> Self {
        Self { file, length: 0 }
    }
}

impl<F: Truncate> Write for LineFile<F> {
    /// Writes all of `bytes` or nothing of it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.file.write_all(bytes) {
            // Pipes and devices cannot be cut, and there the error alone must do.
            let _ = self.file.truncate(self.length);
            return Err(error);
        }
        self.length = self.length.saturating_add(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
