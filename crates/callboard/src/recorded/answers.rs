//! What drivers said to a recording, and how long they took.
//!
//! What drivers take differs from run to run, and the records of a replay do not: on their way to the sinks they lose it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use callboard::report::{Histogram, Sink, SinkError};
use event::{Body, DriverId, EventKind, Family, Notification, Record};
use nt_abi::NTSTATUS;

/// What a driver said.
#[derive(Debug, Default)]
struct Driver {
    name: String,
    /// Its notices, by what they were of.
    notices: BTreeMap<&'static str, Histogram>,
    refusals: BTreeMap<u32, u64>,
    findings: BTreeMap<String, u64>,
}

/// Counts on the way to another sink.
pub(super) struct Answers<S> {
    next: S,
    /// By name: each machine has its own benches, and the same drivers.
    drivers: BTreeMap<String, Driver>,
    names: BTreeMap<DriverId, String>,
    last: &'static str,
    pub(super) findings: u64,
    pub(super) stopped: bool,
}

impl<S: Sink> Answers<S> {
    pub(super) fn new(next: S) -> Self {
        Self { next, drivers: BTreeMap::new(), names: BTreeMap::new(), last: "", findings: 0, stopped: false }
    }

    /// Ends all that stand behind this: here a machine ends, and others may follow.
    pub(super) fn close(&mut self) -> Result<(), SinkError> {
        self.next.finish()
    }

    fn driver(&mut self, id: Option<DriverId>) -> Option<&mut Driver> {
        let name = self.names.get(&id?)?;
        if !self.drivers.contains_key(name) {
            self.drivers.insert(name.clone(), Driver { name: name.clone(), ..Driver::default() });
        }
        self.drivers.get_mut(name)
    }

    fn count(&mut self, record: &Record<'_>) {
        match &record.body {
            Body::Start { .. } => self.names.clear(),
            Body::DriverLoad { driver, name, .. } => {
                self.names.insert(*driver, name.clone().into_owned());
                self.driver(Some(*driver));
            }
            Body::Event(event) => self.last = kind(&event.kind),
            Body::Notification(Notification { driver, family, elapsed, .. }) => {
                let kind = if family_of(self.last) == Some(*family) { self.last } else { "other" };
                if let Some(driver) = self.driver(Some(*driver)) {
                    driver.notices.entry(kind).or_default().add(*elapsed);
                }
            }
            Body::Verdict { status, driver, .. } if !status.is_success() => {
                if let Some(driver) = self.driver(*driver) {
                    *driver.refusals.entry(status.as_u32()).or_default() += 1;
                }
            }
            Body::Finding(finding) => {
                self.findings += 1;
                if let Some(driver) = self.driver(finding.driver) {
                    *driver.findings.entry(finding.rule.clone().into_owned()).or_default() += 1;
                }
            }
            Body::Stop(_) => self.stopped = true,
            _ => {}
        }
    }

    /// Writes it all down.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for driver in self.drivers.values() {
            writeln!(out, "{}", driver.name)?;
            for (kind, times) in &driver.notices {
                let [half, most, longest] =
                    [times.percentile(50), times.percentile(99), times.longest()].map(microseconds);
                writeln!(
                    out,
                    "  {kind:<14} {:>9} notices   half within {half}, 99 % within {most}, longest {longest}",
                    times.calls()
                )?;
            }
            for (status, count) in &driver.refusals {
                let name = NTSTATUS::from_u32(*status).name().unwrap_or("no status of Windows");
                writeln!(out, "  refused        {count:>9} processes with 0x{status:08X} ({name})")?;
            }
            for (rule, count) in &driver.findings {
                writeln!(out, "  finding        {count:>9} of {rule}")?;
            }
            if driver.notices.is_empty() {
                writeln!(out, "  was told of nothing")?;
            }
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn microseconds(nanos: u64) -> String {
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

impl<S: Sink> Sink for Answers<S> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        self.count(record);
        let Body::Notification(notification) = record.body else { return self.next.record(record) };
        let body = Body::Notification(Notification { elapsed: 0, ..notification });
        self.next.record(&Record { time: record.time, context: record.context, body })
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.next.flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.next.flush()
    }
}
