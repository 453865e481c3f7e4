//! NT's and our own words for values, the same in every format.

use event::{
    Architecture, Body, Change, Conditions, Event, EventKind, Family, Flavour, Leak, LeakKind, Level,
    Mapping, StopKind, Subsystem,
};
use nt_abi::{BugCheckCode, NTSTATUS};

/// A status as eight digits, `0xC0000022`.
pub(crate) fn status_code(status: NTSTATUS) -> String {
    format!("0x{:08X}", status.as_u32())
}

/// A status by name and number.
pub(crate) fn status(status: NTSTATUS) -> String {
    match status.name() {
        Some(name) => format!("{name} ({})", status_code(status)),
        None => status_code(status),
    }
}

/// A command as one would type it.
pub(crate) fn shell_form(command: &[impl AsRef<str>]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    let words = command.iter().map(AsRef::as_ref).map(|word| match word {
        _ if !word.is_empty() && word.chars().all(plain) => word.to_owned(),
        _ => format!("'{}'", word.replace('\'', r"'\''")),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// How a command ended, in words.
pub(crate) fn command_end(code: Option<i32>, signal: Option<i32>) -> String {
    match (code, signal) {
        (_, Some(signal)) => match signal_name(signal) {
            Some(name) => format!("was killed by signal {signal} ({name})"),
            None => format!("was killed by signal {signal}"),
        },
        (Some(code), None) => format!("exited with {code}"),
        (None, None) => "ended, nobody knows how".to_owned(),
    }
}

/// An exit status: a small number as a person would say it, a signal that NT has no status for by its name, anything
/// else as a status.
pub(crate) fn exit_status(exit: NTSTATUS) -> String {
    if let small @ 0..=255 = exit.as_u32() {
        return small.to_string();
    }
    match event::signal::of_status(exit).and_then(|signal| signal_name(signal.into())) {
        Some(name) => format!("{name} ({})", status_code(exit)),
        None => status(exit),
    }
}

/// What the four parameters of a bug check mean; empty where they mean nothing or it is not known.
pub(crate) fn bug_check_parameters(code: u32) -> [&'static str; 4] {
    BugCheckCode(code).parameters().copied().unwrap_or_default()
}

pub(crate) fn family(family: Family) -> &'static str {
    match family {
        Family::Process => "process",
        Family::Thread => "thread",
        Family::Image => "image",
    }
}

pub(crate) fn flavour(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Plain => "plain",
        Flavour::Ex => "ex",
        Flavour::Ex2 => "ex2",
    }
}

/// The NT routine by which something was registered or removed.
pub(crate) fn registrar(family: Family, flavour: Flavour, removed: bool) -> &'static str {
    match (family, flavour, removed) {
        (Family::Process, Flavour::Plain, _) => "PsSetCreateProcessNotifyRoutine",
        (Family::Process, Flavour::Ex, _) => "PsSetCreateProcessNotifyRoutineEx",
        (Family::Process, Flavour::Ex2, _) => "PsSetCreateProcessNotifyRoutineEx2",
        (Family::Thread, _, true) => "PsRemoveCreateThreadNotifyRoutine",
        (Family::Thread, Flavour::Plain, false) => "PsSetCreateThreadNotifyRoutine",
        (Family::Thread, _, false) => "PsSetCreateThreadNotifyRoutineEx",
        (Family::Image, _, true) => "PsRemoveLoadImageNotifyRoutine",
        (Family::Image, Flavour::Plain, false) => "PsSetLoadImageNotifyRoutine",
        (Family::Image, _, false) => "PsSetLoadImageNotifyRoutineEx",
    }
}

pub(crate) fn architecture(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X64 => "x64",
        Architecture::X86 => "x86",
        Architecture::Other => "other",
    }
}

/// What an ordinary process has none of.
pub(crate) fn subsystem(subsystem: Subsystem) -> Option<&'static str> {
    match subsystem {
        Subsystem::Win32 => None,
        Subsystem::Wsl => Some("wsl"),
    }
}

/// What a mapping as an image has none of.
pub(crate) fn mapping(mapping: Mapping) -> Option<&'static str> {
    match mapping {
        Mapping::Image => None,
        Mapping::NoExecute => Some("no_execute"),
        Mapping::Data => Some("data"),
    }
}

/// All that is unusual about an event and how drivers are told of it.
pub(crate) fn unusual(event: &Event<'_>) -> Vec<&'static str> {
    let mut unusual = conditions(event.conditions);
    match &event.kind {
        EventKind::ProcessPresent(process)
        | EventKind::ProcessClone(process)
        | EventKind::ProcessCreate(process) => unusual.extend(subsystem(process.subsystem)),
        EventKind::ImageLoad(image) => unusual.extend(mapping(image.mapping)),
        EventKind::ProcessExit(_) | EventKind::ThreadCreate(_) | EventKind::ThreadExit(_) => {}
    }
    unusual
}

/// What was unusual about how drivers were told, each with a word of its own.
pub(crate) fn conditions(conditions: Conditions) -> Vec<&'static str> {
    let words = [
        (conditions.apc_level, "apc_level"),
        (conditions.all_apcs_disabled, "all_apcs_disabled"),
        (conditions.unterminated_names, "unterminated_names"),
        (conditions.user_pages_gone, "user_pages_gone"),
    ];
    words.into_iter().filter_map(|(holds, word)| holds.then_some(word)).collect()
}

