//! An event as one line, and back.

use std::borrow::Cow;

use event::{
    Architecture, ClientId, Conditions, Event, EventKind, Image, Mapping, Name, Process, ProcessExit,
    ProcessId, Signature, Subsystem, Thread, ThreadExit, ThreadId, Time,
};
use nt_abi::NTSTATUS;
use serde::{Deserialize, Serialize};

use crate::civil;

type Text<'a> = Cow<'a, str>;

/// A moment: a text, or, where the calendar has no four digits for its year, NT's number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Moment {
    Ticks(i64),
    Text(String),
}

impl Moment {
    pub(super) fn of(time: Time) -> Self {
        civil::format(time).map_or(Self::Ticks(time.0), Self::Text)
    }

    pub(super) fn time(&self) -> Result<Time, String> {
        match self {
            Self::Ticks(ticks) => Ok(Time(*ticks)),
            Self::Text(text) => civil::parse(text).ok_or_else(|| format!("no moment: {text}")),
        }
    }
}

/// All that a line of any type has.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
    time: Moment,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    context_pid: u32,
    context_tid: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creator_pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creator_tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_nt: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_nt: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_line: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_name_available: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    architecture: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conflicting: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mapping: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_level: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inherits_no_handles: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subsystem: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peb: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    teb: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Text<'a>>,
}

const CONDITIONS: [&str; 4] = ["apc_level", "all_apcs_disabled", "unterminated_names", "user_pages_gone"];

impl<'a> Line<'a> {
    /// The line of an event.
    pub(super) fn of(event: &'a Event<'_>) -> Self {
        let Event {
            time,
            context,
            kind,
            conditions: Conditions { apc_level, all_apcs_disabled, unterminated_names, user_pages_gone },
        } = event;
        let mut line = Self::empty(*time, *context, event.process());
        let said = CONDITIONS.into_iter().zip([
            *apc_level,
            *all_apcs_disabled,
            *unterminated_names,
            *user_pages_gone,
        ]);
        line.conditions = said.filter_map(|(name, is)| is.then_some(name.into())).collect();
        match kind {
            EventKind::ProcessPresent(process) => line.process("process_present", process),
            EventKind::ProcessClone(process) => line.process("process_clone", process),
            EventKind::ProcessCreate(process) => line.process("process_create", process),
            EventKind::ProcessExit(ProcessExit { process: _, status }) => {
                line.r#type = "process_exit".into();
                line.status = Some(code(*status));
            }
            EventKind::ThreadCreate(Thread { thread, teb }) => {
                line.r#type = "thread_create".into();
                line.tid = Some(thread.thread.0);
                line.teb = unless_zero(*teb);
            }
            EventKind::ThreadExit(ThreadExit { thread, status }) => {
                line.r#type = "thread_exit".into();
                line.tid = Some(thread.thread.0);
                line.status = Some(code(*status));
            }
            EventKind::ImageLoad(image) => line.load(image),
        }
        line
    }

    /// A line with what all types have.
    fn empty(time: Time, context: ClientId, process: ProcessId) -> Self {
        Self {
            r#type: Text::default(),
            time: Moment::of(time),
            pid: process.0,
            tid: None,
            context_pid: context.process.0,
            context_tid: context.thread.0,
            conditions: Vec::new(),
            parent_pid: None,
            creator_pid: None,
            creator_tid: None,
            image: None,
            image_nt: None,
            file: None,
            file_nt: None,
            command_line: None,
            open_name_available: None,
            base: None,
            size: None,
            architecture: None,
            partial: None,
            conflicting: None,
            mapping: None,
            signature_level: None,
            signature_type: None,
            inherits_no_handles: None,
            subsystem: None,
            peb: None,
            teb: None,
            status: None,
        }
    }

    // Both take their argument apart, so that a field that is added there is not forgotten here.

