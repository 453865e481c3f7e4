//! `callboard replay`: recorded machines, told to drivers.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use callboard::host::{Bench, Clock};
use callboard::replay::{Play, Played, Player, Step};
use callboard::report::{Fanout, Sink, SinkError};
use callboard::{LiveBench, Symbolise, exit};
use event::{Body, Event, Level, Record, Time};

use super::answers::Answers;
use super::args::Replay;
use super::files::Files;
use super::pass::{Audience, each_machine, shown};
use crate::drivers::{self, DriverFile};
use crate::sinks::{self, Stream};
use crate::{Failure, Outcome, run};

/// The sinks of all machines, which follow each other.
type Records = Rc<RefCell<Answers<Symbolise<Fanout<'static>>>>>;

/// Replays them, and says with which exit code to end.
pub(crate) fn replay(arguments: &Replay) -> Outcome {
    let drivers = drivers::named(&arguments.drivers)?;
    run::check_settings(&arguments.bench, &drivers)?;
    run::options(&arguments.bench)?;
    let files = Files::look(&arguments.recording.files)?;
    let mut sinks = sinks::sinks(&arguments.output, Stream::Replay)?;
    sinks.push(sinks::reports(&arguments.output)?);
    let sinks = Symbolise::new(sinks);
    let records = Rc::new(RefCell::new(Answers::new(sinks)));
    let mut theatre = Theatre {
        arguments,
        drivers: &drivers,
        source: files.names(),
        records: Rc::clone(&records),
        name: String::new(),
        machine: None,
        stopped: false,
        undelivered: 0,
        played: Played::default(),
    };
    let account = each_machine(&files, &arguments.recording.options(), &mut theatre);
    if let Some(machine) = theatre.machine.take() {
        // It ended early: what was recorded until then is shown.
        let _ = machine.end();
    }
    let closed = records.borrow_mut().close();
    let answers = records.borrow();
    let account = match account {
        // The stop itself was shown.
        Err(failure) if failure.code == exit::STOPPED && answers.stopped => return Ok(exit::STOPPED),
        other => other?,
    };
    match closed {
        // Whoever read the records has seen enough.
        Ok(()) | Err(SinkError::Closed { .. }) => {}
        Err(error) => return Err(Failure::new(exit::FAILED, error)),
    }
    let mut out = anstream::stderr().lock();
    // Nobody can be told that the standard error is closed.
    let _ = files.notes.iter().try_for_each(|note| writeln!(out, "{note}"));
    let _ = answers.write(&mut out).and_then(|()| theatre.write(&mut out));
    drop(out);
    let damaged = super::tell(&account, &files);
    Ok(if answers.stopped {
        exit::STOPPED
    } else if arguments.bench.fail_on_findings && answers.findings > 0 {
        exit::FINDINGS
    } else {
        damaged
    })
}

/// One machine after the other, each on a bench of its own.
struct Theatre<'a> {
    arguments: &'a Replay,
    drivers: &'a [DriverFile],
    source: String,
    records: Records,
    name: String,
    machine: Option<Machine>,
    /// Its host is dead.
    stopped: bool,
    /// Events that nobody was told of, since the host was dead.
    undelivered: u64,
    played: Played,
}

/// A machine that is being played.
struct Machine {
    live: LiveBench<'static>,
    player: Player,
}

impl Machine {
    fn end(mut self) -> Result<Played, SinkError> {
        let _ = self.player.flush(&mut self.live);
        self.live.finish();
        let played = self.player.played();
        self.live.close().map(|()| played)
    }
}

impl Theatre<'_> {
    /// A bench, at the moment at which the recording begins.
    fn start(&mut self, time: Time) -> Result<Machine, Failure> {
        let mut options = run::options(&self.arguments.bench)?;
        options.config.clock = Clock::Virtual { start: time };
        options.config.timed = true;
        // A batch is over when its routines have returned; the watchdog ends those that do not.
        options.patience = Duration::from_secs(24 * 60 * 60);
        let bench = Bench::start(options).map_err(|error| Failure::new(exit::FAILED, error))?;
        let mut live = LiveBench::recorded(bench, Box::new(Shared(Rc::clone(&self.records))), time);
        live.add(Body::Start {
            version: env!("CARGO_PKG_VERSION").into(),
            profile: self.arguments.bench.profile.os.name().into(),
            machine: self.name.as_str().into(),
            command: Vec::new(),
        });
        let text = format!("machine {} of {}", shown(&self.name), self.source);
        live.add(Body::Note { level: Level::Info, text: text.into() });
        run::say_gaps(&mut live);
        let play = Play { withhold: self.arguments.withhold, speed: self.arguments.speed.0 };
        let mut machine = Machine { live, player: Player::new(play) };
        match run::load(&self.arguments.bench, self.drivers, &mut machine.live) {
            Ok(()) => Ok(machine),
            Err(failure) => {
                let _ = machine.end();
                Err(failure)
            }
        }
    }

    fn event(&mut self, event: &Event<'static>) -> Result<(), Failure> {
        if self.stopped {
            self.undelivered += 1;
            return Ok(());
        }
        let machine = match &mut self.machine {
            Some(machine) => machine,
            None => {
                let machine = self.start(event.time)?;
                self.machine.insert(machine)
            }
        };
        if machine.player.play(event.clone(), &mut machine.live).is_err() {
            self.stopped = true;
        }
        Ok(())
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let Played { events, doubtful, doubtful_processes, withheld, terminated, .. } = self.played;
        write!(out, "{events} events told")?;
        if terminated > 0 {
            write!(out, ", {terminated} processes terminated by drivers")?;
        }
        if doubtful > 0 {
            write!(out, "; {doubtful} would not have happened ({doubtful_processes} processes more)")?;
        }
        if withheld > 0 {
            write!(out, ", {withheld} of them were withheld")?;
        }
        if self.undelivered > 0 {
            write!(out, "; {} told to nobody, as the machine had stopped", self.undelivered)?;
        }
        writeln!(out)
    }
}

impl Audience for Theatre<'_> {
    fn begin(&mut self, name: &str) -> Result<(), Failure> {
        name.clone_into(&mut self.name);
        Ok(())
    }

    fn step(&mut self, step: Step<'_>) -> Result<(), Failure> {
        let Step::Accepted(accepted) = step else { return Ok(()) };
        accepted.events.iter().try_for_each(|told| self.event(&told.event))
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.stopped = false;
        let Some(machine) = self.machine.take() else { return Ok(()) };
        let played = machine.end().map_err(|error| super::events::failed(&error))?;
        self.played.add(played);
        Ok(())
    }
}

/// The sinks, for one machine of several.
struct Shared(Records);

impl Sink for Shared {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        self.0.borrow_mut().record(record)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.0.borrow_mut().flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.0.borrow_mut().finish()
    }
}
