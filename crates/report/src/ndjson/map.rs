//! Records to lines.

use event::{Body, ClientId, Event, EventKind, Image, Name, Process, ProcessId, Record, StopKind, ThreadId};

use nt_abi::BugCheckCode;

use super::line::{self, Line, Who};
use crate::json::{Address, Code, Moment};
use crate::names::Names;
use crate::words;

/// The line for a record.
pub(super) fn line<'a>(
    record: &'a Record<'a>,
    names: &'a Names,
    schema: Option<&'static str>,
    live: bool,
) -> Line<'a> {
    Line {
        kind: words::record_type(&record.body),
        schema,
        time: Moment(record.time),
        elapsed_ns: names.elapsed(record.time),
        who: who(record, names, live),
        driver: driver_of(&record.body)
            .map(|driver| line::Driver { driver_id: driver.0, driver: names.driver(driver) }),
        body: body(&record.body, live),
    }
}

fn who<'a>(record: &Record<'_>, names: &'a Names, live: bool) -> Who<'a> {
    let context = record.context;
    match &record.body {
        Body::Event(event) => Who {
            conditions: words::conditions(event.conditions),
            because_pid: names.doubt(event).map(|process| process.0),
            ..about(subject(event), Some(event.context), names, live)
        },
        Body::Verdict { process, .. } | Body::Termination { process, .. } => {
            about(ClientId { process: *process, thread: ThreadId(0) }, Some(context), names, live)
        }
        Body::Doubt { process, because } => Who {
            because_pid: Some(because.0),
            ..about(ClientId { process: *process, thread: ThreadId(0) }, Some(context), names, live)
        },
        Body::Difference { process, .. } => {
            about(ClientId { process: *process, thread: ThreadId(0) }, None, names, live)
        }
        _ => about(context, None, names, live),
    }
}

/// The process and, for events of threads, the thread that an event is about.
fn subject(event: &Event<'_>) -> ClientId {
    match &event.kind {
        EventKind::ThreadCreate(thread) => thread.thread,
        EventKind::ThreadExit(exit) => exit.thread,
        EventKind::ProcessCreate(process)
        | EventKind::ProcessClone(process)
        | EventKind::ProcessPresent(process) => {
            ClientId { process: process.process, thread: process.first_thread }
        }
        EventKind::ProcessExit(_) | EventKind::ImageLoad(_) => {
            ClientId { process: event.process(), thread: ThreadId(0) }
        }
    }
}

fn about(subject: ClientId, context: Option<ClientId>, names: &Names, live: bool) -> Who<'_> {
    let ClientId { process, thread } = subject;
    // An image of process 0 is a driver's (R-IMG-01), so for what is about somebody 0 is somebody.
    let somebody = context.is_some() || subject != ClientId::default();
    let context = context.filter(|&context| context != ClientId::default());
    Who {
        pid: somebody.then_some(process.0),
        tid: nonzero(thread.0),
        linux_pid: process.to_linux().filter(|_| live),
        linux_tid: thread.to_linux().filter(|_| live),
        process: names.process(process),
        context_pid: context.map(|context| context.process.0),
        context_tid: context.and_then(|context| nonzero(context.thread.0)),
        because_pid: None,
        conditions: Vec::new(),
    }
}

fn nonzero(id: u32) -> Option<u32> {
    (id != 0).then_some(id)
}

fn driver_of(body: &Body<'_>) -> Option<event::DriverId> {
    match body {
        Body::DriverLoad { driver, .. }
        | Body::DriverStart { driver, .. }
        | Body::DriverUnload { driver, .. }
        | Body::Registration { driver, .. } => Some(*driver),
        Body::Notification(notification) => Some(notification.driver),
        Body::Verdict { driver, .. } | Body::Termination { driver, .. } | Body::Debug { driver, .. } => {
            *driver
        }
        Body::Finding(finding) => finding.driver,
        Body::Stop(stop) => stop.driver,
        Body::Leak(leak) => Some(leak.driver),
        Body::Timing(timing) => Some(timing.driver),
        Body::PoolUsage(usage) => Some(usage.driver),
        Body::Start { .. }
        | Body::Event(_)
        | Body::Doubt { .. }
        | Body::Difference { .. }
        | Body::Note { .. }
        | Body::CommandExit { .. }
        | Body::End => None,
    }
}

