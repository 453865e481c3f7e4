//! When.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// A moment, in NT system time: 100 ns units since 1 January 1601 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub i64);

/// From 1601 to 1970, in 100 ns units.
const UNIX_EPOCH: i64 = 116_444_736_000_000_000;

impl Time {
    /// From nanoseconds since 1970 (`CLOCK_REALTIME`).
    pub const fn from_unix_nanos(nanos: i64) -> Self {
        Self(nanos / 100 + UNIX_EPOCH)
    }

    /// This moment, by the machine's own clock.
    pub fn now() -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::from_unix_nanos(i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Nanoseconds since 1970, to the 100 ns that NT keeps.
    pub const fn unix_nanos(self) -> i64 {
        (self.0 - UNIX_EPOCH) * 100
    }

    /// Nanoseconds since another moment; 0 when that is later.
    pub fn nanos_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0).saturating_mul(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unix_epoch_is_where_nt_says() {
        assert_eq!(Time::from_unix_nanos(0), Time(116_444_736_000_000_000));
        assert_eq!(Time::from_unix_nanos(1_500).unix_nanos(), 1_500);
        assert_eq!(Time(20).nanos_since(Time(5)), 1_500);
        assert_eq!(Time(5).nanos_since(Time(20)), 0);
    }
}
