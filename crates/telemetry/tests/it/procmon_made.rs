//! One run, written as Procmon's CSV and as its PML: both are read as the same events.

use std::io::Cursor;

use event::Time;
use proptest::prelude::*;
use telemetry::procmon::{csv, pml};
use telemetry::{Reason, Rejected, Told, What};

use crate::procmon_real::common;
use crate::procmon_run::{Act, DE, Process, Record, Run, START, US};

fn read_csv(text: &str) -> Vec<Result<Told, Rejected>> {
    let mut reader = csv::Reader::open(text.as_bytes(), csv::Options::default()).unwrap();
    let read: Vec<_> = reader.by_ref().collect();
    assert_eq!(read.len() as u64, reader.read());
    read
}

fn read_pml(bytes: &[u8]) -> Vec<Result<Told, Rejected>> {
    let mut reader = pml::Reader::open(Cursor::new(bytes)).unwrap();
    let read: Vec<_> = reader.by_ref().collect();
    assert_eq!(read.len() as u64, reader.read());
    read
}

/// What both can say: for people, a rejected record's detail is each reader's own.
fn same(read: Vec<Result<Told, Rejected>>) -> Vec<Result<Told, (u64, Reason)>> {
    common(read).into_iter().map(|told| told.map_err(|rejected| (rejected.number, rejected.reason))).collect()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[!-~]( ?[!-~]){0,20}", "\"[a-z ]{1,9}\" [a-zäß日,;]{1,9}, Current directory: x"]
}

fn act(processes: usize) -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => (0..processes, text()).prop_map(|(child, line)| Act::Create { child, line }),
        1 => (0..processes, text()).prop_map(|(parent, line)| Act::Start { parent, line }),
        1 => any::<u32>().prop_map(Act::Exit),
        1 => any::<u32>().prop_map(Act::ThreadCreate),
        1 => Just(Act::ThreadExit),
        2 => ("C:\\\\[a-zé日\"]{1,9}\\.dll", any::<u32>(), any::<u32>())
            .prop_map(|(path, base, size)| Act::Load { path, base: base.into(), size }),
        1 => Just(Act::Other),
    ]
}

fn run() -> impl Strategy<Value = Run> {
    let process = ((1..40_000_u32).prop_map(|id| id * 4), text(), any::<bool>(), "C:\\\\[a-zö ]{1,9}\\.exe");
    let processes = proptest::collection::vec(process, 1..5).prop_map(|processes| {
        let of = |(id, line, wide, image)| Process { id, parent: 4, image, line, wide };
        processes.into_iter().map(of).collect::<Vec<_>>()
    });
    processes.prop_flat_map(|processes| {
        let count = processes.len();
        let record = (0..count, any::<u32>(), 0..100_000_000_i64, act(count));
        proptest::collection::vec(record, 0..40).prop_map(move |records| {
            let mut now = 0;
            let records = records.into_iter().map(|(process, thread, later, act)| {
                now += later;
                Record { process, thread, ticks: now, act }
            });
            let records: Vec<_> = records.flat_map(births).collect();
            Run { processes: processes.clone(), records }
        })
    })
}

/// Half of all creations have both their records, as all have in real logs.
fn births(record: Record) -> Vec<Record> {
    match &record.act {
        Act::Create { child, line } if record.ticks % 2 == 0 => {
            let act = Act::Start { parent: record.process, line: line.clone() };
            let start = Record { process: *child, act, ..record.clone() };
            vec![record, start]
        }
        _ => vec![record],
    }
}

