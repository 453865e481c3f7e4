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
}

/// The rule with that id, whatever the case of its letters.
pub fn by_id(id: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.id.eq_ignore_ascii_case(id))
}
