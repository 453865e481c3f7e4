//! `callboard doctor`: what this machine allows, each by a real try.

use std::io::Write;
use std::time::Instant;

use callboard::host::{Bench, BenchOptions, sandbox};
use callboard::{SENSOR, exit, live};

use crate::{Outcome, written};

/// How one try went.
enum Result {
    /// It works.
    Works(String),
    /// It does not, and Callboard goes on without.
    Without(String),
    /// It does not, and `run` needs it.
    Lacks(String),
}

/// Tries everything and says how it went.
pub(crate) fn doctor() -> Outcome {
    let mut out = anstream::stdout().lock();
    let mut usable = true;
    for (name, result) in tries() {
        let (style, word, text) = match result {
            Result::Works(text) => (anstyle::AnsiColor::Green, "works", text),
            Result::Without(text) => (anstyle::AnsiColor::Yellow, "goes without", text),
            Result::Lacks(text) => {
                usable = false;
                (anstyle::AnsiColor::Red, "missing", text)
            }
        };
        let style = anstyle::Style::new().fg_color(Some(style.into()));
        writeln!(out, "{style}{word:>12}{style:#}  {name:<34} {text}").map_err(written)?;
    }
    let (text, code) = if usable {
        ("this machine can do everything `callboard run` needs", exit::SUCCESS)
    } else {
        ("`callboard run` does not work here until what is missing is there", exit::NOT_PERMITTED)
    };
    writeln!(out, "\n{text}").map_err(written)?;
    Ok(code)
}

fn tries() -> Vec<(String, Result)> {
    let mut tries: Vec<(String, Result)> = live::probe()
        .into_iter()
        .map(|probe| {
            let result = match probe.outcome {
                live::ProbeOutcome::Works(text) => Result::Works(text),
                live::ProbeOutcome::Missing { needed: true, text } => Result::Lacks(text),
                live::ProbeOutcome::Missing { needed: false, text } => Result::Without(text),
            };
            (probe.name.to_owned(), result)
        })
        .collect();
    match sandbox::probe() {
        Ok(report) => tries.extend(report.measures.iter().map(|measure| {
            let result = match &measure.state {
                sandbox::State::InForce => Result::Works("in force".into()),
                sandbox::State::Partly(why) | sandbox::State::Missing(why) => Result::Without(why.clone()),
            };
            (format!("sandbox: {}", measure.layer), result)
        })),
        Err(error) => tries.push(("sandbox".into(), Result::Lacks(error.to_string()))),
    }
    tries.push(("a driver in its host".into(), a_driver()));
    tries
}

/// Starts a host and loads the built-in driver.
fn a_driver() -> Result {
    let began = Instant::now();
    let loaded = Bench::start(BenchOptions::new(nt_abi::Profile::Win11_24H2)).and_then(|mut bench| {
        bench.load("sensor", "sensor.sys", SENSOR)?;
        let ready = began.elapsed();
        bench.finish()?;
        Ok(ready)
    });
    match loaded {
        Ok(ready) => Result::Works(format!("DriverEntry done after {:.1} ms", ready.as_secs_f64() * 1000.0)),
        Err(error) => Result::Lacks(error.to_string()),
    }
}
