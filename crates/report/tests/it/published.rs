//! What is written, and what is published about it.

use event::Record;
use report::{Ndjson, Sink as _, ndjson};

/// The records as JSON lines, read back.
pub(crate) fn lines(records: &[Record<'_>], live: bool) -> Vec<serde_json::Value> {
    let mut out = Vec::new();
    let mut sink = Ndjson::new("test", &mut out, ndjson::Options { live, ..Default::default() });
    for record in records {
        sink.record(record).expect("memory takes everything");
    }
    drop(sink);
    let text = String::from_utf8(out).expect("JSON is UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
}

/// The schema that is published.
pub(crate) fn schema() -> serde_json::Value {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema/record-v1.schema.json"));
    serde_json::from_str(text).expect("the schema is JSON")
}

/// What tells whether a line is as the schema says.
pub(crate) fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&schema()).expect("the schema is a schema")
}
