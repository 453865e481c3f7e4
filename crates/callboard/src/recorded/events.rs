//! `callboard events`: what happened on recorded machines, without any driver.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use callboard::exit;
use callboard::report::human::{Human, Options, Verbosity};
use callboard::report::{Rfc3339, Sink};
use event::{Body, Event, Level, Record, Time};
use telemetry::recording::{self, Meta};

use super::args::Events;
use super::files::Files;
use super::interrupt;
use super::lane::Heard;
use super::shown;
use super::stage::{self, Audience};
use crate::args::Format;
use crate::{Failure, Outcome, written};

/// Shows them, and says with which exit code to end.
pub(crate) fn events(arguments: &Events) -> Outcome {
    let files = Files::look(&arguments.recording.files)?;
    interrupt::watch();
    files.spare(arguments.output.as_deref().as_slice(), &[])?;
    let out: Box<dyn Write + Send> = match &arguments.output {
        Some(path) if path != Path::new("-") => {
            let file = File::create(path).map_err(|error| {
                Failure::new(exit::FAILED, format_args!("cannot create {}: {error}", path.display()))
            })?;
            Box::new(file)
        }
        _ => Box::new(anstream::AutoStream::auto(io::stdout())),
    };
    let audience: Box<dyn Audience> = match format(arguments.format, arguments.output.as_deref()) {
        Format::Ndjson => Box::new(Lines {
            out: BufWriter::new(out),
            source: files.names(),
            machine: String::new(),
            events: None,
        }),
        Format::Human => {
            let verbosity = if arguments.quiet { Verbosity::Normal } else { Verbosity::Verbose };
            let pace = callboard::report::Pace::Blocks;
            let options =
                Options { verbosity, colour: arguments.output.is_none(), pace, ..Options::default() };
            Box::new(Timeline { sink: Human::new("the events", out, options) })
        }
    };
    let account = stage::play(&files, &arguments.recording.options(), vec![audience])?;
    for note in &files.notes {
        // Nobody can be told that the standard error is closed.
        let _ = writeln!(anstream::stderr(), "{note}");
    }
    Ok(super::tell(&account, &files))
}

fn format(asked: Option<Format>, output: Option<&Path>) -> Format {
    let lines = output.and_then(Path::extension).is_some_and(|it| it == "ndjson" || it == "jsonl");
    asked.unwrap_or(if lines { Format::Ndjson } else { Format::Human })
}

/// Events as lines of JSON: a recording for each machine.
struct Lines<W: Write> {
    out: W,
    source: String,
    machine: String,
    /// How many of this machine, once its first line is there.
    events: Option<u64>,
}

impl<W: Write> Lines<W> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        if self.events.is_none() {
            let meta = Meta {
                machine: self.machine.clone(),
                started: event.time,
                source: self.source.clone(),
                producer: concat!("callboard ", env!("CARGO_PKG_VERSION")).into(),
            };
            recording::write_first(&mut self.out, &meta)?;
        }
        *self.events.get_or_insert(0) += 1;
        recording::write_event(&mut self.out, event)
    }
}

impl<W: Write + Send> Audience for Lines<W> {
    fn machine(
        &mut self,
        _: usize,
        name: &str,
        heard: &mut dyn Iterator<Item = Heard>,
    ) -> Result<(), Failure> {
        name.clone_into(&mut self.machine);
        for heard in heard {
            match heard {
                Heard::Events(events) => events.iter().try_for_each(|event| self.event(event)),
                Heard::Quiet => self.out.flush(),
            }
            .map_err(written)?;
        }
        let events = self.events.take().unwrap_or(0);
        recording::write_last(&mut self.out, events).map_err(written)?;
        self.out.flush().map_err(written)
    }
}

/// Events as a timeline.
struct Timeline<S> {
    sink: S,
}

impl<S: Sink> Timeline<S> {
    fn record(&mut self, time: Time, body: Body<'_>) -> Result<(), Failure> {
        let record = Record { time, context: event::ClientId::default(), body };
        self.sink.record(&record).map_err(|error| failed(&error))
    }
}

/// Whoever read the output has seen enough, or it cannot be written.
pub(super) fn failed(error: &callboard::report::SinkError) -> Failure {
    let closed = matches!(error, callboard::report::SinkError::Closed { .. });
    Failure::new(if closed { exit::SUCCESS } else { exit::FAILED }, error)
}

impl<S: Sink + Send> Audience for Timeline<S> {
    fn machine(
        &mut self,
        _: usize,
        name: &str,
        heard: &mut dyn Iterator<Item = Heard>,
    ) -> Result<(), Failure> {
        let mut begun = false;
        for heard in heard {
            let Heard::Events(events) = heard else {
                self.sink.flush().map_err(|error| failed(&error))?;
                continue;
            };
            for event in events {
                if !std::mem::replace(&mut begun, true) {
                    let text = format!("machine {}, from {} on", shown(name), Rfc3339(event.time));
                    self.record(event.time, Body::Note { level: Level::Info, text: text.into() })?;
                }
                self.record(event.time, Body::Event(event))?;
            }
        }
        self.sink.flush().map_err(|error| failed(&error))
    }
}
