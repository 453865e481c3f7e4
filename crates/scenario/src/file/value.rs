//! Single values: statuses, bytes, registry values, durations, patterns.

use std::time::Duration;

use bench::PowerState;
use nt_abi::{ALL_STATUSES, NTSTATUS, Profile};
use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::suggest;

/// A message with advice on its second line: what was meant, when there is something like it, or else `help`.
pub(super) fn suggested<'a>(
    message: &str,
    wrong: &str,
    known: impl Iterator<Item = &'a str>,
    help: &str,
) -> String {
    match suggest::closest(wrong, known) {
        Some(meant) => format!("{message}\ndid you mean `{meant}`?"),
        None => format!("{message}\n{help}"),
    }
}

/// The schema of a value that may be of several types.
macro_rules! schema_of {
    ($name:ident, $text:literal, [$($kind:literal),+]) => {
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "description": $text, "type": [$($kind),+] })
            }
        }
    };
}
pub(super) use schema_of;

/// A status: its name, or its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status(pub NTSTATUS);

schema_of!(
    Status,
    "An NTSTATUS: its name, `STATUS_ACCESS_DENIED`, or its number, 0xC0000022.",
    ["string", "integer"]
);

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Status;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a status, `\"STATUS_ACCESS_DENIED\"`, or its number")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Status, E> {
                if let Some(digits) = name.strip_prefix("0x")
                    && let Ok(bits) = u32::from_str_radix(digits, 16)
                {
                    return Ok(Status(NTSTATUS::from_u32(bits)));
                }
                let known = || ALL_STATUSES.iter().filter(|status| status.name().is_some());
                match known().find(|status| status.name() == Some(name)) {
                    Some(status) => Ok(Status(*status)),
                    None => Err(E::custom(suggested(
                        &format!("there is no status `{name}`"),
                        name,
                        known().filter_map(|status| status.name()),
                        "write the name as in ntstatus.h, or the number: 0xC0000022",
                    ))),
                }
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Status, E> {
                let bits = u32::try_from(number).map(u32::cast_signed).or_else(|_| i32::try_from(number));
                bits.map(|bits| Status(NTSTATUS(bits))).map_err(|_| E::custom("a status has 32 bits"))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A Windows version, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileName(pub Profile);

impl JsonSchema for ProfileName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Profile".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<_> = Profile::ALL.iter().map(|profile| profile.name()).collect();
        schemars::json_schema!({ "description": "A Windows version.", "type": "string", "enum": names })
    }
}

impl<'de> Deserialize<'de> for ProfileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map(ProfileName).map_err(|_| {
            let (message, help) = no_profile(&name);
            D::Error::custom(format!("{message}\n{help}"))
        })
    }
}

/// What is said of a profile that there is not, and what to do.
pub(crate) fn no_profile(name: &str) -> (String, String) {
    let names = || Profile::ALL.iter().map(|profile| profile.name());
    let help = match suggest::closest(name, names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
    };
    (format!("there is no profile `{name}`"), help)
}

/// A power state, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerStateName(pub PowerState);

impl JsonSchema for PowerStateName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PowerState".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names = PowerState::ALL.map(|(_, name)| name);
        let text = "A power state: of the system S0 (works) to S5 (off), of a device D0 to D3.";
        schemars::json_schema!({ "description": text, "type": "string", "enum": names })
    }
}

impl<'de> Deserialize<'de> for PowerStateName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map(PowerStateName).map_err(|_| {
            let help = "the system has S0 to S5, a device D0 to D3";
            D::Error::custom(format!("there is no power state `{name}`\n{help}"))
        })
    }
}

/// A length of time, as `5s` or `1m 30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length(pub Duration);

schema_of!(Length, "A length of time: `5s`, `100ms`, `1m 30s`.", ["string"]);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Length).map_err(|error| {
            D::Error::custom(format!(
                "`{text}` is no length of time: {error}\nwrite it as `5s`, `100ms` or `1m 30s`"
            ))
        })
    }
}

/// Text that is looked for in a line: a part of it, or a regular expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    /// Or what is wrong with it: a place inside a list is known only once the list has been read.
    expression: Result<Option<regex::Regex>, String>,
}

schema_of!(Pattern, "A part of a line, or `/a regular expression/`.", ["string"]);

impl Pattern {
    /// Whether a line holds it.
    pub fn is_in(&self, line: &str) -> bool {
        match &self.expression {
            Ok(Some(expression)) => expression.is_match(line),
            Ok(None) => line.contains(&self.text),
            Err(_) => false,
        }
    }

    /// Why it is no pattern, when it is none.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.expression.as_ref().err().map(String::as_str)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let inner = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        // Limited, since a small expression can ask for much memory.
        let compile = |inner| regex::RegexBuilder::new(inner).size_limit(1 << 20).build();
        let expression = inner.map(compile).transpose().map_err(|error| {
            let why = error.to_string();
            why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        });
        Ok(Self { text, expression })
    }
}

