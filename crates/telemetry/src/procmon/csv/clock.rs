//! Moments as Procmon writes them: in the language and the time zone of whoever exported them.

use event::Time;

use crate::civil::{DAY, Date, SECOND};

/// What stands for the first and second half of a day, in lower case and without dots and spaces.
const BEFORE_NOON: [&str; 11] = ["am", "上午", "午前", "오전", "πμ", "de", "fm", "vm", "dop", "ص", "sa"];
const AFTER_NOON: [&str; 11] = ["pm", "下午", "午後", "오후", "μμ", "du", "em", "nm", "odp", "م", "ch"];

/// In which order a date has its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateOrder {
    /// `7/31/2020`
    MonthFirst,
    /// `31.07.2020`
    DayFirst,
    /// `2020-07-31`
    YearFirst,
}

/// Makes moments of texts, one record after the other.
#[derive(Debug)]
pub(super) struct Clock {
    /// Whose order of dates it is; found out from the dates where nobody says.
    order: Option<DateOrder>,
    /// What is to be subtracted to have UTC.
    offset: i64,
    /// The day and time of day before, for logs that have only times of day.
    last: Option<(i64, i64)>,
    /// The day of the first time of day, for the same.
    day: i64,
    /// The date that was read last, and its day: the next record mostly has the same.
    read: (String, i64),
}

impl Clock {
    pub(super) fn new(order: Option<DateOrder>, offset_minutes: i32, day: i64) -> Self {
        Self {
            order,
            offset: i64::from(offset_minutes) * 60 * SECOND,
            last: None,
            day,
            read: Default::default(),
        }
    }

    /// The moment of a record; an error says which text cannot be read.
    pub(super) fn time<'a>(&mut self, of_day: &'a str, date: &'a str) -> Result<Option<Time>, &'a str> {
        let (days, ticks) = match (of_day, date) {
            ("", "") => return Ok(None),
            (of_day, "") => {
                let ticks = time_of_day(of_day).ok_or(of_day)?;
                (self.rolled_over(ticks), ticks)
            }
            ("", date) => {
                let (days, rest) = self.date(date).ok_or(date)?;
                (days, time_of_day(rest).ok_or(rest)?)
            }
            // The time of day has seven digits, that beside the date has none.
            (of_day, date) => (self.day_of(date).ok_or(date)?, time_of_day(of_day).ok_or(of_day)?),
        };
        Ok(Some(Time(days * DAY + ticks - self.offset)))
    }

    /// The day of a time of day: the one on which it is nearest to the one before.
    fn rolled_over(&mut self, ticks: i64) -> i64 {
        let day = match self.last {
            None => self.day,
            Some((day, last)) if ticks < last - DAY / 2 => day + 1,
            Some((day, last)) if ticks > last + DAY / 2 => day - 1,
            Some((day, _)) => day,
        };
        self.last = Some((day, ticks));
        day
    }

    /// The days since 1601 of a date.
    fn day_of(&mut self, text: &str) -> Option<i64> {
        if self.read.0 != text || text.is_empty() {
            let (days, _) = self.date(text)?;
            self.read.0.clear();
            self.read.0.push_str(text);
            self.read.1 = days;
        }
        Some(self.read.1)
    }

