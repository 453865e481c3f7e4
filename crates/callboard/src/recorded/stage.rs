//! Machines of recordings, each before one of those who play them.
//!
//! ```text
//!   reading.rs ──Step──▶ Stage ──▶ lane of machine 0 ──▶ an audience, on a thread of its own
//!                              ├─▶ lane of machine 1 ──▶ another
//!                              └─▶ lane of machine 2 ──▶ whoever is free first
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use callboard::exit;
use callboard::replay::{Account, Options, Step};
use event::Event;

use super::files::Files;
use super::lane::{CHUNK, Heard, Hearing, Lane};
use super::progress::Playing;
use super::reading;
use super::store::Store;
use crate::Failure;

/// How many events wait for their lanes together, however many machines there are.
const PENDING: usize = 64 * CHUNK;

/// So many events that came together go on together.
const MANY: usize = CHUNK / 4;

/// How often somebody who looks sees how far it is.
const LOOK: Duration = Duration::from_millis(100);

/// Who is told of machines, of one after the other.
pub(super) trait Audience: Send {
    /// Hears of a machine, from its first event to its end. `place` is its place in the order of machines; its name is empty
    /// where the recording has none.
    fn machine(
        &mut self,
        place: usize,
        name: &str,
        heard: &mut dyn Iterator<Item = Heard>,
    ) -> Result<(), Failure>;
}

impl<A: Audience + ?Sized> Audience for Box<A> {
    fn machine(
        &mut self,
        place: usize,
        name: &str,
        heard: &mut dyn Iterator<Item = Heard>,
    ) -> Result<(), Failure> {
        (**self).machine(place, name, heard)
    }
}

/// Reads the files once. Each machine that is asked for goes to one of the audiences; they listen at the same time.
pub(super) fn play<A: Audience>(
    files: &Files,
    options: &Options,
    audiences: Vec<A>,
) -> Result<Account, Failure> {
    let at_once = audiences.len();
    let stage =
        Stage { state: Mutex::new(State { performing: at_once, ..State::default() }), ..Stage::default() };
    let read = thread::scope(|scope| {
        for mut audience in audiences {
            let stage = &stage;
            scope.spawn(move || stage.perform(&mut audience));
        }
        // Whatever happens, whoever listens is told that it is over.
        let closing = Closing(&stage);
        let mut distribution = Distribution { stage: &stage, machines: Vec::new(), pending: 0 };
        let account = reading::read(files, options, at_once, &mut |step| distribution.step(step))?;
        distribution.flush()?;
        drop(closing);
        stage.wait();
        Ok(account)
    });
    let failure = stage.state().failure.take();
    match failure {
        Some(failure) => Err(failure),
        None => read,
    }
}

/// The machines, in the order in which they were first told of.
#[derive(Default)]
struct Stage {
    store: Store,
    state: Mutex<State>,
    changed: Condvar,
    /// Whether somebody has failed, whose failure is in the state.
    failed: AtomicBool,
}

#[derive(Default)]
struct State {
    lanes: Vec<Arc<Lane>>,
    /// The first that nobody plays.
    next: usize,
    /// How many have been played, and how many of those who play are still there.
    played: usize,
    performing: usize,
    over: bool,
    failure: Option<Failure>,
}

impl Stage {
    fn state(&self) -> MutexGuard<'_, State> {
        // A state is whole between any two lines that change it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plays machines until there are no more.
    fn perform(&self, audience: &mut impl Audience) {
        let _leaving = Leaving(self);
        while let Some((place, lane)) = self.next() {
            let mut hearing = Hearing::new(&lane, &self.store);
            let played = audience.machine(place, &lane.name, &mut hearing);
            let played = played.and(hearing.error.take().map_or(Ok(()), |error| Err(temporary(&error))));
            if let Err(failure) = played {
                self.state().failure.get_or_insert(failure);
                self.failed.store(true, Ordering::Release);
                return self.close();
            }
            self.state().played += 1;
        }
    }

    /// Waits until nobody plays any more: all machines were, or somebody has failed.
    fn wait(&self) {
        let mut bar = Playing::new();
        let mut state = self.state();
        while state.performing > 0 {
            bar.at(state.played, state.lanes.len());
            state = match self.changed.wait_timeout(state, LOOK) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn next(&self) -> Option<(usize, Arc<Lane>)> {
        let mut state = self.state();
        loop {
            if state.failure.is_some() {
                return None;
            }
            if let Some(lane) = state.lanes.get(state.next).map(Arc::clone) {
                let place = state.next;
                state.next += 1;
                lane.play();
                return Some((place, lane));
            }
            if state.over {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn enter(&self, name: &str) -> Arc<Lane> {
        let lane = Arc::new(Lane::new(name.to_owned()));
        self.state().lanes.push(Arc::clone(&lane));
        self.changed.notify_all();
        lane
    }

    /// Nothing more is told of any machine.
    fn close(&self) {
        let mut state = self.state();
        state.over = true;
        state.lanes.iter().for_each(|lane| lane.end());
        drop(state);
        self.changed.notify_all();
    }
}

/// Tells a stage that somebody plays no more, however that came.
struct Leaving<'a>(&'a Stage);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.state().performing -= 1;
        self.0.changed.notify_all();
    }
}

/// Closes a stage when it goes out of scope.
struct Closing<'a>(&'a Stage);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Events on their way to the lanes.
struct Distribution<'a> {
    stage: &'a Stage,
    /// By the normaliser's numbers; of some it tells nothing.
    machines: Vec<Option<Waiting>>,
    pending: usize,
}

