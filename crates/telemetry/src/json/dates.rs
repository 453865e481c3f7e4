//! Dates as people write them: `10/22/2020 3:45:12 PM`, `22.10.2020 15:45:12`.
//!
//! Which of the first two numbers is the month is not known where neither is above 12. A date with dots has the day first.
//! One with slashes is read as the dates of the same text are that leave no doubt; before any of those the record counts as
//! one without a time, which is counted.

use std::borrow::Cow;

use event::Time;

use crate::civil::{self, DAY, Date};
use crate::fields::{Field, Fields, Value};
use crate::procmon::csv::time_of_day;

/// How the dates of a text are written, as far as that is known.
#[derive(Debug, Default)]
pub(super) struct Dates {
    day_first: Option<bool>,
}

impl Dates {
    /// Makes the moment of an event one that leaves no doubt, where that can be done.
    pub(super) fn settle(&mut self, fields: &mut Fields<'_>) {
        if fields.has(Field::UtcTime) {
            return;
        }
        let Some(text) = fields.text(Field::Time) else { return };
        let Some(moment) = self.read(text.trim()).and_then(civil::format) else { return };
        fields.drop(Field::Time);
        fields.set(Field::Time, 0, Value::Text(Cow::Owned(moment)));
    }

    fn read(&mut self, text: &str) -> Option<Time> {
        let (date, clock) = text.split_once([' ', ','])?;
        let mark = date.chars().find(|c| !c.is_ascii_digit()).filter(|c| matches!(c, '/' | '.'))?;
        let mut numbers = date.split(mark);
        let (one, two, three) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let number = |digits: &str, most| -> Option<i64> {
            let fits = (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            fits.then(|| digits.parse().ok())?
        };
        if numbers.next().is_some() {
            return None;
        }
        let date = if one.len() == 4 {
            Date::new(number(one, 4)?, number(two, 2)?, number(three, 2)?)?
        } else {
            let (one, two) = (number(one, 2)?, number(two, 2)?);
            // A year of two digits could be the day.
            let year = number(three, 4).filter(|_| three.len() == 4)?;
            let day_first = match (one > 12, two > 12) {
                _ if mark == '.' => true,
                (true, _) => *self.day_first.insert(true),
                (_, true) => *self.day_first.insert(false),
                _ if one == two => true,
                _ => self.day_first?,
            };
            let (day, month) = if day_first { (one, two) } else { (two, one) };
            Date::new(year, month, day)?
        };
        let ticks = time_of_day(clock)?;
        (date.year >= 1601).then(|| Time(date.days() * DAY + ticks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_where_it_leaves_no_doubt() {
        let read = |dates: &mut Dates, text: &str| dates.read(text).and_then(civil::format);
        let afternoon = Some("2020-10-22T15:45:12.0000000Z".to_owned());
        for text in [
            "10/22/2020 3:45:12 PM",
            "10/22/2020 03:45:12.000 PM",
            "22/10/2020 15:45:12",
            "22.10.2020 15:45:12",
            "22.10.2020, 15:45:12",
            "2020/10/22 15:45:12",
        ] {
            assert_eq!(read(&mut Dates::default(), text), afternoon, "{text}");
        }
        let precise = read(&mut Dates::default(), "10/22/2020 3:45:12.123 PM");
        assert_eq!(precise, Some("2020-10-22T15:45:12.1230000Z".to_owned()));
        for text in [
            "10/22/20 3:45:12 PM",
            "13/13/2020 1:00:00",
            "10/22/2020",
            "1/2/3/2020 1:00:00",
            "a b",
            "10-22-2020 1:00:00",
        ] {
            assert_eq!(read(&mut Dates::default(), text), None, "{text}");
        }
    }

    #[test]
    fn what_is_in_doubt_is_as_what_is_not() {
        let mut dates = Dates::default();
        let mut read =
            |text: &str| dates.read(text).and_then(civil::format).map(|text| text[..10].to_owned());
        assert_eq!(read("10/11/2020 1:00:00 AM"), None);
        assert_eq!(read("11/11/2020 1:00:00 AM"), Some("2020-11-11".into()));
        assert_eq!(read("10/11/2020 1:00:00 AM"), None);
        assert_eq!(read("10/13/2020 1:00:00 AM"), Some("2020-10-13".into()));
        assert_eq!(read("10/11/2020 1:00:00 AM"), Some("2020-10-11".into()));
        assert_eq!(read("13/10/2020 1:00:00 AM"), Some("2020-10-13".into()));
        assert_eq!(read("10/11/2020 1:00:00 AM"), Some("2020-11-10".into()));
    }
}
