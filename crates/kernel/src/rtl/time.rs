//! Times: 100 ns since 1601, taken apart and put together; seconds since 1970 and 1980.

use export_macro::export;
use nt_abi::TIME_FIELDS;

const PER_MILLISECOND: i64 = 10_000;
const PER_SECOND: i64 = 10_000_000;
const PER_DAY: i64 = 86_400 * PER_SECOND;
/// Days from 1601-01-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 134_774;
/// Days from 1601-01-01 to 1980-01-01.
const DAYS_TO_1980: i64 = 138_426;

/// Days from 0000-03-01 to 1601-01-01, in the calendar that begins its years in March.
const DAYS_TO_1601: i64 = 584_694;

/// Year, month and day of a day since 1601-01-01.
fn date_of(days: i64) -> (i64, i64, i64) {
    // Years begin in March, so that the leap day is the last of its year; 400 years have 146097 days.
    let days = days + DAYS_TO_1601;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// The day since 1601-01-01 of a date.
fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + 365 * year + year / 4 - year / 100 + day_of_year - DAYS_TO_1601
}

fn field(value: i64) -> i16 {
    i16::try_from(value).unwrap_or(i16::MAX)
}

/// A time taken apart.
pub(crate) fn fields_of(time: i64) -> TIME_FIELDS {
    let (days, rest) = (time.div_euclid(PER_DAY), time.rem_euclid(PER_DAY));
    let (year, month, day) = date_of(days);
    let seconds = rest / PER_SECOND;
    TIME_FIELDS {
        Year: field(year),
        Month: field(month),
        Day: field(day),
        Hour: field(seconds / 3600),
        Minute: field(seconds / 60 % 60),
        Second: field(seconds % 60),
        Milliseconds: field(rest % PER_SECOND / PER_MILLISECOND),
        // 1601 began on a Monday.
        Weekday: field((days + 1).rem_euclid(7)),
    }
}

/// Takes a time apart. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn RtlTimeToTimeFields(time: *const i64, fields: *mut TIME_FIELDS) {
    // SAFETY: the driver's variables.
    unsafe { fields.write_unaligned(fields_of(time.read_unaligned())) };
}

/// Puts a time together; fails for a date that is none. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn RtlTimeFieldsToTime(fields: *const TIME_FIELDS, time: *mut i64) -> u8 {
    // SAFETY: the driver's variables.
    let fields = unsafe { fields.read_unaligned() };
    let [year, month, day, hour, minute, second, milliseconds] = [
        fields.Year,
        fields.Month,
        fields.Day,
        fields.Hour,
        fields.Minute,
        fields.Second,
        fields.Milliseconds,
    ]
    .map(i64::from);
    let ranges = year >= 1601
        && (1..=12).contains(&month)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second)
        && (0..1000).contains(&milliseconds);
    // A day that its month does not have comes back as one of the next month.
    if !ranges || date_of(day_of(year, month, day)) != (year, month, day) {
        return 0;
    }
    let seconds = (hour * 60 + minute) * 60 + second;
    let value = day_of(year, month, day) * PER_DAY + seconds * PER_SECOND + milliseconds * PER_MILLISECOND;
    // SAFETY: as above.
    unsafe { time.write_unaligned(value) };
    1
}

/// Seconds since a day; `None` where 32 bits do not hold them.
fn seconds_since(time: i64, day: i64) -> Option<u32> {
    u32::try_from((time - day * PER_DAY).div_euclid(PER_SECOND)).ok()
}

macro_rules! seconds {
    ($( $to:ident $from:ident $day:ident; )*) => { $(
        /// Returns a time as seconds since the start of 1970 or 1980, if 32 bits hold them. Source: public headers.
        #[export(irql any)]
        pub unsafe extern "win64" fn $to(time: *const i64, seconds: *mut u32) -> u8 {
            // SAFETY: the driver's variables.
            unsafe {
                let Some(value) = seconds_since(time.read_unaligned(), $day) else { return 0 };
                seconds.write_unaligned(value);
            }
            1
        }

        /// Returns the time that is a number of seconds after the start of 1970 or 1980. Source: public headers.
        #[export(irql any)]
        pub unsafe extern "win64" fn $from(seconds: u32, time: *mut i64) {
            // SAFETY: the driver's variable.
            unsafe { time.write_unaligned($day * PER_DAY + i64::from(seconds) * PER_SECOND) };
        }
    )* };
}

seconds! {
    RtlTimeToSecondsSince1970 RtlSecondsSince1970ToTime DAYS_TO_1970;
    RtlTimeToSecondsSince1980 RtlSecondsSince1980ToTime DAYS_TO_1980;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(time: i64) -> [i16; 8] {
        let f = fields_of(time);
        [f.Year, f.Month, f.Day, f.Hour, f.Minute, f.Second, f.Milliseconds, f.Weekday]
    }

    #[test]
    fn known_times() {
        assert_eq!(apart(0), [1601, 1, 1, 0, 0, 0, 0, 1]);
        assert_eq!(apart(DAYS_TO_1970 * PER_DAY), [1970, 1, 1, 0, 0, 0, 0, 4]);
        assert_eq!(apart(DAYS_TO_1980 * PER_DAY - 1), [1979, 12, 31, 23, 59, 59, 999, 1]);
        // 2024-02-29T12:34:56.789Z, a Thursday.
        let leap = (DAYS_TO_1970 * 86_400 + 1_709_210_096) * PER_SECOND + 7_890_000;
        assert_eq!(apart(leap), [2024, 2, 29, 12, 34, 56, 789, 4]);
    }

    #[test]
    fn apart_and_together_again() {
        for day in (0..400_000i64).step_by(17) {
            let time = day * PER_DAY + 12_345 * PER_SECOND;
            let (fields, mut back) = (fields_of(time), 0);
            // SAFETY: variables of the test.
            assert_eq!(unsafe { RtlTimeFieldsToTime(&raw const fields, &raw mut back) }, 1);
            assert_eq!(back, time);
        }
        for (month, day) in [(2, 30), (13, 1), (0, 1), (4, 31), (1, 0)] {
            let fields = TIME_FIELDS { Year: 2023, Month: month, Day: day, ..TIME_FIELDS::default() };
            let mut time = 0;
            // SAFETY: variables of the test.
            assert_eq!(unsafe { RtlTimeFieldsToTime(&raw const fields, &raw mut time) }, 0, "{month}-{day}");
        }
    }

    #[test]
    fn seconds_of_other_epochs() {
        let (mut time, mut seconds) = (0, 0);
        // SAFETY: variables of the test.
        unsafe {
            RtlSecondsSince1970ToTime(1_000_000_000, &raw mut time);
            assert_eq!(apart(time)[..6], [2001, 9, 9, 1, 46, 40]);
            assert_eq!(RtlTimeToSecondsSince1970(&raw const time, &raw mut seconds), 1);
            assert_eq!(seconds, 1_000_000_000);
            assert_eq!(RtlTimeToSecondsSince1980(&raw const time, &raw mut seconds), 1);
            assert_eq!(seconds, 1_000_000_000 - 315_532_800);
            time = 0;
            assert_eq!(RtlTimeToSecondsSince1970(&raw const time, &raw mut seconds), 0);
        }
    }
}
