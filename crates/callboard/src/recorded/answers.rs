//! What drivers said to a recording, and how long they took.

use std::collections::BTreeMap;
use std::io::{self, Write};

use callboard::report::{Histogram, leak_words};
use event::{
    Body, DriverId, EventKind, Family, Finding, Notification, PoolPeak, PoolUsage, ProcessId, Record, Stop,
    Time,
};
use nt_abi::NTSTATUS;

use super::escaped;

/// How many of a driver's own words for refusals are told apart.
const WORDS: usize = 256;
/// How many of them are shown.
const SHOWN: usize = 8;

/// What a driver said.
#[derive(Debug, Default)]
pub(super) struct Driver {
    pub(super) name: String,
    /// Its notices, by what they were of.
    pub(super) notices: BTreeMap<&'static str, Histogram>,
    /// Its refusals: the status, and what it printed in that notice.
    refusals: BTreeMap<(u32, String), u64>,
    /// How often it broke which rule.
    pub(super) findings: BTreeMap<String, u64>,
    /// How much of what it left behind, and how many bytes of it.
    leaks: BTreeMap<&'static str, (u64, u64)>,
    /// The most that it took of paged and of nonpaged pool on a machine.
    pool: [PoolPeak; 2],
    /// What it printed since the last event.
    words: String,
}

impl Driver {
    /// Counts refusals. Of many words that differ only the first are kept, the rest have none.
    fn count(&mut self, status: u32, words: String, count: u64) {
        let known = self.refusals.contains_key(&(status, words.clone()));
        let words = if known || self.refusals.len() < WORDS { words } else { String::new() };
        *self.refusals.entry((status, words)).or_default() += count;
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.name)?;
        for (kind, times) in &self.notices {
            let [half, most, longest] =
                [times.percentile(50), times.percentile(99), times.longest()].map(microseconds);
            writeln!(
                out,
                "  {kind:<14} {:>9} notices   half within {half}, 99 % within {most}, longest {longest}",
                times.calls()
            )?;
        }
        let mut refusals: Vec<_> = self.refusals.iter().collect();
        refusals.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for ((status, words), count) in refusals.iter().take(SHOWN) {
            let processes = if **count == 1 { "process" } else { "processes" };
            write!(
                out,
                "  refused        {count:>9} {processes} with {}",
                named(NTSTATUS::from_u32(*status))
            )?;
            if words.is_empty() { writeln!(out) } else { writeln!(out, ": {}", escaped(words)) }?;
        }
        let others: u64 = refusals.iter().skip(SHOWN).map(|(_, count)| **count).sum();
        if others > 0 {
            writeln!(out, "  refused        {others:>9} processes in other words")?;
        }
        for (rule, count) in &self.findings {
            writeln!(out, "  finding        {count:>9} of {rule}")?;
        }
        for (what, (count, bytes)) in &self.leaks {
            write!(out, "  left behind    {count:>9} {what}")?;
            if *bytes > 0 { writeln!(out, ", {bytes} bytes") } else { writeln!(out) }?;
        }
        for (name, pool) in ["paged pool", "nonpaged pool"].into_iter().zip(self.pool) {
            if pool.allocations > 0 {
                let PoolPeak { allocations, peak } = pool;
                writeln!(out, "  {name:<14} {allocations:>9} allocations, {peak} bytes at most at one time")?;
            }
        }
        if self.notices.is_empty() {
            writeln!(out, "  was told of nothing")?;
        }
        Ok(())
    }
}

/// A process that did not come to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: NTSTATUS,
    /// Its image, for people.
    pub(super) image: String,
    /// The driver that refused it.
    pub(super) driver: String,
}

/// What the drivers of a machine said, or those of several.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// In the order in which they were loaded, which is the same on each machine.
    pub(super) drivers: Vec<Driver>,
    /// By when a process was to be created, and its id; of one machine only.
    pub(super) refusals: BTreeMap<(Time, ProcessId), Refusal>,
    pub(super) findings: u64,
    /// Events that drivers were told of, and processes that were there before, of which they are not told.
    pub(super) told: u64,
    /// Processes whose creation they were told of.
    pub(super) created: u64,
    pub(super) present: u64,
    /// Why a machine stopped.
    pub(super) stopped: Option<String>,
    ids: BTreeMap<DriverId, usize>,
    /// What the last event was.
    last: &'static str,
    /// When it was, and the image it created.
    creation: Option<(Time, String)>,
}