    fn process(&mut self, name: &'static str, process: &'a Process<'_>) {
        let Process {
            process: _,
            parent,
            creator,
            first_thread,
            image,
            command_line,
            open_name_available,
            architecture,
            inherits_no_handles,
            subsystem,
            peb,
            teb,
        } = process;
        self.r#type = name.into();
        self.tid = Some(first_thread.0);
        self.parent_pid = Some(parent.0);
        (self.creator_pid, self.creator_tid) = (Some(creator.process.0), Some(creator.thread.0));
        (self.image, self.image_nt) = names(image.as_ref());
        self.command_line = command_line.as_deref().map(Cow::Borrowed);
        self.open_name_available = Some(*open_name_available);
        self.architecture = Some(architecture_name(*architecture).into());
        self.inherits_no_handles = inherits_no_handles.then_some(true);
        self.subsystem = match subsystem {
            Subsystem::Win32 => None,
            Subsystem::Wsl => Some("wsl".into()),
        };
        (self.peb, self.teb) = (unless_zero(*peb), unless_zero(*teb));
    }

    fn load(&mut self, image: &'a Image<'_>) {
        let Image {
            process: _,
            name,
            file,
            base,
            size,
            architecture,
            partial,
            conflicting,
            mapping,
            signature: Signature { level, kind },
        } = image;
        self.r#type = "image_load".into();
        (self.image, self.image_nt) = names(name.as_ref());
        (self.file, self.file_nt) = names(file.as_ref());
        (self.base, self.size) = (Some(address(*base)), Some(*size));
        self.architecture = Some(architecture_name(*architecture).into());
        (self.partial, self.conflicting) = (Some(*partial), Some(*conflicting));
        self.mapping = match mapping {
            Mapping::Image => None,
            Mapping::NoExecute => Some("no_execute".into()),
            Mapping::Data => Some("data".into()),
        };
        self.signature_level = (*level != 0).then_some(*level);
        self.signature_type = (*kind != 0).then_some(*kind);
    }

    pub(super) fn parse(text: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(text).map_err(|error| error.to_string())
    }

