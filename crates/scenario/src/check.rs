//! Whether what happened is what was expected.

use std::collections::BTreeSet;
use std::ops::Range;

use event::{Body, Record, Severity, Stop, StopKind};
use nt_abi::{NTSTATUS, STATUS_SUCCESS};

use crate::act::{Answer, Machine};
use crate::diff::{self, like};
use crate::file::{At, Driver, Expect, Pattern, Step, StopKindName, StopTable};
use crate::outcome::{DiffLine, Failure};
use crate::{explain, resolve, story};

/// What is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Of<'a> {
    /// The step, in words.
    pub(crate) step: &'a str,
    /// Where it stands.
    pub(crate) span: Range<usize>,
    /// The first of its records.
    pub(crate) from: usize,
}

impl Of<'_> {
    /// A failure of it.
    pub(crate) fn failure(&self, span: Option<Range<usize>>, message: impl Into<String>) -> Failure {
        Failure {
            span: Some(span.unwrap_or_else(|| self.span.clone())),
            step: self.step.to_owned(),
            message: message.into(),
            ..Failure::default()
        }
    }
}

/// A status as authors write it.
pub(crate) fn written(status: NTSTATUS) -> String {
    match status.name() {
        Some(name) => name.to_owned(),
        None => format!("0x{:08X}", status.as_u32()),
    }
}

/// What loading a driver came to.
pub(crate) fn driver(
    machine: &Machine<'_>,
    driver: &At<Driver>,
    answer: &Answer,
    from: usize,
) -> Vec<Failure> {
    let title = format!("load {}", resolve::driver_name(driver));
    let of = Of { step: &title, span: driver.file.span(), from };
    let records = machine.bench.records();
    let told = || story::tell(&machine.names, records, from, records.len());
    if machine.bench.stop().is_some() {
        let mut failures: Vec<_> = stop(machine, &of, None).into_iter().collect();
        if let Some(first) = failures.first_mut() {
            tell(first, told());
        }
        return failures;
    }
    let expected = driver.status.as_ref().map_or(STATUS_SUCCESS, |status| status.0);
    if answer.status == Some(expected) {
        return Vec::new();
    }
    let mut failure =
        of.failure(driver.status.as_ref().map(At::span), "the driver was not loaded as expected");
    failure.diff = vec![
        DiffLine::Missing(written(expected)),
        DiffLine::Unexpected(answer.status.map_or_else(|| "no status".into(), written)),
    ];
    failure.help.extend(answer.why.clone());
    tell(&mut failure, told());
    vec![failure]
}

/// What a step came to.
pub(crate) fn step(machine: &Machine<'_>, step: &Step, answer: &Answer, of: &Of<'_>) -> Vec<Failure> {
    let nothing = Expect::default();
    let expect = step.expect.as_deref().unwrap_or(&nothing);
    let mut failures = Vec::new();
    let acts = machine.action(step).is_some();
    failures.extend(stop(machine, of, expect.stop.as_ref().map(|stop| (stop.span(), stop.table()))));
    if acts && machine.bench.stop().is_none() {
        failures.extend(status(machine, step, expect, answer, of));
        failures.extend(reply(expect, answer, of));
    }
    if failures.is_empty() {
        failures.extend(evidence(machine, expect, of));
    }
    let records = machine.bench.records();
    if let Some(first) = failures.first_mut() {
        tell(first, story::tell(&machine.names, records, of.from, records.len()));
    }
    failures
}

/// Adds what happened to a failure, but for what it says already: nothing is read twice.
fn tell(failure: &mut Failure, story: Vec<String>) {
    let in_diff = |told: &str| {
        failure.diff.iter().any(|line| matches!(line, DiffLine::Unexpected(line) if line == told))
    };
    failure.story =
        story.into_iter().filter(|line| !line.strip_prefix(story::FINDING).is_some_and(in_diff)).collect();
    let story = &failure.story;
    failure.help.retain(|help| !story.iter().any(|line| line.strip_prefix(story::FINDING) == Some(help)));
}

