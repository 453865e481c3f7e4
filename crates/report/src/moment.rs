//! A moment as RFC 3339 writes it.

use std::fmt;

use event::Time;

const DAY: i64 = 24 * 60 * 60 * 10_000_000;
/// From 1 March 0000, where years that end in February have their leap day last, to 1 January 1601.
const DAYS_TO_1601: i64 = 584_694;

/// Shows a time as `2026-11-21T07:35:01.1234567Z`: UTC, to the 100 ns that NT keeps. Years that RFC 3339
/// has no room for are written as ISO 8601 extends it (`+12026-…`).
pub struct Rfc3339(pub Time);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Time(ticks) = self.0;
        let (days, ticks) = (ticks.div_euclid(DAY) + DAYS_TO_1601, ticks.rem_euclid(DAY));
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = year + era * 400 + next;
        match year {
            0..=9_999 => write!(f, "{year:04}")?,
            _ => write!(f, "{year:+06}")?,
        }
        let seconds = ticks / 10_000_000;
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:07}Z", ticks % 10_000_000)
    }
}

/// Whether RFC 3339 has room for its year, so that others can read it.
pub(crate) fn has_four_digits(Time(ticks): Time) -> bool {
    // 1 January 0000 and 1 January 10000.
    let (first, end) = (-584_754 * DAY, 3_067_671 * DAY);
    (first..end).contains(&ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_unix(seconds: i64) -> String {
        Rfc3339(Time::from_unix_nanos(seconds * 1_000_000_000 + 123_456_700)).to_string()
    }

    #[test]
    fn years_of_four_digits_are_told_from_others() {
        for time in [-584_754 * DAY, -584_754 * DAY - 1, 3_067_671 * DAY, 3_067_671 * DAY - 1, 0].map(Time) {
            let written = Rfc3339(time).to_string();
            assert_eq!(has_four_digits(time), written.find("-") == Some(4), "{written}");
        }
    }

    #[test]
    fn known_moments() {
        assert_eq!(Rfc3339(Time(0)).to_string(), "1601-01-01T00:00:00.0000000Z");
        assert_eq!(at_unix(0), "1970-01-01T00:00:00.1234567Z");
        assert_eq!(at_unix(951_782_400), "2000-02-29T00:00:00.1234567Z");
        assert_eq!(at_unix(1_709_251_199), "2024-02-29T23:59:59.1234567Z");
        assert_eq!(at_unix(4_107_542_399), "2100-02-28T23:59:59.1234567Z");
        assert_eq!(Rfc3339(Time(-1)).to_string(), "1600-12-31T23:59:59.9999999Z");
        assert_eq!(Rfc3339(Time(i64::MAX)).to_string(), "+30828-09-14T02:48:05.4775807Z");
        assert!(Rfc3339(Time(i64::MIN)).to_string().starts_with("-27627-04-19T"));
    }
}
