//! What must hold for any bytes whatsoever: shared by the fuzz targets and the tests.

use std::io::Cursor;

use event::Event;

use crate::container::{Bytes, Part};
use crate::procmon::{csv, pml};
use crate::recording::{
    Ending, Events, Indexed, Meta, Options, Query, Reader, Writer, from_ndjson, to_ndjson, write_event,
    write_first, write_last,
};

/// Bytes as Procmon's CSV.
///
/// # Panics
/// When a record is told twice or not at all.
pub fn check_csv(bytes: &[u8]) {
    let Ok(mut reader) = csv::Reader::open(bytes, csv::Options::default()) else { return };
    let told = reader.by_ref().count() as u64;
    assert_eq!(told, reader.read(), "accepted + rejected = read");
    assert!(told <= bytes.len() as u64);
}

/// Bytes as a PML.
///
/// # Panics
/// When a record is told twice or not at all.
pub fn check_pml(bytes: &[u8]) {
    let Ok(mut reader) = pml::Reader::open(Cursor::new(bytes)) else { return };
    let told = reader.by_ref().count() as u64;
    assert_eq!(told, reader.read(), "accepted + rejected = read");
    for index in reader.processes().into_iter().take(16) {
        // That it ends is all that can be said.
        let _ = (reader.process(index).is_ok(), reader.modules(index).is_ok());
    }
}

/// Bytes as recordings, one after the other, on lines.
///
/// # Panics
/// When a line is told twice, or what was read is not the same when it is written and read again.
pub fn check_lines(bytes: &[u8]) {
    let Some((events, told, rejected)) = all(Events::of_lines(&part(bytes))) else { return };
    let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
    // Of a line may be said that a recording ends and that another does not begin.
    assert!(told + rejected <= 2 * lines + 1, "{told} {rejected} {lines}");
    let mut again = Vec::new();
    for events in events.chunk_by(|(one, _), (other, _)| one == other) {
        let meta = Meta { machine: events[0].0.clone(), ..Meta::default() };
        write_first(&mut again, &meta).expect("memory takes everything");
        for (_, event) in events {
            write_event(&mut again, event).expect("memory takes everything");
        }
        write_last(&mut again, events.len() as u64).expect("memory takes everything");
    }
    if !events.is_empty() {
        let back = all(Events::of_lines(&part(&again))).expect("lines that were just written are read");
        assert_eq!(back, (events, told, 0));
    }
}

type All = (Vec<(String, Event<'static>)>, u64, u64);

/// All events, with their machines, and how many were told and rejected.
fn all<E>(events: Result<Events, E>) -> Option<All> {
    let mut events = events.ok()?;
    let (mut all, mut told, mut rejected, mut last) = (Vec::new(), 0, 0, 0);
    while let Some(event) = events.next() {
        assert!(events.number() >= last, "they come in their order");
        last = events.number();
        match event {
            Ok(event) => {
                told += 1;
                all.push((events.machine().to_string(), event));
            }
            Err(refused) => {
                rejected += 1;
                assert!(!refused.detail.is_empty(), "{refused:?}");
            }
        }
    }
    Some((all, told, rejected))
}

fn part(bytes: &[u8]) -> Part {
    Part::memory("bytes", Bytes::memory(bytes.into()))
}

/// Bytes as a recording, and those that follow it.
///
/// # Panics
/// When an account is not of what was read, or what was read is not the same when it is written and read again.
pub fn check_cbr(bytes: &[u8]) {
    let Ok(mut reader) = Reader::open(bytes) else { return };
    let meta = reader.meta().cloned().unwrap_or_default();
    let (mut events, mut bad) = (Vec::<Event<'static>>::new(), 0);
    while let Some(event) = reader.next_event() {
        match event {
            Ok(event) => events.push(event.into_owned()),
            Err(record) => bad += record.count,
        }
    }
    let account = reader.account();
    assert_ne!(account.ending, Ending::NotReached);
    assert_eq!((account.events, account.bad), (events.len() as u64, bad));
    assert!(account.lost_bytes <= bytes.len() as u64);
    let (every, ..) = all(Events::of_blocks(&part(bytes))).expect("it was opened before");
    let first = every.iter().take(events.len()).map(|(_, event)| event);
    assert!(first.eq(&events), "the first recording is read first");
    if let Ok(mut indexed) = Indexed::open(Cursor::new(bytes)) {
        let mut selection = indexed.select(Query::default());
        let mut count = 0;
        // An index may name one block many times.
        while count <= events.len() && selection.next_event().is_some() {
            count += 1;
        }
    }
    let options = Options { max_age: None, compress: false, ..Options::default() };
    let written = |events: &[Event<'_>]| {
        let mut writer = Writer::new(Vec::new(), &meta, options).ok()?;
        for event in events {
            writer.push(event).ok()?;
        }
        writer.finish().ok()
    };
    let Some(binary) = written(&events) else { return };
    let mut lines = Vec::new();
    let mut again = Reader::open(binary.as_slice()).expect("what was just written is read");
    to_ndjson(&mut again, &mut lines, |record| panic!("{record}")).expect("memory takes everything");
    assert!(again.account().is_whole(), "{}", again.account());
    let mut back = Vec::new();
    let import =
        from_ndjson(lines.as_slice(), &mut back, options).expect("lines that were just written are read");
    assert_eq!((import.events, import.finished), (events.len() as u64, true));
    assert!(binary == back, "the same events are the same bytes");
}