impl Answers {
    /// Counts what a record says.
    pub(super) fn see(&mut self, record: &Record<'_>) {
        match &record.body {
            Body::DriverLoad { driver, name, .. } => {
                self.ids.insert(*driver, self.drivers.len());
                self.drivers.push(Driver { name: name.clone().into_owned(), ..Driver::default() });
            }
            Body::Event(event) => {
                match event.kind {
                    EventKind::ProcessPresent(_) | EventKind::ProcessClone(_) => self.present += 1,
                    _ => self.told += 1,
                }
                self.created += u64::from(matches!(event.kind, EventKind::ProcessCreate(_)));
                self.drivers.iter_mut().for_each(|driver| driver.words.clear());
                self.last = kind(&event.kind);
                self.creation = match &event.kind {
                    EventKind::ProcessCreate(process) => {
                        let image = process.image.as_ref().map_or("", |name| name.for_people());
                        Some((record.time, image.to_owned()))
                    }
                    _ => None,
                };
            }
            Body::Notification(Notification { driver, family, elapsed, .. }) => {
                let kind = if family_of(self.last) == Some(*family) { self.last } else { "other" };
                if let Some(driver) = self.driver(Some(*driver)) {
                    driver.notices.entry(kind).or_default().add(*elapsed);
                }
            }
            Body::Debug { driver, text, .. } => {
                if let Some(driver) = self.driver(*driver) {
                    text.as_ref().clone_into(&mut driver.words);
                }
            }
            Body::Verdict { process, status, driver } if !status.is_success() => {
                self.refuse(*process, *status, *driver);
            }
            Body::Finding(Finding { driver, rule, .. }) => {
                self.findings += 1;
                if let Some(driver) = self.driver(*driver) {
                    *driver.findings.entry(rule.clone().into_owned()).or_default() += 1;
                }
            }
            Body::Leak(leak) => {
                if let Some(driver) = self.driver(Some(leak.driver)) {
                    let (count, bytes) = driver.leaks.entry(leak_words(leak.kind).1).or_default();
                    *count += leak.count;
                    *bytes += leak.bytes;
                }
            }
            Body::PoolUsage(PoolUsage { driver, paged, nonpaged }) => {
                if let Some(driver) = self.driver(Some(*driver)) {
                    driver.pool = [*paged, *nonpaged];
                }
            }
            Body::Stop(Stop { message, .. }) => self.stopped = Some(message.clone().into_owned()),
            _ => {}
        }
    }

    fn driver(&mut self, id: Option<DriverId>) -> Option<&mut Driver> {
        let place = *self.ids.get(&id?)?;
        self.drivers.get_mut(place)
    }

    fn refuse(&mut self, process: ProcessId, status: NTSTATUS, driver: Option<DriverId>) {
        let mut name = String::new();
        let creation = self.creation.clone();
        let image = creation.as_ref().map_or("", |(_, image)| image);
        if let Some(driver) = self.driver(driver) {
            driver.name.clone_into(&mut name);
            let words = rule(&driver.words, image);
            driver.count(status.as_u32(), words, 1);
        }
        if let Some((time, image)) = creation {
            self.refusals.insert((time, process), Refusal { status, image, driver: name });
        }
    }

    /// Adds what was said on another machine.
    pub(super) fn add(&mut self, other: Self) {
        self.findings += other.findings;
        self.told += other.told;
        self.present += other.present;
        if self.stopped.is_none() {
            self.stopped = other.stopped;
        }
        for (place, theirs) in other.drivers.into_iter().enumerate() {
            let Some(driver) = self.drivers.get_mut(place) else {
                self.drivers.push(theirs);
                continue;
            };
            for (kind, times) in theirs.notices {
                driver.notices.entry(kind).or_default().add_all(&times);
            }
            for ((status, words), count) in theirs.refusals {
                driver.count(status, words, count);
            }
            for (what, (count, bytes)) in theirs.leaks {
                let leaks = driver.leaks.entry(what).or_default();
                *leaks = (leaks.0 + count, leaks.1 + bytes);
            }
            for (pool, theirs) in driver.pool.iter_mut().zip(theirs.pool) {
                pool.allocations += theirs.allocations;
                pool.peak = pool.peak.max(theirs.peak);
            }
            for (rule, count) in theirs.findings {
                *driver.findings.entry(rule).or_default() += count;
            }
        }
    }

    /// Writes it all down.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        self.drivers.iter().try_for_each(|driver| driver.write(out))
    }
}

