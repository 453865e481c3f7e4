//! One synchronous conversation: request, reply, and who must be woken.

use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::{Duration, Instant};

use super::layout::{self, REPLY_BYTES, REQUEST_BYTES, USER_PAGE, header};
use super::spin::Spin;
use super::{Channel, Damage, futex};

/// What a lane is about, in the low bits of its state word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Phase {
    /// Nothing was ever asked.
    Idle = 0,
    /// The bench has asked.
    Request = 1,
    /// The host has answered.
    Reply = 2,
    /// The host is dead; written by the bench's own watcher to end waits.
    Dead = 3,
}

const PHASE: u32 = 3;
/// The host's worker sleeps on the word.
const HOST_SLEEPS: u32 = 0x10;
/// The bench sleeps on the word.
const BENCH_SLEEPS: u32 = 0x20;
/// The lane's ring is full: the bench has to take records out before there can be a reply.
const FULL: u32 = 0x40;
/// The bench has turned to other things: ring the bell when done.
const PENDING: u32 = 0x80;
/// The worker wants a page of user memory before it can go on.
const ASKS: u32 = 0x100;
const FLAGS: u32 = HOST_SLEEPS | BENCH_SLEEPS | FULL | PENDING | ASKS;

/// In an answer, beside the number of its question: the page is there.
const GRANTED: u32 = 1 << 31;

/// What a wait came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The reply is there.
    Replied,
    /// The time is up; whoever waits is told by the bell from now on.
    Pending,
    /// The lane's ring is full.
    Full,
    /// The worker wants a page of user memory.
    Asked(Ask),
    /// The host is dead, or something is wrong with the lane.
    Dead,
}

/// A page of user memory that a driver touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// The process whose address space is active.
    pub(crate) process: u32,
    /// The page's address.
    pub(crate) address: u64,
    /// The question's number: an answer that comes late must not be taken for the next one's.
    number: u32,
}

/// One lane of a channel, for either side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane<'c> {
    channel: &'c Channel,
    index: usize,
}

impl Channel {
    /// Lane `index`, below [`super::LANES`], or [`super::SYSTEM_LANE`].
    pub(crate) fn lane(&self, index: usize) -> Lane<'_> {
        debug_assert!(index <= layout::LANES, "there is no such lane");
        Lane { channel: self, index }
    }

    /// The futex that changes when something happened for which nobody waits on a lane.
    pub(crate) fn bell(&self) -> &AtomicU32 {
        self.word32(header::BELL)
    }

    /// Rings the bell.
    pub(crate) fn ring(&self) {
        self.bell().fetch_add(1, Ordering::SeqCst);
        futex::wake(self.bell());
    }
}

impl<'c> Lane<'c> {
    /// The offset of the lane's own `offset` in the channel.
    pub(super) fn at(self, offset: usize) -> usize {
        layout::lane_at(self.index) + offset
    }

    /// Which lane it is.
    pub(crate) fn index(self) -> usize {
        self.index
    }

