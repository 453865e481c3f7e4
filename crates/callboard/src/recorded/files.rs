//! The files that a command names, looked into before anything is told.

use std::path::{Path, PathBuf};

use callboard::exit;
use event::Time;
use telemetry::{Fed, Feed, Format, Part};

use crate::{Failure, patterns, sinks};

/// In how many records the first moment of a file is looked for.
const BEGINNING: usize = 4096;

/// The streams of records of all files, in the order in which they were named; those of a folder or pattern in that of their times.
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
                files.put_in_order(before);
                if files.parts.len() == before {
                    return Err(Failure::new(
                        exit::USAGE,
                        format_args!("there is no recording in {}", path.display()),
                    ));
                }
            } else if !path.exists() && patterns::is_pattern(path) {
                let found = patterns::matching(path)
                    .map_err(|why| Failure::new(exit::USAGE, format_args!("{}: {why}", path.display())))?;
                let before = files.parts.len();
                found.iter().try_for_each(|file| files.add(file))?;
                files.put_in_order(before);
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

    /// What came together comes in the order of its times, not of its names: a machine may go on from one file to the next.
    fn put_in_order(&mut self, from: usize) {
        let together = self.parts.split_off(from);
        let mut dated: Vec<_> = together.into_iter().map(|part| (begins(&part), part)).collect();
        dated.sort_by_key(|(time, _)| *time);
        self.parts.extend(dated.into_iter().map(|(_, part)| part));
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

/// The first moment that a part says, near its beginning.
fn begins((part, format): &(Part, Format)) -> Option<Time> {
    if part.is_live() {
        return None;
    }
    let feed = Feed::open(&part.aside(), *format).ok()?;
    feed.take(BEGINNING).find_map(|fed| match fed {
        Fed::Told(told) => told.time,
        Fed::Events { events, .. } => events.first().map(|event| event.time),
        Fed::Rejected(_) | Fed::Idle => None,
    })
}
