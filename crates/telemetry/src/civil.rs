//! Moments as calendars have them: the proleptic Gregorian one, in UTC.

use event::Time;

/// 100 ns units in a second.
pub(crate) const SECOND: i64 = 10_000_000;
/// 100 ns units in a day.
pub(crate) const DAY: i64 = 86_400 * SECOND;

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
}

impl Date {
    /// The date that these numbers are, where they are one.
    pub(crate) fn new(year: i64, month: i64, day: i64) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        ((0..=9999).contains(&year) && (1..=days).contains(&day)).then_some(Self { year, month, day })
    }

    /// Days since 1 January 1601.
    pub(crate) fn days(self) -> i64 {
        // Years begin in March, so that the leap day is a year's last.
        let year = if self.month > 2 { self.year } else { self.year - 1 };
        let month = (self.month + 9) % 12;
        let of_year = (153 * month + 2) / 5 + self.day - 1;
        let of_years = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        // From 1 March of the year 0 to 1 January 1601.
        of_years + of_year - 584_694
    }

    /// The date so many days after 1 January 1601.
    pub(crate) fn of_days(days: i64) -> Self {
        let days = days + 584_694;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let year = era * 400 + year_of_era + i64::from(month >= 10);
        Self {
            year,
            month: if month < 10 { month + 3 } else { month - 9 },
            day: of_year - (153 * month + 2) / 5 + 1,
        }
    }
}

/// A moment as `2026-11-21T07:35:01.1234567Z`; `None` where its year has not four digits.
pub(crate) fn format(time: Time) -> Option<String> {
    let (days, of_day) = (time.0.div_euclid(DAY), time.0.rem_euclid(DAY));
    let Date { year, month, day } = Date::of_days(days);
    if !(0..=9999).contains(&year) {
        return None;
    }
    let (seconds, ticks) = (of_day / SECOND, of_day % SECOND);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ticks:07}Z"))
}

/// The moment that [`format()`] wrote.
pub(crate) fn parse(text: &str) -> Option<Time> {
    let bytes = text.as_bytes();
    let shape = b"0000-00-00T00:00:00.0000000Z";
    let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
    if bytes.len() != shape.len() || !bytes.iter().zip(shape).all(fits) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let date = Date::new(number(0..4)?, number(5..7)?, number(8..10)?)?;
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let of_day = (hour * 3600 + minute * 60 + second) * SECOND + number(20..27)?;
    Some(Time(date.days() * DAY + of_day))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_calendar_begins_where_nt_says() {
        assert_eq!(Date::new(1601, 1, 1).unwrap().days(), 0);
        assert_eq!(Date::new(1970, 1, 1).unwrap().days() * DAY, Time::from_unix_nanos(0).0);
        assert_eq!(Date::new(2000, 3, 1).unwrap().days() - Date::new(2000, 2, 28).unwrap().days(), 2);
        assert_eq!(format(Time(0)).unwrap(), "1601-01-01T00:00:00.0000000Z");
        for wrong in
            [(2021, 2, 29), (1900, 2, 29), (2020, 13, 1), (2020, 0, 1), (2020, 4, 31), (10_000, 1, 1)]
        {
            assert_eq!(Date::new(wrong.0, wrong.1, wrong.2), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn a_moment_comes_back_as_it_was_written(ticks: i64) {
            match format(Time(ticks)) {
                Some(text) => prop_assert_eq!(parse(&text), Some(Time(ticks))),
                None => prop_assert!(!(0..=9999).contains(&Date::of_days(ticks.div_euclid(DAY)).year)),
            }
        }

        #[test]
        fn near_moments_do_too(ticks in -600_000_000_000_000_000i64..2_700_000_000_000_000_000) {
            if let Some(text) = format(Time(ticks)) {
                prop_assert_eq!(parse(&text), Some(Time(ticks)), "{}", text);
            }
        }

        #[test]
        fn any_text_is_a_moment_or_none(text in "\\PC{0,30}") {
            let _ = parse(&text);
        }
    }
}
