//! Callbacks that drivers register at an altitude: kept in its order, and removed only when none of them runs.

use std::cmp::Ordering as Order;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::DriverId;

/// How high in the order of callbacks one is: a decimal number without limit, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Altitude {
    whole: String,
    fraction: String,
}

impl Altitude {
    /// Reads an altitude; `None` where it is no decimal number.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return None;
        }
        Some(Self {
            whole: whole.trim_start_matches('0').into(),
            fraction: fraction.trim_end_matches('0').into(),
        })
    }
}

impl PartialOrd for Altitude {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Altitude {
    fn cmp(&self, other: &Self) -> Order {
        let whole = |altitude: &Self| (altitude.whole.len(), altitude.whole.clone());
        whole(self).cmp(&whole(other)).then_with(|| self.fraction.cmp(&other.fraction))
    }
}

/// One registration.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    altitude: Altitude,
    /// What names it to the driver; no other one ever does.
    pub(crate) cookie: u64,
    /// Whose it is.
    pub(crate) owner: Option<DriverId>,
    pub(crate) value: T,
    /// How many calls of it run.
    active: AtomicU32,
}

/// A registration that does not go away while this is held.
#[derive(Debug)]
pub(crate) struct Active<T>(Arc<Entry<T>>);

impl<T> std::ops::Deref for Active<T> {
    type Target = Entry<T>;

    fn deref(&self) -> &Entry<T> {
        &self.0
    }
}

impl<T> Drop for Active<T> {
    fn drop(&mut self) {
        if self.0.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            machine::platform().wake(&self.0.active, u32::MAX);
        }
    }
}

/// All registrations of a kind, the highest first.
#[derive(Debug)]
pub(crate) struct Table<T> {
    entries: Mutex<Vec<Arc<Entry<T>>>>,
    next: AtomicU64,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { entries: Mutex::default(), next: AtomicU64::new(1) }
    }
}

impl<T> Table<T> {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Entry<T>>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a registration; its cookie, or `None` where the altitude is taken.
    pub(crate) fn register(&self, altitude: Altitude, owner: Option<DriverId>, value: T) -> Option<u64> {
        let mut entries = self.lock();
        let at = match entries.binary_search_by(|entry| altitude.cmp(&entry.altitude)) {
            Ok(_) => return None,
            Err(at) => at,
        };
        let cookie = self.next.fetch_add(1, Ordering::Relaxed);
        entries.insert(at, Arc::new(Entry { altitude, cookie, owner, value, active: AtomicU32::new(0) }));
        Some(cookie)
    }

    /// Adds a registration below all others, where an altitude is not asked for.
    pub(crate) fn register_lowest(&self, owner: Option<DriverId>, value: T) -> u64 {
        let cookie = self.next.fetch_add(1, Ordering::Relaxed);
        // Below 0 there is nothing, so the cookie breaks the tie: later is lower.
        let fraction = format!("{:020}", u64::MAX - cookie);
        let altitude = Altitude { whole: String::new(), fraction };
        self.lock().push(Arc::new(Entry { altitude, cookie, owner, value, active: AtomicU32::new(0) }));
        cookie
    }

    /// Takes a registration out, once none of its calls runs. `false` where there is none.
    pub(crate) fn unregister(&self, cookie: u64) -> bool {
        let entry = {
            let mut entries = self.lock();
            let Some(at) = entries.iter().position(|entry| entry.cookie == cookie) else { return false };
            entries.remove(at)
        };
        loop {
            let active = entry.active.load(Ordering::Acquire);
            if active == 0 {
                return true;
            }
            machine::platform().block(&entry.active, active, None);
        }
    }

    /// Everything registered, the highest first; empty without a lock's cost where there is nothing.
    pub(crate) fn all(&self) -> Vec<Active<T>> {
        let entries = self.lock();
        let active = |entry: &Arc<Entry<T>>| {
            // Under the lock, so that a removal that takes it later sees this call.
            entry.active.fetch_add(1, Ordering::AcqRel);
            Active(Arc::clone(entry))
        };
        entries.iter().map(active).collect()
    }

    /// Whether nothing is registered.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// How many a driver has registered.
    pub(crate) fn count_of(&self, owner: DriverId) -> u64 {
        self.lock().iter().filter(|entry| entry.owner == Some(owner)).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn altitudes_are_decimal_numbers() {
        let order =
            ["2", "10", "10.05", "10.5", "100000000000000000000000000001", "100000000000000000000000000002"];
        for pair in order.windows(2) {
            assert!(Altitude::parse(pair[0]) < Altitude::parse(pair[1]), "{pair:?}");
        }
        assert_eq!(Altitude::parse("0010.50"), Altitude::parse("10.5"));
        for wrong in ["", "x", "-1", "1.2.3", "1,2", "."] {
            assert_eq!(Altitude::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_highest_is_first_and_an_altitude_is_taken_once() {
        let table = Table::default();
        let at = |altitude| Altitude::parse(altitude).unwrap();
        table.register_lowest(None, "old");
        let low = table.register(at("1"), None, "low").unwrap();
        table.register(at("20"), None, "high").unwrap();
        assert_eq!(table.register(at("1.0"), None, "again"), None);
        let seen =
            |table: &Table<&'static str>| table.all().iter().map(|entry| entry.value).collect::<Vec<_>>();
        assert_eq!(seen(&table), ["high", "low", "old"]);
        assert!(table.unregister(low) && !table.unregister(low));
        assert_eq!(seen(&table), ["high", "old"]);
    }

    #[test]
    fn a_removal_waits_for_the_calls_that_run() {
        let table = Table::default();
        let cookie = table.register_lowest(None, ());
        let running = table.all();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                table.unregister(cookie);
                assert!(done.load(Ordering::SeqCst));
            });
            while !table.all().is_empty() {
                std::thread::yield_now();
            }
            done.store(true, Ordering::SeqCst);
            drop(running);
        });
    }
}
