//! What holds for any records in any order.

use std::sync::LazyLock;

use event::{Body, Record};
use proptest::collection::vec;
use proptest::prelude::*;
use report::human::{Options, Verbosity};
use report::{Fanout, Human, Ndjson, Sink, Summary, ndjson};
use serde_json::Value;

use crate::arbitrary::record;
use crate::hostile::acts_on_a_terminal;
use crate::published::validator;

static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(validator);

fn options() -> impl Strategy<Value = Options> {
    let verbosity = prop_oneof![
        Just(Verbosity::Quiet),
        Just(Verbosity::Normal),
        Just(Verbosity::Verbose),
        Just(Verbosity::Everything)
    ];
    let width = proptest::option::of(prop_oneof![0..300_usize, Just(usize::MAX)]);
    (verbosity, any::<bool>(), width).prop_map(|(verbosity, ascii, width)| Options {
        verbosity,
        ascii,
        width,
        ..Options::default()
    })
}

/// Both formats of the records.
fn written(records: &[Record<'_>], options: Options, live: bool) -> (String, String) {
    let (mut human, mut json) = (Vec::new(), Vec::new());
    let mut sink = Fanout::new()
        .with(Human::new("human", &mut human, options))
        .with(Ndjson::new("json", &mut json, ndjson::Options { live, ..Default::default() }))
        .with(Summary::new());
    for record in records {
        sink.record(record).unwrap();
    }
    sink.finish().unwrap();
    drop(sink);
    (String::from_utf8(human).unwrap(), String::from_utf8(json).unwrap())
}

proptest! {
    #[test]
    fn every_record_is_one_valid_line_of_json(records in vec(record(), 1..12), live: bool) {
        let (_, json) = written(&records, Options::default(), live);
        prop_assert!(!json.chars().any(|c| c != '\n' && acts_on_a_terminal(c)));
        prop_assert_eq!(json.matches('\n').count(), records.len());
        for (line, record) in json.lines().zip(&records) {
            let value: Value = serde_json::from_str(line).unwrap();
            prop_assert!(VALIDATOR.is_valid(&value), "{}", line);
            match &record.body {
                Body::Debug { text, .. } | Body::Note { text, .. } => prop_assert_eq!(&value["text"], text.as_ref()),
                Body::Finding(finding) => prop_assert_eq!(&value["message"], finding.message.as_ref()),
                Body::Stop(stop) => prop_assert_eq!(&value["message"], stop.message.as_ref()),
                _ => {}
            }
        }
    }

    #[test]
    fn people_get_lines_of_ours_and_nothing_active(records in vec(record(), 0..12), options in options()) {
        let (human, _) = written(&records, options, true);
        prop_assert!(!human.chars().any(|c| c != '\n' && acts_on_a_terminal(c)));
        prop_assert!(!options.ascii || human.is_ascii());
        let gutter = if options.ascii { '|' } else { '│' };
        prop_assert!(human.lines().all(|line| line.starts_with(gutter)), "{}", human);
        prop_assert!(human.is_empty() || human.ends_with('\n'));
    }
}
