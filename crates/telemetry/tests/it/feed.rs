//! What a part gives is the same in every form, and through a pipe.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use event::{Event, Time};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use telemetry::recording::{Meta, Options, Reader, Writer, to_ndjson};
use telemetry::{Contents, Fed, Feed, Format, Part, Reason, look_bytes, look_live};

use crate::events::{event, ordinary};
use crate::recording::options;
use crate::support::{day, read};

/// A recording, as blocks.
fn blocks(machine: &str, events: &[Event<'_>]) -> Vec<u8> {
    blocks_of(machine, events, options(7, true))
}

fn blocks_of(machine: &str, events: &[Event<'_>], options: Options) -> Vec<u8> {
    let meta = Meta { machine: machine.into(), started: Time(5), ..Meta::default() };
    let mut writer = Writer::new(Vec::new(), &meta, options).unwrap();
    events.iter().for_each(|event| writer.push(event).unwrap());
    writer.finish().unwrap()
}

/// The same as lines.
pub(crate) fn lines(blocks: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    to_ndjson(&mut Reader::open(blocks).unwrap(), &mut lines, |record| panic!("{record}")).unwrap();
    lines
}

fn only(contents: Contents) -> (Part, Format) {
    let mut parts = contents.parts;
    assert_eq!(parts.len(), 1);
    parts.remove(0)
}

fn fed(contents: Contents) -> Vec<Fed> {
    let (part, format) = only(contents);
    Feed::open(&part, format).unwrap().collect()
}

fn of(bytes: &[u8]) -> Vec<Fed> {
    fed(look_bytes("a file", bytes).unwrap())
}

fn through_a_pipe(bytes: &[u8]) -> Vec<Fed> {
    let piped = io::Cursor::new(bytes.to_vec());
    let fed = fed(look_live("a pipe", Box::new(piped)).unwrap());
    fed.into_iter().filter(|fed| *fed != Fed::Idle).collect()
}

/// The events and their machines, and how many were rejected for which reasons.
fn events(fed: &[Fed]) -> (Vec<(String, Event<'static>)>, Vec<Reason>) {
    let (mut events, mut reasons) = (Vec::new(), Vec::new());
    for fed in fed {
        match fed {
            Fed::Events { machine, events: together, .. } => {
                events.extend(together.iter().map(|event| (machine.to_string(), event.clone())));
            }
            Fed::Rejected(rejected) => reasons.push(rejected.reason),
            other => panic!("{other:?}"),
        }
    }
    (events, reasons)
}

proptest! {
    #[test]
    fn either_form_of_recordings_gives_the_same(
        recordings in proptest::collection::vec(("[A-Za-z0-9 ]{0,8}", proptest::collection::vec(event(), 0..20)), 1..5),
    ) {
        let each: Vec<_> = recordings.iter().map(|(machine, events)| blocks(machine, events)).collect();
        let told: Vec<_> = recordings.iter().flat_map(|(machine, events)| {
            events.iter().map(|event| (machine.clone(), event.clone()))
        }).collect();
        let binary = each.concat();
        let text: Vec<u8> = each.iter().flat_map(|blocks| lines(blocks)).collect();
        for bytes in [&binary, &text] {
            prop_assert_eq!(&events(&of(bytes)), &(told.clone(), vec![]));
            prop_assert_eq!(&of(bytes), &through_a_pipe(bytes));
        }
    }

    #[test]
    fn a_damaged_line_costs_that_line(damaged in 1_usize..20, with in "[ -~\u{0}\u{e9}]{1,30}") {
        let told: Vec<_> = (0..20).map(ordinary).collect();
        let text = String::from_utf8(lines(&blocks("m", &told))).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines[damaged] = format!("x{with}");
        let (events, reasons) = events(&of((lines.join("\r\n") + "\n").as_bytes()));
        let rest: Vec<_> = told.iter().enumerate().filter(|(at, _)| at + 1 != damaged).map(|(_, event)| event.clone()).collect();
        prop_assert_eq!(events.into_iter().map(|(_, event)| event).collect::<Vec<_>>(), rest);
        prop_assert_eq!(reasons, [Reason::Malformed]);
    }

    #[test]
    fn what_was_damaged_is_the_same_through_a_pipe(
        which in 0_usize..8,
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6),
        cut in any::<usize>(),
        drops in 1_usize..300,
    ) {
        let blocks = blocks("m", &(0..20).map(ordinary).collect::<Vec<_>>());
        let mut all = crate::exports::seeds();
        all.truncate(5);
        let mut bytes = match which {
            0 => blocks,
            1 => lines(&blocks),
            2 => gzip(&lines(&blocks)),
            other => all.swap_remove(other % all.len()).into_bytes(),
        };
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() / 2 + cut % (bytes.len() / 2));
        telemetry::oracle::check_feed(&bytes, drops);
        telemetry::fuzzing::check_lines(&bytes);
        telemetry::fuzzing::check_cbr(&bytes);
    }

    #[test]
    fn recordings_that_follow_a_damaged_one_are_whole(at in 0_usize..600, by in 1_u8..=255, cut: bool) {
        let (first, second): (Vec<_>, Vec<_>) = ((0..40).map(ordinary).collect(), (40..80).map(ordinary).collect());
        let mut bytes = blocks("first", &first);
        let at = 30 + at % (bytes.len() - 30);
        if cut { bytes.truncate(at) } else { bytes[at] ^= by }
        bytes.extend(blocks("second", &second));
        let (events, reasons) = events(&of(&bytes));
        let of_second: Vec<_> = events.into_iter().filter(|(machine, _)| machine == "second").map(|(_, event)| event).collect();
        prop_assert_eq!(of_second, second);
        prop_assert!(!reasons.is_empty());
    }
}

#[test]
fn a_second_header_that_is_damaged_costs_the_name_and_no_event() {
    let told: Vec<_> = (0..40).map(ordinary).collect();
    for finished in [true, false] {
        let (mut bytes, mut second) = (blocks("first", &told), blocks("second", &told));
        if !finished {
            // Without its index and its footer.
            bytes.truncate(bytes.len() - 77);
        }
        second[26] ^= 1;
        bytes.extend(second);
        let (events, reasons) = events(&of(&bytes));
        assert_eq!(events.len(), 80, "{finished} {reasons:?}");
        assert_eq!(events.iter().filter(|(machine, _)| machine.is_empty()).count(), 40, "{finished}");
        assert!(reasons.contains(&Reason::Damaged), "{finished}");
    }
}

#[test]
fn what_is_given_together_and_what_is_not_there_are_counted_one_after_the_other() {
    let told: Vec<_> = (0..40).map(ordinary).collect();
    let mut bytes = blocks_of("m", &told, options(10, false));
    // The fourth event of the second block is none, though the block is as it was written.
    let head = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"\xCBfr1")).nth(1).unwrap();
    let stored = u32::from_le_bytes(bytes[head + 8..head + 12].try_into().unwrap());
    let (content, mut before) = (head + 60, Vec::new());
    told[10..13].iter().for_each(|event| event::wire::append(event, &mut before).unwrap());
    bytes[content + before.len()..][..12].fill(0xFF);
    let crc = crc32fast::hash(&bytes[content..][..usize::try_from(stored).unwrap()]);
    bytes[head + 52..head + 56].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32fast::hash(&bytes[head..head + 56]);
    bytes[head + 56..head + 60].copy_from_slice(&crc.to_le_bytes());
    bytes.extend(blocks("another", &told));

    let fed = of(&bytes);
    let numbers: Vec<u64> = fed
        .iter()
        .flat_map(|fed| match fed {
            Fed::Events { first, events, .. } => (*first..).take(events.len()).collect(),
            Fed::Rejected(rejected) => vec![rejected.number],
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(numbers, (1..=80).collect::<Vec<_>>());
    let together: Vec<_> = fed.iter().map(Fed::records).take(10).collect();
    assert_eq!(together, [10, 3, 1, 1, 1, 1, 1, 1, 1, 10]);
    let (given, reasons) = events(&fed);
    assert_eq!(reasons, vec![Reason::Damaged; 7]);
    let expected = told[..13].iter().chain(&told[20..]).map(|event| ("m".to_owned(), event.clone()));
    assert_eq!(given[..33], expected.collect::<Vec<_>>());
    assert_eq!(through_a_pipe(&bytes), fed);
}

#[test]
fn blocks_that_are_missing_as_a_whole_are_said() {
    let told: Vec<_> = (0..40).map(ordinary).collect();
    let bytes = blocks("m", &told);
    let starts: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"\xCBfr1")).collect();
    let without = [&bytes[..starts[1]], &bytes[starts[2]..]].concat();
    let (events, reasons) = events(&of(&without));
    assert_eq!((events.len(), reasons), (33, vec![Reason::Damaged]));
}