/// What holds at the end.
pub(crate) fn ending(machine: &Machine<'_>, from: usize) -> Vec<Failure> {
    let file = &machine.scenario.file;
    let nothing = Expect::default();
    let expect = file.expect.as_deref().unwrap_or(&nothing);
    let span = file.expect.as_ref().map_or(0..0, At::span);
    let of = Of { step: "at the end", span, from: 0 };
    let expects = || file.step.iter().filter_map(|step| step.expect.as_deref()).chain([expect]);
    let mut failures = Vec::new();
    // A stop that a step expects was looked at there.
    if expect.stop.is_some() || !expects().any(|expect| expect.stop.is_some()) {
        failures.extend(stop(machine, &of, expect.stop.as_ref().map(|stop| (stop.span(), stop.table()))));
    }
    failures.extend(evidence(machine, expect, &of));
    let records = machine.bench.records();
    if !expects().any(|expect| expect.findings.is_some()) {
        failures.extend(errors(machine, &of));
    }
    for failure in &mut failures {
        if file.expect.is_none() {
            failure.span = None;
        }
    }
    // A stop that came before the end is what there is to tell.
    let stopped = records.iter().position(|record| matches!(record.body, Body::Stop(_)));
    let from = stopped.unwrap_or(from).min(from);
    if let Some(first) = failures.first_mut() {
        tell(first, story::tell(&machine.names, records, from, records.len()));
    }
    failures
}

fn status(
    machine: &Machine<'_>,
    step: &Step,
    expect: &Expect,
    answer: &Answer,
    of: &Of<'_>,
) -> Option<Failure> {
    let expected = expect.status.as_ref().map_or(STATUS_SUCCESS, |status| status.0);
    let actual = answer.status?;
    let by = expect.by.as_ref().map(|by| by.to_string());
    let span = expect.status.as_ref().map(At::span).or_else(|| expect.by.as_ref().map(At::span));
    if actual == expected && (by.is_none() || by == answer.by) {
        return None;
    }
    let side = |status: NTSTATUS, by: Option<&String>| match by {
        Some(by) => format!("{} by {by}", written(status)),
        None => written(status),
    };
    let message = match (expected.is_success(), actual.is_success()) {
        (false, true) if step.create.is_some() => "it was let pass",
        (false, true) => "it succeeded",
        (true, false) if answer.by.is_some() => "it was refused",
        (true, false) => "it failed",
        _ if actual == nt_abi::STATUS_PENDING => "it is still pending",
        _ => "it ended with something else",
    };
    let mut failure = of.failure(span, message);
    failure.diff = vec![
        DiffLine::Missing(side(expected, by.as_ref())),
        DiffLine::Unexpected(side(actual, answer.by.as_ref())),
    ];
    failure.help = explain::status(machine, step, expect, answer, of);
    Some(failure)
}

fn reply(expect: &Expect, answer: &Answer, of: &Of<'_>) -> Vec<Failure> {
    let mut failures = Vec::new();
    if let Some(information) = &expect.information
        && **information != answer.information
    {
        let mut failure = of.failure(Some(information.span()), "the driver set another IoStatus.Information");
        failure.diff = vec![
            DiffLine::Missing(information.to_string()),
            DiffLine::Unexpected(answer.information.to_string()),
        ];
        failures.push(failure);
    }
    if let Some(output) = &expect.output
        && output.0 != answer.output
    {
        let mut failure = of.failure(Some(output.span()), "other bytes came back");
        let (expected, actual) = (explain::dump(&output.0), explain::dump(&answer.output));
        failure.diff = diff::lines(&expected, &actual, false, |a, b| a == b);
        if answer.output.is_empty() {
            failure.help.push(
                "nothing came back: the driver has to set IoStatus.Information to the number of bytes it wrote".into(),
            );
        }
        failures.push(failure);
    }
    failures
}

