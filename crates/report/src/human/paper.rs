//! A line and its columns.

use anstyle::Style;

use super::Options;
use super::palette::{ASCII, FAINT, PLAIN, Signs, UNICODE};
use super::quantity::milliseconds;
use crate::escape;

/// Where blocks begin that have the whole width: summary, stops.
pub(super) const BLOCK: usize = 2;
/// Where the sign of a timeline line is.
const SIGN: usize = BLOCK + TIME + 1 + PID + 1 + NAME + 2;
/// Where the detail of a timeline line begins.
const DETAIL: usize = SIGN + 2 + WORD + 1;

const TIME: usize = 9;
const PID: usize = 8;
const NAME: usize = 14;
/// A sign, a space, and a word or a driver's name.
const WORD: usize = 9;
/// Columns below which wrapping or shortening does more harm than a terminal that breaks the line.
const LEAST: usize = 16;
/// Columns that sentences want; with fewer they are continued below the times instead of below themselves.
const COMFORTABLE: usize = 44;

/// Lines under construction. Everything put on it is escaped, ours as well as a driver's.
pub(super) struct Paper {
    options: Options,
    text: String,
    lines: u64,
    /// Columns used in this line, padding that is not yet written included.
    column: usize,
    padding: usize,
    /// Where text that is too long for the line goes on.
    anchor: usize,
    /// Whether the last line is blank, so that blocks that follow each other are one blank line apart.
    parted: bool,
    /// Whom the line before was about.
    last: Option<(u32, String)>,
}

impl Paper {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            text: String::new(),
            lines: 0,
            column: 0,
            padding: 0,
            anchor: 0,
            parted: false,
            last: None,
        }
    }

    pub(super) fn signs(&self) -> &'static Signs {
        if self.options.ascii { &ASCII } else { &UNICODE }
    }

    /// Moves what is finished to `out`, and says how many lines it was.
    pub(super) fn drain_into(&mut self, out: &mut Vec<u8>) -> u64 {
        out.extend_from_slice(self.text.as_bytes());
        self.text.clear();
        std::mem::take(&mut self.lines)
    }

    /// Begins a line.
    pub(super) fn begin(&mut self) {
        (self.column, self.padding) = (0, 0);
        let gutter = self.signs().gutter;
        self.sign(FAINT, gutter);
        self.space(1);
    }

    /// Begins a line of a continued block.
    pub(super) fn begin_at(&mut self, column: usize) {
        self.begin();
        self.pad_to(column);
    }

    /// Begins a line that goes on with the detail of the one before.
    pub(super) fn begin_detail(&mut self) {
        self.begin_at(self.comfortable(DETAIL));
    }

    /// A column, or one further left when too little would be left of the line.
    fn comfortable(&self, column: usize) -> usize {
        match self.options.width {
            Some(width) if width < column + COMFORTABLE => column.min(BLOCK + TIME + 1),
            _ => column,
        }
    }

    /// Begins a line of the timeline, up to its sign.
    pub(super) fn begin_event(&mut self, elapsed: u64, who: Option<(u32, &str)>) {
        self.begin();
        let time = milliseconds(elapsed);
        self.space(TIME.saturating_sub(time.len()));
        self.put(FAINT, &time);
        self.space(1);
        if let Some((pid, name)) = who {
            let pid_text = pid.to_string();
            self.space(PID.saturating_sub(pid_text.len()));
            self.put(FAINT, &pid_text);
            self.space(1);
            let name = self.shorten(&escape::show(name, self.options.ascii), NAME);
            let again = self.last.as_ref().is_some_and(|last| last.0 == pid && last.1 == name);
            self.put(if again { FAINT } else { PLAIN }, &name);
            if !again {
                self.last = Some((pid, name));
            }
        }
        self.pad_to(SIGN);
    }

    /// The sign and the word of a timeline line.
    pub(super) fn word(&mut self, sign_style: Style, sign: &str, style: Style, word: &str) {
        let start = self.column;
        self.sign(sign_style, sign);
        self.space(1);
        match self.options.width {
            Some(_) => {
                let shown = self.shorten(&escape::show(word, self.options.ascii), 2 * WORD);
                self.column += escape::width(&shown);
                self.styled(style, &shown);
            }
            None => self.put(style, word),
        }
        let end = start + 2 + WORD;
        if self.column > end {
            self.space(1);
        }
        self.pad_to(end + 1);
    }

    /// Ends the line; nothing hangs over at its end.
    pub(super) fn end(&mut self) {
        self.padding = 0;
        self.parted = false;
        self.text.push('\n');
        self.lines += 1;
    }

    /// A line with nothing on it, unless the last one is such a line.
    pub(super) fn blank(&mut self) {
        if !self.parted {
            self.begin();
            self.end();
            self.parted = true;
        }
    }

    /// One of our own signs, which are what they are in either character set.
    pub(super) fn sign(&mut self, style: Style, sign: &str) {
        self.styled(style, sign);
        self.column += escape::width(sign);
    }

    /// Text, escaped.
    pub(super) fn put(&mut self, style: Style, text: &str) {
        let shown = escape::show(text, self.options.ascii);
        self.styled(style, &shown);
        self.column += escape::width(&shown);
    }

    /// Text that may be longer than the line: shortened in its middle when there is a width.
    pub(super) fn put_short(&mut self, style: Style, text: &str) {
        let shown = escape::show(text, self.options.ascii);
        let room = self.room().unwrap_or(usize::MAX).max(LEAST);
        let short = self.shorten(&shown, room);
        self.column += escape::width(&short);
        self.styled(style, &short);
    }

    /// Text that is continued on further lines when there is a width and it is longer.
    pub(super) fn put_wrapped(&mut self, style: Style, text: &str) {
        let shown = escape::show(text, self.options.ascii);
        let mut rest = &*shown;
        let hanging = self.comfortable(self.anchor);
        while let Some(room) = self.room() {
            let room = room.max(LEAST);
            if escape::width(rest) <= room {
                break;
            }
            let (piece, more) = split(rest, room);
            self.styled(style, piece);
            self.end();
            self.begin_at(hanging);
            rest = more;
        }
        self.styled(style, rest);
        self.column += escape::width(rest);
    }

    /// Columns that are left in this line, where there is a width.
    pub(super) fn room(&self) -> Option<usize> {
        self.options.width.map(|width| width.saturating_sub(self.column))
    }

    pub(super) fn space(&mut self, columns: usize) {
        self.padding += columns;
        self.column += columns;
    }

    pub(super) fn pad_to(&mut self, column: usize) {
        self.space(column.saturating_sub(self.column));
        self.anchor = self.column;
    }

    fn styled(&mut self, style: Style, shown: &str) {
        use std::fmt::Write as _;
        if shown.is_empty() {
            return;
        }
        self.text.extend(std::iter::repeat_n(' ', std::mem::take(&mut self.padding)));
        if self.options.colour && style != PLAIN {
            // Writing to a String cannot fail.
            let _ = write!(self.text, "{style}{shown}{style:#}");
        } else {
            self.text.push_str(shown);
        }
    }

    /// Leaves out the middle; of a path the end says most.
    fn shorten(&self, shown: &str, room: usize) -> String {
        if escape::width(shown) <= room {
            return shown.to_owned();
        }
        let ellipsis = self.signs().ellipsis;
        let left = room.saturating_sub(escape::width(ellipsis));
        let head = fitting(shown.chars(), left / 3);
        let tail = fitting(shown.chars().rev(), left - left / 3);
        let start: String = shown.chars().take(head).collect();
        let end: String = shown.chars().skip(shown.chars().count() - tail).collect();
        format!("{start}{ellipsis}{end}")
    }
}

