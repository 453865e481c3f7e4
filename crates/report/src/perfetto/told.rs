//! Which record says what.

use std::io::Write;
use std::sync::Arc;

use event::{Body, ClientId, DriverId, Event, EventKind, Finding, Frame, Image, Notification, Process};
use event::{Leak, ProcessId, Record, Stop, ThreadId};
use nt_abi::{BugCheckCode, NTSTATUS};

use super::entry::{Args, Entry, Phase, Scope};
use super::tracks::{New, Track};
use super::{LATEST, Perfetto};
use crate::json::{Address, Code};
use crate::{frame, words};

/// How much of a line of a driver is its name in the trace; all of it stands beside it.
const SHORT: usize = 100;
/// What belongs to nobody.
const NOBODY: ClientId = ClientId { process: ProcessId(0), thread: ThreadId(0) };

impl<W: Write> Perfetto<W> {
    /// Tells a record.
    pub(super) fn tell(&mut self, record: &Record<'_>) {
        let (time, context) = (self.at(record.time), record.context);
        match &record.body {
            Body::Start { profile, command, .. } => {
                let text = command.join(" ");
                self.moment(
                    NOBODY,
                    Scope::Process,
                    "run",
                    &format!("start {profile}"),
                    time,
                    text_args(&text),
                );
            }
            Body::DriverLoad { driver, path, base, size, .. } => {
                self.settle(context, time);
                let name = self.driver(Some(*driver));
                let args = Args {
                    image: Some(path),
                    base: Some(Address(*base)),
                    size: Some(*size),
                    ..of_driver(&name)
                };
                self.moment(context, Scope::Thread, "driver", &format!("{name} loaded"), time, args);
            }
            Body::DriverStart { driver, status, elapsed } => {
                let name = self.driver(Some(*driver));
                let args = Args { status: Some(Code(status.as_u32())), ..of_driver(&name) };
                self.lasting(context, "driver", &format!("{name} DriverEntry"), time, *elapsed, args);
            }
            Body::DriverUnload { driver, elapsed } => {
                let name = self.driver(Some(*driver));
                let elapsed = elapsed.unwrap_or(0);
                let args = of_driver(&name);
                self.lasting(context, "driver", &format!("{name} DriverUnload"), time, elapsed, args);
            }
            Body::Registration { driver, family, flavour, routine, slot, removed, status } => {
                let name = self.driver(Some(*driver));
                let args = Args {
                    routine: Some(Address(*routine)),
                    slot: *slot,
                    status: Some(Code(status.as_u32())),
                    ..of_driver(&name)
                };
                let registrar = words::registrar(*family, *flavour, *removed);
                self.moment(context, Scope::Thread, "driver", registrar, time, args);
            }
            Body::Event(event) => self.event(time, event),
            Body::Notification(notification) => self.call(time, context, notification),
            Body::Verdict { process, status, driver } => {
                self.verdict(time, context, *process, *status, *driver)
            }
            Body::Termination { process, status, driver } => {
                let name = self.driver(*driver);
                let args =
                    Args { pid: Some(process.0), status: Some(Code(status.as_u32())), ..of_driver(&name) };
                self.moment(context, Scope::Process, "verdict", "terminated", time, args);
            }
            Body::Debug { driver, text, .. } => {
                let name = self.driver(*driver);
                let short: String = text.chars().take(SHORT).collect();
                let args = Args { text: Some(text), ..of_driver(&name) };
                self.moment(context, Scope::Thread, "debug", &short, time, args);
            }
            Body::Finding(finding) => self.finding(time, context, finding),
            Body::Stop(stop) => self.stop(time, context, stop),
            Body::Leak(leak) => self.leak(time, context, leak),
            Body::Difference { change, process, text } => {
                let args = Args { pid: Some(process.0).filter(|pid| *pid != 0), ..text_args(text) };
                let name = format!("difference: {}", words::change(*change));
                self.moment(NOBODY, Scope::Process, "verdict", &name, time, args);
            }
            Body::Note { level, text } => {
                let level = format!("note: {}", words::level(*level));
                self.moment(NOBODY, Scope::Process, "run", &level, time, text_args(text));
            }
            Body::CommandExit { code, signal } => {
                let end = match (code, signal) {
                    (_, Some(signal)) => format!("the command was killed by signal {signal}"),
                    (Some(code), None) => format!("the command exited with {code}"),
                    (None, None) => "the command ended".to_owned(),
                };
                self.moment(NOBODY, Scope::Process, "run", &end, time, Args::default());
            }
            // Each event says the first; the others are sums.
            Body::Doubt { .. } | Body::Timing(_) | Body::PoolUsage(_) | Body::End => {}
        }
    }

