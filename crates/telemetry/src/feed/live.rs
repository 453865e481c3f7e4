//! What comes as it is made: read by a thread, so that a pause is seen as one.
//!
//! Whether Sysmon tells better what the security log does is not known before it does. A record of the security log that
//! may be told better waits until that is known, for as many records and as long as it says here; after that, what has come
//! by then counts.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Fed, Given, Giver};
use crate::recording::TOGETHER;
use crate::supersede::Supersede;

/// So many records are read ahead of those who are told of them.
const AHEAD: usize = 1024;
/// For so many others a record waits.
const WAITING: usize = 8192;
/// And for so long. What was given out has a pause behind it so long after, if nothing else is there.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a reader gives, as it comes.
pub(super) struct Live {
    coming: Receiver<Given>,
    /// What came and was not told, and when it came.
    came: VecDeque<(Instant, Given)>,
    supersede: Supersede,
    /// When the first was given out of those that no pause has followed yet.
    given: Option<Instant>,
    ended: bool,
}

impl Live {
    pub(super) fn new(giver: Giver) -> Self {
        let ahead = if matches!(giver, Giver::Events(_)) { AHEAD / TOGETHER } else { AHEAD };
        let (sender, coming) = sync_channel(ahead);
        // It ends with the stream, or when nobody wants to know what it reads.
        thread::spawn(move || {
            let _ = giver.into_iter().all(|given| sender.send(given).is_ok());
        });
        Self {
            coming,
            came: VecDeque::new(),
            supersede: Supersede::of_what_came(),
            given: None,
            ended: false,
        }
    }

    /// Waits for something until then, and says whether it came.
    fn wait(&mut self, until: Option<Instant>) -> bool {
        let received = match until {
            Some(until) => self.coming.recv_timeout(until.saturating_duration_since(Instant::now())),
            None => self.coming.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(given) => {
                if let Given::Raw(told, log) = &given {
                    self.supersede.hear(told, *log);
                }
                self.came.push_back((Instant::now(), given));
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                false
            }
        }
    }

    /// Waits until it is known whether a record is told better by another, or for long enough.
    fn settle(&mut self) {
        while !self.ended && self.came.len() < WAITING {
            let Some((came, Given::Raw(told, log))) = self.came.front() else { return };
            // What is there already is looked at in any case.
            let until = *came + PATIENCE;
            if !self.supersede.is_open(told, *log) || !self.wait(Some(until)) {
                return;
            }
        }
    }
}

impl Iterator for Live {
    type Item = Fed;

    fn next(&mut self) -> Option<Fed> {
        while self.came.is_empty() && !self.ended {
            if !self.wait(self.given.map(|given| given + PATIENCE)) && !self.ended {
                self.given = None;
                return Some(Fed::Idle);
            }
        }
        self.settle();
        let (_, given) = self.came.pop_front()?;
        self.given.get_or_insert_with(Instant::now);
        Some(match given {
            Given::Fed(fed) => fed,
            Given::Raw(told, log) => {
                self.supersede.judge_numbered(told, log).map_or_else(Fed::Rejected, Fed::Told)
            }
        })
    }
}
