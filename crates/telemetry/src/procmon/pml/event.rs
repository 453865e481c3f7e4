//! One event: what every event has, and the details of those that are told of.

use event::Time;

use super::super::Operation;
use super::bytes::{u16_at, u32_at, u64_at, utf16};
use super::tables::address;

/// What every event has before the addresses of its stack.
pub(super) const FIXED: usize = 0x34;
/// No more of an event's details is read: all strings that are told of lie in this much.
pub(super) const DETAILS: u32 = 0x4_0000;

/// What every event has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed {
    /// The index of the process in whose name it is.
    pub(super) process: u32,
    pub(super) thread: u32,
    class: u32,
    operation: u16,
    pub(super) time: Option<Time>,
    /// Addresses of its stack.
    pub(super) stack: u16,
    /// Bytes of its details.
    pub(super) details: u32,
}

impl Fixed {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let ticks = i64::try_from(u64_at(bytes, 0x1C)?).ok();
        Some(Self {
            process: u32_at(bytes, 0)?,
            thread: u32_at(bytes, 4)?,
            class: u32_at(bytes, 8)?,
            operation: u16_at(bytes, 0xC)?,
            time: ticks.filter(|ticks| *ticks != 0).map(Time),
            stack: u16_at(bytes, 0x28)?,
            details: u32_at(bytes, 0x2C)?,
        })
    }

    /// What it is, where it is told of; else its name for people.
    pub(super) fn operation(&self) -> Result<Operation, String> {
        const CLASSES: [&str; 7] =
            ["unknown", "process", "registry", "file system", "profiling", "network", "ipc"];
        const PROCESS: u32 = 1;
        let class = || {
            let name = usize::try_from(self.class).ok().and_then(|class| CLASSES.get(class));
            name.map_or_else(|| format!("class {}", self.class), |name| (*name).to_owned())
        };
        match (self.class, self.operation) {
            (PROCESS, 0) => Ok(Operation::ProcessDefined),
            (PROCESS, 1) => Ok(Operation::ProcessCreate),
            (PROCESS, 2) => Ok(Operation::ProcessExit),
            (PROCESS, 3) => Ok(Operation::ThreadCreate),
            (PROCESS, 4) => Ok(Operation::ThreadExit),
            (PROCESS, 5) => Ok(Operation::LoadImage),
            (PROCESS, 7) => Ok(Operation::ProcessStart),
            (_, operation) => Err(format!("{} operation {operation}", class())),
        }
    }
}

/// The details of a `Process Create` or `Process Defined`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Create {
    /// The index and id of the child.
    pub(super) child: (u32, u32),
    /// The index and id of its parent.
    pub(super) parent: (u32, u32),
    pub(super) path: String,
    pub(super) command_line: String,
}

/// The details of a `Process Start`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) parent: u32,
    pub(super) command_line: String,
}

/// The details of a `Load Image`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) base: u64,
    pub(super) size: u64,
    pub(super) path: String,
}

impl Create {
    pub(super) fn parse(details: &[u8]) -> Option<Self> {
        // Two security identifiers come before the strings.
        let identifiers = usize::from(*details.get(0x2C)?) + usize::from(*details.get(0x2D)?);
        let (path, after) = string(details, 0x2E, 0x34 + identifiers)?;
        let (command_line, _) = string(details, 0x30, after)?;
        let word = |at| u32_at(details, at);
        Some(Self { child: (word(0)?, word(4)?), parent: (word(8)?, word(0xC)?), path, command_line })
    }
}

impl Start {
    pub(super) fn parse(details: &[u8]) -> Option<Self> {
        let (command_line, _) = string(details, 4, 0xC)?;
        Some(Self { parent: u32_at(details, 0)?, command_line })
    }
}

impl Load {
    pub(super) fn parse(details: &[u8], pointer: usize) -> Option<Self> {
        let (path, _) = string(details, pointer + 4, pointer + 8)?;
        Some(Self {
            base: address(details, 0, pointer)?,
            size: u32_at(details, pointer).map(u64::from)?,
            path,
        })
    }
}

/// A string at `at`, whose length and kind are in 16 bits at `info`; and where it ends. The highest bit says that its
/// characters have one byte, which they have where all of them are ASCII.
fn string(details: &[u8], info: usize, at: usize) -> Option<(String, usize)> {
    let info = u16_at(details, info)?;
    let len = usize::from(info & 0x7FFF);
    let narrow = info & 0x8000 != 0;
    let end = at + if narrow { len } else { 2 * len };
    let bytes = details.get(at..end)?;
    let text = match narrow {
        true => {
            bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '\u{FFFD}' }).collect()
        }
        false => utf16(bytes),
    };
    Some((text, end))
}
