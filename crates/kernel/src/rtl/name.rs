//! `FsRtl…`: file names and patterns.

use export_macro::export;
use nt_abi::UNICODE_STRING;

use super::case::upcase;
use super::unicode::{short, units};

/// `DOS_STAR`: any characters up to the last dot.
const DOS_STAR: u16 = b'<' as u16;
/// `DOS_QM`: one character, or none before a dot or at the end.
const DOS_QM: u16 = b'>' as u16;
/// `DOS_DOT`: a dot, or nothing at the end.
const DOS_DOT: u16 = b'"' as u16;
const STAR: u16 = b'*' as u16;
const QUESTION: u16 = b'?' as u16;
const DOT: u16 = b'.' as u16;

fn is_wild(unit: u16) -> bool {
    matches!(unit, DOS_STAR | DOS_QM | DOS_DOT | STAR | QUESTION)
}

/// Says whether a name has wildcards. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn FsRtlDoesNameContainWildCards(name: *const UNICODE_STRING) -> u8 {
    // SAFETY: the driver's string.
    u8::from(unsafe { units(name) }.iter().any(|&unit| is_wild(unit)))
}

/// Splits a name into its first element and the rest, which begins behind the backslash. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn FsRtlDissectName(
    path: UNICODE_STRING,
    first: *mut UNICODE_STRING,
    rest: *mut UNICODE_STRING,
) {
    const BACKSLASH: u16 = b'\\' as u16;
    // SAFETY: the driver's string.
    let text = unsafe { units(&raw const path) };
    let start = usize::from(text.first() == Some(&BACKSLASH));
    let end = text[start..].iter().position(|&unit| unit == BACKSLASH).map_or(text.len(), |at| start + at);
    let part = |from: usize, to: usize| {
        let bytes = short((to - from) * 2);
        UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: path.Buffer.wrapping_add(from) }
    };
    let behind = if end < text.len() { part(end + 1, text.len()) } else { UNICODE_STRING::default() };
    // SAFETY: the driver's strings.
    unsafe {
        first.write_unaligned(if text.is_empty() { UNICODE_STRING::default() } else { part(start, end) });
        rest.write_unaligned(behind);
    }
}

/// Says whether a name matches a pattern, whose letters are capitals when case is ignored. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn FsRtlIsNameInExpression(
    pattern: *const UNICODE_STRING,
    name: *const UNICODE_STRING,
    ignore_case: u8,
    _upcase_table: *const u16,
) -> u8 {
    // SAFETY: the driver's strings.
    let (pattern, name) = unsafe { (units(pattern), units(name)) };
    u8::from(matches(&pattern, &name, ignore_case != 0))
}

/// Whether a name matches: all states of the pattern at once, so that no pattern takes long.
pub(crate) fn matches(pattern: &[u16], name: &[u16], ignore_case: bool) -> bool {
    if pattern.is_empty() || name.is_empty() {
        return pattern.is_empty() && name.is_empty();
    }
    let last_dot = name.iter().rposition(|&unit| unit == DOT);
    // Which positions of the pattern can be reached before the next character.
    let mut states = vec![false; pattern.len() + 1];
    states[0] = true;
    for (index, &unit) in name.iter().enumerate() {
        skip_empty(pattern, &mut states, unit == DOT);
        let unit = if ignore_case { upcase(unit) } else { unit };
        let mut next = vec![false; pattern.len() + 1];
        for (at, &wanted) in pattern.iter().enumerate().filter(|&(at, _)| states[at]) {
            match wanted {
                STAR => next[at] = true,
                // It stops at the last dot, which what follows it in the pattern has to take; later it goes on.
                DOS_STAR if unit != DOT || last_dot != Some(index) => next[at] = true,
                DOS_STAR => {}
                QUESTION => next[at + 1] = true,
                DOS_QM if unit != DOT => next[at + 1] = true,
                DOS_QM => {}
                DOS_DOT => next[at + 1] |= unit == DOT,
                wanted => next[at + 1] |= wanted == unit,
            }
        }
        states = next;
    }
    skip_empty(pattern, &mut states, true);
    // At the end, a dot of DOS may be missing.
    for (at, &wanted) in pattern.iter().enumerate() {
        states[at + 1] |= states[at] && matches!(wanted, STAR | DOS_STAR | DOS_QM | DOS_DOT);
    }
    states[pattern.len()]
}

/// Adds the positions behind wildcards that take nothing.
fn skip_empty(pattern: &[u16], states: &mut [bool], before_dot_or_end: bool) {
    for (at, &wanted) in pattern.iter().enumerate() {
        let empty = matches!(wanted, STAR | DOS_STAR) || wanted == DOS_QM && before_dot_or_end;
        states[at + 1] |= states[at] && empty;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("*", "anything.txt", true),
            ("*.TXT", "a.b.txt", true),
            ("*.TXT", "a.txt.b", false),
            ("A?C", "abc", true),
            ("A?C", "ac", false),
            ("*\\SYSTEM32\\*", "\\windows\\system32\\ntdll.dll", true),
            ("<.TXT", "a.b.txt", true),
            ("<", "noext", true),
            ("A>>", "a", true),
            ("A>>.B", "ax.b", true),
            ("FILE\"", "file", true),
            ("FILE\"", "file.", true),
            ("FILE\"", "filex", false),
            ("ABC", "abcd", false),
            ("*A*A*A*A*A*B", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(matches(&wide(pattern), &wide(name), true), fits, "{pattern} {name}");
        }
        assert!(!matches(&wide("A"), &wide("a"), false));
    }

    #[test]
    fn a_path_is_taken_apart() {
        let text = wide("\\Device\\Disk\\x");
        let bytes = short(text.len() * 2);
        let mut rest =
            UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: text.as_ptr().cast_mut() };
        let (mut parts, mut first) = (Vec::new(), UNICODE_STRING::default());
        while rest.Length != 0 {
            // SAFETY: strings of the test.
            unsafe { FsRtlDissectName(rest, &raw mut first, &raw mut rest) };
            parts.push(crate::rtl::text_of(&first));
        }
        assert_eq!(parts, ["Device", "Disk", "x"]);
    }
}
