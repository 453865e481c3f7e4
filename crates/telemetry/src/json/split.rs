//! Text is cut into the records it holds, without being understood: lines, or objects one after the other.
//!
//! Where the first object ends with its line, every line is a record, and a damaged one costs no other. Where it does not
//! (an array, objects over several lines), objects are followed by their brackets; after damage, the next line that begins
//! an object where none can stand within another begins the next record.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memchr3};

use super::scan::{Scan, Step};

/// A record is at most so long.
pub(crate) const LONGEST: usize = 16 << 20;
/// So much is asked for at a time.
const STEP: usize = 256 << 10;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// The text of a record. Of a line, all of it; `cut` is whether the file ends in it.
    Record { text: &'a [u8], cut: bool },
    /// What is no record.
    Bad { what: Bad },
}

/// Why text is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// It does not begin as an object does.
    NoObject,
    /// A line, or the start of another object, ends it too early.
    Broken,
    /// It is longer than any record.
    Long,
    /// The file ends in it.
    Cut,
}

/// How records are told apart, once that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Lines,
    Objects,
}

/// Cuts what it reads.
pub(crate) struct Splitter<R> {
    input: R,
    buffer: Vec<u8>,
    /// What of the buffer is not yet given out.
    from: usize,
    ended: bool,
    mode: Option<Mode>,
    /// Of what begins at `from`.
    offset: u64,
    line: u64,
    /// Of the last piece.
    started: (u64, u64),
    /// The number of the one before it.
    previous: u64,
}

