//! Event logs as Windows writes them.

use event::Time;
use telemetry::oracle::{Entry, evtx, evtx_header};
use telemetry::{DriverLoad, ImageLoad, Log, ProcessCreate, ProcessExit, Reason, RecordId, Subject, What};

use crate::support::*;

#[test]
fn each_kind_of_event_is_told_with_all_its_fields() {
    let records =
        read(&evtx(&[create(420), load(420, "C:\\x.dll"), driver("C:\\d.sys"), exit(420), other()], 100));
    let subject = |image: &str| Subject {
        process: Some(420),
        unique: Some("0000abcd-0000-0000-0000-0000000001a4".into()),
        image: Some(image.into()),
    };
    let told: Vec<_> = records.iter().flatten().collect();
    assert!(told.iter().all(|told| told.machine.as_deref() == Some("host42.example.org")));
    assert!(told.iter().all(|told| told.time == Some(Time(TIME.cast_signed()))), "{told:?}");
    assert_eq!(told.iter().map(|told| told.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let ids = [1, 2, 3, 4].map(|number| Some(RecordId { log: Log::Sysmon, number }));
    assert_eq!(told.iter().map(|told| told.record_id).collect::<Vec<_>>(), ids);
    let expected = [
        What::ProcessCreate(ProcessCreate {
            subject: subject("C:\\Windows\\a b\\ünï.exe"),
            parent: Subject {
                process: Some(4),
                unique: Some("0000abcd-0000-0000-0000-000000000004".into()),
                image: None,
            },
            command_line: Some("\"C:\\a.exe\" /x:\"<&>\" \t'".into()),
            ..ProcessCreate::default()
        }),
        What::ImageLoad(ImageLoad {
            subject: subject("C:\\a.exe"),
            path: Some("C:\\x.dll".into()),
            ..ImageLoad::default()
        }),
        What::DriverLoad(DriverLoad { path: Some("C:\\d.sys".into()), ..DriverLoad::default() }),
        What::ProcessExit(ProcessExit { subject: subject("C:\\a.exe"), status: None }),
    ];
    assert_eq!(whats(&records), expected);
    assert_eq!(kinds(&records)[4], "other-kind");
}

#[test]
fn the_security_log_is_told_where_sysmon_is_not() {
    let records = read(&evtx(&[created(0x1A4), exited(0x1A4)], 100));
    let subject =
        |process, image: &str| Subject { process: Some(process), unique: None, image: Some(image.into()) };
    let expected = [
        What::ProcessCreate(ProcessCreate {
            subject: subject(0x1A4, "C:\\Windows\\b.exe"),
            parent: subject(4, "C:\\Windows\\c.exe"),
            ..ProcessCreate::default()
        }),
        What::ProcessExit(ProcessExit {
            subject: subject(0x1A4, "C:\\Windows\\b.exe"),
            status: Some(0xC000_0005),
        }),
    ];
    assert_eq!(whats(&records), expected);
    assert!(records.iter().flatten().all(|told| told.time == Some(Time(TIME.cast_signed()))));
}

#[test]
fn sysmon_supersedes_wherever_in_the_file_it_is_and_for_each_machine_and_kind_apart() {
    let on = |computer: &str, entry: Entry| Entry { computer: computer.into(), ..entry };
    let entries = [
        on("A", created(1)),
        on("B", created(2)),
        on("A", exited(1)),
        on("A", create(1)),
        on("C", created(3)),
        on("C", exit(3)),
        on("C", exited(3)),
        // The name's case is not what tells machines apart.
        on("a", created(4)),
    ];
    let expected = ["superseded", "create", "exit", "create", "create", "exit", "superseded", "superseded"];
    for for_each_chunk in [1, 3, 100] {
        assert_eq!(kinds(&read(&evtx(&entries, for_each_chunk))), expected, "{for_each_chunk}");
    }
}

#[test]
fn another_log_behind_one_is_said_to_be_there() {
    let one = evtx(&day(20), 10);
    let records = read(&[&one[..], &evtx(&day(30), 10)].concat());
    let (whole, [last]) = records.split_at(20) else { panic!("{records:?}") };
    assert_eq!(whole, read(&one));
    let Err(rejected) = last else { panic!("{last:?}") };
    assert_eq!(rejected.reason, Reason::Damaged);
    let said = format!(
        "chunk 2 at offset {:#x}: another log begins here, with 200704 bytes that are not read: \
         give each log as a file of its own",
        one.len()
    );
    assert_eq!(rejected.detail, said);
}

#[test]
fn a_bad_chunk_is_one_rejection_and_costs_no_other() {
    let entries = day(120);
    let file = evtx(&entries, 10);
    let whole = read(&file);
    assert_eq!(whole.len(), 120);
    for chunk in 0..12 {
        let mut bad = file.clone();
        bad[4096 + chunk * 0x1_0000] ^= 0xFF;
        let records = read(&bad);
        assert_eq!(records.len(), 111, "chunk {chunk}");
        let damaged: Vec<_> = records.iter().filter_map(|record| record.as_ref().err()).collect();
        let damaged: Vec<_> = damaged.iter().filter(|rejected| rejected.reason == Reason::Damaged).collect();
        assert_eq!(damaged.len(), 1);
        let place = format!("chunk {chunk} at offset {:#x}", 4096 + chunk * 0x1_0000);
        assert!(damaged[0].detail.contains(&place), "{}", damaged[0].detail);
        let mut expected = whats(&whole[..chunk * 10]);
        expected.extend(whats(&whole[chunk * 10 + 10..]));
        assert_eq!(whats(&records), expected, "chunk {chunk}");
    }
}

#[test]
fn a_bad_record_costs_no_other() {
    let file = evtx(&day(30), 10);
    let whole = read(&file);
    // The magic of the third record of the second chunk.
    let chunk = 4096 + 0x1_0000;
    let mut at = chunk + 512;
    for _ in 0..2 {
        at += u32::from_le_bytes(file[at + 4..at + 8].try_into().unwrap()) as usize;
    }
    let mut bad = file.clone();
    bad[at] = 0;
    let records = read(&bad);
    assert_eq!(count(&records, Reason::Damaged), 1, "{:?}", kinds(&records));
    assert_eq!(records.len(), 30);
    assert_eq!(whats(&records[..12]), whats(&whole[..12]));
    assert_eq!(whats(&records[13..]), whats(&whole[13..]));
}

#[test]
fn a_full_log_begins_with_its_oldest_chunk() {
    let mut file = evtx(&(1..=4).map(|process| load(process, "C:\\x.dll")).collect::<Vec<_>>(), 1);
    file[8..16].copy_from_slice(&2_u64.to_le_bytes());
    let order = |file: &[u8]| -> Vec<u32> {
        whats(&read(file))
            .into_iter()
            .filter_map(|what| match what {
                What::ImageLoad(load) => load.subject.process,
                _ => None,
            })
            .collect()
    };
    assert_eq!(order(&file), [3, 4, 1, 2]);
    // A number that no chunk has says nothing.
    file[8..16].copy_from_slice(&9_u64.to_le_bytes());
    assert_eq!(order(&file), [1, 2, 3, 4]);
}

#[test]
fn a_file_that_ends_early_says_so_after_its_last_whole_record() {
    let file = evtx(&day(60), 20);
    let whole = read(&file);
    // Within the last chunk's records; between chunks; within the header of a chunk; within the file's header.
    for end in [file.len() - 0xE000, 4096 + 2 * 0x1_0000, 4096 + 0x1_0000 + 100, 200, 9] {
        let records = read(&file[..end]);
        let (last, told) = records.split_last().unwrap();
        assert_eq!(last.as_ref().unwrap_err().reason, Reason::Truncated, "{end}: {last:?}");
        let told: Vec<_> = told.iter().filter(|record| !is_truncated(record)).collect();
        assert!(told.iter().zip(&whole).all(|(told, whole)| *told == whole), "{end}");
        assert!(told.len() < whole.len());
    }
    assert!(read(&evtx_header(0)).is_empty());
    // Space that no chunk was written to yet is no damage.
    let padded = [&file[..], &vec![0; 3 * 0x1_0000]].concat();
    assert_eq!(read(&padded), whole);
}

fn is_truncated(record: &Result<telemetry::Told, telemetry::Rejected>) -> bool {
    record.as_ref().is_err_and(|rejected| rejected.reason == Reason::Truncated)
}
