//! `callboard stress`: a driver against many seeds.

use std::io::Write;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use callboard::host::{BenchError, BenchOptions};
use callboard::report::Sink;
use callboard::report::human::{Human, Options, Verbosity};
use callboard::stress::{self, Outcome, Subject};
use callboard::{Symbolise, exit};

use crate::args::Stress;
use crate::drivers::{self, DriverFile};
use crate::{Failure, written};

/// Runs it, and says with which exit code to end.
pub(crate) fn stress(arguments: &Stress) -> crate::Outcome {
    let driver = match &arguments.driver {
        Some(path) => drivers::named(std::slice::from_ref(path))?.swap_remove(0),
        None => DriverFile::built_in(),
    };
    let mut options = BenchOptions::new(arguments.profile.os);
    if arguments.unsafe_no_sandbox {
        options.sandbox = callboard::host::sandbox::Policy::Off;
    }
    let path = driver.path.to_string_lossy();
    let subject = Subject::new(&driver.service, &path, driver.bytes.clone(), options);
    match arguments.seed {
        Some(seed) => one(&subject, seed),
        None => many(arguments, &subject),
    }
}

/// One seed, with everything that happens.
fn one(subject: &Subject, seed: u64) -> crate::Outcome {
    let options = Options { verbosity: Verbosity::Verbose, colour: true, ..Options::default() };
    let out = anstream::AutoStream::auto(std::io::stdout());
    let mut sink = Symbolise::new(Human::new("the standard output", out, options));
    let mut broken = None;
    let outcome = stress::run(subject, seed, &mut |record| {
        if broken.is_none() {
            broken = sink.record(record).err();
        }
    });
    if broken.is_none() {
        broken = sink.finish().err();
    }
    let outcome = outcome.map_err(failed)?;
    match broken {
        None | Some(callboard::report::SinkError::Closed { .. }) => Ok(code(&outcome)),
        Some(error) => Err(Failure::new(exit::FAILED, error)),
    }
}

/// Seeds from the first on, several at once, until one finds something.
fn many(arguments: &Stress, subject: &Subject) -> crate::Outcome {
    let began = Instant::now();
    let end = arguments.first.saturating_add(arguments.seeds);
    let next = AtomicU64::new(arguments.first);
    let found: Mutex<Option<(u64, Result<Outcome, BenchError>)>> = Mutex::new(None);
    let (tried, not_loaded) = (AtomicU64::new(0), AtomicU64::new(0));
    let search = || {
        while began.elapsed() < arguments.time {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let outcome = stress::run(subject, seed, &mut |_| {});
            tried.fetch_add(1, Ordering::Relaxed);
            match &outcome {
                Ok(outcome) if outcome.is_silent() => {
                    not_loaded.fetch_add(outcome.not_loaded.is_some().into(), Ordering::Relaxed);
                }
                _ => {
                    // Nobody begins another; those that have begun a lower one end it, so that the answer is the same
                    // however many work on it.
                    next.fetch_max(end, Ordering::Relaxed);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    if found.as_ref().is_none_or(|(first, _)| seed < *first) {
                        *found = Some((seed, outcome));
                    }
                    return;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(search);
        }
    });
    let (tried, not_loaded) = (tried.into_inner(), not_loaded.into_inner());
    let seconds = began.elapsed().as_secs_f64();
    match found.into_inner().unwrap_or_else(PoisonError::into_inner) {
        None if tried > 0 && not_loaded == tried => {
            let message = "DriverEntry refused under every seed: try `callboard run` to see why";
            Err(Failure::new(exit::ENTRY_FAILED, message))
        }
        None => {
            let mut out = anstream::stdout();
            writeln!(out, "{}: nothing found by {tried} seeds in {seconds:.1} s", subject.service)
                .map_err(written)?;
            if not_loaded > 0 {
                writeln!(out, "  in {not_loaded} of them DriverEntry failed for want of memory")
                    .map_err(written)?;
            }
            Ok(exit::SUCCESS)
        }
        Some((seed, outcome)) => {
            let outcome = outcome.map_err(failed)?;
            tell(arguments, subject, seed, &outcome).map_err(written)?;
            Ok(code(&outcome))
        }
    }
}

/// What a seed found, and how to see it again.
fn tell(arguments: &Stress, subject: &Subject, seed: u64, outcome: &Outcome) -> std::io::Result<()> {
    let mut out = anstream::stdout();
    writeln!(out, "{}: seed {seed} finds", subject.service)?;
    for finding in &outcome.findings {
        writeln!(out, "  {}: {}", finding.rule, finding.message)?;
    }
    if let Some(stop) = &outcome.stop {
        if stop.code == 0 {
            writeln!(out, "  {:?}: {}", stop.kind, stop.message)?;
        } else {
            let [a, b, c, d] = stop.parameters;
            writeln!(out, "  bug check {:#X} ({a:#x}, {b:#x}, {c:#x}, {d:#x})", stop.code)?;
            writeln!(out, "    {}", stop.message)?;
        }
    }
    let driver = arguments.driver.as_ref().map(|path| format!(" {}", path.display())).unwrap_or_default();
    let os = arguments.profile.os.name();
    writeln!(out, "see it again: callboard stress{driver} --os {os} --seed {seed}")
}

fn code(outcome: &Outcome) -> u8 {
    if outcome.stop.is_some() {
        exit::STOPPED
    } else if !outcome.findings.is_empty() {
        exit::FINDINGS
    } else {
        exit::SUCCESS
    }
}

fn failed(error: BenchError) -> Failure {
    let code = if matches!(error, BenchError::TooLarge { .. }) { exit::BAD_DRIVER } else { exit::FAILED };
    Failure::new(code, error)
}
