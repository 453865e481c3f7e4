//! How every format of JSON writes what it writes: strings that are harmless on a terminal, addresses, codes, moments.

use std::fmt::{self, Display};
use std::io::{self, Write};

use event::Time;
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;

use crate::escape::{is_active, is_plain};
use crate::moment::Rfc3339;

/// Appends a value as one line of JSON without its end. Neither a map with other keys than strings nor a failing writer
/// is in reach here; should it ever be, nothing is appended and the answer is `false`.
pub(crate) fn append(value: &impl Serialize, out: &mut Vec<u8>) -> bool {
    let before = out.len();
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Harmless)).is_ok();
    if !written {
        out.truncate(before);
    }
    written
}

/// Compact JSON in which everything that could act on a terminal is escaped, not only what JSON demands:
/// people `cat` these files, and drivers choose what is in them. A reader gets the exact text back.
pub(crate) struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if is_plain(fragment) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, active)) = rest.char_indices().find(|&(_, c)| is_active(c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in active.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + active.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// An address: `"0xfffff80010001a40"`.
#[derive(Clone, Copy)]
pub(crate) struct Address(pub(crate) u64);

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

/// Eight digits as NT writes them: `"0xC0000022"`.
#[derive(Clone, Copy)]
pub(crate) struct Code(pub(crate) u32);

impl Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08X}", self.0)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A moment in RFC 3339.
pub(crate) struct Moment(pub(crate) Time);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Rfc3339(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_characters_are_escaped_and_come_back() {
        let hostile = "\u{9b}31m\x1b[0m\u{7f}\u{202e}\u{e0041}\"\\\n日";
        let mut json = Vec::new();
        assert!(append(&hostile, &mut json));
        let json = String::from_utf8(json).unwrap();
        assert_eq!(json, r#""\u009b31m\u001b[0m\u007f\u202e\udb40\udc41\"\\\n日""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
    }
}
