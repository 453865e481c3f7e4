//! Expected lines against actual ones.

use similar::{Algorithm, DiffOp};

use crate::outcome::DiffLine;

/// The line of an expectation that stands for any number of lines.
pub(crate) const ANY_LINES: &str = "...";

/// Whether text is like a pattern in which `*` stands for any text.
pub(crate) fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut rest = rest;
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether actual lines are the expected ones, in order; `...` stands for any number of lines.
pub(crate) fn all_like(expected: &[String], actual: &[String]) -> bool {
    // Which prefixes of `actual` the expectations so far can stand for.
    let mut reached = vec![false; actual.len() + 1];
    reached[0] = true;
    for pattern in expected {
        let mut next = vec![false; actual.len() + 1];
        if pattern == ANY_LINES {
            let mut any = false;
            for (next, reached) in next.iter_mut().zip(&reached) {
                any |= *reached;
                *next = any;
            }
        } else {
            for (at, line) in actual.iter().enumerate() {
                next[at + 1] = reached[at] && like(pattern, line);
            }
        }
        reached = next;
    }
    reached.last().copied().unwrap_or_default()
}

/// The difference. With `loose`, other lines may stand between the expected ones.
pub(crate) fn lines(
    expected: &[String],
    actual: &[String],
    loose: bool,
    matches: impl Fn(&str, &str) -> bool,
) -> Vec<DiffLine> {
    let loose = loose || expected.iter().any(|line| line == ANY_LINES);
    let wanted: Vec<&str> = expected.iter().map(String::as_str).filter(|line| *line != ANY_LINES).collect();
    // A line that is like an expected one is compared as that.
    let keys: Vec<&str> = actual
        .iter()
        .map(|line| wanted.iter().copied().find(|wanted| matches(wanted, line)).unwrap_or(line))
        .collect();
    let mut difference = Vec::new();
    for op in similar::capture_diff_slices(Algorithm::Myers, &wanted, &keys) {
        let (old, new) = (op.old_range(), op.new_range());
        let same = matches!(op, DiffOp::Equal { .. });
        if !same {
            difference.extend(wanted[old].iter().map(|line| DiffLine::Missing((*line).to_owned())));
        }
        difference.extend(actual[new].iter().map(|line| {
            if same || loose { DiffLine::Same(line.clone()) } else { DiffLine::Unexpected(line.clone()) }
        }));
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_star_is_any_text() {
        assert!(like("a*c", "abc") && like("a*c", "ac") && like("*", "") && like("*b*", "abc"));
        assert!(!like("a*c", "abcd") && !like("a", "ab") && !like("ab*ba", "aba"));
        assert!(like("abc", "abc"));
    }

    #[test]
    fn three_dots_are_any_lines() {
        let actual = owned(&["create a", "image x", "image y", "exit a"]);
        assert!(all_like(&owned(&["create a", "...", "exit *"]), &actual));
        assert!(all_like(
            &owned(&["...", "create a", "image *", "image *", "...", "exit a", "..."]),
            &actual
        ));
        assert!(!all_like(&owned(&["create a", "exit a"]), &actual));
        assert!(!all_like(&owned(&["...", "exit b"]), &actual));
        assert!(all_like(&[], &[]) && !all_like(&[], &actual));
    }

    #[test]
    fn a_difference_says_what_is_missing_and_what_is_not_expected() {
        let (expected, actual) = (owned(&["a", "b*", "c"]), owned(&["a", "bb", "d"]));
        let difference = lines(&expected, &actual, false, like);
        let text = |text: &str| text.to_owned();
        assert_eq!(
            difference,
            [
                DiffLine::Same(text("a")),
                DiffLine::Same(text("bb")),
                DiffLine::Missing(text("c")),
                DiffLine::Unexpected(text("d"))
            ]
        );
    }
}
