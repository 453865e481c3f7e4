//! Wildcard matching of counted UTF-16, in constant stack and without recursion.

use crate::nt;

const STAR: u16 = b'*' as u16;
const QUESTION: u16 = b'?' as u16;

/// Whether all of `text` matches `pattern`; the rules are those of [`crate::NtStr::matches`].
///
/// Greedy with one point of return: when a literal fails, the latest `*` takes one unit more. That is
/// enough, because an earlier `*` could only give away text that the latest one may take as well.
pub(crate) fn matches(text: &[u16], pattern: &[u16]) -> bool {
    let (mut t, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(&STAR) => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&unit) if unit == QUESTION || same(unit, text[t]) => {
                t += 1;
                p += 1;
            }
            _ => match retry {
                Some((after_star, start)) => {
                    retry = Some((after_star, start + 1));
                    p = after_star;
                    t = start + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&unit| unit == STAR)
}

fn same(a: u16, b: u16) -> bool {
    a == b || fold(a) == fold(b)
}

fn fold(unit: u16) -> u16 {
    match unit {
        0x2F => 0x5C,
        0x61..=0x7A => unit - 0x20,
        0..=0x7F => unit,
        // SAFETY: the routine only reads its argument and NT's case table, which is there for the
        // life of the system.
        _ => unsafe { nt::RtlUpcaseUnicodeChar(unit) },
    }
}

#[cfg(test)]
mod tests {
    fn matches(text: &str, pattern: &str) -> bool {
        let units = |s: &str| s.encode_utf16().collect::<Vec<_>>();
        super::matches(&units(text), &units(pattern))
    }

    #[test]
    fn the_readme_example() {
        assert!(matches(r"\??\C:\usr\bin\uname", "*/uname"));
        assert!(!matches(r"\??\C:\usr\bin\uname2", "*/uname"));
        assert!(!matches(r"\??\C:\usr\bin\xuname", "*/uname"));
        assert!(!matches("uname", "*/uname"));
    }

    #[test]
    fn case_and_slashes() {
        assert!(matches(r"\Device\HarddiskVolume1\Windows\NOTEPAD.EXE", "*/windows/notepad.exe"));
        assert!(matches("/usr/bin/É", r"*\bin\é"));
        assert!(!matches("a", "b"));
    }

    #[test]
    fn stars_and_question_marks() {
        assert!(matches("", ""));
        assert!(matches("", "*"));
        assert!(matches("", "**"));
        assert!(!matches("", "?"));
        assert!(!matches("a", ""));
        assert!(matches("abc", "a?c"));
        assert!(matches("abc", "*"));
        assert!(matches("aXbXc", "a*b*c"));
        assert!(!matches("aXbXd", "a*b*c"));
        assert!(matches("aab", "*ab"));
        assert!(matches("mississippi", "m*iss*ppi"));
        assert!(!matches("mississippi", "m*iss*ppx"));
    }

    #[test]
    fn hostile_patterns_stay_quadratic() {
        let text = "a".repeat(4000);
        assert!(!matches(&text, &format!("{}b", "*a".repeat(200))));
    }

    /// Against a plain recursive definition, over all short strings of a small alphabet.
    #[test]
    fn agrees_with_the_definition() {
        fn define(t: &[u8], p: &[u8]) -> bool {
            match p.split_first() {
                None => t.is_empty(),
                Some((b'*', rest)) => (0..=t.len()).any(|n| define(&t[n..], rest)),
                Some((b'?', rest)) => !t.is_empty() && define(&t[1..], rest),
                Some((c, rest)) => t.first() == Some(c) && define(&t[1..], rest),
            }
        }
        fn words(alphabet: &[u8], longest: usize) -> Vec<Vec<u8>> {
            let mut all = vec![vec![]];
            let mut last = all.clone();
            for _ in 0..longest {
                last = last
                    .iter()
                    .flat_map(|w: &Vec<u8>| alphabet.iter().map(move |&c| [w.as_slice(), &[c]].concat()))
                    .collect();
                all.extend(last.iter().cloned());
            }
            all
        }
        for text in words(b"AB", 5) {
            for pattern in words(b"AB*?", 4) {
                let (t, p) = (core::str::from_utf8(&text).unwrap(), core::str::from_utf8(&pattern).unwrap());
                assert_eq!(matches(t, p), define(&text, &pattern), "{t} against {p}");
            }
        }
    }
}
