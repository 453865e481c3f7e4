//! Where which time and which process is in a recording.
//!
//! An index is written behind every thousand blocks, so that its writer need not remember more of them, and names the
//! index before it; the footer names the last. All of it can be made anew from the blocks.

use std::collections::BTreeMap;

use event::Time;
use serde::{Deserialize, Serialize};

/// How many blocks an index is of.
const MOST_BLOCKS: usize = 1024;
/// How many processes in blocks, however few blocks those are.
const MOST_PROCESSES: usize = 1 << 16;
/// Bytes of a footer's content: where the last index is, and eight that are reserved.
pub(super) const FOOTER: usize = 16;

/// A block of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Where it is in the file.
    pub(super) offset: u64,
    /// How many events it holds.
    pub(super) count: u32,
    /// The number of the first of them.
    pub(super) first: u64,
    pub(super) earliest: Time,
    pub(super) latest: Time,
}

/// An index as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    /// Where the index before this is; 0 where this is the first.
    pub(super) previous: u64,
    pub(super) blocks: Vec<Entry>,
    /// The blocks in which something is of a process, by their places in `blocks`.
    pub(super) processes: BTreeMap<u32, Vec<u32>>,
}

/// An index that is being made.
#[derive(Debug, Default)]
pub(super) struct Builder {
    index: Index,
    /// How many places `processes` has.
    places: usize,
    /// Of the whole recording.
    span: Option<(Time, Time)>,
}

impl Builder {
    /// Adds a block and the processes that it has something of.
    pub(super) fn add(&mut self, entry: Entry, processes: &[u32]) {
        let place = u32::try_from(self.index.blocks.len()).unwrap_or(u32::MAX);
        for process in processes {
            self.index.processes.entry(*process).or_default().push(place);
        }
        self.places += processes.len();
        let (earliest, latest) = self.span.unwrap_or((entry.earliest, entry.latest));
        self.span = Some((earliest.min(entry.earliest), latest.max(entry.latest)));
        self.index.blocks.push(entry);
    }

    pub(super) fn is_full(&self) -> bool {
        self.index.blocks.len() >= MOST_BLOCKS || self.places >= MOST_PROCESSES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.index.blocks.is_empty()
    }

    /// The earliest and the latest time of the recording.
    pub(super) fn span(&self) -> (Time, Time) {
        self.span.unwrap_or_default()
    }

    /// The index as it is written.
    pub(super) fn bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.index).unwrap_or_default()
    }

    /// The index was written there; another begins.
    pub(super) fn written(&mut self, offset: u64) {
        self.index = Index { previous: offset, ..Index::default() };
        self.places = 0;
    }

    /// The content of the footer.
    pub(super) fn footer(&self) -> [u8; FOOTER] {
        let mut footer = [0; FOOTER];
        footer[..8].copy_from_slice(&self.index.previous.to_le_bytes());
        footer
    }

    /// What was added, when it is not for a file.
    pub(super) fn into_index(self) -> Index {
        self.index
    }
}