/// How many characters fit.
fn fitting(chars: impl Iterator<Item = char>, room: usize) -> usize {
    let mut used = 0;
    let mut utf8 = [0; 4];
    chars
        .take_while(|c| {
            used += escape::width(c.encode_utf8(&mut utf8));
            used <= room
        })
        .count()
}

/// The part of a text that fits, up to a space where there is one, and what remains.
fn split(shown: &str, room: usize) -> (&str, &str) {
    let fits: usize = shown.chars().take(fitting(shown.chars(), room).max(1)).map(char::len_utf8).sum();
    let at = match shown[..fits].rfind(' ') {
        _ if shown[fits..].starts_with(' ') => fits,
        Some(space) if space > 0 => space,
        _ => fits,
    };
    (shown[..at].trim_end_matches(' '), shown[at..].trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces_and_long_words_where_they_must() {
        assert_eq!(split("one two three", 7), ("one two", "three"));
        assert_eq!(split("one two three", 8), ("one two", "three"));
        assert_eq!(split("onetwothree four", 4), ("onet", "wothree four"));
        assert_eq!(split("日本語", 4), ("日本", "語"));
        assert_eq!(split("日", 1), ("日", ""));
    }

    #[test]
    fn the_middle_is_left_out() {
        let paper = Paper::new(Options::default());
        assert_eq!(paper.shorten("/usr/lib/x86_64-linux-gnu/libc.so.6", 20), "/usr/l…gnu/libc.so.6");
        assert_eq!(paper.shorten("short", 5), "short");
        assert_eq!(paper.shorten("日本語日本語", 5), "…語");
        let paper = Paper::new(Options { ascii: true, ..Options::default() });
        assert_eq!(paper.shorten("/usr/lib/x86_64-linux-gnu/libc.so.6", 20), "/usr/...nu/libc.so.6");
    }
}