/// What records show: notices, lines, findings, leaks.
fn evidence(machine: &Machine<'_>, expect: &Expect, of: &Of<'_>) -> Vec<Failure> {
    let records = machine.bench.records();
    let seen = &records[of.from.min(records.len())..];
    let mut failures = Vec::new();
    if let Some(expected) = &expect.notices {
        let actual = story::notices(&machine.names, records, of.from, records.len());
        let wanted = texts(expected);
        if !diff::all_like(&wanted, &actual) {
            let mut failure = of.failure(Some(expected.span()), "drivers were told something else");
            failure.diff = diff::lines(&wanted, &actual, false, like);
            failure.help = explain::notices(&wanted, &actual, &failure.diff);
            failures.push(failure);
        }
    }
    if let Some(expected) = &expect.pending {
        let mut wanted: Vec<String> = expected.to_vec();
        wanted.sort();
        if wanted != machine.pending {
            let mut failure = of.failure(Some(expected.span()), "other requests are pending");
            failure.diff = diff::lines(&wanted, &machine.pending, false, |a, b| a == b);
            failures.push(failure);
        }
    }
    let printed = story::debug_lines(seen);
    failures.extend(expect.debug.as_ref().and_then(|expected| debug(expected, &printed, of)));
    for pattern in expect.no_debug.iter().flatten() {
        if let Some(line) = printed.iter().find(|line| pattern.is_in(line)) {
            let mut failure = of.failure(Some(pattern.span()), "a driver printed what it must not");
            failure.diff = vec![DiffLine::Unexpected(line.clone())];
            failures.push(failure);
        }
    }
    if let Some(expected) = &expect.findings {
        failures.extend(findings(machine, expected, seen, of));
    }
    if let Some(expected) = &expect.leaks {
        let leaks: Vec<String> = seen
            .iter()
            .filter_map(|record| match &record.body {
                Body::Leak(it) => Some(story::leak(&machine.names, it)),
                _ => None,
            })
            .collect();
        let all = expected.iter().all(|expected| leaks.iter().any(|leak| like(expected, leak)))
            && leaks.iter().all(|leak| expected.iter().any(|expected| like(expected, leak)));
        if !all {
            let mut failure = of.failure(Some(expected.span()), "drivers left something else behind");
            failure.diff = diff::lines(expected, &leaks, false, like);
            if expected.is_empty() {
                failure.help.push("release it in DriverUnload, which runs before this is looked at".into());
            }
            failures.push(failure);
        }
    }
    failures
}

/// Lines without their places.
fn texts(lines: &[At<String>]) -> Vec<String> {
    lines.iter().map(|line| line.to_string()).collect()
}

/// Patterns in order, with any lines between.
fn debug(expected: &[At<Pattern>], printed: &[String], of: &Of<'_>) -> Option<Failure> {
    let mut rest = printed;
    for pattern in expected {
        match rest.iter().position(|line| pattern.is_in(line)) {
            Some(at) => rest = &rest[at + 1..],
            None => {
                let texts: Vec<String> = expected.iter().map(|pattern| pattern.as_str().to_owned()).collect();
                let is_in = |wanted: &str, line: &str| {
                    expected.iter().any(|pattern| pattern.as_str() == wanted && pattern.is_in(line))
                };
                let mut failure = of.failure(Some(pattern.span()), "no driver printed this");
                failure.diff = diff::lines(&texts, printed, true, is_in);
                failure.help = explain::debug(pattern, printed, rest.len());
                return Some(failure);
            }
        }
    }
    None
}

