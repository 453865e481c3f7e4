//! Which format a stream of bytes is, by what stands at its beginning.

use std::fmt;

/// How much of a stream [`detect`] wants to see. Less is enough where the stream is shorter.
pub const PREFIX: usize = 64 << 10;

/// A format of recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// A Windows event log.
    Evtx,
    /// Events as JSON: one for each line, one after the other, or in one array.
    Json,
    /// Procmon's events as comma-separated values.
    ProcmonCsv,
    /// Procmon's own log.
    Pml,
    /// Callboard's own recording.
    Cbr,
    /// The same as lines of JSON.
    CbrLines,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Evtx, Self::Json, Self::ProcmonCsv, Self::Pml, Self::Cbr, Self::CbrLines];

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evtx => "EVTX",
            Self::Json => "JSON",
            Self::ProcmonCsv => "Procmon CSV",
            Self::Pml => "Procmon PML",
            Self::Cbr => "Callboard recording",
            Self::CbrLines => "Callboard recording as JSON",
        }
    }

    /// Whether its first bytes say what it is, and not its first line.
    pub(crate) const fn has_magic(self) -> bool {
        matches!(self, Self::Evtx | Self::Pml | Self::Cbr)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The columns that tell Procmon's header from other comma-separated values.
const PROCMON_COLUMNS: [&str; 3] = ["Process Name", "PID", "Operation"];

/// The format that a stream with these first bytes is of.
pub fn detect(prefix: &[u8]) -> Option<Format> {
    const MAGICS: [(&[u8], Format); 3] =
        [(b"ElfFile\0", Format::Evtx), (b"PML_", Format::Pml), (b"\x89CBR", Format::Cbr)];
    if let Some((_, format)) = MAGICS.iter().find(|(magic, _)| prefix.starts_with(magic)) {
        return Some(*format);
    }
    of_text(&narrowed(prefix))
}

/// What text is: Procmon's by its first line, objects by the first line that begins as one, as a log may be cut anywhere.
fn of_text(text: &[u8]) -> Option<Format> {
    let opens = |text: &[u8]| {
        let mut tokens = text.iter().filter(|byte| !byte.is_ascii_whitespace());
        match (tokens.next(), tokens.next()) {
            (Some(b'{'), second) => matches!(second, Some(b'"' | b'}')),
            (Some(b'['), second) => matches!(second, Some(b'{' | b']')),
            _ => false,
        }
    };
    let mut rest = text;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let (line, next) = rest.split_at(end);
        if is_recording(line) {
            return Some(Format::CbrLines);
        }
        // An array, or an object, may begin on a line of its own.
        if opens(line) || matches!(line.trim_ascii(), b"[" | b"{") && opens(rest) {
            return Some(Format::Json);
        }
        if rest.len() == text.len() && is_header(line) {
            return Some(Format::ProcmonCsv);
        }
        rest = next;
    }
    None
}

/// Whether a line is the header of Procmon's values.
fn is_header(line: &[u8]) -> bool {
    let line = line.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    PROCMON_COLUMNS.iter().all(|column| line.contains(&format!("\"{column}\"")))
}

/// Whether a line is one of a recording: its first, or an event. What is not whole of others, as the file is cut or damaged,
/// says nothing else.
fn is_recording(line: &[u8]) -> bool {
    let has = |what: &str| memchr::memmem::find(line, what.as_bytes()).is_some();
    line.starts_with(b"{\"type\":\"")
        && (has("\"schema\":\"callboard.recording/")
            // The records of a run have the time that has passed in between.
            || has("\"time\":") && has("\"context_tid\":") && !has("\"elapsed_ns\":"))
}

/// Text of 16-bit units as its low bytes, which is enough to see what it is; other text as it is. A byte order mark goes.
fn narrowed(prefix: &[u8]) -> Vec<u8> {
    let units = |from: usize, low: usize| prefix[from..].chunks_exact(2).map(|unit| unit[low]).collect();
    match prefix {
        [0xEF, 0xBB, 0xBF, text @ ..] => text.to_vec(),
        [0xFF, 0xFE, ..] => units(2, 0),
        [0xFE, 0xFF, ..] => units(2, 1),
        [first, 0, second, 0, ..] if *first != 0 && *second != 0 => units(0, 0),
        [0, first, 0, second, ..] if *first != 0 && *second != 0 => units(0, 1),
        _ => prefix.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn formats_are_told_by_content() {
        let header = "\"Time of Day\";\"Process Name\";\"PID\";\"Operation\";\"Path\"\r\n";
        let before_json = format!("{header}{{\"a\":1}}\n");
        let cases: [(&[u8], Option<Format>); 21] = [
            (b"ElfFile\0\0\0", Some(Format::Evtx)),
            (b"ElfFile", None),
            (b"PML_\x09\0\0\0", Some(Format::Pml)),
            (b"{\"EventID\":1}\n", Some(Format::Json)),
            (b"\xEF\xBB\xBF{\"EventID\":1}\n", Some(Format::Json)),
            (b"\r\n  {\r\n  \"EventID\": 1", Some(Format::Json)),
            (b" [\n { \"EventID\": 1", Some(Format::Json)),
            (b"[]", Some(Format::Json)),
            (b"cut off here\"}\n{\"EventID\":1}\n", Some(Format::Json)),
            (&wide("\u{FEFF}{\"EventID\":1}"), Some(Format::Json)),
            (&wide("{\"EventID\":1}"), Some(Format::Json)),
            (header.as_bytes(), Some(Format::ProcmonCsv)),
            (&wide(&format!("\u{FEFF}{header}")), Some(Format::ProcmonCsv)),
            (before_json.as_bytes(), Some(Format::ProcmonCsv)),
            (b"\"PID\",\"Name\"\n", None),
            (b"\x89CBR\r\n", Some(Format::Cbr)),
            (b"{\"type\":\"recording\",\"schema\":\"callboard.recording/9\"}\n", Some(Format::CbrLines)),
            (
                b"cut\n{\"type\":\"process_exit\",\"time\":0,\"pid\":4,\"context_tid\":8}",
                Some(Format::CbrLines),
            ),
            (b"{\"type\":\"start\",\"schema\":\"callboard.record/1\"}\n", Some(Format::Json)),
            (b"MZ\x90\0", None),
            (b"", None),
        ];
        for (prefix, format) in cases {
            assert_eq!(detect(prefix), format, "{}", prefix.escape_ascii());
        }
    }
}
