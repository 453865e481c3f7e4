//! Which drivers there are.

use anyhow::{Result, bail};

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
    pub(crate) name: &'static str,
    /// Where its source is, from the root of the tree.
    pub(crate) source: &'static str,
    /// How it is made.
    pub(crate) language: Language,
    /// What it is for, as drivers/bin/README.md tells it.
    pub(crate) purpose: &'static str,
}

impl Driver {
    /// Whether its header asks for a signature check, without which the Ex form refuses to register.
    pub(crate) fn has_integrity(&self) -> bool {
        !matches!(self.language, Language::C { integrity: false })
    }
}

const C: Language = Language::C { integrity: true };
const C_WITHOUT_INTEGRITY: Language = Language::C { integrity: false };

/// All drivers, the built-in one first.
#[rustfmt::skip]
pub(crate) const DRIVERS: &[Driver] = &[
    Driver { name: "sensor", source: "drivers/sensor", language: Language::Rust, purpose: "the built-in driver: prints every notice, refuses what `Deny` lists" },
    Driver { name: "minimal", source: "drivers/tests/minimal.c", language: C, purpose: "loads and unloads" },
    Driver { name: "witness", source: "drivers/tests/witness.c", language: C, purpose: "checks order, context and contents of all notices from the inside" },
    Driver { name: "statuses", source: "drivers/tests/statuses.c", language: C, purpose: "every status of registration and removal" },
    Driver { name: "statuses-nointegrity", source: "drivers/tests/statuses.c", language: C_WITHOUT_INTEGRITY, purpose: "the same without FORCE_INTEGRITY" },
    Driver { name: "veto-chain", source: "drivers/tests/veto-chain.c", language: C, purpose: "two routines, the first of which refuses" },
    Driver { name: "probe-exports", source: "drivers/tests/probe-exports.c", language: C, purpose: "asks for kernel routines by name" },
    Driver { name: "leaves-routine", source: "drivers/tests/leaves-routine.c", language: C, purpose: "unloads with a routine left registered" },
    Driver { name: "bsod", source: "drivers/tests/bsod.c", language: C, purpose: "stops the machine in the way that `Mode` asks for" },
    Driver { name: "hostile", source: "drivers/tests/hostile.c", language: C, purpose: "tries to get out of its sandbox by raw system calls" },
];

/// The drivers of these names, or all.
pub(crate) fn choose(names: &[String]) -> Result<Vec<&'static Driver>> {
    if names.is_empty() {
        return Ok(DRIVERS.iter().collect());
    }
    names.iter().map(|name| find(name)).collect()
}

fn find(name: &str) -> Result<&'static Driver> {
    let wanted = name.strip_suffix(".sys").unwrap_or(name);
    match DRIVERS.iter().find(|driver| driver.name == wanted) {
        Some(driver) => Ok(driver),
        None => {
            let known: Vec<_> = DRIVERS.iter().map(|driver| driver.name).collect();
            bail!("there is no driver named {wanted}; there are: {}", known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_end_in_sys() {
        let chosen = choose(&["witness.sys".to_owned(), "sensor".to_owned()]).unwrap();
        assert_eq!(chosen.iter().map(|driver| driver.name).collect::<Vec<_>>(), ["witness", "sensor"]);
        assert_eq!(choose(&[]).unwrap().len(), DRIVERS.len());
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let why = choose(&["nosuch".to_owned()]).err().unwrap().to_string();
        assert!(why.contains("nosuch") && why.contains("sensor"), "{why}");
    }

    #[test]
    fn every_source_is_there() {
        for driver in DRIVERS {
            assert!(crate::root::root().join(driver.source).exists(), "{}", driver.source);
        }
    }
}