#[test]
fn lines_say_what_of_them_is_not_there() {
    let told: Vec<_> = (0..3).map(ordinary).collect();
    let text = String::from_utf8(lines(&blocks("m", &told))).unwrap();
    let all: Vec<_> = text.lines().collect();
    let reasons = |lines: &[&str]| {
        let (events, reasons) = events(&of(lines.concat().as_bytes()));
        (events.len(), reasons)
    };
    let [first, one, two, three, end] = all[..] else { panic!("{text}") };
    let line = |line: &str| format!("{line}\n");
    let [first, one, two, three, end] = [first, one, two, three, end].map(line);
    let [first, one, two, three, end] = [&*first, &*one, &*two, &*three, &*end];
    assert_eq!(reasons(&[first, one, two, three, end]), (3, vec![]));
    assert_eq!(reasons(&["\u{feff}", first, one, "\r\n", two, three, end, "\n"]), (3, vec![]));
    assert_eq!(reasons(&[first, one, two, three]), (3, vec![Reason::Truncated]), "no end");
    assert_eq!(reasons(&[first, one, &two[..40]]), (1, vec![Reason::Truncated, Reason::Truncated]));
    assert_eq!(reasons(&[first, one, three, end]), (2, vec![Reason::Damaged]), "a line is missing");
    assert_eq!(reasons(&[one, two, end]), (2, vec![Reason::Damaged, Reason::Damaged]), "no beginning");
    assert_eq!(reasons(&[first, one, first, one, two, three, end]), (4, vec![Reason::Truncated]));
    let newer = first.replace("recording/1", "recording/2");
    assert_eq!(
        reasons(&[first, one, two, three, end, &newer, one, end]),
        (3, vec![Reason::Malformed, Reason::Malformed]),
        "what follows is of a later version"
    );
    let (part, format) = only(look_bytes("a file", newer.as_bytes()).unwrap());
    let Err(error) = Feed::open(&part, format) else { panic!("it is newer") };
    assert!(error.to_string().contains("callboard.recording/2"), "{error}");
}