fn body<'a>(body: &'a Body<'a>, live: bool) -> line::Body<'a> {
    match body {
        Body::Start { version, profile, machine, command } => {
            line::Body::Start { version, profile, machine, command }
        }
        Body::DriverLoad { path, base, size, missing, .. } => {
            line::Body::DriverLoad { path, base: Address(*base), size: *size, missing_imports: missing }
        }
        Body::DriverStart { status, elapsed, .. } => {
            line::Body::DriverStart { status: (*status).into(), duration_ns: *elapsed }
        }
        Body::DriverUnload { elapsed, .. } => line::Body::DriverUnload { duration_ns: *elapsed },
        Body::Registration { family, flavour, routine, slot, removed, status, .. } => {
            line::Body::Registration {
                action: if *removed { "remove" } else { "register" },
                family: words::family(*family),
                flavour: words::flavour(*flavour),
                routine: Address(*routine),
                slot: *slot,
                status: (*status).into(),
            }
        }
        Body::Event(event) => of_event(event, live),
        Body::Notification(notification) => line::Body::Notification {
            family: words::family(notification.family),
            slot: notification.slot,
            routine: Address(notification.routine),
            duration_ns: notification.elapsed,
            status: notification.status.map(Into::into),
        },
        Body::Verdict { status, .. } => {
            line::Body::Verdict { refused: !status.is_success(), status: (*status).into() }
        }
        Body::Termination { status, .. } => line::Body::Exit { status: (*status).into() },
        Body::Doubt { .. } => line::Body::Plain {},
        Body::Difference { change, text, .. } => {
            line::Body::Difference { change: words::change(*change), text }
        }
        Body::Debug { component, level, text, .. } => {
            line::Body::Debug { component: *component, level: *level, text }
        }
        Body::Finding(finding) => line::Body::Finding {
            rule: &finding.rule,
            severity: finding.severity.word(),
            message: &finding.message,
            bug_check: finding.bug_check.map(|(code, parameters)| bug_check(code, parameters)),
            stack: stack(&finding.stack),
        },
        Body::Stop(stop) => line::Body::Stop(Box::new(line::Stop {
            kind: words::stop_kind(stop.kind),
            bug_check: (stop.kind == StopKind::BugCheck || stop.code != 0)
                .then(|| bug_check(stop.code, stop.parameters)),
            message: &stop.message,
            state: stop
                .registers
                .as_deref()
                .map(|registers| line::State { registers: registers.into(), irql: registers.irql }),
            stack: stack(&stop.stack),
        })),
        Body::Leak(leak) => line::Body::Leak {
            kind: words::leak_kind(leak.kind),
            what: &leak.what,
            count: leak.count,
            bytes: leak.bytes,
        },
        Body::Note { level, text } => line::Body::Note { level: words::level(*level), text },
        Body::CommandExit { code, signal } => line::Body::CommandExit {
            exit_code: *code,
            signal: *signal,
            signal_name: signal.and_then(words::signal_name),
        },
        Body::Timing(timing) => line::Body::Timing {
            family: words::family(timing.family),
            calls: timing.calls,
            total_ns: timing.total,
            longest_ns: timing.longest,
        },
        Body::PoolUsage(usage) => line::Body::PoolUsage {
            paged_allocations: usage.paged.allocations,
            paged_peak_bytes: usage.paged.peak,
            nonpaged_allocations: usage.nonpaged.allocations,
            nonpaged_peak_bytes: usage.nonpaged.peak,
        },
        Body::End => line::Body::Plain {},
    }
}

fn of_event<'a>(event: &'a Event<'a>, live: bool) -> line::Body<'a> {
    match &event.kind {
        EventKind::ProcessPresent(process)
        | EventKind::ProcessClone(process)
        | EventKind::ProcessCreate(process) => line::Body::Process(of_process(process, live)),
        EventKind::ProcessExit(exit) => line::Body::Exit { status: exit.status.into() },
        EventKind::ThreadExit(exit) => line::Body::Exit { status: exit.status.into() },
        EventKind::ThreadCreate(_) => line::Body::Plain {},
        EventKind::ImageLoad(image) => line::Body::Image(of_image(image)),
    }
}

fn of_process<'a>(process: &'a Process<'a>, live: bool) -> line::Process<'a> {
    let creator = (process.creator != ClientId::default()).then_some(process.creator);
    line::Process {
        parent_pid: process.parent.0,
        parent_linux_pid: linux(process.parent, live),
        creator_pid: creator.map(|creator| creator.process.0),
        creator_tid: creator.map(|creator| creator.thread.0),
        file: file(process.image.as_ref()),
        command_line: process.command_line.as_deref(),
        open_name_available: process.open_name_available,
        architecture: words::architecture(process.architecture),
        subsystem: words::subsystem(process.subsystem),
        inherits_no_handles: process.inherits_no_handles,
    }
}

fn linux(process: ProcessId, live: bool) -> Option<u32> {
    process.to_linux().filter(|_| live)
}

fn of_image<'a>(image: &'a Image<'a>) -> line::Image<'a> {
    let signed = image.signature != event::Signature::default();
    line::Image {
        name: file(image.name.as_ref()),
        file: image.file.as_ref().map(Name::for_people),
        file_nt: image.file.as_ref().map(|file| &*file.nt),
        base: Address(image.base),
        size: image.size,
        architecture: words::architecture(image.architecture),
        partial: image.partial,
        conflicting: image.conflicting,
        mapping: words::mapping(image.mapping),
        signature_level: signed.then_some(image.signature.level),
        signature_type: signed.then_some(image.signature.kind),
    }
}

/// Both forms, also where they are the same: whoever looks for an NT path looks in one place.
fn file<'a>(name: Option<&'a Name<'a>>) -> line::File<'a> {
    line::File { image: name.map(Name::for_people), image_nt: name.map(|name| &*name.nt) }
}

fn bug_check(code: u32, parameters: [u64; 4]) -> line::BugCheck {
    line::BugCheck {
        bug_check: Code(code),
        bug_check_name: BugCheckCode(code).name(),
        parameters: parameters.map(Address),
    }
}

fn stack<'a>(frames: &'a [event::Frame<'a>]) -> Vec<line::Frame<'a>> {
    let frame = |frame: &'a event::Frame<'a>| line::Frame {
        address: Address(frame.address),
        place: frame.module.as_deref().map(|module| line::Place { module, offset: Address(frame.offset) }),
        symbol: frame.symbol.as_deref(),
    };
    frames.iter().map(frame).collect()
}
