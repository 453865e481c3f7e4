//! The rules that drivers are held to: one catalogue, and what is checked where a driver calls the kernel.
//!
//! A rule has an id, a severity and a page in `docs/rules`. Whoever finds one broken calls
//! [`Kernel::finding`](crate::Kernel) with its constant; there are no findings without a rule.

pub(crate) mod call;
mod catalogue;
pub(crate) mod category;
mod found;

pub use catalogue::RULES;
pub(crate) use catalogue::*;
pub(crate) use found::{State, report_repeated};

use event::Severity;

/// A rule that drivers can break.
#[derive(Debug)]
pub struct Rule {
    /// Its id, as records name it: `L-06`.
    pub id: &'static str,
    /// What a driver has to do or to leave, in one line.
    pub title: &'static str,
    /// How bad it is to break it, where the one who finds it does not know better.
    pub severity: Severity,
    /// Its page in `docs/rules`: why it is one, what Windows does, how it is found, what to do.
    pub page: &'static str,
}

/// The rule with that id, whatever the case of its letters.
pub fn by_id(id: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.id.eq_ignore_ascii_case(id))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_rule_has_its_page_and_every_page_its_rule() {
        for rule in RULES {
            let heading = format!("# {}: {}\n", rule.id, rule.title);
            assert!(rule.page.starts_with(&heading), "{}: {:?}", rule.id, rule.page.lines().next());
        }
        let pages = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rules")).unwrap();
        for page in pages {
            let name = page.unwrap().file_name().into_string().unwrap();
            let id = name.strip_suffix(".md").unwrap();
            assert!(id == "README" || by_id(id).is_some_and(|rule| rule.id == id), "{name}");
        }
    }
}