    /// The channel it is a lane of.
    pub(crate) fn channel(self) -> &'c Channel {
        self.channel
    }

    fn state(self) -> &'c AtomicU32 {
        self.channel.word32(self.at(layout::lane::STATE))
    }

    // ---- the bench's side ----

    /// Asks. The host's worker is woken if it sleeps.
    ///
    /// # Panics
    /// On a request longer than its buffer: the caller encodes into one of that size.
    pub(crate) fn send(self, request: &[u8]) {
        assert!(request.len() <= REQUEST_BYTES, "a request fits its buffer");
        self.channel.copy_in(self.at(layout::lane::REQUEST), request);
        let length = u32::try_from(request.len()).unwrap_or(0);
        self.channel.word32(self.at(layout::lane::REQUEST_LENGTH)).store(length, Ordering::Relaxed);
        let before = self.state().swap(Phase::Request as u32, Ordering::AcqRel);
        if before & HOST_SLEEPS != 0 {
            futex::wake(self.state());
        }
    }

    /// Whether the host has answered, and nobody has looked yet.
    pub(crate) fn has_replied(self) -> bool {
        self.state().load(Ordering::Acquire) & PHASE == Phase::Reply as u32
    }

    fn decode(self, state: u32) -> Result<Phase, Damage> {
        if state & !(PHASE | FLAGS) != 0 {
            return Err(Damage::State { lane: self.index, state });
        }
        Ok(match state & PHASE {
            0 => Phase::Idle,
            1 => Phase::Request,
            2 => Phase::Reply,
            _ => Phase::Dead,
        })
    }

    /// Waits for the reply until `deadline`. After [`Waited::Pending`] the bell rings when it comes.
    ///
    /// # Errors
    /// [`Damage::State`].
    pub(crate) fn wait_reply(self, deadline: Instant, spin: &mut Spin) -> Result<Waited, Damage> {
        let word = self.state();
        spin.until(|| word.load(Ordering::Acquire) & (PHASE | FULL | ASKS) != Phase::Request as u32);
        loop {
            let state = word.load(Ordering::Acquire);
            match self.decode(state)? {
                Phase::Reply => {
                    spin.learn();
                    return Ok(Waited::Replied);
                }
                Phase::Dead => return Ok(Waited::Dead),
                // The bench does not go back to this by itself.
                Phase::Idle => return Err(Damage::State { lane: self.index, state }),
                Phase::Request => {}
            }
            if state & FULL != 0 {
                word.fetch_and(!FULL, Ordering::AcqRel);
                return Ok(Waited::Full);
            }
            if state & ASKS != 0 {
                word.fetch_and(!ASKS, Ordering::AcqRel);
                return Ok(Waited::Asked(Ask {
                    process: self.channel.word32(self.at(layout::lane::ASK_PROCESS)).load(Ordering::Relaxed),
                    address: self.channel.word64(self.at(layout::lane::ASK_ADDRESS)).load(Ordering::Relaxed),
                    number: self.channel.word32(self.at(layout::lane::ASK_NUMBER)).load(Ordering::Relaxed),
                }));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let turned =
                    word.compare_exchange(state, state | PENDING, Ordering::AcqRel, Ordering::Relaxed);
                if turned.is_ok() {
                    return Ok(Waited::Pending);
                }
                continue;
            }
            let asleep = state | BENCH_SLEEPS;
            if word.compare_exchange(state, asleep, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                futex::wait(word, asleep, Some(left));
            }
        }
    }

    /// Answers [`Waited::Asked`], with the page or with none.
    pub(crate) fn answer(self, ask: Ask, page: Option<&[u8; USER_PAGE]>) {
        if let Some(page) = page {
            self.channel.copy_in(self.at(layout::lane::PAGE), page);
        }
        let word = self.channel.word32(self.at(layout::lane::ANSWER));
        word.store(ask.number & !GRANTED | if page.is_some() { GRANTED } else { 0 }, Ordering::Release);
        futex::wake(word);
    }

    /// Takes the reply out, into `out`.
    ///
    /// # Errors
    /// [`Damage::Reply`] when it is longer than its buffer.
    pub(crate) fn take_reply(self, out: &mut Vec<u8>) -> Result<(), Damage> {
        let length =
            self.channel.word32(self.at(layout::lane::REPLY_LENGTH)).load(Ordering::Relaxed) as usize;
        if length > REPLY_BYTES {
            return Err(Damage::Reply { lane: self.index });
        }
        out.clear();
        self.channel.copy_out(self.at(layout::lane::REPLY), length, out);
        Ok(())
    }

    /// Ends every wait on the lane: the host is dead. A reply that it left is still one. (A request that
    /// is sent at this very moment may come after: whoever waits asks for the host's death as well.)
    pub(crate) fn bury(self) {
        let _ = self.state().fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| {
            (state & PHASE != Phase::Reply as u32).then_some(Phase::Dead as u32)
        });
        futex::wake(self.state());
    }

    /// What a worker is doing: a number that changes as it goes on, then the routine that runs, if one does.
    pub(crate) fn in_flight(self) -> (u64, Option<InFlight>) {
        let load32 = |offset| self.channel.word32(self.at(offset)).load(Ordering::Relaxed);
        let progress = self.channel.word64(self.at(layout::lane::PROGRESS)).load(Ordering::Relaxed);
        let routine = load32(layout::lane::DRIVER).checked_sub(1).map(|driver| InFlight {
            driver,
            family: load32(layout::lane::FAMILY).checked_sub(1),
            routine: self.channel.word64(self.at(layout::lane::ROUTINE)).load(Ordering::Relaxed),
        });
        (progress, routine)
    }

    // ---- the host's side ----

    /// Waits for a request, for ever, and answers where it is and how long.
    pub(crate) fn wait_request(self, spin: &mut Spin) -> (usize, usize) {
        let word = self.state();
        spin.until(|| word.load(Ordering::Acquire) & PHASE == Phase::Request as u32);
        loop {
            let state = word.load(Ordering::Acquire);
            if state & PHASE == Phase::Request as u32 {
                spin.learn();
                break;
            }
            let asleep = state | HOST_SLEEPS;
            if word.compare_exchange(state, asleep, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                futex::wait(word, asleep, None);
            }
        }
        let length =
            self.channel.word32(self.at(layout::lane::REQUEST_LENGTH)).load(Ordering::Relaxed) as usize;
        (self.at(layout::lane::REQUEST), length.min(REQUEST_BYTES))
    }

    /// Answers the request and wakes whoever waits for it.
    pub(crate) fn reply(self, reply: &[u8]) {
        let reply = reply.get(..REPLY_BYTES).unwrap_or(reply);
        self.channel.copy_in(self.at(layout::lane::REPLY), reply);
        let length = u32::try_from(reply.len()).unwrap_or(0);
        self.channel.word32(self.at(layout::lane::REPLY_LENGTH)).store(length, Ordering::Relaxed);
        let before = self.state().swap(Phase::Reply as u32, Ordering::AcqRel);
        if before & BENCH_SLEEPS != 0 {
            futex::wake(self.state());
        }
        if before & PENDING != 0 {
            self.channel.ring();
        }
    }

    /// Asks the bench for a page of user memory and waits for it. `false` where there is none. Only atomic
    /// operations and a futex: a signal handler may do this.
    pub(crate) fn ask_page(self, process: u32, address: u64, page: &mut [u8; USER_PAGE]) -> bool {
        let word32 = |offset| self.channel.word32(self.at(offset));
        let answer = word32(layout::lane::ANSWER);
        let number = word32(layout::lane::ASK_NUMBER).load(Ordering::Relaxed).wrapping_add(1) & !GRANTED;
        word32(layout::lane::ASK_PROCESS).store(process, Ordering::Relaxed);
        self.channel.word64(self.at(layout::lane::ASK_ADDRESS)).store(address, Ordering::Relaxed);
        word32(layout::lane::ASK_NUMBER).store(number, Ordering::Relaxed);
        self.tell(ASKS);
        loop {
            let answered = answer.load(Ordering::Acquire);
            if answered & !GRANTED == number {
                if answered & GRANTED == 0 {
                    return false;
                }
                break;
            }
            // Not for ever: a driver could have written over the words by which the bench would know.
            futex::wait(answer, answered, Some(Duration::from_millis(100)));
        }
        for (index, chunk) in page.chunks_mut(8).enumerate() {
            let word = self.channel.word64(self.at(layout::lane::PAGE) + index * 8).load(Ordering::Relaxed);
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        true
    }

    /// Tells the bench that the lane's ring is full.
    pub(super) fn tell_full(self) {
        self.tell(FULL);
    }

    /// Sets a flag that the bench looks at while it waits for the reply, and wakes it.
    fn tell(self, flag: u32) {
        let word = self.state();
        let asked = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            (state & PHASE == Phase::Request as u32).then_some(state | flag)
        });
        if let Ok(before) = asked
            && before & BENCH_SLEEPS != 0
        {
            futex::wake(word);
        }
        self.channel.ring();
    }

    /// Notes that a routine starts (`Some`) or that none runs; answers what was there.
    pub(crate) fn enter(self, routine: Option<InFlight>) -> Option<InFlight> {
        let (progress, before) = self.in_flight();
        let store32 = |offset, value| self.channel.word32(self.at(offset)).store(value, Ordering::Relaxed);
        store32(layout::lane::DRIVER, routine.map_or(0, |routine| routine.driver.saturating_add(1)));
        if let Some(routine) = routine {
            store32(layout::lane::FAMILY, routine.family.map_or(0, |family| family.saturating_add(1)));
            self.channel.word64(self.at(layout::lane::ROUTINE)).store(routine.routine, Ordering::Relaxed);
        }
        self.channel
            .word64(self.at(layout::lane::PROGRESS))
            .store(progress.wrapping_add(1), Ordering::Relaxed);
        before
    }

    // ---- room in the ring, both sides ----

    /// The bench has taken records out: wakes a producer that waits.
    pub(super) fn made_room(self) {
        // Pairs with the fence in `wait_room`: one of the two sees what the other wrote.
        fence(Ordering::SeqCst);
        let blocked = self.channel.word32(self.at(layout::lane::BLOCKED));
        if blocked.load(Ordering::Relaxed) != 0 {
            blocked.store(0, Ordering::Relaxed);
            let room = self.channel.word32(self.at(layout::lane::ROOM));
            room.fetch_add(1, Ordering::SeqCst);
            futex::wake(room);
        }
    }

    /// Whether a producer waits for room.
    pub(crate) fn is_blocked(self) -> bool {
        self.channel.word32(self.at(layout::lane::BLOCKED)).load(Ordering::Relaxed) != 0
    }

    /// Waits for room, unless `there_is_room` by then.
    pub(super) fn wait_room(self, there_is_room: impl Fn() -> bool) {
        let room = self.channel.word32(self.at(layout::lane::ROOM));
        let seen = room.load(Ordering::SeqCst);
        self.channel.word32(self.at(layout::lane::BLOCKED)).store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if there_is_room() {
            return;
        }
        self.tell_full();
        // Not for ever: a driver could have written over the words by which the bench would know.
        futex::wait(room, seen, Some(Duration::from_millis(100)));
    }
}

