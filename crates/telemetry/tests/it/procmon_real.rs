//! Procmon's logs of real machines, against what an independent reader finds in them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use telemetry::procmon::{csv, pml};
use telemetry::{Reason, Rejected, Told, What};

use crate::data;

type Read = Vec<Result<Told, Rejected>>;

fn read_csv(path: &Path) -> Read {
    let mut reader =
        csv::Reader::open(BufReader::new(File::open(path).unwrap()), csv::Options::default()).unwrap();
    let read: Vec<_> = reader.by_ref().collect();
    assert_eq!(reader.read(), read.len() as u64, "accepted + rejected = read");
    read
}

fn read_pml(path: &Path) -> Read {
    let mut reader = pml::Reader::open(File::open(path).unwrap()).unwrap();
    let read: Vec<_> = reader.by_ref().collect();
    assert_eq!(reader.read(), read.len() as u64, "accepted + rejected = read");
    read
}

/// What both forms can tell.
pub(crate) fn common(read: Read) -> Read {
    let plain = |told: Told| {
        let mut told = Told { machine: None, ..told };
        match &mut told.what {
            What::ProcessCreate(it) | What::ProcessPresent(it) => {
                (it.subject.unique, it.parent.unique) = (None, None);
            }
            What::ProcessExit(it) => it.subject.unique = None,
            What::ThreadCreate(it) | What::ThreadExit(it) => it.subject.unique = None,
            What::ImageLoad(it) => it.subject.unique = None,
            What::DriverLoad(_) => {}
        }
        told
    };
    read.into_iter().map(|told| told.map(plain)).collect()
}

/// How many there are of what, and of which operation the csv crate says how many there are.
fn counts(read: &Read) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for told in read {
        let name = match told {
            Ok(told) => match told.what {
                What::ProcessCreate(_) => "birth",
                What::ProcessPresent(_) => "Process Defined",
                What::ProcessExit(_) => "Process Exit",
                What::ThreadCreate(_) => "Thread Create",
                What::ThreadExit(_) => "Thread Exit",
                What::ImageLoad(_) | What::DriverLoad(_) => "Load Image",
            },
            Err(rejected) => match rejected.reason {
                Reason::Superseded => "superseded",
                Reason::OtherKind => "other",
                _ => panic!("{rejected:?}"),
            },
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}

#[test]
fn csv_counts_are_those_of_the_csv_crate() {
    let Some(directory) = data::directory("procmon") else { return };
    for path in data::files(&directory, "csv") {
        let mut theirs: BTreeMap<String, usize> = BTreeMap::new();
        let mut reader = ::csv::Reader::from_path(&path).unwrap();
        let operation = reader.headers().unwrap().iter().position(|name| name == "Operation").unwrap();
        for record in reader.records() {
            *theirs.entry(record.unwrap()[operation].to_owned()).or_default() += 1;
        }
        let their = |name: &str| theirs.get(name).copied().unwrap_or(0);
        let ours = counts(&read_csv(&path));
        let our = |name: &str| ours.get(name).copied().unwrap_or(0);
        for name in ["Process Exit", "Thread Create", "Thread Exit", "Load Image", "Process Defined"] {
            assert_eq!(our(name), their(name), "{name} of {}", path.display());
        }
        assert_eq!(our("birth") + our("superseded"), their("Process Start") + their("Process Create"));
        assert!(our("birth") >= their("Process Start"));
        println!("{}: {ours:?}", path.display());
    }
}

#[test]
fn csv_and_pml_of_one_run_are_the_same() {
    let Some(directory) = data::directory("procmon") else { return };
    for csv in data::files(&directory, "csv") {
        let pml = csv.with_extension("pml");
        if !pml.exists() {
            continue;
        }
        let (csv, pml) = (common(read_csv(&csv)), common(read_pml(&pml)));
        for (csv, pml) in csv.iter().zip(&pml) {
            assert_eq!(csv, pml);
        }
        assert_eq!(csv.len(), pml.len());
    }
}
