//! What the fuzz targets, the tests and the benchmark share: logs that are made up, and the oracle that says what must hold
//! for any bytes whatsoever.

mod log;

use std::borrow::Borrow;
use std::io::{self, Read};

pub use log::{Entry, evtx, evtx_header};

use crate::container::{Bytes, Part};
use crate::{
    Contents, Fed, Feed, Format, OpenError, Reader, Rejected, Subject, Told, What, detect,
    evtx as evtx_reader, json, look_bytes, look_live, open_bytes,
};

/// Opens bytes as a file, and checks all that it tells. How many records were accepted and rejected, if it can be opened.
pub fn check(bytes: &[u8]) -> Option<(u64, u64)> {
    let read = || open_bytes("bytes", bytes).ok();
    let counts = read().map(Reader::into_counts);
    assert_eq!(counts, read().map(Reader::into_counts), "the same bytes tell the same twice");
    if detect(bytes) == Some(Format::Evtx) {
        check_ways(bytes);
    }
    counts
}

/// As [`check`], for bytes that are taken for JSON whatever they begin with.
pub fn check_json(bytes: &[u8]) -> (u64, u64) {
    counted(json::records(part(bytes)))
}

/// As [`check`], for bytes that are taken for the chunks of an EVTX file.
pub fn check_evtx(chunks: &[u8]) -> (u64, u64) {
    let file = [&evtx_header(0)[..], chunks].concat();
    check_ways(&file);
    counted(evtx_reader::records(part(&file)))
}

/// How many chunks of an EVTX file are read without making text of them, and how many there are.
pub fn read_directly(file: &[u8]) -> (usize, usize) {
    evtx_reader::direct(&part(file))
}

/// Both ways to read a log tell the same of it.
fn check_ways(file: &[u8]) {
    let mut rendered = evtx_reader::rendered(part(file));
    for record in evtx_reader::records(part(file)) {
        assert_eq!(Some(record), rendered.next());
    }
    assert_eq!(rendered.next(), None);
}

/// Opens bytes as a file and as a pipe that gives so many at a time, and checks that both give the same.
pub fn check_feed(bytes: &[u8], drops: usize) {
    let file = given(look_bytes("bytes", bytes));
    let pipe = Drops { bytes: bytes.to_vec(), at: 0, drops: drops.max(1) };
    let piped = given(look_live("bytes", Box::new(pipe)));
    // How much of a damaged gzip is unpacked before it fails depends on how much of it is asked for at once.
    let packed = bytes.starts_with(b"\x1F\x8B");
    assert!(packed || file == piped, "a pipe that ends gives what the file gives: {file:?} {piped:?}");
}

/// All that contents give, but pauses; `None` where they cannot be opened.
fn given(contents: Result<Contents, OpenError>) -> Option<Vec<Fed>> {
    let mut given = Vec::new();
    for (part, format) in contents.ok()?.parts {
        let Ok(feed) = Feed::open(&part, format) else { continue };
        given.extend(feed.filter(|fed| *fed != Fed::Idle));
    }
    Some(given)
}

/// Bytes that come so many at a time.
struct Drops {
    bytes: Vec<u8>,
    at: usize,
    drops: usize,
}

impl Read for Drops {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut rest = &self.bytes[self.at..];
        let most = into.len().min(self.drops);
        let read = rest.read(&mut into[..most])?;
        self.at += read;
        Ok(read)
    }
}

fn part(bytes: &[u8]) -> Part {
    Part::memory("bytes", Bytes::memory(bytes.into()))
}

impl Reader {
    fn into_counts(self) -> (u64, u64) {
        counted(self)
    }
}

fn counted<T: Borrow<Told>>(records: impl Iterator<Item = Result<T, Rejected>>) -> (u64, u64) {
    let (mut accepted, mut rejected, mut last) = (0, 0, 0);
    for record in records {
        let number = match record {
            Ok(told) => {
                accepted += 1;
                assert_told(told.borrow());
                told.borrow().number
            }
            Err(refused) => {
                rejected += 1;
                assert!(!refused.detail.is_empty(), "{refused:?}");
                refused.number
            }
        };
        assert!(number >= last, "records come in their order: {number} after {last}");
        last = number;
    }
    (accepted, rejected)
}

/// What a record that is told has, whatever it was read from.
fn assert_told(told: &Told) {
    let machine = told.machine.as_deref();
    assert!(machine.is_none_or(|name| name == name.to_lowercase() && known(name)), "{told:?}");
    let (subject, parent, text) = match &told.what {
        What::ProcessCreate(create) | What::ProcessPresent(create) => {
            (&create.subject, Some(&create.parent), &create.command_line)
        }
        What::ProcessExit(exit) => (&exit.subject, None, &None),
        What::ThreadCreate(thread) | What::ThreadExit(thread) => (&thread.subject, None, &None),
        What::ImageLoad(load) => (&load.subject, None, &load.path),
        What::DriverLoad(load) => {
            assert!(load.path.as_deref().is_none_or(known), "{told:?}");
            return;
        }
    };
    assert!(subject.process.is_some() || subject.unique.is_some(), "{told:?}");
    assert!(text.as_deref().is_none_or(known), "{told:?}");
    for Subject { unique, image, .. } in parent.into_iter().chain([subject]) {
        assert!(unique.as_ref().is_none_or(|unique| known(&unique.to_string())), "{told:?}");
        assert!(image.as_deref().is_none_or(known), "{told:?}");
    }
}

fn known(text: &str) -> bool {
    !matches!(text, "" | "-")
}
