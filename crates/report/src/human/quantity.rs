//! Times and sizes as people read them.

use event::{PoolPeak, PoolUsage};

use super::palette::Signs;

/// Nanoseconds with three significant digits: `640 ns`, `12.3 µs`, `1.23 ms`, `4.56 s`.
pub(super) fn duration(nanos: u64, signs: &Signs) -> String {
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..999_500 => format!("{} {}", three_digits(nanos, 1_000), signs.micro),
        999_500..999_500_000 => format!("{} ms", three_digits(nanos, 1_000_000)),
        _ => format!("{} s", three_digits(nanos, 1_000_000_000)),
    }
}

/// Bytes: `17 B`, `132 KiB`, `1.9 MiB`, `2.0 GiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut unit = 1_u64 << 10;
    let mut name = 0;
    while bytes >= unit.saturating_mul(1_000) && name + 1 < UNITS.len() {
        unit <<= 10;
        name += 1;
    }
    let tenths = u128::from(bytes) * 10 / u128::from(unit);
    match tenths {
        0..100 if !bytes.is_multiple_of(unit) => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[name]),
        _ => format!("{} {}", tenths / 10, UNITS[name]),
    }
}

/// Milliseconds with microseconds behind the point.
pub(super) fn milliseconds(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1_000_000, nanos / 1_000 % 1_000)
}

fn three_digits(nanos: u64, unit: u64) -> String {
    let (nanos, unit) = (u128::from(nanos), u128::from(unit));
    let rounded = |scale: u128| (nanos * scale + unit / 2) / unit;
    match (rounded(100), rounded(10)) {
        (hundredths @ 0..1_000, _) => format!("{}.{:02}", hundredths / 100, hundredths % 100),
        (_, tenths @ 0..1_000) => format!("{}.{}", tenths / 10, tenths % 10),
        _ => rounded(1).to_string(),
    }
}

/// What a driver took of pool, without the pools of which it took nothing.
pub(super) fn pool(usage: &PoolUsage) -> String {
    let pools = [("paged", usage.paged), ("nonpaged", usage.nonpaged)];
    let taken = pools.iter().filter(|(_, pool)| pool.allocations > 0).map(|(name, pool)| {
        let PoolPeak { allocations, peak } = *pool;
        let word = if allocations == 1 { "allocation" } else { "allocations" };
        format!("{allocations} {name} {word}, {} at most", size(peak))
    });
    taken.collect::<Vec<_>>().join("; ")
}

/// A number with the word for what is counted.
pub(super) fn count(number: u64, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::super::palette::UNICODE;
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        for (nanos, shown) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (12_345, "12.3 µs"),
            (99_960, "100 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (59_999_000, "60.0 ms"),
            (1_234_000_000, "1.23 s"),
            (u64::MAX, "18446744074 s"),
        ] {
            assert_eq!(duration(nanos, &UNICODE), shown);
        }
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, shown) in [
            (17, "17 B"),
            (4_096, "4 KiB"),
            (135_168, "132 KiB"),
            (1_998_848, "1.9 MiB"),
            (1 << 31, "2 GiB"),
            (u64::MAX, "15 EiB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }
}
