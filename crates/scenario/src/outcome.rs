//! What came of a scenario.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use event::Record;
use nt_abi::Profile;

use crate::{Place, Scenario};

/// What came of running a scenario on one Windows.
#[derive(Debug)]
pub struct Outcome {
    /// The Windows that was stood in for.
    pub profile: Profile,
    /// What was not as expected; nothing when it passed.
    pub failures: Vec<Failure>,
    /// What nobody asked about and should be known: warnings, leaks.
    pub notes: Vec<String>,
    /// Everything that happened, in order.
    pub records: Vec<Record<'static>>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Outcome {
    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// One thing that was not as expected.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    /// Where in the file the expectation stands; `None` where it stands nowhere.
    pub span: Option<Range<usize>>,
    /// The step, as `step 3: create cmd`, or `at the end`.
    pub step: String,
    /// What is wrong, in a sentence.
    pub message: String,
    /// Expected and actual, as a difference.
    pub diff: Vec<DiffLine>,
    /// What to do.
    pub help: Vec<String>,
    /// What happened in the step.
    pub story: Vec<String>,
}

/// One line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiffLine {
    /// As expected.
    Same(String),
    /// Expected, and not there.
    Missing(String),
    /// There, and not expected.
    Unexpected(String),
}

impl Failure {
    /// The place of the expectation in the file.
    pub fn place(&self, scenario: &Scenario) -> Option<Place> {
        self.span.as_ref().map(|span| Place::of(&scenario.text, span))
    }

    /// The failure as text for people, without colours.
    pub fn text(&self, scenario: &Scenario) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(scenario, &mut text);
        text
    }

    fn write(&self, scenario: &Scenario, text: &mut String) -> std::fmt::Result {
        let path = scenario.path.display();
        match self.place(scenario) {
            Some(place) => {
                writeln!(text, "{path}:{place}: {}: {}", self.step, self.message)?;
                place.show(&scenario.text, text)?;
            }
            None => writeln!(text, "{path}: {}: {}", self.step, self.message)?,
        }
        if !self.diff.is_empty() {
            writeln!(text, "  - expected, + actual")?;
        }
        for line in &self.diff {
            match line {
                DiffLine::Same(line) => writeln!(text, "      {line}")?,
                DiffLine::Missing(line) => writeln!(text, "    - {line}")?,
                DiffLine::Unexpected(line) => writeln!(text, "    + {line}")?,
            }
        }
        if !self.story.is_empty() {
            writeln!(text, "  what happened:")?;
            for line in &self.story {
                writeln!(text, "      {line}")?;
            }
        }
        for help in &self.help {
            writeln!(text, "  help: {help}")?;
        }
        Ok(())
    }
}
