//! What to tell an author whose expectation was not met.

use std::fmt::Write as _;

use event::terminal::plain;
use event::{Body, DriverId, EventKind, Family, Finding, Flavour, Record, Severity, Stop, StopKind};
use nt_abi::BugCheckCode;

use crate::Scenario;
use crate::act::{Answer, Machine};
use crate::check::{Of, written};
use crate::diff;
use crate::file::{Expect, Pattern, Step, StopKindName, StopTable};
use crate::outcome::{DiffLine, Failure};
use crate::story::{self, Names};
use crate::suggest;

/// A step that could not be done.
pub(crate) fn not_done(machine: &Machine<'_>, of: &Of<'_>, why: String) -> Failure {
    let mut failure = of.failure(None, why);
    let records = machine.bench.records();
    failure.story = story::tell(&machine.names, records, 0, records.len());
    failure
}

/// Why a status may be another.
pub(crate) fn status(
    machine: &Machine<'_>,
    step: &Step,
    expect: &Expect,
    answer: &Answer,
    of: &Of<'_>,
) -> Vec<String> {
    let expected = expect.status.as_ref().map_or(nt_abi::STATUS_SUCCESS, |status| status.0);
    let Some(actual) = answer.status else { return Vec::new() };
    if !actual.is_success() {
        let mut help = Vec::new();
        match &answer.by {
            Some(by) if expect.by.as_ref().is_some_and(|expected| expected.as_str() != by) => {
                help.push(format!("`{by}` wrote the status last: the last writer wins"));
            }
            Some(by) => help.push(format!(
                "`{by}` left {} in CreationStatus; if that is right, write: expect = {{ status = \"{}\", by = \"{by}\" }}",
                written(actual),
                written(actual),
            )),
            None => {
                help.extend(answer.why.clone());
                if expected.is_success() {
                    help.push(format!("if that is right, write: expect = {{ status = \"{}\" }}", written(actual)));
                }
            }
        }
        return help;
    }
    if step.create.is_none() && step.thread.is_none() {
        return answer.why.clone().into_iter().collect();
    }
    let drivers = match &expect.by {
        Some(by) => vec![by.to_string()],
        None => {
            machine.scenario.file.driver.iter().map(|driver| crate::resolve::driver_name(driver)).collect()
        }
    };
    drivers.iter().filter_map(|driver| let_pass(machine, driver, of)).collect()
}

/// Why a driver let a process pass.
fn let_pass(machine: &Machine<'_>, driver: &str, of: &Of<'_>) -> Option<String> {
    let records = machine.bench.records();
    let id = machine.names.driver_id(driver)?;
    let asked = (of.from..records.len()).find(|at| {
        matches!(&records[*at].body, Body::Notification(notice)
            if notice.driver == id && notice.family == Family::Process)
    });
    let Some(at) = asked else { return Some(not_asked(records, driver, id)) };
    let Body::Notification(notice) = &records[at].body else { return None };
    let mut text = match notice.status {
        Some(status) => format!("`{driver}` was asked and left {} in CreationStatus", written(status)),
        None => return Some(format!("`{driver}` was told, {PLAIN}")),
    };
    if let Some(event) = story::event_of(records, at, notice)
        && let EventKind::ProcessCreate(process) = &event.kind
    {
        // In the form that ImageFileName has (R-PCI-03).
        let image = process.image.as_ref().map_or(("", "(none)"), |name| name.dos());
        let image = format!("{}{}", image.0, image.1);
        let line = process.command_line.as_deref().unwrap_or("(none)");
        let parent = machine.names.of_process(process.parent, at);
        let _ = write!(
            text,
            "; it was given the image {}, the command line {} and the parent {parent}: compare them with what the driver \
             looks for",
            plain(&image),
            plain(line)
        );
    }
    Some(text)
}

const PLAIN: &str = "but a routine of PsSetCreateProcessNotifyRoutine cannot refuse: register one with \
                     PsSetCreateProcessNotifyRoutineEx";

