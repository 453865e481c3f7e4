//! The schema that is committed, and the starter.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use scenario::{Options, STARTER, Scenario};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema/scenario-v1.schema.json");

/// What a TOML text is as JSON.
fn json(text: &str) -> serde_json::Value {
    serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap()
}

#[test]
fn the_committed_schema_is_current() {
    let schema = scenario::schema();
    if std::env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always") {
        std::fs::write(COMMITTED, &schema).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == schema,
        "docs/schema is stale: INSTA_UPDATE=always cargo test -p callboard-scenario"
    );
}

#[test]
fn the_schema_takes_what_the_parser_takes() {
    let schema: serde_json::Value = serde_json::from_str(&scenario::schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (text, good) in [
        (STARTER, true),
        ("[[step]]\nexit = \"a\"", true),
        ("[[step]]\nexit = { process = \"a\", status = 3 }", true),
        ("[expect]\nstop = { code = 0xD1, parameters = [\"*\", 2] }", true),
        (
            "[[driver]]\nfile = \"a.sys\"\nvalues = { A = 1, B = \"x\", C = [\"x\"], D = { binary = { hex = \"00\" } } }",
            true,
        ),
        ("[[step]]\nwrite = { device = 'x', input = [1, 2] }", true),
        ("[[step]]\nbegin = { name = \"n\", device = 'x', code = 4 }\nexpect = { pending = [\"n\"] }", true),
        ("[[step]]\nbegin = { name = \"n\", code = 4 }", false),
        ("[[step]]\npower = { driver = \"a\", set = \"S3\" }", true),
        ("[[step]]\npower = { driver = \"a\", set = \"S9\" }", false),
        ("nam = \"a\"", false),
        ("profile = \"win3\"", false),
        ("[[step]]\nexit = 7", false),
        ("[[step]]\ncreate = { image = 'x' }", false),
        ("[[driver]]\nname = \"a\"", false),
    ] {
        assert_eq!(validator.is_valid(&json(text)), good, "{text}");
    }
}

#[test]
fn the_starter_passes() {
    let scenario = Scenario::parse(Path::new("starter.toml"), STARTER.to_owned()).unwrap();
    let sensor = include_bytes!("../../../drivers/bin/sensor.sys");
    let options = Options { profile: scenario.profiles()[0], sensor, without_sandbox: false };
    let outcome = scenario.run(options).unwrap();
    let said: String = outcome.failures.iter().map(|failure| failure.text(&scenario)).collect();
    assert!(outcome.passed() && outcome.notes.is_empty(), "{said}{:?}", outcome.notes);
}
