//! Logs from the field, which are not part of the project: what is told of them is what others count in them.
//!
//! They are looked for in `CALLBOARD_FIELD_DATA`, or beside the project. Without them these tests say so and prove nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use evtx::{EvtxParser, ParserSettings};
use serde_json::Value;
use telemetry::{Format, Reason, Rejected, Told, What, open};

/// The files of a kind, or nothing and a line that says so.
fn files(folder: &str) -> Vec<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = std::env::var_os("CALLBOARD_FIELD_DATA").map_or(beside, PathBuf::from);
    let Ok(listed) = fs::read_dir(root.join(folder)) else {
        println!("SKIPPED: no field data in {}", root.join(folder).display());
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What is counted: creations and exits of both logs, images and drivers, and all there is.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    all: usize,
    kinds: BTreeMap<&'static str, usize>,
}

impl Counts {
    /// Counts an event by what every reader knows of it.
    fn add(&mut self, provider: &str, id: u64) {
        self.all += 1;
        let kind = match (provider, id) {
            ("Microsoft-Windows-Sysmon", 1) | ("Microsoft-Windows-Security-Auditing", 4688) => "create",
            ("Microsoft-Windows-Sysmon", 5) | ("Microsoft-Windows-Security-Auditing", 4689) => "exit",
            ("Microsoft-Windows-Sysmon", 6) => "driver",
            ("Microsoft-Windows-Sysmon", 7) => "image",
            _ => return,
        };
        *self.kinds.entry(kind).or_default() += 1;
    }
}

/// What the readers count. What Sysmon supersedes is an event of the same kind, told and not passed on.
fn told(path: &Path) -> (Counts, usize) {
    let (mut counts, mut damaged) = (Counts::default(), 0);
    for record in open(path).unwrap() {
        counts.all += 1;
        let kind = match &record {
            Ok(Told { what: What::ProcessCreate(_), .. }) => "create",
            Ok(Told { what: What::ProcessExit(_), .. }) => "exit",
            Ok(Told { what: What::DriverLoad(_), .. }) => "driver",
            Ok(Told { what: What::ImageLoad(_), .. }) => "image",
            Ok(other) => panic!("no log tells {other:?}"),
            Err(Rejected { reason: Reason::Superseded, detail, .. }) if detail.contains("4688") => "create",
            Err(Rejected { reason: Reason::Superseded, .. }) => "exit",
            Err(Rejected { reason: Reason::OtherKind, .. }) => continue,
            Err(rejected) => {
                assert_eq!(rejected.reason, Reason::Damaged, "{}: {rejected:?}", path.display());
                damaged += 1;
                counts.all -= 1;
                continue;
            }
        };
        *counts.kinds.entry(kind).or_default() += 1;
    }
    (counts, damaged)
}

#[test]
fn logs_tell_what_the_crates_own_dump_has() {
    for path in files("evtx") {
        let mut dump = Counts::default();
        let mut failed = 0;
        let parser = EvtxParser::from_path(&path).unwrap();
        for record in parser.with_configuration(ParserSettings::default()).records_json_value() {
            let Ok(record) = record else {
                failed += 1;
                continue;
            };
            let system = &record.data["Event"]["System"];
            let provider = system["Provider"]["#attributes"]["Name"].as_str().unwrap_or_default();
            let id = &system["EventID"];
            dump.add(provider, id.as_u64().or_else(|| id["#text"].as_u64()).unwrap());
        }
        let (counts, damaged) = told(&path);
        println!("{}: {counts:?}, {damaged} damaged, {failed} failed in the dump", path.display());
        assert_eq!(counts, dump, "{}", path.display());
        assert_eq!(
            damaged > 0,
            failed > 0,
            "{}: {damaged} damaged, {failed} failed in the dump",
            path.display()
        );
    }
}

/// Counts events by Python, as its own reader of JSON and of archives sees them.
const COUNT: &str = r#"
import collections, json, sys, zipfile
counts, path = collections.Counter(), sys.argv[1]
if zipfile.is_zipfile(path):
    archive = zipfile.ZipFile(path)
    streams = [archive.open(name) for name in archive.namelist()]
else:
    streams = [open(path, "rb")]
for stream in streams:
    for line in stream:
        if line.strip():
            event = json.loads(line)
            counts[(event.get("SourceName") or "", int(event.get("EventID") or 0))] += 1
for (provider, event_id), count in counts.items():
    print(provider, event_id, count, sep="\t")
"#;

#[test]
fn text_tells_what_python_has() {
    for path in files("sysmon-json") {
        let Ok(output) = Command::new("python3").args(["-c", COUNT]).arg(&path).output() else {
            println!("SKIPPED: no python3");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut expected = Counts::default();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let [provider, id, count] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
            for _ in 0..count.parse().unwrap() {
                expected.add(provider, id.parse().unwrap());
            }
        }
        let (counts, damaged) = told(&path);
        println!("{}: {counts:?}", path.display());
        assert_eq!((counts, damaged), (expected, 0), "{}", path.display());
    }
}

/// Of every create and image of the text, each field is what stands in its line.
#[test]
fn text_tells_the_fields_that_stand_in_it() {
    for path in files("sysmon-json") {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let lines: Vec<&str> = text.lines().collect();
        for told in open(&path).unwrap().flatten() {
            let line: Value = serde_json::from_str(lines[usize::try_from(told.number).unwrap() - 1]).unwrap();
            let field = |name: &str| line[name].as_str().filter(|value| *value != "-").map(str::to_owned);
            let subject = match &told.what {
                What::ProcessCreate(create) => {
                    assert_eq!(create.command_line, field("CommandLine"));
                    assert_eq!(create.parent.image.as_deref(), field("ParentImage").as_deref());
                    assert_eq!(create.parent.process.map(|id| id.to_string()), field("ParentProcessId"));
                    &create.subject
                }
                What::ProcessExit(exit) => &exit.subject,
                What::ImageLoad(load) => {
                    assert_eq!(load.path, field("ImageLoaded"));
                    &load.subject
                }
                _ => continue,
            };
            assert_eq!(subject.process.map(|id| id.to_string()), field("ProcessId"));
            assert_eq!(subject.image.as_deref(), field("Image").as_deref());
            assert_eq!(subject.unique.as_ref().map(|guid| format!("{{{guid}}}")), field("ProcessGuid"));
            assert_eq!(*told.machine.unwrap(), field("Hostname").unwrap().to_lowercase());
        }
    }
}

#[test]
fn every_file_is_of_the_format_of_its_folder() {
    let folders: [(&str, &[Format]); 3] = [
        ("evtx", &[Format::Evtx]),
        ("sysmon-json", &[Format::Json]),
        ("procmon", &[Format::ProcmonCsv, Format::Pml]),
    ];
    for (folder, formats) in folders {
        for path in files(folder) {
            let format = match open(&path) {
                Ok(reader) => reader.part().unwrap().1,
                Err(error) => panic!("{error}"),
            };
            assert!(formats.contains(&format), "{} is {format}", path.display());
        }
    }
}
