//! How much pool each driver has, and had at most.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use event::{DriverId, PoolPeak, PoolUsage};

use super::pool::{Allocation, Kind};

/// Meters are made so many at a time, when a driver of theirs first allocates.
const CHUNK: usize = 64;
/// How many such chunks there can be. Of drivers that are loaded later than these nothing is told.
const CHUNKS: usize = 64;

/// One pool of one driver.
#[derive(Debug, Default)]
struct Meter {
    allocations: AtomicU64,
    live: AtomicU64,
    peak: AtomicU64,
}

/// The pools of a driver.
#[derive(Debug, Default)]
struct Meters {
    paged: Meter,
    nonpaged: Meter,
}

/// The pools of all drivers, found without a lock.
#[derive(Debug)]
pub(super) struct AllMeters([OnceLock<Box<[Meters]>>; CHUNKS]);

impl Default for AllMeters {
    fn default() -> Self {
        Self([const { OnceLock::new() }; CHUNKS])
    }
}

impl AllMeters {
    fn of(&self, driver: DriverId) -> Option<&Meters> {
        let index = usize::try_from(driver.0).ok()?;
        let chunk = self.0.get(index / CHUNK)?;
        chunk.get_or_init(|| (0..CHUNK).map(|_| Meters::default()).collect()).get(index % CHUNK)
    }

    fn meter(&self, what: &Allocation) -> Option<&Meter> {
        let meters = self.of(what.owner?)?;
        Some(match what.kind {
            Kind::Paged => &meters.paged,
            Kind::NonPaged => &meters.nonpaged,
        })
    }

    /// Counts an allocation.
    pub(super) fn add(&self, what: &Allocation) {
        let Some(meter) = self.meter(what) else { return };
        let size = what.size as u64;
        meter.allocations.fetch_add(1, Ordering::Relaxed);
        let live = meter.live.fetch_add(size, Ordering::Relaxed) + size;
        // Mostly it is not the most, and nothing is written.
        if live > meter.peak.load(Ordering::Relaxed) {
            meter.peak.fetch_max(live, Ordering::Relaxed);
        }
    }

    /// Counts that one is freed.
    pub(super) fn remove(&self, what: &Allocation) {
        if let Some(meter) = self.meter(what) {
            meter.live.fetch_sub(what.size as u64, Ordering::Relaxed);
        }
    }

    /// What a driver has allocated; `None` where it never did.
    pub(super) fn usage(&self, driver: DriverId) -> Option<PoolUsage> {
        let meters = self.of(driver)?;
        let told = |meter: &Meter| PoolPeak {
            allocations: meter.allocations.load(Ordering::Relaxed),
            peak: meter.peak.load(Ordering::Relaxed),
        };
        let usage = PoolUsage { driver, paged: told(&meters.paged), nonpaged: told(&meters.nonpaged) };
        (usage.paged.allocations + usage.nonpaged.allocations > 0).then_some(usage)
    }
}

#[cfg(test)]
mod tests {
    use super::super::pool::Tag;
    use super::*;

    fn of(driver: u32, kind: Kind, size: usize) -> Allocation {
        Allocation { size, tag: Tag(1), kind, owner: Some(DriverId(driver)) }
    }

    #[test]
    fn the_most_that_was_there_at_once_is_kept() {
        let meters = AllMeters::default();
        let (small, large) = (of(3, Kind::Paged, 100), of(3, Kind::Paged, 1000));
        for _ in 0..5 {
            meters.add(&small);
            meters.remove(&small);
        }
        meters.add(&large);
        meters.add(&small);
        meters.remove(&large);
        meters.add(&small);
        meters.add(&of(3, Kind::NonPaged, 7));
        meters.add(&of(130, Kind::NonPaged, 9));
        let peak = |allocations, peak| PoolPeak { allocations, peak };
        let usage = PoolUsage { driver: DriverId(3), paged: peak(8, 1100), nonpaged: peak(1, 7) };
        assert_eq!(meters.usage(DriverId(3)), Some(usage));
        assert_eq!(meters.usage(DriverId(130)).unwrap().nonpaged, peak(1, 9));
        assert_eq!(meters.usage(DriverId(2)), None);
    }

    #[test]
    fn what_belongs_to_nobody_and_to_one_driver_too_many_is_not_counted() {
        let meters = AllMeters::default();
        let none = Allocation { owner: None, ..of(0, Kind::Paged, 1) };
        let far = of(u32::MAX, Kind::Paged, 1);
        for what in [none, far] {
            meters.add(&what);
            meters.remove(&what);
        }
        assert_eq!((meters.usage(DriverId(0)), meters.usage(DriverId(u32::MAX))), (None, None));
    }

    #[test]
    fn several_processors_lose_nothing() {
        let meters = AllMeters::default();
        let what = of(0, Kind::NonPaged, 3);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        meters.add(&what);
                    }
                });
            }
        });
        let peak = PoolPeak { allocations: 4000, peak: 12_000 };
        assert_eq!(meters.usage(DriverId(0)).unwrap().nonpaged, peak);
    }
}
