//! `callboard test`: scenarios, run beside each other, each on a machine of its own.
//!
//! ```text
//!   args ──▶ find: files ──▶ plan: one test per file and profile ──▶ jobs ──▶ order ──▶ show / ndjson
//!                                                                         └──▶ junit
//! ```

mod args;
mod find;
mod init;
mod jobs;
mod junit;
mod ndjson;
mod order;
mod plan;
mod show;

use std::time::{Duration, Instant};

use callboard::exit;

use crate::args::Format;
use crate::{Failure, Outcome};

pub(crate) use args::Test;
use jobs::{News, Verdict};
use plan::Planned;

/// What is told of a run while it goes on.
trait Reporter {
    /// A test begins.
    fn started(&mut self, test: &Planned);
    /// A test is over.
    fn ended(&mut self, test: &Planned, verdict: &Verdict) -> std::io::Result<()>;
    /// All are.
    fn summary(&mut self, tally: &Tally) -> std::io::Result<()>;
}

/// How many tests came to what.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// Files that are no scenarios.
    bad: usize,
    /// Scenarios that Callboard could not run.
    broken: usize,
    /// Not begun, because of `--fail-fast`.
    left_out: usize,
    elapsed: Duration,
}

impl Tally {
    fn count(&mut self, verdict: &Verdict) {
        let number = match verdict {
            Verdict::Done(outcome) if outcome.passed() => &mut self.passed,
            Verdict::Done(_) => &mut self.failed,
            Verdict::Skipped(_) => &mut self.skipped,
            Verdict::Bad(_) => &mut self.bad,
            Verdict::Broken(_) => &mut self.broken,
        };
        *number += 1;
    }

    fn code(&self) -> u8 {
        match self {
            Self { broken: 1.., .. } => exit::FAILED,
            Self { bad: 1.., .. } => exit::USAGE,
            Self { failed: 1.., .. } => exit::TESTS_FAILED,
            _ => exit::SUCCESS,
        }
    }
}

/// Runs it, and says with which exit code to end.
pub(crate) fn test(arguments: &Test) -> Outcome {
    if arguments.schema {
        return init::schema();
    }
    if let Some(file) = &arguments.init {
        return init::init(file);
    }
    let files = find::files(&arguments.paths)?;
    let tests = plan::plan(&files, arguments);
    if tests.is_empty() {
        let message = match files.len() {
            1 => "the only scenario does not match the filter".to_owned(),
            count => format!("none of {count} scenarios matches the filter"),
        };
        return Err(Failure::new(exit::USAGE, message));
    }
    if arguments.list {
        return plan::list(&tests, arguments.format);
    }
    let mut junit = arguments.junit.as_deref().map(junit::Junit::into_file).transpose()?;
    let mut reporter: Box<dyn Reporter> = match arguments.format {
        Format::Human => Box::new(show::Show::new(&tests)),
        Format::Ndjson => Box::new(ndjson::Ndjson),
    };
    let begin = Instant::now();
    let (mut tally, mut result, mut over) = (Tally::default(), Ok(()), 0);
    let mut order = order::Order::new(&tests);
    jobs::run(&tests, arguments, &mut |index, news| match news {
        News::Started => reporter.started(&tests[index]),
        News::Ended(verdict) => {
            over += 1;
            tally.count(&verdict);
            if let Some(junit) = &mut junit {
                junit.add(&tests[index], &verdict);
            }
            for (index, verdict) in order.ended(index, verdict) {
                let reported = reporter.ended(&tests[index], &verdict);
                if result.is_ok() {
                    result = reported;
                }
            }
        }
    });
    tally.elapsed = begin.elapsed();
    tally.left_out = tests.len() - over;
    if let (Some(junit), Some(path)) = (junit, &arguments.junit) {
        junit.write(path, tally.elapsed)?;
    }
    result.and_then(|()| reporter.summary(&tally)).map_err(crate::written)?;
    Ok(tally.code())
}
