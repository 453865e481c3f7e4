//! What one driver did on one machine.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use event::{Finding, Frame, Leak, PoolUsage, ProcessId, Severity, Stop};
use nt_abi::{BugCheckCode, NTSTATUS};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use crate::rule::Rule;
use crate::{escape, frame, words};

/// How many of a kind are told one by one; the counts go on.
const KEPT: usize = 16;
/// How many levels of a stack are told.
const LEVELS: usize = 32;

/// Text as XML can hold it: what acts on a terminal or is no character of XML is shown as an escape.
fn clean(text: &str) -> String {
    escape::show(text, false).replace('\u{fffe}', r"\u{fffe}").replace('\u{ffff}', r"\u{ffff}")
}

/// The first of many lines, and how many there were.
#[derive(Default)]
struct Lines {
    first: Vec<String>,
    count: u64,
}

impl Lines {
    fn push(&mut self, line: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < KEPT {
            self.first.push(line());
        }
    }

    fn text(&self) -> String {
        let mut text = self.first.join("\n");
        let more = self.count.saturating_sub(self.first.len() as u64);
        if more > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, "\nand {more} more");
        }
        text
    }
}

/// What became of DriverUnload.
#[derive(Clone, Copy, PartialEq)]
enum Unload {
    NotSeen,
    /// It has none, and stays.
    Stays,
    Took(Duration),
}

/// A rule that was broken.
struct Broken {
    severity: Severity,
    message: String,
    places: Lines,
}

/// A driver on a machine, or what no driver is known for.
pub(super) struct Suite {
    driver: Option<String>,
    machine: Option<String>,
    path: String,
    missing: Vec<String>,
    loaded: bool,
    start: Option<(NTSTATUS, Duration)>,
    unload: Unload,
    called: Duration,
    calls: u64,
    refused: Lines,
    broken: BTreeMap<String, Broken>,
    /// Why this driver stopped the machine: a type, a message and a stack.
    stop: Option<(String, String, String)>,
    leaks: Lines,
    pool: Option<PoolUsage>,
    /// What differs from the baseline.
    differences: Lines,
    /// Whether any driver stopped it.
    stopped: bool,
}

impl Suite {
    pub(super) fn new(driver: Option<String>, machine: Option<String>) -> Self {
        Self {
            driver,
            machine,
            path: String::new(),
            missing: Vec::new(),
            loaded: false,
            start: None,
            unload: Unload::NotSeen,
            called: Duration::ZERO,
            calls: 0,
            refused: Lines::default(),
            broken: BTreeMap::new(),
            stop: None,
            leaks: Lines::default(),
            pool: None,
            differences: Lines::default(),
            stopped: false,
        }
    }

