//! Runs the tests that rows refer to, and the in-driver suites among them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::suites::VARIABLE;
use crate::root::root;

/// Asked by this variable, tests that need tracing fail where it is not permitted: what was skipped proves nothing.
pub(crate) const REQUIRE_TRACING: &str = "CALLBOARD_REQUIRE_TRACING";

/// How each test went, by its name without modules. A name that several tests have is only well if all are.
pub(crate) type Outcomes = BTreeMap<String, bool>;

/// Runs the tests with these names. The suites leave their lines in `lines`.
pub(crate) fn run(names: &BTreeSet<&str>, lines: &Path) -> Result<Outcomes> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "test",
            "--workspace",
            "--exclude",
            "xtask",
            "--lib",
            "--bins",
            "--tests",
            "--no-fail-fast",
            "--",
        ])
        .args(names)
        .arg("conformance")
        .env(VARIABLE, lines)
        .env(REQUIRE_TRACING, "1")
        .current_dir(root())
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("running cargo test")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let outcomes = parse(&text);
    if outcomes.is_empty() {
        bail!("cargo test ran no test ({}):\n{text}", output.status);
    }
    Ok(outcomes)
}

fn parse(text: &str) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for line in text.lines() {
        let Some((test, outcome)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... "))
        else {
            continue;
        };
        let name = test.trim_end_matches(" - should panic").rsplit("::").next().unwrap_or(test);
        let well = outcome.trim() == "ok";
        outcomes.entry(name.to_owned()).and_modify(|all| *all &= well).or_insert(well);
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_from_the_harness() {
        let text =
            "running 3 tests\ntest a::one ... ok\ntest b::one ... FAILED\ntest two - should panic ... ok\n";
        let outcomes = parse(text);
        assert_eq!(outcomes, Outcomes::from([("one".into(), false), ("two".into(), true)]));
    }
}
