//! The schema that is published describes what is written.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::published::{lines, schema, validator};
use crate::story::story;

/// The types that the schema knows.
fn kinds(schema: &Value) -> BTreeSet<String> {
    let refs = schema["oneOf"].as_array().unwrap().iter();
    refs.map(|kind| kind["$ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
}

#[test]
fn every_line_of_the_example_run_is_valid_and_every_type_is_in_it() {
    let (schema, validator) = (schema(), validator());
    let mut seen = BTreeSet::new();
    for line in lines(&story(), true) {
        if let Err(error) = validator.validate(&line) {
            panic!("{error}\n{line}");
        }
        seen.insert(line["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, kinds(&schema));
}

#[test]
fn the_schema_is_a_schema() {
    assert!(jsonschema::meta::is_valid(&schema()));
}

#[test]
fn what_is_not_described_is_not_valid() {
    let validator = validator();
    for line in lines(&story(), true) {
        let kind = line["type"].clone();
        let mut more = line.clone();
        more["another"] = json!(1);
        assert!(!validator.is_valid(&more), "{kind} with a field more");
        let mut other = line.clone();
        other["type"] = json!("another");
        assert!(!validator.is_valid(&other), "{kind} as an unknown type");
        for field in line.as_object().unwrap().keys() {
            let mut wrong = line.clone();
            wrong[field] = Value::Null;
            assert!(!validator.is_valid(&wrong), "{kind} with null for {field}");
        }
    }
}

#[test]
fn the_first_line_names_the_schema_and_no_other_does() {
    for skip in [0, 5] {
        let written = lines(&story()[skip..], true);
        assert_eq!(written[0]["schema"], report::ndjson::SCHEMA);
        assert_eq!(written[0]["schema"], schema()["title"]);
        assert!(written[1..].iter().all(|line| line.get("schema").is_none()));
    }
}
