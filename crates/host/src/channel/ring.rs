//! The records of a lane on their way to the bench: one producer, one consumer, bytes.
//!
//! Positions only grow; a position modulo the ring's size is a place. A message is a header of 8 bytes
//! (length, zero) and its bytes, padded to 8, in one piece: what is left at the end of the ring is
//! skipped by a header with the length [`SKIP`].

use std::sync::atomic::Ordering;

use super::layout::{MAX_RECORD, RING_BYTES, lane};
use super::{Damage, Lane};

const SKIP: u32 = u32::MAX;
const HEADER: usize = 8;
const CAPACITY: u64 = RING_BYTES as u64;

/// A place in the ring.
const fn place(position: u64) -> usize {
    (position % CAPACITY) as usize
}

/// The header of a message.
const fn header(length: u32) -> u64 {
    length as u64
}

/// The host's end. One thread at a time uses it (its lane's worker, or whoever holds the system lane's lock).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Producer<'c> {
    lane: Lane<'c>,
}

impl<'c> Producer<'c> {
    pub(crate) fn new(lane: Lane<'c>) -> Self {
        Self { lane }
    }

    fn head(self) -> u64 {
        self.lane.channel().word64(self.lane.at(lane::HEAD)).load(Ordering::Relaxed)
    }

    /// How many bytes the consumer has left free after `head`.
    fn free(self, head: u64) -> u64 {
        let tail = self.lane.channel().word64(self.lane.at(lane::TAIL)).load(Ordering::Acquire);
        CAPACITY.saturating_sub(head.wrapping_sub(tail))
    }

    fn publish(self, head: u64) {
        self.lane.channel().word64(self.lane.at(lane::HEAD)).store(head, Ordering::Release);
    }

    /// Writes one message, in place: `encode` gets the room there is and answers how much it took, or
    /// `None` when it was too small. Waits while the ring is full. `false` when the message is longer
    /// than [`MAX_RECORD`].
    pub(crate) fn push(self, mut encode: impl FnMut(&mut [u8]) -> Option<usize>) -> bool {
        loop {
            let head = self.head() & !7;
            let free = self.free(head);
            let at = place(head);
            let to_end = RING_BYTES - at;
            let usable = usize::try_from(free).unwrap_or(RING_BYTES).min(to_end);
            let room = usable.saturating_sub(HEADER).min(MAX_RECORD);
            let start = self.lane.at(lane::RING) + at;
            if usable >= HEADER {
                // SAFETY: `free` bytes after `head` are the producer's alone until published.
                let buffer = unsafe { self.lane.channel().slice_mut(start + HEADER, room) };
                if let Some(used) = encode(buffer) {
                    let used = used.min(room);
                    let length = u32::try_from(used).unwrap_or(0);
                    self.lane.channel().word64(start).store(header(length), Ordering::Relaxed);
                    self.publish(head + (HEADER + used.next_multiple_of(8)) as u64);
                    return true;
                }
            }
            if room == MAX_RECORD {
                return false;
            }
            if usable == to_end && usable >= HEADER {
                // The end of the ring is in the way, not the consumer.
                self.lane.channel().word64(start).store(header(SKIP), Ordering::Relaxed);
                self.publish(head + to_end as u64);
                continue;
            }
            self.lane.wait_room(|| self.free(head) > free);
        }
    }
}

/// What the bench took out of a ring in one go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pulled {
    /// How many messages.
    pub(crate) messages: usize,
}

/// The bench's end. Its own position is kept here: the one in shared memory is for the host only.
#[derive(Debug, Default)]
pub(crate) struct Consumer {
    tail: u64,
}

