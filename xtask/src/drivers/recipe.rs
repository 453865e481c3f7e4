//! Which drivers there are.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::root::root;

/// How a driver is made.
#[derive(Clone, Copy)]
pub(crate) enum Language {
    /// A package of the workspace in drivers/.
    Rust,
    /// One file, with or without FORCE_INTEGRITY.
    C { integrity: bool },
}

/// One driver.
pub(crate) struct Driver {
    /// The file's name without `.sys`.
    pub(crate) name: String,
    /// The folder of drivers/ and of drivers/bin/ that it belongs to; empty for those listed here.
    pub(crate) folder: &'static str,
    /// Where its source is, from the root of the tree.
    pub(crate) source: String,
    /// How it is made.
    pub(crate) language: Language,
    /// What it is for, as drivers/bin/README.md tells it.
    pub(crate) purpose: String,
}

impl Driver {
    /// Whether its header asks for a signature check, without which the Ex form refuses to register.
    pub(crate) fn has_integrity(&self) -> bool {
        !matches!(self.language, Language::C { integrity: false })
    }

    /// Where it is committed, from the root of the tree.
    pub(crate) fn committed(&self) -> PathBuf {
        ["drivers/bin", self.folder, &format!("{}.sys", self.name)].iter().collect()
    }
}

const C: Language = Language::C { integrity: true };
const C_WITHOUT_INTEGRITY: Language = Language::C { integrity: false };

/// The drivers that are named one by one, the built-in one first.
#[rustfmt::skip]
const LISTED: &[(&str, &str, Language, &str)] = &[
    ("sensor", "drivers/sensor", Language::Rust, "the built-in driver: prints every notice, refuses what `Deny` lists"),
    ("minimal", "drivers/tests/minimal.c", C, "loads and unloads"),
    ("witness", "drivers/tests/witness.c", C, "checks order, context and contents of all notices from the inside"),
    ("statuses", "drivers/tests/statuses.c", C, "every status of registration and removal"),
    ("statuses-nointegrity", "drivers/tests/statuses.c", C_WITHOUT_INTEGRITY, "the same without FORCE_INTEGRITY"),
    ("loader-flag", "drivers/tests/loader-flag.c", C_WITHOUT_INTEGRITY, "sets and clears FORCE_INTEGRITY in its loader entry"),
    ("veto-chain", "drivers/tests/veto-chain.c", C, "two routines, the first of which refuses"),
    ("probe-exports", "drivers/tests/probe-exports.c", C, "asks for kernel routines by name"),
    ("leaves-routine", "drivers/tests/leaves-routine.c", C, "unloads with a routine of the family that `Mode` names left registered"),
    ("stays", "drivers/tests/stays.c", C, "has no DriverUnload"),
    ("circle", "drivers/tests/circle.c", C, "two routines that remove each other while both are called"),
    ("slow", "drivers/tests/slow.c", C, "three routines that take their time over programs called `victim`"),
    ("reads-image", "drivers/tests/reads-image.c", C, "reads the memory of the processes it is told of"),
    ("bsod", "drivers/tests/bsod.c", C, "stops the machine in the way that `Mode` asks for"),
    ("device", "drivers/tests/device.c", C, "a device that answers every kind of request, and timers"),
    ("caller", "drivers/tests/caller.c", C, "registers without a device, or from the middle of a stack"),
    ("terminates", "drivers/tests/terminates.c", C, "terminates processes of a certain name when their image is mapped"),
    ("inverted", "drivers/tests/inverted.c", C, "keeps requests pending and completes one for each process"),
    ("power", "drivers/tests/power.c", C, "a stack of two devices that says what power requests bring"),
    ("hostile", "drivers/tests/hostile.c", C, "tries to get out of its sandbox by raw system calls"),
];

/// Folders of drivers/ in which every `NAME.c` is a driver: its purpose is the first line of its first comment, and
/// `NAME.nointegrity.c` is built without FORCE_INTEGRITY as `NAME-nointegrity.sys`.
pub(crate) const FOLDERS: &[&str] = &["bugs", "conformance", "rules"];

