//! Which record says what.

use event::{
    Body, Change, DriverId, Event, EventKind, Flavour, Image, Level, Name, Notification, Process, ProcessId,
    Record,
};
use nt_abi::NTSTATUS;

use super::Verbosity;
use super::palette::{BAD, DRIVER, FAINT, GOOD, PLAIN, STRONG, WARN};
use super::paper::{BLOCK, Paper};
use super::quantity::{count, duration, size};
use super::trouble;
use crate::names::{Names, nt_form};
use crate::words;

/// Columns of a command line that are worth showing.
const LEGIBLE: usize = 24;
/// How many missing imports are named in one line; the summary has all.
const NAMED: usize = 4;

/// Shows a record, in no line, one or several.
pub(super) fn show(paper: &mut Paper, record: &Record<'_>, names: &Names, verbosity: Verbosity) {
    if quietest(&record.body) <= verbosity {
        Timeline { paper, record, names, verbosity }.show();
    }
}

/// The verbosity from which on a record is shown.
fn quietest(body: &Body<'_>) -> Verbosity {
    use Verbosity::{Everything, Normal, Quiet, Verbose};
    match body {
        Body::Finding(_) | Body::Stop(_) | Body::Termination { .. } | Body::Difference { .. } => Quiet,
        Body::Verdict { status, .. } => if_good(*status, Verbose, Quiet),
        Body::DriverStart { status, .. } => if_good(*status, Normal, Quiet),
        Body::CommandExit { code: Some(0), signal: None } => Normal,
        Body::CommandExit { .. } => Quiet,
        Body::Start { .. }
        | Body::DriverLoad { .. }
        | Body::DriverUnload { .. }
        | Body::Registration { .. }
        | Body::Doubt { .. }
        | Body::Debug { .. }
        | Body::Leak(_)
        | Body::Note { level: Level::Info, .. } => Normal,
        Body::Note { level: Level::Warning, .. } => Quiet,
        Body::Event(event) => match event.kind {
            EventKind::ProcessCreate(_) | EventKind::ProcessExit(_) | EventKind::ImageLoad(_) => Normal,
            EventKind::ProcessPresent(_)
            | EventKind::ProcessClone(_)
            | EventKind::ThreadCreate(_)
            | EventKind::ThreadExit(_) => Verbose,
        },
        Body::Notification(_) => Verbose,
        Body::Timing(_) | Body::PoolUsage(_) | Body::End => Everything,
    }
}

fn if_good(status: NTSTATUS, good: Verbosity, bad: Verbosity) -> Verbosity {
    if status.is_success() { good } else { bad }
}

/// One record being shown.
pub(super) struct Timeline<'a> {
    pub(super) paper: &'a mut Paper,
    pub(super) record: &'a Record<'a>,
    pub(super) names: &'a Names,
    pub(super) verbosity: Verbosity,
}

