//! What proves each requirement, and how it stands.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use super::row::{Row, Section};
use super::suites::{Checks, Outcome, PROFILES};
use super::tests::{Test, ids};
use super::trial::Outcomes;
use crate::mutate::list::{Mutation, Seen};

/// What proves one row.
#[derive(Default)]
pub(crate) struct Proof {
    /// Rust tests.
    pub(crate) tests: BTreeSet<Test>,
    /// Checks inside drivers: the file they are in, and what they say.
    pub(crate) checks: BTreeSet<(String, String)>,
    /// Outcomes of those checks, by index into [`PROFILES`].
    pub(crate) outcomes: [Option<Outcome>; PROFILES.len()],
    /// Mutations that were seen to turn it red, with the day.
    pub(crate) broken_by: BTreeMap<String, String>,
    failures: Vec<String>,
    /// Why there is no test.
    pub(crate) why_none: Option<String>,
}

impl Proof {
    /// Whether anything proves it.
    pub(crate) fn is_there(&self) -> bool {
        !self.tests.is_empty() || !self.checks.is_empty()
    }
}

/// What proves which row.
pub(crate) struct Evidence(BTreeMap<String, Proof>);

/// The names of all tests that prove a row.
pub(crate) fn proving<'a>(
    rows: impl Iterator<Item = &'a Row>,
    tests: &'a BTreeSet<Test>,
) -> Result<BTreeSet<&'a str>> {
    let mut known = BTreeSet::new();
    let mut proving = BTreeSet::new();
    for row in rows {
        known.insert(row.id.as_str());
        for name in &row.tests {
            if !tests.iter().any(|test| test.name == *name) {
                bail!("{}: there is no test {name}", row.id);
            }
            proving.insert(name.as_str());
        }
    }
    for test in tests {
        let ids = ids(&test.name);
        if let Some(unknown) = ids.iter().find(|id| !known.contains(id.as_str())) {
            bail!("{} in {} proves {unknown}, which is no requirement", test.name, test.file);
        }
        if !ids.is_empty() {
            proving.insert(test.name.as_str());
        }
    }
    Ok(proving)
}

impl Evidence {
    pub(crate) fn gather(
        sections: &[Section],
        tests: &BTreeSet<Test>,
        checks: &Checks,
        mutations: &[Mutation],
        seen: &Seen,
    ) -> Self {
        let mut proofs = BTreeMap::new();
        for row in sections.iter().flat_map(|section| &section.rows) {
            let mut proof = Proof { why_none: row.why_none.clone(), ..Proof::default() };
            proof.tests.extend(tests.iter().filter(|test| row.is_proven_by(&test.name)).cloned());
            for id in std::iter::once(&row.id).chain(&row.by) {
                let Some(said) = checks.of(id) else { continue };
                proof.checks.extend(said.passed.clone());
                proof.failures.extend(said.failures.clone());
                for (all, one) in proof.outcomes.iter_mut().zip(said.outcomes) {
                    *all = (*all).max(one);
                }
            }
            for (profile, outcome) in proof.outcomes.iter_mut().enumerate() {
                if !row.applies(profile) && *outcome != Some(Outcome::Fail) {
                    *outcome = Some(Outcome::NotApplicable);
                }
            }
            for mutation in mutations.iter().filter(|mutation| mutation.red.contains(&row.id)) {
                if let Some(date) = seen.date(mutation) {
                    proof.broken_by.insert(mutation.name.clone(), date.to_owned());
                }
            }
            proofs.insert(row.id.clone(), proof);
        }
        Self(proofs)
    }

    /// What proves a row.
    pub(crate) fn of(&self, row: &Row) -> &Proof {
        &self.0[&row.id]
    }

    /// Rows whose reason is out of date, as they are proven by now.
    pub(crate) fn outdated(&self) -> impl Iterator<Item = &str> {
        let both = |proof: &Proof| proof.is_there() && proof.why_none.is_some();
        self.0.iter().filter(move |(_, proof)| both(proof)).map(|(id, _)| id.as_str())
    }

    /// Rows that are red, or that have neither proof nor a reason.
    pub(crate) fn wrong(&self, outcomes: Option<&Outcomes>) -> Vec<String> {
        let mut wrong = Vec::new();
        for (id, proof) in &self.0 {
            wrong.extend(proof.failures.iter().map(|failure| format!("{id}: {failure}")));
            if !proof.is_there() && proof.why_none.is_none() {
                wrong.push(format!("{id} has no test, and no reason why"));
            }
            let Some(outcomes) = outcomes else { continue };
            for test in &proof.tests {
                match outcomes.get(&test.name) {
                    Some(true) => {}
                    Some(false) => wrong.push(format!("{id}: {} failed or was ignored", test.name)),
                    None => wrong.push(format!("{id}: {} did not run", test.name)),
                }
            }
        }
        wrong
    }

    /// The counts, in words.
    pub(crate) fn summary(&self, sections: &[Section]) -> String {
        let rows: Vec<&Row> = sections.iter().flat_map(|section| &section.rows).collect();
        let count = |of: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| of(row)).count();
        let statements = count(&|row| row.id.starts_with("S-"));
        let proven = |row: &Row| self.of(row).is_there();
        let broken = |row: &Row| proven(row) && !self.of(row).broken_by.is_empty();
        let inside =
            |row: &Row| self.of(row).outcomes.iter().flatten().any(|&outcome| outcome == Outcome::Pass);
        format!(
            "**{statements}** statements of the documents and **{}** requirements: **{}** proven by tests, of which \
             **{}** by checks\ninside drivers as well; **{}** have a reason why there is no test. Of those proven, \
             **{}** were seen to fail when\nthe behaviour was broken on purpose.",
            rows.len() - statements,
            count(&proven),
            count(&inside),
            count(&|row| !proven(row)),
            count(&broken),
        )
    }
}
