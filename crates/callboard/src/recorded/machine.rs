//! One recorded machine, played to the drivers of one bench.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use callboard::host::{Bench, Clock};
use callboard::replay::{Play, Played, Player};
use callboard::report::{Rfc3339, Sink, SinkError};
use callboard::{LiveBench, exit};
use event::{Body, Event, Level, Record, Time};

use super::answers::Answers;
use super::args::Replay;
use super::difference::Difference;
use super::interrupt;
use super::shown;
use crate::drivers::DriverFile;
use crate::{Failure, run};

/// A machine that is being played.
pub(super) struct Machine {
    live: LiveBench<'static>,
    player: Player,
    answers: Rc<RefCell<Answers>>,
    /// Its host is dead.
    stopped: bool,
    /// Events that nobody was told of since.
    undelivered: u64,
}

/// What a machine came to.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) played: Played,
    pub(super) undelivered: u64,
    pub(super) answers: Answers,
}

impl Machine {
    /// A bench with drivers, at the moment at which the recording begins. What became of it until a failure is in `ended`.
    pub(super) fn start(
        arguments: &Replay,
        drivers: &[DriverFile],
        (name, source): (&str, &str),
        time: Time,
        sink: Box<dyn Sink>,
    ) -> Result<Self, (Failure, Box<Ended>)> {
        let answers = Rc::new(RefCell::new(Answers::default()));
        let sink = Listening { answers: Rc::clone(&answers), next: sink };
        let begin = || {
            let mut options = run::options(&arguments.bench)?;
            options.config.clock = Clock::Virtual { start: time };
            options.config.timed = true;
            // A batch is over when its routines have returned; the watchdog ends those that do not.
            options.patience = Duration::from_secs(24 * 60 * 60);
            Bench::start(options).map_err(|error| Failure::new(exit::FAILED, error))
        };
        let bench = begin().map_err(|failure| (failure, Box::default()))?;
        let mut live = LiveBench::recorded(bench, Box::new(sink), time, &interrupt::INTERRUPTED);
        live.add(Body::Start {
            version: env!("CARGO_PKG_VERSION").into(),
            profile: arguments.bench.profile.os.name().into(),
            machine: name.into(),
            command: Vec::new(),
        });
        let text = format!("machine {} of {source}, from {} on", shown(name), Rfc3339(time));
        live.add(Body::Note { level: Level::Info, text: text.into() });
        run::say_gaps(&mut live);
        let play = Play { withhold: arguments.withhold, speed: arguments.speed.0 };
        let mut machine = Self { live, player: Player::new(play), answers, stopped: false, undelivered: 0 };
        match run::load(&arguments.bench, drivers, &mut machine.live) {
            Ok(()) => Ok(machine),
            Err(failure) => {
                machine.finish();
                // The failure is what matters.
                let (_, ended) = machine.close(&[]);
                Err((failure, Box::new(ended)))
            }
        }
    }

    /// Tells of what happened next.
    pub(super) fn play(&mut self, events: Vec<Event<'static>>) {
        if self.stopped {
            self.undelivered += events.len() as u64;
        } else if self.player.play_all(events, &mut self.live).is_err() {
            self.stopped = true;
        }
    }

    /// Tells of all that waits to be told together.
    pub(super) fn flush(&mut self) {
        self.stopped = self.stopped || self.player.flush(&mut self.live).is_err();
    }

    /// Tells of it, and shows what came of that: nothing more happens for a while.
    pub(super) fn quiet(&mut self) {
        self.flush();
        self.live.flush();
    }

    /// Ends what happens on it: the drivers are unloaded.
    pub(super) fn finish(&mut self) {
        self.flush();
        self.live.finish();
    }

    /// What its drivers have said.
    pub(super) fn answers(&self) -> std::cell::Ref<'_, Answers> {
        self.answers.borrow()
    }

    /// Says something about it.
    pub(super) fn note(&mut self, level: Level, text: &str) {
        self.live.add(Body::Note { level, text: text.into() });
    }

    /// Ends it, with what is different from another.
    pub(super) fn close(mut self, differences: &[Difference]) -> (Result<(), SinkError>, Ended) {
        for Difference { change, process, text } in differences {
            let (change, process) = (*change, *process);
            self.live.add(Body::Difference { change, process, text: text.as_str().into() });
        }
        let played = self.player.played();
        let closed = self.live.close();
        let answers = self.answers.take();
        let undelivered = self.undelivered + played.undelivered;
        (closed, Ended { played, undelivered, answers })
    }
}

/// Listens to the records of a machine on their way.
struct Listening {
    answers: Rc<RefCell<Answers>>,
    next: Box<dyn Sink>,
}

impl Sink for Listening {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        self.answers.borrow_mut().see(record);
        self.next.record(record)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.next.flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.next.finish()
    }
}
