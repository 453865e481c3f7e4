//! Recordings that were cut off, damaged, or not written to their ends.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::process::{Command, Stdio};
use std::rc::Rc;

use event::Event;
use telemetry::recording::{Ending, Options, Reader, Writer};

use crate::events::ordinary;
use crate::recording::{meta, options, read, write};

fn ordinary_ones(count: u64) -> Vec<Event<'static>> {
    (0..count).map(ordinary).collect()
}

/// What there is in the file whenever the writer has flushed it, and how many events it had taken by then.
#[derive(Clone, Default)]
struct Flushes(Rc<RefCell<(Vec<u8>, Vec<usize>)>>);

impl Write for Flushes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let (bytes, ends) = &mut *self.0.borrow_mut();
        ends.push(bytes.len());
        Ok(())
    }
}

#[test]
fn cut_off_at_any_byte_all_that_was_flushed_before_is_read() {
    for compress in [false, true] {
        let events = ordinary_ones(23);
        let output = Flushes::default();
        let mut writer = Writer::new(output.clone(), &meta(), options(5, compress)).unwrap();
        events.iter().for_each(|event| writer.push(event).unwrap());
        writer.finish().unwrap();
        let (bytes, ends) = output.0.take();
        // The header, five blocks, the index, the footer.
        assert_eq!(ends.len(), 8);
        for cut in ends[0]..bytes.len() {
            let (read, account) = read(&bytes[..cut]);
            let flushed = ends.iter().filter(|end| **end <= cut).count() - 1;
            assert_eq!(read, events[..events.len().min(5 * flushed)], "cut off at {cut}");
            assert_eq!(account.ending, Ending::Unfinished);
            let last = ends.iter().rev().find(|end| **end <= cut).unwrap();
            assert_eq!(account.lost_bytes, (cut - last) as u64, "cut off at {cut}: {account}");
        }
        for cut in 0..ends[0] {
            match Reader::open(&bytes[..cut]) {
                Err(_) => assert!(cut < 6),
                Ok(mut reader) => {
                    assert!(reader.next_event().is_none());
                    assert_eq!((reader.meta(), reader.account().lost_bytes), (None, cut as u64));
                }
            }
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_costs_its_block_and_is_told() {
    let events = ordinary_ones(23);
    for compress in [false, true] {
        let good = write(&events, options(5, compress));
        for at in 0..good.len() {
            // Two bits of each byte, others from byte to byte: all eight of all take a minute.
            for bit in [at % 8, (at + 3) % 8] {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                let (read, account) = read(bad.as_slice());
                assert!(!account.is_whole(), "bit {bit} of byte {at}: {account}");
                assert!(account.lost_bytes > 0);
                // What is read is as it was written, and at most one block is missing.
                let mut rest = events.iter();
                assert!(read.iter().all(|event| rest.any(|it| it == event)), "bit {bit} of byte {at}");
                assert!(read.len() + 5 >= events.len(), "bit {bit} of byte {at}: {account}");
                let missing = (events.len() - read.len()) as u64;
                let told = account.lost_events;
                assert!(
                    told == missing || account.ending == Ending::Unfinished,
                    "{missing} missing: {account}"
                );
            }
        }
    }
}

#[test]
fn a_damaged_header_hides_nothing() {
    let events = ordinary_ones(12);
    let mut recording = write(&events, options(5, true));
    recording[30] ^= 1;
    let mut reader = Reader::open(recording.as_slice()).unwrap();
    assert_eq!(reader.meta(), None);
    let mut count = 0;
    while reader.next_event().is_some_and(|event| event.is_ok()) {
        count += 1;
    }
    assert_eq!((count, reader.account().gaps[0].offset), (12, 0));
}

/// A fuzzer found it: the numbers behind it were added up.
#[test]
fn a_block_with_a_number_beyond_all_others_is_none() {
    let mut recording = write(&ordinary_ones(10), options(5, false));
    let start = recording.windows(4).position(|four| four == b"\xCBfr1").unwrap();
    let head = &mut recording[start..start + 60];
    head[20..28].fill(0xFF);
    let crc = crc32fast::hash(&head[..56]);
    head[56..60].copy_from_slice(&crc.to_le_bytes());
    let (read, account) = read(recording.as_slice());
    assert_eq!((read, account.lost_events), (ordinary_ones(10)[5..].to_vec(), 5));
    assert!(account.gaps[0].why.contains("numbers"), "{account}");
}

#[test]
fn parts_of_a_later_version_are_passed_over_and_counted() {
    let events = ordinary_ones(10);
    let good = write(&events, options(5, false));
    let starts: Vec<_> = (0..good.len()).filter(|at| good[*at..].starts_with(b"\xCBfr1")).collect();
    let mut newer = good[..starts[1]].to_vec();
    let mut unknown = good[starts[2]..starts[3]].to_vec();
    unknown[4] = 9;
    unknown[6] = 1;
    let crc = crc32fast::hash(&unknown[..56]);
    unknown[56..60].copy_from_slice(&crc.to_le_bytes());
    newer.extend_from_slice(&unknown);
    newer.extend_from_slice(&good[starts[1]..]);
    let (read, account) = read(newer.as_slice());
    assert_eq!((read, account.unknown, account.lost_bytes), (events, 1, 0));
}

/// An output that takes a few bytes at a time, and is full or interrupted now and then.
struct Failing {
    bytes: Vec<u8>,
    /// How many bytes it takes before it is full.
    room: usize,
    calls: usize,
}

impl Write for &mut Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(3) {
            return Err(ErrorKind::Interrupted.into());
        }
        let len = bytes.len().min(self.room).min(7);
        if len == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        self.room -= len;
        self.bytes.write_all(&bytes[..len])?;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_flushed() {
    let events = ordinary_ones(23);
    let whole = write(&events, options(5, true)).len();
    for room in 60..whole {
        let mut output = Failing { bytes: Vec::new(), room, calls: 0 };
        let Ok(mut writer) = Writer::new(&mut output, &meta(), options(5, true)) else { continue };
        let taken = events.iter().take_while(|event| writer.push(event).is_ok()).count();
        let error = writer.finish().err();
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::StorageFull));
        let (read, account) = read(output.bytes.as_slice());
        // The block that was not written, and the one that was being filled, are not there.
        assert!(read.len() + 5 >= taken, "{room}: {} of {taken}", read.len());
        assert_eq!(read, events[..read.len()]);
        assert_eq!(account.ending, Ending::Unfinished);
    }
}

#[test]
fn an_output_that_recovers_gets_everything() {
    let events = ordinary_ones(23);
    let whole = write(&events, options(5, true)).len();
    for room in 150..whole {
        let mut output = Failing { bytes: Vec::new(), room, calls: 0 };
        // The writer holds the output, so room comes from a second one: what the first took is a prefix.
        let shared = Rc::new(RefCell::new(&mut output));
        struct Shared<'a>(Rc<RefCell<&'a mut Failing>>);
        impl Write for Shared<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let mut output = self.0.borrow_mut();
                let output: &mut Failing = &mut output;
                let mut output = output;
                Write::write(&mut output, bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let Ok(mut writer) = Writer::new(Shared(shared.clone()), &meta(), options(5, true)) else { continue };
        for event in &events {
            if writer.push(event).is_err() {
                shared.borrow_mut().room = usize::MAX;
                writer.push(event).unwrap();
            }
        }
        if writer.flush().is_err() {
            shared.borrow_mut().room = usize::MAX;
        }
        if writer.finish().is_err() {
            // The footer has no second chance: the events are there.
            let (read, account) = read(output.bytes.as_slice());
            assert_eq!((read, account.ending), (events.clone(), Ending::Unfinished));
            continue;
        }
        let (read, account) = read(output.bytes.as_slice());
        assert_eq!(read, events, "{room}: {account}");
        assert_eq!((account.ending, account.lost_events), (Ending::Finished, 0));
    }
}

#[test]
fn a_block_that_is_there_twice_is_read_once() {
    let events = ordinary_ones(10);
    let good = write(&events, options(5, false));
    let starts: Vec<_> = (0..good.len()).filter(|at| good[*at..].starts_with(b"\xCBfr1")).collect();
    let mut twice = good[..starts[1]].to_vec();
    twice.extend_from_slice(&good[starts[0]..]);
    let (read, account) = read(twice.as_slice());
    assert_eq!((read, account.repeated), (events, 1));
}

const CHILD: &str = "CALLBOARD_TEST_RECORD_TO";

/// Not a test by itself: the process that the next one kills. It says how many events were flushed, each time.
#[test]
fn a_writer_to_be_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let output = File::create(path).unwrap();
    let options = Options { block_events: 50, max_age: None, ..Options::default() };
    let mut writer = Writer::new(output, &meta(), options).unwrap();
    for n in 0.. {
        writer.push(&ordinary(n)).unwrap();
        if n % 70 == 69 {
            writer.flush().unwrap();
            println!("flushed {}", writer.events());
        }
    }
}

#[test]
fn killed_in_the_middle_nothing_that_was_flushed_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..10_u64 {
        let path = directory.path().join(format!("{round}.cbr"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "faults::a_writer_to_be_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut flushed = || {
            let said = lines.by_ref().map(|line| line.unwrap());
            said.filter_map(|line| line.split("flushed ").nth(1)?.parse::<u64>().ok())
                .take(usize::try_from(round * 7 + 1).unwrap())
                .last()
                .unwrap()
        };
        let flushed = flushed();
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        let (events, account) = read(File::open(&path).unwrap());
        assert!(events.len() as u64 >= flushed, "{flushed} were flushed: {account}");
        assert!(events.iter().zip(0..).all(|(event, n)| *event == ordinary(n)));
        assert_eq!((account.ending, account.lost_events), (Ending::Unfinished, 0));
    }
}
