//! What files are packed in.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use telemetry::oracle::evtx;
use telemetry::{Format, OpenError, Reason, open, open_bytes};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::support::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn zipped(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let options = SimpleFileOptions::default().compression_method(method);
        if name.ends_with('/') {
            archive.add_directory(*name, options).unwrap();
        } else {
            archive.start_file(*name, options).unwrap();
            archive.write_all(bytes).unwrap();
        }
    }
    archive.finish().unwrap().into_inner()
}

const LINE: &[u8] = b"{\"EventID\":5,\"SourceName\":\"Microsoft-Windows-Sysmon\",\"ProcessId\":7}\n";

fn error(bytes: &[u8]) -> OpenError {
    open_bytes("a file", bytes).map(|_| ()).unwrap_err()
}

#[test]
fn gzip_of_one_or_more_members_is_read_through() {
    let file = evtx(&day(50), 10);
    assert_eq!(read(&gzip(&file)), read(&file));
    let members = [gzip(LINE), gzip(LINE), gzip(LINE)].concat();
    assert_eq!(kinds(&read(&members)), ["exit"; 3]);
}

#[test]
fn every_file_of_a_zip_is_read_and_what_is_not_understood_is_named() {
    let file = evtx(&day(50), 10);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let bytes = zipped(
            &[("d/", b""), ("d/a.bin", LINE), ("read me", b"no log"), ("b", &file), ("empty", b"")],
            method,
        );
        let mut reader = open_bytes("x.json", bytes).unwrap();
        let skipped: Vec<_> = reader.skipped().iter().map(|skipped| skipped.name.as_str()).collect();
        assert_eq!(skipped, ["x.json!read me", "x.json!empty"]);
        assert_eq!(reader.part(), Some(("x.json!d/a.bin", Format::Json)));
        let first = reader.next().unwrap();
        assert_eq!(kinds(&[first]), ["exit"]);
        let rest: Vec<_> = reader.by_ref().collect();
        assert_eq!(rest, read(&file));
        assert_eq!(reader.part(), Some(("x.json!b", Format::Evtx)));
    }
}

#[test]
fn files_are_read_from_disk_by_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("named.evtx");
    std::fs::write(&path, gzip(LINE)).unwrap();
    assert_eq!(open(&path).unwrap().count(), 1);
    assert!(matches!(open(folder.path()).map(|_| ()).unwrap_err(), OpenError::Unreadable { .. }));
    let missing = open(&folder.path().join("none")).map(|_| ()).unwrap_err();
    assert!(missing.to_string().contains("none"), "{missing}");
}

#[test]
fn what_is_not_understood_is_said_with_what_it_begins_with() {
    let text = error(b"MZ\x90\0\x03").to_string();
    assert!(
        text.starts_with(
            "a file is no recording that is understood: it begins with \"MZ\\x90\\x00\\x03\" (4d 5a 90 00 03)"
        ),
        "{text}"
    );
    assert!(matches!(error(b""), OpenError::Empty { .. }));
    assert!(matches!(error(&gzip(b"")), OpenError::Empty { .. }));
    assert!(matches!(error(&zipped(&[], CompressionMethod::Stored)), OpenError::Empty { .. }));
    assert!(matches!(error(&zipped(&[("a", b"x")], CompressionMethod::Stored)), OpenError::Unknown { .. }));
}

#[test]
fn archives_in_archives_are_refused() {
    let inner = zipped(&[("a", LINE)], CompressionMethod::Deflated);
    for bytes in [
        zipped(&[("a", LINE), ("b.zip", &inner)], CompressionMethod::Deflated),
        zipped(&[("b.gz", &gzip(LINE))], CompressionMethod::Stored),
        gzip(&inner),
        gzip(&gzip(LINE)),
    ] {
        assert!(matches!(error(&bytes), OpenError::Nested { .. }), "{}", error(&bytes));
    }
}

#[test]
fn a_bomb_ends_in_a_clear_error_before_it_is_unpacked() {
    let zeroes = vec![b' '; 300 << 20];
    let bytes = zipped(&[("a", &zeroes)], CompressionMethod::Deflated);
    let refused = error(&bytes);
    assert!(matches!(refused, OpenError::Archive { .. }), "{refused}");
    assert!(refused.to_string().contains("would unpack"), "{refused}");
    // Gzip does not say how large it is: what comes before the limit is read.
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(LINE).unwrap();
    packer.write_all(&zeroes).unwrap();
    let records = read(&packer.finish().unwrap());
    assert_eq!(kinds(&records), ["exit", "damaged"]);
    assert!(records[1].as_ref().unwrap_err().detail.contains("256 MiB"), "{records:?}");
}

#[test]
fn an_archive_that_was_cut_off_is_said_to_be_one() {
    let bytes = zipped(&[("a", LINE)], CompressionMethod::Deflated);
    for cut in [1, 12, 22, 40] {
        let refused = error(&bytes[..bytes.len() - cut]);
        assert!(matches!(refused, OpenError::Archive { .. }), "{refused}");
        assert!(
            refused.to_string().contains("directory, which stands at its end, is missing"),
            "{cut}: {refused}"
        );
    }
}

#[test]
fn a_directory_that_lies_is_found_out() {
    let bytes = zipped(&[("a", LINE)], CompressionMethod::Stored);
    let at = bytes.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    // The checksum that the directory has.
    let mut lies = bytes.clone();
    lies[at + 16] ^= 1;
    let records = read(&lies);
    assert_eq!(kinds(&records), ["exit", "damaged"], "{records:?}");
    // The directory twice, so that entries overlap.
    let mut entry = bytes[at..bytes.len() - 22].to_vec();
    entry[46] = b'b';
    let mut twice = bytes[..bytes.len() - 22].to_vec();
    twice.extend(&entry);
    let mut end = bytes[bytes.len() - 22..].to_vec();
    end[8] = 2;
    end[10] = 2;
    let size = u32::try_from(2 * entry.len()).unwrap();
    end[12..16].copy_from_slice(&size.to_le_bytes());
    twice.extend(end);
    assert!(error(&twice).to_string().contains("overlap"), "{}", error(&twice));
}

#[test]
fn an_archive_of_too_many_entries_is_refused() {
    let names: Vec<String> = (0..10_001).map(|number| number.to_string()).collect();
    let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), LINE)).collect();
    let refused = error(&zipped(&entries, CompressionMethod::Stored));
    assert!(refused.to_string().contains("10001 entries"), "{refused}");
}

#[test]
fn what_is_packed_and_cut_says_so() {
    let lines = LINE.repeat(10_000);
    let packed = gzip(&lines);
    let records = read(&packed[..packed.len() / 2]);
    assert!(records.len() > 1_000);
    assert_eq!(count(&records, Reason::Truncated), 1, "{:?}", records.last());
    assert!(records.last().unwrap().is_err());
    let archive = zipped(&[("a", &lines)], CompressionMethod::Deflated);
    assert!(matches!(error(&archive[..archive.len() / 2]), OpenError::Archive { .. }));
}
