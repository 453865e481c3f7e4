//! One event of JSON, read for the fields that records are made of; all else is passed over without being kept.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::keys::Keys;
use super::shape::{Meaning, OF_EVENT_LOG, OF_POWERSHELL, Place, named};
use super::{packed, positions};
use crate::fields::{Field, Fields, Value};

/// What was read of an event.
#[derive(Debug, Default)]
pub(crate) struct Event<'a> {
    pub(crate) fields: Fields<'a>,
    /// Texts that hold more of the event.
    packed: Vec<(Place, Cow<'a, str>)>,
    /// Values by their places.
    places: Vec<Option<String>>,
    /// The message: read only when it is asked for, as it is most of an event and seldom needed.
    message: Message<'a>,
    /// What keys mean, lent while it is read.
    keys: Keys,
}

#[derive(Debug, Default)]
enum Message<'a> {
    #[default]
    None,
    Passed,
    Wanted,
    Read(Cow<'a, str>),
}

/// Reads the first event of a text, and says how many bytes it took.
pub(crate) fn read<'a>(text: &'a [u8], keys: &mut Keys) -> Result<(Fields<'a>, usize), serde_json::Error> {
    let (event, length) = parse(text, Place::Top, Message::None, keys)?;
    let mut event = event;
    unpack(&mut event);
    if event.fields.rank(Field::EventId) == Some(OF_POWERSHELL) {
        // What PowerShell calls so is the process that wrote the log.
        event.fields.drop(Field::ProcessId);
    }
    if event.places.is_empty() && event.fields.rank(Field::RecordId) == Some(OF_EVENT_LOG) {
        // Others call so what they like.
        event.fields.drop(Field::RecordId);
    }
    if !event.places.is_empty() {
        positions::read(&event.places, &mut event.fields);
    }
    if matches!(event.message, Message::Passed) && lacks(&event.fields) {
        let (with_message, _) = parse(text, Place::Top, Message::Wanted, keys)?;
        if let Message::Read(message) = with_message.message {
            packed::lines(&message, &mut event.fields);
        }
    }
    Ok((event.fields, length))
}

/// Reads a text that stood as a string where its fields should have stood.
pub(super) fn read_packed(text: &str, place: Place, into: &mut Fields<'_>) {
    // What is packed in it again stays there.
    if let Ok((event, _)) = parse(text.as_bytes(), place, Message::None, &mut Keys::default()) {
        into.absorb(&event.fields);
    }
}

fn parse<'a>(
    text: &'a [u8],
    place: Place,
    message: Message<'a>,
    keys: &mut Keys,
) -> Result<(Event<'a>, usize), serde_json::Error> {
    let mut event = Event { message, keys: std::mem::take(keys), ..Event::default() };
    let mut json = serde_json::Deserializer::from_slice(text);
    let all = Meaning { into: Some(place), ..Meaning::NONE };
    let read = Node { event: &mut event, meaning: all }.deserialize(&mut json);
    *keys = std::mem::take(&mut event.keys);
    read?;
    let length = json.into_iter::<IgnoredAny>().byte_offset();
    Ok((event, length))
}

fn unpack(event: &mut Event<'_>) {
    for (place, text) in std::mem::take(&mut event.packed) {
        packed::read(&text, place, &mut event.fields);
    }
}

/// Whether an event lacks what its message may have: NXLog drops `ProcessId` for a field of its own, PowerShell all fields
/// that are too deep.
fn lacks(fields: &Fields<'_>) -> bool {
    match fields.number(Field::EventId) {
        Some(1 | 5 | 4689) => !fields.has(Field::ProcessId),
        Some(6) => !fields.has(Field::ImageLoaded),
        Some(7) => !fields.has(Field::ProcessId) || !fields.has(Field::ImageLoaded),
        Some(4688) => !fields.has(Field::NewProcessId),
        _ => false,
    }
}

/// Whatever stands at a key.
struct Node<'e, 'a> {
    event: &'e mut Event<'a>,
    meaning: Meaning,
}

