//! Who takes the events of a source.

use std::sync::Arc;
use std::time::Duration;

use event::{DriverId, Event, ProcessId, Time};
use nt_abi::NTSTATUS;

/// How long a batch is waited for at a time.
const LOOK: Duration = Duration::from_secs(1);

/// Names a batch whose delivery goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u32);

/// A process creation that ended with an error status (R-VETO-03).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The refused process.
    pub process: ProcessId,
    /// What its creation ends with.
    pub status: NTSTATUS,
    /// The driver that wrote the status last.
    pub driver: Option<DriverId>,
}

/// What came of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The refusal, where the batch held a process creation and a driver refused it. The events
    /// of the batch after the refused creation were not delivered, save those that NT sends all the same.
    pub refused: Option<Refusal>,
    /// How many events of the batch are done with: all, unless its delivery was only [begun](Recipient::begin).
    pub events: usize,
}

/// A process that a driver has terminated: it is to exit with that status (R-IMG-03).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Termination {
    /// The process.
    pub process: ProcessId,
    /// What its exit is told with.
    pub status: NTSTATUS,
}

/// How far the delivery of a batch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Every routine has returned.
    Done(Reply),
    /// A routine takes its time; the source holds this batch's thread still and goes on with others.
    Pending(Ticket),
    /// There is nobody to deliver to any more: the source lets its command go on unwatched.
    Gone,
}

/// Takes events of a source: a bench.
pub trait Recipient {
    /// Delivers what one held-still thread did, in order. All events of a batch have one context
    /// or follow each other within one stop of the thread.
    fn deliver(&mut self, batch: &[Event<'_>]) -> Delivery;

    /// The same, and may come back while the routines run, for [`done`](Self::done) to wait for them. Until then nothing
    /// else is delivered.
    ///
    /// The batch is done behind an event of which a process came to an end (its creation was refused, or a driver terminated
    /// one), or where it grows too long: what is left of it is the source's to begin again, or not.
    fn begin(&mut self, batch: &Arc<Vec<Event<'static>>>) -> Delivery {
        self.deliver(batch)
    }

    /// Waits for a batch to be done; [`Delivery::Pending`] when it takes long.
    fn done(&mut self, ticket: Ticket) -> Delivery {
        match self.finished(LOOK) {
            Some((done, delivery)) if done == ticket => delivery,
            _ => Delivery::Pending(ticket),
        }
    }

    /// How many events of the batch that was begun last were told before there was nobody any more.
    fn told(&mut self) -> usize {
        0
    }

    /// Waits up to `wait` for any pending batch to be done.
    fn finished(&mut self, wait: Duration) -> Option<(Ticket, Delivery)>;

    /// Waits, as a recording is played no faster than it was made. `false` when nothing more is to be delivered.
    fn pauses(&mut self, time: Duration) -> bool {
        std::thread::sleep(time);
        true
    }

    /// What follows of a process from `time` on would not have happened: `because` was refused or terminated, which is the
    /// process itself or one that it descends from.
    fn would_not_have_happened(&mut self, _time: Time, _process: ProcessId, _because: ProcessId) {}

    /// The processes that drivers have terminated since this was last asked. Asked when a batch is done, before its thread
    /// goes on, and now and then while nothing happens.
    fn terminated(&mut self) -> Vec<Termination> {
        Vec::new()
    }
}
