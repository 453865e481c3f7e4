//! The files that a command names, looked into before anything is told.

use std::path::{Path, PathBuf};

use callboard::exit;
use telemetry::{Format, Part};

use crate::Failure;

/// The streams of records of all files, in the order in which they were named.
pub(crate) struct Files {
    pub(super) parts: Vec<(Part, Format)>,
    /// What was passed over, and why.
    pub(super) notes: Vec<String>,
}

impl Files {
    /// Looks into files, and into all files of folders, by name. What is no recording in a folder is passed over.
    pub(super) fn look(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut files = Self { parts: Vec::new(), notes: Vec::new() };
        for path in paths {
            if path.is_dir() {
                let mut found = Vec::new();
                collect(path, &mut found).map_err(|error| unreadable(path, &error))?;
                found.sort();
                let before = files.parts.len();
                for path in found {
                    if let Err(failure) = files.add(&path) {
                        files.notes.push(format!("passed over: {failure}"));
                    }
                }
                if files.parts.len() == before {
                    return Err(Failure::new(
                        exit::USAGE,
                        format_args!("there is no recording in {}", path.display()),
                    ));
                }
            } else {
                files.add(path)?;
            }
        }
        Ok(files)
    }

    fn add(&mut self, path: &Path) -> Result<(), Failure> {
        let contents = telemetry::look(path).map_err(|error| Failure::new(exit::USAGE, error))?;
        let passed_over =
            |it: telemetry::Skipped| format!("passed over: {} is no recording: {}", it.name, it.found);
        self.notes.extend(contents.skipped.into_iter().map(passed_over));
        self.parts.extend(contents.parts);
        Ok(())
    }

    /// The name of a file, by its place.
    pub(super) fn name(&self, file: usize) -> &str {
        self.parts.get(file).map_or("", |(part, _)| part.name())
    }

    /// All names, for people.
    pub(super) fn names(&self) -> String {
        self.parts.iter().map(|(part, _)| part.name()).collect::<Vec<_>>().join(", ")
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), found)?;
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(exit::USAGE, format_args!("{} cannot be read: {error}", path.display()))
}