/// JSON of a Sysmon and a security event.
fn sysmon(process: u32) -> String {
    format!(
        "{{\"SourceName\":\"Microsoft-Windows-Sysmon\",\"EventID\":1,\"Hostname\":\"h\",\"UtcTime\":\"2020-10-23 16:58:01.123\",\
         \"ProcessId\":\"{process}\",\"Image\":\"C:\\\\a.exe\"}}\n"
    )
}

fn security(process: u32) -> String {
    format!(
        "{{\"Channel\":\"Security\",\"EventID\":4688,\"Hostname\":\"h\",\"EventTime\":\"2020-10-23 16:58:01\",\
         \"NewProcessId\":\"{process:#x}\",\"NewProcessName\":\"C:\\\\a.exe\",\"ProcessId\":\"0x4\"}}\n"
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    io::Write::write_all(&mut packed, bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn a_pipe_that_ends_gives_what_the_file_gives() {
    let text: String = (1..200).map(|id| security(4 * id) + &sysmon(4 * id)).collect();
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let evtx = telemetry::oracle::evtx(&day(300), 20);
    let csv = b"\"Time of Day\",\"Process Name\",\"PID\",\"Operation\",\"Path\",\"Result\",\"Detail\"\r\n\
        \"7:37:18.2 AM\",\"a.exe\",\"8\",\"Thread Create\",\"\",\"SUCCESS\",\"Thread ID: 12\"\r\n";
    for bytes in [text.as_bytes(), &wide, &evtx, csv] {
        let whole = of(bytes);
        assert!(whole.iter().any(|fed| matches!(fed, Fed::Told(_))));
        assert_eq!(whole, through_a_pipe(bytes));
        assert_eq!(whole, of(&gzip(bytes)));
        assert_eq!(whole, through_a_pipe(&gzip(bytes)));
    }
}

/// The reading end of a pipe; what is sent is there.
struct Pipe(Receiver<Vec<u8>>, Vec<u8>);

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.1.is_empty() {
            match self.0.recv() {
                Ok(bytes) => self.1 = bytes,
                Err(_) => return Ok(0),
            }
        }
        let length = into.len().min(self.1.len());
        into[..length].copy_from_slice(&self.1[..length]);
        self.1.drain(..length);
        Ok(length)
    }
}

/// Whether what is sent into a pipe that stays open comes out.
fn comes_out(first: &[u8], second: &[u8]) -> Vec<Fed> {
    let (send, pipe) = channel();
    send.send(first.to_vec()).unwrap();
    let (part, format) = only(look_live("a pipe", Box::new(Pipe(pipe, Vec::new()))).unwrap());
    assert!(part.is_live());
    let mut feed = Feed::open(&part, format).unwrap();
    let mut fed: Vec<_> = feed.by_ref().take_while(|fed| *fed != Fed::Idle).collect();
    let began = Instant::now();
    send.send(second.to_vec()).unwrap();
    fed.extend(feed.by_ref().take_while(|fed| *fed != Fed::Idle));
    assert!(began.elapsed() < Duration::from_secs(4));
    drop(send);
    assert_eq!(feed.next(), None);
    fed
}

#[test]
fn what_comes_through_a_pipe_is_told_before_it_ends() {
    let told: Vec<_> = (0..14).map(ordinary).collect();
    let blocks = blocks("m", &told);
    let second = (61..blocks.len()).find(|at| blocks[*at..].starts_with(b"\xCBfr1")).unwrap();
    let text = lines(&blocks);
    let line = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0;
    let json = sysmon(4) + &sysmon(8);
    let (first, rest) = json.as_bytes().split_at(40 + json.len() / 2);
    for (fed, records) in [
        (comes_out(&blocks[..second], &blocks[second..]), 14),
        (comes_out(&text[..line + 4], &text[line + 4..]), 14),
        (comes_out(first, rest), 2),
    ] {
        assert_eq!(fed.iter().map(Fed::records).sum::<usize>(), records, "{fed:?}");
        assert!(!fed.iter().any(|fed| matches!(fed, Fed::Rejected(_))), "{fed:?}");
    }
}

#[test]
fn in_a_pipe_what_sysmon_has_told_by_then_counts() {
    // Within the same second it is waited for, as it is further on in a file.
    let fed = comes_out(security(4).as_bytes(), sysmon(8).as_bytes());
    assert!(matches!(&fed[..], [Fed::Told(_), Fed::Told(_)]), "told, as nothing better was there: {fed:?}");
    let fed = comes_out((security(4) + &sysmon(8)).as_bytes(), security(12).as_bytes());
    let superseded =
        |fed: &Fed| matches!(fed, Fed::Rejected(rejected) if rejected.reason == Reason::Superseded);
    assert!(superseded(&fed[0]) && matches!(fed[1], Fed::Told(_)) && superseded(&fed[2]), "{fed:?}");
}

#[test]
fn a_live_part_is_read_once() {
    let text = sysmon(4);
    let (part, _) = only(look_live("a pipe", Box::new(io::Cursor::new(text.clone().into_bytes()))).unwrap());
    let mut read_back = String::new();
    part.stream().read_to_string(&mut read_back).unwrap();
    assert_eq!(read_back, text);
    part.stream().read_to_string(&mut read_back).unwrap_err();
    assert_eq!(read(text.as_bytes()).len(), 1);
}
