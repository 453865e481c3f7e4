//! Which files are meant.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use callboard::exit;

use crate::{Failure, patterns};

/// Where scenarios are when nobody says; the first that is there.
const USUAL: [&str; 2] = ["scenarios", super::init::STARTER];

/// The files that are named, each once, in the order of their names within what was named.
pub(super) fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let there = USUAL.into_iter().find(|path| Path::new(path).exists());
    let usual = [PathBuf::from(there.unwrap_or(USUAL[0]))];
    let named = if named.is_empty() { &usual } else { named };
    let mut files = Vec::new();
    let mut seen = BTreeSet::new();
    for path in named {
        for file in of(path)? {
            let same = std::fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
            if seen.insert(same) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

fn of(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let nothing = |what: &str| {
        let help = if path == Path::new(USUAL[0]) {
            "; name a file, or write one with `callboard test --init`"
        } else {
            ""
        };
        Failure::new(exit::USAGE, format_args!("{}: {what}{help}", path.display()))
    };
    match std::fs::metadata(path) {
        Ok(data) if data.is_dir() => {
            let mut found = Vec::new();
            patterns::walk(path, &mut |file| {
                if file.extension().is_some_and(|extension| extension == "toml") {
                    found.push(file.to_owned());
                }
            });
            if found.is_empty() {
                Err(nothing("there is no .toml file in this directory"))
            } else {
                Ok(found)
            }
        }
        Ok(_) => Ok(vec![path.to_owned()]),
        Err(_) if patterns::is_pattern(path) => patterns::matching(path).map_err(|why| nothing(&why)),
        Err(error) => Err(nothing(&error.to_string())),
    }
}