impl<'a> Node<'_, 'a> {
    fn text(self, text: Cow<'a, str>) {
        if self.meaning.message {
            self.event.message = Message::Read(text);
        } else if let Some(place) = self.meaning.packed {
            self.event.packed.push((place, text));
        } else if let Some((field, rank)) = self.meaning.field {
            self.event.fields.set(field, rank, Value::Text(text));
        }
    }

    fn number(self, number: Option<i64>) {
        if let (Some((field, rank)), Some(number)) = (self.meaning.field, number) {
            self.event.fields.set(field, rank, Value::Number(number));
        }
    }
}

impl<'a> DeserializeSeed<'a> for Node<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Node<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<(), E> {
        self.text(Cow::Borrowed(text));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.text(Cow::Owned(text.to_owned()));
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.number(Some(number));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.number(i64::try_from(number).ok());
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        // The time of Splunk, in seconds and a fraction; no other field has one.
        self.text(Cow::Owned(format!("{number:.6}")));
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        match self.meaning.into {
            Some(Place::Item) => return item(self.event, map),
            Some(place) => {
                while let Some(meaning) = map.next_key_seed(Key(place, &mut self.event.keys))? {
                    if meaning.message && !matches!(self.event.message, Message::Wanted) {
                        self.event.message = Message::Passed;
                        map.next_value::<IgnoredAny>()?;
                    } else if meaning.is_none() {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        map.next_value_seed(Node { event: self.event, meaning })?;
                    }
                }
            }
            None => while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {},
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        if matches!(self.meaning.into, Some(Place::Data | Place::Item)) {
            let meaning = Meaning { into: Some(Place::Item), ..Meaning::NONE };
            while list.next_element_seed(Node { event: self.event, meaning })?.is_some() {}
            return Ok(());
        }
        if self.meaning.into == Some(Place::Places) {
            while let Some(Positional(value)) = list.next_element()? {
                if self.event.places.len() < positions::MOST {
                    self.event.places.push(value);
                }
            }
            return Ok(());
        }
        // Elasticsearch gives each field as a list of its values.
        list.next_element_seed(self)?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// An object of a name and a value: `{"@Name": "ProcessId", "#text": "4"}`.
fn item<'a, A: MapAccess<'a>>(event: &mut Event<'a>, mut map: A) -> Result<(), A::Error> {
    let (mut name, mut value) = (None, None);
    while let Some(key) = map.next_key::<Text>()? {
        match key.0.trim_start_matches(['@', '#']) {
            "Name" | "name" => name = map.next_value::<Option<Text>>()?,
            "text" | "Text" | "value" | "Value" => value = map.next_value::<Option<Text>>()?,
            "attributes" => name = map.next_value::<Attributes>()?.name,
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }
    if let (Some(name), Some(value)) = (name, value)
        && let Some((field, rank)) = named(&name.0, 0).field
    {
        event.fields.set(field, rank, Value::Text(Cow::Owned(value.0)));
    }
    Ok(())
}

/// A text, or a number or anything else as text.
#[derive(Debug)]
struct Text(String);

impl<'a> serde::Deserialize<'a> for Text {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Self, D::Error> {
        let mut event = Event::default();
        let meaning = Meaning { field: Some((Field::Image, 0)), ..Meaning::NONE };
        Node { event: &mut event, meaning }.deserialize(from)?;
        Ok(Self(event.fields.owned(Field::Image).unwrap_or_default()))
    }
}

/// A value of which only its place is known: by itself, or as `{"Value": …}`. One that is no text or number has its place.
struct Positional(Option<String>);

impl<'a> serde::Deserialize<'a> for Positional {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Value {
            Text(String),
            Number(i64),
            Object {
                #[serde(rename = "Value")]
                value: Option<Box<Value>>,
            },
            Other(IgnoredAny),
        }
        Ok(Self(match Option::<Value>::deserialize(from)? {
            Some(Value::Text(text)) => Some(text),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(Value::Object { value: Some(value) }) => match *value {
                Value::Text(text) => Some(text),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            },
            _ => None,
        }))
    }
}

#[derive(serde::Deserialize)]
struct Attributes {
    #[serde(rename = "Name")]
    name: Option<Text>,
}

/// A key, as what it means at its place.
struct Key<'k>(Place, &'k mut Keys);

impl<'a> DeserializeSeed<'a> for Key<'_> {
    type Value = Meaning;

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<Meaning, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Meaning;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Meaning, E> {
        Ok(self.1.meaning(self.0, key))
    }
}
