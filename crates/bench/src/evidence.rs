//! What came of it: the records, and what tests ask them.

use event::{Body, DriverId, Event, EventKind, Family, Finding, Leak, ProcessId, Record, Stop};
use nt_abi::NTSTATUS;

use crate::{Bench, Driver};

/// One call of one driver's routine.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// Whose routine.
    pub driver: DriverId,
    /// Which table.
    pub family: Family,
    /// The slot in it.
    pub slot: u8,
    /// The routine.
    pub routine: u64,
    /// What it was told of; `None` for what no event of the bench tells, as a driver that is loaded.
    pub event: Option<&'a Event<'static>>,
    /// CreationStatus as the routine left it (process creation only).
    pub status: Option<NTSTATUS>,
}

/// What all routines made of a process creation that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The process.
    pub process: ProcessId,
    /// What its creation ended with.
    pub status: NTSTATUS,
    /// The driver that wrote it last.
    pub driver: Option<DriverId>,
}

impl Bench {
    /// Everything that happened, in order. What drivers do on threads of their own is there once a later call, or
    /// [`collect`](Self::collect), has fetched it.
    pub fn records(&self) -> &[Record<'static>] {
        &self.records
    }

    /// Fetches what was recorded since the last call.
    pub fn collect(&mut self) {
        let (records, now, terminated) = (&mut self.records, &mut self.now, &mut self.terminated);
        self.host.drain(&mut |record| {
            // A driver that waits moves a virtual clock; a stop of the host's watcher is on the real one.
            if !matches!(record.body, Body::Stop(_)) {
                *now = (*now).max(record.time);
            }
            if let Body::Termination { process, status, .. } = record.body {
                terminated.push_back((process, status));
            }
            records.push(record.clone().into_owned());
        });
    }

    /// Every call of a notify routine, in order.
    pub fn notices(&self) -> Vec<Notice<'_>> {
        let mut notices = Vec::new();
        for (at, record) in self.records.iter().enumerate() {
            let Body::Notification(notification) = &record.body else { continue };
            // An event that came up inside a routine lies between that routine's event and its record.
            let event = self.records[..at].iter().rev().find_map(|before| match &before.body {
                Body::Event(event) if family(event) == Some(notification.family) => Some(event),
                _ => None,
            });
            notices.push(Notice {
                driver: notification.driver,
                family: notification.family,
                slot: notification.slot,
                routine: notification.routine,
                event,
                status: notification.status,
            });
        }
        notices
    }

    /// The creations that were refused, in order.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let verdict = |record: &Record<'_>| match record.body {
            Body::Verdict { process, status, driver } => Some(Verdict { process, status, driver }),
            _ => None,
        };
        self.records.iter().filter_map(verdict).collect()
    }

    /// The lines that a driver printed, in order.
    pub fn debug_lines(&self, driver: Driver) -> Vec<&str> {
        self.records
            .iter()
            .filter_map(|record| match &record.body {
                Body::Debug { driver: Some(whose), text, .. } if *whose == driver.id => Some(text.as_ref()),
                _ => None,
            })
            .collect()
    }

    /// The rules that drivers broke, in order.
    pub fn findings(&self) -> Vec<&Finding<'static>> {
        self.records
            .iter()
            .filter_map(|record| match &record.body {
                Body::Finding(finding) => Some(finding),
                _ => None,
            })
            .collect()
    }

    /// Why the machine stopped, when it did.
    pub fn stop(&self) -> Option<&Stop<'static>> {
        self.records.iter().rev().find_map(|record| match &record.body {
            Body::Stop(stop) => Some(stop),
            _ => None,
        })
    }

    /// What drivers left behind when they were unloaded, which [`finish`](Self::finish) does too.
    pub fn leaks(&self) -> Vec<&Leak<'static>> {
        self.records
            .iter()
            .filter_map(|record| match &record.body {
                Body::Leak(leak) => Some(leak),
                _ => None,
            })
            .collect()
    }
}

/// Whose routines are told of an event.
fn family(event: &Event<'_>) -> Option<Family> {
    match event.kind {
        EventKind::ProcessCreate(_) | EventKind::ProcessExit(_) => Some(Family::Process),
        EventKind::ThreadCreate(_) | EventKind::ThreadExit(_) => Some(Family::Thread),
        EventKind::ImageLoad(_) => Some(Family::Image),
        EventKind::ProcessPresent(_) | EventKind::ProcessClone(_) => None,
    }
}
