//! Which files are meant.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use callboard::exit;
use globset::GlobBuilder;

use crate::Failure;

/// Where scenarios are when nobody says; the first that is there.
const USUAL: [&str; 2] = ["scenarios", super::init::STARTER];
/// How deep directories are looked through.
const DEEPEST: usize = 32;

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
            walk(path, 0, &mut |file| {
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
        Err(_) if path.to_string_lossy().contains(['*', '?', '[', '{']) => matching(path, nothing),
        Err(error) => Err(nothing(&error.to_string())),
    }
}

/// The files that a pattern is of.
fn matching(pattern: &Path, nothing: impl Fn(&str) -> Failure) -> Result<Vec<PathBuf>, Failure> {
    let glob = GlobBuilder::new(&pattern.to_string_lossy())
        .literal_separator(true)
        .build()
        .map_err(|error| nothing(&format!("this is no pattern: {}", error.kind())))?
        .compile_matcher();
    // What stands before the first wildcard is a directory.
    let plain = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']);
    let base: PathBuf = pattern.components().take_while(plain).collect();
    let from = if base.as_os_str().is_empty() { Path::new(".") } else { &base };
    let mut found = Vec::new();
    walk(from, 0, &mut |file| {
        let name = if base.as_os_str().is_empty() { file.strip_prefix(".").unwrap_or(file) } else { file };
        if glob.is_match(name) {
            found.push(name.to_owned());
        }
    });
    if found.is_empty() { Err(nothing("no file is like this pattern")) } else { Ok(found) }
}

/// The files below a directory, in the order of their names, without hidden ones.
fn walk(directory: &Path, depth: usize, file: &mut dyn FnMut(&Path)) {
    // A directory that cannot be read holds nothing that could be run.
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        // Links to directories are not followed, since they can make a circle.
        match path.symlink_metadata() {
            Ok(data) if data.is_dir() && depth < DEEPEST => walk(&path, depth + 1, file),
            Ok(data) if data.is_dir() => {}
            Ok(_) => file(&path),
            Err(_) => {}
        }
    }
}
