//! The files that a command names, looked into before anything is told.

use std::path::{Path, PathBuf};

use callboard::exit;
use telemetry::{Format, Part};

use crate::{Failure, patterns, sinks};

/// The streams of records of all files, in the order in which they were named.
pub(crate) struct Files {
    pub(super) parts: Vec<(Part, Format)>,
    /// What they are read from.
    pub(super) paths: Vec<PathBuf>,
    /// What was passed over, and why.
    pub(super) notes: Vec<String>,
}

impl Files {
    /// Looks into files, into all files of folders, and into those that a pattern is of, by name. What is no recording in a folder is passed over.
    pub(super) fn look(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut files = Self { parts: Vec::new(), paths: Vec::new(), notes: Vec::new() };
        for path in paths {
            if path.is_dir() {
                let mut found = Vec::new();
                patterns::walk(path, &mut |file| found.push(file.to_owned()));
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
            } else if !path.exists() && patterns::is_pattern(path) {
                let found = patterns::matching(path)
                    .map_err(|why| Failure::new(exit::USAGE, format_args!("{}: {why}", path.display())))?;
                found.iter().try_for_each(|file| files.add(file))?;
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
        self.paths.push(path.to_owned());
        Ok(())
    }

    /// None of them may be one of those that are written.
    pub(super) fn spare(&self, outputs: &[&Path], others: &[&Path]) -> Result<(), Failure> {
        let inputs: Vec<_> = self.paths.iter().map(PathBuf::as_path).chain(others.iter().copied()).collect();
        sinks::spare(outputs, &inputs)
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
