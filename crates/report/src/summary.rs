//! What a run came to.

use std::collections::BTreeMap;

use event::{Body, DriverId, EventKind, Leak, PoolUsage, Record, Severity, StopKind};
use nt_abi::NTSTATUS;

use crate::{Sink, SinkError, Tally};

/// How many leaks and stops are kept one by one; the counts go on.
const KEPT: usize = 64;

/// What a run came to so far: for exit codes, and for the end of the human output. Takes a fixed amount
/// of memory per driver, however long the run is.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Processes whose creation was announced, refused ones among them.
    pub processes_created: u64,
    /// Processes that were there before.
    pub processes_present: u64,
    /// Processes that are clones and were announced to nobody.
    pub processes_cloned: u64,
    /// Processes that a driver refused.
    pub processes_refused: u64,
    /// Processes that exited.
    pub processes_exited: u64,
    /// Threads created.
    pub threads_created: u64,
    /// Threads that exited.
    pub threads_exited: u64,
    /// Images mapped.
    pub images: u64,
    /// Lines that drivers printed.
    pub debug_lines: u64,
    /// Findings that are warnings.
    pub warnings: u64,
    /// Findings that are errors.
    pub errors: u64,
    /// Leaks: kinds of things left behind, as reported.
    pub leaks: u64,
    /// The first leaks, with nothing borrowed.
    pub first_leaks: Vec<Leak<'static>>,
    /// Stops: their kinds and bug check codes, the first ones.
    pub stops: Vec<(StopKind, u32)>,
    /// The drivers, in the order of loading.
    pub drivers: BTreeMap<DriverId, Driver>,
    /// How the traced command ended, where it did.
    pub command: Option<Command>,
    /// The time spent in drivers.
    pub tally: Tally,
    /// Whether the record that ends a run was seen.
    pub complete: bool,
}

/// What is known of a driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Driver {
    /// Its service name; empty where its load was not recorded.
    pub name: String,
    /// What DriverEntry returned, where it did.
    pub status: Option<NTSTATUS>,
    /// Routines it could not register or remove.
    pub failed_registrations: u64,
    /// Imports that nobody implements.
    pub missing: Missing,
    /// What it took of pool, where it took any and that was told.
    pub pool: Option<PoolUsage>,
}

/// Imports that nobody implements, as `module!name`.
pub type Missing = Vec<String>;

/// How the traced command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its exit status, where it exited.
    pub code: Option<i32>,
    /// The signal that killed it, where one did.
    pub signal: Option<i32>,
}

impl Command {
    /// Whether it exited with status 0.
    pub fn succeeded(self) -> bool {
        self.code == Some(0) && self.signal.is_none()
    }
}

impl Summary {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a record.
    pub fn add(&mut self, record: &Record<'_>) {
        self.tally.record(record);
        match &record.body {
            Body::DriverLoad { driver, name, missing, .. } => {
                let known = self.drivers.entry(*driver).or_default();
                known.name = name.as_ref().to_owned();
                known.missing = missing.iter().map(|import| import.as_ref().to_owned()).collect();
            }
            Body::DriverStart { driver, status, .. } => {
                self.drivers.entry(*driver).or_default().status = Some(*status);
            }
            Body::Registration { driver, status, .. } if !status.is_success() => {
                self.drivers.entry(*driver).or_default().failed_registrations += 1;
            }
            Body::Event(event) => *self.count(&event.kind) += 1,
            Body::Verdict { status, .. } if !status.is_success() => self.processes_refused += 1,
            Body::Debug { .. } => self.debug_lines += 1,
            Body::Finding(finding) => match finding.severity {
                Severity::Warning => self.warnings += 1,
                Severity::Error => self.errors += 1,
            },
            Body::Stop(stop) if self.stops.len() < KEPT => self.stops.push((stop.kind, stop.code)),
            Body::Leak(leak) => {
                self.leaks += 1;
                if self.first_leaks.len() < KEPT {
                    self.first_leaks.push(owned(leak));
                }
            }
            Body::CommandExit { code, signal } => {
                self.command = Some(Command { code: *code, signal: *signal })
            }
            Body::PoolUsage(usage) => self.drivers.entry(usage.driver).or_default().pool = Some(*usage),
            Body::End => self.complete = true,
            Body::Start { .. }
            | Body::DriverUnload { .. }
            | Body::Registration { .. }
            | Body::Notification(_)
            | Body::Verdict { .. }
            | Body::Termination { .. }
            | Body::Doubt { .. }
            | Body::Difference { .. }
            | Body::Stop(_)
            | Body::Note { .. }
            | Body::Timing(_) => {}
        }
    }

    fn count(&mut self, kind: &EventKind<'_>) -> &mut u64 {
        match kind {
            EventKind::ProcessPresent(_) => &mut self.processes_present,
            EventKind::ProcessClone(_) => &mut self.processes_cloned,
            EventKind::ProcessCreate(_) => &mut self.processes_created,
            EventKind::ProcessExit(_) => &mut self.processes_exited,
            EventKind::ThreadCreate(_) => &mut self.threads_created,
            EventKind::ThreadExit(_) => &mut self.threads_exited,
            EventKind::ImageLoad(_) => &mut self.images,
        }
    }

    /// Whether anything happened on the machine, or a host died.
    pub fn has_events(&self) -> bool {
        self.processes_created + self.processes_exited + self.images > 0 || self.stopped()
    }

    /// Whether a bug check, a hang or a crash ended the host.
    pub fn stopped(&self) -> bool {
        !self.stops.is_empty()
    }

    /// The drivers whose DriverEntry failed, with what it returned.
    pub fn failed_drivers(&self) -> impl Iterator<Item = (DriverId, &Driver, NTSTATUS)> {
        self.drivers.iter().filter_map(|(id, driver)| {
            let status = driver.status.filter(|status| !status.is_success())?;
            Some((*id, driver, status))
        })
    }

    /// The findings, of whatever severity.
    pub fn findings(&self) -> u64 {
        self.warnings + self.errors
    }
}

fn owned(leak: &Leak<'_>) -> Leak<'static> {
    let &Leak { driver, kind, count, bytes, .. } = leak;
    Leak { driver, kind, what: leak.what.as_ref().to_owned().into(), count, bytes }
}

impl Sink for Summary {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        self.add(record);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}
