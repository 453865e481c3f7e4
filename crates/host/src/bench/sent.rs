//! The events that were sent over a lane, as long as records may point to them.

use std::collections::VecDeque;

use event::{Event, wire};

use crate::protocol::Place;

/// What was sent over one lane, delivery by delivery, and is not drained yet.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The number of the first delivery.
    first: u32,
    /// The encoded events of each.
    deliveries: VecDeque<Vec<u8>>,
}

impl Sent {
    /// The number of the delivery that is sent next.
    pub(super) fn next(&self) -> u32 {
        // A bench that is not drained is out of memory before this wraps.
        self.first.wrapping_add(u32::try_from(self.deliveries.len()).unwrap_or(u32::MAX))
    }

    /// Keeps the events of that delivery.
    pub(super) fn keep(&mut self, events: &[u8]) {
        self.deliveries.push_back(events.to_vec());
    }

    /// Forgets deliveries, but for the last one where it `goes_on`: what they have told is handed over.
    pub(super) fn forget(&mut self, goes_on: bool) {
        self.first = self.next().wrapping_sub(u32::from(goes_on && !self.deliveries.is_empty()));
        self.deliveries.drain(..self.deliveries.len().saturating_sub(usize::from(goes_on)));
    }

    /// The event at a place; `None` where there is none, as a driver has written over what the host says.
    pub(super) fn event(&self, at: Place) -> Option<Event<'_>> {
        let events = self.deliveries.get(at.delivery.wrapping_sub(self.first) as usize)?;
        wire::decode(events.get(at.offset as usize..)?).ok().map(|(event, _)| event)
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

    fn encoded(events: &[Event<'_>]) -> (Vec<u8>, Vec<u32>) {
        let (mut bytes, mut offsets) = (Vec::new(), Vec::new());
        for event in events {
            offsets.push(u32::try_from(bytes.len()).unwrap());
            wire::append(event, &mut bytes).unwrap();
        }
        (bytes, offsets)
    }

    #[test]
    fn an_event_is_there_until_its_delivery_is_forgotten() {
        let mut sent = Sent::default();
        let (bytes, offsets) = encoded(&[exit(4), exit(8)]);
        for number in 0..3 {
            assert_eq!(sent.next(), number);
            sent.keep(&bytes);
        }
        let at = |delivery, index: usize| Place { delivery, offset: offsets[index] };
        assert_eq!(sent.event(at(0, 1)), Some(exit(8)));
        sent.forget(true);
        assert_eq!((sent.event(at(1, 0)), sent.event(at(2, 0)), sent.next()), (None, Some(exit(4)), 3));
        sent.forget(false);
        assert_eq!((sent.event(at(2, 0)), sent.next()), (None, 3));
        sent.forget(true);
        assert_eq!(sent.next(), 3, "nothing goes on");
    }

    #[test]
    fn nonsense_points_to_nothing() {
        let mut sent = Sent::default();
        sent.keep(&encoded(&[exit(4)]).0);
        for (delivery, offset) in [(1, 0), (u32::MAX, 0), (0, u32::MAX), (0, 1000)] {
            assert_eq!(sent.event(Place { delivery, offset }), None);
        }
    }
}
