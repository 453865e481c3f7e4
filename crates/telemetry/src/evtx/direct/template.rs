//! What of an event stands where in a template: learnt from its definition.
//!
//! Only the form that events of Windows have is understood, and of it only what a record is made of:
//!
//! ```text
//!   Event ── System ── Provider (Name), EventID, TimeCreated (SystemTime), Channel, Computer
//!        └── EventData or UserData ── Data (Name)
//! ```
//!
//! where the second part is there, or is a template of its own that stands in for a value.

use super::cursor::{Cursor, Name, is_of_name};
use crate::fields::Field;
use crate::json::shape::{Meaning, Place, meaning};

/// Longer ones, and ones of more elements, are no form that is known.
const LONGEST: usize = 16 << 10;
const ELEMENTS: usize = 256;
const DEEPEST: usize = 16;
/// The element stands there whatever the values are.
const ALWAYS: u16 = 0xFFFF;

/// What a template is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An event.
    Event,
    /// The event's own fields.
    Data,
    /// Nothing that a record is made of.
    Other,
}

/// What stands at a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Text(String),
    /// The value of this number.
    Value(u16),
}

/// A template, as far as a record is made of it.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) kind: Kind,
    /// The fields, each once: those about the event first.
    pub(super) fields: Vec<(Field, u8, Content)>,
    /// The value in whose place the event's own fields are.
    pub(super) inner: Option<u16>,
    /// Whether they stand here.
    pub(super) has_data: bool,
    /// The values without which all of this is left out.
    pub(super) needed: Vec<u16>,
    /// How many values it takes.
    pub(super) values: usize,
}

impl Template {
    /// Learns the template at `offset`; `None` where it has another form.
    pub(super) fn learn(chunk: &[u8], offset: usize) -> Option<Self> {
        let mut cursor = Cursor::new(chunk, offset);
        cursor.take(4 + 16)?;
        let length = cursor.size().filter(|length| *length <= LONGEST)?;
        let end = cursor.at + length;
        chunk.get(cursor.at..end)?;
        let mut learner = Learner::default();
        while cursor.at < end {
            match cursor.u8()? {
                0x00 => break,
                token @ (0x01 | 0x41) => {
                    let condition = cursor.u16()?;
                    cursor.take(4)?;
                    let name = cursor.name()?;
                    if token == 0x41 {
                        cursor.take(4)?;
                    }
                    learner.open(&name, condition)?;
                }
                0x02 => learner.attributes_end()?,
                0x03 => {
                    learner.attributes_end()?;
                    learner.close()?;
                }
                0x04 => learner.close()?,
                // Only text stands in real ones.
                0x05 | 0x45 if cursor.u8()? == 0x01 => learner.content(Content::Text(cursor.text()?))?,
                0x06 | 0x46 => learner.attribute(&cursor.name()?)?,
                0x0D | 0x0E => {
                    let value = cursor.u16()?;
                    matches!(cursor.u8()?, 0x00..=0x15 | 0x21 | 0x81..=0x95).then_some(())?;
                    learner.content(Content::Value(value))?;
                }
                0x0F => {
                    cursor.take(3)?;
                }
                _ => return None,
            }
        }
        if cursor.at > end { None } else { learner.finish() }
    }
}

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Event,
    System,
    /// `EventData` and `UserData`.
    Container,
    Data,
    /// One of `System` that means something.
    Known(Meaning),
    Ignored,
}

/// What an attribute is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribute {
    Field(Field, u8),
    /// The name of `Data`.
    Name,
    Ignored,
}

/// An element that is open.
#[derive(Debug)]
struct Element {
    role: Role,
    /// The value without which it is left out, or [`ALWAYS`].
    condition: u16,
    /// The last attribute, as long as nothing but attributes was read.
    attribute: Option<Attribute>,
    has_attributes: bool,
    name: Option<String>,
    content: Option<Content>,
}

#[derive(Debug, Default)]
struct Learner {
    kind: Option<Kind>,
    open: Vec<Element>,
    /// Whether the innermost element may still get attributes.
    opening: bool,
    elements: usize,
    fields: Vec<(Field, u8, Content)>,
    inner: Option<u16>,
    has_system: bool,
    has_data: bool,
    needed: Vec<u16>,
    values: usize,
}

impl Learner {
    fn open(&mut self, name: &Name, condition: u16) -> Option<()> {
        self.elements += 1;
        if self.opening || self.elements > ELEMENTS || self.open.len() >= DEEPEST {
            return None;
        }
        let role = self.role(name.as_str())?;
        if condition != ALWAYS {
            self.use_value(condition);
            if matches!(role, Role::Event | Role::System | Role::Container) {
                self.needed.push(condition);
            }
        }
        self.opening = true;
        self.open.push(Element {
            role,
            condition,
            attribute: None,
            has_attributes: false,
            name: None,
            content: None,
        });
        Some(())
    }

