//! What has to come of a step, or of a scenario.

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::value::suggested;
use super::{At, Bytes, Pattern, Status};

/// What is expected. What is left out is not looked at, but for this: a step has to succeed, and at the end there
/// has to be no stop and no finding of severity "error" that nobody expected.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// What the step ends with: `"STATUS_ACCESS_DENIED"` or a number.
    pub status: Option<At<Status>>,
    /// The driver that refused the process.
    pub by: Option<At<String>>,
    /// IoStatus.Information, of a request to a device: in the step that waits for it, where it was begun.
    pub information: Option<At<u64>>,
    /// The bytes that came back, of a request to a device.
    pub output: Option<At<Bytes>>,
    /// The requests that were begun and are pending then, all of them: `["next"]`, `[]` for none.
    pub pending: Option<At<Vec<String>>>,
    /// Every notice in order, a line each: `edr: create cmd`, `edr: image ntdll.dll in cmd`. `*` stands for any
    /// text in a line, and a line `...` for any number of lines.
    pub notices: Option<At<Vec<At<String>>>>,
    /// Lines that drivers print, in this order, others between them: a part of the line, or `/a regular expression/`.
    pub debug: Option<Vec<At<Pattern>>>,
    /// What no line that drivers print may hold.
    pub no_debug: Option<Vec<At<Pattern>>>,
    /// The rules that drivers break, all of them: `["L-18"]`, `[]` for none, `["*"]` for whatever they are.
    pub findings: Option<At<Vec<At<String>>>>,
    /// What drivers leave behind: `["edr: *pool, tag Tag1"]`, `[]` for nothing. `*` stands for any text.
    pub leaks: Option<At<Vec<String>>>,
    /// How the machine stops: a bug check's name or number, `hang`, `unimplemented`, `died`, or a table.
    pub stop: Option<At<StopPattern>>,
}

/// How the machine stops.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum StopPattern {
    /// A bug check's name, or `hang`, `unimplemented`, `died`.
    Name(String),
    /// A bug check's number.
    Code(u32),
    /// More of it.
    Table(StopTable),
}

/// How the machine stops, with all that is known of it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopTable {
    /// `hang`, `unimplemented` or `died`; a bug check when left out.
    pub kind: Option<StopKindName>,
    /// A bug check's name or number.
    pub code: Option<BugCheck>,
    /// The four parameters; `"*"` for any.
    pub parameters: Option<Vec<Parameter>>,
    /// The driver that ran.
    pub driver: Option<String>,
    /// A part of the message, or `/a regular expression/`.
    pub message: Option<Pattern>,
}

/// A kind of stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StopKindName {
    /// A bug check, as Windows would have.
    BugCheck,
    /// A routine did not return.
    Hang,
    /// A routine was called that Callboard does not have.
    Unimplemented,
    /// The drivers' process died without a bug check.
    Died,
}

/// A bug check: its name or its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BugCheck(pub u32);

/// A parameter of a bug check: a number, or any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter(pub Option<u64>);

/// What else than a bug check a stop can be.
const KINDS: [(&str, StopKindName); 3] = [
    ("hang", StopKindName::Hang),
    ("unimplemented", StopKindName::Unimplemented),
    ("died", StopKindName::Died),
];

impl StopPattern {
    /// The same as a table.
    pub fn table(&self) -> StopTable {
        match self {
            Self::Table(table) => table.clone(),
            Self::Code(code) => StopTable { code: Some(BugCheck(*code)), ..StopTable::default() },
            Self::Name(name) => match KINDS.iter().find(|(kind, _)| kind == name) {
                Some((_, kind)) => StopTable { kind: Some(*kind), ..StopTable::default() },
                None => StopTable { code: bug_check(name).map(BugCheck), ..StopTable::default() },
            },
        }
    }
}

fn bug_check(name: &str) -> Option<u32> {
    nt_abi::BugCheckCode::ALL.iter().find(|code| code.name() == Some(name)).map(|code| code.0)
}

/// The bug check of a name, or what to write.
fn named<E: serde::de::Error>(name: &str, others: &[&str]) -> Result<u32, E> {
    if let Some(hexadecimal) = name.strip_prefix("0x")
        && let Ok(code) = u32::from_str_radix(hexadecimal, 16)
    {
        return Ok(code);
    }
    bug_check(name).ok_or_else(|| {
        let names = nt_abi::BugCheckCode::ALL.iter().filter_map(|code| code.name());
        let help = "write the name as in Microsoft's bug check reference, or its number: 0xD1";
        E::custom(suggested(
            &format!("there is no stop `{name}`"),
            name,
            names.chain(others.iter().copied()),
            help,
        ))
    })
}

impl<'de> Deserialize<'de> for BugCheck {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = BugCheck;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name or the number of a bug check")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<BugCheck, E> {
                named(name, &[]).map(BugCheck)
            }

            fn visit_i64<E: serde::de::Error>(self, code: i64) -> Result<BugCheck, E> {
                u32::try_from(code).map(BugCheck).map_err(|_| E::custom("a bug check's number has 32 bits"))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Parameter;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, text with a 64-bit number (`\"0xFFFF…\"`), or `\"*\"` for any")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Parameter, E> {
                if text == "*" {
                    return Ok(Parameter(None));
                }
                let digits = text.strip_prefix("0x").unwrap_or(text);
                let number = u64::from_str_radix(digits, 16);
                number.map(|number| Parameter(Some(number))).map_err(|_| {
                    E::custom(format!("`{text}` is no number\nwrite a number, \"0x…\", or \"*\" for any"))
                })
            }

            fn visit_i64<E>(self, number: i64) -> Result<Parameter, E> {
                // Large numbers are written as they are in a debugger, and TOML's are signed.
                Ok(Parameter(Some(number.cast_unsigned())))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for StopPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = StopPattern;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a bug check's name or number, `hang`, `unimplemented`, `died`, or a table")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<StopPattern, E> {
                if KINDS.iter().any(|(kind, _)| *kind == name) {
                    return Ok(StopPattern::Name(name.into()));
                }
                named(name, &KINDS.map(|(kind, _)| kind)).map(StopPattern::Code)
            }

            fn visit_i64<E: serde::de::Error>(self, code: i64) -> Result<StopPattern, E> {
                let code = u32::try_from(code).map_err(|_| E::custom("a bug check's number has 32 bits"))?;
                Ok(StopPattern::Code(code))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StopPattern, A::Error> {
                StopTable::deserialize(MapAccessDeserializer::new(map)).map(StopPattern::Table)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

super::value::schema_of!(BugCheck, "A bug check: its name or its number.", ["string", "integer"]);
super::value::schema_of!(Parameter, "A parameter of a bug check; \"*\" for any.", ["string", "integer"]);