/// Bytes: text, a list of numbers, or a table that says how they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// How bytes can be written in a table.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BytesTable {
    /// Hexadecimal digits; spaces between them are fine.
    hex: Option<String>,
    /// Text, in UTF-8, without a NUL.
    text: Option<String>,
    /// Text, in UTF-16, without a NUL.
    utf16: Option<String>,
    /// 32-bit numbers, little-endian.
    u32: Option<Vec<u32>>,
    /// 64-bit numbers, little-endian.
    u64: Option<Vec<u64>>,
}

impl JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let table = BytesTable::json_schema(generator);
        schemars::json_schema!({
            "description": "Bytes: text, a list of numbers, or one of { hex = \"…\" }, { utf16 = \"…\" }, { u32 = […] }.",
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 255 } },
                table
            ]
        })
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("text, a list of bytes, or one of { hex, text, utf16, u32, u64 }")
            }

            fn visit_str<E>(self, text: &str) -> Result<Bytes, E> {
                Ok(Bytes(text.as_bytes().to_vec()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Bytes, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Bytes)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Bytes, A::Error> {
                let table = BytesTable::deserialize(MapAccessDeserializer::new(map))?;
                bytes_of(table).map(Bytes).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

fn bytes_of(table: BytesTable) -> Result<Vec<u8>, String> {
    match table {
        BytesTable { hex: Some(digits), text: None, utf16: None, u32: None, u64: None } => hex(&digits),
        BytesTable { hex: None, text: Some(text), utf16: None, u32: None, u64: None } => Ok(text.into_bytes()),
        BytesTable { hex: None, text: None, utf16: Some(text), u32: None, u64: None } => {
            Ok(text.encode_utf16().flat_map(u16::to_le_bytes).collect())
        }
        BytesTable { hex: None, text: None, utf16: None, u32: Some(list), u64: None } => {
            Ok(list.into_iter().flat_map(u32::to_le_bytes).collect())
        }
        BytesTable { hex: None, text: None, utf16: None, u32: None, u64: Some(list) } => {
            Ok(list.into_iter().flat_map(u64::to_le_bytes).collect())
        }
        _ => Err("bytes are written in one way\nwrite one of { hex = \"…\" }, { text = \"…\" }, { utf16 = \"…\" }, \
                  { u32 = […] }, { u64 = […] }"
            .into()),
    }
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u32>> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect();
    let digits =
        digits.ok_or("there is something else than hexadecimal digits\nwrite { hex = \"00 ff\" }")?;
    if !digits.len().is_multiple_of(2) {
        return Err("an odd number of hexadecimal digits\na byte has two: { hex = \"0f\" }".into());
    }
    Ok(digits.chunks(2).filter_map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok()).collect())
}

/// A value of a driver's Parameters key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryValue(pub host::Value<'static>);

/// A registry value whose type is said.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RegistryTable {
    /// A REG_DWORD.
    dword: Option<u32>,
    /// A REG_QWORD.
    qword: Option<u64>,
    /// A REG_EXPAND_SZ.
    expand: Option<String>,
    /// A REG_BINARY.
    binary: Option<Bytes>,
}

impl JsonSchema for RegistryValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RegistryValue".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let table = RegistryTable::json_schema(generator);
        schemars::json_schema!({
            "description": "A registry value: text, a number, a list of texts, or a table that names the type.",
            "anyOf": [
                { "type": "string" },
                { "type": "integer" },
                { "type": "boolean" },
                { "type": "array", "items": { "type": "string" } },
                table
            ]
        })
    }
}

impl<'de> Deserialize<'de> for RegistryValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = host::Value<'static>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("text, a number, a list of texts, or one of { dword, qword, expand, binary }")
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(host::Value::String(text.to_owned().into()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(host::Value::Dword(value.into()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                u32::try_from(number).map(host::Value::Dword).map_err(|_| {
                    E::custom("a REG_DWORD has 32 bits and no sign\nwrite { qword = … } for a REG_QWORD")
                })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                let list = Vec::<String>::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(host::Value::MultiString(list.into_iter().map(Into::into).collect()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                match RegistryTable::deserialize(MapAccessDeserializer::new(map))? {
                    RegistryTable { dword: Some(value), qword: None, expand: None, binary: None } => {
                        Ok(host::Value::Dword(value))
                    }
                    RegistryTable { dword: None, qword: Some(value), expand: None, binary: None } => {
                        Ok(host::Value::Qword(value))
                    }
                    RegistryTable { dword: None, qword: None, expand: Some(text), binary: None } => {
                        Ok(host::Value::ExpandString(text.into()))
                    }
                    RegistryTable { dword: None, qword: None, expand: None, binary: Some(bytes) } => {
                        Ok(host::Value::Binary(bytes.0.into()))
                    }
                    _ => Err(A::Error::custom(
                        "a value has one type\nwrite one of { dword = … }, { qword = … }, { expand = \"…\" }, { binary = … }",
                    )),
                }
            }
        }
        deserializer.deserialize_any(Any).map(Self)
    }
}
