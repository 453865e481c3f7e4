//! What is in the page for a browser, read as its script reads it.

use event::*;
use nt_abi::{STATUS_ACCESS_DENIED, STATUS_SUCCESS};
use proptest::collection::vec;
use proptest::prelude::*;
use report::{Html, Pace, Sink as _, html};
use serde_json::Value;

use crate::arbitrary::record;
use crate::crowd::crowd;
use crate::hostile::acts_on_a_terminal;
use crate::story::story;

const BLOCK: &str = "<script type=\"application/json\" class=\"rows\">\n";

fn written(records: &[Record<'_>], options: html::Options, finish: bool) -> String {
    let mut out = Vec::new();
    let mut sink = Html::new("test", &mut out, options);
    for record in records {
        sink.record(record).unwrap();
    }
    if finish { sink.finish() } else { sink.flush() }.unwrap();
    drop(sink);
    String::from_utf8(out).unwrap()
}

fn page(records: &[Record<'_>]) -> String {
    written(records, html::Options::default(), true)
}

/// The text of the blocks of rows.
fn blocks(page: &str) -> Vec<&str> {
    page.split(BLOCK).skip(1).map(|rest| rest.split("</script>").next().unwrap()).collect()
}

/// The rows, with texts in the place of their numbers.
fn rows(page: &str) -> Vec<Vec<Value>> {
    let mut texts: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    for line in blocks(page).into_iter().flat_map(str::lines) {
        let mut row: Vec<Value> = serde_json::from_str(line).unwrap();
        for cell in row.iter_mut().skip(1) {
            let Value::String(text) = cell else { continue };
            match text.strip_prefix('~') {
                Some(number) if !number.starts_with('~') => {
                    *text = texts[number.parse::<usize>().unwrap()].clone()
                }
                escaped => {
                    *text = escaped.unwrap_or(text).to_owned();
                    texts.push(text.clone());
                }
            }
        }
        rows.push(row);
    }
    rows
}

fn of_kind<'r>(rows: &'r [Vec<Value>], kind: &str) -> Vec<&'r Vec<Value>> {
    rows.iter().filter(|row| row[0] == kind).collect()
}

fn totals(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"totals\">").unwrap();
    serde_json::from_str(rest.split("</script>").next().unwrap()).unwrap()
}

fn noscript(page: &str) -> &str {
    page.split_once("<noscript>").unwrap().1.split_once("</noscript>").unwrap().0
}

#[test]
fn the_example_run() {
    let page = page(&story());
    let rows = blocks(&page).join("");
    insta::assert_snapshot!(format!("{rows}{}\n{}", totals(&page), noscript(&page)));
}

#[test]
fn the_same_records_are_the_same_page() {
    let made = || {
        let mut out = Vec::new();
        let mut sink = Html::new("test", &mut out, html::Options::default());
        crowd(&mut sink, 5_000);
        sink.finish().unwrap();
        drop(sink);
        out
    };
    assert!(made() == made());
}

fn at(time: i64, body: Body<'static>) -> Record<'static> {
    Record { time: Time(time), context: ClientId::default(), body }
}

fn happens(time: i64, kind: EventKind<'static>) -> Record<'static> {
    let context = ClientId::default();
    at(time, Body::Event(Event { time: Time(time), context, kind, conditions: Conditions::default() }))
}

fn creation(time: i64, id: u32, parent: u32) -> Record<'static> {
    let image = Some(Name::from_nt(r"C:\a\x.exe"));
    let (process, parent) = (ProcessId(id), ProcessId(parent));
    happens(time, EventKind::ProcessCreate(Process { process, parent, image, ..Process::default() }))
}

fn exit(time: i64, id: u32) -> Record<'static> {
    happens(time, EventKind::ProcessExit(ProcessExit { process: ProcessId(id), status: STATUS_SUCCESS }))
}

fn mapping(time: i64, id: u32) -> Record<'static> {
    happens(time, EventKind::ImageLoad(Image { process: ProcessId(id), base: 0x1000, ..Image::default() }))
}

