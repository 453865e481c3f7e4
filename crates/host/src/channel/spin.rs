//! Waiting awake, for a while.
//!
//! A notice takes a few microseconds; to go to sleep and be woken on a processor that has gone idle meanwhile
//! takes ten times that, twice. Worse, each sleep lets the scheduler put tracer, host and command on
//! different processors, and every stop of the command costs more from then on. So a side stays awake
//! for about as long as the other usually takes, and gives its processor away between looks: whoever
//! else has work to do, the command above all, goes first.

use std::time::{Duration, Instant};

/// How long a host stays awake for the next request: most of the time between two stops of a process
/// that starts, maps its libraries and ends.
const FOR_REQUESTS: Duration = Duration::from_micros(500);
/// How long a bench stays awake for a reply.
const FOR_REPLIES: Duration = Duration::from_micros(100);
/// How long it is tried once that has not paid for [`PATIENCE`] waits in a row.
const BRIEFLY: Duration = Duration::from_micros(5);
/// Waits in vain before a side only looks briefly, until a wait would have paid again.
const PATIENCE: u32 = 8;
/// Looks between two offers of the processor.
const LOOKS: u32 = 20;

/// One side's experience with one lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spin {
    awake: Duration,
    in_vain: u32,
    began: Option<Instant>,
}

impl Spin {
    /// For the side that waits for requests.
    pub(crate) const fn for_requests() -> Self {
        Self { awake: FOR_REQUESTS, in_vain: 0, began: None }
    }

    /// For the side that waits for replies.
    pub(crate) const fn for_replies() -> Self {
        Self { awake: FOR_REPLIES, in_vain: 0, began: None }
    }

    /// Waits awake until `ready`, or until it is better to sleep.
    pub(super) fn until(&mut self, ready: impl Fn() -> bool) {
        if ready() {
            return;
        }
        let began = Instant::now();
        self.began = Some(began);
        let limit = if self.in_vain < PATIENCE { self.awake } else { BRIEFLY };
        while began.elapsed() < limit {
            for _ in 0..LOOKS {
                if ready() {
                    return;
                }
                std::hint::spin_loop();
            }
            // SAFETY: gives the rest of the time slice away; touches nothing.
            unsafe { libc::sched_yield() };
        }
    }

    /// What was waited for is there: learns whether waiting awake pays. One that slept through most of its wait
    /// would have waited awake in vain.
    pub(super) fn learn(&mut self) {
        let Some(began) = self.began.take() else { return };
        self.in_vain = if began.elapsed() <= self.awake { 0 } else { (self.in_vain + 1).min(PATIENCE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_waited_for() {
        let mut spin = Spin::for_requests();
        spin.until(|| true);
        assert!(spin.began.is_none());
    }

    #[test]
    fn it_gives_up_after_waits_in_vain_and_begins_again_when_one_would_have_paid() {
        let mut spin = Spin::for_replies();
        for _ in 0..PATIENCE {
            spin.until(|| false);
            std::thread::sleep(FOR_REPLIES);
            spin.learn();
        }
        assert_eq!(spin.in_vain, PATIENCE);
        // A wait that is over soon.
        spin.began = Some(Instant::now());
        spin.learn();
        assert_eq!(spin.in_vain, 0);
    }
}
