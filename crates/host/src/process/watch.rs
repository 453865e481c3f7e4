//! The thread of the bench that knows when its host dies or hangs.
//!
//! It starts the host itself, for two reasons: a host asks to be killed when its parent *thread*
//! ends, and a live source may wait for the children of other threads only if asked to.

use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Child;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::spawn::{self, How, SpawnError};
use super::{Death, Reason};
use crate::channel::{Damage, LANES};

/// How often lanes are looked at.
const TICK: Duration = Duration::from_millis(50);

/// What the watcher must know of a lane. Written by the bench with plain stores: no clock is read there.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Counts up with every request and every reply: odd while the host owes a reply.
    turns: AtomicU32,
    /// How long the lane may make no progress, in milliseconds.
    limit: AtomicU64,
    /// How long the request may take in all, whatever progress it seems to make, in milliseconds.
    whole: AtomicU64,
}

impl Watch {
    /// A request is about to be sent.
    pub(crate) fn sent(&self, limit: Duration, whole: Duration) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.limit.store(millis(limit), Ordering::Relaxed);
        self.whole.store(millis(whole), Ordering::Relaxed);
        self.turns.store(self.turns.load(Ordering::Relaxed) | 1, Ordering::Release);
    }

    /// The reply was taken.
    pub(crate) fn replied(&self) {
        self.turns.store((self.turns.load(Ordering::Relaxed) | 1).wrapping_add(1), Ordering::Release);
    }
}

/// What the watcher has to do with the bench.
pub(crate) trait Watched: Send + Sync + 'static {
    /// The lane's part of the watch.
    fn lane(&self, lane: usize) -> &Watch;
    /// How far the host has come on a lane: a number that changes, and the routine that runs.
    fn progress(&self, lane: usize) -> (u64, Option<crate::channel::InFlight>);
    /// Whether a lane's reply is there: however long the bench takes to look at it, the host does not hang.
    fn has_replied(&self, lane: usize) -> bool;
    /// Takes records of lanes whose producers wait for room.
    ///
    /// # Errors
    /// When the rings are damaged.
    fn relieve(&self) -> Result<(), Damage>;
    /// Why the host was ended, if the bench did; the first reason counts.
    fn reason(&self) -> &OnceLock<Reason>;
    /// The host is dead: every wait ends.
    fn died(&self, death: Death);
}

/// The watcher's memory of one lane.
#[derive(Clone, Copy)]
struct Seen {
    turn: u32,
    progress: u64,
    since: Instant,
    started: Instant,
}

/// Starts a host and watches it until it is dead. The outcome of the start goes to `started`.
pub(crate) fn watch(
    watched: &impl Watched,
    channel: OwnedFd,
    how: How,
    started: &Sender<Result<(u32, OwnedFd), SpawnError>>,
) {
    let (mut child, pidfd) = match spawn::spawn(channel, how) {
        Ok(both) => both,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    match pidfd.try_clone() {
        Ok(copy) => {
            let _ = started.send(Ok((child.id(), copy)));
        }
        Err(error) => {
            spawn::kill(&pidfd);
            let _ = child.wait();
            let _ = started.send(Err(SpawnError::Watch(error)));
            return;
        }
    }
    let mut lanes = [None; LANES];
    while !is_dead(&pidfd) {
        let reason = match watched.relieve() {
            Err(damage) => Some(Reason::Damaged(damage)),
            Ok(()) => overdue(watched, &mut lanes),
        };
        if let Some(reason) = reason {
            let _ = watched.reason().set(reason);
            spawn::kill(&pidfd);
        }
    }
    watched.died(reap(&mut child));
}

/// Ends a host for a reason.
pub(crate) fn end(watched: &impl Watched, pidfd: &OwnedFd, reason: Reason) {
    let _ = watched.reason().set(reason);
    spawn::kill(pidfd);
}

/// Sleeps until the process is dead, one tick at most; answers whether it is.
fn is_dead(pidfd: &OwnedFd) -> bool {
    let mut poll = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = i32::try_from(TICK.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one element, ours to write.
    let ready = unsafe { libc::poll(&raw mut poll, 1, millis) };
    ready > 0
}

fn reap(child: &mut Child) -> Death {
    child.wait().map_or(Death::Unknown, Death::Status)
}

/// Whether a lane has gone on for too long: why the host has to end.
fn overdue(watched: &impl Watched, lanes: &mut [Option<Seen>; LANES]) -> Option<Reason> {
    for (index, seen) in lanes.iter_mut().enumerate() {
        let lane = watched.lane(index);
        let turn = lane.turns.load(Ordering::Acquire);
        if turn.is_multiple_of(2) || watched.has_replied(index) {
            *seen = None;
            continue;
        }
        let now = Instant::now();
        let (progress, routine) = watched.progress(index);
        match seen {
            Some(seen) if seen.turn == turn => {
                if seen.progress != progress {
                    (seen.progress, seen.since) = (progress, now);
                }
                let (limit, whole) = (lane.limit.load(Ordering::Relaxed), lane.whole.load(Ordering::Relaxed));
                let late = [(seen.since, limit), (seen.started, whole)]
                    .into_iter()
                    .find(|&(since, limit)| now.duration_since(since) > Duration::from_millis(limit));
                if let Some((_, limit)) = late {
                    return Some(Reason::Hang { limit, routine });
                }
            }
            _ => *seen = Some(Seen { turn, progress, since: now, started: now }),
        }
    }
    None
}
