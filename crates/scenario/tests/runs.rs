//! Scenarios that are run, with the drivers that are committed: what passes, and what a failure says.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use nt_abi::Profile;
use scenario::{Options, Outcome, Scenario};

const SENSOR: &[u8] = include_bytes!("../../../drivers/bin/sensor.sys");

/// A process that the sensor refuses, and its parent.
const REFUSES: &str = r#"
name = "refuses evil from word"

[[driver]]
file = "builtin:sensor"
values = { Deny = ["*evil.exe"] }

[[step]]
create = { name = "word", image = 'C:\word.exe' }

[[step]]
create = { name = "evil", image = 'C:\evil.exe', parent = "word" }
expect = { status = "STATUS_ACCESS_DENIED", by = "sensor" }

[[step]]
create = { name = "good", image = 'C:\good.exe', parent = "word" }
"#;

/// Runs a text as if it lay beside the committed drivers.
fn run(text: &str) -> (Scenario, Outcome) {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../drivers/bin/a.toml"));
    let scenario = Scenario::parse(path, text.to_owned()).unwrap();
    let profile = scenario.profiles()[0];
    let outcome = scenario.run(Options { profile, sensor: SENSOR, without_sandbox: false }).unwrap();
    (scenario, outcome)
}

/// What the failures say, with the path taken out.
fn said((scenario, outcome): &(Scenario, Outcome)) -> String {
    let text: String = outcome.failures.iter().map(|failure| failure.text(scenario)).collect();
    text.replace(scenario.path.to_str().unwrap(), "a.toml")
}

#[track_caller]
fn passes(text: &str) -> Outcome {
    let done = run(text);
    assert!(done.1.passed(), "{}", said(&done));
    done.1
}

#[track_caller]
fn fails(text: &str, says: &[&str]) {
    let done = run(text);
    let said = said(&done);
    for part in says {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

#[test]
fn r_veto_02_one_child_is_refused_and_another_passes() {
    let outcome = passes(REFUSES);
    assert_eq!(outcome.profile, Profile::default());
    assert!(outcome.notes.is_empty(), "{:?}", outcome.notes);
}

#[test]
fn a_refusal_that_nobody_expected_says_what_to_write() {
    let text = REFUSES.replace("expect = {", "# expect = {");
    fails(
        &text,
        &["it was refused", "- STATUS_SUCCESS", "+ STATUS_ACCESS_DENIED by sensor", "expect = { status ="],
    );
}

#[test]
fn a_process_that_was_let_pass_says_what_the_driver_was_given() {
    let text = REFUSES.replace("*evil.exe", "*bad.exe");
    let text = said(&run(&text));
    insta::assert_snapshot!("let_pass", text);
}
