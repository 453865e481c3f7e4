//! Reading the file by offset, with errors that say where and how much was missing.

use crate::error::PeError;
use object::pod::{self, Pod};

/// `len` bytes at `offset` of the file.
pub(crate) fn slice<'a>(
    data: &'a [u8],
    offset: u64,
    len: u64,
    what: &'static str,
) -> Result<&'a [u8], PeError> {
    let truncated =
        || PeError::Truncated { what, offset, needs: len, has: (data.len() as u64).saturating_sub(offset) };
    let start = usize::try_from(offset).map_err(|_| truncated())?;
    let len_here = usize::try_from(len).map_err(|_| truncated())?;
    let end = start.checked_add(len_here).ok_or_else(truncated)?;
    data.get(start..end).ok_or_else(truncated)
}

/// A structure of the format at `offset` of the file.
pub(crate) fn pod<'a, T: Pod>(data: &'a [u8], offset: u64, what: &'static str) -> Result<&'a T, PeError> {
    let size = size_of::<T>() as u64;
    let bytes = slice(data, offset, size, what)?;
    cast(bytes).ok_or(PeError::Truncated { what, offset, needs: size, has: bytes.len() as u64 })
}

/// A structure of the format at the start of `bytes`; `None` if they are too few.
pub(crate) fn cast<T: Pod>(bytes: &[u8]) -> Option<&T> {
    pod::from_bytes(bytes).ok().map(|(value, _)| value)
}

/// Text of a file that people will read: what is no text, and what would steer a terminal, is replaced.
pub(crate) fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(char::is_control, "\u{FFFD}")
}

/// `value` rounded up to a multiple of `alignment`, a power of two.
pub(crate) fn align_up(value: u64, alignment: u64) -> u64 {
    value.saturating_add(alignment - 1) & !(alignment - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slice_says_what_is_missing() {
        assert_eq!(slice(b"abcd", 1, 2, "x").unwrap(), b"bc");
        assert_eq!(
            slice(b"abcd", 3, 2, "x"),
            Err(PeError::Truncated { what: "x", offset: 3, needs: 2, has: 1 })
        );
        assert_eq!(
            slice(b"abcd", u64::MAX, 2, "x"),
            Err(PeError::Truncated { what: "x", offset: u64::MAX, needs: 2, has: 0 })
        );
    }

    #[test]
    fn printable_text_cannot_steer_a_terminal() {
        assert_eq!(printable(b".te\x1b[31mxt\n"), ".te\u{FFFD}[31mxt\u{FFFD}");
        assert_eq!(printable(b"a\xFFb"), "a\u{FFFD}b");
    }

    #[test]
    fn align_up_saturates() {
        assert_eq!(align_up(1, 0x1000), 0x1000);
        assert_eq!(align_up(0x1000, 0x1000), 0x1000);
        assert_eq!(align_up(u64::MAX - 1, 0x1000), 0xFFFF_FFFF_FFFF_F000);
    }
}