    /// The event that this is the line of: of no other.
    pub(super) fn event(&self) -> Result<Event<'_>, String> {
        let event = self.told()?;
        let exact = Line::of(&event);
        if exact != *self {
            let [theirs, ours] = [self, &exact].map(|line| serde_json::to_string(line).unwrap_or_default());
            return Err(format!("not as it would be written: {theirs} for {ours}"));
        }
        Ok(event)
    }

    fn told(&self) -> Result<Event<'_>, String> {
        let has = |name: &str| self.conditions.iter().any(|condition| condition == name);
        let conditions = Conditions {
            apc_level: has("apc_level"),
            all_apcs_disabled: has("all_apcs_disabled"),
            unterminated_names: has("unterminated_names"),
            user_pages_gone: has("user_pages_gone"),
        };
        let process = ProcessId(self.pid);
        let thread = || Ok::<_, String>(ClientId { process, thread: ThreadId(need(self.tid, "tid")?) });
        let kind = match self.r#type.as_ref() {
            "process_present" => EventKind::ProcessPresent(self.told_process()?),
            "process_clone" => EventKind::ProcessClone(self.told_process()?),
            "process_create" => EventKind::ProcessCreate(self.told_process()?),
            "process_exit" => EventKind::ProcessExit(ProcessExit { process, status: self.told_status()? }),
            "thread_create" => EventKind::ThreadCreate(Thread {
                thread: thread()?,
                teb: number(self.teb.as_deref())?.unwrap_or(0),
            }),
            "thread_exit" => {
                EventKind::ThreadExit(ThreadExit { thread: thread()?, status: self.told_status()? })
            }
            "image_load" => EventKind::ImageLoad(self.told_image()?),
            other => return Err(format!("no type that is known: {other}")),
        };
        let context = ClientId { process: ProcessId(self.context_pid), thread: ThreadId(self.context_tid) };
        Ok(Event { time: self.time.time()?, context, kind, conditions })
    }

    fn told_process(&self) -> Result<Process<'_>, String> {
        Ok(Process {
            process: ProcessId(self.pid),
            parent: ProcessId(need(self.parent_pid, "parent_pid")?),
            creator: ClientId {
                process: ProcessId(need(self.creator_pid, "creator_pid")?),
                thread: ThreadId(need(self.creator_tid, "creator_tid")?),
            },
            first_thread: ThreadId(need(self.tid, "tid")?),
            image: name(self.image.as_deref(), self.image_nt.as_deref()),
            command_line: self.command_line.as_deref().map(Cow::Borrowed),
            open_name_available: need(self.open_name_available, "open_name_available")?,
            architecture: self.told_architecture()?,
            inherits_no_handles: self.inherits_no_handles.unwrap_or(false),
            subsystem: match self.subsystem.as_deref() {
                None => Subsystem::Win32,
                Some("wsl") => Subsystem::Wsl,
                Some(other) => return Err(format!("no subsystem: {other}")),
            },
            peb: number(self.peb.as_deref())?.unwrap_or(0),
            teb: number(self.teb.as_deref())?.unwrap_or(0),
        })
    }

    fn told_image(&self) -> Result<Image<'_>, String> {
        Ok(Image {
            process: ProcessId(self.pid),
            name: name(self.image.as_deref(), self.image_nt.as_deref()),
            file: name(self.file.as_deref(), self.file_nt.as_deref()),
            base: need(number(self.base.as_deref())?, "base")?,
            size: need(self.size, "size")?,
            architecture: self.told_architecture()?,
            partial: need(self.partial, "partial")?,
            conflicting: need(self.conflicting, "conflicting")?,
            mapping: match self.mapping.as_deref() {
                None => Mapping::Image,
                Some("no_execute") => Mapping::NoExecute,
                Some("data") => Mapping::Data,
                Some(other) => return Err(format!("no mapping: {other}")),
            },
            signature: Signature {
                level: self.signature_level.unwrap_or(0),
                kind: self.signature_type.unwrap_or(0),
            },
        })
    }

    fn told_architecture(&self) -> Result<Architecture, String> {
        match need(self.architecture.as_deref(), "architecture")? {
            "x64" => Ok(Architecture::X64),
            "x86" => Ok(Architecture::X86),
            "other" => Ok(Architecture::Other),
            other => Err(format!("no architecture: {other}")),
        }
    }

    fn told_status(&self) -> Result<NTSTATUS, String> {
        let status = need(number(self.status.as_deref())?, "status")?;
        u32::try_from(status).map(NTSTATUS::from_u32).map_err(|_| format!("no status: {status:#x}"))
    }
}

fn architecture_name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X64 => "x64",
        Architecture::X86 => "x86",
        Architecture::Other => "other",
    }
}

fn names<'a>(name: Option<&'a Name<'_>>) -> (Option<Text<'a>>, Option<Text<'a>>) {
    let Some(Name { nt, host }) = name else { return (None, None) };
    (host.as_deref().map(Cow::Borrowed), Some(Cow::Borrowed(nt)))
}

fn name<'a>(host: Option<&'a str>, nt: Option<&'a str>) -> Option<Name<'a>> {
    nt.map(|nt| Name { nt: Cow::Borrowed(nt), host: host.map(Cow::Borrowed) })
}

fn address(address: u64) -> Text<'static> {
    Cow::Owned(format!("{address:#x}"))
}

fn unless_zero(number: u64) -> Option<Text<'static>> {
    (number != 0).then(|| address(number))
}

fn code(status: NTSTATUS) -> Text<'static> {
    Cow::Owned(format!("0x{:08X}", status.as_u32()))
}

fn number(text: Option<&str>) -> Result<Option<u64>, String> {
    let Some(text) = text else { return Ok(None) };
    let digits = text.strip_prefix("0x").ok_or_else(|| format!("no hexadecimal number: {text}"))?;
    u64::from_str_radix(digits, 16).map(Some).map_err(|_| format!("no hexadecimal number: {text}"))
}

fn need<T>(field: Option<T>, name: &str) -> Result<T, String> {
    field.ok_or_else(|| format!("{name} is missing"))
}
