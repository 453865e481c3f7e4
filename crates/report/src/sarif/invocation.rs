//! How the run on a machine went.

use event::{Body, Level, Record, Time};
use nt_abi::BugCheckCode;
use serde::{Serialize, Serializer};

use super::text::Message;
use crate::json::Moment;
use crate::machine::Machine;
use crate::moment::has_four_digits;
use crate::names::Names;
use crate::words;

/// How many notes are kept of a machine.
const KEPT: usize = 64;

/// What was run on a machine, from its first record to its last.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Invocation {
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    #[serde(rename = "startTimeUtc", skip_serializing_if = "is_far", serialize_with = "moment")]
    start: Time,
    #[serde(rename = "endTimeUtc", skip_serializing_if = "is_far", serialize_with = "moment")]
    end: Time,
    execution_successful: bool,
    /// The command's, which is Callboard's own: unless a driver stopped the machine, when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code_description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_signal_number: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_signal_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_execution_notifications: Vec<Notification>,
    properties: Properties,
    #[serde(skip)]
    failed: bool,
    #[serde(skip)]
    stopped: bool,
}

#[derive(Serialize)]
struct Notification {
    level: &'static str,
    message: Message,
}

#[derive(Default, Serialize)]
struct Properties {
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    command: Vec<String>,
    complete: bool,
}

/// Whether a moment is in no year that the format can name.
fn is_far(time: &Time) -> bool {
    !has_four_digits(*time)
}

fn moment<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    Moment(*time).serialize(serializer)
}

impl Invocation {
    pub(super) fn begin(machine: &Machine, start: Time) -> Self {
        Self {
            machine: machine.label(),
            start,
            end: start,
            execution_successful: false,
            exit_code: None,
            exit_code_description: None,
            exit_signal_number: None,
            exit_signal_name: None,
            tool_execution_notifications: Vec::new(),
            properties: Properties::default(),
            failed: false,
            stopped: false,
        }
    }

    /// Takes what a record says about how it goes.
    pub(super) fn see(&mut self, record: &Record<'_>, names: &Names) {
        self.end = self.end.max(record.time);
        match &record.body {
            Body::Start { profile, command, .. } => {
                self.properties.profile = Some(profile.as_ref().to_owned());
                self.properties.command = command.iter().map(|word| word.as_ref().to_owned()).collect();
            }
            Body::DriverLoad { name, missing, .. } if !missing.is_empty() => {
                self.note(
                    "warning",
                    &format!("{name} imports what nobody implements: {}", missing.join(", ")),
                );
            }
            Body::DriverStart { driver, status, .. } if !status.is_success() => {
                self.failed = true;
                let name = names.driver(*driver).unwrap_or("a driver");
                self.note("error", &format!("{name} did not start: {}", words::status_code(*status)));
            }
            Body::Note { level: Level::Warning, text } => self.note("warning", text),
            Body::CommandExit { code, signal } if !self.stopped => {
                (self.exit_code, self.exit_signal_number) = (*code, *signal);
                self.exit_signal_name = signal.and_then(words::signal_name);
            }
            Body::Stop(stop) => {
                (self.failed, self.stopped) = (true, true);
                (self.exit_code, self.exit_signal_number, self.exit_signal_name) = (None, None, None);
                let what = match stop.code {
                    0 => words::stop_kind(stop.kind).replace('_', " "),
                    code => BugCheckCode(code).to_string(),
                };
                self.exit_code_description = Some(format!("a driver stopped the machine: {what}"));
            }
            Body::End => self.properties.complete = true,
            _ => {}
        }
        self.execution_successful = self.properties.complete && !self.failed;
    }

    fn note(&mut self, level: &'static str, text: &str) {
        if self.tool_execution_notifications.len() < KEPT {
            self.tool_execution_notifications.push(Notification { level, message: text.into() });
        }
    }
}