impl<R: Read> Splitter<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            from: 0,
            ended: false,
            mode: None,
            offset: 0,
            line: 1,
            started: (0, 0),
            previous: 0,
        }
    }

    /// The number of the last piece: its line where records are lines, else its place among the pieces.
    pub(crate) fn number(&self) -> u64 {
        match self.mode {
            Some(Mode::Objects) => self.previous + 1,
            _ => self.started.1,
        }
    }

    /// Where the last piece begins in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.started.0
    }

    /// Gives back what the last piece has from there on, to be cut again.
    pub(crate) fn again_from(&mut self, at: usize) {
        let taken = usize::try_from(self.offset - self.started.0).unwrap_or(0);
        let bytes = taken.saturating_sub(at);
        self.from -= bytes;
        self.offset -= bytes as u64;
        // What was taken may have had the line's end; what is left of it has none.
        self.line = self.started.1;
    }

    /// The next piece.
    pub(crate) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        let previous = self.number();
        let Some(first) = self.skip_between()? else { return Ok(None) };
        self.previous = previous;
        self.started = (self.offset, self.line);
        if first != b'{' {
            if self.mode == Some(Mode::Objects) && (first.is_ascii_alphanumeric() || first == b'-') {
                // A number in an array, or another word.
                self.skip_to(|rest| memchr3(b',', b']', b'\n', rest))?;
            } else {
                self.skip_garbage()?;
            }
            return Ok(Some(Piece::Bad { what: Bad::NoObject }));
        }
        match self.mode {
            Some(Mode::Lines) => self.line_piece(),
            _ => self.object_piece(),
        }
    }

    /// Passes over what stands between records, and says what begins after it.
    fn skip_between(&mut self) -> io::Result<Option<u8>> {
        if self.offset == 0 && self.available(3)? && self.rest().starts_with(b"\xEF\xBB\xBF") {
            self.take(3);
        }
        loop {
            while let Some(&byte) = self.buffer.get(self.from) {
                match byte {
                    // An array is read as what is in it.
                    b'[' if self.mode.is_none() => self.mode = Some(Mode::Objects),
                    b'[' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' | 0x1E => {}
                    other => return Ok(Some(other)),
                }
                self.take(1);
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Passes over a line that begins no object; between objects, also over those after it that do not.
    fn skip_garbage(&mut self) -> io::Result<()> {
        loop {
            self.skip_line()?;
            if self.mode != Some(Mode::Objects) {
                return Ok(());
            }
            match self.skip_blank()? {
                None | Some(b'{') => return Ok(()),
                Some(_) => {}
            }
        }
    }

    fn skip_blank(&mut self) -> io::Result<Option<u8>> {
        loop {
            while let Some(&byte) = self.buffer.get(self.from) {
                if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                    return Ok(Some(byte));
                }
                self.take(1);
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        self.skip_to(|rest| memchr(b'\n', rest).map(|end| end + 1))
    }

    /// Passes over all up to where something is found.
    fn skip_to(&mut self, find: impl Fn(&[u8]) -> Option<usize>) -> io::Result<()> {
        loop {
            if let Some(end) = find(self.rest()) {
                self.take(end);
                return Ok(());
            }
            self.take(self.rest().len());
            if !self.fill()? {
                return Ok(());
            }
        }
    }

    fn line_piece(&mut self) -> io::Result<Option<Piece<'_>>> {
        let mut looked = 0;
        let end = loop {
            if let Some(end) = memchr(b'\n', &self.rest()[looked..]) {
                break Some(looked + end);
            }
            looked = self.rest().len();
            if looked > LONGEST {
                self.skip_line()?;
                return Ok(Some(Piece::Bad { what: Bad::Long }));
            }
            if !self.fill()? {
                break None;
            }
        };
        let length = end.unwrap_or(looked);
        let start = self.from;
        self.take(end.map_or(length, |end| end + 1));
        let text = self.buffer[start..start + length].trim_ascii_end();
        Ok(Some(Piece::Record { text, cut: end.is_none() }))
    }

    fn object_piece(&mut self) -> io::Result<Option<Piece<'_>>> {
        let mut scan = Scan::default();
        let mut looked = 0;
        // Whether so much was passed over that no record is as long.
        let mut long = false;
        loop {
            match scan.on(&self.rest()[looked..]) {
                Step::More => {
                    looked = self.rest().len();
                    if looked > LONGEST {
                        long = true;
                        self.take(looked);
                        looked = 0;
                    }
                    if !self.fill()? {
                        self.take(looked);
                        return Ok(Some(Piece::Bad { what: if long { Bad::Long } else { Bad::Cut } }));
                    }
                }
                Step::Done(end) => {
                    let length = looked + end;
                    if self.mode.is_none() {
                        self.mode = Some(self.decide(length)?);
                    }
                    let start = self.from;
                    self.take(length);
                    if long {
                        return Ok(Some(Piece::Bad { what: Bad::Long }));
                    }
                    return Ok(Some(Piece::Record { text: &self.buffer[start..start + length], cut: false }));
                }
                Step::Broken(at) => {
                    self.take(looked + at);
                    if self.mode == Some(Mode::Objects) {
                        self.resume()?;
                    }
                    return Ok(Some(Piece::Bad { what: if long { Bad::Long } else { Bad::Broken } }));
                }
            }
        }
    }

    /// After damage, passes over lines up to one that begins an object.
    fn resume(&mut self) -> io::Result<()> {
        match self.skip_blank()? {
            None | Some(b'{') => Ok(()),
            Some(_) => self.skip_garbage(),
        }
    }

    /// With the first whole object it is known how records are told apart.
    fn decide(&mut self, length: usize) -> io::Result<Mode> {
        if self.line > self.started.1 || memchr(b'\n', &self.rest()[..length]).is_some() {
            return Ok(Mode::Objects);
        }
        loop {
            match self.rest()[length..].iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r')) {
                Some(b'\n') => return Ok(Mode::Lines),
                Some(_) => return Ok(Mode::Objects),
                None => {}
            }
            if !self.fill()? {
                return Ok(Mode::Lines);
            }
        }
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.from..]
    }

    fn take(&mut self, bytes: usize) {
        self.line += memchr_iter(b'\n', &self.buffer[self.from..self.from + bytes]).count() as u64;
        self.from += bytes;
        self.offset += bytes as u64;
    }

    fn available(&mut self, bytes: usize) -> io::Result<bool> {
        while self.rest().len() < bytes {
            if !self.fill()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads more, and says whether there was more.
    fn fill(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.buffer.drain(..self.from);
        self.from = 0;
        let present = self.buffer.len();
        self.buffer.resize(present + STEP, 0);
        let read = loop {
            match self.input.read(&mut self.buffer[present..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(present + *read.as_ref().unwrap_or(&0));
        self.ended = !matches!(read, Ok(1..));
        read.map(|bytes| bytes > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each piece with its number, its offset, and its text or what is wrong.
    fn all(text: &[u8]) -> Vec<(u64, u64, String)> {
        let mut splitter = Splitter::new(text);
        let mut found = Vec::new();
        loop {
            let shown = match splitter.next().unwrap() {
                None => return found,
                Some(Piece::Record { text, .. }) => String::from_utf8(text.to_vec()).unwrap(),
                Some(Piece::Bad { what }) => format!("{what:?}"),
            };
            found.push((splitter.number(), splitter.offset(), shown));
        }
    }

    fn texts(text: &str) -> Vec<String> {
        all(text.as_bytes()).into_iter().map(|(.., text)| text).collect()
    }

    #[test]
    fn lines_are_records_and_a_broken_one_costs_no_other() {
        let found =
            all(b"\xEF\xBB\xBF{\"a\":1}\r\n\n{\"b\":\"\n{\"c\":{\n{\"d\":1}\nx {\"e\":1}\n {\"f\":1}");
        let shown: Vec<_> =
            found.iter().map(|(number, offset, text)| (*number, *offset, text.as_str())).collect();
        assert_eq!(
            shown,
            [
                (1, 3, "{\"a\":1}"),
                (3, 13, "{\"b\":\""),
                (4, 20, "{\"c\":{"),
                (5, 27, "{\"d\":1}"),
                (6, 35, "NoObject"),
                (7, 46, "{\"f\":1}"),
            ]
        );
    }

    #[test]
    fn the_first_line_may_be_the_broken_one() {
        assert_eq!(texts("cut\"}\n{\"a\":1}\n{\"b\":\n"), ["NoObject", "{\"a\":1}", "{\"b\":"]);
        assert_eq!(texts("{\"a\":\"x\n{\"a\":1}\n{\"b\":1}\n"), ["Broken", "{\"a\":1}", "{\"b\":1}"]);
        assert_eq!(texts("{\"a\":1,\n{\"a\":1}\n{\"b\":1}\n"), ["Broken", "{\"a\":1}", "{\"b\":1}"]);
    }

    #[test]
    fn objects_over_several_lines_and_in_arrays_are_records() {
        let pretty = "{\n  \"a\": {\n    \"b\": [\n      {\n \"c\": \"}\\\"{\" },\n{ \"d\": 1 }\n ]\n  }\n}";
        assert_eq!(texts(&format!("{pretty}\n{pretty}")), [pretty, pretty]);
        assert_eq!(texts(&format!("[\n{pretty},\n{pretty}\n]\n")), [pretty, pretty]);
        assert_eq!(texts("[{\"a\":1},{\"b\":[{}]},{\"c\":1}]"), ["{\"a\":1}", "{\"b\":[{}]}", "{\"c\":1}"]);
        assert_eq!(texts("{\"a\":1}{\"b\":1} {\"c\":1}"), ["{\"a\":1}", "{\"b\":1}", "{\"c\":1}"]);
        assert_eq!(texts("[]"), [""; 0]);
    }

    #[test]
    fn after_a_broken_object_the_next_is_found() {
        let broken = "{\n \"a\": \"x\n \"b\": 1,\n \"c\": 2\n}\n";
        let whole = "{\n \"d\": 1\n}";
        assert_eq!(texts(&format!("{whole}\n{broken}{whole}\n{whole}")), [whole, "Broken", whole, whole]);
        let open = "{\n \"a\": 1,\n";
        assert_eq!(texts(&format!("{whole}\n{open}{whole}\n{whole}")), [whole, "Broken", whole, whole]);
        assert_eq!(texts(&format!("{whole}\n{open}")), [whole, "Cut"]);
    }

    #[test]
    fn what_is_too_long_is_passed_over_without_being_kept() {
        let long = "x".repeat(LONGEST + STEP);
        let text = format!("{{\"a\":1}}\n{{\"a\":\"{long}\"}}\n{{\"b\":1}}\n");
        assert_eq!(texts(&text), ["{\"a\":1}", "Long", "{\"b\":1}"]);
        let text = format!("[{{\"a\":\"{long}\"}},{{\"b\":1}}]");
        assert_eq!(texts(&text), ["Long", "{\"b\":1}"]);
        let mut splitter = Splitter::new(text.as_bytes());
        while splitter.next().unwrap().is_some() {}
        assert!(splitter.buffer.capacity() < 3 * LONGEST);
    }
}
