//! The page around the rows: its head, and what stands at its end for those without scripts.
//!
//! The style and the script come first and the rows after them, so that a page which was cut short still opens. The
//! policy names both by their hashes: nothing else can run or be loaded, whatever a driver printed.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use super::rows::Rows;
use crate::escape::show;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// One script of several files, which see each other's names and leave none behind.
const SCRIPT: &str = concat!(
    "(() => {\n'use strict';\n",
    include_str!("page/words.js"),
    include_str!("page/read.js"),
    include_str!("page/tree.js"),
    include_str!("page/bars.js"),
    include_str!("page/axis.js"),
    include_str!("page/details.js"),
    include_str!("page/search.js"),
    include_str!("page/parts.js"),
    include_str!("page/keys.js"),
    "})();\n"
);

/// Where the rows go.
const ROWS: &str = "<!-- rows -->\n";
/// Where the summary without a script goes.
const SUMMARY: &str = "<!-- summary -->\n";

/// What begins a block of rows, and what ends it.
pub(super) const BLOCK_BEGIN: &str = "<script type=\"application/json\" class=\"rows\">\n";
pub(super) const BLOCK_END: &str = "</script>\n";

/// The page before the rows.
pub(super) fn head() -> &'static str {
    static HEAD: LazyLock<String> = LazyLock::new(|| {
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
            hash(STYLE),
            hash(SCRIPT)
        );
        let (head, _) = PAGE.split_once(ROWS).unwrap_or((PAGE, ""));
        head.replace("{policy}", &policy).replace("{style}", STYLE).replace("{script}", SCRIPT)
    });
    &HEAD
}

/// The page behind the rows.
pub(super) fn tail(rows: &Rows) -> String {
    let (_, tail) = PAGE.split_once(ROWS).unwrap_or_default();
    let (before, after) = tail.split_once(SUMMARY).unwrap_or((tail, ""));
    format!("{before}{}{after}", summary(rows))
}

/// How a policy calls a text.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", base64(&Sha256::digest(text)))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place) & 63) as usize;
            out.push(if place <= group.len() { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    out
}

/// A text in which nothing is markup.
pub(super) fn markup(text: &str) -> String {
    let mut out = String::new();
    for c in show(text, false).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// What it came to, for those without scripts.
fn summary(rows: &Rows) -> String {
    let numbers = rows.totals.numbers();
    let of =
        |count: u64, one: &str, several: &str| format!("{count} {}", if count == 1 { one } else { several });
    let counts = [
        of(numbers.events, "event", "events"),
        of(numbers.created, "process created", "processes created"),
        of(numbers.refused, "refused", "refused"),
        of(numbers.errors + numbers.warnings, "finding", "findings"),
        of(numbers.stops, "stop", "stops"),
        of(numbers.leaks, "leak", "leaks"),
    ];
    let mut out = format!("<h1>{}</h1>\n<p>{}.</p>\n", markup(&rows.title), counts.join(", "));
    if !rows.told.is_empty() {
        out.push_str("<ul>\n");
        for sentence in &rows.told {
            out.push_str(&format!("<li>{}</li>\n", markup(sentence)));
        }
        out.push_str("</ul>\n");
    }
    let told = rows.told.len() as u64;
    let all = numbers.refused + numbers.errors + numbers.warnings + numbers.stops + numbers.leaks;
    if all > told {
        out.push_str(&format!("<p>The first {told} of what went wrong are listed.</p>\n"));
    }
    out.push_str("<p>The process tree needs JavaScript. This file loads nothing from anywhere.</p>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_the_page_is_there_and_filled() {
        assert_eq!(PAGE.matches(ROWS).count(), 1);
        assert_eq!(PAGE.split_once(ROWS).unwrap().1.matches(SUMMARY).count(), 1);
        assert!(["{policy}", "{style}", "{script}"].iter().all(|place| PAGE.matches(place).count() == 1));
        assert!(!["{policy}", "{style}", "{script}"].iter().any(|place| head().contains(place)));
        assert!(!SCRIPT.contains("</script") && !SCRIPT.contains("<!--") && !STYLE.contains("</style"));
    }

    #[test]
    fn nothing_is_loaded_from_anywhere() {
        for part in [PAGE, STYLE, SCRIPT] {
            assert!(
                !["http:", "https:", "//cdn", "@import", "src=", "url("]
                    .iter()
                    .any(|load| part.contains(load))
            );
        }
        assert!(!SCRIPT.contains("innerHTML"), "texts are only ever text");
    }

    #[test]
    fn hashes_are_as_policies_write_them() {
        assert_eq!(hash(""), "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='");
        assert_eq!(
            (base64(b"M"), base64(b"Ma"), base64(b"Man")),
            ("TQ==".into(), "TWE=".into(), "TWFu".into())
        );
    }

    #[test]
    fn markup_in_a_text_is_text() {
        assert_eq!(markup("<b>'\"&\u{202e}\n"), r"&lt;b&gt;&#39;&quot;&amp;\u{202e}\n");
    }
}
