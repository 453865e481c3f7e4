//! JUnit's XML: each driver as a suite of tests, for whatever shows the results of a build.
//!
//! A suite is what one driver did on one machine: `loads`, `does not stop the machine`, a test for each rule, `unloads` and
//! `leaves nothing behind`. The format counts before it tells, so that all is kept until the end; of each suite the first
//! of everything is kept, and the rest is counted.

mod suite;

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::time::Duration;

use event::{Body, DriverId, Record};
use quick_junit::Report;

use self::suite::Suite;
use crate::machine::Machine;
use crate::names::Names;
use crate::output::{Output, Pace};
use crate::rule::Rule;
use crate::{Sink, SinkError};

/// Writes what drivers did as tests that passed or failed.
pub struct Junit<W> {
    output: Output<W>,
    rules: Vec<Rule>,
    machine: Machine,
    names: Names,
    /// The suites of this machine: of each driver, and of what no driver is known for.
    suites: BTreeMap<Option<DriverId>, Suite>,
    /// Those of the machines before.
    done: VecDeque<Suite>,
    finished: bool,
}

impl<W: Write> Junit<W> {
    /// Writes to `writer`, which errors call `name`; there is a test for each of `rules`.
    pub fn new(name: impl Into<String>, writer: W, rules: Vec<Rule>) -> Self {
        Self {
            output: Output::new(name, writer, Pace::Blocks),
            rules,
            machine: Machine::default(),
            names: Names::default(),
            suites: BTreeMap::new(),
            done: VecDeque::new(),
            finished: false,
        }
    }

    fn suite(&mut self, driver: Option<DriverId>) -> &mut Suite {
        let (machine, names) = (&self.machine, &self.names);
        self.suites.entry(driver).or_insert_with(|| {
            let name =
                driver.map(|id| names.driver(id).map_or_else(|| format!("driver {}", id.0), str::to_owned));
            Suite::new(name, machine.label())
        })
    }

    fn end_machine(&mut self) {
        let stopped = self.suites.values().any(Suite::is_stopped);
        // What nobody is known for comes last, as it came from somewhere behind the drivers.
        let nobody = self.suites.remove(&None);
        let mut suites: Vec<_> = std::mem::take(&mut self.suites).into_values().chain(nobody).collect();
        suites.iter_mut().for_each(|suite| suite.end(stopped));
        self.done.extend(suites);
    }

    fn see(&mut self, record: &Record<'_>) {
        if self.machine.see(record) {
            self.end_machine();
        }
        self.names.see(record);
        match &record.body {
            Body::DriverLoad { driver, path, missing, .. } => self.suite(Some(*driver)).load(path, missing),
            Body::DriverStart { driver, status, elapsed } => {
                self.suite(Some(*driver)).start(*status, *elapsed)
            }
            Body::DriverUnload { driver, elapsed } => self.suite(Some(*driver)).unload(*elapsed),
            Body::Notification(notification) => {
                self.suite(Some(notification.driver)).call(notification.elapsed);
            }
            Body::Verdict { process, status, driver } if !status.is_success() => {
                let name = self.names.process(*process).unwrap_or("?").to_owned();
                self.suite(*driver).refuse(&name, *process, *status);
            }
            Body::Finding(finding) => self.suite(finding.driver).find(finding),
            Body::Stop(stop) => self.suite(stop.driver).stop(stop),
            Body::PoolUsage(usage) => self.suite(Some(usage.driver)).use_pool(*usage),
            Body::Leak(leak) => self.suite(Some(leak.driver)).leak(leak),
            Body::Difference { process, text, .. } => self.suite(None).differ(*process, text),
            _ => {}
        }
    }

    /// All of it, and how many lines it has.
    fn report(&mut self) -> Result<String, quick_junit::SerializeError> {
        let mut report = Report::new("callboard");
        let mut time = Duration::ZERO;
        while let Some(suite) = self.done.pop_front() {
            time += suite.time();
            report.add_test_suite(suite.into_tests(&self.rules));
        }
        report.set_time(time);
        report.to_string()
    }
}

impl<W: Write> Sink for Junit<W> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        if !self.output.is_closed() {
            self.see(record);
        }
        Ok(())
    }

    /// There is nothing to hand over before the end.
    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        if self.output.is_closed() || std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        self.end_machine();
        // Memory takes everything, and each text is one that XML has.
        let Ok(text) = self.report() else { return Ok(()) };
        let lines = text.matches('\n').count() as u64;
        self.output.pending().extend_from_slice(text.as_bytes());
        self.output.commit(lines, true)
    }
}
