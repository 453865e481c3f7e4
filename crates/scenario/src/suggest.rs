//! "Did you mean …?"

/// How alike two words have to be for one to be taken for the other.
const ALIKE: f64 = 0.6;

/// The known word that is most like a wrong one, when one is much like it.
pub(crate) fn closest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    by_likeness(wrong, known).filter(|(alike, _)| *alike >= ALIKE).map(|(_, word)| word)
}

/// The line that is most like a wrong one, however little it is.
pub(crate) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    by_likeness(wrong, known).map(|(_, line)| line)
}

fn by_likeness<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<(f64, &'a str)> {
    let lower = wrong.to_lowercase();
    known.map(|word| (likeness(&lower, &word.to_lowercase()), word)).max_by(|(a, _), (b, _)| a.total_cmp(b))
}

fn likeness(wrong: &str, known: &str) -> f64 {
    let likeness = strsim::normalized_damerau_levenshtein(wrong, known);
    // Somebody who wrote half a word meant it, whatever its other half.
    if wrong.len() >= 3 && known.starts_with(wrong) {
        likeness.max(ALIKE + likeness / 10.0)
    } else {
        likeness
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_is_meant() {
        let known = ["create", "resume", "exit_thread"];
        assert_eq!(closest("creat", known.into_iter()), Some("create"));
        assert_eq!(closest("Exit-Thread", known.into_iter()), Some("exit_thread"));
        assert_eq!(closest("exit", known.into_iter()), Some("exit_thread"));
        assert_eq!(closest("banana", known.into_iter()), None);
    }
}
