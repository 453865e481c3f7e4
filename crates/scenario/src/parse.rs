//! From a file's text to a scenario that makes sense.

use std::path::{Path, PathBuf};

use nt_abi::Profile;

use crate::file;
use crate::problem::{BadFile, Problem};
use crate::resolve;

/// A scenario file that was read and makes sense.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file.
    pub path: PathBuf,
    /// What stands in it.
    pub text: String,
    /// What it means.
    pub file: file::Scenario,
}

/// Why a scenario cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What stands in it is no scenario.
    #[error("{0}")]
    Bad(BadFile),
}

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is no scenario.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let unreadable = |source| ReadError::Read { path: path.to_owned(), source };
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let problem = Problem::new(valid..valid, "the file is not UTF-8").help("save it as UTF-8");
            ReadError::Bad(BadFile { path: path.to_owned(), text, problems: vec![problem] })
        })?;
        let scenario = Self::parse(path, text).map_err(ReadError::Bad)?;
        let problems = scenario.missing_drivers();
        if problems.is_empty() {
            return Ok(scenario);
        }
        Err(ReadError::Bad(BadFile { path: scenario.path, text: scenario.text, problems }))
    }

    /// The drivers whose files cannot be read; one that is skipped may wait for its driver.
    fn missing_drivers(&self) -> Vec<Problem> {
        if self.file.skip.is_some() {
            return Vec::new();
        }
        let problem = |driver: &file::At<file::Driver>| {
            let file = self.driver_path(driver)?;
            let error = std::fs::File::open(&file).err()?;
            let (file, path) = (file.display(), self.path.display());
            let message = format!("cannot read {file} (relative to {path}): {error}");
            let help = "build the driver, or write where its file is, as seen from the scenario's directory";
            Some(Problem::new(driver.file.span(), message).help(help))
        };
        self.file.driver.iter().filter_map(problem).collect()
    }

    /// Understands the text of a file; names of drivers' files are relative to the directory of `path`.
    ///
    /// # Errors
    /// When it is no scenario: what is wrong, with the places.
    pub fn parse(path: &Path, text: String) -> Result<Self, BadFile> {
        let problems = match toml::from_str::<file::Scenario>(&text) {
            Ok(file) => {
                let problems = resolve::check(&file);
                if problems.is_empty() {
                    return Ok(Self { path: path.to_owned(), text, file });
                }
                problems
            }
            Err(error) => vec![Problem::from_toml(&error)],
        };
        Err(BadFile { path: path.to_owned(), text, problems })
    }

    /// What the scenario shows: its name, or that of its file.
    pub fn name(&self) -> String {
        match &self.file.name {
            Some(name) => name.to_string(),
            None => self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    /// The Windows versions it is for, in the order of the file.
    pub fn profiles(&self) -> Vec<Profile> {
        match (&self.file.profiles, &self.file.profile) {
            // Their names were looked at when the file was read.
            (Some(several), _) => several.iter().filter_map(|name| name.parse().ok()).collect(),
            (None, Some(one)) => vec![one.0],
            (None, None) => vec![Profile::default()],
        }
    }

    /// Where a driver's file is; `None` for the one that is built in.
    pub fn driver_path(&self, driver: &file::Driver) -> Option<PathBuf> {
        if driver.file.starts_with(resolve::BUILT_IN) {
            return None;
        }
        let directory = self.path.parent().unwrap_or(Path::new(""));
        Some(directory.join(driver.file.as_str()))
    }
}
