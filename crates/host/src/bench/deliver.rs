//! Batches of events, sent to the host, and what comes of them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use event::{Event, wire};

use super::client::{Bench, LOOK};
use super::cut::cut;
use super::sent::Events;
use crate::channel::{self, LANES};
use crate::process::Watched as _;
use crate::protocol::{Refusal, Reply, Request};

/// Names a batch whose delivery goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u32);

/// What came of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The refusal, where the batch held a process creation and a driver refused it. What NT
    /// does not send for a refused process (R-VETO-08) was left out of the rest of the batch.
    pub refused: Option<Refusal>,
    /// How many events of the batch were delivered: all, unless the delivery was only
    /// [begun](crate::Bench::begin_delivery).
    pub events: usize,
    /// A driver has terminated a process since this was last said: the record of that is there.
    pub terminated: bool,
}

/// How far the delivery of a batch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Every routine has returned.
    Done(Done),
    /// A routine takes its time: [`finished`](crate::Bench::finished) tells when it has returned.
    Pending(Ticket),
    /// The host is dead: nobody is told of anything any more. The last record says why.
    Gone,
}

/// A batch may take this many times the watchdog's limit per event: there are 64 slots in each table.
const ROUTINES: u32 = 64;

/// A batch that nobody waits for at the moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    ticket: Ticket,
    /// How many events were sent.
    sent: usize,
    /// What came of its first parts, where it was longer than the channel.
    before: Done,
}

/// Room for the encoded [`Request::Deliver`].
const HEAD: usize = 16;

/// How much of a batch is in the request.
struct Encoded {
    events: usize,
    /// Where in the buffer the request is.
    bytes: Range<usize>,
    /// Where each event begins, behind the first.
    offsets: Vec<u32>,
    /// One had to be cut.
    cut: bool,
}