impl Consumer {
    /// Moves every published message to the end of `out`, each as 4 bytes of length and its bytes.
    ///
    /// # Errors
    /// [`Damage::Ring`] and [`Damage::Length`] when the host (or a driver in it) has written nonsense.
    /// What was taken before stays in `out`.
    pub(crate) fn pull(&mut self, from: Lane<'_>, out: &mut Vec<u8>) -> Result<Pulled, Damage> {
        let channel = from.channel();
        let head = channel.word64(from.at(lane::HEAD)).load(Ordering::Acquire);
        let mut pulled = Pulled::default();
        let mut left = head.wrapping_sub(self.tail);
        if left == 0 {
            return Ok(pulled);
        }
        if left > CAPACITY || !left.is_multiple_of(8) {
            return Err(Damage::Ring { lane: from.index(), head, tail: self.tail });
        }
        while left > 0 {
            let at = place(self.tail);
            let to_end = (RING_BYTES - at) as u64;
            let [b0, b1, b2, b3, ..] =
                channel.word64(from.at(lane::RING) + at).load(Ordering::Relaxed).to_le_bytes();
            let length = u32::from_le_bytes([b0, b1, b2, b3]);
            let taken = if length == SKIP {
                to_end
            } else {
                let bytes = length as usize;
                let taken = (HEADER + bytes.next_multiple_of(8)) as u64;
                if bytes > MAX_RECORD || taken > left || taken > to_end {
                    return Err(Damage::Length { lane: from.index(), length, position: self.tail });
                }
                out.extend_from_slice(&length.to_le_bytes());
                channel.copy_out(from.at(lane::RING) + at + HEADER, bytes, out);
                pulled.messages += 1;
                taken
            };
            let Some(rest) = left.checked_sub(taken) else {
                return Err(Damage::Length { lane: from.index(), length, position: self.tail });
            };
            left = rest;
            self.tail = self.tail.wrapping_add(taken);
        }
        channel.word64(from.at(lane::TAIL)).store(self.tail, Ordering::Release);
        from.made_room();
        Ok(pulled)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::channel::{Channel, SYSTEM_LANE};

    fn messages(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut rest = bytes;
        let mut found = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (message, after) = after.split_at(u32::from_le_bytes(*length) as usize);
            found.push(message.to_vec());
            rest = after;
        }
        found
    }

    /// A byte that differs from one message to the next.
    fn mark(n: usize) -> u8 {
        u8::try_from(n % 251).unwrap()
    }

    fn put(producer: Producer<'_>, message: &[u8]) -> bool {
        producer.push(|room| {
            room.get_mut(..message.len())?.copy_from_slice(message);
            Some(message.len())
        })
    }

    #[test]
    fn messages_come_out_as_they_went_in_over_many_laps() {
        let (channel, _file) = Channel::create().unwrap();
        let lane = channel.lane(3);
        let (producer, mut consumer) = (Producer::new(lane), Consumer::default());
        for round in 0..200 {
            let sent: Vec<Vec<u8>> = (0..7).map(|n| vec![mark(n); (round * 977 + n * 331) % 9000]).collect();
            for message in &sent {
                assert!(put(producer, message));
            }
            let mut out = Vec::new();
            assert_eq!(consumer.pull(lane, &mut out).unwrap().messages, 7);
            assert_eq!(messages(&out), sent);
        }
    }

    #[test]
    fn a_full_ring_holds_the_producer_until_there_is_room() {
        let (channel, _file) = Channel::create().unwrap();
        let (channel, mut consumer) = (&channel, Consumer::default());
        let lane = channel.lane(SYSTEM_LANE);
        let sent = 4 * RING_BYTES / 1024;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for n in 0..sent {
                    assert!(put(Producer::new(channel.lane(SYSTEM_LANE)), &[mark(n); 1000]));
                }
            });
            let (mut seen, mut out) = (0, Vec::new());
            while seen < sent {
                out.clear();
                consumer.pull(lane, &mut out).unwrap();
                for message in messages(&out) {
                    assert_eq!(message, [mark(seen); 1000]);
                    seen += 1;
                }
                std::thread::yield_now();
            }
        });
    }

    #[test]
    fn too_long_a_message_is_refused_and_the_longest_is_not() {
        let (channel, _file) = Channel::create().unwrap();
        let producer = Producer::new(channel.lane(0));
        assert!(put(producer, &[1; 8]));
        assert!(!put(producer, &vec![0; MAX_RECORD + 1]));
        let mut out = Vec::new();
        let mut consumer = Consumer::default();
        consumer.pull(channel.lane(0), &mut out).unwrap();
        assert!(put(producer, &vec![7; MAX_RECORD]));
        out.clear();
        consumer.pull(channel.lane(0), &mut out).unwrap();
        assert_eq!(messages(&out).last().unwrap().len(), MAX_RECORD);
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_or_bytes_and_always_an_end(
            head: u64,
            near in 0..(2 * RING_BYTES as u64),
            close: bool,
            words in proptest::collection::vec((0..RING_BYTES / 8, any::<u64>()), 0..400),
        ) {
            let (channel, _file) = Channel::create().unwrap();
            let lane = channel.lane(1);
            for (index, word) in words {
                channel.word64(lane.at(super::lane::RING) + index * 8).store(word, Ordering::Relaxed);
            }
            let head = if close { near } else { head };
            channel.word64(lane.at(super::lane::HEAD)).store(head, Ordering::Relaxed);
            let (mut consumer, mut out) = (Consumer::default(), Vec::new());
            let _ = consumer.pull(lane, &mut out);
            prop_assert!(out.len() <= RING_BYTES);
        }
    }
}
