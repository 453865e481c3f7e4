//! Outputs that fail, and runs that are killed.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use report::human::Options;
use report::{Fanout, Human, LineFile, Ndjson, Pace, Sink, SinkError, Truncate, ndjson};

use crate::story::story;

/// A disk with so many bytes left, which is looked at from outside.
#[derive(Clone)]
struct Disk {
    written: Arc<Mutex<Vec<u8>>>,
    room: usize,
    error: io::ErrorKind,
}

impl Disk {
    fn with_room(room: usize) -> Self {
        Self { written: Arc::default(), room, error: io::ErrorKind::StorageFull }
    }

    fn text(&self) -> String {
        String::from_utf8(self.written.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.written.lock().unwrap();
        let fits = bytes.len().min(self.room - written.len());
        if fits == 0 {
            return Err(self.error.into());
        }
        written.extend_from_slice(&bytes[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Truncate for Disk {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.written.lock().unwrap().truncate(usize::try_from(length).unwrap());
        Ok(())
    }
}

/// Feeds the story; every error, with the number of the record (or the end) it came at.
fn errors(sink: &mut dyn Sink) -> Vec<SinkError> {
    let mut errors: Vec<_> = story().iter().filter_map(|record| sink.record(record).err()).collect();
    errors.extend(sink.finish().err());
    errors
}

fn json<W: Write>(writer: W, pace: Pace) -> Ndjson<W> {
    Ndjson::new("run.ndjson", writer, ndjson::Options { pace, ..Default::default() })
}

#[test]
fn a_full_disk_is_told_once_and_keeps_whole_lines() {
    let all = Disk::with_room(usize::MAX);
    assert!(errors(&mut json(all.clone(), Pace::EveryRecord)).is_empty());
    for pace in [Pace::EveryRecord, Pace::Blocks] {
        for room in [1, 100, 2_000, 5_000, all.text().len() - 1] {
            let disk = Disk::with_room(room);
            let errors = errors(&mut json(LineFile::new(disk.clone()), pace));
            let text = disk.text();
            assert!(all.text().starts_with(&text) && (text.is_empty() || text.ends_with('\n')));
            let lines = text.lines().count() as u64;
            match &*errors {
                [SinkError::Full { output, lines: kept, .. }] => {
                    assert_eq!((&**output, *kept), ("run.ndjson", lines))
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn people_are_told_what_is_kept_and_what_to_do() {
    let disk = Disk::with_room(2_000);
    let errors = errors(&mut json(LineFile::new(disk), Pace::EveryRecord));
    insta::assert_snapshot!(errors[0]);
}

#[test]
fn a_reader_that_goes_away_is_no_full_disk() {
    let disk = Disk { error: io::ErrorKind::BrokenPipe, ..Disk::with_room(500) };
    let mut sink = Human::new("stderr", disk, Options::default());
    assert!(matches!(&*errors(&mut sink), [SinkError::Closed { output, .. }] if output == "stderr"));
    assert!(sink.summary().complete, "the summary goes on: exit codes depend on it");
}

#[test]
fn the_device_that_is_always_full() {
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else { return };
    let errors = errors(&mut json(LineFile::new(full), Pace::EveryRecord));
    assert!(matches!(&*errors, [SinkError::Full { lines: 0, .. }]));
}

#[test]
fn one_output_that_fails_does_not_keep_records_from_the_others() {
    let (small, large) = (Disk::with_room(300), Disk::with_room(usize::MAX));
    let mut both =
        Fanout::new().with(json(small, Pace::EveryRecord)).with(json(large.clone(), Pace::EveryRecord));
    assert_eq!(errors(&mut both).len(), 1);
    assert_eq!(large.text().lines().count(), story().len());
}

#[test]
fn two_that_fail_at_once_are_both_named() {
    let mut both = Fanout::new().with(json(Disk::with_room(1), Pace::EveryRecord)).with(Human::new(
        "stderr",
        Disk::with_room(1),
        Options::default(),
    ));
    match &*errors(&mut both) {
        [SinkError::Several(several)] => assert_eq!(several.len(), 2),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_that_is_killed_has_every_line_so_far() {
    let disk = Disk::with_room(usize::MAX);
    let mut sink = json(disk.clone(), Pace::EveryRecord);
    for (index, record) in story().iter().enumerate() {
        sink.record(record).unwrap();
        assert_eq!(disk.text().matches('\n').count(), index + 1);
        assert!(disk.text().ends_with('\n'));
    }
}

#[test]
fn blocks_are_whole_lines_and_what_matters_does_not_wait() {
    let disk = Disk::with_room(usize::MAX);
    let mut sink = json(disk.clone(), Pace::Blocks);
    let records = story();
    let urgent = records.iter().position(|record| matches!(record.body, event::Body::Finding(_))).unwrap();
    for record in &records[..urgent] {
        sink.record(record).unwrap();
        assert_eq!(disk.text(), "");
    }
    sink.record(&records[urgent]).unwrap();
    assert_eq!(disk.text().lines().count(), urgent + 1);
    sink.record(&records[urgent + 1]).unwrap();
    assert_eq!(disk.text().lines().count(), urgent + 1);
    sink.flush().unwrap();
    assert_eq!(disk.text().lines().count(), urgent + 2);
}

#[test]
fn a_file_is_created_and_cut() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.ndjson");
    std::fs::write(&path, "what was there").unwrap();
    assert!(errors(&mut json(LineFile::create(&path).unwrap(), Pace::EveryRecord)).is_empty());
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), story().len());
    std::fs::File::options().write(true).open(&path).unwrap().truncate(5).unwrap();
    assert_eq!(std::fs::read(&path).unwrap().len(), 5);
}
