//! Results for build servers.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use callboard::exit;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::jobs::Verdict;
use super::plan::Planned;
use crate::Failure;

/// The tests so far.
#[derive(Default)]
pub(super) struct Junit {
    cases: Vec<(String, TestCase)>,
}

impl Junit {
    /// Results for a file, which is made now: one that cannot be made is not to be found out when all is over.
    pub(super) fn into_file(path: &Path) -> Result<Self, Failure> {
        let made = OpenOptions::new().append(true).create(true).open(path);
        made.map_err(|error| {
            Failure::new(exit::USAGE, format_args!("cannot write {}: {error}", path.display()))
        })?;
        Ok(Self::default())
    }

    /// Adds a test that is over.
    pub(super) fn add(&mut self, test: &Planned, verdict: &Verdict) {
        let not = |kind, message: &str, text: &str| {
            let mut status = TestCaseStatus::non_success(kind);
            status.set_message(message).set_description(text);
            status
        };
        let (status, elapsed) = match verdict {
            Verdict::Done(outcome) if outcome.passed() => (TestCaseStatus::success(), outcome.elapsed),
            Verdict::Done(outcome) => {
                let text: Vec<_> = match &test.scenario {
                    Ok(scenario) => outcome.failures.iter().map(|failure| failure.text(scenario)).collect(),
                    Err(_) => Vec::new(),
                };
                let message =
                    outcome.failures.first().map(|failure| format!("{}: {}", failure.step, failure.message));
                let status = not(NonSuccessKind::Failure, &message.unwrap_or_default(), &text.join("\n"));
                (status, outcome.elapsed)
            }
            Verdict::Skipped(why) => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(why.as_str());
                (status, Duration::ZERO)
            }
            Verdict::Bad(error) => {
                let status = not(NonSuccessKind::Error, "the file is no scenario", &error.to_string());
                (status, Duration::ZERO)
            }
            Verdict::Broken(error) => {
                (not(NonSuccessKind::Error, "callboard could not run it", error), Duration::ZERO)
            }
        };
        let mut case = TestCase::new(format!("{} [{}]", test.name(), test.profile_name()), status);
        let file = test.path.to_string_lossy().into_owned();
        case.set_classname(file.as_str()).set_time(elapsed);
        self.cases.push((file, case));
    }

    /// Writes the file: a suite for each scenario file, in the order of their names.
    pub(super) fn write(mut self, path: &Path, elapsed: Duration) -> Result<(), Failure> {
        self.cases.sort_by(|a, b| (&a.0, &*a.1.name).cmp(&(&b.0, &*b.1.name)));
        let mut report = Report::new("callboard");
        report.set_time(elapsed);
        let mut suite: Option<TestSuite> = None;
        for (file, case) in self.cases {
            match &mut suite {
                Some(suite) if *suite.name == *file => {
                    suite.add_test_case(case);
                }
                _ => {
                    let mut next = TestSuite::new(file);
                    next.add_test_case(case);
                    report.add_test_suites(suite.replace(next));
                }
            }
        }
        report.add_test_suites(suite);
        let text = report.to_string().map_err(|error| Failure::new(exit::FAILED, error))?;
        std::fs::write(path, text).map_err(|error| {
            Failure::new(exit::FAILED, format_args!("cannot write {}: {error}", path.display()))
        })
    }
}