impl Bench {
    /// Delivers events in order and waits for all routines, but no longer than the bench's patience.
    ///
    /// A batch is what one held-still thread did: batches that are pending run beside each other.
    pub fn deliver(&mut self, batch: &[Event<'_>]) -> Delivery {
        let mut before = Done::default();
        let mut rest = batch;
        loop {
            let Some((lane, taken)) = self.send(rest, None) else { return Delivery::Gone };
            rest = &rest[taken..];
            let deadline = if rest.is_empty() { Some(Instant::now() + self.options.patience) } else { None };
            match self.wait_until(lane, deadline) {
                Ok(Some(reply)) => match self.delivered(lane, reply, taken, before) {
                    Delivery::Done(done) if !rest.is_empty() => before = done,
                    delivery => return delivery,
                },
                Ok(None) => return Delivery::Pending(self.leave(lane, taken, before)),
                Err(_) => return Delivery::Gone,
            }
        }
    }

    /// Delivers events in order, and leaves them pending: for those who have something else to do until all routines have
    /// returned, and [wait for that](Self::done) then.
    ///
    /// The delivery ends behind an event of which a process came to an end (its creation was refused, or a driver terminated
    /// one), and with what the channel holds. What is left is the caller's, who may have other plans now.
    pub fn begin_delivery(&mut self, batch: &Arc<Vec<Event<'static>>>) -> Delivery {
        match self.send(batch, Some(batch)) {
            Some((lane, sent)) => Delivery::Pending(self.leave(lane, sent, Done::default())),
            None => Delivery::Gone,
        }
    }

    /// Sends as many events as fit into a request over a free lane: which one, and how many. Those that are `shared` need
    /// not be copied.
    fn send(
        &mut self,
        batch: &[Event<'_>],
        shared: Option<&Arc<Vec<Event<'static>>>>,
    ) -> Option<(usize, usize)> {
        let lane = self.free_lane()?;
        let taken = self.encode(batch, self.sent[lane].next(), shared.is_none());
        let kept = match shared {
            Some(events) if !taken.cut => Events::Shared(Arc::clone(events)),
            _ => Events::Encoded(self.request[HEAD..taken.bytes.end].to_vec(), taken.offsets),
        };
        self.sent[lane].keep(kept);
        let events = u32::try_from(taken.events).unwrap_or(u32::MAX);
        let limit = self.options.watchdog.saturating_mul(events.saturating_mul(ROUTINES).max(1));
        self.shared.lane(lane).sent(self.options.watchdog, limit);
        self.shared.channel.lane(lane).send(&self.request[taken.bytes]);
        Some((lane, taken.events))
    }

    /// What a host's reply to a batch says, with what came of the parts before it.
    fn delivered(&self, lane: usize, reply: Reply, sent: usize, before: Done) -> Delivery {
        match reply {
            // One at least: whoever sends the rest again comes to an end.
            Reply::Delivered { refused, count, terminated }
                if (sent.min(1)..=sent).contains(&(count as usize)) =>
            {
                Delivery::Done(Done {
                    refused: before.refused.or(refused),
                    events: before.events + count as usize,
                    terminated: before.terminated || terminated,
                })
            }
            _ => {
                self.damaged(channel::Damage::Reply { lane });
                Delivery::Gone
            }
        }
    }

    /// Leaves what a lane does pending.
    fn leave(&mut self, lane: usize, sent: usize, before: Done) -> Ticket {
        let ticket = Ticket(self.tickets);
        self.tickets = self.tickets.wrapping_add(1);
        self.pending[lane] = Some(Pending { ticket, sent, before });
        ticket
    }

    /// Waits for a pending batch to be done: awake at first, as for one that was not left pending.
    pub fn done(&mut self, ticket: Ticket) -> Delivery {
        if let Some(place) = self.told.iter().position(|(told, _)| *told == ticket) {
            return self.told.remove(place).map_or(Delivery::Gone, |(_, delivery)| delivery);
        }
        let is_it = |pending: &Option<Pending>| pending.filter(|pending| pending.ticket == ticket);
        let found = self.pending.iter().enumerate().find_map(|(lane, pending)| Some((lane, is_it(pending)?)));
        let Some((lane, Pending { sent, before, .. })) = found else { return Delivery::Gone };
        let reply = self.wait(lane);
        self.pending[lane] = None;
        reply.map_or(Delivery::Gone, |reply| self.delivered(lane, reply, sent, before))
    }

    /// Waits up to `wait` for any pending batch to be done. `None` when none is by then.
    pub fn finished(&mut self, wait: Duration) -> Option<(Ticket, Delivery)> {
        let deadline = Instant::now() + wait;
        loop {
            let bell = self.shared.channel.bell().load(Ordering::SeqCst);
            self.collect();
            if let Some(told) = self.told.pop_front() {
                return Some(told);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.pending.iter().all(Option::is_none) {
                return None;
            }
            channel::wait(self.shared.channel.bell(), bell, Some(left.min(LOOK)));
        }
    }

    /// Looks for pending batches that are done; when there are none, sleeps until something happens.
    pub(super) fn collect_or_sleep(&mut self) {
        let bell = self.shared.channel.bell().load(Ordering::SeqCst);
        let before = self.told.len();
        self.collect();
        if self.told.len() == before {
            channel::wait(self.shared.channel.bell(), bell, Some(LOOK));
        }
    }

    /// Takes the replies of pending batches that are done, and records where they stand in the way.
    fn collect(&mut self) {
        for lane in 0..LANES {
            let Some(Pending { ticket, sent, before }) = self.pending[lane] else { continue };
            let delivery = match self.wait_until(lane, Some(Instant::now())) {
                Ok(None) => continue,
                Ok(Some(reply)) => self.delivered(lane, reply, sent, before),
                Err(_) => Delivery::Gone,
            };
            self.pending[lane] = None;
            self.told.push_back((ticket, delivery));
        }
    }

    /// Writes as many events as fit into the request, at least one.
    fn encode(&mut self, batch: &[Event<'_>], number: u32, whole: bool) -> Encoded {
        // The events first, behind room for what says how many they are.
        let (head, body) = self.request.split_at_mut(HEAD);
        let (mut end, mut is_cut) = (0, false);
        let mut offsets = Vec::with_capacity(batch.len());
        for event in batch {
            let used = match wire::encode(event, &mut body[end..]) {
                Ok(used) => used,
                Err(_) if end > 0 => break,
                // Names as long as this are no machine's. What is left of them has room.
                Err(_) => {
                    is_cut = true;
                    wire::encode(&cut(event), &mut body[end..]).unwrap_or(0)
                }
            };
            // A request is far shorter than that.
            offsets.push(u32::try_from(end).unwrap_or(u32::MAX));
            end += used;
        }
        let count = u32::try_from(offsets.len()).unwrap_or(u32::MAX);
        let mut deliver = [0; HEAD];
        let used = wire::encode(&Request::Deliver { number, count, whole }, &mut deliver).unwrap_or(0);
        head[HEAD - used..].copy_from_slice(&deliver[..used]);
        Encoded { events: offsets.len(), bytes: HEAD - used..HEAD + end, offsets, cut: is_cut }
    }
}
