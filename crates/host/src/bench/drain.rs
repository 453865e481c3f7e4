//! The records of all lanes, handed over in one order.

use event::{Body, Record, Time};

use super::client::Bench;
use super::sent::Sent;
use super::shared::RINGS;
use super::stop::{self, Module};
use crate::channel::Damage;
use crate::process::{Reason, end};
use crate::protocol::Message;

impl Bench {
    /// Hands over every record that is there, in the order of their time; those of one lane (so: those
    /// of one batch) stay in the order in which they were written. After the host's death the last
    /// one is a [`Stop`](event::Stop), once.
    ///
    /// Records wait in the channel and, when it is full, in memory until they are drained: a bench
    /// that runs long is drained often.
    pub fn drain(&mut self, sink: &mut dyn FnMut(&Record<'_>)) {
        // Asked first: what a dead host has written is all there when it is taken below.
        let death = self.shared.death();
        self.pull();
        self.hand_over_pulled(sink);
        if let Some(death) = death
            && !self.stopped
            && !self.finished
        {
            self.stopped = true;
            // Who sees a host die has only the computer's clock; where time is made up that says nothing.
            let made_up = self.options.config.clock != kernel::Clock::Real;
            let time = if made_up { self.last } else { Time::now() };
            sink(&stop::record(&self.shared, death, &self.modules, time));
        }
    }

    /// Takes every record that is there out of the channel. They are handed over by the next [`drain`](Self::drain), or
    /// before by [`hand_over_pulled`](Self::hand_over_pulled): while the host is busy with something else, say.
    pub fn pull(&mut self) {
        let pulled = {
            let mut inbox = self.shared.inbox();
            let pulled = (0..RINGS).try_for_each(|lane| inbox.pull(&self.shared.channel, lane));
            for (taken, bytes) in self.taken.iter_mut().zip(&mut inbox.bytes) {
                if taken.is_empty() {
                    std::mem::swap(taken, bytes);
                } else {
                    taken.append(bytes);
                }
            }
            pulled
        };
        if let Err(damage) = pulled {
            end(&*self.shared, &self.pidfd, Reason::Damaged(damage));
        }
        // A delivery that was done before has written all that it does.
        for (lane, sent) in self.sent.iter_mut().enumerate() {
            sent.taken(self.pending.get(lane).is_some_and(Option::is_some));
        }
    }

    /// Hands over the records that were [taken](Self::pull) out of the channel and no others, in the order of their time.
    pub fn hand_over_pulled(&mut self, sink: &mut dyn FnMut(&Record<'_>)) {
        let mut taken = std::mem::take(&mut self.taken);
        let mut sent = std::mem::take(&mut self.sent);
        if let Err(damage) = self.hand_over(&taken, &sent, sink) {
            end(&*self.shared, &self.pidfd, Reason::Damaged(damage));
        }
        taken.iter_mut().for_each(Vec::clear);
        sent.iter_mut().for_each(Sent::forget);
        (self.taken, self.sent) = (taken, sent);
    }

    /// Merges the lanes by time.
    fn hand_over(
        &mut self,
        taken: &[Vec<u8>; RINGS],
        sent: &[Sent; RINGS],
        sink: &mut dyn FnMut(&Record<'_>),
    ) -> Result<(), Damage> {
        let mut rest: [&[u8]; RINGS] = std::array::from_fn(|lane| taken[lane].as_slice());
        let mut told = taken.iter().enumerate().filter(|(_, bytes)| !bytes.is_empty());
        if let (Some((lane, _)), None) = (told.next(), told.next()) {
            // There is nothing to merge.
            while let Some(record) = next(lane, &mut rest[lane], &sent[lane])? {
                self.hand(&record, sink);
            }
            return Ok(());
        }
        let mut heads: [Option<Record<'_>>; RINGS] = std::array::from_fn(|_| None);
        let mut damage = Ok(());
        for (lane, (head, rest)) in heads.iter_mut().zip(&mut rest).enumerate() {
            *head = next(lane, rest, &sent[lane]).unwrap_or_else(|damaged| {
                damage = Err(damaged);
                None
            });
        }
        loop {
            let first =
                heads.iter().enumerate().filter_map(|(lane, head)| Some((due(head.as_ref()?), lane))).min();
            let Some((_, lane)) = first else { break };
            let following = next(lane, &mut rest[lane], &sent[lane]).unwrap_or_else(|damaged| {
                damage = Err(damaged);
                None
            });
            if let Some(record) = std::mem::replace(&mut heads[lane], following) {
                self.hand(&record, sink);
            }
        }
        damage
    }

    fn hand(&mut self, record: &Record<'_>, sink: &mut dyn FnMut(&Record<'_>)) {
        self.last = record.time;
        match &record.body {
            // Two processors may stop at once; a host ends once.
            Body::Stop(_) if std::mem::replace(&mut self.stopped, true) => return,
            Body::DriverLoad { driver, path, base, size, .. } => {
                self.modules.push(Module {
                    driver: *driver,
                    // As the kernel calls it in its own stacks.
                    name: path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned(),
                    base: *base,
                    size: *size,
                });
            }
            Body::DriverUnload { driver, elapsed: Some(_) } => {
                self.modules.retain(|module| module.driver != *driver)
            }
            _ => {}
        }
        sink(record);
    }
}

/// When a record's turn is: a stop is the last of its host.
fn due(record: &Record<'_>) -> i64 {
    if matches!(record.body, Body::Stop(_)) { i64::MAX } else { record.time.0 }
}

/// The next record of a lane.
fn next<'a>(lane: usize, rest: &mut &'a [u8], sent: &'a Sent) -> Result<Option<Record<'a>>, Damage> {
    let Some((length, after)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let Some((message, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize) else {
        *rest = &[];
        return Ok(None);
    };
    *rest = after;
    let why = match event::wire::decode(message) {
        Ok((Message::Record(record), _)) => return Ok(Some(record)),
        Ok((Message::Told { time, context, event }, _)) => match sent.event(event) {
            Some(event) => return Ok(Some(Record { time, context, body: Body::Event(event) })),
            None => "it tells of an event that was not sent".into(),
        },
        Err(error) => error.to_string(),
    };
    // What follows in this lane is no better.
    *rest = &[];
    Err(Damage::Record { lane, why })
}
