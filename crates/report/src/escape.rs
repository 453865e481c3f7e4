//! What a driver prints cannot control a terminal.
//!
//! Names and lines come from drivers and file systems that nobody vouches for. Characters which move a
//! cursor, start an escape sequence, end a line, reorder text or cannot be seen are shown as escapes.
//! A backslash stays as it is, because NT paths are full of them: the shown form is for reading, and the
//! exact one is in the JSON.

use std::borrow::Cow;
use std::fmt::Write as _;

pub(crate) use event::terminal::is_active;
use unicode_width::UnicodeWidthChar as _;

/// Calls `put` with each character's shown form; with `ascii`, everything that is not ASCII is shown as
/// an escape too.
fn shown(text: &str, ascii: bool, mut put: impl FnMut(&str)) {
    let mut form = String::new();
    for c in text.chars() {
        form.clear();
        // Writing to a String cannot fail.
        let _ = match c {
            '\n' => form.write_str("\\n"),
            '\r' => form.write_str("\\r"),
            '\t' => form.write_str("\\t"),
            '\0'..='\x1f' | '\x7f' => write!(form, "\\x{:02x}", u32::from(c)),
            c if is_active(c) || (ascii && !c.is_ascii()) => write!(form, "\\u{{{:x}}}", u32::from(c)),
            c => {
                let mut utf8 = [0; 4];
                put(c.encode_utf8(&mut utf8));
                continue;
            }
        };
        put(&form);
    }
}

/// Whether a text is shown as it is in either character set, as nearly all are.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// The shown form as a string.
pub(crate) fn show(text: &str, ascii: bool) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    shown(text, ascii, |form| out.push_str(form));
    Cow::Owned(out)
}

/// The width of a shown form, in columns.
pub(crate) fn width(shown: &str) -> usize {
    if is_plain(shown) { shown.len() } else { shown.chars().map(|c| c.width().unwrap_or(0)).sum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_active_is_left() {
        let hostile = "a\x1b[2J\u{9b}31m\r\n\t\u{202e}\u{7f}\0é";
        assert_eq!(show(hostile, false), r"a\x1b[2J\u{9b}31m\r\n\t\u{202e}\x7f\x00é");
        assert_eq!(show("é…", true), r"\u{e9}\u{2026}");
        for c in (0..0x11_0000).filter_map(char::from_u32) {
            assert!(!show(c.encode_utf8(&mut [0; 4]), false).chars().any(is_active), "{c:?}");
            assert!(
                show(c.encode_utf8(&mut [0; 4]), true).chars().all(|c| (' '..='~').contains(&c)),
                "{c:?}"
            );
        }
    }

    #[test]
    fn nt_paths_stay_legible() {
        assert_eq!(show(r"\Device\HarddiskVolume1\usr\bin\ls", false), r"\Device\HarddiskVolume1\usr\bin\ls");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(width("日本"), 4);
        assert_eq!(width(&show("日本\n", false)), 6);
        assert_eq!(width("e\u{301}"), 1);
    }
}
