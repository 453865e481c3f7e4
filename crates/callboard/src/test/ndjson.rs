//! Results for programs: one JSON object a line.

use std::io::{self, Write};

use scenario::{DiffLine, Failure};
use serde_json::{Value, json};

use super::jobs::Verdict;
use super::plan::Planned;
use super::{Reporter, Tally};

/// Results on the standard output.
pub(super) struct Ndjson;

fn line(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}")?;
    out.flush()
}

impl Reporter for Ndjson {
    fn started(&mut self, _: &Planned) {}

    fn ended(&mut self, test: &Planned, verdict: &Verdict) -> io::Result<()> {
        let mut value = json!({
            "type": "test",
            "file": test.path.to_string_lossy(),
            "name": test.name(),
            "profile": test.profile_name(),
        });
        let (outcome, more) = match verdict {
            Verdict::Done(done) => {
                value["seconds"] = json!(done.elapsed.as_secs_f64());
                value["notes"] = json!(done.notes);
                let failures: Vec<_> = done.failures.iter().map(|failure| described(test, failure)).collect();
                (if done.passed() { "pass" } else { "fail" }, ("failures", json!(failures)))
            }
            Verdict::Skipped(why) => ("skip", ("reason", json!(why))),
            Verdict::Bad(error) => ("bad-file", ("reason", json!(error.to_string()))),
            Verdict::Broken(error) => ("error", ("reason", json!(error))),
        };
        value["outcome"] = json!(outcome);
        value[more.0] = more.1;
        line(&value)
    }

    fn summary(&mut self, tally: &Tally) -> io::Result<()> {
        line(&json!({
            "type": "summary",
            "passed": tally.passed,
            "failed": tally.failed,
            "skipped": tally.skipped,
            "bad_files": tally.bad,
            "errors": tally.broken,
            "not_begun": tally.left_out,
            "seconds": tally.elapsed.as_secs_f64(),
        }))
    }
}

fn described(test: &Planned, failure: &Failure) -> Value {
    let place = test.scenario.as_ref().ok().and_then(|scenario| failure.place(scenario));
    let (mut expected, mut actual) = (Vec::new(), Vec::new());
    for line in &failure.diff {
        match line {
            DiffLine::Same(text) => {
                expected.push(text);
                actual.push(text);
            }
            DiffLine::Missing(text) => expected.push(text),
            DiffLine::Unexpected(text) => actual.push(text),
        }
    }
    json!({
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "step": failure.step,
        "message": failure.message,
        "expected": expected,
        "actual": actual,
        "happened": failure.story,
        "help": failure.help,
    })
}
