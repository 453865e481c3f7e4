//! Moments as logs write them.
//!
//! One without a zone is taken as UTC, which is what Sysmon and the event log write; a log of local times is shifted as a
//! whole and stays in order.

use event::Time;

use crate::civil::{Date, SECOND};

/// 100 ns units from 1601 to 1970.
const UNIX_EPOCH: i64 = 116_444_736_000_000_000;

/// `2020-10-23 16:58:01.123`, ISO 8601 with or without a zone, `/Date(1603472281123)/`, or a number since 1970.
pub fn parse(text: &str) -> Option<Time> {
    let text = text.trim();
    if let Some(millis) = text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/")) {
        return of_date(millis);
    }
    calendar(text.as_bytes()).or_else(|| since_1970(text))
}

/// Milliseconds since 1970, before or after; a zone behind them only says where they were shown.
fn of_date(text: &str) -> Option<Time> {
    let zone =
        text.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-')).map_or(text.len(), |(at, _)| at);
    let (text, sign) = text[..zone].strip_prefix('-').map_or((&text[..zone], 1), |rest| (rest, -1));
    let ticks = number(text.as_bytes())?.checked_mul(sign * SECOND / 1_000)?;
    Some(Time(ticks.checked_add(UNIX_EPOCH)?))
}

/// A date and a time of day, at a zone.
fn calendar(text: &[u8]) -> Option<Time> {
    let (date, rest) = text.split_at_checked(10)?;
    if date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    let days = days(number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?)?;
    let (b'T' | b't' | b' ', rest) = rest.split_first().map(|(first, rest)| (*first, rest))? else {
        return None;
    };
    let (clock, rest) = rest.split_at_checked(8)?;
    if clock[2] != b':' || clock[5] != b':' {
        return None;
    }
    let (hour, minute, second) = (number(&clock[..2])?, number(&clock[3..5])?, number(&clock[6..])?);
    // A leap second is the last of its minute.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (ticks, rest) = fraction(rest)?;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second.min(59) - zone(rest)?;
    Some(Time(seconds * SECOND + ticks))
}

/// A fraction of a second, if there is one, to the 100 ns that NT keeps.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.' | b',', digits)) = text.split_first() else { return Some((0, text)) };
    let length = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at(length);
    let kept = &digits[..length.min(7)];
    let scale = 10_i64.pow(7 - u32::try_from(kept.len()).ok()?);
    (length > 0).then_some(())?;
    Some((number(kept)? * scale, rest))
}

/// Seconds east of Greenwich.
fn zone(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let (sign, rest) = match text.split_first() {
        None => return Some(0),
        Some((b'Z' | b'z', [])) => return Some(0),
        Some((b'+', rest)) => (1, rest),
        Some((b'-', rest)) => (-1, rest),
        Some(_) => {
            return (text.eq_ignore_ascii_case(b"utc") || text.eq_ignore_ascii_case(b"gmt")).then_some(0);
        }
    };
    let (hours, minutes) = match rest {
        [_, _] => (rest, &b"00"[..]),
        [_, _, b':', minutes @ ..] => (&rest[..2], minutes),
        [_, _, minutes @ ..] => (&rest[..2], minutes),
        _ => return None,
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours <= 14 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Digits and nothing else.
fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

/// Days from 1 January 1601, where NT's time begins.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    Some(Date::new(year, month, day).filter(|_| year >= 1601)?.days())
}

/// Seconds, with or without a fraction, or milli-, micro- or nanoseconds since 1970, or NT's own number: told apart by how
/// large they are, for any moment from 1973 (of nanoseconds, from 2001) to 2286.
pub(crate) fn since_1970(text: &str) -> Option<Time> {
    let (whole, fraction_text) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let whole = number(whole.as_bytes()).or_else(|| number19(whole))?;
    let (unit, scale) = match whole {
        100_000_000..10_000_000_000 => (SECOND, 1),
        100_000_000_000..10_000_000_000_000 => (SECOND / 1_000, 1),
        100_000_000_000_000..10_000_000_000_000_000 => (SECOND / 1_000_000, 1),
        UNIX_EPOCH..1_000_000_000_000_000_000 if fraction_text.is_none() => return Some(Time(whole)),
        1_000_000_000_000_000_000.. => (1, 100),
        _ => return None,
    };
    let ticks = match fraction_text {
        Some(digits) if unit == SECOND => {
            fraction(format!(".{digits}").as_bytes()).filter(|(_, rest)| rest.is_empty())?.0
        }
        // Less than what NT keeps, or near to it.
        Some(digits) => number(digits.get(..1)?.as_bytes()).map(|_| 0)?,
        None => 0,
    };
    Some(Time((whole / scale).checked_mul(unit)?.checked_add(UNIX_EPOCH)?.checked_add(ticks)?))
}

/// Nanoseconds since 1970 have 19 digits.
fn number19(text: &str) -> Option<i64> {
    (text.len() == 19).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_one_moment_is_that_moment() {
        let moment = Time::from_unix_nanos(1_603_472_281_123_000_000);
        for text in [
            "2020-10-23 16:58:01.123",
            "2020-10-23T16:58:01.123Z",
            "2020-10-23T16:58:01.1230000Z",
            "2020-10-23T16:58:01.123000000Z",
            "2020-10-23T16:58:01.123",
            "2020-10-23T18:58:01.123+02:00",
            "2020-10-23T11:28:01,123-0530",
            "2020-10-23T09:58:01.123-07",
            "2020-10-23 16:58:01.123 UTC",
            "/Date(1603472281123)/",
            "1603472281123",
            "1603472281.123",
            "1603472281123000",
            "1603472281123000000",
            "132479458811230000",
            "/Date(1603472281123+0200)/",
            "/Date(1603472281123-0700)/",
        ] {
            assert_eq!(parse(text), Some(moment), "{text}");
        }
        assert_eq!(parse("2020-10-23T16:58:01.1230009Z"), Some(Time(moment.0 + 9)));
        assert_eq!(parse("2020-10-23T16:58:01.12300099Z"), Some(Time(moment.0 + 9)));
        assert_eq!(parse("/Date(-1000)/"), Some(Time::from_unix_nanos(-1_000_000_000)));
        assert_eq!(parse("1601-01-01T00:00:00Z"), Some(Time(0)));
        assert_eq!(parse("1970-01-01 00:00:00"), Some(Time::from_unix_nanos(0)));
        assert_eq!(
            parse("2000-03-01 00:00:00").unwrap().0 - parse("2000-02-28 00:00:00").unwrap().0,
            2 * 86_400 * SECOND
        );
        assert_eq!(
            parse("2100-03-01 00:00:00").unwrap().0 - parse("2100-02-28 00:00:00").unwrap().0,
            86_400 * SECOND
        );
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "",
            "-",
            "now",
            "2020-10-23",
            "2020-13-01 00:00:00",
            "2021-02-29 00:00:00",
            "2020-10-23 24:00:00",
            "2020-10-23T16:58",
            "2020-10-23T16:58:01.Z",
            "2020-10-23T16:58:01+99:00",
            "2020-10-23T16:58:01é",
            "1600-12-31 00:00:00",
            "12",
            "9999999999999999999999",
            "/Date()/",
            "/Date(-)/",
            "/Date(+1)/",
            "/Date(9223372036854775807)/",
            "1603472281.x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
