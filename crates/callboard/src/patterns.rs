//! Files that are meant by a directory or by a pattern, for commands that take many.

use std::path::{Component, Path, PathBuf};

use globset::GlobBuilder;

/// What makes a pattern of a path.
const WILD: [char; 4] = ['*', '?', '[', '{'];
/// How deep directories are looked through.
const DEEPEST: usize = 32;

/// Whether a path that is not there may be a pattern.
pub(crate) fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(WILD)
}

/// The files that a pattern is of, or why there are none.
pub(crate) fn matching(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let glob = GlobBuilder::new(&pattern.to_string_lossy())
        .literal_separator(true)
        .build()
        .map_err(|error| format!("this is no pattern: {}", error.kind()))?
        .compile_matcher();
    // What stands before the first wildcard is a directory.
    let plain = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(WILD);
    let base: PathBuf = pattern.components().take_while(plain).collect();
    let from = if base.as_os_str().is_empty() { Path::new(".") } else { &base };
    let mut found = Vec::new();
    walk(from, &mut |file| {
        let name = if base.as_os_str().is_empty() { file.strip_prefix(".").unwrap_or(file) } else { file };
        if glob.is_match(name) {
            found.push(name.to_owned());
        }
    });
    if found.is_empty() { Err("no file is like this pattern".into()) } else { Ok(found) }
}

/// The files below a directory, in the order of their names, without hidden ones.
pub(crate) fn walk(directory: &Path, file: &mut dyn FnMut(&Path)) {
    deeper(directory, 0, file);
}

fn deeper(directory: &Path, depth: usize, file: &mut dyn FnMut(&Path)) {
    // A directory that cannot be read holds nothing that could be used.
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
            Ok(data) if data.is_dir() && depth < DEEPEST => deeper(&path, depth + 1, file),
            Ok(data) if data.is_dir() => {}
            // A pipe would be waited for.
            Ok(_) if path.is_file() => file(&path),
            Ok(_) => {}
            Err(_) => {}
        }
    }
}
