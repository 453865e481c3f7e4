//! The beginning of a recording: what it is of.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | the magic |
//! | 8 | 2 | the version of the format |
//! | 10 | 2 | the version of the events' wire form |
//! | 12 | 4 | flags: who does not know one of the lower 16 cannot read the file |
//! | 16 | 4 | bytes of what follows at 24 |
//! | 20 | 4 | CRC-32 of the 20 bytes before and of what follows |
//! | 24 | … | [`Meta`]; a later Callboard may have more behind it |

use event::Time;
use serde::{Deserialize, Serialize};

use super::OpenError;

/// As PNG's: a transfer as text, or to seven bits, changes it.
pub(super) const MAGIC: [u8; 8] = *b"\x89CBR\r\n\x1a\n";
/// The version of the format.
const VERSION: u16 = 1;
/// The version of the wire form of `event::Event`: any change of that type is another.
pub(super) const WIRE: u16 = 1;
/// Flags that are known, of those that must be.
const KNOWN: u32 = 0;
/// Bytes before the meta.
pub(super) const FIXED: usize = 24;
/// More than a command line and names need.
pub(super) const MOST: usize = 1 << 20;

/// What a recording is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The machine's name.
    pub machine: String,
    /// When it began.
    pub started: Time,
    /// Where the events came from: the command line, or the file that was converted.
    pub source: String,
    /// What wrote it.
    pub producer: String,
}

/// How the beginning of a file is.
pub(super) enum Header {
    /// Whole: the meta, and how many bytes it took.
    Whole(Meta, usize),
    /// That of a recording, but damaged: what follows it may be whole.
    Damaged,
}

impl Meta {
    /// The header of a recording of this.
    pub(super) fn header(&self) -> Vec<u8> {
        let meta = postcard::to_stdvec(self).unwrap_or_default();
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&WIRE.to_le_bytes());
        header.extend_from_slice(&KNOWN.to_le_bytes());
        header.extend_from_slice(&u32::try_from(meta.len()).unwrap_or(u32::MAX).to_le_bytes());
        let crc = checksum(&header, &meta);
        header.extend_from_slice(&crc.to_le_bytes());
        header.extend_from_slice(&meta);
        header
    }
}

/// How many bytes the header has, as its fixed part says; `None` where it says nothing sensible.
pub(super) fn length(fixed: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(*fixed.get(16..)?.first_chunk()?) as usize;
    (len <= MOST).then_some(FIXED + len)
}

/// Reads the header off the front of a file, of which `bytes` is as much as [`length`] says, or all there is.
pub(super) fn parse(bytes: &[u8]) -> Result<Header, OpenError> {
    // One damaged byte, or a transfer as text, does not make it something else.
    let same = bytes.iter().zip(MAGIC).filter(|(byte, magic)| *byte == magic).count();
    if same < 6 {
        return Err(OpenError::Magic);
    }
    let half = |at: usize| Some(u32::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?)));
    let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let whole = || {
        let fixed = bytes.get(..20)?;
        let len = length(bytes)?;
        let meta = bytes.get(FIXED..len)?;
        (same == MAGIC.len() && word(20)? == checksum(fixed, meta)).then_some((meta, len))
    };
    let Some((meta, len)) = whole() else { return Ok(Header::Damaged) };
    let newer = |what, found: Option<u32>, known: u16| match found {
        Some(found) if found > u32::from(known) => {
            Err(OpenError::Newer { what, found, known: u32::from(known) })
        }
        _ => Ok(()),
    };
    newer("version", half(8), VERSION)?;
    newer("events of version", half(10), WIRE)?;
    let flags = word(12).unwrap_or(0) & 0xFFFF;
    if flags & !KNOWN != 0 {
        return Err(OpenError::Newer { what: "flags", found: flags, known: KNOWN });
    }
    match postcard::take_from_bytes(meta) {
        Ok((meta, _)) => Ok(Header::Whole(meta, len)),
        Err(_) => Ok(Header::Damaged),
    }
}

fn checksum(fixed: &[u8], meta: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(fixed);
    hasher.update(meta);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(change: impl Fn(&mut Vec<u8>)) -> Result<Header, OpenError> {
        let mut header = Meta { machine: "m".into(), ..Meta::default() }.header();
        change(&mut header);
        let crc = checksum(&header[..20], &header[FIXED..]);
        header[20..24].copy_from_slice(&crc.to_le_bytes());
        parse(&header)
    }

    #[test]
    fn what_is_newer_is_refused_by_its_number() {
        assert!(matches!(sealed(|_| ()), Ok(Header::Whole(..))));
        for (at, what) in [(8, "version"), (10, "events of version")] {
            let Err(error) = sealed(|header| header[at] = 7) else { panic!("{what} 7 was read") };
            assert!(error.to_string().contains(&format!("{what} 7")), "{error}");
        }
        assert!(matches!(sealed(|header| header[13] = 1), Err(OpenError::Newer { what: "flags", .. })));
        assert!(
            matches!(sealed(|header| header[14] = 1), Ok(Header::Whole(..))),
            "a flag that need not be known"
        );
    }

    #[test]
    fn more_behind_the_meta_is_passed_over() {
        let longer = sealed(|header| {
            header.extend_from_slice(b"more");
            header[16] += 4;
        });
        let Ok(Header::Whole(meta, _)) = longer else { panic!() };
        assert_eq!(meta.machine, "m");
    }
}
