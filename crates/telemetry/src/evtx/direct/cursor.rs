//! Reading what stands in a chunk; nothing outside of it.

/// The longest name of an element or attribute that is read.
const LONGEST: usize = 64;
/// What stands before a name: where the next one is, and a hash.
const LINK: usize = 6;
/// So many units of text are looked at together.
const TOGETHER: usize = 16;

/// Where in a chunk it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(bytes)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    pub(super) fn size(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok()
    }

    /// A name, which stands elsewhere in the chunk, or right here where it is used first.
    pub(super) fn name(&mut self) -> Option<Name> {
        let at = self.size()?;
        let mut place = Cursor { at, ..*self };
        let (_, name) = place.link()?;
        if at == self.at {
            self.at = place.at;
        }
        Some(name)
    }

    /// A name as it stands in the chunk, and where the next one is.
    pub(super) fn link(&mut self) -> Option<(usize, Name)> {
        let next = self.size()?;
        self.take(LINK - 4)?;
        let length = usize::from(self.u16()?);
        let units = self.take(length * 2)?;
        let name = Name::of(units);
        // What ends it.
        self.u16()?;
        Some((next, name?))
    }

    /// A text with its length before it.
    pub(super) fn text(&mut self) -> Option<String> {
        let length = usize::from(self.u16()?);
        let mut text = Vec::new();
        decode(self.take(length * 2)?, &mut text)?;
        String::from_utf8(text).ok()
    }
}

/// A name as names are: of letters and digits, and not long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name([u8; LONGEST], usize);

impl Name {
    fn of(units: &[u8]) -> Option<Self> {
        let units = units.as_chunks::<2>().0;
        if units.is_empty() {
            return None;
        }
        let mut name = Self([0; LONGEST], units.len());
        for (byte, unit) in name.0.get_mut(..units.len())?.iter_mut().zip(units) {
            match unit {
                [low, 0] if is_of_name(*low) => *byte = *low,
                _ => return None,
            }
        }
        Some(name)
    }

    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.0[..self.1]).unwrap_or_default()
    }
}

/// Whether names have such a character. Others are not written as JSON has them.
pub(super) const fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b' ')
}

/// Adds UTF-16 as UTF-8 up to its first NUL, and says whether all of it is that.
pub(super) fn decode(bytes: &[u8], into: &mut Vec<u8>) -> Option<()> {
    let (units, []) = bytes.as_chunks::<2>() else { return None };
    into.reserve(units.len());
    let blocks = units.as_chunks::<TOGETHER>().0.iter();
    let plain =
        blocks.take_while(|block| are_plain(block)).map(|block| into.extend(block.map(|[low, _]| low)));
    let units = &units[plain.count() * TOGETHER..];
    let plain = units.iter().position(|unit| !matches!(unit, [1..=0x7F, 0])).unwrap_or(units.len());
    into.extend(units[..plain].iter().map(|[low, _]| *low));
    let rest = units[plain..].iter().map(|unit| u16::from_le_bytes(*unit));
    for found in char::decode_utf16(rest.take_while(|unit| *unit != 0)) {
        into.extend_from_slice(found.ok()?.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(())
}

/// Whether units are ASCII without a NUL: all at once, as processors can.
fn are_plain(units: &[[u8; 2]; TOGETHER]) -> bool {
    let plain = units.map(|unit| u16::from_le_bytes(unit).wrapping_sub(1) < 0x7F);
    plain.into_iter().fold(true, |all, one| all & one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn text_ends_at_its_first_nul_and_halves_of_characters_are_none() {
        for (text, read) in [("", ""), ("a b", "a b"), ("a\0b", "a"), ("é😀\0x", "é😀"), ("ab😀cd", "ab😀cd")]
        {
            // Wherever it begins among those that are looked at together.
            for before in 0..2 * TOGETHER + 1 {
                let before = "x".repeat(before);
                let mut into = b"_".to_vec();
                assert_eq!(decode(&units(&format!("{before}{text}")), &mut into), Some(()));
                assert_eq!(String::from_utf8(into).unwrap(), format!("_{before}{read}"));
            }
        }
        assert_eq!(decode(&[0x61, 0, 0x3D, 0xD8], &mut Vec::new()), None);
        assert_eq!(decode(&[0x61], &mut Vec::new()), None);
    }

    #[test]
    fn a_name_is_found_where_it_stands() {
        let mut bytes = vec![0xFF; 4];
        let name = |bytes: &mut Vec<u8>, at: u32, text: &str| {
            bytes.extend(at.to_le_bytes());
            bytes.extend([9, 0, 0, 0, 0, 0]);
            bytes.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
            bytes.extend(units(text));
            bytes.extend([0; 2]);
        };
        name(&mut bytes, 8, "Data");
        let behind = bytes.len();
        bytes.extend(8_u32.to_le_bytes());
        let mut cursor = Cursor::new(&bytes, 4);
        assert_eq!(cursor.name().unwrap().as_str(), "Data");
        assert_eq!(cursor.at, behind, "one that stands right here is passed over");
        assert_eq!(cursor.name().unwrap().as_str(), "Data");
        assert_eq!(cursor.at, behind + 4);
        assert!(cursor.name().is_none(), "the chunk ends");
        let mut bytes = vec![];
        name(&mut bytes, 4, "Dat\u{E9}");
        assert!(Cursor::new(&bytes, 0).name().is_none());
    }
}
