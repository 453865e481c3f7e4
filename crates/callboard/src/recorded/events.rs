//! `callboard events`: what happened on recorded machines, without any driver.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use callboard::exit;
use callboard::replay::Step;
use callboard::report::Sink;
use callboard::report::human::{Human, Options, Verbosity};
use event::{Body, Event, Level, Record, Time};
use telemetry::recording::{self, Meta};

use super::args::Events;
use super::files::Files;
use super::pass::{Audience, each_machine, shown};
use crate::args::Format;
use crate::{Failure, Outcome, written};

/// Shows them, and says with which exit code to end.
pub(crate) fn events(arguments: &Events) -> Outcome {
    let files = Files::look(&arguments.recording.files)?;
    let out: Box<dyn Write> = match &arguments.output {
        Some(path) if path != Path::new("-") => {
            let file = File::create(path).map_err(|error| {
                Failure::new(exit::FAILED, format_args!("cannot create {}: {error}", path.display()))
            })?;
            Box::new(file)
        }
        _ => Box::new(anstream::AutoStream::auto(io::stdout())),
    };
    let mut audience: Box<dyn Audience> = match format(arguments.format, arguments.output.as_deref()) {
        Format::Ndjson => Box::new(Lines {
            out: BufWriter::new(out),
            source: files.names(),
            machine: String::new(),
            events: None,
        }),
        Format::Human => {
            let verbosity = if arguments.quiet { Verbosity::Normal } else { Verbosity::Everything };
            let pace = callboard::report::Pace::Blocks;
            let options =
                Options { verbosity, colour: arguments.output.is_none(), pace, ..Options::default() };
            Box::new(Timeline { sink: Human::new("the events", out, options), begun: None })
        }
    };
    let account = each_machine(&files, &arguments.recording.options(), &mut *audience)?;
    drop(audience);
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

impl<W: Write> Audience for Lines<W> {
    fn begin(&mut self, name: &str) -> Result<(), Failure> {
        name.clone_into(&mut self.machine);
        Ok(())
    }

    fn step(&mut self, step: Step<'_>) -> Result<(), Failure> {
        if let Step::Accepted(accepted) = step {
            accepted.events.iter().try_for_each(|told| self.event(&told.event)).map_err(written)?;
        }
        Ok(())
    }

    fn idle(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(written)
    }

    fn end(&mut self) -> Result<(), Failure> {
        let events = self.events.take().unwrap_or(0);
        recording::write_last(&mut self.out, events).map_err(written)?;
        self.out.flush().map_err(written)
    }
}

/// Events as a timeline.
struct Timeline<S> {
    sink: S,
    /// The machine that has begun, and has no event yet.
    begun: Option<String>,
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

impl<S: Sink> Audience for Timeline<S> {
    fn begin(&mut self, name: &str) -> Result<(), Failure> {
        self.begun = Some(name.to_owned());
        Ok(())
    }

    fn step(&mut self, step: Step<'_>) -> Result<(), Failure> {
        let Step::Accepted(accepted) = step else { return Ok(()) };
        for told in accepted.events {
            if let Some(name) = self.begun.take() {
                let text = format!("machine {}", shown(&name));
                self.record(told.event.time, Body::Note { level: Level::Info, text: text.into() })?;
            }
            self.record(told.event.time, Body::Event(told.event.clone()))?;
        }
        Ok(())
    }

    fn idle(&mut self) -> Result<(), Failure> {
        self.sink.flush().map_err(|error| failed(&error))
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.sink.flush().map_err(|error| failed(&error))
    }
}
