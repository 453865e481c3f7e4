//! The reports: the example run in each, compared with what is kept in `snapshots/`, and what holds for any records.
//! `CALLBOARD_SARIF_SCHEMA` names the official schema of SARIF 2.1.0, where that is at hand.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use event::*;
use nt_abi::STATUS_SUCCESS;
use proptest::collection::vec;
use proptest::prelude::*;
use quick_xml::events::Event as Xml;
use report::{Junit, Perfetto, Rule, Sarif, Sink};
use serde_json::Value;

use crate::arbitrary::record;
use crate::hostile::acts_on_a_terminal;
use crate::story::story;

/// Two rules: one that the story breaks, and one that it keeps.
fn rules() -> Vec<Rule> {
    let page = "# L-15: Nothing is kept\n\n## Why\n\nIt is gone.\n\n## What to do\n\nCopy it:\n\n```c\nx = *y;\n```\n";
    vec![
        Rule { id: "L-01", severity: Severity::Warning, title: "No registry calls", page: "# L-01\n" },
        Rule { id: "L-15", severity: Severity::Error, title: "Nothing is kept", page },
    ]
}

/// A report of records; `make` says which.
fn written<'w, S: Sink + 'w>(
    records: &[Record<'_>],
    make: impl FnOnce(&'w mut Vec<u8>) -> S,
    out: &'w mut Vec<u8>,
) {
    let mut sink = make(out);
    for record in records {
        sink.record(record).unwrap();
    }
    sink.finish().unwrap();
}

fn sarif(records: &[Record<'_>]) -> String {
    let mut out = Vec::new();
    written(records, |out| Sarif::new("test", out, rules()), &mut out);
    String::from_utf8(out).unwrap()
}

fn junit(records: &[Record<'_>]) -> String {
    let mut out = Vec::new();
    written(records, |out| Junit::new("test", out, rules()), &mut out);
    String::from_utf8(out).unwrap()
}

fn perfetto(records: &[Record<'_>]) -> String {
    let mut out = Vec::new();
    written(records, |out| Perfetto::new("test", out), &mut out);
    String::from_utf8(out).unwrap()
}

/// The example run without its stop, and then again as another machine.
fn two_machines() -> Vec<Record<'static>> {
    let named = |record: Record<'static>, name: &'static str| match record.body {
        Body::Start { version, profile, command, .. } => {
            Record { body: Body::Start { version, profile, machine: name.into(), command }, ..record }
        }
        _ => record,
    };
    let first = story().into_iter().filter(|record| !matches!(record.body, Body::Stop(_)));
    let first = first.map(|record| named(record, "HOST42"));
    first.chain(story().into_iter().map(|record| named(record, "HOST43"))).collect()
}

// SARIF

#[test]
fn sarif_of_the_example_run() {
    let mut log: Value = serde_json::from_str(&sarif(&story())).unwrap();
    log.sort_all_objects();
    let text = serde_json::to_string_pretty(&log).unwrap();
    insta::assert_snapshot!(text.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn sarif_of_nothing_is_a_log_too() {
    let log: Value = serde_json::from_str(&sarif(&[])).unwrap();
    assert_eq!(as_sarif(&log), Vec::<String>::new());
    assert_eq!(log["runs"][0]["results"], serde_json::json!([]));
}

/// What of a log is not as SARIF 2.1.0 demands: what the specification calls required, and what readers stumble over.
fn as_sarif(log: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut demand = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    demand(log["version"] == "2.1.0", "version");
    demand(log["$schema"].is_string(), "$schema");
    let runs = log["runs"].as_array().unwrap();
    demand(runs.len() == 1, "one run");
    let driver = &runs[0]["tool"]["driver"];
    demand(driver["name"] == "Callboard" && driver["version"].is_string(), "tool.driver");
    demand(
        driver["informationUri"].as_str().is_some_and(|uri| uri.starts_with("https://")),
        "informationUri",
    );
    let rules = driver["rules"].as_array().unwrap();
    let ids: BTreeSet<_> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    demand(ids.len() == rules.len(), "ids of rules are unique");
    for rule in rules {
        for text in ["shortDescription", "fullDescription", "help"] {
            demand(rule[text]["text"].as_str().is_some_and(|text| !text.is_empty()), text);
        }
        let level = rule["defaultConfiguration"]["level"].as_str();
        demand(matches!(level, Some("warning" | "error")), "defaultConfiguration.level");
    }
    for result in runs[0]["results"].as_array().unwrap() {
        let id = result["ruleId"].as_str().unwrap();
        if let Some(index) = result["ruleIndex"].as_u64() {
            let rule = rules[usize::try_from(index).unwrap()]["id"].as_str().unwrap();
            let below = id.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            demand(below, "ruleIndex is of ruleId, or of what that is below");
        }
        demand(matches!(result["level"].as_str(), Some("warning" | "error")), "level");
        demand(result["message"]["text"].is_string(), "message.text");
        demand(!result["partialFingerprints"].as_object().unwrap().is_empty(), "partialFingerprints");
        let frames = result["stacks"][0]["frames"].as_array().cloned().unwrap_or_default();
        let frames = frames.iter().map(|frame| &frame["location"]);
        for location in frames.chain(result["locations"].as_array().into_iter().flatten()) {
            let uri = &location["physicalLocation"]["artifactLocation"]["uri"];
            let clean = |uri: &str| {
                uri.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/%:".contains(&byte))
            };
            demand(uri.is_null() || uri.as_str().is_some_and(clean), "uri");
            let address = &location["physicalLocation"]["address"];
            demand(address.is_null() || address["relativeAddress"].as_u64().is_some(), "relativeAddress");
        }
    }
    for invocation in runs[0]["invocations"].as_array().unwrap() {
        demand(invocation["executionSuccessful"].is_boolean(), "executionSuccessful");
    }
    wrong
}

#[test]
fn sarif_is_valid_by_the_official_schema() {
    let Some(path) = std::env::var_os("CALLBOARD_SARIF_SCHEMA") else {
        eprintln!("SKIPPED: CALLBOARD_SARIF_SCHEMA does not name the schema of SARIF 2.1.0");
        return;
    };
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for records in [Vec::new(), story(), two_machines()] {
        let log: Value = serde_json::from_str(&sarif(&records)).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(&log).map(|error| format!("{}: {error}", error.instance_path)).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
    // What is not SARIF is told: the schema is no other.
    assert!(!validator.is_valid(&serde_json::json!({ "version": "2.1.0" })));
}

#[test]
fn sarif_fingerprints_are_of_the_place_and_not_of_the_run() {
    let fingerprints = |records: &[Record<'_>]| -> Vec<String> {
        let log: Value = serde_json::from_str(&sarif(records)).unwrap();
        let results = log["runs"][0]["results"].as_array().unwrap();
        results.iter().map(|result| result["partialFingerprints"].to_string()).collect()
    };
    // Another day, other addresses, another place in the same function after a new build.
    let mut other = story();
    for record in &mut other {
        record.time = Time(record.time.0 + 864_000_000_000);
        record.context.process = ProcessId(record.context.process.0 + 400);
        if let Body::Finding(finding) = &mut record.body {
            for frame in &mut finding.stack {
                frame.address += 0x1000_0000;
                frame.offset += 8;
                frame.symbol =
                    frame.symbol.take().map(|symbol| symbol.replace("+0x64", "+0x6c (late.c:80)").into());
            }
        }
    }
    assert_eq!(fingerprints(&story()), fingerprints(&other));
    assert_eq!(fingerprints(&story()).iter().collect::<BTreeSet<_>>().len(), 4, "each is another's");
}

#[test]
fn sarif_of_two_machines_is_one_run_with_an_invocation_each() {
    let log: Value = serde_json::from_str(&sarif(&two_machines())).unwrap();
    assert_eq!(as_sarif(&log), Vec::<String>::new());
    let invocations = log["runs"][0]["invocations"].as_array().unwrap();
    let ended: Vec<_> = invocations.iter().map(|run| run["executionSuccessful"].as_bool().unwrap()).collect();
    assert_eq!(ended, [true, false], "{invocations:#?}");
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 7, "{results:#?}");
    assert_eq!(results[3]["properties"]["machine"], "HOST43", "{results:#?}");
}

// JUnit

#[test]
fn junit_of_the_example_run() {
    insta::assert_snapshot!(junit(&story()));
}

/// How tests ended, by suite and name.
type Tests = BTreeMap<(String, String), &'static str>;

/// The tests of a report by suite and name, and how each ended; and the counts of the report itself.
fn tests(xml: &str) -> (Tests, HashMap<String, String>) {
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut tests, mut totals) = (BTreeMap::new(), HashMap::new());
    let mut current = None;
    loop {
        let event = reader.read_event().unwrap();
        match &event {
            Xml::Eof => break,
            Xml::Start(tag) | Xml::Empty(tag) => {
                let attributes: HashMap<_, _> = tag
                    .attributes()
                    .map(|attribute| {
                        let attribute = attribute.unwrap();
                        let key = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
                        let value = String::from_utf8(attribute.value.to_vec()).unwrap();
                        (key, quick_xml::escape::unescape(&value).unwrap().into_owned())
                    })
                    .collect();
                match tag.name().as_ref() {
                    b"testsuites" => totals = attributes,
                    b"testcase" => {
                        let key = (attributes["classname"].clone(), attributes["name"].clone());
                        assert_eq!(tests.insert(key.clone(), "passed"), None, "{key:?} comes twice");
                        current = Some(key);
                    }
                    b"failure" => drop(tests.insert(current.clone().unwrap(), "failed")),
                    b"skipped" => drop(tests.insert(current.clone().unwrap(), "skipped")),
                    _ => {}
                }
            }
            Xml::Text(text) => {
                let _ = text.decode().unwrap();
            }
            _ => {}
        }
    }
    (tests, totals)
}

/// Whether XML 1.0 has a character.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

#[test]
fn junit_counts_what_it_tells() {
    let (tests, totals) = tests(&junit(&two_machines()));
    let count = |end: &str| tests.values().filter(|it| **it == end).count().to_string();
    assert_eq!(totals["tests"], tests.len().to_string());
    assert_eq!((&totals["failures"], &totals["errors"]), (&count("failed"), &"0".to_owned()));
    let suites: BTreeSet<_> = tests.keys().map(|(suite, _)| suite.as_str()).collect();
    let drivers = ["sensor", "late", "no driver"];
    let expected = ["HOST42", "HOST43"].map(|host| drivers.map(|driver| format!("{host}: {driver}")));
    assert_eq!(suites, expected.iter().flatten().map(String::as_str).collect());
    let of = |suite: &str, name: &str| tests[&(suite.to_owned(), name.to_owned())];
    assert_eq!(of("HOST42: late", "does not stop the machine"), "passed");
    assert_eq!(of("HOST43: late", "does not stop the machine"), "failed");
    assert_eq!(of("HOST43: sensor", "does not stop the machine"), "passed");
    assert_eq!(of("HOST42: sensor", "unloads"), "skipped");
    // A refusal is what a driver is for.
    assert!(tests.iter().all(|((suite, _), end)| !suite.contains("sensor") || *end != "failed"));
}

#[test]
fn junit_of_a_driver_that_never_returns_from_its_entry() {
    let records = &story()[..9];
    let (tests, _) = tests(&junit(records));
    let of = |name: &str| tests[&("late".to_owned(), name.to_owned())];
    assert_eq!((of("loads"), of("unloads")), ("failed", "skipped"));
    assert_eq!(of("L-01: No registry calls"), "skipped");
}

// Perfetto

#[test]
fn perfetto_of_the_example_run() {
    insta::assert_snapshot!(perfetto(&story()));
}

/// The trace as its reader would have it: slices lie within each other, and what has an end has a beginning.
fn as_trace(text: &str) -> Vec<Value> {
    let events: Vec<Value> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let (mut named, mut flows, mut lives) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut open: HashMap<(u64, u64), Vec<f64>> = HashMap::new();
    let mut spans: BTreeMap<(u64, u64), Vec<(f64, f64)>> = BTreeMap::new();
    for event in &events {
        let on = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
        assert!(event["name"].is_string(), "{event}");
        let time = event["ts"].as_f64();
        match event["ph"].as_str().unwrap() {
            "M" => {
                if event["name"] == "thread_name" {
                    assert!(named.insert(on), "named again: {event}");
                }
                continue;
            }
            "X" => spans.entry(on).or_default().push((time.unwrap(), event["dur"].as_f64().unwrap())),
            "B" => open.entry(on).or_default().push(time.unwrap()),
            "E" => {
                let begun = open.entry(on).or_default().pop().expect("an end without a beginning");
                assert!(time.unwrap() >= begun, "{event}");
            }
            "s" => assert!(flows.insert(event["id"].to_string()), "{event}"),
            "f" => assert!(flows.remove(&event["id"].to_string()), "{event}"),
            "b" => assert!(lives.insert((on.0, event["id"].to_string())), "{event}"),
            "e" => assert!(lives.remove(&(on.0, event["id"].to_string())), "{event}"),
            "i" | "C" => {}
            other => panic!("{other}"),
        }
        assert!(time.unwrap() >= 0.0, "{event}");
    }
    assert!(open.values().all(Vec::is_empty) && flows.is_empty() && lives.is_empty());
    for spans in spans.values() {
        for pair in spans.windows(2) {
            // To a thousandth of a nanosecond, where numbers are not beyond what a reader can tell apart.
            let end = pair[0].0 + pair[0].1;
            assert!(pair[1].0 >= end - end.abs() * 1e-12 - 1e-6, "{pair:?}");
        }
    }
    events
}

#[test]
fn perfetto_calls_follow_each_other_where_the_clock_stands_still() {
    let mut records = story();
    let first = records[0].time;
    for record in &mut records {
        record.time = first;
    }
    as_trace(&perfetto(&records));
}

#[test]
fn perfetto_of_two_machines_has_no_number_twice() {
    let events = as_trace(&perfetto(&two_machines()));
    let mut names: HashMap<u64, BTreeSet<&str>> = HashMap::new();
    for event in events.iter().filter(|event| event["name"] == "process_name") {
        names
            .entry(event["pid"].as_u64().unwrap())
            .or_default()
            .insert(event["args"]["name"].as_str().unwrap());
    }
    assert!(names.values().all(|names| names.len() == 1), "{names:?}");
    let shells = names.values().flatten().filter(|name| name.contains("dash (")).count();
    assert_eq!(shells, 4, "one and its clone on either machine: {names:?}");
}

#[test]
fn perfetto_that_is_cut_off_is_readable_up_to_there() {
    let whole = perfetto(&story());
    for lines in 1..whole.lines().count() - 1 {
        let text: Vec<_> = whole.lines().take(lines).collect();
        let text = text.join("\n");
        let closed = format!("{}]", text.trim_end_matches(','));
        let events: Vec<Value> = serde_json::from_str(&closed).unwrap();
        assert_eq!(events.len(), lines - 1);
    }
}

#[test]
fn perfetto_over_days_keeps_its_microseconds() {
    let day = 864_000_000_000;
    let records: Vec<_> = (0..30)
        .map(|days| Record {
            time: Time(134_000_000_000_000_001 + days * day),
            context: ClientId::default(),
            body: Body::Note { level: Level::Info, text: days.to_string().into() },
        })
        .collect();
    let events = as_trace(&perfetto(&records));
    let last = events.last().unwrap();
    assert_eq!((&last["args"]["text"], &last["ts"]), (&Value::from("29"), &Value::from(29.0 * 86_400e6)));
}

// All

#[test]
fn the_same_records_give_the_same_reports() {
    for report in [sarif, junit, perfetto] {
        assert_eq!(report(&two_machines()), report(&two_machines()));
    }
}

#[test]
fn what_is_written_once_is_not_held_until_the_end() {
    // A million processes that came and went are no more than the first thousand.
    let mut out = Vec::new();
    let mut sink = Perfetto::new("test", &mut out);
    for id in 0..50_000_u32 {
        let context = ClientId { process: ProcessId(4), thread: ThreadId(8) };
        let process = Process {
            process: ProcessId(id * 4 + 8),
            first_thread: ThreadId(id * 4 + 8),
            ..Process::default()
        };
        let exit = ProcessExit { process: process.process, status: STATUS_SUCCESS };
        for kind in [EventKind::ProcessCreate(process), EventKind::ProcessExit(exit)] {
            let (time, conditions) = (Time(i64::from(id)), Conditions::default());
            let body = Body::Event(Event { time, context, kind, conditions });
            sink.record(&Record { time, context, body }).unwrap();
        }
    }
    sink.finish().unwrap();
    drop(sink);
    as_trace(&String::from_utf8(out).unwrap());
}

proptest! {
    #[test]
    fn sarif_of_any_records_is_sarif(records in vec(record(), 0..20)) {
        let text = sarif(&records);
        prop_assert!(!text.chars().any(|c| c != '\n' && acts_on_a_terminal(c)));
        let log: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(as_sarif(&log), Vec::<String>::new());
        let found = records.iter().filter(|record| {
            matches!(record.body, Body::Finding(_) | Body::Stop(_) | Body::Leak(_))
        });
        prop_assert_eq!(log["runs"][0]["results"].as_array().unwrap().len(), found.count());
    }

    #[test]
    fn junit_of_any_records_is_xml(records in vec(record(), 0..20)) {
        let text = junit(&records);
        prop_assert!(text.chars().all(is_xml), "{:?}", text);
        prop_assert!(!text.chars().any(|c| c != '\n' && acts_on_a_terminal(c)));
        // Two drivers may have one name: tests of one suite are told apart all the same.
        let mut reader = quick_xml::Reader::from_str(&text);
        loop {
            if let Xml::Eof = reader.read_event().unwrap() {
                break;
            }
        }
    }

    #[test]
    fn perfetto_of_any_records_is_a_trace(records in vec(record(), 0..40)) {
        let text = perfetto(&records);
        prop_assert!(!text.chars().any(|c| c != '\n' && acts_on_a_terminal(c)));
        as_trace(&text);
    }
}
