//! What is wrong with a scenario file, with the place where it stands.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use event::terminal::plain;

use crate::suggest;

/// One thing that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which bytes of the file.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Problem {
    /// Something wrong at a place.
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: plain(&message.into()), help: None }
    }

    /// With what to do.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(plain(&help.into()));
        self
    }

    /// What serde says, with advice where there is some.
    pub(crate) fn from_toml(error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or_default();
        // Our own messages have their advice on a second line.
        let (message, help) = match error.message().split_once('\n') {
            Some((message, help)) => (message, Some(help.to_owned())),
            None => (error.message(), None),
        };
        let help = help.or_else(|| about_names(message)).or_else(|| about_escapes(message));
        let message = match message.split_once(", expected ") {
            Some((before, _)) if message.starts_with("unknown field") => before,
            _ => message,
        };
        // The file's word for what serde calls a field.
        let message = message.replace("unknown field", "unknown key").replace("missing field", "missing key");
        Self { span, message: plain(&message), help: help.map(|help| plain(&help)) }
    }
}

/// Advice from a message like "unknown field `x`, expected one of `a`, `b`".
fn about_names(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field ").or_else(|| message.strip_prefix("unknown variant "))?;
    let mut words = rest.split('`').skip(1).step_by(2);
    let wrong = words.next()?;
    let known: Vec<_> = words.collect();
    if known.is_empty() {
        return None;
    }
    Some(match suggest::closest(wrong, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", known.join(", ")),
    })
}

/// Advice where a backslash was not meant as the beginning of an escape.
fn about_escapes(message: &str) -> Option<String> {
    let about = message.contains("escape");
    about.then(|| "put it into single quotes, where a backslash is only a backslash: 'C:\\a.exe'".to_owned())
}

/// A file that is no scenario.
#[derive(Clone, Debug)]
pub struct BadFile {
    /// The file.
    pub path: PathBuf,
    /// What stands in it.
    pub text: String,
    /// What is wrong with it, at least one thing.
    pub problems: Vec<Problem>,
}

impl std::error::Error for BadFile {}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let place = Place::of(&self.text, &problem.span);
            writeln!(f, "{}:{place}: {}", self.path.display(), problem.message)?;
            place.show(&self.text, f)?;
            if let Some(help) = &problem.help {
                writeln!(f, "  help: {help}")?;
            }
        }
        Ok(())
    }
}

/// A place in a file, as people count: from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// How many characters of the line are meant, at least 1.
    pub width: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Lines longer than this are shown around the place only.
const LONGEST: usize = 110;

impl Place {
    /// Where bytes of a text are.
    pub fn of(text: &str, span: &Range<usize>) -> Self {
        let start = floor(text, span.start);
        let end = floor(text, span.end.max(span.start));
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let meant = text[start..end].lines().next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: meant.trim_end().chars().count().max(1),
        }
    }

    /// Writes the line with a mark below.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn show(&self, text: &str, f: &mut dyn fmt::Write) -> fmt::Result {
        let line: Vec<char> = text
            .split('\n')
            .nth(self.line - 1)
            .unwrap_or_default()
            .trim_end()
            .chars()
            // One column each, and nothing that a terminal would obey.
            .map(|c| {
                if c == '\t' {
                    ' '
                } else if c.is_control() {
                    '\u{FFFD}'
                } else {
                    c
                }
            })
            .collect();
        let skipped = if line.len() > LONGEST { (self.column - 1).saturating_sub(LONGEST / 2) } else { 0 };
        let shown: String = line.iter().skip(skipped).take(LONGEST).collect();
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let column = self.column - 1 - skipped;
        let width = self.width.min(LONGEST.saturating_sub(column)).max(1);
        writeln!(f, " {margin} |")?;
        writeln!(f, " {number} | {shown}")?;
        writeln!(f, " {margin} | {}{}", " ".repeat(column), "^".repeat(width))
    }
}

/// The start of the character that a byte belongs to.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_as_people_do() {
        let text = "a = 1\nbé = 'x'\n";
        let place = Place::of(text, &(11..14));
        assert_eq!((place.line, place.column, place.width), (2, 5, 3));
        let place = Place::of(text, &(900..1000));
        assert_eq!((place.line, place.column), (3, 1));
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{}X{}", "a".repeat(300), "b".repeat(300));
        let mut shown = String::new();
        Place::of(&text, &(300..301)).show(&text, &mut shown).unwrap();
        let lines: Vec<_> = shown.lines().collect();
        let mark = lines[2].find('^').unwrap();
        assert_eq!(lines[1].as_bytes()[mark], b'X');
    }
}
