//! The time spent in drivers.

use std::collections::BTreeMap;

use event::{Body, DriverId, Family, Notification, Record, Timing};

/// Calls and time per driver and family.
///
/// Summed from notifications as they pass, unless a bench sends its own sums ([`Body::Timing`]): those
/// count calls whose notifications were not recorded one by one, so they take precedence.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    seen: BTreeMap<(DriverId, Family), Timing>,
    told: BTreeMap<(DriverId, Family), Timing>,
}

impl Tally {
    /// Takes what a record says about time.
    pub fn record(&mut self, record: &Record<'_>) {
        match &record.body {
            Body::Notification(notification) => self.notification(notification),
            Body::Timing(timing) => {
                self.told.insert((timing.driver, timing.family), *timing);
            }
            _ => {}
        }
    }

    fn notification(&mut self, &Notification { driver, family, elapsed, .. }: &Notification) {
        let none = Timing { driver, family, calls: 0, total: 0, longest: 0 };
        let sum = self.seen.entry((driver, family)).or_insert(none);
        sum.calls = sum.calls.saturating_add(1);
        sum.total = sum.total.saturating_add(elapsed);
        sum.longest = sum.longest.max(elapsed);
    }

    /// The sums, by driver in the order of loading, then by family.
    pub fn timings(&self) -> impl Iterator<Item = Timing> {
        let mut all = self.seen.clone();
        all.extend(&self.told);
        all.into_values()
    }

    /// Calls of all routines.
    pub fn calls(&self) -> u64 {
        self.timings().fold(0, |sum, timing| sum.saturating_add(timing.calls))
    }

    /// Nanoseconds in all routines.
    pub fn total(&self) -> u64 {
        self.timings().fold(0, |sum, timing| sum.saturating_add(timing.total))
    }
}

#[cfg(test)]
mod tests {
    use event::{ClientId, Time};

    use super::*;

    fn record(body: Body<'_>) -> Record<'_> {
        Record { time: Time(1), context: ClientId::default(), body }
    }

    fn call(driver: u32, family: Family, elapsed: u64) -> Record<'static> {
        let notification =
            Notification { driver: DriverId(driver), family, slot: 0, routine: 0, elapsed, status: None };
        record(Body::Notification(notification))
    }

    #[test]
    fn notifications_are_summed_by_driver_and_family() {
        let mut tally = Tally::default();
        for (driver, family, elapsed) in [
            (1, Family::Image, 5),
            (0, Family::Process, 7),
            (1, Family::Image, 9),
            (1, Family::Process, u64::MAX),
        ] {
            tally.record(&call(driver, family, elapsed));
        }
        let sums: Vec<_> =
            tally.timings().map(|t| (t.driver.0, t.family, t.calls, t.total, t.longest)).collect();
        let most = u64::MAX;
        assert_eq!(
            sums,
            [
                (0, Family::Process, 1, 7, 7),
                (1, Family::Process, 1, most, most),
                (1, Family::Image, 2, 14, 9)
            ]
        );
        assert_eq!((tally.calls(), tally.total()), (4, most));
    }

    #[test]
    fn what_the_bench_says_takes_precedence() {
        let mut tally = Tally::default();
        tally.record(&call(0, Family::Image, 5));
        tally.record(&call(0, Family::Thread, 6));
        let told = Timing { driver: DriverId(0), family: Family::Image, calls: 9, total: 90, longest: 20 };
        tally.record(&record(Body::Timing(told)));
        assert_eq!(tally.timings().map(|timing| timing.total).collect::<Vec<_>>(), [6, 90]);
    }
}