fn findings(
    machine: &Machine<'_>,
    expected: &At<Vec<At<String>>>,
    seen: &[Record<'static>],
    of: &Of<'_>,
) -> Option<Failure> {
    let mut wanted = texts(expected);
    let found: Vec<_> = seen
        .iter()
        .filter_map(|record| match &record.body {
            Body::Finding(finding) => Some(finding),
            _ => None,
        })
        .collect();
    let rules: BTreeSet<String> = found.iter().map(|finding| finding.rule.to_string()).collect();
    let all =
        wanted.iter().filter(|rule| *rule != "*").all(|rule| rules.iter().any(|found| like(rule, found)))
            && rules.iter().all(|found| wanted.iter().any(|rule| like(rule, found)));
    if all {
        return None;
    }
    wanted.sort();
    let rules: Vec<String> = rules.into_iter().collect();
    let mut failure = of.failure(Some(expected.span()), "drivers broke other rules");
    failure.diff = diff::lines(&wanted, &rules, false, like);
    for finding in found.iter().filter(|finding| !wanted.iter().any(|rule| like(rule, &finding.rule))).take(5)
    {
        failure.help.push(explain::finding(&machine.names, finding));
    }
    Some(failure)
}

/// Findings that nobody expected.
fn errors(machine: &Machine<'_>, of: &Of<'_>) -> Option<Failure> {
    let errors: Vec<String> = machine
        .bench
        .records()
        .iter()
        .filter_map(|record| match &record.body {
            Body::Finding(finding) if finding.severity == Severity::Error => {
                Some(explain::finding(&machine.names, finding))
            }
            _ => None,
        })
        .collect();
    if errors.is_empty() {
        return None;
    }
    let mut failure = of.failure(None, "a driver broke a rule, and no `findings` expects it");
    failure.diff = errors.into_iter().map(DiffLine::Unexpected).collect();
    failure.help.push(
        "mend the driver; where the finding is what the scenario is about, add it to an `expect`: findings = [\"…\"]"
            .into(),
    );
    Some(failure)
}

fn stop(machine: &Machine<'_>, of: &Of<'_>, expected: Option<(Range<usize>, StopTable)>) -> Option<Failure> {
    let actual = machine.bench.stop();
    let (span, table) = match (expected, actual) {
        (None, None) => return None,
        (Some((span, table)), Some(stop)) if as_expected(machine, &table, stop) => {
            let _ = span;
            return None;
        }
        (Some((span, table)), _) => (Some(span), Some(table)),
        (None, Some(_)) => {
            // Expected at the end: it is looked at there.
            if of.step != "at the end"
                && machine.scenario.file.expect.as_ref().is_some_and(|it| it.stop.is_some())
            {
                return None;
            }
            (None, None)
        }
    };
    let message = match actual {
        Some(_) if table.is_none() => "the machine stopped",
        Some(_) => "the machine stopped in another way",
        None => "the machine did not stop",
    };
    let mut failure = of.failure(span, message);
    failure.diff.extend(table.as_ref().map(|table| DiffLine::Missing(explain::stop_table(table))));
    if let Some(stop) = actual {
        failure.diff.push(DiffLine::Unexpected(explain::stop(&machine.names, stop)));
        failure.help = explain::stopped(stop, table.is_none()).into_iter().collect();
    }
    Some(failure)
}

fn as_expected(machine: &Machine<'_>, table: &StopTable, stop: &Stop<'_>) -> bool {
    let kind = match table.kind {
        Some(StopKindName::BugCheck) => stop.kind == StopKind::BugCheck,
        Some(StopKindName::Hang) => stop.kind == StopKind::Hang,
        Some(StopKindName::Unimplemented) => stop.kind == StopKind::Unimplemented,
        Some(StopKindName::Died) => stop.kind == StopKind::HostDied,
        None => table.code.is_none() || stop.kind == StopKind::BugCheck,
    };
    let parameters = table.parameters.iter().flatten().zip(stop.parameters);
    kind && table.code.is_none_or(|code| code.0 == stop.code)
        && parameters
            .into_iter()
            .all(|(expected, actual)| expected.0.is_none_or(|expected| expected == actual))
        && table.driver.as_ref().is_none_or(|driver| *driver == machine.names.of_driver(stop.driver))
        && table.message.as_ref().is_none_or(|message| message.is_in(&stop.message))
}
