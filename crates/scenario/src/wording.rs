//! What texts of a file have to look like: paths of images, rules, lines of notices.

use crate::diff::{ANY_LINES, like};
use crate::suggest;

/// What is wrong, and what to do.
type Wrong = (String, String);

/// What notices are of, as their lines begin behind the driver.
const VERBS: [&str; 4] = ["create", "exit", "thread", "image"];

/// Whether a path is one that Windows gives to a driver.
pub(crate) fn path(path: &str) -> Option<Wrong> {
    if path.chars().any(char::is_control) {
        let help = "put it into single quotes: within double quotes `\\t` is a tab, and `\\n` ends a line";
        return Some(("there is a control character in this path".into(), help.into()));
    }
    if path.contains('/') {
        let help = format!("use `\\`, within single quotes: '{}'", path.replace('/', "\\"));
        return Some(("Windows never gives a path with `/`".into(), help));
    }
    // `\\server\share` and `\\?\` begin with two.
    if path.strip_prefix(r"\\").unwrap_or(path).contains(r"\\") {
        let help = "single quotes need no doubling: each `\\` is written once";
        return Some(("Windows never gives a path with `\\\\` in it".into(), help.into()));
    }
    None
}

/// Whether an expected finding is of a rule that there is.
pub(crate) fn rule(wanted: &str) -> Option<Wrong> {
    let known = || kernel::rule::RULES.iter().map(|rule| rule.id);
    if known().any(|id| like(wanted, id)) {
        return None;
    }
    let help = match suggest::closest(wanted, known()) {
        Some(meant) => format!("did you mean `{meant}`? `callboard rules` lists them all"),
        None => "`callboard rules` lists them all; `*` stands for any text".into(),
    };
    Some((format!("there is no rule {wanted}"), help))
}

/// Whether an expected line can be that of a notice.
pub(crate) fn notice(line: &str, drivers: &[String]) -> Option<Wrong> {
    if line == ANY_LINES {
        return None;
    }
    let Some((who, what)) = line.split_once(": ") else {
        if line.contains('*') {
            return None;
        }
        let driver = drivers.first().map_or("edr", String::as_str);
        let help = format!(
            "a line begins with the driver: `{driver}: create NAME`; `...` is any lines, `*` any text"
        );
        return Some(("no notice has such a line".into(), help));
    };
    // The second routine of a driver is `edr#2`.
    let driver = who.split_once('#').map_or(who, |(driver, _)| driver);
    if !drivers.iter().any(|known| like(driver, known)) {
        let known: Vec<_> = drivers.iter().map(String::as_str).collect();
        let help = match suggest::closest(driver, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if known.is_empty() => "add it as a [[driver]]".into(),
            None => there_is(&known),
        };
        return Some((format!("there is no driver `{driver}`"), help));
    }
    let verb = what.split(' ').next().unwrap_or_default();
    // What no event of the scenario tells is `something`.
    if verb.contains('*') || VERBS.contains(&verb) || verb == "something" {
        return None;
    }
    let help = match suggest::closest(verb, VERBS.into_iter()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => there_is(&VERBS),
    };
    Some((format!("no notice is of `{verb}`"), help))
}

/// All that there is: ``there is only `a` ``.
pub(crate) fn there_is(known: &[&str]) -> String {
    match known {
        [] => "there is none".into(),
        [one] => format!("there is only `{one}`"),
        many => format!("there are `{}`", many.join("`, `")),
    }
}
