//! The named fields of one Windows event, whatever they were read from.

use std::borrow::Cow;

use crate::Unique;

/// A field that some record is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    // About the event.
    Provider,
    Channel,
    EventId,
    Computer,
    RecordId,
    Time,
    // Of the event: the names are those of Sysmon's and the security log's own fields.
    UtcTime,
    ProcessGuid,
    ProcessId,
    Image,
    CommandLine,
    ParentProcessGuid,
    ParentProcessId,
    ParentImage,
    ImageLoaded,
    NewProcessId,
    NewProcessName,
    ParentProcessName,
    ProcessName,
    Status,
}

impl Field {
    const COUNT: usize = Self::Status as usize + 1;

    /// Whether it is about the event itself, which every event has, whoever wrote it.
    pub(crate) const fn is_of_event(self) -> bool {
        (self as usize) <= Self::Time as usize
    }
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    Number(i64),
    /// A moment, where it need not be written out and read again.
    Time(event::Time),
}

/// The fields of a record. Of several that are the same field, the one whose name says so best is kept.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    slots: [Option<(u8, Value<'a>)>; Field::COUNT],
}

impl<'a> Fields<'a> {
    /// Sets a field that stands at a place of this rank: 0 is best, and the first of equals stays. `-` and nothing at all
    /// is how Windows writes that it does not know.
    pub(crate) fn set(&mut self, field: Field, rank: u8, value: Value<'a>) {
        let unknown = matches!(&value, Value::Text(text) if matches!(text.as_ref(), "" | "-"));
        let slot = &mut self.slots[field as usize];
        if !unknown && slot.as_ref().is_none_or(|(present, _)| rank < *present) {
            *slot = Some((rank, value));
        }
    }

    /// Takes the fields of another, which may not live as long, each at its rank.
    pub(crate) fn absorb(&mut self, other: &Fields<'_>) {
        for (mine, slot) in self.slots.iter_mut().zip(&other.slots) {
            let Some((rank, value)) = slot else { continue };
            if mine.as_ref().is_none_or(|(present, _)| rank < present) {
                let value = match value {
                    Value::Text(text) => Value::Text(Cow::Owned(text.clone().into_owned())),
                    Value::Number(number) => Value::Number(*number),
                    Value::Time(time) => Value::Time(*time),
                };
                *mine = Some((*rank, value));
            }
        }
    }

    pub(crate) fn has(&self, field: Field) -> bool {
        self.slots[field as usize].is_some()
    }

    /// The rank of the place that a field was taken from.
    pub(crate) fn rank(&self, field: Field) -> Option<u8> {
        self.slots[field as usize].as_ref().map(|(rank, _)| *rank)
    }

    /// Drops a field: what stands at its name is not what it is of.
    pub(crate) fn drop(&mut self, field: Field) {
        self.slots[field as usize] = None;
    }

    fn value(&self, field: Field) -> Option<&Value<'a>> {
        self.slots[field as usize].as_ref().map(|(_, value)| value)
    }

    /// A field as text. A moment has none.
    pub(crate) fn text(&self, field: Field) -> Option<Cow<'_, str>> {
        Some(match self.value(field)? {
            Value::Text(text) => Cow::Borrowed(text.as_ref()),
            Value::Number(number) => Cow::Owned(number.to_string()),
            Value::Time(_) => return None,
        })
    }

    /// A field as text of its own.
    pub(crate) fn owned(&self, field: Field) -> Option<String> {
        self.text(field).map(Cow::into_owned)
    }

    /// A field as a number, written in decimal or, with `0x`, in hexadecimal.
    pub(crate) fn number(&self, field: Field) -> Option<i64> {
        match self.value(field)? {
            Value::Number(number) => Some(*number),
            Value::Text(text) => number(text),
            Value::Time(_) => None,
        }
    }

    /// A field as an id of 32 bits.
    pub(crate) fn id(&self, field: Field) -> Option<u32> {
        u32::try_from(self.number(field)?).ok()
    }

    /// A field as a status: 32 bits, which some write as a signed number.
    pub(crate) fn status(&self, field: Field) -> Option<u32> {
        let number = self.number(field)?;
        u32::try_from(number).ok().or_else(|| i32::try_from(number).ok().map(i32::cast_unsigned))
    }

    /// A field as a GUID. One of zeroes stands for none.
    pub(crate) fn guid(&self, field: Field) -> Option<Unique> {
        Unique::guid(&self.text(field)?)
    }

    /// A field as a moment.
    pub(crate) fn time(&self, field: Field) -> Option<event::Time> {
        match self.value(field)? {
            Value::Time(time) => Some(*time),
            _ => crate::time::parse(&self.text(field)?),
        }
    }
}

fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // `from_str_radix` takes a sign, which has no business here.
        Some(digits) if digits.starts_with(['+', '-']) => None,
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None if text.starts_with('+') => None,
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(field: Field, text: &str) -> Fields<'_> {
        let mut fields = Fields::default();
        fields.set(field, 0, Value::Text(text.into()));
        fields
    }

    #[test]
    fn ids_are_read_in_both_bases_and_only_where_they_fit() {
        let id = |text| of(Field::ProcessId, text).id(Field::ProcessId);
        assert_eq!(id("0x1a4"), Some(420));
        assert_eq!(id("0x00000000000032E8"), Some(13_032));
        assert_eq!(id(" 420 "), Some(420));
        assert_eq!(id("4294967295"), Some(u32::MAX));
        for bad in ["4294967296", "-1", "0x", "0x-1", "+1", "1a4", "", "-", "0x10000000000000000"] {
            assert_eq!(id(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_status_may_be_signed() {
        let status = |text| of(Field::Status, text).status(Field::Status);
        assert_eq!(status("0xc0000005"), Some(0xC000_0005));
        assert_eq!(status("-1073741819"), Some(0xC000_0005));
        assert_eq!(status("-2147483649"), None);
    }

    #[test]
    fn the_better_place_wins_and_nothing_is_no_value() {
        let mut fields = Fields::default();
        fields.set(Field::ProcessId, 2, Value::Number(2));
        fields.set(Field::ProcessId, 1, Value::Text("-".into()));
        assert_eq!(fields.number(Field::ProcessId), Some(2));
        fields.set(Field::ProcessId, 1, Value::Number(1));
        fields.set(Field::ProcessId, 1, Value::Number(3));
        assert_eq!(fields.number(Field::ProcessId), Some(1));
    }
}
