//! What is put into a template.

use std::ops::Range;

use event::Time;

use super::cursor::{Cursor, decode};
use super::template::Template;
use crate::fields::Value;

/// Moments that are written with a year of four digits: up to the end of the year 9999.
const LAST: u64 = 2_650_467_743_999_999_999;

/// Where the values of an instance are.
#[derive(Debug, Default)]
pub(super) struct Values(Vec<Place>);

#[derive(Clone, Copy, Debug)]
struct Place {
    kind: u8,
    at: usize,
    length: usize,
}

/// A template's values, and which template that is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instance {
    pub(super) template: usize,
    count: usize,
    /// What says of each value what it is.
    kinds: usize,
}

impl Instance {
    /// Reads the head of what stands in `stream`; `None` where that is not one instance.
    pub(super) fn read(chunk: &[u8], stream: Range<usize>) -> Option<Self> {
        let begin = match chunk.get(stream.clone())? {
            [0x0F, _, _, _, 0x0C, _, ..] => 5,
            [0x0C, ..] => 1,
            _ => return None,
        };
        let mut cursor = Cursor::new(chunk, stream.start + begin);
        cursor.take(1 + 4)?;
        let template = cursor.size()?;
        if template == cursor.at {
            // It stands where it is used first.
            cursor.take(4 + 16)?;
            let length = cursor.size()?;
            cursor.take(length)?;
        }
        let count = cursor.size()?;
        Some(Self { template, count, kinds: cursor.at })
    }
}

impl Values {
    /// Finds the values of an instance. `inner` is the one that may be an instance itself; where it is, answers where that
    /// stands. `None` where one has another form than its kind's, or where they are not all that stands in `stream`.
    pub(super) fn find(
        &mut self,
        chunk: &[u8],
        stream: Range<usize>,
        instance: Instance,
        inner: Option<u16>,
    ) -> Option<Option<Range<usize>>> {
        self.0.clear();
        let kinds = instance.count.checked_mul(4)?;
        let mut cursor = Cursor::new(chunk, instance.kinds);
        let kinds = cursor.take(kinds)?;
        let mut found = None;
        for (number, &[low, high, kind, _]) in kinds.as_chunks::<4>().0.iter().enumerate() {
            let length = usize::from(u16::from_le_bytes([low, high]));
            let at = cursor.at;
            let bytes = cursor.take(length)?;
            let whole = match kind {
                // Nothing, and bytes.
                0x00 | 0x0E => true,
                0x01 => length.is_multiple_of(2),
                0x02 => bytes.is_ascii(),
                0x03 | 0x04 => length == 1,
                0x05 | 0x06 => length == 2,
                0x07 | 0x08 | 0x0D | 0x14 => length == 4,
                0x09 | 0x0A | 0x11 | 0x15 => length == 8,
                0x0F | 0x12 => length == 16,
                0x10 => matches!(length, 4 | 8),
                // A SID says itself how long it is.
                0x13 => bytes.get(1).is_some_and(|count| length == 8 + 4 * usize::from(*count)),
                0x21 if length == 0 => true,
                0x21 if inner.map(usize::from) == Some(number) => {
                    found = Some(at..at + length);
                    true
                }
                _ => false,
            };
            if !whole {
                return None;
            }
            self.0.push(Place { kind, at, length });
        }
        let rest = chunk.get(cursor.at..stream.end)?;
        matches!(rest, [] | [0, ..]).then_some(found)
    }

    /// Whether these are the values that a template takes.
    pub(super) fn fit(&self, template: &Template) -> bool {
        let there = |number: &u16| {
            let place = self.0.get(usize::from(*number));
            place.is_some_and(|place| place.kind != 0x00 && (place.kind != 0x21 || place.length > 0))
        };
        template.values <= self.0.len() && template.needed.iter().all(there)
    }

    /// Whether there is nothing at a number.
    pub(super) fn is_nothing(&self, number: u16) -> bool {
        self.0.get(usize::from(number)).is_none_or(|place| place.kind == 0x00 || place.length == 0)
    }

    /// A value, as far as its kind is one that fields have; its text goes to the end of `text`.
    pub(super) fn read(&self, chunk: &[u8], number: u16, text: &mut Vec<u8>) -> Option<Read> {
        let Place { kind, at, length } = *self.0.get(usize::from(number))?;
        let bytes = chunk.get(at..at + length)?;
        let mut cursor = Cursor::new(bytes, 0);
        let from = text.len();
        Some(match kind {
            0x00 => Read::Nothing,
            0x01 => {
                decode(bytes, text)?;
                Read::Text(from..text.len())
            }
            0x04 => Read::Number(cursor.u8()?.into()),
            0x06 => Read::Number(cursor.u16()?.into()),
            0x07 => Read::Number(cursor.u32()?.cast_signed().into()),
            0x08 => Read::Number(cursor.u32()?.into()),
            0x09 => Read::Number(cursor.u64()?.cast_signed()),
            0x0A => Read::Number(i64::try_from(cursor.u64()?).ok()?),
            0x0F => {
                guid(bytes, text)?;
                Read::Text(from..text.len())
            }
            0x11 => Read::Time(Time(cursor.u64().filter(|time| *time <= LAST)?.try_into().ok()?)),
            0x14 | 0x15 => {
                let number = if kind == 0x14 { cursor.u32()?.into() } else { cursor.u64()? };
                hexadecimal(number, text);
                Read::Text(from..text.len())
            }
            _ => return None,
        })
    }
}

/// A value that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Nothing,
    /// The part of the text that it is.
    Text(Range<usize>),
    Number(i64),
    Time(Time),
}

impl Read {
    /// As the value of a field.
    pub(super) fn value(self, text: &[u8]) -> Option<Value<'_>> {
        match self {
            Self::Nothing => None,
            Self::Text(range) => Some(Value::Text(str::from_utf8(text.get(range)?).ok()?.into())),
            Self::Number(number) => Some(Value::Number(number)),
            Self::Time(time) => Some(Value::Time(time)),
        }
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn digit(value: u64) -> u8 {
    DIGITS[usize::try_from(value & 15).unwrap_or(0)]
}

/// `{00112233-4455-6677-8899-aabbccddeeff}`.
fn guid(bytes: &[u8], text: &mut Vec<u8>) -> Option<()> {
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let places = [1, 3, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27, 29, 31, 33, 35];
    let mut written = [b'-'; 38];
    (written[0], written[37]) = (b'{', b'}');
    for (at, place) in order.into_iter().zip(places) {
        let byte = u64::from(*bytes.get(at)?);
        written[place..place + 2].copy_from_slice(&[digit(byte >> 4), digit(byte)]);
    }
    text.extend_from_slice(&written);
    Some(())
}

/// `0x1a4`.
fn hexadecimal(number: u64, text: &mut Vec<u8>) {
    text.extend(b"0x");
    let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
    text.extend((0..digits).rev().map(|place| digit(number >> (4 * place))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_guids_are_written_as_windows_does() {
        for number in [0, 1, 0xF, 0x10, 0x1A4, 0x32E8, u64::from(u32::MAX), u64::MAX] {
            let mut text = Vec::new();
            hexadecimal(number, &mut text);
            assert_eq!(text, format!("{number:#x}").as_bytes());
        }
        let mut text = Vec::new();
        let bytes: Vec<u8> = (0..16).collect();
        guid(&bytes, &mut text).unwrap();
        assert_eq!(text, b"{03020100-0504-0706-0809-0a0b0c0d0e0f}");
    }
}
