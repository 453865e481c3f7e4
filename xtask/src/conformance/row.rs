//! The requirements, as the data files in `docs/conformance/` hold them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::suites::PROFILES;
use super::tests::ids;

/// Where the data files are, from the root of the tree.
pub(crate) const FOLDER: &str = "docs/conformance";

/// The data files, in the order of the page: the documents first.
const FILES: [&str; 10] = [
    "documents",
    "registration",
    "removal",
    "callbacks",
    "veto",
    "images",
    "context",
    "triggers",
    "races",
    "devices",
];

/// One table of the page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Section {
    /// The heading.
    pub(crate) title: String,
    /// A sentence or two below it.
    pub(crate) intro: String,
    /// The requirements.
    #[serde(rename = "row")]
    pub(crate) rows: Vec<Row>,
}

/// One requirement, or one statement of a document.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// `R-REG-05` or `S-IMGEX-1`.
    pub(crate) id: String,
    /// What is required, in our own words.
    pub(crate) text: String,
    /// How it is known: D documented, O observed, I inferred, ? open.
    pub(crate) mark: String,
    /// Other rows whose proofs prove this one as well.
    #[serde(default)]
    pub(crate) by: Vec<String>,
    /// Tests that prove it and do not carry its id in their names.
    #[serde(default)]
    pub(crate) tests: Vec<String>,
    /// Why there is no test: either nothing can be tested, or it is not built.
    pub(crate) why_none: Option<String>,
    /// The first Windows that has what it speaks of, by profile.
    since: Option<String>,
    /// The last one.
    until: Option<String>,
    /// The group of `others.toml` that says what others do, where the row itself does not.
    others_as: Option<String>,
    /// What others do.
    #[serde(default)]
    pub(crate) others: Others,
}

impl Row {
    /// Whether a test proves it: by its name, by the name of another row, or because the row names it.
    pub(crate) fn is_proven_by(&self, test: &str) -> bool {
        let ids = ids(test);
        ids.iter().any(|id| *id == self.id || self.by.contains(id))
            || self.tests.iter().any(|name| name == test)
    }

    /// Whether a Windows, by index into [`PROFILES`], has what the row speaks of.
    pub(crate) fn applies(&self, profile: usize) -> bool {
        let place =
            |name: &Option<String>| PROFILES.iter().position(|(known, _)| Some(*known) == name.as_deref());
        place(&self.since).is_none_or(|first| first <= profile)
            && place(&self.until).is_none_or(|last| profile <= last)
    }
}

/// What others do, each in few words; what is not there is not known.
pub(crate) type Others = BTreeMap<Other, String>;

/// Other software that stands in for the NT kernel.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Other {
    Wine,
    Speakeasy,
    Qiling,
    Reactos,
    Usersim,
}

impl Other {
    /// What the page calls it by.
    pub(crate) const fn letter(self) -> char {
        match self {
            Self::Wine => 'W',
            Self::Speakeasy => 'S',
            Self::Qiling => 'Q',
            Self::Reactos => 'R',
            Self::Usersim => 'U',
        }
    }
}

/// Reads a data file.
pub(crate) fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    toml_edit::de::from_str(&text).with_context(|| format!("in {}", path.display()))
}

/// All sections, checked: ids are unique, and what a row refers to is there.
pub(crate) fn sections(root: &Path) -> Result<Vec<Section>> {
    let files = FILES.iter().map(|file| read(&root.join(FOLDER).join(file).with_extension("toml")));
    let mut sections: Vec<Section> = files.collect::<Result<_>>()?;
    let groups: BTreeMap<String, Others> = read(&root.join(FOLDER).join("others.toml"))?;
    for row in sections.iter_mut().flat_map(|section| &mut section.rows) {
        let Some(name) = &row.others_as else { continue };
        let group =
            groups.get(name).with_context(|| format!("{}: others_as = {name:?} is no group", row.id))?;
        for (other, words) in group {
            row.others.entry(*other).or_insert_with(|| words.clone());
        }
    }
    let rows = || sections.iter().flat_map(|section| &section.rows);
    let mut ids = std::collections::BTreeSet::new();
    for row in rows() {
        ensure!(ids.insert(row.id.as_str()), "{} is there twice", row.id);
        ensure!(row.mark.chars().all(|mark| "DOI?/".contains(mark)), "{}: mark {:?}", row.id, row.mark);
        for name in row.since.iter().chain(&row.until) {
            ensure!(PROFILES.iter().any(|(known, _)| known == name), "{}: {name:?} is no profile", row.id);
        }
    }
    for row in rows() {
        if let Some(unknown) = row.by.iter().find(|id| !ids.contains(id.as_str())) {
            bail!("{} is proven by {unknown}, which is no row", row.id);
        }
    }
    Ok(sections)
}