/// Ends the name of a source that is built without FORCE_INTEGRITY.
const NO_INTEGRITY: &str = ".nointegrity";

/// All drivers, the built-in one first.
pub(crate) fn all() -> Result<Vec<Driver>> {
    let listed = LISTED.iter().map(|&(name, source, language, purpose)| Driver {
        name: name.into(),
        folder: "",
        source: source.into(),
        language,
        purpose: purpose.into(),
    });
    let mut drivers: Vec<_> = listed.collect();
    for folder in FOLDERS {
        drivers.extend(discover(folder)?);
    }
    Ok(drivers)
}

/// The drivers of a folder, by name.
fn discover(folder: &'static str) -> Result<Vec<Driver>> {
    let directory = root().join("drivers").join(folder);
    let mut drivers = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "c") {
            continue;
        }
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let (name, language) = match stem.strip_suffix(NO_INTEGRITY) {
            Some(stem) => (format!("{stem}-nointegrity"), C_WITHOUT_INTEGRITY),
            None => (stem.to_owned(), C),
        };
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let purpose = purpose(&text).with_context(|| {
            format!("{} does not begin with a comment that says what it is for", path.display())
        })?;
        drivers.push(Driver {
            name,
            folder,
            source: format!("drivers/{folder}/{stem}.c"),
            language,
            purpose,
        });
    }
    drivers.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(drivers)
}

/// The first line of text in a source's first comment.
fn purpose(source: &str) -> Option<String> {
    let (comment, _) = source.trim_start().strip_prefix("/*")?.split_once("*/")?;
    let mut lines = comment.lines().map(|line| line.trim().trim_start_matches('*').trim());
    lines.find(|line| !line.is_empty()).map(|line| line.trim_end_matches('.').to_owned())
}

/// The drivers of these names, or all. A name may have its folder: `rules/l-01`.
pub(crate) fn choose(names: &[String]) -> Result<Vec<Driver>> {
    let mut drivers = all()?;
    if names.is_empty() {
        return Ok(drivers);
    }
    for name in names {
        if !drivers.iter().any(|driver| is_called(driver, name)) {
            let known: Vec<_> = drivers.iter().map(|driver| driver.name.as_str()).collect();
            bail!("there is no driver named {name}; there are: {}", known.join(", "));
        }
    }
    drivers.retain(|driver| names.iter().any(|name| is_called(driver, name)));
    Ok(drivers)
}

fn is_called(driver: &Driver, name: &str) -> bool {
    let wanted = name.strip_suffix(".sys").unwrap_or(name);
    match wanted.rsplit_once('/') {
        Some((folder, wanted)) => driver.folder == folder && driver.name == wanted,
        None => driver.name == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_end_in_sys() {
        let chosen = choose(&["witness.sys".to_owned(), "sensor".to_owned()]).unwrap();
        assert_eq!(
            chosen.iter().map(|driver| driver.name.as_str()).collect::<Vec<_>>(),
            ["sensor", "witness"]
        );
        assert_eq!(choose(&[]).unwrap().len(), all().unwrap().len());
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let why = choose(&["nosuch".to_owned()]).err().unwrap().to_string();
        assert!(why.contains("nosuch") && why.contains("sensor"), "{why}");
    }

    #[test]
    fn every_source_is_there() {
        for driver in all().unwrap() {
            assert!(root().join(&driver.source).exists(), "{}", driver.source);
        }
    }

    #[test]
    fn the_first_line_of_the_first_comment_is_the_purpose() {
        let source = "/*\n * Reads the registry in a callback.\n * And more.\n */\n#include <ntddk.h>\n";
        assert_eq!(purpose(source).unwrap(), "Reads the registry in a callback");
        assert_eq!(purpose("/* Short */ int a;").unwrap(), "Short");
        assert_eq!(purpose("int a; /* late */"), None);
    }
}