    /// Ends what is still under way on this machine.
    pub(super) fn end_machine(&mut self) {
        let (creating, living) = self.tracks.unfinished();
        for context in creating.into_values() {
            self.end_creation(context);
        }
        for process in living.into_values() {
            self.end_life(process, self.now, text_args("still there at the end"));
        }
    }

    fn driver(&self, driver: Option<DriverId>) -> Arc<str> {
        match driver {
            Some(driver) => {
                self.drivers.get(&driver).cloned().unwrap_or_else(|| format!("driver {}", driver.0).into())
            }
            None => "".into(),
        }
    }

    /// The thread of a context, named before its first use.
    fn track(&mut self, context: ClientId) -> Track {
        let track = self.tracks.thread(context).track;
        self.name_new();
        track
    }

    fn name_new(&mut self) {
        for new in self.tracks.take_new() {
            let (what, track, name) = match &new {
                New::Process(track, name) => ("process_name", *track, name),
                New::Thread(track, name) => ("thread_name", *track, name),
            };
            self.emit(&Entry::metadata(what, track, Args { name: Some(name), ..Args::default() }));
            if let New::Process(..) = new {
                // In the order of their creation, as names and ids say nothing about that.
                let args = Args { sort_index: Some(track.process), ..Args::default() };
                self.emit(&Entry::metadata("process_sort_index", track, args));
            }
        }
    }

    /// When a thread is free for what happened at `time`; nothing on it begins earlier any more.
    fn settle(&mut self, context: ClientId, time: u64) -> u64 {
        let thread = self.tracks.thread(context);
        thread.busy = thread.busy.max(time);
        thread.busy
    }

    fn moment(
        &mut self,
        context: ClientId,
        scope: Scope,
        category: &'static str,
        name: &str,
        time: u64,
        args: Args<'_>,
    ) {
        let on = self.track(context);
        let time = self.tracks.thread(context).busy.max(time);
        self.emit(&Entry::new(Phase::Instant(scope), category, name, on, time).with(args));
    }

    /// What ended at `time` and took `elapsed`, as far back as the thread was free; where the clock stands still it begins
    /// then.
    fn lasting(
        &mut self,
        context: ClientId,
        category: &'static str,
        name: &str,
        time: u64,
        elapsed: u64,
        args: Args<'_>,
    ) {
        let on = self.track(context);
        let thread = self.tracks.thread(context);
        let start = time.saturating_sub(elapsed).max(thread.busy);
        let end = start.saturating_add(elapsed).min(LATEST.max(start));
        thread.busy = end;
        self.emit(&Entry::new(Phase::Complete, category, name, on, start).lasting(end - start).with(args));
    }

