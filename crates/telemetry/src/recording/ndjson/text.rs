//! JSON that is harmless on a terminal.

use std::io::{self, Write};

use event::terminal::is_active;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Compact JSON in which every character that acts on a terminal is escaped.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, active)) = rest.char_indices().find(|(_, c)| is_active(*c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in active.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + active.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Writes one line.
pub(super) fn write<W: Write, T: Serialize>(out: W, value: &T) -> io::Result<()> {
    let mut serializer = Serializer::with_formatter(out, Harmless);
    value.serialize(&mut serializer)?;
    serializer.into_inner().write_all(b"\n")
}
