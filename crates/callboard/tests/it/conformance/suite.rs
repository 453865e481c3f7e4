//! A suite's driver on a bench, and what it says.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use callboard::bench::Driver;
use callboard::{Bench, NTSTATUS, Profile};
use event::Body;
use host::Config;

use crate::support::driver;

/// What the programs of a suite exit with.
pub(super) const EXIT_STATUS: NTSTATUS = NTSTATUS(42);

/// A suite's driver on a bench of its own.
pub(super) struct Suite {
    pub(super) bench: Bench,
    driver: Driver,
    profile: Profile,
    name: String,
}

/// What a suite said.
pub(super) struct Said {
    pub(super) lines: Vec<String>,
    profile: Profile,
    name: String,
}

impl Suite {
    /// Loads `drivers/bin/conformance/NAME.sys` on a fresh bench.
    pub(super) fn load(name: &str, profile: Profile, configure: impl FnOnce(&mut Config)) -> Self {
        // On the machine's own clock: the suites wait for each other's threads.
        let mut config = Config { profile, ..Config::default() };
        configure(&mut config);
        let mut bench = Bench::builder().config(config).start().unwrap();
        let driver = bench.load(name, driver(&format!("conformance/{name}"))).unwrap();
        Self { bench, driver, profile, name: name.into() }
    }

    /// Tells the driver, by its device, that a phase begins.
    pub(super) fn phase(&mut self, number: u32) {
        const IOCTL_CONFORMANCE_PHASE: u32 = 0x22_2004;
        let done = self.control(IOCTL_CONFORMANCE_PHASE, &number.to_le_bytes(), 0);
        assert!(done.is_empty());
    }

    /// Checks, failures, todos and skips so far, as the driver counts them.
    pub(super) fn counters(&mut self) -> [u32; 4] {
        const IOCTL_CONFORMANCE_RESULT: u32 = 0x22_2000;
        let bytes = self.control(IOCTL_CONFORMANCE_RESULT, &[], 16);
        assert_eq!(bytes.len(), 16);
        std::array::from_fn(|at| u32::from_le_bytes(bytes[4 * at..][..4].try_into().unwrap()))
    }

    /// The lines so far, as the driver keeps them.
    pub(super) fn log(&mut self) -> String {
        const IOCTL_CONFORMANCE_LINES: u32 = 0x22_2008;
        let mut log = Vec::new();
        loop {
            let from = u32::try_from(log.len()).unwrap();
            let part = self.control(IOCTL_CONFORMANCE_LINES, &from.to_le_bytes(), 4096);
            if part.is_empty() {
                return String::from_utf8(log).unwrap();
            }
            log.extend(part);
        }
    }

    fn control(&mut self, code: u32, input: &[u8], room: usize) -> Vec<u8> {
        let suite = self.name.strip_suffix("-nointegrity").unwrap_or(&self.name);
        let device = format!(r"\\.\Conformance{}{}", suite[..1].to_uppercase(), &suite[1..]);
        let file = self.bench.open(&device).unwrap();
        let done = self.bench.ioctl(&file, code, input, room).unwrap();
        assert_eq!(done.status, callboard::STATUS_SUCCESS, "{code:#x}");
        self.bench.close(file).unwrap();
        done.output
    }

    /// Unloads the driver and gives its lines.
    pub(super) fn end(self) -> Said {
        let said = self.end_otherwise();
        said.keep();
        said
    }

    /// The same for a run that is not to be counted among the suite's outcomes.
    pub(super) fn end_otherwise(mut self) -> Said {
        self.bench.unload(self.driver).unwrap();
        self.bench.finish().unwrap();
        assert_eq!(self.bench.stop(), None);
        let lines = self.bench.records().iter().filter_map(|record| match &record.body {
            Body::Debug { text, .. } => Some(text.lines().map(str::to_owned)),
            _ => None,
        });
        let lines = lines.flatten().collect();
        Said { lines, profile: self.profile, name: self.name }
    }
}

impl Said {
    /// Leaves the lines to `cargo xtask conformance`, if it asks for them.
    fn keep(&self) {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        if let Some(folder) = std::env::var_os("CALLBOARD_CONFORMANCE_LINES") {
            let run = RUNS.fetch_add(1, Ordering::Relaxed);
            let file = format!("{run}-{}@{}.txt", self.name, self.profile);
            std::fs::write(std::path::Path::new(&folder).join(file), self.lines.join("\n")).unwrap();
        }
    }

    /// No check failed, no fewer than `least` were made, and the count at the end is that of the lines.
    pub(super) fn passes(&self, least: usize) -> &Self {
        let failed: Vec<_> = self.of("FAIL").collect();
        assert!(failed.is_empty(), "{} on {}: {failed:#?}", self.name, self.profile);
        let made = self.of("ok").count();
        assert!(made >= least, "{} on {}: only {made} checks", self.name, self.profile);
        let suite = self.name.strip_suffix("-nointegrity").unwrap_or(&self.name);
        let (todo, skips) = (self.of("todo").count(), self.of("skip").count());
        let done = format!("conformance: done {suite} checks={made} failures=0 todo={todo} skips={skips}");
        assert_eq!(self.lines.last(), Some(&done), "{}: {:#?}", self.profile, self.lines);
        self
    }

    /// What follows `conformance: KIND ` in the lines of that kind.
    pub(super) fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines
            .iter()
            .filter_map(move |line| line.strip_prefix("conformance: ")?.strip_prefix(kind)?.strip_prefix(' '))
    }

    /// The number that the driver noted under a name.
    pub(super) fn note(&self, name: &str) -> usize {
        let mut values = self.of("note").filter_map(|note| note.strip_prefix(name)?.trim().parse().ok());
        values.next().unwrap_or_else(|| panic!("no note of {name}: {:#?}", self.lines))
    }

    /// Whether a line of this kind ends so, apart from what `todo` puts behind it.
    pub(super) fn has(&self, kind: &str, text: &str) -> bool {
        self.of(kind).any(|line| line.contains(text))
    }

    /// The ids that were checked.
    pub(super) fn ids(&self) -> BTreeSet<&str> {
        self.of("ok").filter_map(|line| line.split(' ').next()).flat_map(|ids| ids.split(',')).collect()
    }

    /// Each of these ids was checked.
    pub(super) fn covers(&self, ids: &[&str]) -> &Self {
        let checked = self.ids();
        for id in ids {
            assert!(checked.contains(id), "{} on {}: {id} was not checked", self.name, self.profile);
        }
        self
    }
}