/// What a driver printed of a refusal without what differs from process to process: its image, and numbers. What is left
/// is the rule.
fn rule(words: &str, image: &str) -> String {
    let words = if image.is_empty() { words.to_owned() } else { words.replace(image, "…") };
    let mut rule = String::new();
    let mut rest = words.as_str();
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        rule.push_str(if number { "#" } else { word });
        let next = behind.find(char::is_alphanumeric).unwrap_or(behind.len());
        let (between, behind) = behind.split_at(next);
        rule.push_str(between);
        rest = behind;
    }
    rule
}

/// A status as people know it.
pub(super) fn named(status: NTSTATUS) -> String {
    if status.name().is_some() { status.to_string() } else { format!("{status} (no status of Windows)") }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn microseconds(nanos: u64) -> String {
    format!("{:.1} µs", nanos as f64 / 1000.0)
}

fn kind(kind: &EventKind<'_>) -> &'static str {
    match kind {
        EventKind::ProcessPresent(_) | EventKind::ProcessClone(_) => "",
        EventKind::ProcessCreate(_) => "process create",
        EventKind::ProcessExit(_) => "process exit",
        EventKind::ThreadCreate(_) => "thread create",
        EventKind::ThreadExit(_) => "thread exit",
        EventKind::ImageLoad(_) => "image",
    }
}

fn family_of(kind: &str) -> Option<Family> {
    match kind {
        "process create" | "process exit" => Some(Family::Process),
        "thread create" | "thread exit" => Some(Family::Thread),
        "image" => Some(Family::Image),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use event::{ClientId, Event, Name, Process};
    use nt_abi::STATUS_ACCESS_DENIED;

    use super::*;

    fn record(time: i64, body: Body<'static>) -> Record<'static> {
        Record { time: Time(time), context: ClientId::default(), body }
    }

    /// A driver that refuses a process, and says why.
    fn refused(why: &'static str) -> Answers {
        let driver = DriverId(3);
        let process = Process {
            process: ProcessId(8),
            image: Some(Name::from_unix("/bin/evil")),
            ..Process::default()
        };
        let event = Event {
            time: Time(1),
            context: ClientId::default(),
            kind: EventKind::ProcessCreate(process),
            conditions: event::Conditions::default(),
        };
        let load = Body::DriverLoad {
            driver,
            name: "edr".into(),
            path: "".into(),
            base: 0,
            size: 0,
            missing: Vec::new(),
        };
        let notification = Notification {
            driver,
            family: Family::Process,
            slot: 0,
            routine: 0,
            elapsed: 1500,
            status: Some(STATUS_ACCESS_DENIED),
        };
        let debug = |text: &'static str| Body::Debug {
            driver: Some(driver),
            component: 0,
            level: 0,
            text: text.into(),
        };
        let mut answers = Answers::default();
        let verdict =
            Body::Verdict { process: ProcessId(8), status: STATUS_ACCESS_DENIED, driver: Some(driver) };
        for body in
            [load, debug("before"), Body::Event(event), debug(why), Body::Notification(notification), verdict]
        {
            answers.see(&record(5, body));
        }
        answers
    }

    fn written(answers: &Answers) -> String {
        let mut text = Vec::new();
        answers.write(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn refusals_are_told_apart_by_status_and_by_what_the_driver_says() {
        assert_eq!(rule(r"deny 12: C:\a.exe by X7=*\a.exe", r"C:\a.exe"), r"deny #: … by X7=*\a.exe");
        let mut all = refused("rule A");
        assert_eq!(all.refusals[&(Time(5), ProcessId(8))].driver, "edr");
        all.add(refused("rule A"));
        all.add(refused("rule B\u{1b}[J"));
        let text = written(&all);
        assert!(text.contains("process create         3 notices   half within 1.5 µs"), "{text}");
        assert!(text.contains("2 processes with 0xC0000022 (STATUS_ACCESS_DENIED): rule A\n"), "{text}");
        assert!(
            text.contains("1 process with 0xC0000022 (STATUS_ACCESS_DENIED): rule B\u{fffd}[J\n"),
            "{text}"
        );
    }

    #[test]
    fn words_that_are_always_others_do_not_fill_memory() {
        let mut all = Answers::default();
        for index in 0..1000 {
            all.add(refused(Box::leak(format!("process x{index}").into_boxed_str())));
            let mut one = refused("again");
            one.drivers.iter_mut().for_each(|driver| driver.refusals.clear());
            all.add(one);
        }
        assert!(all.drivers.iter().all(|driver| driver.refusals.len() <= WORDS + 1), "{:?}", all.drivers);
    }
}
