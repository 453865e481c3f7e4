//! Tests beside each other.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use callboard::SENSOR;
use scenario::{Options, Outcome, ReadError};

use super::Test;
use super::plan::Planned;

/// What came of a test.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It ran.
    Done(Box<Outcome>),
    /// The file says that it is not to be run, and why.
    Skipped(String),
    /// The file is no scenario.
    Bad(Arc<ReadError>),
    /// Callboard could not run it.
    Broken(String),
}

impl Verdict {
    /// Whether others are to be left out with `--fail-fast`.
    fn failed(&self) -> bool {
        match self {
            Self::Done(outcome) => !outcome.passed(),
            Self::Skipped(_) => false,
            Self::Bad(_) | Self::Broken(_) => true,
        }
    }
}

/// What is heard of a test.
pub(super) enum News {
    /// It begins.
    Started,
    /// It is over.
    Ended(Verdict),
}

/// Runs all tests; `tell` hears of each, by its place in `tests`, in the order in which things happen.
pub(super) fn run(tests: &[Planned], arguments: &Test, tell: &mut dyn FnMut(usize, News)) {
    let processors = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let jobs = arguments.jobs.unwrap_or(processors).get().min(tests.len());
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next, stop) = (sender.clone(), &next, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(test) = tests.get(index) else { break };
                    let _ = sender.send((index, News::Started));
                    let verdict = one(test, arguments);
                    if arguments.fail_fast && verdict.failed() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    let _ = sender.send((index, News::Ended(verdict)));
                }
            });
        }
        drop(sender);
        for (index, news) in receiver {
            tell(index, news);
        }
    });
}

fn one(test: &Planned, arguments: &Test) -> Verdict {
    let scenario = match &test.scenario {
        Ok(scenario) => scenario,
        Err(error) => return Verdict::Bad(Arc::clone(error)),
    };
    if let Some(why) = &scenario.file.skip {
        return Verdict::Skipped(why.clone());
    }
    let options = Options {
        profile: test.profile.unwrap_or_default(),
        sensor: SENSOR,
        without_sandbox: arguments.unsafe_no_sandbox,
    };
    match scenario.run(options) {
        Ok(outcome) => Verdict::Done(Box::new(outcome)),
        Err(error) => Verdict::Broken(error.to_string()),
    }
}
