//! Counted UTF-16 text: [`NtStr`] borrowed, [`NtString`] owned.

use core::fmt::{self, Write as _};

use crate::abi::UnicodeString;
use crate::pattern;

/// Text as NT hands it out: UTF-16 units, counted, not NUL-terminated, not always well-formed.
#[repr(transparent)]
#[derive(PartialEq, Eq)]
pub struct NtStr([u16]);

impl NtStr {
    /// Text made of these units.
    #[must_use]
    pub const fn from_units(units: &[u16]) -> &Self {
        let text: *const [u16] = units;
        // SAFETY: NtStr is a transparent wrapper of [u16], so pointer and length stay valid for the
        // same lifetime.
        unsafe { &*(text as *const Self) }
    }

    /// The text that a `UNICODE_STRING` describes; `None` for a null pointer.
    ///
    /// # Safety
    /// `string` is null, or it and the buffer it names stay valid and unchanged for `'a`.
    pub(crate) unsafe fn from_counted<'a>(string: *const UnicodeString) -> Option<&'a Self> {
        // SAFETY: the caller promises that a non-null pointer is valid for 'a.
        let string = unsafe { string.as_ref() }?;
        if string.buffer.is_null() || string.length == 0 {
            return Some(Self::from_units(&[]));
        }
        // SAFETY: the caller promises that the buffer holds `length` bytes for 'a; NT allocates it
        // aligned for its units.
        let units = unsafe { core::slice::from_raw_parts(string.buffer, usize::from(string.length) / 2) };
        Some(Self::from_units(units))
    }

    /// The UTF-16 units.
    #[must_use]
    pub const fn units(&self) -> &[u16] {
        &self.0
    }

    /// Whether there is no text.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the whole text matches a pattern in which `*` stands for any run of units and `?` for
    /// one. Case does not matter, and `/` equals `\`.
    ///
    /// IRQL: PASSIVE_LEVEL (case outside ASCII is looked up in NT's own table).
    #[must_use]
    pub fn matches(&self, pattern: &NtStr) -> bool {
        pattern::matches(&self.0, &pattern.0)
    }

    /// An owned copy, which may outlive the notice.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn to_owned(&self) -> NtString {
        NtString(self.0.into())
    }
}

impl fmt::Display for NtStr {
    /// As UTF-8; a lone surrogate shows as U+FFFD, a control character as `\u{…}` so that one notice
    /// stays one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for unit in char::decode_utf16(self.0.iter().copied()) {
            let c = unit.unwrap_or(char::REPLACEMENT_CHARACTER);
            if c.is_control() { write!(f, "{}", c.escape_unicode())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

impl fmt::Debug for NtStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// An owned [`NtStr`].
#[cfg(feature = "alloc")]
#[derive(Clone, PartialEq, Eq)]
pub struct NtString(alloc::boxed::Box<[u16]>);

#[cfg(feature = "alloc")]
impl core::ops::Deref for NtString {
    type Target = NtStr;
    fn deref(&self) -> &NtStr {
        NtStr::from_units(&self.0)
    }
}

#[cfg(feature = "alloc")]
impl From<&str> for NtString {
    fn from(text: &str) -> Self {
        Self(text.encode_utf16().collect())
    }
}

#[cfg(feature = "alloc")]
impl fmt::Display for NtString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

#[cfg(feature = "alloc")]
impl fmt::Debug for NtString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_in_bytes_and_the_rest_of_the_buffer_is_not_text() {
        let buffer: Vec<u16> = "abcdef".encode_utf16().collect();
        let counted = UnicodeString { length: 6, maximum_length: 12, buffer: buffer.as_ptr() };
        // SAFETY: `buffer` outlives the borrow.
        let text = unsafe { NtStr::from_counted(&raw const counted) }.unwrap();
        assert_eq!(text.to_string(), "abc");
    }

    #[test]
    fn null_is_none_and_an_empty_string_is_empty() {
        // SAFETY: null is allowed.
        assert!(unsafe { NtStr::from_counted(core::ptr::null()) }.is_none());
        let counted = UnicodeString { length: 0, maximum_length: 0, buffer: core::ptr::null() };
        // SAFETY: no buffer is read for length 0.
        assert!(unsafe { NtStr::from_counted(&raw const counted) }.unwrap().is_empty());
    }

    #[test]
    fn shown_lossy_on_one_line() {
        let text = NtStr::from_units(&[0x0061, 0xD800, 0x000A, 0xD83D, 0xDE00]);
        assert_eq!(text.to_string(), "a\u{FFFD}\\u{a}\u{1F600}");
    }
}