    fn event(&mut self, time: u64, event: &Event<'_>) {
        let context = event.context;
        let because_pid = self.names.doubt(event).map(|process| process.0);
        self.end_creation(context);
        match &event.kind {
            EventKind::ProcessPresent(process) => {
                self.begin_life(time, process, because_pid);
            }
            EventKind::ProcessClone(process) | EventKind::ProcessCreate(process) => {
                let number = self.begin_life(time, process, because_pid);
                self.creation(time, context, process, number);
            }
            EventKind::ProcessExit(exit) => {
                self.settle(context, time);
                let args =
                    || Args { status: Some(Code(exit.status.as_u32())), because_pid, ..Args::default() };
                self.moment(context, Scope::Thread, "process", "process exits", time, args());
                self.end_life(exit.process, time, args());
            }
            EventKind::ThreadCreate(thread) => {
                self.settle(context, time);
                self.end_creation(thread.thread);
                self.tracks.new_thread(thread.thread);
                let args = Args { because_pid, ..Args::default() };
                self.moment(thread.thread, Scope::Thread, "thread", "thread created", time, args);
            }
            EventKind::ThreadExit(exit) => {
                self.settle(context, time);
                let args = Args { status: Some(Code(exit.status.as_u32())), because_pid, ..Args::default() };
                self.moment(exit.thread, Scope::Thread, "thread", "thread exits", time, args);
                self.tracks.end_thread(exit.thread);
            }
            EventKind::ImageLoad(image) => self.image(time, context, image, because_pid),
        }
    }

    fn image(&mut self, time: u64, context: ClientId, image: &Image<'_>, because_pid: Option<u32>) {
        self.settle(context, time);
        let file = image.name.as_ref().map_or("without a name", |name| name.file_name());
        let args = Args {
            pid: Some(image.process.0),
            because_pid,
            image: image.name.as_ref().map(|name| name.for_people()),
            base: Some(Address(image.base)),
            size: Some(image.size),
            ..Args::default()
        };
        self.moment(context, Scope::Thread, "image", &format!("image {file}"), time, args);
    }

    /// The beginning of a process's lifetime, and the number it has.
    fn begin_life(&mut self, time: u64, process: &Process<'_>, because_pid: Option<u32>) -> u32 {
        for context in self.tracks.creating(process.process).into_values() {
            self.end_creation(context);
        }
        // An exit that nobody told.
        self.end_life(process.process, time, text_args("its id is used again"));
        let name = match &process.image {
            Some(image) => image.file_name().to_owned(),
            // A clone runs its parent's image.
            None => self
                .tracks
                .known(process.parent)
                .map_or_else(|| "process".to_owned(), |parent| parent.name.clone()),
        };
        let number = self.tracks.add(process.process, &name);
        let on = self.track(ClientId { process: process.process, thread: process.first_thread });
        let args = Args {
            pid: Some(process.process.0),
            parent: Some(process.parent.0),
            because_pid,
            image: process.image.as_ref().map(|image| image.for_people()),
            command_line: process.command_line.as_deref(),
            ..Args::default()
        };
        self.emit(&Entry::new(Phase::AsyncBegin, "process", &name, on, time).tied(number).with(args));
        self.count(time);
        number
    }

    fn end_life(&mut self, process: ProcessId, time: u64, args: Args<'_>) {
        let Some((number, name)) = self.tracks.end(process) else { return };
        let on = Track { process: number, thread: number };
        self.emit(&Entry::new(Phase::AsyncEnd, "process", &name, on, time).tied(number).with(args));
        self.count(time);
    }

    fn count(&mut self, time: u64) {
        let on = self.track(NOBODY);
        let args = Args { processes: Some(self.tracks.living), ..Args::default() };
        self.emit(&Entry::new(Phase::Counter, "process", "live processes", on, time).with(args));
    }

