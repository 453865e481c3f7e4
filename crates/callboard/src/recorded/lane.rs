//! What machines are told, on its way from the one who reads to those who play.
//!
//! A machine that is being played gets its events through memory, and whoever reads waits where it has enough of them. One
//! that must wait for its turn has them in a temporary file: so a recording of many machines is read once, and takes no more
//! memory than one of a single machine.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use event::{Event, wire};

use super::store::{Place, Store};

/// How many events go together.
pub(super) const CHUNK: usize = 512;
/// How many chunks wait in memory for one who plays.
const AHEAD: usize = 16;

/// What one who plays hears of a machine.
#[derive(Debug)]
pub(super) enum Heard {
    /// What happened on it next.
    Events(Vec<Event<'static>>),
    /// Nothing, for a while: whoever reads waits for a live source.
    Quiet,
}

/// The way to one machine's player.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Chunks from before there was a player.
    stored: VecDeque<Place>,
    ready: VecDeque<Vec<Event<'static>>>,
    played: bool,
    quiet: bool,
    over: bool,
}

impl Lane {
    pub(super) fn new(name: String) -> Self {
        Self { name, state: Mutex::default(), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A state is whole between any two lines that change it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what happened next. Waits for the player, where there is one and it is far behind.
    pub(super) fn push(&self, chunk: Vec<Event<'static>>, store: &Store) -> io::Result<()> {
        let mut state = self.state();
        if !state.played {
            let mut bytes = Vec::new();
            chunk.iter().try_for_each(|event| wire::append(event, &mut bytes)).map_err(io::Error::other)?;
            state.stored.push_back(store.put(&bytes)?);
            return Ok(());
        }
        while state.ready.len() >= AHEAD && !state.over {
            state = self.wait(state);
        }
        state.ready.push_back(chunk);
        self.changed.notify_all();
        Ok(())
    }

    /// Nothing comes for a while.
    pub(super) fn quiet(&self) {
        self.state().quiet = true;
        self.changed.notify_all();
    }

    /// Nothing comes any more: the recording is at its end, or nobody listens.
    pub(super) fn end(&self) {
        self.state().over = true;
        self.changed.notify_all();
    }

    /// From now on somebody plays this machine.
    pub(super) fn play(&self) {
        self.state().played = true;
    }

    /// The next chunk, where there is one; nothing before that where there is none yet, and the source is quiet.
    fn take(&self, store: &Store) -> io::Result<Option<Heard>> {
        let mut state = self.state();
        loop {
            if let Some(place) = state.stored.pop_front() {
                drop(state);
                return stored(&store.get(place)?).map(|events| Some(Heard::Events(events)));
            }
            if let Some(chunk) = state.ready.pop_front() {
                self.changed.notify_all();
                return Ok(Some(Heard::Events(chunk)));
            }
            if state.over {
                return Ok(None);
            }
            if std::mem::take(&mut state.quiet) {
                return Ok(Some(Heard::Quiet));
            }
            state = self.wait(state);
        }
    }
}

fn stored(mut bytes: &[u8]) -> io::Result<Vec<Event<'static>>> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let (event, rest): (Event<'_>, _) = wire::decode(bytes).map_err(io::Error::other)?;
        events.push(event.into_owned());
        bytes = rest;
    }
    Ok(events)
}

/// What is heard of one machine, up to its end.
pub(super) struct Hearing<'a> {
    lane: &'a Lane,
    store: &'a Store,
    /// Why it ended before the end.
    pub(super) error: Option<io::Error>,
}

impl<'a> Hearing<'a> {
    pub(super) fn new(lane: &'a Lane, store: &'a Store) -> Self {
        Self { lane, store, error: None }
    }
}

impl Drop for Hearing<'_> {
    /// Nobody waits for one who does not listen any more.
    fn drop(&mut self) {
        self.lane.end();
    }
}

impl Iterator for Hearing<'_> {
    type Item = Heard;

    fn next(&mut self) -> Option<Heard> {
        match self.lane.take(self.store) {
            Ok(heard) => heard,
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use event::{ClientId, Conditions, EventKind, ProcessExit, ProcessId, Time};
    use nt_abi::STATUS_SUCCESS;

    use super::*;

    fn exit(process: u32) -> Event<'static> {
        let kind =
            EventKind::ProcessExit(ProcessExit { process: ProcessId(process), status: STATUS_SUCCESS });
        Event { time: Time(1), context: ClientId::default(), kind, conditions: Conditions::default() }
    }

    fn heard(hearing: &mut Hearing<'_>) -> Vec<u32> {
        let processes = |heard| match heard {
            Heard::Events(events) => events.iter().map(|event| event.process().0).collect(),
            Heard::Quiet => vec![0],
        };
        hearing.flat_map(processes).collect()
    }

    #[test]
    fn events_keep_their_order_on_their_way_through_a_file_and_through_memory() {
        let (lane, store) = (Lane::new("ONE".into()), Store::default());
        lane.push(vec![exit(4), exit(8)], &store).unwrap();
        lane.push(vec![exit(12)], &store).unwrap();
        lane.play();
        lane.push(vec![exit(16)], &store).unwrap();
        lane.end();
        assert_eq!(heard(&mut Hearing::new(&lane, &store)), [4, 8, 12, 16]);
    }

    #[test]
    fn whoever_reads_waits_for_who_plays_and_not_for_who_has_gone() {
        let (lane, store) = (Lane::new(String::new()), Store::default());
        lane.play();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                (1..=200).for_each(|at| lane.push(vec![exit(at * 4)], &store).unwrap());
                lane.end();
            });
            let mut hearing = Hearing::new(&lane, &store);
            assert_eq!(heard(&mut hearing), (1..=200).map(|at| at * 4).collect::<Vec<_>>());
            reader.join().unwrap();
        });
        (1..=AHEAD + 1).for_each(|_| lane.push(vec![exit(4)], &store).unwrap());
    }

    #[test]
    fn quiet_is_heard_when_there_is_nothing_else() {
        let (lane, store) = (Lane::new(String::new()), Store::default());
        lane.play();
        lane.push(vec![exit(4)], &store).unwrap();
        lane.quiet();
        let mut hearing = Hearing::new(&lane, &store);
        assert!(matches!(hearing.next(), Some(Heard::Events(_))));
        assert!(matches!(hearing.next(), Some(Heard::Quiet)));
        lane.end();
        assert!(hearing.next().is_none());
    }
}
