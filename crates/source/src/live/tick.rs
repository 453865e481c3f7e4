//! A wake-up call for the tracer while nothing happens: a driver may terminate a process from a thread of its own.
//!
//! The tracer sleeps in `waitpid`, which knows no time-out; a signal that does nothing interrupts it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nix::{
    sys::{
        signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction},
        timer::{Expiration, Timer, TimerSetTimeFlags},
    },
    time::ClockId,
};

use super::sys;

/// How long the tracer sleeps at most.
const INTERVAL: Duration = Duration::from_millis(100);
/// A signal that is ignored where nobody handles it.
const SIGNAL: Signal = Signal::SIGURG;

/// How many tracers of this process tick, and what the signal did before the first of them.
static TICKING: Mutex<(usize, Option<SigAction>)> = Mutex::new((0, None));

/// Interrupts the tracer now and then, until it is dropped.
#[derive(Debug)]
pub(super) struct Tick(#[expect(dead_code, reason = "it ticks as long as it is there")] Timer);

extern "C" fn nothing(_: i32) {}

impl Tick {
    /// Starts to interrupt the calling thread; `None` where there are no timers, without which orders wait for the next thing
    /// that happens.
    pub(super) fn start() -> Option<Self> {
        let mut ticking = TICKING.lock().unwrap_or_else(PoisonError::into_inner);
        if ticking.0 == 0 {
            // Not to be restarted: the wait is to end.
            let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
            // SAFETY: the handler does nothing.
            ticking.1 = Some(unsafe { sigaction(SIGNAL, &action) }.ok()?);
        }
        ticking.0 += 1;
        drop(ticking);
        start_timer().map(Self).or_else(|| {
            stopped();
            None
        })
    }
}

fn start_timer() -> Option<Timer> {
    let to = SigevNotify::SigevThreadId { signal: SIGNAL, thread_id: sys::own_thread(), si_value: 0 };
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(to)).ok()?;
    timer.set(Expiration::Interval(INTERVAL.into()), TimerSetTimeFlags::empty()).ok()?;
    Some(timer)
}

/// One tracer less ticks; after the last one the signal does what it did before.
fn stopped() {
    let mut ticking = TICKING.lock().unwrap_or_else(PoisonError::into_inner);
    ticking.0 = ticking.0.saturating_sub(1);
    if ticking.0 == 0
        && let Some(before) = ticking.1.take()
    {
        // SAFETY: puts back what was there before.
        let _ = unsafe { sigaction(SIGNAL, &before) };
    }
}

impl Drop for Tick {
    fn drop(&mut self) {
        stopped();
    }
}
