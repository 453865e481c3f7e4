//! One event of a trace.

use serde::{Serialize, Serializer};

use super::tracks::Track;
use crate::json::{Address, Code};

/// What kind of event.
#[derive(Clone, Copy)]
pub(super) enum Phase {
    /// Something with a beginning and a length.
    Complete,
    /// The beginning of something on a thread, and its end.
    Begin,
    End,
    /// The same for something that is on no thread.
    AsyncBegin,
    AsyncEnd,
    /// A moment: of a thread, of a process, of everything.
    Instant(Scope),
    /// An arrow's beginning and end.
    FlowStart,
    FlowEnd,
    /// A value over time.
    Counter,
    /// What something is called.
    Metadata,
}

/// How far a moment reaches.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    Thread,
    Process,
    Global,
}

impl Serialize for Phase {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Complete => "X",
            Self::Begin => "B",
            Self::End => "E",
            Self::AsyncBegin => "b",
            Self::AsyncEnd => "e",
            Self::Instant(_) => "i",
            Self::FlowStart => "s",
            Self::FlowEnd => "f",
            Self::Counter => "C",
            Self::Metadata => "M",
        })
    }
}

/// Nanoseconds, written as microseconds.
#[derive(Clone, Copy)]
pub(super) struct Micros(pub(super) u64);

impl Serialize for Micros {
    #[expect(
        clippy::cast_precision_loss,
        reason = "readers take them as floating point too, exact for a month"
    )]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 1000.0)
    }
}

/// An event of the trace.
#[derive(Serialize)]
pub(super) struct Entry<'a> {
    #[serde(rename = "ph")]
    phase: Phase,
    name: &'a str,
    #[serde(rename = "cat", skip_serializing_if = "Option::is_none")]
    category: Option<&'static str>,
    #[serde(rename = "pid")]
    process: u32,
    #[serde(rename = "tid")]
    thread: u32,
    #[serde(rename = "ts", skip_serializing_if = "Option::is_none")]
    time: Option<Micros>,
    #[serde(rename = "dur", skip_serializing_if = "Option::is_none")]
    duration: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Whether an arrow ends in what surrounds it.
    #[serde(rename = "bp", skip_serializing_if = "Option::is_none")]
    binding: Option<&'static str>,
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Args<'a>>,
}

impl<'a> Entry<'a> {
    pub(super) fn new(phase: Phase, category: &'static str, name: &'a str, on: Track, time: u64) -> Self {
        let scope = match phase {
            Phase::Instant(Scope::Thread) => Some("t"),
            Phase::Instant(Scope::Process) => Some("p"),
            Phase::Instant(Scope::Global) => Some("g"),
            _ => None,
        };
        let binding = matches!(phase, Phase::FlowEnd).then_some("e");
        Self {
            phase,
            name,
            category: Some(category),
            process: on.process,
            thread: on.thread,
            time: Some(Micros(time)),
            duration: None,
            id: None,
            binding,
            scope,
            args: None,
        }
    }

    /// What a process or thread is called, or where it stands.
    pub(super) fn metadata(what: &'a str, on: Track, args: Args<'a>) -> Self {
        Self { category: None, time: None, args: Some(args), ..Self::new(Phase::Metadata, "", what, on, 0) }
    }

    pub(super) fn lasting(self, nanos: u64) -> Self {
        Self { duration: Some(Micros(nanos)), ..self }
    }

    /// What belongs together: the two ends of a lifetime, or of an arrow.
    pub(super) fn tied(self, id: u32) -> Self {
        Self { id: Some(format!("{id:#x}")), ..self }
    }

    pub(super) fn with(self, args: Args<'a>) -> Self {
        Self { args: Some(args), ..self }
    }
}

/// What is said of an event beside its name.
#[derive(Default, Serialize)]
pub(super) struct Args<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sort_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) processes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) driver: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<u32>,
    /// The process whose end it would not have survived: it would not have happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) because_pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command_line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) base: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) routine: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slot: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) stack: Vec<String>,
}