fn refusal(time: i64, id: u32) -> Record<'static> {
    let (process, status) = (ProcessId(id), STATUS_ACCESS_DENIED);
    at(time, Body::Verdict { process, status, driver: Some(DriverId(0)) })
}

#[test]
fn an_id_that_comes_again_is_another_row() {
    let records =
        [creation(1, 8, 4), mapping(2, 8), exit(3, 8), creation(4, 8, 8), mapping(5, 8), mapping(4, 8)];
    let rows = rows(&page(&records));
    let parents: Vec<_> = of_kind(&rows, "P").iter().map(|row| row[4].clone()).collect();
    assert_eq!(parents, [Value::Null, 0.into()], "the parent is the process that had the id before");
    assert_eq!(of_kind(&rows, "I").iter().map(|row| row[2].clone()).collect::<Vec<_>>(), [0, 1, 1]);
    assert_eq!(rows.last().unwrap()[1], -1, "time may go back a little");
}

#[test]
fn what_happens_to_a_process_that_was_never_seen_is_shown() {
    let page = page(&[mapping(1, 12), exit(2, 12), exit(2, 12), exit(3, 16)]);
    let rows = rows(&page);
    assert_eq!(of_kind(&rows, "P").iter().map(|row| row[2].clone()).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(of_kind(&rows, "X").len(), 3);
    assert_eq!(totals(&page)["numbers"]["unseen"], 2);
}

#[test]
fn machines_share_no_processes_and_a_driver_is_one_driver() {
    let start = |machine: &'static str| {
        at(
            1,
            Body::Start { version: "".into(), profile: "".into(), machine: machine.into(), command: vec![] },
        )
    };
    let load = || {
        let (name, path) = ("edr".into(), r"C:\edr.sys".into());
        at(1, Body::DriverLoad { driver: DriverId(0), name, path, base: 0, size: 0, missing: vec![] })
    };
    let one = |machine| [start(machine), load(), creation(2, 8, 4), refusal(3, 8), at(4, Body::End)];
    let records: Vec<_> = one("a").into_iter().chain(one("b")).chain([start("c"), mapping(5, 8)]).collect();
    let page = page(&records);
    let rows = rows(&page);
    assert_eq!(of_kind(&rows, "R").iter().map(|row| row[5].clone()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(of_kind(&rows, "D").len(), 1);
    assert_eq!(of_kind(&rows, "V").iter().map(|row| row[2].clone()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(of_kind(&rows, "I")[0][2], 2);
    assert_eq!(totals(&page)["numbers"]["refusals"][0][2], 2);
}

#[test]
fn what_would_not_have_happened_is_marked_with_its_cause() {
    let doubt = |id| at(4, Body::Doubt { process: ProcessId(id), because: ProcessId(8) });
    // Of a child it is said before it is created, also where its id was another's.
    let records = [
        creation(1, 12, 4),
        exit(1, 12),
        creation(1, 8, 4),
        refusal(9, 8),
        doubt(8),
        doubt(12),
        creation(3, 12, 8),
        doubt(12),
        at(5, Body::End),
    ];
    let page = page(&records);
    let rows = rows(&page);
    let marks: Vec<_> = of_kind(&rows, "B").iter().map(|row| (row[2].clone(), row[3].clone())).collect();
    assert_eq!(marks, [(1.into(), 1.into()), (2.into(), 1.into()), (2.into(), 1.into())]);
    assert_eq!(of_kind(&rows, "V")[0][1], 0, "a refusal is when the process would have been created");
    assert_eq!(totals(&page)["numbers"]["doubted"], 3);
}

#[test]
fn what_has_no_room_is_counted_and_what_matters_is_kept() {
    let mut records = Vec::new();
    for number in 0..1_000 {
        let (time, id) = (i64::from(number) * 10, number * 4 + 8);
        records.extend([creation(time, id, 4), mapping(time + 1, id)]);
        if number == 900 {
            records.push(refusal(time + 2, id));
        } else {
            records.push(exit(time + 3, id));
        }
    }
    let page = written(&records, html::Options { details: 100, ..Default::default() }, true);
    let rows = rows(&page);
    let (processes, exits, images) = (of_kind(&rows, "P"), of_kind(&rows, "X"), of_kind(&rows, "I"));
    assert_eq!((processes.len(), images.len()), (61, 40));
    let refused = of_kind(&rows, "V");
    assert_eq!(refused.len(), 1);
    assert_eq!(processes[60][3], 3_608, "it has a row as it was refused");
    assert_eq!(refused[0][2], 60);
    let left = &totals(&page)["left"];
    assert_eq!(left["images"], 960);
    assert_eq!(left["processes"], 1_000 - 60 + 999 - exits.len());
    assert_eq!(totals(&page)["numbers"]["created"], 1_000);
}

#[test]
fn a_page_that_was_cut_short_holds_whole_rows() {
    let page = written(&story(), html::Options::default(), false);
    assert!(!page.contains("id=\"totals\""));
    assert!(page.ends_with("]\n"));
    assert!(of_kind(&rows(&page), "P").len() > 3);
}

#[test]
fn a_writer_that_fails_is_told_of_once() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut sink =
        Html::new("a full disk", Full, html::Options { pace: Pace::EveryRecord, ..Default::default() });
    let results: Vec<_> = story().iter().map(|record| sink.record(record)).collect();
    assert!(results[0].as_ref().unwrap_err().to_string().contains("a full disk"));
    assert!(results[1..].iter().all(Result::is_ok) && sink.finish().is_ok());
}

#[test]
fn a_run_of_nothing_is_a_page() {
    let page = page(&[]);
    assert!(rows(&page).is_empty());
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
}

proptest! {
    #[test]
    fn any_records_are_a_page_in_which_nothing_is_markup(
        records in vec(record(), 0..40),
        details in prop_oneof![Just(0_u64), 0..30_u64, Just(250_000)],
    ) {
        let page = written(&records, html::Options { details, ..Default::default() }, true);
        prop_assert!(!page.chars().any(|c| c != '\n' && acts_on_a_terminal(c)));
        // Every element is one of ours.
        let ours = written(&[], html::Options::default(), true).matches("<script").count();
        prop_assert_eq!(page.matches("<script").count(), ours + blocks(&page).len());
        for block in blocks(&page) {
            prop_assert!(!block.contains(['<', '>', '&']));
        }
        let summary = noscript(&page);
        for element in summary.split('<').skip(1) {
            let named = element.split('>').next().unwrap().trim_start_matches('/');
            prop_assert!(["h1", "p", "ul", "li"].contains(&named), "{}", element);
        }
        // Every number of a row, a driver or a text is of one that was written before.
        let (mut processes, mut drivers) = (0, 0);
        for row in rows(&page) {
            let refers = |place: usize| row[place].as_u64();
            let (process, driver): (&[usize], &[usize]) = match row[0].as_str().unwrap() {
                "P" => (&[4], &[]),
                "X" | "T" | "Q" | "I" => (&[2], &[]),
                "V" | "K" => (&[2], &[4]),
                "O" | "F" | "S" => (&[2], &[3]),
                "B" => (&[2, 3], &[]),
                "M" => (&[2], &[]),
                "N" => (&[], &[1]),
                "E" | "U" | "G" | "L" => (&[], &[2]),
                "R" | "D" | "W" | "C" | "Z" => (&[], &[]),
                other => return Err(TestCaseError::fail(format!("a row of kind {other}"))),
            };
            prop_assert!(process.iter().filter_map(|&place| refers(place)).all(|number| number < processes));
            prop_assert!(driver.iter().filter_map(|&place| refers(place)).all(|number| number < drivers));
            processes += u64::from(row[0] == "P");
            drivers += u64::from(row[0] == "D");
        }
        totals(&page);
    }
}