    pub(super) fn load(&mut self, path: &str, missing: &[std::borrow::Cow<'_, str>]) {
        self.loaded = true;
        path.clone_into(&mut self.path);
        self.missing = missing.iter().map(|import| import.as_ref().to_owned()).collect();
    }

    pub(super) fn start(&mut self, status: NTSTATUS, elapsed: u64) {
        self.loaded = true;
        self.start = Some((status, Duration::from_nanos(elapsed)));
    }

    pub(super) fn unload(&mut self, elapsed: Option<u64>) {
        self.unload = elapsed.map_or(Unload::Stays, |nanos| Unload::Took(Duration::from_nanos(nanos)));
    }

    pub(super) fn call(&mut self, elapsed: u64) {
        self.calls += 1;
        self.called = self.called.saturating_add(Duration::from_nanos(elapsed));
    }

    pub(super) fn refuse(&mut self, name: &str, process: ProcessId, status: NTSTATUS) {
        self.refused.push(|| clean(&format!("refused {name} ({process}) with {status}")));
    }

    pub(super) fn find(&mut self, finding: &Finding<'_>) {
        let broken = self.broken.entry(finding.rule.as_ref().to_owned()).or_insert_with(|| Broken {
            severity: finding.severity,
            message: clean(&finding.message),
            places: Lines::default(),
        });
        broken.severity = broken.severity.max(finding.severity);
        broken.places.push(|| {
            let mut text = clean(&finding.message);
            if let Some((code, _)) = finding.bug_check {
                let _ = write!(text, "\n  Windows would stop with {}", BugCheckCode(code));
            }
            text + &stack(&finding.stack)
        });
    }

    pub(super) fn stop(&mut self, stop: &Stop<'_>) {
        let kind = match stop.code {
            0 => words::stop_kind(stop.kind).replace('_', " "),
            code => BugCheckCode(code).to_string(),
        };
        let [a, b, c, d] = stop.parameters;
        let mut text = clean(&stop.message);
        if stop.code != 0 {
            let _ = write!(text, "\n  parameters {a:#x}, {b:#x}, {c:#x}, {d:#x}");
        }
        text.push_str(&stack(&stop.stack));
        self.stop.get_or_insert((kind, clean(&stop.message), text));
    }

    pub(super) fn use_pool(&mut self, usage: PoolUsage) {
        self.pool = Some(usage);
    }

    pub(super) fn leak(&mut self, leak: &Leak<'_>) {
        self.leaks.push(|| clean(&words::left_behind(leak)));
    }

    pub(super) fn differ(&mut self, process: ProcessId, text: &str) {
        let process = if process.0 == 0 { String::new() } else { format!("{process}: ") };
        self.differences.push(|| process + &clean(text));
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_some()
    }

    /// The machine has ended, by a stop or not.
    pub(super) fn end(&mut self, stopped: bool) {
        self.stopped = stopped;
    }

    /// The time in the driver.
    pub(super) fn time(&self) -> Duration {
        let started = self.start.map_or(Duration::ZERO, |(_, elapsed)| elapsed);
        let unloaded = if let Unload::Took(elapsed) = self.unload { elapsed } else { Duration::ZERO };
        self.called.saturating_add(started).saturating_add(unloaded)
    }

    /// The tests.
    pub(super) fn into_tests(self, rules: &[Rule]) -> TestSuite {
        let name = clean(self.driver.as_deref().unwrap_or("no driver"));
        let name =
            self.machine.as_deref().map_or(name.clone(), |machine| format!("{}: {name}", clean(machine)));
        let mut suite = TestSuite::new(name.as_str());
        suite.set_time(self.time());
        let pool = |told: fn(&PoolUsage) -> u64| self.pool.as_ref().map(|usage| told(usage).to_string());
        let properties = [
            ("machine", self.machine.as_deref().map(clean)),
            ("path", Some(clean(&self.path)).filter(|path| !path.is_empty())),
            ("missing_imports", Some(clean(&self.missing.join(", "))).filter(|missing| !missing.is_empty())),
            ("calls", Some(self.calls.to_string())),
            ("refused", Some(self.refused.count.to_string())),
            (
                "pool_allocations",
                pool(|usage| usage.paged.allocations.saturating_add(usage.nonpaged.allocations)),
            ),
            ("paged_pool_peak_bytes", pool(|usage| usage.paged.peak)),
            ("nonpaged_pool_peak_bytes", pool(|usage| usage.nonpaged.peak)),
        ];
        for (key, value) in properties {
            if let Some(value) = value {
                suite.add_property((key, value.as_str()));
            }
        }
        if self.driver.is_some() {
            suite.add_test_cases([case(&name, "loads", self.loads())]);
        }
        suite.add_test_case(case(&name, "does not stop the machine", self.stops_nothing()));
        if self.driver.is_some() || !self.broken.is_empty() {
            suite.add_test_cases(self.keeps_rules(&name, rules));
        }
        if self.driver.is_some() {
            suite.add_test_cases([
                case(&name, "unloads", self.unloads()),
                case(&name, "leaves nothing behind", self.leaves_nothing()),
            ]);
        }
        if let Some(first) = self.differences.first.first() {
            let status = failure("difference", first, &self.differences.text());
            suite.add_test_case(case(&name, "does what the baseline does", (status, None)));
        }
        if self.refused.count > 0 {
            suite.set_system_out(self.refused.text().as_str());
        }
        suite
    }

    fn loads(&self) -> (TestCaseStatus, Option<Duration>) {
        match self.start {
            Some((status, elapsed)) if status.is_success() => (TestCaseStatus::success(), Some(elapsed)),
            Some((status, elapsed)) => {
                let text = format!("DriverEntry returned {status}");
                (failure("DriverEntry", &text, &text), Some(elapsed))
            }
            None if self.loaded => {
                let text = "DriverEntry did not return";
                (failure("DriverEntry", text, text), None)
            }
            None => (skipped("its load was not recorded"), None),
        }
    }

    fn unloads(&self) -> (TestCaseStatus, Option<Duration>) {
        let failed = self.start.is_none_or(|(status, _)| !status.is_success());
        match self.unload {
            Unload::Took(elapsed) => (TestCaseStatus::success(), Some(elapsed)),
            Unload::Stays => (skipped("it has no DriverUnload, and stays loaded"), None),
            Unload::NotSeen if self.stopped => (skipped("the machine stopped before"), None),
            Unload::NotSeen if failed => (skipped("it did not start"), None),
            Unload::NotSeen => (skipped("the run ended before"), None),
        }
    }

    fn stops_nothing(&self) -> (TestCaseStatus, Option<Duration>) {
        let status = match &self.stop {
            Some((kind, message, text)) => failure(kind, message, text),
            None => TestCaseStatus::success(),
        };
        (status, None)
    }

    fn leaves_nothing(&self) -> (TestCaseStatus, Option<Duration>) {
        let status = match self.leaks.first.first() {
            Some(first) => failure("leak", first, &self.leaks.text()),
            None if self.unload == Unload::NotSeen => skipped("it was not unloaded"),
            None => TestCaseStatus::success(),
        };
        (status, None)
    }

    /// A test for each rule, and for each that was broken without being in the catalogue.
    fn keeps_rules(&self, suite: &str, rules: &[Rule]) -> Vec<TestCase> {
        let known = rules.iter().map(|rule| (rule.id, Some(rule.title)));
        let others = self.broken.keys().filter(|id| rules.iter().all(|rule| rule.id != **id));
        known
            .chain(others.map(|id| (id.as_str(), None)))
            .map(|(id, title)| {
                let name = title.map_or_else(|| clean(id), |title| format!("{id}: {title}"));
                let status = match self.broken.get(id) {
                    Some(broken) => {
                        let kind = format!("{} {}", clean(id), broken.severity.word());
                        failure(&kind, &broken.message, &broken.places.text())
                    }
                    None if self.start.is_none() => skipped("the driver did not start"),
                    None => TestCaseStatus::success(),
                };
                case(suite, &name, (status, None))
            })
            .collect()
    }
}

fn case(suite: &str, name: &str, (status, time): (TestCaseStatus, Option<Duration>)) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(suite);
    if let Some(time) = time {
        case.set_time(time);
    }
    case
}

fn failure(kind: &str, message: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_type(kind).set_message(message).set_description(text);
    status
}

fn skipped(why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(why);
    status
}

/// A stack as lines of their own.
fn stack(frames: &[Frame<'_>]) -> String {
    let mut text = String::new();
    for (level, frame) in frames.iter().take(LEVELS).enumerate() {
        let word = if level == 0 { "at" } else { "from" };
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {word} {}", clean(&frame::line(frame)));
    }
    text
}
