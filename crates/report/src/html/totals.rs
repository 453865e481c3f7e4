//! What a page says in numbers: for all machines together, in memory that does not grow with the run.

use std::collections::BTreeMap;

use event::{Body, DriverId, EventKind, Family, PoolPeak, PoolUsage, Record, Timing};
use serde::Serialize;

use crate::{Histogram, Summary};

/// How many different statuses or rules are told apart: drivers could make them up without end.
const DIFFERENT: usize = 1_000;

/// What routines are called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Kind {
    Create,
    Exit,
    ThreadCreate,
    ThreadExit,
    Image,
}

impl Kind {
    /// The kind of an event that routines are called for.
    pub(super) fn of(kind: &EventKind<'_>) -> Self {
        match kind {
            EventKind::ProcessPresent(_) | EventKind::ProcessClone(_) | EventKind::ProcessCreate(_) => {
                Self::Create
            }
            EventKind::ProcessExit(_) => Self::Exit,
            EventKind::ThreadCreate(_) => Self::ThreadCreate,
            EventKind::ThreadExit(_) => Self::ThreadExit,
            EventKind::ImageLoad(_) => Self::Image,
        }
    }

    /// What routines of a family are called for where no event was recorded, as for drivers that are loaded.
    pub(super) fn any(family: Family) -> Self {
        match family {
            Family::Process => Self::Create,
            Family::Thread => Self::ThreadCreate,
            Family::Image => Self::Image,
        }
    }

    /// Whose routines are called for it.
    pub(super) fn family(self) -> Family {
        match self {
            Self::Create | Self::Exit => Family::Process,
            Self::ThreadCreate | Self::ThreadExit => Family::Thread,
            Self::Image => Family::Image,
        }
    }
}

/// A driver's number on the page, where it is known which it was.
pub(super) type DriverRow = Option<u64>;

/// The numbers.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) summary: Summary,
    pub(super) unseen: u64,
    pub(super) doubted: u64,
    pub(super) differences: u64,
    pub(super) stops: u64,
    calls: BTreeMap<(u64, Kind), (Histogram, u64)>,
    /// What a bench counted itself in this run, by driver and family.
    told: BTreeMap<(DriverId, Family), (u64, Timing)>,
    /// Calls that were counted and not recorded one by one.
    uncounted: BTreeMap<(u64, Family), u64>,
    /// Paged and nonpaged: allocations on all machines, bytes on the one where they were most.
    pool: BTreeMap<u64, [PoolPeak; 2]>,
    refusals: BTreeMap<(DriverRow, String), u64>,
    rules: BTreeMap<(String, &'static str, DriverRow), u64>,
}

