//! The events that were sent over a lane, as long as records may point to them.

use std::collections::VecDeque;
use std::sync::Arc;

use event::{Event, wire};

use crate::protocol::Place;

/// The events of one delivery.
#[derive(Debug)]
pub(super) enum Events {
    /// The caller's own.
    Shared(Arc<Vec<Event<'static>>>),
    /// As they were sent, and where each of them begins.
    Encoded(Vec<u8>, Vec<u32>),
}

/// What was sent over one lane, delivery by delivery, and is not drained yet.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The number of the first delivery.
    first: u32,
    deliveries: VecDeque<Events>,
    /// So many of them have told all that they tell, and that was taken out of the channel.
    told: usize,
}

impl Sent {
    /// The number of the delivery that is sent next.
    pub(super) fn next(&self) -> u32 {
        // A bench that is not drained is out of memory before this wraps.
        self.first.wrapping_add(u32::try_from(self.deliveries.len()).unwrap_or(u32::MAX))
    }

    /// Keeps the events of that delivery.
    pub(super) fn keep(&mut self, events: Events) {
        self.deliveries.push_back(events);
    }

    /// All records of the deliveries were taken out of the channel, but for the last one where it `goes_on`.
    pub(super) fn taken(&mut self, goes_on: bool) {
        self.told = self.deliveries.len().saturating_sub(usize::from(goes_on));
    }

    /// Forgets deliveries whose records were taken out of the channel: they are handed over.
    pub(super) fn forget(&mut self) {
        self.deliveries.drain(..self.told);
        self.first = self.first.wrapping_add(u32::try_from(self.told).unwrap_or(u32::MAX));
        self.told = 0;
    }

    /// The event at a place; `None` where there is none, as a driver has written over what the host says.
    pub(super) fn event(&self, at: Place) -> Option<Event<'_>> {
        match self.deliveries.get(at.delivery.wrapping_sub(self.first) as usize)? {
            Events::Shared(events) => events.get(at.index as usize).map(Event::borrowed),
            Events::Encoded(bytes, offsets) => {
                let offset = *offsets.get(at.index as usize)?;
                wire::decode(bytes.get(offset as usize..)?).ok().map(|(event, _)| event)
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
        Event { time: Time(7), context: ClientId::default(), kind, conditions: Conditions::default() }
    }

    fn encoded(events: &[Event<'_>]) -> Events {
        let (mut bytes, mut offsets) = (Vec::new(), Vec::new());
        for event in events {
            offsets.push(u32::try_from(bytes.len()).unwrap());
            wire::append(event, &mut bytes).unwrap();
        }
        Events::Encoded(bytes, offsets)
    }

    fn at(delivery: u32, index: u32) -> Place {
        Place { delivery, index }
    }

    #[test]
    fn an_event_is_there_until_its_delivery_is_forgotten() {
        let mut sent = Sent::default();
        for number in 0..3 {
            assert_eq!(sent.next(), number);
            sent.keep(encoded(&[exit(4), exit(8)]));
        }
        assert_eq!(sent.event(at(0, 1)), Some(exit(8)));
        sent.taken(true);
        assert_eq!(sent.event(at(0, 1)), Some(exit(8)), "it was not handed over yet");
        sent.keep(Events::Shared(Arc::new(vec![exit(12)])));
        sent.forget();
        assert_eq!((sent.event(at(1, 0)), sent.event(at(2, 0)), sent.next()), (None, Some(exit(4)), 4));
        sent.taken(false);
        sent.forget();
        assert_eq!((sent.event(at(3, 0)), sent.next()), (None, 4));
        sent.taken(true);
        sent.forget();
        assert_eq!(sent.next(), 4, "nothing goes on");
    }

    #[test]
    fn events_are_the_same_however_they_are_kept() {
        let mut sent = Sent::default();
        sent.keep(encoded(&[exit(4), exit(8)]));
        sent.keep(Events::Shared(Arc::new(vec![exit(4), exit(8)])));
        for index in 0..3 {
            assert_eq!(sent.event(at(0, index)), sent.event(at(1, index)));
        }
    }

    #[test]
    fn nonsense_points_to_nothing() {
        let mut sent = Sent::default();
        sent.keep(encoded(&[exit(4)]));
        sent.keep(Events::Shared(Arc::new(vec![exit(4)])));
        for place in [at(2, 0), at(u32::MAX, 0), at(0, 1), at(0, u32::MAX), at(1, 1), at(1, u32::MAX)] {
            assert_eq!(sent.event(place), None);
        }
    }
}
