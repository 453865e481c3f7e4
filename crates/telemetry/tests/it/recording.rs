//! Recordings come back as they were written.

use std::io::{Cursor, Read, Write};

use event::{Event, ProcessId, Time};
use proptest::prelude::*;
use telemetry::recording::{
    Account, Ending, Indexed, LineError, Meta, OpenError, Options, Query, Reader, Writer, from_ndjson,
    to_ndjson,
};

use crate::events::{event, every_kind, ordinary};

pub(crate) fn meta() -> Meta {
    Meta {
        machine: "WS-042".into(),
        started: Time(133_000_000_000_000_000),
        source: "make -j2".into(),
        producer: "callboard 0.1.0".into(),
    }
}

pub(crate) fn options(block_events: u32, compress: bool) -> Options {
    Options { block_events, max_age: None, compress, ..Options::default() }
}

pub(crate) fn write(events: &[Event<'_>], options: Options) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &meta(), options).unwrap();
    events.iter().for_each(|event| writer.push(event).unwrap());
    writer.finish().unwrap()
}

pub(crate) fn read(bytes: impl Read) -> (Vec<Event<'static>>, Account) {
    let mut reader = Reader::open(bytes).unwrap();
    let mut events = Vec::new();
    while let Some(event) = reader.next_event() {
        events.push(event.unwrap().into_owned());
    }
    (events, reader.account().clone())
}

fn lines(recording: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    to_ndjson(&mut Reader::open(recording).unwrap(), &mut lines, |record| panic!("{record}")).unwrap();
    lines
}

proptest! {
    #[test]
    fn any_events_come_back_as_they_went(
        events in proptest::collection::vec(event(), 0..60),
        block in 1_u32..20,
        compress: bool,
    ) {
        let recording = write(&events, options(block, compress));
        let (back, account) = read(recording.as_slice());
        prop_assert_eq!(&back, &events);
        prop_assert!(account.is_whole(), "{}", account);
        let lines = lines(&recording);
        let mut again = Vec::new();
        let import = from_ndjson(lines.as_slice(), &mut again, options(block, compress)).unwrap();
        prop_assert_eq!((import.events, import.finished), (events.len() as u64, true));
        prop_assert!(again == recording, "cbr → ndjson → cbr is the same bytes");
    }

    #[test]
    fn lines_of_any_event_are_harmless_on_a_terminal(events in proptest::collection::vec(event(), 1..20)) {
        let text = String::from_utf8(lines(&write(&events, options(8, true)))).unwrap();
        prop_assert_eq!(text.lines().count(), events.len() + 2);
        let acts = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{200b}' | '\u{e0041}');
        prop_assert!(!text.chars().any(|c| c != '\n' && acts(c)), "{}", text);
    }

    #[test]
    fn a_selection_is_what_a_filter_takes(
        count in 0_u64..300,
        from in proptest::option::of(0_i64..300),
        until in proptest::option::of(0_i64..300),
        process in proptest::option::of(2_u32..12),
        cut in 0_usize..200,
    ) {
        let events: Vec<_> = (0..count).map(ordinary).collect();
        let mut recording = write(&events, options(7, true));
        recording.truncate(recording.len() - cut.min(recording.len() / 2));
        let time = |n: i64| Time(133_000_000_000_000_000 + n * 10_000);
        let query = Query { from: from.map(time), until: until.map(time), process: process.map(|n| ProcessId(4 * n)) };
        let (there, account) = read(recording.as_slice());
        let wanted: Vec<_> = there.into_iter().filter(|event| {
            query.from.is_none_or(|from| event.time >= from)
                && query.until.is_none_or(|until| event.time <= until)
                && query.process.is_none_or(|process| event.process() == process)
        }).collect();
        let mut indexed = Indexed::open(Cursor::new(&recording)).unwrap();
        prop_assert_eq!(indexed.events(), account.events);
        prop_assert_eq!(indexed.rebuilt().is_some(), cut > 0);
        if let Some(rebuilt) = indexed.rebuilt() {
            prop_assert_eq!(rebuilt, &account);
        }
        let mut selection = indexed.select(query);
        let mut selected = Vec::new();
        while let Some(event) = selection.next_event() {
            selected.push(event.unwrap().into_owned());
        }
        prop_assert_eq!(selected, wanted);
    }

    #[test]
    fn any_bytes_behind_a_header_end_in_an_account(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut recording = write(&[], options(1, false));
        recording.truncate(recording.len() - 76);
        recording.extend_from_slice(&bytes);
        telemetry::fuzzing::check_cbr(&recording);
        telemetry::fuzzing::check_cbr(&bytes);
    }
}

#[test]
fn the_index_has_many_parts_where_there_are_many_blocks() {
    let events: Vec<_> = (0..5000).map(ordinary).collect();
    let recording = write(&events, options(2, false));
    let mut indexed = Indexed::open(Cursor::new(&recording)).unwrap();
    assert!(indexed.rebuilt().is_none());
    assert_eq!((indexed.events(), indexed.meta()), (5000, Some(&meta())));
    let query = Query { from: Some(events[4990].time), ..Query::default() };
    let mut selection = indexed.select(query);
    let mut count = 0;
    while selection.next_event().is_some_and(|event| event.is_ok()) {
        count += 1;
    }
    assert_eq!(count, 10);
}

/// Whoever changes `event::Event` changes this, and with it `WIRE` in `recording/header.rs`: recordings outlive a version.
#[test]
fn the_wire_form_of_events_is_that_of_its_version() {
    let wire = |event: &Event<'_>| {
        let mut buffer = vec![0; 512];
        let len = event::wire::encode(event, &mut buffer).unwrap();
        buffer.truncate(len);
        buffer
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    // Time, context, the kind, the thread, no environment block, no conditions.
    assert_eq!(hex(&wire(&ordinary(1))), "a09c85b2f3b2c1d8030c9c03040c9c030000000000");
    let all: Vec<_> = every_kind().iter().flat_map(wire).collect();
    assert_eq!((all.len(), crc32fast::hash(&all)), (417, 1_475_572_813));
}

#[test]
fn a_recording_is_compact() {
    let events: Vec<_> = (0..20_000).map(ordinary).collect();
    let (plain, packed) = (write(&events, options(1024, false)), write(&events, options(1024, true)));
    assert_eq!(read(plain.as_slice()).0, events);
    assert!(packed.len() * 3 < plain.len(), "{} of {}", packed.len(), plain.len());
    assert!(packed.len() * 8 < lines(&packed).len());
}

#[test]
fn an_event_waits_no_longer_than_it_may() {
    let mut written = Vec::new();
    let options = Options { max_age: Some(std::time::Duration::ZERO), ..Options::default() };
    let mut writer = Writer::new(&mut written, &meta(), options).unwrap();
    writer.push(&ordinary(0)).unwrap();
    writer.tick().unwrap();
    // It is not finished: as if it was killed here.
    std::mem::forget(writer);
    let (events, account) = read(written.as_slice());
    assert_eq!((events, account.ending), (vec![ordinary(0)], Ending::Unfinished));
}

#[test]
fn a_writer_that_is_dropped_has_written_what_it_took() {
    let mut written = Vec::new();
    let mut writer = Writer::new(&mut written, &meta(), options(100, true)).unwrap();
    (0..250).for_each(|n| writer.push(&ordinary(n)).unwrap());
    drop(writer);
    let (events, account) = read(written.as_slice());
    assert_eq!((events.len(), account.ending, account.lost_bytes), (250, Ending::Unfinished, 0));
}

#[test]
fn what_is_too_large_is_refused_and_nothing_else() {
    let mut writer = Writer::new(Vec::new(), &meta(), options(100, true)).unwrap();
    writer.push(&ordinary(0)).unwrap();
    let mut large = ordinary(5);
    let event::EventKind::ProcessCreate(process) = &mut large.kind else { panic!() };
    process.command_line = Some("x".repeat(2 << 20).into());
    assert_eq!(writer.push(&large).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    let event::EventKind::ProcessCreate(process) = &mut large.kind else { panic!() };
    process.command_line = Some("x".repeat(900 << 10).into());
    writer.push(&large).unwrap();
    writer.push(&ordinary(2)).unwrap();
    let recording = writer.finish().unwrap();
    assert_eq!(read(recording.as_slice()).0, [ordinary(0), large, ordinary(2)]);
}

#[test]
fn what_is_no_recording_is_said_to_be_none() {
    for bytes in [b"".as_slice(), b"\x89PNG\r\n\x1a\n", b"{\"type\":\"start\"}", &[0; 100]] {
        assert!(matches!(Reader::open(bytes), Err(OpenError::Magic)));
        assert!(matches!(Indexed::open(Cursor::new(bytes)), Err(OpenError::Magic)));
    }
}

#[test]
fn a_file_that_only_looks_like_a_recording_is_given_up() {
    // Heads of blocks that are not theirs, each of which has to be looked at as far as the block would go.
    let mut long = Vec::new();
    let mut writer = Writer::new(
        &mut long,
        &meta(),
        Options { max_age: None, compress: false, block_bytes: 3 << 20, block_events: 60_000 },
    )
    .unwrap();
    (0..30_000).for_each(|n| writer.push(&ordinary(n)).unwrap());
    drop(writer);
    let at = long.windows(4).position(|four| four == b"\xCBfr1").unwrap();
    let mut hostile = long[..at].to_vec();
    for _ in 0..100_000 {
        hostile.extend_from_slice(&long[at..at + 60]);
    }
    hostile.extend_from_slice(&vec![0; 4 << 20]);
    let (events, account) = read(hostile.as_slice());
    assert_eq!((events.len(), &account.ending), (0, &Ending::GaveUp), "{account}");
}

#[test]
fn lines_that_are_not_as_written_are_refused_by_number() {
    let good = String::from_utf8(lines(&write(&[ordinary(0), ordinary(4)], options(8, true)))).unwrap();
    let fault = |text: &str| match from_ndjson(text.as_bytes(), std::io::sink(), options(8, true)) {
        Err(LineError::Line { line, why }) => (line, why),
        other => panic!("{other:?}"),
    };
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from), "{from} in {good}");
        fault(&good.replace(from, to))
    };
    assert_eq!(fault("").0, 1);
    let (line, why) = changed("callboard.recording/1", "callboard.recording/2");
    assert!(
        line == 1 && why.contains("callboard.recording/2") && why.contains("callboard.recording/1"),
        "{why}"
    );
    assert_eq!(changed("\"type\":\"process_exit\"", "\"type\":\"process_gone\"").0, 3);
    assert_eq!(changed("\"status\":\"0x00000000\"", "\"status\":\"0x0\"").0, 3);
    assert_eq!(changed("\"status\":\"0x00000000\"", "\"status\":\"0x00000000\",\"new\":1").0, 3);
    assert_eq!(changed("\"parent_pid\":0,", "").0, 2);
    assert_eq!(changed("\"events\":2", "\"events\":3").0, 4);
    assert_eq!(fault(&format!("{good}{good}")).0, 5);
    let cut = &good[..good.find("{\"type\":\"end\"").unwrap()];
    let mut recording = Vec::new();
    let import = from_ndjson(cut.as_bytes(), &mut recording, options(8, true)).unwrap();
    assert_eq!((import.events, import.finished), (2, false));
    assert_eq!(read(recording.as_slice()).1.ending, Ending::Unfinished);
    recording.flush().unwrap();
}