    /// The creation itself, on the thread of whoever created it, and an arrow from there to the new process.
    fn creation(&mut self, time: u64, context: ClientId, process: &Process<'_>, number: u32) {
        let creator = match context {
            NOBODY => ClientId { process: process.parent, thread: ThreadId(0) },
            somebody => somebody,
        };
        self.end_creation(creator);
        let from = self.track(creator);
        let time = self.settle(creator, time);
        let name = self.tracks.known(process.process).map_or_else(String::new, |known| known.name.clone());
        let name = format!("create {name}");
        let args = Args { pid: Some(process.process.0), ..Args::default() };
        self.emit(&Entry::new(Phase::Begin, "process", &name, from, time).with(args));
        self.emit(&Entry::new(Phase::FlowStart, "process", "created", from, time).tied(number));
        self.tracks.thread(creator).creating = Some((name, time));
        // An arrow needs something to end in, and that something a length.
        let first = ClientId { process: process.process, thread: process.first_thread };
        let to = self.track(first);
        let time = self.settle(first, time);
        self.tracks.thread(first).busy = time.saturating_add(1);
        self.emit(&Entry::new(Phase::Complete, "process", "created", to, time).lasting(1));
        self.emit(&Entry::new(Phase::FlowEnd, "process", "created", to, time).tied(number));
    }

    /// A creation is over when its thread goes on, or when somebody refused it.
    fn end_creation(&mut self, context: ClientId) {
        let Some((thread, name, since)) = self.tracks.take_creation(context) else { return };
        thread.busy = thread.busy.max(since.saturating_add(1));
        let (on, time) = (thread.track, thread.busy);
        self.emit(&Entry::new(Phase::End, "process", &name, on, time));
    }

    fn call(&mut self, time: u64, context: ClientId, notification: &Notification) {
        let Notification { driver, family, slot, routine, elapsed, status } = *notification;
        let name = self.driver(Some(driver));
        let args = Args {
            routine: Some(Address(routine)),
            slot: Some(slot),
            status: status.map(|status| Code(status.as_u32())),
            ..of_driver(&name)
        };
        let shown = format!("{name} {}", words::family(family));
        self.lasting(context, "routine", &shown, time, elapsed, args);
    }

    fn verdict(
        &mut self,
        time: u64,
        context: ClientId,
        process: ProcessId,
        status: NTSTATUS,
        driver: Option<DriverId>,
    ) {
        if status.is_success() {
            return;
        }
        let name = self.driver(driver);
        let refused =
            || Args { pid: Some(process.0), status: Some(Code(status.as_u32())), ..of_driver(&name) };
        self.settle(context, time);
        self.moment(context, Scope::Process, "verdict", "refused", time, refused());
        self.end_creation(context);
        self.end_life(process, time, refused());
    }

    fn finding(&mut self, time: u64, context: ClientId, finding: &Finding<'_>) {
        let name = self.driver(finding.driver);
        let args = Args {
            rule: Some(&finding.rule),
            text: Some(&finding.message),
            stack: lines(&finding.stack),
            ..of_driver(&name)
        };
        let shown = format!("{} {}", finding.rule, finding.severity.word());
        self.moment(context, Scope::Process, "finding", &shown, time, args);
    }

    fn stop(&mut self, time: u64, context: ClientId, stop: &Stop<'_>) {
        let name = self.driver(stop.driver);
        let args = Args { text: Some(&stop.message), stack: lines(&stop.stack), ..of_driver(&name) };
        let what = match stop.code {
            0 => words::stop_kind(stop.kind).replace('_', " "),
            code => BugCheckCode(code).to_string(),
        };
        self.moment(context, Scope::Global, "stop", &format!("STOP {what}"), time, args);
    }

    fn leak(&mut self, time: u64, context: ClientId, leak: &Leak<'_>) {
        let name = self.driver(Some(leak.driver));
        let args = Args { text: Some(&leak.what), size: Some(leak.bytes), ..of_driver(&name) };
        let shown = format!("leak: {}", words::leak_words(leak.kind).0);
        self.moment(context, Scope::Process, "leak", &shown, time, args);
    }
}

fn of_driver(name: &str) -> Args<'_> {
    Args { driver: (!name.is_empty()).then_some(name), ..Args::default() }
}

fn text_args(text: &str) -> Args<'_> {
    Args { text: (!text.is_empty()).then_some(text), ..Args::default() }
}

fn lines(stack: &[Frame<'_>]) -> Vec<String> {
    stack.iter().map(frame::line).collect()
}