    /// The days since 1601 of a text that begins with a date, and what follows it.
    fn date<'a>(&mut self, text: &'a str) -> Option<(i64, &'a str)> {
        let mut rest = text.trim_start();
        let mut parts = [(0_i64, 0_usize); 3];
        for (place, part) in parts.iter_mut().enumerate() {
            rest = rest.trim_start_matches(|c: char| is_mark(c) || place > 0 && is_date_separator(c));
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if !(1..=4).contains(&digits) {
                return None;
            }
            *part = (rest[..digits].parse().ok()?, digits);
            rest = &rest[digits..];
        }
        let rest = rest.trim_start_matches(|c: char| is_mark(c) || is_date_separator(c));
        let [(a, a_digits), (b, _), (c, c_digits)] = parts;
        let century = |year: i64, digits| if digits <= 2 { year + 2000 } else { year };
        let order = match self.order {
            _ if a_digits == 4 => DateOrder::YearFirst,
            Some(order) => order,
            None if text.contains('.') && !text.contains('/') => DateOrder::DayFirst,
            None if half_of_day(rest).is_some_and(|half| half.is_some()) => DateOrder::MonthFirst,
            None => DateOrder::DayFirst,
        };
        let of = |order| match order {
            DateOrder::YearFirst => Date::new(century(a, a_digits), b, c),
            DateOrder::MonthFirst => Date::new(century(c, c_digits), a, b),
            DateOrder::DayFirst => Date::new(century(c, c_digits), b, a),
        };
        let other = match order {
            DateOrder::MonthFirst => DateOrder::DayFirst,
            _ => DateOrder::MonthFirst,
        };
        if let Some(date) = of(order) {
            return Some((date.days(), rest));
        }
        // A month above 12 says which order it is, from here on.
        let date = of(other)?;
        self.order = Some(other);
        Some((date.days(), rest))
    }
}

/// Marks that only say in which direction text runs, and spaces of any kind.
fn is_mark(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}')
}

fn is_date_separator(c: char) -> bool {
    matches!(c, '/' | '.' | '-' | ',' | '年' | '月' | '日' | '년' | '월' | '일')
}

/// Whether a time of day says in which half of the day it is, and in which: `None` for a word that is not known.
fn half_of_day(text: &str) -> Option<Option<bool>> {
    // Nearly all are English, or say nothing.
    let word = text.trim_matches(|c: char| c.is_ascii_digit() || matches!(c, ' ' | ':' | '.' | ','));
    match word {
        "" => return Some(None),
        "AM" => return Some(Some(false)),
        "PM" => return Some(Some(true)),
        _ => {}
    }
    let word: String = text
        .chars()
        .filter(|c| !c.is_ascii_digit() && !is_mark(*c) && !matches!(c, ':' | '.' | ','))
        .flat_map(char::to_lowercase)
        .collect();
    match word.as_str() {
        "" => Some(None),
        word if BEFORE_NOON.contains(&word) => Some(Some(false)),
        word if AFTER_NOON.contains(&word) => Some(Some(true)),
        _ => None,
    }
}

