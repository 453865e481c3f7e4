//! Base relocations: the places that hold absolute addresses.

use crate::error::PeError;
use crate::header::Headers;
use object::pe;

/// How a place depends on the image's base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelocationKind {
    /// All 64 bits (`DIR64`).
    Dir64,
    /// 32 bits (`HIGHLOW`); cut off if the image lies above 4 GiB.
    HighLow,
    /// The high 16 bits of a 32-bit address.
    High,
    /// The low 16 bits.
    Low,
}

impl RelocationKind {
    /// Bytes of the place.
    #[must_use]
    pub fn size(self) -> u32 {
        match self {
            Self::Dir64 => 8,
            Self::HighLow => 4,
            Self::High | Self::Low => 2,
        }
    }

    /// The place's new content for an image that moved by `delta`; `place` has [`Self::size`] bytes.
    pub(crate) fn apply(self, place: &mut [u8], delta: u64) {
        let mut wide = [0u8; 8];
        let add: u64 = match self {
            // The carry out of the low half that the entry does not store is taken as none, as by NT.
            Self::High => delta >> 16,
            _ => delta,
        };
        let len = place.len().min(8);
        wide[..len].copy_from_slice(&place[..len]);
        let moved = u64::from_le_bytes(wide).wrapping_add(add).to_le_bytes();
        place[..len].copy_from_slice(&moved[..len]);
    }
}

/// One place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation {
    /// Where it is.
    pub rva: u32,
    /// What it holds.
    pub kind: RelocationKind,
}

/// The relocation directory of a file, checked: every block is whole, every place is in the image.
#[derive(Debug, Clone, Copy, Default)]
pub struct Relocations<'a> {
    bytes: &'a [u8],
}

impl<'a> Relocations<'a> {
    pub(crate) fn read(headers: &Headers<'a>) -> Result<Self, PeError> {
        let Some(directory) = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_BASERELOC) else {
            return Ok(Self::default());
        };
        let layout = &headers.layout;
        let what = "the relocation directory";
        let bytes = layout.slice(directory.rva, directory.size.into(), what, directory.at)?;
        let start = layout.offset(directory.rva);
        let mut blocks = Blocks { rest: bytes };
        loop {
            let offset = start + (bytes.len() - blocks.rest.len()) as u64;
            let Some((page, entries)) = blocks.next().map_err(|found| PeError::BadValue {
                what: "the size of a relocation block",
                offset: offset + 4,
                found: found.into(),
                expected: "at least 8, even, and inside the directory",
            })?
            else {
                break;
            };
            for (entry, place) in entries.chunks_exact(2).zip((offset + 8..).step_by(2)) {
                let relocation = decode(page, entry).map_err(|kind| PeError::BadValue {
                    what: "the type of a relocation",
                    offset: place,
                    found: kind.into(),
                    expected: "0 (ABSOLUTE), 1 (HIGH), 2 (LOW), 3 (HIGHLOW) or 10 (DIR64)",
                })?;
                let Some(Relocation { rva, kind }) = relocation else { continue };
                if !layout.is_mapped(rva, kind.size()) {
                    return Err(PeError::OutOfRange {
                        what: "a relocation",
                        offset: place,
                        rva,
                        size: kind.size().into(),
                    });
                }
            }
        }
        Ok(Self { bytes })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Every place, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = Relocation> + use<'a> {
        let mut blocks = Blocks { rest: self.bytes };
        // `read` has seen every block and entry: no errors are left to report.
        std::iter::from_fn(move || blocks.next().ok().flatten()).flat_map(|(page, entries)| {
            entries.chunks_exact(2).filter_map(move |entry| decode(page, entry).ok().flatten())
        })
    }
}

struct Blocks<'a> {
    rest: &'a [u8],
}

impl<'a> Blocks<'a> {
    /// The next block: the RVA of its page and its entries; the size found if that cannot be.
    fn next(&mut self) -> Result<Option<(u32, &'a [u8])>, u32> {
        let Some((header, _)) = self.rest.split_first_chunk::<8>() else { return Ok(None) };
        let page = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let size = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        // Some linkers end the table by a block of zeros.
        if size == 0 {
            return Ok(None);
        }
        let block = self.rest.get(..size as usize).ok_or(size)?;
        let entries = block.get(8..).filter(|entries| entries.len().is_multiple_of(2)).ok_or(size)?;
        self.rest = &self.rest[size as usize..];
        Ok(Some((page, entries)))
    }
}

/// One entry; `None` for padding, the type if it is not one of x64.
fn decode(page: u32, entry: &[u8]) -> Result<Option<Relocation>, u16> {
    let entry = u16::from_le_bytes([entry[0], entry[1]]);
    let kind = match entry >> 12 {
        0 => return Ok(None),
        1 => RelocationKind::High,
        2 => RelocationKind::Low,
        3 => RelocationKind::HighLow,
        10 => RelocationKind::Dir64,
        other => return Err(other),
    };
    // An overflowing page is no place of any image: the end of the address space stands for it.
    Ok(Some(Relocation { rva: page.saturating_add(u32::from(entry & 0xFFF)), kind }))
}

#[cfg(test)]
mod tests {
    use super::RelocationKind::{Dir64, High, HighLow, Low};

    fn moved(kind: super::RelocationKind, before: &[u8], delta: u64) -> Vec<u8> {
        let mut place = before.to_vec();
        kind.apply(&mut place, delta);
        place
    }

    #[test]
    fn each_kind_adds_its_part_of_the_delta() {
        let delta = 0x0000_7FFF_1234_5000;
        assert_eq!(
            moved(Dir64, &0x1_4000_1000u64.to_le_bytes(), delta),
            (0x1_4000_1000 + delta).to_le_bytes()
        );
        assert_eq!(moved(HighLow, &0x1000u32.to_le_bytes(), delta), 0x1234_6000u32.to_le_bytes());
        assert_eq!(moved(High, &0x0001u16.to_le_bytes(), delta), 0x1235u16.to_le_bytes());
        assert_eq!(moved(Low, &0x0001u16.to_le_bytes(), delta), 0x5001u16.to_le_bytes());
        // Moving down is adding the two's complement.
        assert_eq!(
            moved(Dir64, &0x2000u64.to_le_bytes(), 0u64.wrapping_sub(0x1000)),
            0x1000u64.to_le_bytes()
        );
    }
}
