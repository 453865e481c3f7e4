//! The header: where everything is.

use std::sync::Arc;

use super::OpenError;
use super::bytes::{u32_at, u64_at, utf16};

/// Its size.
pub(super) const SIZE: usize = 0x3A8;
/// The oldest version whose layout is known. No newer one has been seen: it is read as this one, and what does not fit is
/// rejected record by record.
const OLDEST: u32 = 9;

/// What the header says.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) version: u32,
    /// Bytes of an address.
    pub(super) pointer: usize,
    pub(super) machine: Arc<str>,
    pub(super) events: u32,
    /// Where the array of the events' offsets is.
    pub(super) offsets: u64,
    pub(super) processes: u64,
    pub(super) strings: u64,
}

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, OpenError> {
        if !bytes.starts_with(b"PML_") {
            return Err(OpenError::Signature);
        }
        let word = |at| u32_at(bytes, at).ok_or(OpenError::Truncated("header"));
        let offset = |at| u64_at(bytes, at).ok_or(OpenError::Truncated("header"));
        let version = word(0x4)?;
        if version < OLDEST {
            return Err(OpenError::Version(version));
        }
        let header = Self {
            version,
            pointer: if word(0x8)? == 0 { 4 } else { 8 },
            machine: utf16(bytes.get(0xC..0x2C).ok_or(OpenError::Truncated("header"))?).into(),
            events: word(0x234)?,
            offsets: offset(0x248)?,
            processes: offset(0x250)?,
            strings: offset(0x258)?,
        };
        if [header.offsets, header.processes, header.strings].contains(&0) {
            return Err(OpenError::NotClosed);
        }
        Ok(header)
    }
}