proptest! {
    #[test]
    fn csv_and_pml_of_a_run_are_the_same_events(run in run(), narrow: bool) {
        let pml = same(read_pml(&run.to_pml(if narrow { 4 } else { 8 })));
        prop_assert_eq!(pml.len(), run.records.len());
        prop_assert_eq!(&same(read_csv(&run.to_csv(US))), &pml);
        prop_assert_eq!(&same(read_csv(&run.to_csv(DE))), &pml);
    }

    #[test]
    fn damaged_files_end_in_an_account(
        run in run(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        cuts: bool,
    ) {
        for (is_pml, mut bytes) in [(true, run.to_pml(8)), (false, run.to_csv(US).into_bytes())] {
            for (at, value) in &flips {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            if cuts {
                bytes.truncate(cut.index(bytes.len()));
            }
            if is_pml { telemetry::fuzzing::check_pml(&bytes) } else { telemetry::fuzzing::check_csv(&bytes) }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..3000), text in "(\"|,|\n|x|Operation|PID|Detail){0,60}") {
        telemetry::fuzzing::check_csv(&bytes);
        telemetry::fuzzing::check_csv(text.as_bytes());
        telemetry::fuzzing::check_csv(&[b"PID,Operation,Detail\n", bytes.as_slice()].concat());
        telemetry::fuzzing::check_pml(&bytes);
    }
}

fn shell(records: Vec<(usize, Act)>) -> Run {
    let process = |id, parent, image: &str, line: &str| Process {
        id,
        parent,
        image: image.into(),
        line: line.into(),
        wide: id != 48,
    };
    let record = |(at, (process, act)): (i64, _)| Record { process, thread: 8, ticks: 10_000_000 * at, act };
    Run {
        processes: vec![
            process(40, 4, r"C:\shell.exe", "shell"),
            process(44, 40, r"C:\tool.exe", "tool -x"),
            process(48, 40, r"C:\old.exe", "old"),
        ],
        records: (0..).zip(records).map(record).collect(),
    }
}

#[test]
fn a_birth_is_told_once_with_all_that_its_records_say() {
    let line = "\"C:\\tool.exe\" -x \r\n, y".to_owned();
    let run = shell(vec![
        (0, Act::Create { child: 1, line: line.clone() }),
        (1, Act::Start { parent: 0, line: line.clone() }),
        (1, Act::Exit(0xC000_0005)),
        (0, Act::Create { child: 2, line: "old".into() }),
        (2, Act::ThreadCreate(52)),
    ]);
    for (read, machine, unique) in
        [(read_csv(&run.to_csv(US)), None, None), (read_pml(&run.to_pml(8)), Some("WS-042"), Some("101"))]
    {
        assert!(
            matches!(&read[0], Err(Rejected { number: 1, reason: Reason::Superseded, detail }) if detail.contains("record 2"))
        );
        let Ok(Told { number: 2, machine: told, time, what: What::ProcessCreate(create), .. }) = &read[1]
        else {
            panic!("{read:?}")
        };
        assert_eq!((told.as_deref(), *time), (machine, Some(Time(START + 10_000_000))));
        assert_eq!((create.subject.process, &create.subject.unique), (Some(44), &unique.map(Into::into)));
        assert_eq!(create.subject.image.as_deref(), Some(r"C:\tool.exe"));
        assert_eq!(
            (create.parent.process, create.parent.image.as_deref()),
            (Some(40), Some(r"C:\shell.exe"))
        );
        assert_eq!((create.creator, create.command_line.as_ref()), ((None, Some(8)), Some(&line)));
        assert_eq!(create.is_32_bit, Some(false));
        let Ok(Told { what: What::ProcessExit(exit), .. }) = &read[2] else { panic!("{read:?}") };
        assert_eq!(exit.status, Some(0xC000_0005));
        // The Start is missing: the Create is told when the child's thread is.
        let Ok(Told { number: 4, what: What::ProcessCreate(create), .. }) = &read[3] else {
            panic!("{read:?}")
        };
        assert_eq!((create.subject.process, create.parent.process), (Some(48), Some(40)));
        assert!(matches!(&read[4], Ok(Told { number: 5, what: What::ThreadCreate(_), .. })));
    }
}

/// Small files that the fuzzer begins with, where `CALLBOARD_SEED_DIR` says.
#[test]
fn seeds_for_the_fuzzer() {
    let line = "tool, Current directory: x".to_owned();
    let run = shell(vec![
        (0, Act::Create { child: 1, line: line.clone() }),
        (1, Act::Start { parent: 0, line }),
        (1, Act::ThreadCreate(52)),
        (1, Act::Load { path: r"C:\é.dll".into(), base: 0x7FFA_1234_0000, size: 0x5000 }),
        (0, Act::Other),
        (1, Act::ThreadExit),
        (1, Act::Exit(3)),
    ]);
    let recording = |compress| {
        crate::recording::write(&crate::events::every_kind(), crate::recording::options(4, compress))
    };
    let seeds = [
        ("procmon_csv", "us", run.to_csv(US).into_bytes()),
        ("procmon_csv", "de", run.to_csv(DE).into_bytes()),
        ("procmon_pml", "wide", run.to_pml(8)),
        ("procmon_pml", "narrow", run.to_pml(4)),
        ("recording", "plain", recording(false)),
        ("recording", "packed", recording(true)),
        ("recording", "two", [recording(true), recording(false)].concat()),
    ];
    let lines = crate::feed::lines(&recording(false));
    let two = [&lines[..], &lines].concat();
    let others = crate::exports::seeds().into_iter().enumerate();
    let others = others.flat_map(|(number, text)| {
        let feed = [&[7], text.as_bytes()].concat();
        [("telemetry_json", text.into_bytes()), ("telemetry_feed", feed)]
            .map(|(target, bytes)| (target, format!("export-{number}"), bytes))
    });
    let seeds = seeds.map(|(target, name, bytes)| (target, name.to_owned(), bytes));
    let feeds: Vec<_> = seeds
        .iter()
        .map(|(_, name, bytes)| ("telemetry_feed", format!("feed-{name}"), [&[200], &bytes[..]].concat()))
        .collect();
    let twin = [("telemetry_lines", "one".to_owned(), lines), ("telemetry_lines", "two".to_owned(), two)];
    for (target, name, bytes) in seeds.into_iter().chain(feeds).chain(twin).chain(others) {
        match target {
            "telemetry_json" => drop(telemetry::oracle::check_json(&bytes)),
            "telemetry_feed" => telemetry::oracle::check_feed(&bytes[1..], usize::from(bytes[0])),
            "telemetry_lines" => telemetry::fuzzing::check_lines(&bytes),
            "procmon_csv" => telemetry::fuzzing::check_csv(&bytes),
            "procmon_pml" => telemetry::fuzzing::check_pml(&bytes),
            _ => telemetry::fuzzing::check_cbr(&bytes),
        }
        if let Some(directory) = std::env::var_os("CALLBOARD_SEED_DIR") {
            let directory = std::path::Path::new(&directory).join(target);
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join(name), bytes).unwrap();
        }
    }
}

#[test]
fn drivers_are_told_as_drivers() {
    let run = shell(vec![
        (0, Act::Load { path: r"C:\x.sys".into(), base: 0xFFFF_F801_1234_0000, size: 0x5000 }),
        (0, Act::Load { path: r"C:\x.dll".into(), base: 0x7FFA_1234_0000, size: 0x5000 }),
    ]);
    for read in [read_csv(&run.to_csv(US)), read_pml(&run.to_pml(8))] {
        assert!(
            matches!(&read[0], Ok(Told { what: What::DriverLoad(driver), .. }) if driver.size == Some(0x5000))
        );
        assert!(
            matches!(&read[1], Ok(Told { what: What::ImageLoad(image), .. }) if image.base == Some(0x7FFA_1234_0000))
        );
    }
}

#[test]
fn a_pml_knows_the_processes_that_were_there_before() {
    let file = shell(Vec::new()).to_pml(4);
    let mut reader = pml::Reader::open(Cursor::new(file)).unwrap();
    assert_eq!((reader.processes(), reader.version(), reader.machine()), (vec![100, 101, 102], 9, "WS-042"));
    let old = reader.process(102).unwrap().unwrap().clone();
    assert_eq!((old.subject.process, old.parent, old.command_line.as_deref()), (Some(48), 40, Some("old")));
    assert!(old.is_32_bit);
    let modules = reader.modules(102).unwrap();
    assert_eq!(
        (modules.len(), modules[0].base, modules[0].path.as_deref()),
        (1, 0x40_0000, Some(r"C:\old.exe"))
    );
    assert_eq!(reader.process(103).unwrap(), None);
}

#[test]
fn the_columns_of_an_installed_procmon_are_enough_in_any_language() {
    let text = "Uhrzeit;Prozessname;PID;Vorgang;Pfad;Ergebnis;Einzelheiten\n\
        23:59:59,0000000;a.exe;40;Process Create;C:\\b.exe;SUCCESS;PID: 44, Command line: b\n\
        00:00:01,0000000;b.exe;44;Process Start;;SUCCESS;\"Parent PID: 40, Command line: b, Current directory: C:\\\"\n\
        00:00:02,0000000;b.exe;44;Load Image;C:\\b.exe;SUCCESS;Image Base: 0x400000, Image Size: 0x1000\n";
    let mut reader = csv::Reader::open(text.as_bytes(), csv::Options::default()).unwrap();
    let read: Vec<_> = reader.by_ref().collect();
    assert!(!reader.dated());
    let Ok(Told { time, what: What::ProcessCreate(create), .. }) = &read[1] else { panic!("{read:?}") };
    assert_eq!(
        (create.subject.image.as_deref(), create.command_line.as_deref()),
        (Some(r"C:\b.exe"), Some("b"))
    );
    // The day after the first, which is not known.
    assert_eq!(*time, Some(Time((86_400 + 1) * 10_000_000)));
    assert!(read[2].is_ok());
}

#[test]
fn a_record_that_cannot_be_told_is_rejected_for_its_reason() {
    let header = "PID,Operation,Detail,Path,Time of Day,Image Path\n";
    let reason = |line: &[u8]| {
        let file = [header.as_bytes(), line].concat();
        let mut reader = csv::Reader::open(file.as_slice(), csv::Options::default()).unwrap();
        let read: Vec<_> = reader.by_ref().collect();
        assert_eq!(read.len(), 1);
        read.into_iter().next().unwrap().map_err(|rejected| rejected.reason)
    };
    assert_eq!(reason(b"4,CloseFile,,C:\\x,1:00:00 AM,\n"), Err(Reason::OtherKind));
    assert_eq!(reason(b",Load Image,,C:\\x,1:00:00 AM,\n"), Err(Reason::NoProcess));
    assert_eq!(reason(b"4,Process Create,,C:\\x,1:00:00 AM,\n"), Err(Reason::NoProcess));
    assert_eq!(reason(b"x,Load Image,,C:\\x,1:00:00 AM,\n"), Err(Reason::Malformed));
    assert_eq!(reason(b"4,Load Image,,C:\\x,noon,\n"), Err(Reason::Malformed));
    assert_eq!(reason(b"4,,,C:\\x,1:00:00 AM,\n"), Err(Reason::Malformed));
    assert_eq!(reason(b"4,Load Image,\n"), Err(Reason::Malformed));
    assert_eq!(reason(b"4,Load Image,"), Err(Reason::Truncated));
    assert_eq!(reason(b"4,Load Image,\"x"), Err(Reason::Truncated));
    assert_eq!(reason(b"4,Load Image,,C:\\\xFF,1:00:00 AM,\n"), Err(Reason::Damaged));
    assert!(reason(b"4,Load Image,,,,\n").is_ok(), "what is missing is absent");
    for no_header in ["", "a,b,c\n", "{}", "Uhrzeit,a,b,c,d,e,f\nx,a,b,c,d,e,f\n"] {
        assert!(matches!(
            csv::Reader::open(no_header.as_bytes(), csv::Options::default()),
            Err(csv::OpenError::Header)
        ));
    }
    assert!(matches!(
        csv::Reader::open(b"\xFF\xFEP\0".as_slice(), csv::Options::default()),
        Err(csv::OpenError::Utf16)
    ));
}

#[test]
fn a_pml_that_is_none_says_why() {
    let good = shell(vec![(0, Act::ThreadExit)]).to_pml(8);
    let error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = good.clone();
        change(&mut file);
        pml::Reader::open(Cursor::new(file)).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(error(&|file| file[0] = b'Q').contains("PML_"));
    assert!(error(&|file| file[4] = 5).contains("version 5"));
    assert!(error(&|file| file.truncate(100)).contains("cut off"));
    assert!(error(&|file| file.truncate(0x3C0)).contains("cut off"));
    assert!(error(&|file| file[0x258..0x260].fill(0)).contains("did not close"));
    assert_eq!(error(&|file| file[4] = 10), "", "a later version is tried");
    assert_eq!(error(&|file| file.truncate(file.len())), "");
}

#[test]
fn more_events_than_a_pml_has_are_one_rejected_record() {
    let mut file = shell(vec![(0, Act::ThreadExit), (0, Act::ThreadExit)]).to_pml(8);
    let end = file.len() as u64;
    // The array of offsets is the last of the file, and says that there is more of it.
    let array = usize::try_from(u64::from_le_bytes(file[0x248..0x250].try_into().unwrap())).unwrap();
    let offsets = file[array..array + 10].to_vec();
    file.extend_from_slice(&offsets);
    file[0x248..0x250].copy_from_slice(&end.to_le_bytes());
    file[0x234..0x238].copy_from_slice(&u32::MAX.to_le_bytes());
    let read = read_pml(&file);
    assert_eq!(read.len(), 3);
    assert!(matches!(&read[2], Err(Rejected { number: 3, reason: Reason::Truncated, .. })), "{:?}", read[2]);
}
