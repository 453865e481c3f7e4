//! What recordings become, case by case; arbitrary ones in `arbitrary`.

mod arbitrary;
mod order;
mod treatment;

use std::time::Duration;

use event::{Event, EventKind, Time};
use telemetry::{ImageLoad, ProcessCreate, ProcessExit, Subject, ThreadEvent, Told, What};

use super::{Account, Normaliser, Options, Step, Strictness};

/// A process, by its id alone.
fn of(process: u32) -> Subject {
    Subject { process: Some(process), ..Subject::default() }
}

/// The same with what tells it from others.
fn with_guid(process: u32, unique: &str) -> Subject {
    Subject { unique: Some(unique.into()), ..of(process) }
}

fn create_of(subject: Subject, parent: Subject) -> What {
    let image = Some(format!(r"C:\bin\p{}.exe", subject.process.unwrap_or(0)).into());
    What::ProcessCreate(ProcessCreate {
        subject: Subject { image, ..subject },
        parent,
        command_line: Some("p".into()),
        ..ProcessCreate::default()
    })
}

fn create(process: u32, parent: u32) -> What {
    create_of(of(process), of(parent))
}

fn exit_of(subject: Subject) -> What {
    What::ProcessExit(ProcessExit { subject, status: Some(1) })
}

fn exit(process: u32) -> What {
    exit_of(of(process))
}

fn image_of(subject: Subject, path: &str) -> What {
    What::ImageLoad(ImageLoad { subject, path: Some(path.into()), ..ImageLoad::default() })
}

fn image(process: u32, path: &str) -> What {
    image_of(of(process), path)
}

fn thread(process: u32, thread: u32) -> ThreadEvent {
    ThreadEvent { subject: of(process), thread: Some(thread), ..ThreadEvent::default() }
}

/// What a recording became.
struct Outcome {
    /// Event by event, as one line each: `+` what no record says.
    lines: Vec<String>,
    events: Vec<Event<'static>>,
    account: Account,
}

fn strict() -> Options {
    Options { strictness: Strictness::Strict, ..Options::default() }
}

/// Records of one machine, each at its time.
fn replay(options: Options, records: Vec<(i64, What)>) -> Outcome {
    let mut normaliser = Normaliser::new(options);
    let (mut lines, mut events) = (Vec::new(), Vec::new());
    let mut out = |step: Step<'_>| match step {
        Step::Accepted(accepted) => {
            for told in accepted.events {
                lines.push(line(&told.event, told.recorded));
                events.push(told.event.clone());
            }
        }
        Step::Passed(_) => unreachable!("there are no events among records"),
        Step::Rejected(rejection) => lines.push(format!("! {} {}", rejection.number, rejection.cause)),
    };
    for (number, (time, what)) in (1..).zip(records) {
        let told = Told { number, machine: None, time: Some(Time(time)), record_id: None, what };
        normaliser.take(0, Ok(Box::new(told)), &mut out);
    }
    normaliser.finish(&mut out);
    assert_eq!(normaliser.waiting(), 0);
    let account = normaliser.account().clone();
    assert_eq!(account.read, account.accepted + account.rejections());
    Outcome { lines, events, account }
}

fn lines(records: Vec<(i64, What)>) -> Vec<String> {
    replay(Options::default(), records).lines
}

/// An event in short: `create 8 of 4`; stand-in threads are `first`.
fn line(event: &Event<'_>, recorded: bool) -> String {
    let thread = |id: u32| if id >= 0x4000_0000 { "first".to_owned() } else { id.to_string() };
    let what = match &event.kind {
        EventKind::ProcessPresent(process) => format!("present {}", process.process),
        EventKind::ProcessClone(_) => unreachable!("no recording tells of clones"),
        EventKind::ProcessCreate(process) => format!("create {} of {}", process.process, process.parent),
        EventKind::ProcessExit(exit) => format!("exit {} {}", exit.process, exit.status.as_u32()),
        EventKind::ThreadCreate(it) => format!("thread {}.{}", it.thread.process, thread(it.thread.thread.0)),
        EventKind::ThreadExit(it) => format!("ends {}.{}", it.thread.process, thread(it.thread.thread.0)),
        EventKind::ImageLoad(image) => {
            let name = image.name.as_ref().map_or("?", |name| name.file_name());
            format!("image {} {name}", image.process)
        }
    };
    let context = format!("{}.{}", event.context.process, thread(event.context.thread.0));
    format!("{}{what} @{} in {context}", if recorded { "" } else { "+ " }, event.time.0)
}

/// The events without times and contexts.
fn short(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split(" @").next().unwrap_or(line)).collect()
}

fn window(records: usize, span: Duration) -> Options {
    Options { window: records, span, ..Options::default() }
}
