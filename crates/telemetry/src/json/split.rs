//! Text is cut into the records it holds, without being understood: lines, or objects one after the other.
//!
//! Where the first object ends with its line, every line is a record, and a damaged one costs no other. Where it does not
//! (an array, objects over several lines), objects are followed by their brackets; after damage, the next line that begins
//! an object where none can stand within another begins the next record. An object around an array of records is passed over
//! as it goes, and never held.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memchr3};

use super::scan::{Scan, Step};
use super::wrap::{self, LOOK, Look};

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
    /// The file ends in the array of records, or in an object around it.
    Open,
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
    /// How many objects are open around the array of records, and whether there was any such object.
    around: u32,
    wraps: bool,
    /// How many arrays of records are open, as far as nothing was damaged in them.
    open: u32,
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
            around: 0,
            wraps: false,
            open: 0,
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
        let first = loop {
            match self.skip_between()? {
                None => return Ok(self.end(previous)),
                Some(b'{') if self.is_wrapper()? => {}
                Some(first) => break first,
            }
        };
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

    /// The end of the file, which may not be that of what holds the records.
    fn end(&mut self, previous: u64) -> Option<Piece<'static>> {
        let open = std::mem::take(&mut self.open) + std::mem::take(&mut self.around);
        (open > 0).then(|| {
            self.previous = previous;
            self.started = (self.offset, self.line);
            Piece::Bad { what: Bad::Open }
        })
    }

    /// Passes over what stands between records, and says what begins after it.
    fn skip_between(&mut self) -> io::Result<Option<u8>> {
        loop {
            while let Some(&byte) = self.buffer.get(self.from) {
                match byte {
                    // An array is read as what is in it.
                    b'[' if self.mode != Some(Mode::Lines) => {
                        self.mode = Some(Mode::Objects);
                        self.open = self.open.saturating_add(1);
                    }
                    b']' if self.around > 0 => {
                        self.take(1);
                        self.pass_around()?;
                        continue;
                    }
                    // Each file that was put behind another may have begun with a mark.
                    0xEF if self.available(3)? && self.rest().starts_with(b"\xEF\xBB\xBF") => self.take(2),
                    b']' => self.open = self.open.saturating_sub(1),
                    b'[' | b',' | b' ' | b'\t' | b'\r' | b'\n' | 0x1E => {}
                    other => return Ok(Some(other)),
                }
                self.take(1);
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Passes over the beginning of an object that holds records, if one begins here.
    fn is_wrapper(&mut self) -> io::Result<bool> {
        if self.mode.is_some() && (!self.wraps || self.around > 0) {
            return Ok(false);
        }
        loop {
            let seen = self.rest().len();
            match wrap::look(self.rest()) {
                Look::Wrapper { length, depth } => {
                    self.take(length);
                    self.mode = Some(Mode::Objects);
                    (self.around, self.wraps) = (depth, true);
                    return Ok(true);
                }
                Look::More if seen < LOOK && self.fill()? => {}
                _ => return Ok(false),
            }
        }
    }

    /// Passes over what stands behind an array of records, up to the end of the objects around it or to another array.
    fn pass_around(&mut self) -> io::Result<()> {
        while self.around > 0 {
            match self.skip_blank()? {
                Some(b',') => self.take(1),
                Some(b'}') => {
                    self.take(1);
                    self.around -= 1;
                }
                Some(b'"') => {
                    let key = self.key()?;
                    if self.skip_blank()? == Some(b':') {
                        self.take(1);
                    }
                    match self.skip_blank()? {
                        Some(b'[') if wrap::is_array(&key) => {
                            self.take(1);
                            return Ok(());
                        }
                        Some(b'{') if wrap::is_object(&key) => {
                            self.take(1);
                            self.around += 1;
                        }
                        Some(b'{' | b'[') => self.pass_value()?,
                        Some(b'"') => drop(self.key()?),
                        _ => self.skip_to(|rest| memchr3(b',', b'}', b']', rest))?,
                    }
                }
                None => return Ok(()),
                // It is damaged, which is told of what stands there.
                _ => self.around = 0,
            }
        }
        Ok(())
    }

    /// Passes over a string, and gives as much of it as a key that means something has.
    fn key(&mut self) -> io::Result<Vec<u8>> {
        let mut key = Vec::new();
        let mut escaped = false;
        self.take(1);
        loop {
            for at in 0..self.rest().len() {
                let byte = self.rest()[at];
                if !escaped && byte == b'"' {
                    self.take(at + 1);
                    return Ok(key);
                }
                escaped = !escaped && byte == b'\\';
                if key.len() < 32 {
                    key.push(byte);
                }
            }
            self.take(self.rest().len());
            if !self.fill()? {
                return Ok(key);
            }
        }
    }

    /// Passes over an object or an array.
    fn pass_value(&mut self) -> io::Result<()> {
        let mut scan = Scan::default();
        loop {
            match scan.on(self.rest()) {
                Step::More => {
                    self.take(self.rest().len());
                    if !self.fill()? {
                        return Ok(());
                    }
                }
                Step::Done(end) => {
                    self.take(end);
                    return Ok(());
                }
                Step::Broken(at) => {
                    self.take(at);
                    self.around = 0;
                    return Ok(());
                }
            }
        }
    }

    /// Passes over a line that begins no object; between objects, also over those after it that do not.
    fn skip_garbage(&mut self) -> io::Result<()> {
        // What ends the array may be in it.
        self.open = 0;
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
                        (self.open, self.around) = (0, 0);
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
    fn what_stands_around_an_array_of_records_is_passed_over() {
        let (one, two) = ("{\"a\":1}", "{\"b\":[{}]}");
        for text in [
            format!("{{\"records\":[{one},{two}]}}"),
            format!(
                "{{\"took\":1,\"hits\":{{\"total\":{{\"value\":2}},\"hits\":[{one},{two}],\"x\":[1,{{}}]}},\"y\":\"]}}\"}}\n"
            ),
            format!("{{\n\"value\": [\n{one},\n{two}\n],\n\"@odata.nextLink\":\"https://x/?a=\\\"1\"}}"),
            format!("{{\"Events\":[{one}]}}\n{{\"Events\":[]}}\n{{\"Events\":[{two}],\"next\":null}}\n"),
            format!("{{\"records\":[{one}],\"value\":[{two}]}}"),
            format!("\u{feff}{{\"results\":[{one}]}}\u{feff}{{\"results\":[{two}]}}"),
        ] {
            assert_eq!(texts(&text), [one, two], "{text}");
        }
        assert_eq!(
            texts(&format!("{{\"records\":[{one},7,{two}]x}}\n{one}")),
            [one, "NoObject", two, "NoObject", one]
        );
        assert_eq!(texts(&format!("{{\"records\":[{one},{{\"b\":")), [one, "Cut"]);
        for text in
            [format!("{{\"records\":[{one}"), format!("{{\"records\":[{one}],\"x\":1"), format!("[{one},\n")]
        {
            assert_eq!(texts(&text), [one, "Open"], "{text}");
        }
    }

    #[test]
    fn an_array_in_an_object_is_not_held() {
        let element = format!("{{\"a\":\"{}\"}},", "x".repeat(1000));
        let text = format!(
            "{{\"hits\":{{\"hits\":[{}{{}}],\"rest\":[{}{{}}]}}}}",
            element.repeat(10_000),
            element.repeat(10_000)
        );
        let mut splitter = Splitter::new(text.as_bytes());
        let mut count = 0;
        while let Some(piece) = splitter.next().unwrap() {
            assert!(matches!(piece, Piece::Record { .. }));
            count += 1;
        }
        assert_eq!(count, 10_001);
        assert!(splitter.buffer.capacity() < 4 * STEP);
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
