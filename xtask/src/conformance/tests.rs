//! The Rust tests of the tree, and which requirements their names say they prove.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// One test function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    /// Its name, without modules.
    pub(crate) name: String,
    /// The file, from the root of the tree.
    pub(crate) file: String,
}

/// Every test in the sources of `crates/`.
pub(crate) fn all(root: &Path) -> Result<BTreeSet<Test>> {
    let mut tests = BTreeSet::new();
    let mut folders = vec![root.join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path: PathBuf = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path)?;
                let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                tests.extend(names(&text).map(|name| Test { name: name.to_owned(), file: file.clone() }));
            }
        }
    }
    Ok(tests)
}

/// The functions under `#[test]`, in code and in the macros of property tests.
fn names(source: &str) -> impl Iterator<Item = &str> {
    source.split("#[test]").skip(1).filter_map(|after| {
        let line = after.lines().map(str::trim).find(|line| {
            !line.is_empty()
                && !line.starts_with("#[")
                && !line.starts_with("//")
                && !line.starts_with("reason")
        })?;
        let name = line.split("fn ").nth(1)?;
        let end = name.find(|letter: char| !letter.is_alphanumeric() && letter != '_')?;
        Some(&name[..end])
    })
}

/// The ids in a test's name: `bug_02_r_reg_05_r_reg_06_limits` proves R-REG-05 and R-REG-06.
pub(crate) fn ids(name: &str) -> Vec<String> {
    let words: Vec<&str> = name.split('_').collect();
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|digit| digit.is_ascii_digit());
    let id = |words: &[&str]| match words {
        // `r_l_09` speaks of a rule, which has a page of its own.
        [kind @ ("r" | "s"), family, number] if is_number(number) && *family != "l" => {
            Some(format!("{kind}-{family}-{number}").to_uppercase())
        }
        _ => None,
    };
    words.windows(3).filter_map(id).collect()
}

#[cfg(test)]
mod checks {
    use super::*;

    #[test]
    fn ids_stand_anywhere_in_names() {
        assert_eq!(ids("r_ord_01_r_ctx_01_in_order"), ["R-ORD-01", "R-CTX-01"]);
        assert_eq!(ids("bug_05_r_unl_02_an_unload"), ["R-UNL-02"]);
        assert!(ids("r_l_09_a_name_query").is_empty());
        assert_eq!(ids("s_imgex_7_full"), ["S-IMGEX-7"]);
        assert!(ids("r_veto_a_refusal").is_empty() && ids("ids_01").is_empty());
    }

    #[test]
    fn tests_are_found_below_other_attributes_and_in_macros() {
        let source = "#[test]\nfn one() {}\n#[test]\n#[ignore]\nfn two() {}\nproptest! { #[test]\n fn three(a in 0..3) {} }";
        assert_eq!(names(source).collect::<Vec<_>>(), ["one", "two", "three"]);
    }
}