/// Why a driver was not asked about a process.
fn not_asked(records: &[Record<'static>], driver: &str, id: DriverId) -> String {
    let mut help = format!(
        "`{driver}` has registered no process routine: call PsSetCreateProcessNotifyRoutineEx in DriverEntry and look \
         at what it returns"
    );
    for record in records {
        let Body::Registration { driver: whose, family: Family::Process, flavour, removed, status, .. } =
            record.body
        else {
            continue;
        };
        if whose != id {
            continue;
        }
        help = if removed && status.is_success() {
            format!("`{driver}` had removed its process routine before this step")
        } else if !status.is_success() {
            format!("registering the process routine of `{driver}` failed with {status}")
        } else if flavour == Flavour::Plain {
            format!("`{driver}` has a process routine, {PLAIN}")
        } else {
            format!("`{driver}` has a process routine and was not called: nobody is told of this process")
        };
    }
    help
}

/// What to do about other notices.
pub(crate) fn notices(expected: &[String], actual: &[String], difference: &[DiffLine]) -> Vec<String> {
    if actual.is_empty() {
        return vec![
            "no routine was called: look at whether the driver registers one, and with which status".into(),
        ];
    }
    if !expected.iter().any(|line| line == diff::ANY_LINES) {
        return vec![
            "if what happened is right, copy the lines of `+`; a line `...` stands for any lines".into(),
        ];
    }
    // Other lines may stand between: the whole of them is no answer to a line that is not there.
    let missing = difference.iter().filter_map(|line| match line {
        DiffLine::Missing(line) => Some(line),
        _ => None,
    });
    let help = |wanted: &String| {
        if actual.iter().any(|line| diff::like(wanted, line)) {
            return format!("`{wanted}` is there, but not at this place: the order counts");
        }
        match suggest::nearest(wanted, actual.iter().map(String::as_str)) {
            Some(line) => format!("no line is like `{wanted}`; nearest: `{line}`"),
            None => format!("no line is like `{wanted}`"),
        }
    };
    let help: Vec<_> = missing.take(3).map(help).collect();
    if help.is_empty() {
        return vec!["every line is there, but others stand between: `...` goes where any may".into()];
    }
    help
}

/// What to do about a line that was not printed.
pub(crate) fn debug(pattern: &Pattern, printed: &[String], left: usize) -> Vec<String> {
    if printed.is_empty() {
        return vec!["no driver printed anything here; DbgPrint lines end with \\n".into()];
    }
    if left < printed.len() && printed.iter().any(|line| pattern.is_in(line)) {
        return vec!["it was printed, but before the line above it in `debug`: the order counts".into()];
    }
    match suggest::closest(pattern.as_str(), printed.iter().map(String::as_str)) {
        Some(line) => vec![format!("the line most like it is: {line}")],
        None => Vec::new(),
    }
}

/// A finding on a line.
pub(crate) fn finding(names: &Names, finding: &Finding<'_>) -> String {
    let place = finding.stack.first().map(|frame| format!(" at {}", place(frame))).unwrap_or_default();
    format!("{} by {}{place}: {}", finding.rule, names.of_driver(finding.driver), plain(&finding.message))
}

/// Where a frame of a stack is.
pub(crate) fn place(frame: &event::Frame<'_>) -> String {
    match (&frame.module, &frame.symbol) {
        (Some(module), Some(symbol)) => format!("{}!{}", plain(module), plain(symbol)),
        (Some(module), None) => format!("{}+{:#x}", plain(module), frame.offset),
        _ => format!("{:#x}", frame.address),
    }
}

/// A stop on a line.
pub(crate) fn stop(names: &Names, stop: &Stop<'_>) -> String {
    let who = stop.driver.map(|driver| format!(" in {}", names.of_driver(Some(driver)))).unwrap_or_default();
    match stop.kind {
        StopKind::BugCheck => {
            let parameters: Vec<_> = stop.parameters.iter().map(|value| format!("{value:#x}")).collect();
            format!("{} ({}){who}", BugCheckCode(stop.code), parameters.join(", "))
        }
        StopKind::Hang => format!("hang{who}"),
        StopKind::Unimplemented => format!("unimplemented{who}"),
        StopKind::HostDied => format!("died{who}"),
    }
}

/// An expected stop on a line.
pub(crate) fn stop_table(table: &StopTable) -> String {
    let mut text = match (table.kind, table.code) {
        (_, Some(code)) => BugCheckCode(code.0).to_string(),
        (Some(StopKindName::Hang), _) => "hang".into(),
        (Some(StopKindName::Unimplemented), _) => "unimplemented".into(),
        (Some(StopKindName::Died), _) => "died".into(),
        (Some(StopKindName::BugCheck) | None, None) => "a bug check".into(),
    };
    if let Some(parameters) = &table.parameters {
        let parameters: Vec<_> = parameters
            .iter()
            .map(|value| value.0.map_or("*".into(), |value| format!("{value:#x}")))
            .collect();
        let _ = write!(text, " ({})", parameters.join(", "));
    }
    if let Some(driver) = &table.driver {
        let _ = write!(text, " in {driver}");
    }
    if let Some(message) = &table.message {
        let _ = write!(text, ", saying {}", message.as_str());
    }
    text
}

/// What to do about a stop.
pub(crate) fn stopped(stop: &Stop<'_>, unexpected: bool) -> Option<String> {
    unexpected.then(|| {
        let name = match stop.kind {
            StopKind::BugCheck => match BugCheckCode(stop.code).name() {
                Some(name) => format!("\"{name}\""),
                None => format!("{:#x}", stop.code),
            },
            StopKind::Hang => "\"hang\"".into(),
            StopKind::Unimplemented => "\"unimplemented\"".into(),
            StopKind::HostDied => "\"died\"".into(),
        };
        format!("where the stop is what the scenario is about, write: expect = {{ stop = {name} }}")
    })
}

/// Bytes as lines of 16, as a debugger shows them.
pub(crate) fn dump(bytes: &[u8]) -> Vec<String> {
    let line = |(index, bytes): (usize, &[u8])| {
        let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = bytes
            .iter()
            .map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' })
            .collect();
        format!("{:04x}  {:<47}  {text}", index * 16, hex.join(" "))
    };
    bytes.chunks(16).enumerate().map(line).collect()
}

/// What nobody asked about, and the author should know.
pub(crate) fn notes(scenario: &Scenario, names: &Names, records: &[Record<'static>]) -> Vec<String> {
    let file = &scenario.file;
    let asked = |of: fn(&Expect) -> bool| {
        file.step.iter().filter_map(|step| step.expect.as_deref()).chain(file.expect.as_deref()).any(of)
    };
    let (findings, leaks) =
        (asked(|expect| expect.findings.is_some()), asked(|expect| expect.leaks.is_some()));
    let mut notes = Vec::new();
    for record in records {
        match &record.body {
            Body::Finding(it) if it.severity == Severity::Warning && !findings => {
                notes.push(format!("warning {}", finding(names, it)));
            }
            Body::Leak(it) if !leaks => notes.push(format!("left behind by {}", story::leak(names, it))),
            _ => {}
        }
    }
    notes
}