/// Events of a machine that wait until there are enough to go on.
struct Waiting {
    lane: Arc<Lane>,
    events: Vec<Event<'static>>,
}

impl Distribution<'_> {
    fn step(&mut self, step: Option<Step<'_>>) -> Result<(), Failure> {
        match step {
            Some(Step::Accepted(accepted)) => {
                let told = accepted.events.drain(..).map(|told| told.event);
                self.add(accepted.machine, accepted.name, told)
            }
            Some(Step::Passed(passed)) if passed.events.len() < MANY => {
                self.add(passed.machine, passed.name, passed.events.into_iter())
            }
            Some(Step::Passed(passed)) => {
                // They go on as they are, and are not moved.
                let waiting = machine(&mut self.machines, self.stage, passed.machine, passed.name);
                self.pending -= waiting.events.len();
                waiting.push(self.stage)?;
                waiting.events = passed.events;
                waiting.push(self.stage)?;
                self.look()
            }
            Some(Step::Rejected(_)) => Ok(()),
            None => {
                self.flush()?;
                self.machines.iter().flatten().for_each(|waiting| waiting.lane.quiet());
                Ok(())
            }
        }
    }

    fn add(
        &mut self,
        place: usize,
        name: &str,
        events: impl ExactSizeIterator<Item = Event<'static>>,
    ) -> Result<(), Failure> {
        let waiting = machine(&mut self.machines, self.stage, place, name);
        self.pending += events.len();
        if waiting.events.capacity() == 0 {
            waiting.events.reserve(CHUNK + MANY);
        }
        waiting.events.extend(events);
        if waiting.events.len() >= CHUNK {
            self.pending -= waiting.events.len();
            waiting.push(self.stage)?;
        }
        if self.pending > PENDING { self.flush() } else { self.look() }
    }

    /// Hands on what waits.
    fn flush(&mut self) -> Result<(), Failure> {
        self.machines.iter_mut().flatten().try_for_each(|waiting| waiting.push(self.stage))?;
        self.pending = 0;
        self.look()
    }

    /// Whether there is still somebody to tell.
    fn look(&self) -> Result<(), Failure> {
        if self.stage.failed.load(Ordering::Acquire) {
            return Err(Failure::new(exit::FAILED, "nobody listens any more"));
        }
        Ok(())
    }
}

/// What waits of a machine, which enters the stage where it is new.
fn machine<'a>(
    machines: &'a mut Vec<Option<Waiting>>,
    stage: &Stage,
    place: usize,
    name: &str,
) -> &'a mut Waiting {
    if machines.len() <= place {
        machines.resize_with(place + 1, || None);
    }
    machines[place].get_or_insert_with(|| Waiting { lane: stage.enter(name), events: Vec::new() })
}

impl Waiting {
    fn push(&mut self, stage: &Stage) -> Result<(), Failure> {
        if self.events.is_empty() {
            return Ok(());
        }
        let events = std::mem::take(&mut self.events);
        self.lane.push(events, &stage.store).map_err(|error| temporary(&error))
    }
}

fn temporary(error: &std::io::Error) -> Failure {
    let folder = std::env::temp_dir();
    let message = format!("cannot write or read a temporary file in {}: {error}", folder.display());
    Failure::new(exit::FAILED, message)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    struct Broken;

    impl Audience for Broken {
        fn machine(&mut self, _: usize, _: &str, _: &mut dyn Iterator<Item = Heard>) -> Result<(), Failure> {
            panic!("a mistake of ours")
        }
    }

    #[test]
    fn a_player_that_panics_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("two.json");
        let line = |machine: &str| {
            format!(
                r#"{{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":5,"ProcessId":8,"Hostname":"{machine}","UtcTime":"2024-05-01 10:00:00.000"}}"#
            )
        };
        std::fs::write(&path, format!("{}\n{}\n", line("ONE"), line("TWO"))).unwrap();
        let files = Files::look(&[path]).unwrap();
        let played = catch_unwind(AssertUnwindSafe(|| play(&files, &Options::default(), vec![Broken])));
        assert!(played.is_err(), "the panic goes on, and nobody waits for the second machine");
    }
}
