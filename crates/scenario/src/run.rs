//! Running a scenario: one bench of its own, step after step.

use std::time::Instant;

use bench::{Bench, Error};
use nt_abi::Profile;

use crate::act::{Answer, Machine};
use crate::check::{self, Of};
use crate::outcome::{Failure, Outcome};
use crate::{Scenario, explain};

/// How a scenario is run.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The Windows that is stood in for.
    pub profile: Profile,
    /// The image of `builtin:sensor`.
    pub sensor: &'a [u8],
    /// Whether drivers run even where this machine cannot confine them.
    pub without_sandbox: bool,
}

impl Scenario {
    /// Runs the scenario on a machine of its own.
    ///
    /// # Errors
    /// When the machine cannot be set up; whatever drivers do is part of the outcome.
    pub fn run(&self, options: Options<'_>) -> Result<Outcome, Error> {
        let begin = Instant::now();
        let bench = start(self, options)?;
        let mut machine = Machine::new(self, bench, options.sensor)?;
        let mut failures = drivers(&mut machine);
        if failures.is_empty() {
            failures = steps(&mut machine);
        }
        if failures.is_empty() {
            if self.file.expect.as_ref().is_some_and(|expect| expect.pending.is_some()) {
                machine.look_what_is_pending();
            }
            let from = machine.bench.records().len();
            // Why it cannot be finished is in the records.
            let _ = machine.bench.finish();
            machine.bench.collect();
            failures = check::ending(&machine, from);
        }
        let Machine { bench, names, .. } = machine;
        let notes = explain::notes(self, &names, bench.records());
        Ok(Outcome {
            profile: options.profile,
            failures,
            notes,
            records: bench.records().to_vec(),
            elapsed: begin.elapsed(),
        })
    }
}

fn start(scenario: &Scenario, options: Options<'_>) -> Result<Bench, Error> {
    let file = &scenario.file;
    let mut builder = Bench::builder().profile(options.profile);
    builder = builder.pool(match file.pool {
        crate::file::Pool::Fast => bench::Pool::Fast,
        crate::file::Pool::Special => bench::Pool::Special,
    });
    if file.force_integrity {
        builder = builder.force_integrity();
    }
    let mut choices = bench::Choices::default();
    for (name, value) in &file.choices {
        // Names and values were looked at when the file was read.
        let _ = choices.set(name, value);
    }
    builder = builder.choices(choices);
    if let Some(seed) = file.stress {
        builder = builder.stress(seed);
    }
    if let Some(watchdog) = file.watchdog {
        builder = builder.watchdog(watchdog.0);
    }
    if options.without_sandbox {
        builder = builder.host(|host| host.sandbox = host::sandbox::Policy::Off);
    }
    builder.start()
}

/// Loads the drivers that do not wait for a step.
fn drivers(machine: &mut Machine<'_>) -> Vec<Failure> {
    let scenario = machine.scenario;
    for driver in scenario.file.driver.iter().filter(|driver| !driver.later) {
        let from = machine.bench.records().len();
        let answer = machine.load(driver);
        machine.bench.collect();
        let failures = check::driver(machine, driver, &answer, from);
        if !failures.is_empty() {
            return failures;
        }
        if machine.bench.stop().is_some() {
            break;
        }
    }
    Vec::new()
}

/// Does the steps until one fails or the machine stops.
fn steps(machine: &mut Machine<'_>) -> Vec<Failure> {
    let scenario = machine.scenario;
    for (index, step) in scenario.file.step.iter().enumerate() {
        let stopped = machine.bench.stop().is_some();
        let from = machine.bench.records().len();
        let action = machine.action(step);
        if stopped && action.is_some() {
            // Nothing can happen any more; whether that was expected is asked at the end.
            continue;
        }
        let title = match &action {
            Some(what) => format!("step {}: {what}", index + 1),
            None => format!("step {}", index + 1),
        };
        let of = Of { step: &title, span: step.span(), from: if action.is_some() { from } else { 0 } };
        let answer = match machine.act(step) {
            Ok(answer) => answer,
            Err(why) => return vec![explain::not_done(machine, &of, why)],
        };
        if step.expect.as_ref().is_some_and(|expect| expect.pending.is_some()) {
            machine.look_what_is_pending();
        }
        machine.bench.collect();
        machine.name(step, from);
        let failures = check::step(machine, step, &answer, &of);
        if !failures.is_empty() {
            return failures;
        }
    }
    Vec::new()
}

/// What a step that was done came to.
pub(crate) type Acted = Result<Answer, String>;
