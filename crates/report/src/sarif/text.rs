//! URIs and messages that mean only what they say, whatever drivers and files are called.

use std::fmt::Write as _;

use serde::Serialize;

/// A message for people.
#[derive(Clone, Serialize)]
pub(super) struct Message {
    text: String,
}

impl From<&str> for Message {
    /// Neither `[a](b)`, a link in SARIF, nor `{0}`, a placeholder, is left to names that look like them.
    fn from(text: &str) -> Self {
        let mut out = String::with_capacity(text.len());
        let links = text.contains("](");
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            match c {
                '[' | ']' if links => out.push('\\'),
                '{' if characters.peek().is_some_and(char::is_ascii_digit) => out.push('{'),
                _ => {}
            }
            out.push(c);
        }
        Self { text: out }
    }
}

/// The path of a file as a URI: absolute ones with the scheme `file`, others relative as they are.
pub(super) fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len() + 8);
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            // Writing to a String cannot fail.
            _ => drop(write!(uri, "%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_uri_whatever_is_in_it() {
        assert_eq!(uri("/home/ann/a driver.sys"), "file:///home/ann/a%20driver.sys");
        assert_eq!(uri("target/late.sys"), "target/late.sys");
        assert_eq!(uri("javascript:x?#\n\u{e9}"), "javascript%3Ax%3F%23%0A%C3%A9");
    }

    #[test]
    fn a_message_has_neither_links_nor_placeholders() {
        let text = |text: &str| Message::from(text).text;
        assert_eq!(text("see [here](http://x) and {0}"), r"see \[here\](http://x) and {{0}");
        assert_eq!(text(r"C:\a[1] {guid}"), r"C:\a[1] {guid}");
    }
}
