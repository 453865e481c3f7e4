//! Records from the kernel into the rings.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, TryLockError};

use event::{Body, ClientId, Event, Level, Record, Time};

use crate::channel::{Channel, InFlight, Producer, SYSTEM_LANE, USER_PAGE};
use crate::protocol::{Message, Place};

thread_local! {
    /// The lane that the thread is the worker of; [`SYSTEM_LANE`] for all others.
    static LANE: Cell<usize> = const { Cell::new(SYSTEM_LANE) };
    /// The event that the lane delivers now: its address, and where the bench has it.
    static DELIVERED: Cell<Option<(usize, Place)>> = const { Cell::new(None) };
}

/// Writes records to the ring of the calling thread's lane, in place and without allocating.
#[derive(Debug)]
pub(crate) struct Recorder {
    channel: OnceLock<&'static Channel>,
    /// Held by whoever writes to the system lane.
    system: Mutex<()>,
    /// A driver has terminated a process, and the bench was not told of that.
    terminated: AtomicBool,
}

/// The recorder of this process.
pub(crate) static RECORDER: Recorder =
    Recorder { channel: OnceLock::new(), system: Mutex::new(()), terminated: AtomicBool::new(false) };

impl Recorder {
    pub(super) fn open(&self, channel: &'static Channel) {
        let _ = self.channel.set(channel);
    }

    /// Makes the calling thread the one that writes to `lane`.
    pub(super) fn own(lane: usize) {
        LANE.set(lane);
    }

    /// Runs `deliver` with an event that the bench has at `place`.
    pub(super) fn delivering<T>(event: &Event<'_>, place: Place, deliver: impl FnOnce() -> T) -> T {
        DELIVERED.set(Some((address(event), place)));
        let answer = deliver();
        DELIVERED.set(None);
        answer
    }

    /// Writes the record of an event. One that the bench has sent is not sent back.
    pub(crate) fn event(&self, time: Time, context: ClientId, event: &Event<'_>) {
        // The one that is delivered lives until it is: nothing else has its address.
        let place = DELIVERED.get().filter(|(at, _)| *at == address(event)).map(|(_, place)| place);
        match (place, self.channel.get()) {
            (Some(event), Some(channel)) => {
                let told = Message::<&Record<'_>>::Told { time, context, event };
                Producer::new(channel.lane(LANE.get())).push(|room| event::wire::encode(&told, room).ok());
            }
            // Borrowed all the way: cloning an event allocates nothing.
            _ => self.record(&Record { time, context, body: Body::Event(event.clone()) }),
        }
    }

    /// Whether a driver has terminated a process since this was last asked.
    pub(super) fn has_terminated(&self) -> bool {
        // Looked at first: most drivers never do.
        self.terminated.load(Ordering::Acquire) && self.terminated.swap(false, Ordering::AcqRel)
    }

    /// Writes one record. Waits for the bench while the ring is full.
    pub(crate) fn record(&self, record: &Record<'_>) {
        let Some(&channel) = self.channel.get() else { return };
        let lane = LANE.get();
        let _guard = if lane == SYSTEM_LANE { self.lock(matches!(record.body, Body::Stop(_))) } else { None };
        let producer = Producer::new(channel.lane(lane));
        if !producer.push(|room| event::wire::encode(&Message::Record(record), room).ok()) {
            let text =
                format!("a record was left out: it takes more than {} bytes", crate::channel::MAX_RECORD);
            let note = Record {
                time: record.time,
                context: record.context,
                body: Body::Note { level: Level::Warning, text: text.into() },
            };
            producer.push(|room| event::wire::encode(&Message::Record(&note), room).ok());
        }
        if matches!(record.body, Body::Termination { .. }) {
            self.terminated.store(true, Ordering::Release);
        }
    }

    /// The system lane's lock. A stop takes what it gets: the thread it interrupts may hold the lock,
    /// and a ring that is damaged is better than no end.
    fn lock(&self, stop: bool) -> Option<std::sync::MutexGuard<'_, ()>> {
        if !stop {
            return Some(self.system.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        }
        for _ in 0..1000 {
            match self.system.try_lock() {
                Ok(guard) => return Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
        None
    }

    /// Asks the bench for a page of a process. Threads that own no lane get none.
    pub(crate) fn user_page(&self, process: u32, address: u64, page: &mut [u8; USER_PAGE]) -> bool {
        let lane = LANE.get();
        match self.channel.get() {
            Some(channel) if lane != SYSTEM_LANE => channel.lane(lane).ask_page(process, address, page),
            _ => false,
        }
    }

    /// Notes for the watchdog that the calling thread enters a routine (or that none runs any more,
    /// `None`); answers what ran before, to be put back. A few plain stores.
    pub(crate) fn enter(&self, routine: Option<InFlight>) -> Option<InFlight> {
        let lane = LANE.get();
        match self.channel.get() {
            Some(channel) if lane != SYSTEM_LANE => channel.lane(lane).enter(routine),
            _ => None,
        }
    }
}

fn address(event: &Event<'_>) -> usize {
    std::ptr::from_ref(event).addr()
}

#[cfg(any(test, feature = "trial"))]
impl Recorder {
    /// What a driver that writes all over its process does to the channel: pseudo-random words, from `seed`.
    pub(crate) fn scribble(&self, seed: u32) {
        let Some(channel) = self.channel.get() else { return };
        let mut state = u64::from(seed) | 1;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            // Half of the words where the positions and states are, and half of the values plausible.
            let lane = usize::try_from(random() % 17).unwrap_or(0);
            let inside = if random() % 2 == 0 { random() % 512 } else { random() % (700 << 10) };
            let value = if random() % 2 == 0 { random() } else { random() % 600_000 };
            channel.scribble(lane, usize::try_from(inside & !7).unwrap_or(0), value);
        }
    }
}
