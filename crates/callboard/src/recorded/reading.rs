//! The records of all files, once from front to back.
//!
//! ```text
//!   file ──▶ Feed, on a thread ──Fed, Fed, …──▶ read() ──▶ Normaliser ──▶ News
//!   file ──▶ Feed, on a thread ──Fed, Fed, …──┘ in the order of the files
//! ```
//!
//! Files are read ahead, so that reading and what is done with the records take turns on no processor.

use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use callboard::exit;
use callboard::replay::{Account, Normaliser, Options, Step, Which};
use telemetry::{Fed, Feed, Format, Part};

use super::files::Files;
use super::interrupt;
use super::progress::Reading;
use super::shown;
use crate::Failure;

/// How many records go together from the thread that reads a file.
const BATCH: usize = 512;
/// How many batches of a file wait.
const AHEAD: usize = 8;

/// How long nothing is heard of a part before somebody looks whether anything is to be.
const LOOK: Duration = Duration::from_millis(100);

/// What comes of a part at one time.
type Batch = Result<Vec<Fed>, Failure>;

/// Who is told what becomes of records; `None` where nothing comes for a while.
pub(super) type Out<'a> = dyn FnMut(Option<Step<'_>>) -> Result<(), Failure> + 'a;

/// Reads all files, so many at once, and says what became of their records. `out` hears of each, until it wants no more.
pub(super) fn read(
    files: &Files,
    options: &Options,
    at_once: usize,
    out: &mut Out<'_>,
) -> Result<Account, Failure> {
    let mut normaliser = Normaliser::new(options.clone());
    let mut telling = Telling { out, failure: None };
    let mut progress = Reading::new(files);
    let mut parts = files.parts.iter();
    let mut begun: VecDeque<_> = parts.by_ref().take(at_once.max(1)).map(begin).collect();
    let mut file = 0;
    while let Some(batches) = begun.pop_front() {
        while let Some(batch) = next(&batches) {
            for fed in batch? {
                progress.more(fed.records());
                let step = &mut |step: Step<'_>| telling.tell(Some(step));
                match fed {
                    Fed::Told(told) => normaliser.take(file, Ok(told), step),
                    Fed::Rejected(rejected) => normaliser.take(file, Err(rejected), step),
                    Fed::Events { first, machine, events } => {
                        normaliser.pass(file, first, &machine, events, step);
                    }
                    Fed::Idle => {
                        normaliser.idle(step);
                        telling.tell(None);
                    }
                }
            }
            telling.failure.take().map_or(Ok(()), Err)?;
        }
        if interrupt::is_wished() {
            break;
        }
        begun.extend(parts.next().map(begin));
        file += 1;
    }
    normaliser.finish(&mut |step| telling.tell(Some(step)));
    telling.failure.take().map_or(Ok(()), Err)?;
    if let Which::Named(name) = &options.machines
        && !interrupt::is_wished()
        && !normaliser.machines().any(|machine| machine.eq_ignore_ascii_case(name))
    {
        let known: Vec<_> = normaliser.machines().map(shown).collect();
        let message = format!("there is no machine {name}; there are {}", known.join(", "));
        return Err(Failure::new(exit::USAGE, message));
    }
    Ok(normaliser.account().clone())
}

/// Tells one who may not want to hear any more.
struct Telling<'a, 'b> {
    out: &'a mut Out<'b>,
    failure: Option<Failure>,
}

impl Telling<'_, '_> {
    fn tell(&mut self, step: Option<Step<'_>>) {
        if self.failure.is_none() {
            self.failure = (self.out)(step).err();
        }
    }
}

/// What comes next of a part, if it is not at its end and nobody has seen enough.
fn next(batches: &Receiver<Batch>) -> Option<Batch> {
    while !interrupt::is_wished() {
        match batches.recv_timeout(LOOK) {
            Ok(batch) => return Some(batch),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    None
}

/// Begins to read a part, on a thread of its own. Nobody waits for that thread: it may itself wait for a pipe.
fn begin((part, format): &(Part, Format)) -> Receiver<Batch> {
    let (sender, receiver) = mpsc::sync_channel(AHEAD);
    let (part, format) = (part.clone(), *format);
    thread::spawn(move || {
        let mut feed = match Feed::open(&part, format) {
            Ok(feed) => feed,
            // Where nobody listens any more there is nothing to do about it.
            Err(error) => return drop(sender.send(Err(Failure::new(exit::USAGE, error)))),
        };
        let mut room = 1;
        loop {
            let (mut batch, mut records) = (Vec::with_capacity(room), 0);
            while records < BATCH
                && let Some(fed) = feed.next()
            {
                let pauses = matches!(fed, Fed::Idle);
                records += fed.records();
                batch.push(fed);
                if pauses {
                    break;
                }
            }
            room = batch.len();
            if batch.is_empty() || sender.send(Ok(batch)).is_err() {
                return;
            }
        }
    });
    receiver
}
