//! The records of all files, once from front to back.
//!
//! ```text
//!   file ──▶ (thread) ──Item, Item, …──▶ Reading ──▶ Normaliser ──▶ Step
//!   file ──▶ (thread) ──Item, Item, …──┘ in the order of the files
//! ```
//!
//! Files are read ahead, so that reading and what is done with the records take turns on no processor.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use callboard::exit;
use callboard::replay::{Account, Normaliser, Options, Step, Which};
use event::Event;
use indicatif::{ProgressBar, ProgressStyle};
use telemetry::recording::{Ending, Reader};
use telemetry::{Format, Part, Reason, Rejected, Told};

use super::files::Files;
use super::shown;
use crate::Failure;

/// Whether bars are drawn after so long.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many records are read between two looks at the clock.
const STRIDE: u64 = 1024;
/// How many records go together from the thread that reads a file.
const BATCH: usize = 128;
/// How many batches of a file wait.
const AHEAD: usize = 8;

/// One thing that stands in a file.
enum Item {
    /// A record of another tool.
    Record(Result<Told, Rejected>),
    /// An event of our own recordings: which of the file, of which machine, and what.
    Event(u64, Arc<str>, Box<Event<'static>>),
}

/// Reads all files, so many at once, and says what became of their records. `out` hears of each, until it wants no more.
pub(super) fn read(
    files: &Files,
    options: &Options,
    at_once: usize,
    out: &mut dyn FnMut(Step<'_>) -> Result<(), Failure>,
) -> Result<Account, Failure> {
    let mut normaliser = Normaliser::new(options.clone());
    let failure = RefCell::new(None);
    let mut step = |step: Step<'_>| {
        let mut failure = failure.borrow_mut();
        if failure.is_none() {
            *failure = out(step).err();
        }
    };
    let mut progress = Progress::new();
    let mut parts = files.parts.iter();
    let mut begun: VecDeque<_> = parts.by_ref().take(at_once.max(1)).map(begin).collect();
    let mut file = 0;
    while let Some(items) = begun.pop_front() {
        for batch in items {
            for item in batch? {
                match item {
                    Item::Record(record) => normaliser.take(file, record, &mut step),
                    Item::Event(number, machine, event) => {
                        normaliser.pass(file, number, &machine, *event, &mut step);
                    }
                }
                progress.one();
            }
            failure.take().map_or(Ok(()), Err)?;
        }
        begun.extend(parts.next().map(begin));
        file += 1;
    }
    normaliser.finish(&mut step);
    failure.take().map_or(Ok(()), Err)?;
    if let Which::Named(name) = &options.machines
        && !normaliser.machines().any(|machine| machine.eq_ignore_ascii_case(name))
    {
        let known: Vec<_> = normaliser.machines().map(shown).collect();
        let message = format!("there is no machine {name}; there are {}", known.join(", "));
        return Err(Failure::new(exit::USAGE, message));
    }
    Ok(normaliser.account().clone())
}

/// Begins to read a part, on a thread of its own. Nobody waits for that thread: it may itself wait for a pipe.
fn begin((part, format): &(Part, Format)) -> Receiver<Result<Vec<Item>, Failure>> {
    let (sender, receiver) = mpsc::sync_channel(AHEAD);
    let (part, format) = (part.clone(), *format);
    thread::spawn(move || {
        let mut sending = Sending { sender, batch: Vec::new() };
        let read = match format {
            Format::Cbr => events(&part, &mut sending),
            _ => records(&part, format, &mut sending),
        };
        // Where nobody listens any more there is nothing to do about it.
        let _ = sending.send();
        if let Err(failure) = read {
            let _ = sending.sender.send(Err(failure));
        }
    });
    receiver
}

/// What was read, in batches.
struct Sending {
    sender: SyncSender<Result<Vec<Item>, Failure>>,
    batch: Vec<Item>,
}

impl Sending {
    /// Whether somebody still listens.
    fn push(&mut self, item: Item) -> bool {
        self.batch.push(item);
        self.batch.len() < BATCH || self.send()
    }

    fn send(&mut self) -> bool {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.sender.send(Ok(batch)).is_ok()
    }
}

/// The records of another tool.
fn records(part: &Part, format: Format, out: &mut Sending) -> Result<(), Failure> {
    let records = telemetry::read(part, format).map_err(|error| Failure::new(exit::USAGE, error))?;
    for record in records {
        if !out.push(Item::Record(record)) {
            break;
        }
    }
    Ok(())
}

/// The events of one of our own recordings.
fn events(part: &Part, out: &mut Sending) -> Result<(), Failure> {
    let broken =
        |error: &dyn std::fmt::Display| Failure::new(exit::USAGE, format_args!("{}: {error}", part.name()));
    let mut reader = Reader::open(part.stream()).map_err(|error| broken(&error))?;
    let machine: Arc<str> = reader.meta().map_or("", |meta| &meta.machine).into();
    let mut number = 0;
    let damaged = |number, reason, detail| Item::Record(Err(Rejected { number, reason, detail }));
    loop {
        number += 1;
        let event = match reader.next_event() {
            None => break,
            Some(Ok(event)) => Ok(event.into_owned()),
            Some(Err(bad)) => Err((bad.count, bad.to_string())),
        };
        let heard = match event {
            Ok(event) => out.push(Item::Event(number, Arc::clone(&machine), Box::new(event))),
            Err((count, why)) => (0..count).all(|_| out.push(damaged(number, Reason::Damaged, why.clone()))),
        };
        if !heard {
            return Ok(());
        }
    }
    let account = reader.account();
    // What is missing is not known record by record: each place counts as one.
    for gap in 0..account.gap_count {
        let known = usize::try_from(gap).ok().and_then(|gap| account.gaps.get(gap));
        let detail = known
            .map_or_else(String::new, |gap| format!("{} bytes at {}: {}", gap.bytes, gap.offset, gap.why));
        out.push(damaged(number, Reason::Damaged, detail));
    }
    let ending = match &account.ending {
        Ending::Finished | Ending::NotReached => None,
        Ending::Unfinished => {
            Some("the recording was not finished: what was being written is not there".into())
        }
        Ending::Unreadable(error) => Some(error.clone()),
        Ending::GaveUp => Some("most of what follows only looks like a recording".into()),
    };
    if let Some(detail) = ending {
        out.push(damaged(number, Reason::Truncated, detail));
    }
    Ok(())
}

/// How far it is, where somebody looks, and it takes a while.
struct Progress {
    read: u64,
    bar: Option<ProgressBar>,
    since: Instant,
}

impl Progress {
    fn new() -> Self {
        Self { read: 0, bar: None, since: Instant::now() }
    }

    fn one(&mut self) {
        self.read += 1;
        if !self.read.is_multiple_of(STRIDE) {
            return;
        }
        if self.bar.is_none() && self.since.elapsed() > PATIENCE && std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            let template = "  {spinner} [{elapsed}] {human_pos} records, {per_sec}";
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.read);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
