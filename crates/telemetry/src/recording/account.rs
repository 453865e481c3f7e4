//! What became of a recording as it was read.

use std::fmt;

/// How many gaps are kept one by one.
const KEPT: usize = 64;

/// Bytes of a recording that are no part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where they begin.
    pub offset: u64,
    /// How many they are.
    pub bytes: u64,
    /// What is the matter with the first of them.
    pub why: &'static str,
}

/// How a recording ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// It was not read to its end.
    #[default]
    NotReached,
    /// As it was finished by its writer.
    Finished,
    /// Without having been finished: the writer was killed, or the file was cut off.
    Unfinished,
    /// The file could not be read on.
    Unreadable(String),
    /// So much of it only looks like a recording that reading on would not end.
    GaveUp,
}

/// What was read of a recording, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Events that were read.
    pub events: u64,
    /// Blocks that they were in.
    pub blocks: u64,
    /// Events that cannot be understood, though they are as they were written.
    pub bad: u64,
    /// Events that are known to be missing, by the numbers of those around them.
    pub lost_events: u64,
    /// Bytes that are no part of any block.
    pub lost_bytes: u64,
    /// Where: the first of them.
    pub gaps: Vec<Gap>,
    /// How many such places there are.
    pub gap_count: u64,
    /// Blocks that had been read already.
    pub repeated: u64,
    /// Frames of kinds that a later Callboard has.
    pub unknown: u64,
    /// How it ends.
    pub ending: Ending,
}

impl Account {
    pub(super) fn gap(&mut self, gap: Gap) {
        if gap.bytes == 0 {
            return;
        }
        self.lost_bytes += gap.bytes;
        self.gap_count += 1;
        if self.gaps.len() < KEPT {
            self.gaps.push(gap);
        }
    }

    /// Whether the recording is whole and all of it was read.
    pub fn is_whole(&self) -> bool {
        self.ending == Ending::Finished && self.lost_bytes == 0 && self.lost_events == 0 && self.bad == 0
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events in {} blocks", self.events, self.blocks)?;
        if self.bad > 0 {
            write!(f, "; {} cannot be understood", self.bad)?;
        }
        if self.lost_events > 0 {
            write!(f, "; {} are missing", self.lost_events)?;
        }
        if self.repeated > 0 {
            write!(f, "; {} blocks are there twice", self.repeated)?;
        }
        if self.unknown > 0 {
            write!(f, "; {} parts are of a kind that a later version has", self.unknown)?;
        }
        match &self.ending {
            Ending::NotReached => f.write_str("; not read to its end")?,
            Ending::Finished => {}
            Ending::Unfinished => {
                f.write_str("; the recording was not finished: what was being written is not there")?
            }
            Ending::Unreadable(error) => write!(f, "; the file cannot be read on: {error}")?,
            Ending::GaveUp => f.write_str("; given up: most of what follows only looks like a recording")?,
        }
        if self.gap_count > 0 {
            write!(f, "; {} bytes lost in {} places", self.lost_bytes, self.gap_count)?;
        }
        for Gap { offset, bytes, why } in &self.gaps {
            write!(f, "\n  {bytes} bytes at {offset}: {why}")?;
        }
        Ok(())
    }
}