/// A routine that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InFlight {
    /// Whose.
    pub(crate) driver: u32,
    /// Its family as a number; `None` for DriverEntry, DriverUnload and the like.
    pub(crate) family: Option<u32>,
    /// Its address.
    pub(crate) routine: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until the host asks, as a bench does.
    fn asked(lane: Lane<'_>) -> Ask {
        let deadline = Instant::now() + Duration::from_secs(20);
        match lane.wait_reply(deadline, &mut Spin::for_replies()) {
            Ok(Waited::Asked(ask)) => ask,
            other => panic!("not asked: {other:?}"),
        }
    }

    #[test]
    fn a_page_is_asked_for_and_comes() {
        let (channel, _file) = Channel::create().unwrap();
        let lane = channel.lane(2);
        lane.send(b"request");
        std::thread::scope(|scope| {
            let host = scope.spawn(|| {
                let mut page = [0; USER_PAGE];
                let there = lane.ask_page(8, 0x7000, &mut page);
                let nowhere = lane.ask_page(12, 0x8000, &mut [0; USER_PAGE]);
                (there, page, nowhere)
            });
            let first = asked(lane);
            assert_eq!((first.process, first.address), (8, 0x7000));
            lane.answer(first, Some(&[7; USER_PAGE]));
            let second = asked(lane);
            assert_eq!((second.process, second.address), (12, 0x8000));
            // The answer to the first question again, too late: not to be taken for the second's.
            lane.answer(first, Some(&[9; USER_PAGE]));
            lane.answer(second, None);
            assert_eq!(host.join().unwrap(), (true, [7; USER_PAGE], false));
        });
    }
}
