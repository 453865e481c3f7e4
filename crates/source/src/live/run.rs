//! Running a command from beginning to end.

use super::{Command, Ending, LiveError, Observer, Outcome, signals::Signals, spawn::spawn, tracer::Tracer};
use crate::Recipient;

/// How a command is run.
#[derive(Default)]
pub struct Options<'a> {
    /// Who hears what a person should know.
    pub observer: Option<&'a mut dyn Observer>,
}

/// Runs a command and delivers what its tree does, until the last process of it has ended.
///
/// The calling thread becomes the tracer; its other children, and those of other threads, are left alone.
/// While it runs, signals are handled as SIGINT and the like should
/// be by a program that stands in front of another (see the table in `signals.rs`).
///
/// # Errors
/// [`LiveError`], before the command has run. What happens to the command afterwards is an [`Outcome`].
pub fn run(
    command: &Command,
    recipient: &mut dyn Recipient,
    options: Options<'_>,
) -> Result<Outcome, LiveError> {
    let mut silence = ();
    let observer = options.observer.unwrap_or(&mut silence);
    let spawned = spawn(command)?;
    let signals = Signals::take(spawned.pid);
    let mut tracer = Tracer::new(spawned.pid, recipient, observer);
    match tracer.run(&signals)? {
        Some(status) => Ok(Outcome { ending: Ending::from_wait(status), counts: tracer.counts }),
        None => Err(spawned.failure()),
    }
}
