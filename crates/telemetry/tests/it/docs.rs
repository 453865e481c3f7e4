//! What `docs/recordings.md` says is what is written.

use std::path::Path;

use telemetry::recording::{Import, Options, Reader, from_ndjson, to_ndjson};

use crate::events::every_kind;
use crate::recording::{options, write};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recordings.md");
    std::fs::read_to_string(path).unwrap()
}

fn lines() -> String {
    let mut lines = Vec::new();
    let recording = write(&every_kind(), options(100, true));
    to_ndjson(&mut Reader::open(recording.as_slice()).unwrap(), &mut lines, |record| panic!("{record}"))
        .unwrap();
    String::from_utf8(lines).unwrap()
}

#[test]
fn the_example_of_the_page_is_a_recording() {
    let page = page();
    let example = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(example, lines(), "the example is what is written for events::every_kind");
    let import = from_ndjson(example.as_bytes(), std::io::sink(), Options::default()).unwrap();
    assert_eq!(import, Import { events: every_kind().len() as u64, finished: true });
}

#[test]
fn the_page_names_every_field() {
    let page = page();
    for line in lines().lines() {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        for name in object.keys() {
            assert!(page.contains(&format!("`{name}`")), "{name} is not described");
        }
    }
}
