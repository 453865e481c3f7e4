//! Which tests there are: each file once for each Windows.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use callboard::exit;
use nt_abi::Profile;
use scenario::{ReadError, Scenario};

use super::Test;
use crate::args::Format;

/// One test.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// The file.
    pub(super) path: PathBuf,
    /// What it says, or why it says nothing.
    pub(super) scenario: Result<Arc<Scenario>, Arc<ReadError>>,
    /// The Windows; `None` for a file that is no scenario.
    pub(super) profile: Option<Profile>,
}

impl Planned {
    /// What the scenario shows.
    pub(super) fn name(&self) -> String {
        match &self.scenario {
            Ok(scenario) => scenario.name(),
            Err(_) => self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    /// The Windows, as users name it.
    pub(super) fn profile_name(&self) -> &'static str {
        self.profile.map_or("-", Profile::name)
    }
}

/// The tests that were asked for. A file that is no scenario is one too: it cannot be told what it would have been.
pub(super) fn plan(files: &[PathBuf], arguments: &Test) -> Vec<Planned> {
    let mut tests = Vec::new();
    for path in files {
        match Scenario::read(path) {
            Ok(scenario) => {
                let scenario = Arc::new(scenario);
                let own = scenario.profiles();
                let profiles = if arguments.profiles.is_empty() { &own } else { &arguments.profiles };
                tests.extend(profiles.iter().map(|profile| Planned {
                    path: path.clone(),
                    scenario: Ok(Arc::clone(&scenario)),
                    profile: Some(*profile),
                }));
            }
            Err(error) => {
                tests.push(Planned { path: path.clone(), scenario: Err(Arc::new(error)), profile: None });
            }
        }
    }
    tests.retain(|test| wanted(test, arguments));
    tests
}

fn wanted(test: &Planned, arguments: &Test) -> bool {
    if arguments.filters.is_empty() {
        return true;
    }
    let (name, path) = (test.name(), test.path.to_string_lossy().into_owned());
    arguments.filters.iter().any(|filter| {
        if arguments.exact { name == *filter } else { name.contains(filter) || path.contains(filter) }
    })
}

/// Says which tests there are.
pub(super) fn list(tests: &[Planned], format: Format) -> crate::Outcome {
    let mut out = std::io::stdout().lock();
    let mut code = exit::SUCCESS;
    for test in tests {
        if let Err(error) = &test.scenario {
            code = exit::USAGE;
            let _ = writeln!(anstream::stderr(), "{error}");
            continue;
        }
        let written = match format {
            Format::Human => {
                writeln!(out, "{} {} {}", test.path.display(), test.profile_name(), test.name())
            }
            Format::Ndjson => {
                let line = serde_json::json!({
                    "type": "test",
                    "file": test.path.to_string_lossy(),
                    "name": test.name(),
                    "profile": test.profile_name(),
                });
                writeln!(out, "{line}")
            }
        };
        written.map_err(crate::written)?;
    }
    Ok(code)
}
