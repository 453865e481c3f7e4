//! Rows of values as JSON, in which a text that comes again is only a number.
//!
//! A row is an array on a line of its own, so that a file which was cut short is good up to its last whole line. A
//! cell is a number, null, a text or a list of lines. A text that was written before is `~` and its number in the order
//! of first writing (`"~7"`); one that begins with `~` has another before it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;

use serde::Serialize as _;
use serde_json::ser::Formatter;

use crate::escape::{is_active, show};

/// How many texts, and how many bytes of them, are remembered before they are forgotten together: a reader
/// remembers all, so that forgetting costs only space.
const REMEMBERED: usize = 32_768;
const REMEMBERED_BYTES: usize = 8 << 20;
/// The longest text, in characters: a command line can be 32,767 and there can be very many.
pub(super) const LONGEST: usize = 4_096;

/// The texts written so far.
#[derive(Default)]
pub(super) struct Texts {
    numbers: HashMap<Box<str>, u64>,
    bytes: usize,
    next: u64,
}

impl Texts {
    /// The number of a text that was written before; otherwise it has one from now on.
    fn number(&mut self, text: &str) -> Option<u64> {
        if let Some(&number) = self.numbers.get(text) {
            return Some(number);
        }
        if self.numbers.len() >= REMEMBERED || self.bytes >= REMEMBERED_BYTES {
            self.numbers.clear();
            self.bytes = 0;
        }
        self.bytes += text.len();
        self.numbers.insert(text.into(), self.next);
        self.next += 1;
        None
    }
}

/// A row in the making.
pub(super) struct Row<'a> {
    out: &'a mut Vec<u8>,
    texts: &'a mut Texts,
}

impl<'a> Row<'a> {
    /// Begins a row of a kind, which is one letter.
    pub(super) fn new(out: &'a mut Vec<u8>, texts: &'a mut Texts, kind: char) -> Self {
        out.extend_from_slice(b"[\"");
        out.extend_from_slice(kind.encode_utf8(&mut [0; 4]).as_bytes());
        out.push(b'"');
        Self { out, texts }
    }

    /// A number. What JavaScript cannot hold exactly is near enough.
    pub(super) fn number(self, number: impl Into<i128>) -> Self {
        self.out.extend_from_slice(format!(",{}", number.into()).as_bytes());
        self
    }

    /// A number that need not be.
    pub(super) fn optional(self, number: Option<impl Into<i128>>) -> Self {
        match number {
            Some(number) => self.number(number),
            None => self.null(),
        }
    }

    fn null(self) -> Self {
        self.out.extend_from_slice(b",null");
        self
    }

    /// A text, in the form in which it is shown.
    pub(super) fn text(self, text: &str) -> Self {
        let text = short(text);
        self.out.push(b',');
        match self.texts.number(&text) {
            Some(number) => self.out.extend_from_slice(format!("\"~{number}\"").as_bytes()),
            None if text.starts_with('~') => write_text(self.out, &format!("~{text}")),
            None => write_text(self.out, &text),
        }
        self
    }

    /// A text that need not be.
    pub(super) fn text_or_null(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(text),
            None => self.null(),
        }
    }

    /// Several texts as the lines of one; null where there are none.
    pub(super) fn lines<T: AsRef<str>>(self, lines: impl IntoIterator<Item = T>) -> Self {
        let lines: Vec<_> = lines.into_iter().map(|line| short(line.as_ref())).collect();
        if lines.is_empty() {
            return self.null();
        }
        self.out.push(b',');
        // Lines of a stack are many and seldom the same as a whole: written out, as a text without a number.
        let mut list = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            list.push(if number == 0 { b'[' } else { b',' });
            write_text(&mut list, line);
        }
        list.push(b']');
        self.out.append(&mut list);
        self
    }

    /// Ends the row.
    pub(super) fn end(self) {
        self.out.extend_from_slice(b"]\n");
    }
}

/// The shown form of a text, not longer than a page can bear.
pub(super) fn short(text: &str) -> String {
    let Some((end, _)) = text.char_indices().nth(LONGEST) else { return show(text, false).into_owned() };
    let mut short = show(&text[..end], false).into_owned();
    // Writing to a String cannot fail.
    let _ = write!(short, " … and {} more characters", text[end..].chars().count());
    short
}

/// JSON that is nothing but text inside a `script` element, whatever is in it.
pub(super) struct Inert;

impl Formatter for Inert {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let ends_something = |c: char| matches!(c, '<' | '>' | '&') || is_active(c);
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|&(_, c)| ends_something(c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// A text as a JSON string.
fn write_text(out: &mut Vec<u8>, text: &str) {
    let before = out.len();
    // A string into memory cannot fail; should it ever, a text is missing and the row is whole.
    if text.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Inert)).is_err() {
        out.truncate(before);
        out.extend_from_slice(b"\"\"");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(texts: &mut Texts, words: &[&str]) -> String {
        let mut out = Vec::new();
        let mut row = Row::new(&mut out, texts, 'X');
        for word in words {
            row = row.text(word);
        }
        row.end();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_text_that_comes_again_is_its_number() {
        let mut texts = Texts::default();
        assert_eq!(row(&mut texts, &["a", "b", "a"]), "[\"X\",\"a\",\"b\",\"~0\"]\n");
        assert_eq!(row(&mut texts, &["~0", "b", "~0"]), "[\"X\",\"~~0\",\"~1\",\"~2\"]\n");
    }

    #[test]
    fn texts_are_forgotten_before_they_are_too_many() {
        let mut texts = Texts::default();
        for number in 0..100_000 {
            let line = row(&mut texts, &[&number.to_string(), "kept"]);
            assert!(line.starts_with(&format!("[\"X\",\"{number}\"")));
        }
        assert!(texts.numbers.len() <= REMEMBERED);
        let long = "x".repeat(LONGEST - 8);
        for number in 0..5_000 {
            row(&mut texts, &[&format!("{number}{long}")]);
            assert!(texts.bytes <= REMEMBERED_BYTES + LONGEST);
        }
    }

    #[test]
    fn a_long_text_says_how_much_longer_it_is() {
        assert_eq!(short(&"é".repeat(LONGEST)), "é".repeat(LONGEST));
        assert!(short(&"é".repeat(LONGEST + 7)).ends_with("é … and 7 more characters"));
    }

    #[test]
    fn nothing_ends_the_element_it_is_in() {
        let hostile = "</script><!-- <script> ]]> & \u{2028}\u{2029}\u{202e}\0\x1b[2J\"\\";
        let line = row(&mut Texts::default(), &[hostile]);
        assert!(!line.contains(['<', '>', '&', '\u{2028}', '\0', '\x1b', '\u{202e}']), "{line}");
        let cells: Vec<String> = serde_json::from_str(&line).unwrap();
        assert_eq!(cells[1], show(hostile, false));
    }

    proptest! {
        #[test]
        fn every_row_is_one_line_of_inert_json(words in proptest::collection::vec(any::<String>(), 0..6)) {
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let line = row(&mut Texts::default(), &words);
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(!line.trim_end().chars().any(|c| matches!(c, '<' | '>' | '&') || is_active(c)));
            let cells: Vec<String> = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(cells.len(), words.len() + 1);
        }
    }
}
