//! `docs/ndjson.md` shows lines as they are written, and names every field of the schema.
//! `INSTA_UPDATE=always cargo test -p callboard-report` puts the lines of today into it.

use std::collections::BTreeMap;
use std::fs;

use report::{Ndjson, Sink as _, ndjson};
use serde_json::Value;

use crate::published::schema;
use crate::story::story;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ndjson.md");

/// The first line of each type.
fn examples() -> BTreeMap<String, String> {
    let mut out = Vec::new();
    let mut sink = Ndjson::new("test", &mut out, ndjson::Options { live: true, ..Default::default() });
    story().iter().for_each(|record| sink.record(record).unwrap());
    drop(sink);
    let mut examples = BTreeMap::new();
    for line in String::from_utf8(out).unwrap().lines() {
        let kind = serde_json::from_str::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned();
        examples.entry(kind).or_insert_with(|| line.to_owned());
    }
    examples
}

/// The page by sections of types: name and text.
fn sections(page: &str) -> Vec<(&str, &str)> {
    let parts = page.split("\n### `").skip(1);
    parts.map(|part| part.split_once('`').unwrap()).collect()
}

#[test]
fn every_type_has_its_line() {
    let page = fs::read_to_string(PAGE).unwrap();
    let examples = examples();
    let mut wanted = page.clone();
    for (kind, text) in sections(&page) {
        let (start, rest) = text.split_once("```json\n").unwrap_or_else(|| panic!("{kind} has no example"));
        let (_, end) = rest.split_once("```\n").unwrap();
        let example = &examples[kind];
        wanted = wanted.replace(text, &format!("{start}```json\n{example}\n```\n{end}"));
    }
    assert_eq!(sections(&page).len(), examples.len());
    if page != wanted && std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        // In one step: the other test reads it at the same time.
        let new = format!("{PAGE}.new");
        fs::write(&new, &wanted).unwrap();
        fs::rename(new, PAGE).unwrap();
    } else {
        assert_eq!(page, wanted, "see the beginning of this file for how to renew the page");
    }
}

#[test]
fn every_field_is_explained() {
    let page = fs::read_to_string(PAGE).unwrap();
    let schema = schema();
    let named = |text: &str, field: &str| text.contains(&format!("| `{field}` |"));
    for field in schema["$defs"]["common"]["properties"].as_object().unwrap().keys() {
        assert!(named(&page, field), "{field} of every record");
    }
    for (kind, text) in sections(&page) {
        for field in schema["$defs"][kind]["properties"].as_object().unwrap().keys() {
            assert!(field == "type" || named(text, field), "{field} of {kind}");
        }
    }
}