    fn role(&mut self, name: &str) -> Option<Role> {
        let container = matches!(name, "EventData" | "UserData");
        let or_ignored = |place| meaning(place, name).is_none().then_some(Role::Ignored);
        match self.open.last().map(|parent| parent.role) {
            None => {
                let (kind, role) = match name {
                    "Event" => (Kind::Event, Role::Event),
                    _ if container => (Kind::Data, Role::Container),
                    _ => (Kind::Other, or_ignored(Place::Event)?),
                };
                self.has_data = container;
                self.kind.replace(kind).is_none().then_some(role)
            }
            Some(Role::Event) if name == "System" => {
                (!std::mem::replace(&mut self.has_system, true)).then_some(Role::System)
            }
            Some(Role::Event) if container => {
                (!std::mem::replace(&mut self.has_data, true)).then_some(Role::Container)
            }
            Some(Role::Event) => or_ignored(Place::Event),
            Some(Role::System) => Some(match meaning(Place::System, name) {
                meaning if meaning.is_none() => Role::Ignored,
                meaning => Role::Known(meaning),
            }),
            Some(Role::Container) if name == "Data" => Some(Role::Data),
            Some(Role::Container) => or_ignored(Place::Data),
            Some(Role::Ignored) => Some(Role::Ignored),
            Some(Role::Data | Role::Known(_)) => None,
        }
    }

    fn attribute(&mut self, name: &Name) -> Option<()> {
        let element = self.open.last_mut().filter(|_| self.opening)?;
        let attribute = match element.role {
            Role::Known(known) => match meaning(known.into?, name.as_str()).field {
                Some((field, rank)) => Attribute::Field(field, rank),
                None => Attribute::Ignored,
            },
            Role::Data if name.as_str() == "Name" && !element.has_attributes => Attribute::Name,
            Role::Data => return None,
            _ => Attribute::Ignored,
        };
        element.attribute = Some(attribute);
        element.has_attributes = true;
        Some(())
    }

    fn attributes_end(&mut self) -> Option<()> {
        std::mem::take(&mut self.opening).then_some(())
    }

    fn content(&mut self, content: Content) -> Option<()> {
        if let Content::Value(value) = content {
            self.use_value(value);
        }
        let element = self.open.last_mut()?;
        if self.opening {
            match element.attribute? {
                Attribute::Ignored => {}
                Attribute::Name => {
                    let Content::Text(name) = content else { return None };
                    name.bytes().all(is_of_name).then_some(())?;
                    element.name.replace(name).is_none().then_some(())?;
                }
                Attribute::Field(..) if element.condition != ALWAYS => return None,
                Attribute::Field(field, rank) => self.field(field, rank, content)?,
            }
            return Some(());
        }
        match (element.role, content) {
            (Role::Ignored, _) => Some(()),
            (Role::Data | Role::Known(_), content) => {
                element.content.replace(content).is_none().then_some(())
            }
            (Role::Event, Content::Value(value)) => self.inner.replace(value).is_none().then_some(()),
            _ => None,
        }
    }

    fn close(&mut self) -> Option<()> {
        if self.opening {
            return None;
        }
        let element = self.open.pop()?;
        let field = match element.role {
            Role::Data => match &element.name {
                Some(name) if name.is_empty() => return None,
                Some(name) => meaning(Place::Data, name).field,
                None if element.has_attributes => return None,
                None => None,
            },
            // Where all attributes have no value, it is written as if it had none.
            Role::Known(known) if element.has_attributes && element.content.is_some() => {
                let within = meaning(known.into?, "#text").field;
                (within == known.field).then_some(within)?
            }
            Role::Known(known) => known.field,
            _ => None,
        };
        let (Some((field, rank)), Some(content)) = (field, element.content) else { return Some(()) };
        if element.condition != ALWAYS && content != Content::Value(element.condition) {
            return None;
        }
        self.field(field, rank, content)
    }

    fn field(&mut self, field: Field, rank: u8, content: Content) -> Option<()> {
        let known = self.fields.iter().any(|(other, ..)| *other == field);
        self.fields.push((field, rank, content));
        (!known).then_some(())
    }

    fn use_value(&mut self, value: u16) {
        self.values = self.values.max(usize::from(value) + 1);
    }

    fn finish(mut self) -> Option<Template> {
        if !self.open.is_empty() {
            return None;
        }
        self.fields.sort_by_key(|(field, ..)| !field.is_of_event());
        Some(Template {
            kind: self.kind?,
            fields: self.fields,
            inner: self.inner,
            has_data: self.has_data,
            needed: self.needed,
            values: self.values,
        })
    }
}
