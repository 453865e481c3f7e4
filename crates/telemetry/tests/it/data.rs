//! Recordings of real machines, which are not ours to copy: tests that want them say so where they are missing.

use std::path::{Path, PathBuf};

/// The directory beside the project, or where `CALLBOARD_DATA` says; `None`, and a line that says so, where there is none.
pub(crate) fn directory(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("CALLBOARD_DATA").map_or_else(beside, PathBuf::from).join(name);
    if path.is_dir() {
        return Some(path);
    }
    println!("SKIPPED: no recordings of real machines at {} (set CALLBOARD_DATA)", path.display());
    None
}

/// The files of such a directory whose names end so, in order.
pub(crate) fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|it| it.eq_ignore_ascii_case(extension)))
        .collect();
    files.sort();
    files
}
