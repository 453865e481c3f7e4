//! What the in-driver suites said, profile by profile.
//!
//! Their runner is a test of the `callboard` crate. Asked by [`VARIABLE`], it leaves the lines of each suite in a
//! file `RUN-SUITE@PROFILE.txt`; each line is `conformance: ok R-REG-05 registration.c:120 text` or the like.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// The environment variable that names the folder for the lines.
pub(crate) const VARIABLE: &str = "CALLBOARD_CONFORMANCE_LINES";

/// The profiles, and how the page heads their columns. Oldest first.
pub(crate) const PROFILES: [(&str, &str); 10] = [
    ("win7-sp1", "7"),
    ("win7-sp1-kb2922790", "7 KB"),
    ("win8.1", "8.1"),
    ("win8.1-u1", "8.1 U1"),
    ("win10-1507", "1507"),
    ("win10-1607", "1607"),
    ("win10-1703", "1703"),
    ("win10-1709", "1709"),
    ("win10-22h2", "22H2"),
    ("win11-24h2", "24H2"),
];

/// What the checks of one requirement came to under one profile. In ascending order of what prevails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The profile has not what the requirement speaks of.
    NotApplicable,
    /// A contested point: the other choice is the default.
    Todo,
    Pass,
    Fail,
}

impl Outcome {
    fn of(word: &str) -> Option<Self> {
        match word {
            "ok" => Some(Self::Pass),
            "FAIL" => Some(Self::Fail),
            "todo" => Some(Self::Todo),
            "skip" => Some(Self::NotApplicable),
            _ => None,
        }
    }
}

/// All checks, by requirement.
#[derive(Default)]
pub(crate) struct Checks {
    rows: BTreeMap<String, Row>,
}

/// The checks of one requirement.
#[derive(Default)]
pub(crate) struct Row {
    /// By index into [`PROFILES`].
    pub(crate) outcomes: [Option<Outcome>; PROFILES.len()],
    /// The checks that passed: the file they are in, and what they say.
    pub(crate) passed: BTreeSet<(String, String)>,
    /// What failed.
    pub(crate) failures: Vec<String>,
}

impl Checks {
    /// Reads the files in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let mut checks = Self::default();
        for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some((suite, profile)) = name.strip_suffix(".txt").and_then(|name| name.split_once('@'))
            else {
                continue;
            };
            let column = PROFILES.iter().position(|(known, _)| *known == profile);
            let column = column.with_context(|| format!("{name} is of no profile"))?;
            let lines = fs::read_to_string(&path)?;
            checks.add(column, &lines);
            let done = lines.lines().any(|line| line.starts_with("conformance: done"));
            ensure!(done, "the suite {suite} did not come to its end under {profile}");
        }
        Ok(checks)
    }

    fn add(&mut self, column: usize, lines: &str) {
        for line in lines.lines().filter_map(|line| line.strip_prefix("conformance: ")) {
            let mut words = line.splitn(3, ' ');
            let (Some(word), Some(ids)) = (words.next(), words.next()) else { continue };
            let Some(outcome) = Outcome::of(word) else { continue };
            let rest = words.next().unwrap_or_default();
            for id in ids.split(',') {
                let row = self.rows.entry(id.to_owned()).or_default();
                row.outcomes[column] = row.outcomes[column].max(Some(outcome));
                if outcome == Outcome::Fail {
                    row.failures.push(format!("{}: {rest}", PROFILES[column].0));
                } else if outcome == Outcome::Pass {
                    let (place, text) = rest.split_once(' ').unwrap_or((rest, ""));
                    let file = place.split(':').next().unwrap_or(place);
                    row.passed.insert((file.to_owned(), text.to_owned()));
                }
            }
        }
    }

    /// The checks of a requirement.
    pub(crate) fn of(&self, id: &str) -> Option<&Row> {
        self.rows.get(id)
    }

    /// The requirements that checks speak of.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_outcome_that_says_something_prevails() {
        let mut checks = Checks::default();
        checks.add(0, "conformance: skip R-REG-05,R-REG-06 absent\nconformance: ok R-REG-05 a.c:1 it is so");
        checks.add(
            1,
            "conformance: ok R-REG-05 a.c:1 it is so\nconformance: FAIL R-REG-05 a.c:2 not so (got 1)",
        );
        let row = checks.of("R-REG-05").unwrap();
        assert_eq!(row.outcomes[..3], [Some(Outcome::Pass), Some(Outcome::Fail), None]);
        assert_eq!(row.failures, ["win7-sp1-kb2922790: a.c:2 not so (got 1)"]);
        assert_eq!(row.passed.len(), 1);
        assert_eq!(checks.of("R-REG-06").unwrap().outcomes[0], Some(Outcome::NotApplicable));
    }
}
