//! The records of machines that are played at the same time, one machine after the other.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callboard::report::{Sink, SinkError};
use event::{Record, wire};

use super::store::{Place, Store};

/// How many bytes of records are kept in memory before they are put away.
const KEPT: usize = 64 << 10;

/// One sink for all machines: the first writes at once, and what others write waits in a file for its turn.
pub(super) struct Order<S> {
    turn: Mutex<Turn<S>>,
    store: Store,
}

struct Turn<S> {
    /// Whose turn it is.
    next: usize,
    /// Those that have ended before their turn.
    over: BTreeMap<usize, Vec<Place>>,
    sink: S,
    /// The first thing that went wrong with what waits.
    error: Option<io::Error>,
}

impl<S: Sink> Order<S> {
    /// For the machines from 0.
    pub(super) fn new(sink: S) -> Arc<Self> {
        let turn = Turn { next: 0, over: BTreeMap::new(), sink, error: None };
        Arc::new(Self { turn: Mutex::new(turn), store: Store::default() })
    }

    fn turn(&self) -> MutexGuard<'_, Turn<S>> {
        // A turn is whole between any two lines that change it.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sink of a machine.
    pub(super) fn machine(self: &Arc<Self>, place: usize) -> Machine<S> {
        Machine { order: Arc::clone(self), place, bytes: Vec::new(), kept: Vec::new() }
    }

    /// Ends the sink.
    ///
    /// # Errors
    /// It cannot be written, or what had to wait was lost.
    pub(super) fn finish(&self) -> Result<(), Failed> {
        let mut turn = self.turn();
        let finished = turn.sink.finish();
        match turn.error.take() {
            Some(error) => Err(Failed::Waiting(error)),
            None => finished.map_err(Failed::Sink),
        }
    }

    /// Writes what has waited.
    fn write(&self, turn: &mut Turn<S>, kept: &mut Vec<Place>) -> Result<(), SinkError> {
        let mut first = Ok(());
        for place in kept.drain(..) {
            let written = self.store.get(place).and_then(|bytes| {
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let (record, behind): (Record<'_>, _) = wire::decode(rest).map_err(io::Error::other)?;
                    if let Err(error) = turn.sink.record(&record) {
                        first = Err(error);
                    }
                    rest = behind;
                }
                Ok(())
            });
            if let Err(error) = written {
                turn.error.get_or_insert(error);
            }
        }
        first
    }
}

/// Why records are missing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// The sink says so.
    #[error("{0}")]
    Sink(#[source] SinkError),
    /// They waited for their turn.
    #[error("records had to wait in a temporary file, which failed: {0}")]
    Waiting(#[source] io::Error),
}

/// The sink of one machine.
pub(super) struct Machine<S> {
    order: Arc<Order<S>>,
    place: usize,
    /// Records that are not written yet, and where those before them are.
    bytes: Vec<u8>,
    kept: Vec<Place>,
}

impl<S: Sink> Machine<S> {
    fn put_away(&mut self) -> io::Result<()> {
        if !self.bytes.is_empty() {
            self.kept.push(self.order.store.put(&self.bytes)?);
            self.bytes.clear();
        }
        Ok(())
    }

    fn keep(&mut self, record: &Record<'_>) -> io::Result<()> {
        wire::append(record, &mut self.bytes).map_err(io::Error::other)?;
        if self.bytes.len() < KEPT { Ok(()) } else { self.put_away() }
    }

    /// Writes what has waited, when the turn has come.
    fn catch_up(&mut self, turn: &mut Turn<S>) -> Result<(), SinkError> {
        if self.bytes.is_empty() && self.kept.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.put_away() {
            turn.error.get_or_insert(error);
        }
        let order = Arc::clone(&self.order);
        order.write(turn, &mut self.kept)
    }
}

impl<S: Sink> Sink for Machine<S> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        if self.bytes.is_empty() && self.kept.is_empty() {
            // Most often it is its turn, and nothing has waited.
            let mut turn = self.order.turn();
            if turn.next == self.place {
                return turn.sink.record(record);
            }
        }
        let order = Arc::clone(&self.order);
        let mut turn = order.turn();
        if turn.next == self.place {
            return self.catch_up(&mut turn).and(turn.sink.record(record));
        }
        drop(turn);
        if let Err(error) = self.keep(record) {
            order.turn().error.get_or_insert(error);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        let order = Arc::clone(&self.order);
        let mut turn = order.turn();
        if turn.next == self.place { self.catch_up(&mut turn).and(turn.sink.flush()) } else { Ok(()) }
    }

    /// The machine has ended: it is the turn of those behind it.
    fn finish(&mut self) -> Result<(), SinkError> {
        let order = Arc::clone(&self.order);
        let mut turn = order.turn();
        if turn.next != self.place {
            if let Err(error) = self.put_away() {
                turn.error.get_or_insert(error);
            }
            turn.over.insert(self.place, std::mem::take(&mut self.kept));
            return Ok(());
        }
        let mut first = self.catch_up(&mut turn);
        turn.next += 1;
        while let Some(mut kept) = {
            let next = turn.next;
            turn.over.remove(&next)
        } {
            first = first.and(order.write(&mut turn, &mut kept));
            turn.next += 1;
        }
        first.and(turn.sink.flush())
    }
}

#[cfg(test)]
mod tests {
    use callboard::report::ndjson::{Ndjson, Options};
    use event::{Body, ClientId, Level, Time};

    use super::*;

    fn note(text: &str) -> Record<'_> {
        let body = Body::Note { level: Level::Info, text: text.into() };
        Record { time: Time(1), context: ClientId::default(), body }
    }

    #[test]
    fn machines_follow_each_other_however_they_take_turns() {
        let text = Arc::new(Mutex::new(Vec::new()));
        let order = Order::new(Ndjson::new("test", Shared(Arc::clone(&text)), Options::default()));
        let mut machines: Vec<_> = (0..4).map(|place| order.machine(place)).collect();
        for round in 0..3000 {
            for (place, machine) in machines.iter_mut().enumerate().rev() {
                machine.record(&note(&format!("machine {place}, round {round}"))).unwrap();
            }
        }
        // The third ends first, the first last but one.
        for place in [2, 1, 0, 3] {
            machines[place].record(&note(&format!("machine {place} ends"))).unwrap();
            machines[place].finish().unwrap();
        }
        order.finish().unwrap();
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        let texts: Vec<_> = text.lines().map(|line| line.split('"').rev().nth(1).unwrap()).collect();
        let mut expected = Vec::new();
        for place in 0..4 {
            expected.extend((0..3000).map(|round| format!("machine {place}, round {round}")));
            expected.push(format!("machine {place} ends"));
        }
        assert_eq!(texts, expected);
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