impl Timeline<'_> {
    fn show(&mut self) {
        let record = self.record;
        match &record.body {
            Body::Start { version, profile, machine, command } => {
                self.start(version, profile, machine, command);
            }
            Body::DriverLoad { driver, path, base, size, missing, .. } => {
                self.driver_load(*driver, path, (*base, *size), missing);
            }
            Body::DriverStart { driver, status, elapsed } => self.driver_start(*driver, *status, *elapsed),
            Body::DriverUnload { driver, elapsed } => self.driver_unload(*driver, *elapsed),
            Body::Registration { .. } => self.registration(),
            Body::Event(event) => self.event(event),
            Body::Notification(notification) => self.notification(notification),
            Body::Verdict { process, status, driver } => self.verdict(*process, *status, *driver),
            Body::Termination { process, status, driver } => self.termination(*process, *status, *driver),
            Body::Doubt { process, because } => self.doubt(*process, *because),
            Body::Debug { driver, component, level, text } => self.debug(*driver, *component, *level, text),
            Body::Finding(finding) => trouble::finding(self, finding),
            Body::Stop(stop) => trouble::stop(self, stop),
            Body::Leak(leak) => trouble::leak(self, leak),
            Body::Difference { change, process, text } => self.difference(*change, *process, text),
            Body::Note { level, text } => self.note(*level, text),
            Body::CommandExit { code, signal } => self.command_exit(*code, *signal),
            Body::Timing(timing) => {
                let text = format!(
                    "{} routines: {}, {} in all, {} at most",
                    words::family(timing.family),
                    count(timing.calls, "call", "calls"),
                    duration(timing.total, self.paper.signs()),
                    duration(timing.longest, self.paper.signs()),
                );
                self.driver_line(timing.driver, FAINT, &text);
            }
            Body::PoolUsage(usage) => {
                let text = format!("pool: {}", super::quantity::pool(usage));
                self.driver_line(usage.driver, FAINT, &text);
            }
            Body::End => {
                self.begin();
                self.word_faint("end");
                self.paper.end();
            }
        }
    }

    /// Begins a line about the process in whose context the record was made.
    pub(super) fn begin(&mut self) {
        let context = self.record.context;
        self.begin_about((context != event::ClientId::default()).then_some(context.process));
    }

    fn begin_about(&mut self, process: Option<ProcessId>) {
        let who = process.map(|process| match self.names.process(process) {
            Some(name) => (process.0, name),
            // An image of process 0 is a driver's (R-IMG-01).
            None if process == ProcessId::IDLE => (process.0, "kernel"),
            None => (process.0, "?"),
        });
        self.paper.begin_event(self.names.elapsed(self.record.time), who);
    }

    fn word_faint(&mut self, word: &str) {
        self.paper.word(FAINT, " ", FAINT, word);
    }

    /// What a driver is called; its number where that is unknown.
    pub(super) fn driver_name(&self, driver: Option<DriverId>) -> String {
        match driver {
            Some(id) => self.names.driver(id).map_or_else(|| format!("driver {}", id.0), ToOwned::to_owned),
            None => "kernel".to_owned(),
        }
    }

    /// Begins a line about what a driver did.
    fn begin_driver(&mut self, driver: DriverId) {
        self.begin();
        let (sign, name) = (self.paper.signs().driver, self.driver_name(Some(driver)));
        self.paper.word(FAINT, sign, DRIVER, &name);
    }

    /// A line about what a driver did.
    fn driver_line(&mut self, driver: DriverId, style: anstyle::Style, text: &str) {
        self.begin_driver(driver);
        self.paper.put_wrapped(style, text);
        self.paper.end();
    }

    /// Begins a line about what went wrong for a driver.
    fn begin_attention(&mut self, driver: DriverId) {
        self.begin();
        let (sign, name) = (self.paper.signs().attention, self.driver_name(Some(driver)));
        self.paper.word(WARN, sign, DRIVER, &name);
    }

    fn start(&mut self, version: &str, profile: &str, machine: &str, command: &[impl AsRef<str>]) {
        let dot = self.paper.signs().dot;
        self.paper.begin();
        self.paper.put(STRONG, "callboard");
        self.paper.put(PLAIN, &format!(" {version} "));
        self.paper.sign(FAINT, dot);
        self.paper.put(PLAIN, &format!(" as {profile}"));
        if !machine.is_empty() {
            self.paper.put(PLAIN, " ");
            self.paper.sign(FAINT, dot);
            self.paper.put(PLAIN, " ");
            self.paper.put_short(STRONG, machine);
        }
        if !command.is_empty() {
            self.paper.put(PLAIN, " ");
            self.paper.sign(FAINT, dot);
            self.paper.put(PLAIN, " ");
            self.paper.put_short(STRONG, &words::shell_form(command));
        }
        self.paper.end();
        self.paper.begin();
        self.paper.put(FAINT, "       ms      pid process           notice");
        self.paper.end();
    }

    fn driver_load(
        &mut self,
        driver: DriverId,
        path: &str,
        (base, bytes): (u64, u64),
        missing: &[impl AsRef<str>],
    ) {
        self.begin_driver(driver);
        self.paper.put(PLAIN, "loaded ");
        if self.verbosity >= Verbosity::Verbose {
            self.paper.put(FAINT, &format!("{base:#x} {} ", size(bytes)));
        }
        self.paper.put_short(PLAIN, path);
        self.paper.end();
        if missing.is_empty() {
            return;
        }
        self.begin_attention(driver);
        let all = self.verbosity >= Verbosity::Verbose;
        let named = if all { missing.len() } else { NAMED };
        let names: Vec<_> = missing.iter().take(named).map(AsRef::as_ref).collect();
        let more = match missing.len().saturating_sub(named) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let imports =
            count(missing.len() as u64, "import that nobody implements", "imports that nobody implements");
        self.paper.put_wrapped(PLAIN, &format!("has {imports}: {}{more}", names.join(", ")));
        self.paper.end();
    }

    fn driver_start(&mut self, driver: DriverId, status: NTSTATUS, elapsed: u64) {
        let took = duration(elapsed, self.paper.signs());
        if status.is_success() {
            let answer =
                if status.as_u32() == 0 { String::new() } else { format!(" with {}", words::status(status)) };
            let took = if elapsed == 0 { String::new() } else { format!(" in {took}") };
            return self.driver_line(driver, PLAIN, &format!("started{took}{answer}"));
        }
        self.begin();
        self.paper.word(BAD, self.paper.signs().refused, BAD, "failed");
        self.paper.put_short(DRIVER, &self.driver_name(Some(driver)));
        self.paper
            .put_wrapped(PLAIN, &format!(": DriverEntry returned {} after {took}", words::status(status)));
        self.paper.end();
    }

    fn driver_unload(&mut self, driver: DriverId, elapsed: Option<u64>) {
        let text = match elapsed {
            Some(0) => "unloaded".to_owned(),
            Some(elapsed) => format!("unloaded in {}", duration(elapsed, self.paper.signs())),
            None => "has no DriverUnload and stays loaded".to_owned(),
        };
        self.driver_line(driver, PLAIN, &text);
    }

    fn registration(&mut self) {
        let &Body::Registration { driver, family, flavour, routine, slot, removed, status } =
            &self.record.body
        else {
            return;
        };
        let form = match flavour {
            Flavour::Plain => "",
            Flavour::Ex => " Ex",
            Flavour::Ex2 => " Ex2",
        };
        let what = format!("{} routine{form}", words::family(family));
        let verb = if removed { "removed" } else { "registered" };
        if !status.is_success() {
            self.begin_attention(driver);
            let api = words::registrar(family, flavour, removed);
            self.paper
                .put_wrapped(PLAIN, &format!("{what} not {verb}: {api} returned {}", words::status(status)));
            return self.paper.end();
        }
        let slot = match slot {
            Some(slot) if !removed || self.verbosity >= Verbosity::Verbose => format!(", slot {slot}"),
            _ => String::new(),
        };
        self.begin_driver(driver);
        self.paper.put(PLAIN, &format!("{what}{}{slot}", if removed { " removed" } else { "" }));
        if self.verbosity >= Verbosity::Verbose {
            self.paper.put(FAINT, &format!("  {routine:#x}"));
        }
        self.paper.end();
    }

    fn event(&mut self, event: &Event<'_>) {
        // A thread's line is about its process; which thread it is comes as a detail.
        self.begin_about(Some(event.process()));
        let signs = self.paper.signs();
        match &event.kind {
            EventKind::ProcessCreate(process) => {
                self.paper.word(GOOD, signs.created, GOOD, "created");
                self.process(process, STRONG);
            }
            EventKind::ProcessClone(process) => {
                self.word_faint("cloned");
                self.process(process, PLAIN);
            }
            EventKind::ProcessPresent(process) => {
                self.word_faint("present");
                self.process(process, PLAIN);
            }
            EventKind::ProcessExit(exit) => {
                self.paper.word(FAINT, signs.exited, PLAIN, "exited");
                self.paper.put_wrapped(PLAIN, &format!("with {}", self.exit_status(exit.status)));
                if let Some(lived) = self.names.lived(exit.process, event.time) {
                    self.paper.put_wrapped(FAINT, &format!(" after {}", duration(lived, signs)));
                }
            }
            EventKind::ThreadCreate(thread) => {
                self.paper.word(FAINT, signs.created, FAINT, "thread");
                self.paper.put(PLAIN, &thread.thread.thread.to_string());
            }
            EventKind::ThreadExit(exit) => {
                self.paper.word(FAINT, signs.exited, FAINT, "thread");
                self.paper.put(PLAIN, &format!("{} ", exit.thread.thread));
                self.paper.put(FAINT, &format!("exited with {}", self.exit_status(exit.status)));
            }
            EventKind::ImageLoad(image) => self.image(image),
        }
        let mut unusual = words::unusual(event);
        if self.names.doubt(event).is_some() {
            unusual.push("would not have happened");
        }
        if !unusual.is_empty() {
            self.paper.put(FAINT, &format!("  ({})", unusual.join(", ")));
        }
        if self.verbosity >= Verbosity::Everything && event.context != event::ClientId::default() {
            let context = event.context;
            self.paper.put(FAINT, &format!("  in {}.{}", context.process, context.thread));
        }
        match &event.kind {
            EventKind::ProcessCreate(process)
            | EventKind::ProcessClone(process)
            | EventKind::ProcessPresent(process)
                if self.verbosity >= Verbosity::Verbose =>
            {
                self.nt_form(process.image.as_ref());
            }
            EventKind::ImageLoad(image) if self.verbosity >= Verbosity::Everything => {
                self.nt_form(image.name.as_ref());
            }
            _ => {}
        }
        self.paper.end();
    }

    fn process(&mut self, process: &Process<'_>, style: anstyle::Style) {
        match &process.image {
            Some(image) => self.paper.put_short(style, image.for_people()),
            None => self.paper.put(FAINT, "(no name)"),
        }
        let by = match self.names.process(process.parent) {
            Some(parent) => format!("by {} {parent}", process.parent),
            None if process.parent == ProcessId::IDLE => String::new(),
            None => format!("by {}", process.parent),
        };
        let fits = |paper: &Paper, columns: usize| paper.room().is_none_or(|room| room >= columns);
        let line = process.command_line.as_deref();
        if !by.is_empty() || line.is_some() {
            // Who made it and from which words is worth a line of its own where the name leaves no room.
            let wanted = 2 + by.len() + line.map_or(0, |line| 4 + line.len().min(LEGIBLE));
            if !fits(self.paper, wanted) {
                self.paper.end();
                self.paper.begin_detail();
            } else {
                self.paper.space(2);
            }
        }
        self.paper.put_short(FAINT, &by);
        if let Some(line) = line {
            self.paper.put(FAINT, if by.is_empty() { "$ " } else { "  $ " });
            self.paper.put_short(FAINT, line);
        }
    }

    /// The NT path, in a line of its own.
    fn nt_form(&mut self, name: Option<&Name<'_>>) {
        if let Some(nt) = name.and_then(nt_form) {
            self.paper.end();
            self.paper.begin_detail();
            self.paper.put_short(FAINT, nt);
        }
    }

    fn image(&mut self, image: &Image<'_>) {
        self.paper.word(FAINT, self.paper.signs().image, FAINT, "image");
        if self.verbosity >= Verbosity::Verbose {
            self.paper.put(FAINT, &format!("{:#014x} {:>8} ", image.base, size(image.size)));
        }
        match &image.name {
            Some(name) => self.paper.put_short(PLAIN, name.for_people()),
            None => self.paper.put(FAINT, "(no name)"),
        }
        if let Some(file) = &image.file {
            self.paper.put(FAINT, &format!("  now {}", file.for_people()));
        }
        if image.conflicting {
            self.paper.put(FAINT, &format!("  {}, conflicting", words::architecture(image.architecture)));
        }
        if image.partial {
            self.paper.put(FAINT, "  partial view");
        }
    }

    fn notification(&mut self, notification: &Notification) {
        let family = words::family(notification.family);
        let took = duration(notification.elapsed, self.paper.signs());
        let status = match notification.status {
            Some(status) if status.as_u32() != 0 => format!(", CreationStatus {}", words::status(status)),
            _ => String::new(),
        };
        let text = format!("{family} routine in slot {} took {took}{status}", notification.slot);
        let address = match self.verbosity {
            Verbosity::Everything => format!("  {:#x}", notification.routine),
            _ => String::new(),
        };
        self.driver_line(notification.driver, FAINT, &format!("{text}{address}"));
    }

    fn verdict(&mut self, process: ProcessId, status: NTSTATUS, driver: Option<DriverId>) {
        self.begin_about(Some(process));
        if status.is_success() {
            self.word_faint("allowed");
            return self.paper.end();
        }
        self.paper.word(BAD, self.paper.signs().refused, BAD, "refused");
        self.paper.put(PLAIN, "by ");
        self.paper.put_short(DRIVER, &self.driver_name(driver));
        let answer = self.brief(status);
        self.paper.put_wrapped(PLAIN, &format!(": {answer}"));
        self.paper.end();
    }

    fn termination(&mut self, process: ProcessId, status: NTSTATUS, driver: Option<DriverId>) {
        self.begin_about(Some(process));
        self.paper.word(BAD, self.paper.signs().refused, BAD, "ended");
        self.paper.put(PLAIN, "by ");
        self.paper.put_short(DRIVER, &self.driver_name(driver));
        let answer = self.exit_status(status);
        self.paper.put_wrapped(PLAIN, &format!(": {answer}"));
        self.paper.end();
    }

    fn doubt(&mut self, process: ProcessId, because: ProcessId) {
        if process == because {
            // The verdict or termination was shown, and each line of the process says it.
            return;
        }
        self.begin_about(None);
        self.word_faint("doubt");
        let name = self.names.process(because).unwrap_or("?");
        let text = format!("{process} would not have happened, as {name} ({because}) was ended");
        self.paper.put_wrapped(PLAIN, &text);
        self.paper.end();
    }

    /// A status by its name alone, which fits into 80 columns, unless more is asked for.
    fn brief(&self, status: NTSTATUS) -> String {
        match status.name() {
            Some(name) if self.verbosity < Verbosity::Verbose => name.to_owned(),
            _ => words::status(status),
        }
    }

    /// An exit status: a small number as a person would say it, a signal that NT has no status for by its name,
    /// anything else as a status.
    fn exit_status(&self, status: NTSTATUS) -> String {
        if let small @ 0..=255 = status.as_u32() {
            return small.to_string();
        }
        match event::signal::of_status(status).and_then(|signal| words::signal_name(signal.into())) {
            Some(name) => format!("{name} ({})", words::status_code(status)),
            None => self.brief(status),
        }
    }

    fn debug(&mut self, driver: Option<DriverId>, component: u32, level: u32, text: &str) {
        self.begin();
        self.paper.word(FAINT, self.paper.signs().says, DRIVER, &self.driver_name(driver));
        if self.verbosity >= Verbosity::Everything {
            self.paper.put(FAINT, &format!("[{component}:{level}] "));
        }
        self.paper.put_wrapped(PLAIN, text);
        self.paper.end();
    }

    fn difference(&mut self, change: Change, process: ProcessId, text: &str) {
        self.begin_about((process != ProcessId::IDLE).then_some(process));
        let signs = self.paper.signs();
        let (sign, style) = match change {
            Change::RefusalGone | Change::FindingGone | Change::StopGone => (signs.exited, GOOD),
            _ => (signs.created, BAD),
        };
        self.paper.word(style, sign, style, "differs");
        self.paper.put_wrapped(PLAIN, text);
        self.paper.end();
    }

    fn note(&mut self, level: Level, text: &str) {
        self.begin();
        let signs = self.paper.signs();
        match level {
            Level::Info => self.paper.word(FAINT, signs.note, FAINT, "note"),
            Level::Warning => self.paper.word(WARN, signs.attention, WARN, "warning"),
        }
        self.paper.put_wrapped(PLAIN, text);
        self.paper.end();
    }

    fn command_exit(&mut self, code: Option<i32>, signal: Option<i32>) {
        self.begin_about(None);
        let signs = self.paper.signs();
        if (code, signal) == (Some(0), None) {
            self.paper.word(FAINT, signs.exited, PLAIN, "command");
        } else {
            self.paper.word(BAD, signs.exited, BAD, "command");
        }
        self.paper.put(PLAIN, &words::command_end(code, signal));
        self.paper.end();
    }
}

/// A blank line and the beginning of a block that has the whole width.
pub(super) fn begin_block(paper: &mut Paper) {
    paper.blank();
    paper.begin_at(BLOCK);
}
