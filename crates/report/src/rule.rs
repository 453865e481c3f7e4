//! What reports say of the rules that drivers are held to.

use event::Severity;

/// A rule, as reports explain it. The catalogue is the caller's: reports know no kernel.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its id: `L-06`.
    pub id: &'static str,
    /// How bad it is to break it, if nothing more is known.
    pub severity: Severity,
    /// What a driver has to do, in a sentence.
    pub title: &'static str,
    /// Its page, in Markdown.
    pub page: &'static str,
}

impl Rule {
    /// A section of its page, as it is written there.
    pub(crate) fn section(&self, heading: &str) -> Option<&'static str> {
        let (_, behind) = self.page.split_once(&format!("\n## {heading}\n"))?;
        let section = behind.split_once("\n## ").map_or(behind, |(section, _)| section);
        Some(section.trim()).filter(|section| !section.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let page = "# L-99: x\n\n## Why\n\nSo that\nit works.\n\n## What to do\n\nThis:\n\n```c\nx();\n```\n\n## Empty\n";
        let rule = Rule { id: "L-99", severity: Severity::Error, title: "x", page };
        assert_eq!(rule.section("Why"), Some("So that\nit works."));
        assert_eq!(rule.section("What to do"), Some("This:\n\n```c\nx();\n```"));
        assert_eq!((rule.section("Empty"), rule.section("Drivers")), (None, None));
    }
}
