//! Where the kernel writes down what happens.

use event::{
    Body, ClientId, DriverId, Event, Family, Finding, Frame, Level, ProcessId, Record, Severity, Time,
};

use crate::Kernel;
use crate::rule::Rule;

/// Takes the kernel's records. Implemented by the host over its channel; called on any thread, at
/// any IRQL, also on the notification path: it must not allocate and must not block for long.
pub trait Recorder: Sync {
    /// Writes one record down.
    fn record(&self, record: &Record<'_>);

    /// Writes down an event of which drivers are about to be told, with the same outcome as [`record`](Self::record). The
    /// event is the one that [`deliver_event`](Kernel::deliver_event) got, at its place in memory: whoever asked for it may
    /// have it still, and need not be sent it.
    fn event(&self, time: Time, context: ClientId, event: &Event<'_>) {
        // Borrowed all the way: cloning an event allocates nothing.
        self.record(&Record { time, context, body: Body::Event(event.clone()) });
    }

    /// Notes for the watchdog what runs on this thread now, or that no driver does, and answers what ran before, to
    /// be put back. Called around every entry into a driver, so it must be a few plain stores.
    fn running(&self, now: Option<Running>) -> Option<Running> {
        let _ = now;
        None
    }

    /// Fills `page` with what a process has at `address`; `false` where nothing is mapped. Called in a signal handler
    /// that stands for one access of a driver, so ordinary code may run, but no lock of the kernel is free for sure.
    fn user_page(&self, process: ProcessId, address: u64, page: &mut [u8; machine::pcr::PAGE_SIZE]) -> bool {
        let _ = (process, address, page);
        false
    }

    /// Ends the host: the stop has been recorded, and nothing in the kernel can be trusted any more.
    fn halt(&self) -> !;
}

/// A driver's routine that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Whose it is.
    pub driver: DriverId,
    /// Its address.
    pub routine: u64,
    /// The family of the notification it was called for, where it was.
    pub family: Option<Family>,
}

impl Kernel {
    /// Writes down `body`, at this moment and in the context of the current thread.
    pub(crate) fn record(&self, body: Body<'_>) {
        self.recorder.record(&Record { time: crate::ke::time::now(), context: context(), body });
    }

    /// Writes down an event, at this moment and in the context of the current thread.
    pub(crate) fn record_event(&self, event: &Event<'_>) {
        self.recorder.event(crate::ke::time::now(), context(), event);
    }

    /// Says something on Callboard's own behalf.
    pub(crate) fn note(&self, level: Level, text: &str) {
        self.record(Body::Note { level, text: text.into() });
    }

    /// Reports a rule that the current driver broke, with the driver's stack.
    pub(crate) fn finding(&self, rule: &'static Rule, message: &str, bug_check: Option<(u32, [u64; 4])>) {
        self.finding_of(crate::io::current_driver(), rule, message, bug_check);
    }

    /// Reports a rule that `driver` broke.
    pub(crate) fn finding_of(
        &self,
        driver: Option<DriverId>,
        rule: &'static Rule,
        message: &str,
        bug_check: Option<(u32, [u64; 4])>,
    ) {
        self.finding_at(driver, rule, message, bug_check, crate::ke::stop::driver_stack());
    }

    /// Reports a rule that `driver` broke, with the place where.
    pub(crate) fn finding_at(
        &self,
        driver: Option<DriverId>,
        rule: &'static Rule,
        message: &str,
        bug_check: Option<(u32, [u64; 4])>,
        stack: Vec<Frame<'_>>,
    ) {
        self.finding_as(rule.severity, driver, rule, message, bug_check, stack);
    }

    /// Reports a rule whose severity depends on where it was broken.
    pub(crate) fn finding_as(
        &self,
        severity: Severity,
        driver: Option<DriverId>,
        rule: &'static Rule,
        message: &str,
        bug_check: Option<(u32, [u64; 4])>,
        stack: Vec<Frame<'_>>,
    ) {
        if !self.rules.is_new(rule, driver, &stack) {
            return;
        }
        self.record(Body::Finding(Finding {
            rule: rule.id.into(),
            severity,
            driver,
            message: message.into(),
            bug_check,
            stack,
        }));
    }
}

/// The ids of the current thread; zero where there is none.
fn context() -> ClientId {
    crate::ps::thread::current().map_or_else(ClientId::default, |thread| thread.client_id())
}
