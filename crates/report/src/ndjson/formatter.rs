//! JSON whose strings are harmless on a terminal.

use std::io::{self, Write};

use serde_json::ser::Formatter;

use crate::escape::{is_active, is_plain};

/// Compact JSON in which everything that could act on a terminal is escaped, not only what JSON demands:
/// people `cat` these files, and drivers choose what is in them. A reader gets the exact text back.
pub(super) struct Harmless;

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

#[cfg(test)]
mod tests {
    use serde::Serialize as _;

    use super::*;

    #[test]
    fn active_characters_are_escaped_and_come_back() {
        let hostile = "\u{9b}31m\x1b[0m\u{7f}\u{202e}\u{e0041}\"\\\n日";
        let mut json = Vec::new();
        hostile.serialize(&mut serde_json::Serializer::with_formatter(&mut json, Harmless)).unwrap();
        let json = String::from_utf8(json).unwrap();
        assert_eq!(json, r#""\u009b31m\u001b[0m\u007f\u202e\udb40\udc41\"\\\n日""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
    }
}
