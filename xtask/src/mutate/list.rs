//! The list of deliberate breakages, and which of them tests were seen to catch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::conformance;
use crate::conformance::row::Row;

/// The list, from the root of the tree.
const LIST: &str = "docs/conformance/mutations.toml";
/// The pages of the rules, from the root of the tree.
const RULES: &str = "docs/rules";
/// What was seen, from the root of the tree.
const SEEN: &str = "docs/conformance/seen-to-fail.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutation: Vec<Mutation>,
}

/// One breakage of one behaviour.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutation {
    /// What it does, in few words with hyphens.
    pub(crate) name: String,
    /// The file it changes.
    pub(crate) file: String,
    /// What stands there, exactly once.
    pub(crate) old: String,
    /// What it becomes.
    pub(crate) new: String,
    /// The requirements whose proof it must break, or the rules (docs/rules) that are not found any more.
    pub(crate) red: Vec<String>,
    /// The package whose tests notice.
    pub(crate) package: String,
    /// Which of its test programs, as Cargo's options name them [default: all].
    #[serde(default, rename = "where")]
    pub(crate) targets: Vec<String>,
    /// The tests that must fail, each of them.
    pub(crate) tests: Vec<String>,
}

impl Mutation {
    /// Changes whenever the mutation does: what was seen holds for exactly this one.
    fn digest(&self) -> String {
        let Self { file, old, new, package, .. } = self;
        let (red, tests) = (self.red.join(" "), self.tests.join(" "));
        let hash = Sha256::digest([file, old, new, package, &red, &tests].map(String::as_str).join("\0"));
        hash.iter().take(8).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[derive(Deserialize, Default)]
struct Record {
    #[serde(default)]
    seen: BTreeMap<String, Entry>,
}

#[derive(Clone, Deserialize)]
struct Entry {
    digest: String,
    date: String,
}

/// When each mutation was last seen to be caught.
#[derive(Default)]
pub(crate) struct Seen(BTreeMap<String, Entry>);

impl Seen {
    /// Reads the record; what it says of mutations that have changed since is left out.
    pub(crate) fn read(root: &Path, list: &[Mutation]) -> Result<Self> {
        let path = root.join(SEEN);
        let record: Record = if path.exists() { conformance::row::read(&path)? } else { Record::default() };
        let mut seen = record.seen;
        seen.retain(|name, entry| {
            list.iter().any(|mutation| mutation.name == *name && mutation.digest() == entry.digest)
        });
        Ok(Self(seen))
    }

    /// The day of the tree in which the mutation was caught.
    pub(crate) fn date(&self, mutation: &Mutation) -> Option<&str> {
        self.0.get(&mutation.name).map(|entry| entry.date.as_str())
    }

    /// Notes whether a mutation was caught, in a tree of that day.
    pub(crate) fn note(&mut self, mutation: &Mutation, caught: bool, date: &str) {
        if caught {
            self.0.insert(mutation.name.clone(), Entry { digest: mutation.digest(), date: date.to_owned() });
        } else {
            self.0.remove(&mutation.name);
        }
    }

    /// Writes the record.
    pub(crate) fn write(&self, root: &Path) -> Result<()> {
        let mut text = String::from(
            "# Written by `cargo xtask mutate --bless`: the mutations that tests were seen to catch, each with what\n\
             # identifies it as it was then, and the day of the commit that it was tried on.\n\n[seen]\n",
        );
        for (name, Entry { digest, date }) in &self.0 {
            writeln!(text, "{name} = {{ digest = \"{digest}\", date = \"{date}\" }}")?;
        }
        fs::write(root.join(SEEN), text).context("writing what was seen")
    }
}

/// The list, checked: names are unique, texts are where they should be, and the rows and rules that must turn red exist.
pub(crate) fn read(root: &Path) -> Result<Vec<Mutation>> {
    let List { mutation: list } = conformance::row::read(&root.join(LIST))?;
    let sections = conformance::row::sections(root)?;
    let rows: BTreeMap<&str, &Row> =
        sections.iter().flat_map(|section| &section.rows).map(|row| (row.id.as_str(), row)).collect();
    let tests = conformance::tests::all(root)?;
    let mut names = BTreeSet::new();
    let mut wrong = String::new();
    for mutation in &list {
        let Mutation { name, file, old, new, red, tests: caught_by, .. } = mutation;
        let mut complain = |what: String| wrong.push_str(&format!("\n  {name}: {what}"));
        if !names.insert(name) || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            complain("is there twice, or is no name".into());
        }
        let text = fs::read_to_string(root.join(file)).unwrap_or_default();
        let times = text.matches(old.as_str()).count();
        if times != 1 || old == new {
            complain(format!("its text is {times} times in {file}, or stays the same"));
        }
        let is_rule = |id: &str| root.join(RULES).join(id).with_extension("md").exists();
        for id in red {
            match rows.get(id.as_str()) {
                None if is_rule(id) => {}
                None => complain(format!("{id} is no requirement and no rule")),
                Some(row) if !caught_by.iter().any(|test| row.is_proven_by(test)) => {
                    complain(format!("none of its tests is one of {id}"));
                }
                Some(_) => {}
            }
        }
        for test in caught_by.iter().filter(|test| !tests.iter().any(|known| known.name == **test)) {
            complain(format!("there is no test {test}"));
        }
        if red.is_empty() || caught_by.is_empty() {
            complain("turns nothing red".into());
        }
    }
    ensure!(wrong.is_empty(), "{LIST} does not fit the tree:{wrong}");
    Ok(list)
}
