//! The tables at the end of a log: its processes, and the strings that they are made of.
//!
//! Of the table of processes only the places are kept in memory, and of the processes those that were asked for.

use std::collections::HashMap;
use std::io::{self, Read, Seek};

use event::Time;

use super::super::{shared, some};
use super::OpenError;
use super::bytes::{Bytes, u32_at, u64_at, utf16};
use super::header::Header;
use crate::Subject;

/// More processes than a log has.
const MOST_PROCESSES: u32 = 4 << 20;
/// How many are kept.
const KEPT: usize = 4096;
/// Longer than any string that NT can hold.
const LONGEST: u32 = 0x2_0000;
/// The part of a process before its modules, without the address in it.
const PROCESS: usize = 0x60;

/// A process as the table has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its id, its index in the table, its image.
    pub subject: Subject,
    /// The id of its parent.
    pub parent: u32,
    /// Its command line.
    pub command_line: Option<String>,
    /// Whether its code is 32-bit.
    pub is_32_bit: bool,
    /// When it started.
    pub started: Option<Time>,
    /// When it ended.
    pub ended: Option<Time>,
}

/// An image that was mapped in a process when the log was closed, or when the process ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// Its path.
    pub path: Option<String>,
    /// Where it was mapped.
    pub base: u64,
    /// How many bytes it takes there.
    pub size: u64,
}

pub(super) struct Tables {
    /// Where each process is, by its index.
    places: HashMap<u32, u32>,
    kept: HashMap<u32, Process>,
    processes: u64,
    strings: u64,
    pointer: usize,
}

impl Tables {
    pub(super) fn open<R: Read + Seek>(bytes: &mut Bytes<R>, header: &Header) -> Result<Self, OpenError> {
        let count = bytes.apart(header.processes, 4).map_err(OpenError::table("processes"))?;
        let count = u32_at(&count, 0).unwrap_or(0);
        if count > MOST_PROCESSES {
            return Err(OpenError::Table("processes", format!("{count} of them")));
        }
        let arrays =
            bytes.apart(header.processes + 4, count as usize * 8).map_err(OpenError::table("processes"))?;
        let (indexes, offsets) = arrays.split_at(count as usize * 4);
        let word = |four: &[u8]| u32_at(four, 0).unwrap_or(0);
        let places = indexes.chunks_exact(4).map(word).zip(offsets.chunks_exact(4).map(word)).collect();
        // That they can be read at all is known now, and not at the first record.
        bytes.apart(header.strings, 4).map_err(OpenError::table("strings"))?;
        Ok(Self {
            places,
            kept: HashMap::new(),
            processes: header.processes,
            strings: header.strings,
            pointer: header.pointer,
        })
    }

    /// The indexes of all processes, in order.
    pub(super) fn indexes(&self) -> Vec<u32> {
        let mut indexes: Vec<_> = self.places.keys().copied().collect();
        indexes.sort_unstable();
        indexes
    }

    /// A process by its index; `None` where the table has none.
    pub(super) fn process<R: Read + Seek>(
        &mut self,
        bytes: &mut Bytes<R>,
        index: u32,
    ) -> io::Result<Option<&Process>> {
        if !self.kept.contains_key(&index) {
            let Some(place) = self.places.get(&index) else { return Ok(None) };
            let process = self.read(bytes, index, self.processes + u64::from(*place))?;
            if self.kept.len() == KEPT {
                self.kept.clear();
            }
            self.kept.insert(index, process);
        }
        Ok(self.kept.get(&index))
    }

    fn read<R: Read + Seek>(&self, bytes: &mut Bytes<R>, index: u32, at: u64) -> io::Result<Process> {
        let fixed = bytes.apart(at, PROCESS)?;
        let word = |at| u32_at(&fixed, at).unwrap_or(0);
        let moment = |at| {
            let ticks = u64_at(&fixed, at).unwrap_or(0);
            i64::try_from(ticks).ok().filter(|ticks| *ticks != 0).map(Time)
        };
        Ok(Process {
            subject: Subject {
                process: Some(word(0x4)),
                unique: Some(index.to_string().as_str().into()),
                image: shared(&self.string(bytes, word(0x44))?),
            },
            parent: word(0x8),
            command_line: some(self.string(bytes, word(0x48))?),
            is_32_bit: word(0x34) == 0,
            started: moment(0x20),
            ended: moment(0x28),
        })
    }

    /// The modules of a process.
    pub(super) fn modules<R: Read + Seek>(
        &self,
        bytes: &mut Bytes<R>,
        index: u32,
    ) -> io::Result<Vec<Module>> {
        const MOST: u32 = 1 << 16;
        let Some(place) = self.places.get(&index) else { return Ok(Vec::new()) };
        let at = self.processes + u64::from(*place) + (PROCESS + self.pointer) as u64;
        let count = u32_at(&bytes.apart(at, 4)?, 0).unwrap_or(0).min(MOST);
        // Two addresses, six words, three that nobody knows.
        let each = 2 * self.pointer + 6 * 4 + 3 * 8;
        let array = bytes.apart(at + 4, each * count as usize)?;
        let module = |module: &[u8]| {
            let word = |at| u32_at(module, 2 * self.pointer + at).unwrap_or(0);
            Ok(Module {
                path: some(self.string(bytes, word(4))?),
                base: address(module, self.pointer, self.pointer).unwrap_or(0),
                size: u64::from(word(0)),
            })
        };
        array.chunks_exact(each).map(module).collect()
    }

    fn string<R: Read + Seek>(&self, bytes: &mut Bytes<R>, index: u32) -> io::Result<String> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("string {index} is none"));
        let count = u32_at(&bytes.apart(self.strings, 4)?, 0).unwrap_or(0);
        if index >= count {
            return Err(damaged());
        }
        let place = bytes.apart(self.strings + 4 + 4 * u64::from(index), 4)?;
        let at = self.strings + u64::from(u32_at(&place, 0).unwrap_or(0));
        let len = u32_at(&bytes.apart(at, 4)?, 0).unwrap_or(0);
        if len > LONGEST {
            return Err(damaged());
        }
        Ok(utf16(&bytes.apart(at + 4, len as usize)?))
    }
}

/// An address of the size that the log's system has.
pub(super) fn address(bytes: &[u8], at: usize, pointer: usize) -> Option<u64> {
    match pointer {
        4 => u32_at(bytes, at).map(u64::from),
        _ => u64_at(bytes, at),
    }
}
