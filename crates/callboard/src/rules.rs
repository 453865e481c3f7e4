//! `callboard rules`: what drivers are held to, and the page of each rule.

use std::io::{Write, stdout};

use callboard::exit;
use kernel::rule::{RULES, Rule, by_id};
use serde::Serialize;

use crate::args::{Listing, Rules};
use crate::{Failure, Outcome, json, written};

/// A rule as programs read it.
#[derive(Serialize)]
struct Entry {
    id: &'static str,
    severity: &'static str,
    title: &'static str,
    /// Its page, where the rule was asked for by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<&'static str>,
}

impl Entry {
    fn of(rule: &Rule, with_page: bool) -> Self {
        let page = with_page.then_some(rule.page);
        Self { id: rule.id, severity: rule.severity.word(), title: rule.title, page }
    }
}

/// Lists all rules, or shows the pages of some.
pub(crate) fn rules(arguments: &Rules) -> Outcome {
    let asked: Vec<&Rule> = arguments.rules.iter().map(|id| find(id)).collect::<Result<_, _>>()?;
    let in_full = !asked.is_empty();
    let shown = if in_full { &asked } else { RULES };
    match arguments.format {
        Listing::Json => {
            let entries: Vec<_> = shown.iter().map(|rule| Entry::of(rule, in_full)).collect();
            return json(&entries);
        }
        Listing::Human if in_full => {
            let pages: Vec<_> = shown.iter().map(|rule| rule.page).collect();
            write!(stdout(), "{}", pages.join("\n"))
        }
        Listing::Human => table(shown),
    }
    .map_err(written)?;
    Ok(exit::SUCCESS)
}

fn find(id: &str) -> Result<&'static Rule, Failure> {
    by_id(id).or_else(|| by_id(&canonical(id))).ok_or_else(|| {
        let known: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
        Failure::new(exit::USAGE, format_args!("there is no rule {id}; there are {}", known.join(", ")))
    })
}

/// An id as it is written: `L-06` for `l6`.
fn canonical(id: &str) -> String {
    let letters = id.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &id[letters.len()..];
    format!("{}-{digits:0>2}", letters.trim_end_matches('-').to_uppercase())
}

fn table(rules: &[&Rule]) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    let bold = anstyle::Style::new().bold();
    let faint = anstyle::Style::new().dimmed();
    for rule in rules {
        let severity = rule.severity.word();
        writeln!(out, "{bold}{:7}{bold:#}  {faint}{severity:7}{faint:#}  {}", rule.id, rule.title)?;
    }
    Ok(())
}