pub(crate) fn level(level: Level) -> &'static str {
    match level {
        Level::Info => "info",
        Level::Warning => "warning",
    }
}

pub(crate) fn stop_kind(kind: StopKind) -> &'static str {
    match kind {
        StopKind::BugCheck => "bug_check",
        StopKind::Hang => "hang",
        StopKind::Unimplemented => "unimplemented",
        StopKind::HostDied => "host_died",
    }
}

pub(crate) fn leak_kind(kind: LeakKind) -> &'static str {
    match kind {
        LeakKind::Pool => "pool",
        LeakKind::Device => "device",
        LeakKind::SymbolicLink => "symbolic_link",
        LeakKind::Routine => "routine",
        LeakKind::Thread => "thread",
        LeakKind::Handle => "handle",
        LeakKind::Other => "other",
    }
}

/// The things of a kind in words, for one and for several.
pub fn leak_words(kind: LeakKind) -> (&'static str, &'static str) {
    match kind {
        LeakKind::Pool => ("pool allocation", "pool allocations"),
        LeakKind::Device => ("device object", "device objects"),
        LeakKind::SymbolicLink => ("symbolic link", "symbolic links"),
        LeakKind::Routine => ("registered routine", "registered routines"),
        LeakKind::Thread => ("system thread", "system threads"),
        LeakKind::Handle => ("open handle", "open handles"),
        LeakKind::Other => ("thing", "things"),
    }
}

/// What is different, as a word for programs.
pub(crate) fn change(change: Change) -> &'static str {
    match change {
        Change::RefusalNew => "refusal_new",
        Change::RefusalGone => "refusal_gone",
        Change::RefusalOther => "refusal_other",
        Change::FindingNew => "finding_new",
        Change::FindingGone => "finding_gone",
        Change::StopNew => "stop_new",
        Change::StopGone => "stop_gone",
    }
}

/// What was left behind, in words that are the same in every run.
pub(crate) fn left_behind(leak: &Leak<'_>) -> String {
    let (one, several) = leak_words(leak.kind);
    let things = if leak.count == 1 { one } else { several };
    let bytes = if leak.bytes == 0 { String::new() } else { format!(", {} bytes", leak.bytes) };
    format!("{} {things}: {}{bytes}", leak.count, leak.what)
}

/// Whether a record must reach its reader at once, whatever the pace: it may be the last.
pub(crate) fn is_urgent(body: &Body<'_>) -> bool {
    match body {
        Body::Verdict { status, .. } | Body::DriverStart { status, .. } => !status.is_success(),
        Body::Finding(_)
        | Body::Stop(_)
        | Body::CommandExit { .. }
        | Body::Termination { .. }
        | Body::End => true,
        _ => false,
    }
}

/// The tag of a record.
pub(crate) fn record_type(body: &Body<'_>) -> &'static str {
    match body {
        Body::Start { .. } => "start",
        Body::DriverLoad { .. } => "driver_load",
        Body::DriverStart { .. } => "driver_start",
        Body::DriverUnload { .. } => "driver_unload",
        Body::Registration { .. } => "registration",
        Body::Event(event) => event_type(&event.kind),
        Body::Notification(_) => "notification",
        Body::Verdict { .. } => "verdict",
        Body::Termination { .. } => "termination",
        Body::Doubt { .. } => "doubt",
        Body::Debug { .. } => "debug",
        Body::Finding(_) => "finding",
        Body::Stop(_) => "stop",
        Body::Leak(_) => "leak",
        Body::Difference { .. } => "difference",
        Body::Note { .. } => "note",
        Body::CommandExit { .. } => "command_exit",
        Body::Timing(_) => "timing",
        Body::PoolUsage(_) => "pool_usage",
        Body::End => "end",
    }
}

/// The tag of a record of an event.
pub(crate) fn event_type(kind: &EventKind<'_>) -> &'static str {
    match kind {
        EventKind::ProcessPresent(_) => "process_present",
        EventKind::ProcessClone(_) => "process_clone",
        EventKind::ProcessCreate(_) => "process_create",
        EventKind::ProcessExit(_) => "process_exit",
        EventKind::ThreadCreate(_) => "thread_create",
        EventKind::ThreadExit(_) => "thread_exit",
        EventKind::ImageLoad(_) => "image_load",
    }
}

/// The signals of x86-64 Linux, from 1.
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The name of a signal; `None` for real-time signals and numbers that are none.
pub(crate) fn signal_name(signal: i32) -> Option<&'static str> {
    let index = usize::try_from(signal).ok()?.checked_sub(1)?;
    SIGNALS.get(index).copied()
}