/// The numbers as the page's script reads them.
#[derive(Serialize)]
pub(super) struct Numbers<'a> {
    pub(super) created: u64,
    pub(super) present: u64,
    pub(super) cloned: u64,
    pub(super) unseen: u64,
    pub(super) refused: u64,
    pub(super) doubted: u64,
    pub(super) differences: u64,
    pub(super) threads: u64,
    pub(super) images: u64,
    pub(super) errors: u64,
    pub(super) warnings: u64,
    pub(super) leaks: u64,
    pub(super) stops: u64,
    pub(super) events: u64,
    /// Driver, kind, calls, and nanoseconds: in all, of half of them at most, of 99 of 100 at most, the longest.
    calls: Vec<(u64, Kind, u64, u64, u64, u64, u64)>,
    uncounted: Vec<(u64, &'static str, u64)>,
    /// Driver, which pool, allocations, bytes at most.
    pool: Vec<(u64, &'static str, u64, u64)>,
    pub(super) refusals: Vec<(DriverRow, &'a str, u64)>,
    pub(super) rules: Vec<(&'a str, &'static str, DriverRow, u64)>,
}

impl Totals {
    /// Takes a record.
    pub(super) fn add(&mut self, record: &Record<'_>) {
        self.summary.add(record);
        self.stops += u64::from(matches!(record.body, Body::Stop(_)));
    }

    /// A routine was called.
    pub(super) fn call(&mut self, driver: u64, kind: Kind, nanos: u64) {
        let (histogram, total) = self.calls.entry((driver, kind)).or_default();
        histogram.add(nanos);
        *total = total.saturating_add(nanos);
    }

    /// A bench says what it counted.
    pub(super) fn told(&mut self, driver: u64, timing: Timing) {
        self.told.insert((timing.driver, timing.family), (driver, timing));
    }

    /// A bench says what a driver took of pool.
    pub(super) fn pool(&mut self, driver: u64, usage: &PoolUsage) {
        let most = self.pool.entry(driver).or_default();
        for (most, now) in most.iter_mut().zip([usage.paged, usage.nonpaged]) {
            most.allocations = most.allocations.saturating_add(now.allocations);
            most.peak = most.peak.max(now.peak);
        }
    }

    /// A driver refused a process.
    pub(super) fn refusal(&mut self, driver: DriverRow, status: String) {
        count(&mut self.refusals, (driver, status), || (None, "others".to_owned()));
    }

    /// A driver broke a rule.
    pub(super) fn finding(&mut self, driver: DriverRow, rule: String, severity: &'static str) {
        count(&mut self.rules, (rule, severity, driver), || ("others".to_owned(), "warning", None));
    }

    /// A machine's records are over: what its bench counted is added to that of those before.
    pub(super) fn settle(&mut self) {
        for ((_, family), (driver, timing)) in std::mem::take(&mut self.told) {
            let calls = self.uncounted.entry((driver, family)).or_default();
            *calls = calls.saturating_add(timing.calls);
        }
    }

    /// The calls of a family that were recorded one by one.
    fn recorded(&self, driver: u64, family: Family) -> u64 {
        let of = |&(&(whose, kind), _): &(&(u64, Kind), _)| whose == driver && kind.family() == family;
        self.calls.iter().filter(of).map(|(_, (calls, _))| calls.calls()).sum()
    }

    pub(super) fn numbers(&self) -> Numbers<'_> {
        let all = &self.summary;
        let processes =
            all.processes_created + all.processes_present + all.processes_cloned + all.processes_exited;
        let calls = self.calls.iter().map(|(&(driver, kind), (times, total))| {
            let (half, most) = (times.percentile(50), times.percentile(99));
            (driver, kind, times.calls(), *total, half, most, times.longest())
        });
        let uncounted = self.uncounted.iter().filter_map(|(&(driver, family), &calls)| {
            let more = calls.saturating_sub(self.recorded(driver, family));
            (more > 0).then(|| (driver, crate::words::family(family), more))
        });
        let pool = self.pool.iter().flat_map(|(&driver, most)| {
            let named = ["paged", "nonpaged"].into_iter().zip(most);
            named.map(move |(name, most)| (driver, name, most.allocations, most.peak))
        });
        let refusals =
            self.refusals.iter().map(|((driver, status), &count)| (*driver, status.as_str(), count));
        let rules = self
            .rules
            .iter()
            .map(|((rule, severity, driver), &count)| (rule.as_str(), *severity, *driver, count));
        Numbers {
            created: all.processes_created,
            present: all.processes_present,
            cloned: all.processes_cloned,
            unseen: self.unseen,
            refused: all.processes_refused,
            doubted: self.doubted,
            differences: self.differences,
            threads: all.threads_created,
            images: all.images,
            errors: all.errors,
            warnings: all.warnings,
            leaks: all.leaks,
            stops: self.stops,
            events: processes + all.threads_created + all.threads_exited + all.images,
            calls: calls.collect(),
            uncounted: uncounted.collect(),
            pool: pool.filter(|pool| pool.2 > 0).collect(),
            refusals: refusals.collect(),
            rules: rules.collect(),
        }
    }
}

/// Counts one more of a thing, or of the others where there are too many things.
fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, thing: K, others: impl FnOnce() -> K) {
    let thing = if counts.len() >= DIFFERENT && !counts.contains_key(&thing) { others() } else { thing };
    *counts.entry(thing).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_a_driver_and_a_kind() {
        let mut totals = Totals::default();
        (1..=100).for_each(|nanos| totals.call(0, Kind::Image, nanos * 1_000));
        totals.call(0, Kind::Exit, 7);
        totals.call(1, Kind::Image, u64::MAX);
        totals.call(1, Kind::Image, u64::MAX);
        let numbers = totals.numbers();
        let of: Vec<_> = numbers.calls.iter().map(|call| (call.0, call.1, call.2, call.3, call.6)).collect();
        let most = u64::MAX;
        assert_eq!(
            of,
            [
                (0, Kind::Exit, 1, 7, 7),
                (0, Kind::Image, 100, 5_050_000, 100_000),
                (1, Kind::Image, 2, most, most)
            ]
        );
    }

    #[test]
    fn what_was_not_recorded_one_by_one_is_told() {
        let mut totals = Totals::default();
        totals.call(3, Kind::Create, 5);
        totals.call(3, Kind::Exit, 5);
        let timing =
            Timing { driver: DriverId(9), family: Family::Process, calls: 12, total: 60, longest: 5 };
        totals.told(3, timing);
        totals.settle();
        assert_eq!(totals.numbers().uncounted, [(3, "process", 10)]);
    }

    #[test]
    fn pool_is_that_of_the_machine_where_it_was_most() {
        let mut totals = Totals::default();
        for peak in [10, 30, 20] {
            let paged = PoolPeak { allocations: 2, peak };
            totals.pool(1, &PoolUsage { driver: DriverId(0), paged, nonpaged: PoolPeak::default() });
        }
        assert_eq!(totals.numbers().pool, [(1, "paged", 6, 30)]);
    }

    #[test]
    fn rules_that_are_made_up_without_end_are_counted_together() {
        let mut totals = Totals::default();
        (0..5_000).for_each(|number| totals.finding(Some(0), format!("X-{number:05}"), "error"));
        let numbers = totals.numbers();
        assert_eq!(numbers.rules.len(), DIFFERENT + 1);
        assert_eq!(numbers.rules.iter().map(|rule| rule.3).sum::<u64>(), 5_000);
    }
}
