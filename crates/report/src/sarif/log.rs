//! What of the format is used, in types. What is not known is left out.

use std::collections::BTreeMap;

use event::Severity;
use serde::Serialize;

use super::text::Message;
use crate::json::Address as Hex;
use crate::rule::Rule;

/// Where Callboard is at home.
const HOME: &str = env!("CARGO_PKG_REPOSITORY");

/// The tool: `tool.driver` in SARIF, which has nothing to do with drivers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Component {
    name: &'static str,
    version: &'static str,
    semantic_version: &'static str,
    information_uri: &'static str,
    rules: Vec<Descriptor>,
}

/// What is said of a rule.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    id: &'static str,
    short_description: Message,
    full_description: Message,
    help_uri: String,
    help: Help,
    default_configuration: Configuration,
}

#[derive(Serialize)]
struct Help {
    text: &'static str,
    markdown: &'static str,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

/// What is no rule of the catalogue and has results all the same: id, level, and what it means.
const OTHERS: [(&str, &str, &str, &str); 2] = [
    (
        super::result::STOP,
        "error",
        "A driver does not stop the machine",
        "The machine ended in a bug check, a routine that did not return, a routine that nobody implements, or the death of \
         its host.",
    ),
    (
        super::result::LEAK,
        "warning",
        "A driver leaves nothing behind",
        "Something that the driver had made was still there after it was unloaded: give back in DriverUnload what was \
         taken.",
    ),
];

impl Component {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let others = OTHERS.iter().map(|&(id, level, title, text)| Descriptor {
            id,
            short_description: title.into(),
            full_description: text.into(),
            help_uri: format!("{HOME}/blob/main/docs/reports.md"),
            help: Help { text, markdown: text },
            default_configuration: Configuration { level },
        });
        Self {
            name: "Callboard",
            version,
            semantic_version: version,
            information_uri: HOME,
            rules: rules.iter().map(Descriptor::of).chain(others).collect(),
        }
    }
}

impl Descriptor {
    fn of(rule: &Rule) -> Self {
        let why = rule.section("Why").unwrap_or(rule.title);
        Self {
            id: rule.id,
            short_description: rule.title.into(),
            full_description: why.into(),
            help_uri: format!("{HOME}/blob/main/docs/rules/{}.md", rule.id),
            help: Help { text: rule.section("What to do").unwrap_or(why), markdown: rule.page },
            default_configuration: Configuration { level: level(rule.severity) },
        }
    }
}

/// Where a rule stands among those that are explained.
pub(super) fn index(rules: &[Rule], id: &str) -> Option<usize> {
    let other = || OTHERS.iter().position(|(other, ..)| *other == id).map(|at| at + rules.len());
    rules.iter().position(|rule| rule.id == id).or_else(other)
}

pub(super) fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// Something a driver did.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome<'a> {
    pub(super) rule_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule_index: Option<usize>,
    pub(super) level: &'static str,
    pub(super) message: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) locations: Option<[Location; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stacks: Option<[Stack; 1]>,
    pub(super) partial_fingerprints: BTreeMap<&'static str, String>,
    pub(super) properties: Properties<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) physical_location: Option<Physical>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) logical_locations: Vec<Logical>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Physical {
    pub(super) artifact_location: Artifact,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<Address>,
}

#[derive(Serialize)]
pub(super) struct Artifact {
    pub(super) uri: String,
}

/// Where in an image. There is no absolute address: those of the kernel are beyond what readers take for integers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Address {
    /// From the beginning of the image.
    pub(super) relative_address: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) fully_qualified_name: String,
    pub(super) kind: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Logical {
    pub(super) name: String,
    pub(super) fully_qualified_name: String,
    pub(super) kind: &'static str,
}

#[derive(Serialize)]
pub(super) struct Stack {
    pub(super) frames: Vec<Frame>,
}

#[derive(Serialize)]
pub(super) struct Frame {
    pub(super) location: Location,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) module: Option<String>,
    pub(super) properties: At,
}

#[derive(Serialize)]
pub(super) struct At {
    pub(super) address: Hex,
}

/// Who, when, and what the machine was doing.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Properties<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) machine: Option<String>,
    pub(super) time: crate::json::Moment,
    pub(super) elapsed_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) driver: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) process: Option<Process<'a>>,
    /// What drivers were being told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bug_check: Option<BugCheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) leak: Option<Leak<'a>>,
}

#[derive(Serialize)]
pub(super) struct Process<'a> {
    pub(super) pid: u32,
    pub(super) tid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct BugCheck {
    pub(super) code: crate::json::Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'static str>,
    pub(super) parameters: [Hex; 4],
}

#[derive(Serialize)]
pub(super) struct Leak<'a> {
    pub(super) kind: &'static str,
    pub(super) what: &'a str,
    pub(super) count: u64,
    pub(super) bytes: u64,
}