/// The number that comes next in a text, and how many digits it has: no more than seven.
fn next_number(rest: &mut &[u8]) -> Option<(i64, usize)> {
    let start = rest.iter().position(u8::is_ascii_digit)?;
    let digits = rest[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = &rest[start..start + digits];
    *rest = &rest[start + digits..];
    (digits <= 7)
        .then(|| (number.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')), digits))
}

/// Ticks since midnight: `7:37:18.2093997 AM`, `07:37:18,2093997`, `下午 7:37:18`.
pub(crate) fn time_of_day(text: &str) -> Option<i64> {
    let mut rest = text.as_bytes();
    let (mut hour, _) = next_number(&mut rest)?;
    let (minute, _) = next_number(&mut rest)?;
    let (second, _) = next_number(&mut rest)?;
    let mut ticks = 0;
    if rest.iter().any(u8::is_ascii_digit) {
        let (fraction, digits) = next_number(&mut rest)?;
        ticks = (digits..7).fold(fraction, |ticks, _| ticks * 10);
    }
    if hour > 23 || minute > 59 || second > 60 || rest.iter().any(u8::is_ascii_digit) {
        return None;
    }
    match half_of_day(text)? {
        None => {}
        // 12 AM is midnight. A number above 12 says by itself which half it is.
        Some(false) if hour == 12 => hour = 0,
        Some(true) if hour < 12 => hour += 12,
        Some(_) => {}
    }
    Some((hour * 3600 + minute * 60 + second) * SECOND + ticks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::civil::format;

    #[test]
    fn times_of_day_are_read_in_many_languages() {
        let morning = ((7 * 60 + 37) * 60 + 18) * SECOND + 2_093_997;
        for text in [
            "7:37:18.2093997 AM",
            "07:37:18.2093997",
            "07:37:18,2093997",
            "7.37.18,2093997",
            "上午 7:37:18.2093997",
            "오전 7:37:18.2093997",
            "7:37:18.2093997 a.\u{a0}m.",
            "7:37:18,2093997 π.μ.",
        ] {
            assert_eq!(time_of_day(text), Some(morning), "{text}");
        }
        let noon = DAY / 2;
        assert_eq!(time_of_day("7:37:18.2093997 PM"), Some(morning + noon));
        assert_eq!(time_of_day("午後 7:37:18.2093997"), Some(morning + noon));
        assert_eq!(time_of_day("12:00:00.0000000 AM"), Some(0));
        assert_eq!(time_of_day("12:00:00 PM"), Some(noon));
        assert_eq!(time_of_day("1:00:00.5 AM"), Some(36_005_000_000));
        for wrong in ["", "x", "24:00:00", "1:60:00", "1:00", "1:00:00.12345678", "1:00:00 QM", "1:2:3.4.5"] {
            assert_eq!(time_of_day(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn dates_are_read_in_the_order_of_their_language() {
        let read = |order, date: &str, time: &str| {
            let mut clock = Clock::new(order, 0, 0);
            format(clock.time(time, date).unwrap().unwrap()).unwrap()
        };
        let expected = "2020-07-31T07:37:18.2093997Z";
        assert_eq!(read(None, "7/31/2020 7:37:18 AM", "7:37:18.2093997 AM"), expected);
        assert_eq!(read(None, "31/07/2020 07:37:18", "07:37:18,2093997"), expected);
        assert_eq!(read(None, "31.07.2020 07:37:18", "07:37:18,2093997"), expected);
        assert_eq!(read(None, "31. 7. 2020 7:37:18", "7:37:18,2093997"), expected);
        assert_eq!(read(None, "2020/7/31 7:37:18", "7:37:18.2093997"), expected);
        assert_eq!(read(None, "2020-07-31 07:37:18", "07:37:18.2093997"), expected);
        assert_eq!(read(None, "2020년 7월 31일 오전 7:37:18", "오전 7:37:18.2093997"), expected);
        assert_eq!(read(None, "7/1/2020 7:37:18 AM", ""), "2020-07-01T07:37:18.0000000Z");
        assert_eq!(read(None, "07/01/2020 07:37:18", ""), "2020-01-07T07:37:18.0000000Z");
        assert_eq!(
            read(Some(DateOrder::MonthFirst), "07/01/2020 07:37:18", ""),
            "2020-07-01T07:37:18.0000000Z"
        );
    }

    #[test]
    fn a_month_above_twelve_says_the_order_from_then_on() {
        let mut clock = Clock::new(None, 0, 0);
        clock.time("07:37:18", "07/31/2020 07:37:18").unwrap();
        let next = clock.time("00:00:01", "08/01/2020 00:00:01").unwrap().unwrap();
        assert_eq!(format(next).unwrap(), "2020-08-01T00:00:01.0000000Z");
    }

    #[test]
    fn times_of_day_alone_go_on_past_midnight() {
        let mut clock = Clock::new(None, 60, 1);
        let mut time = |text| format(clock.time(text, "").unwrap().unwrap()).unwrap();
        assert_eq!(time("23:59:59.9"), "1601-01-02T22:59:59.9000000Z");
        assert_eq!(time("00:00:00.1"), "1601-01-02T23:00:00.1000000Z");
        assert_eq!(time("23:59:59.95"), "1601-01-02T22:59:59.9500000Z");
        assert_eq!(time("00:00:00.2"), "1601-01-02T23:00:00.2000000Z");
        assert_eq!(time("08:00:00"), "1601-01-03T07:00:00.0000000Z");
    }
}
