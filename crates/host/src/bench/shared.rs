//! What a bench shares with the thread that watches its host.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::channel::{Channel, Consumer, Damage, InFlight, LANES, SYSTEM_LANE, header};
use crate::process::{Death, Reason, Watch, Watched};

/// All rings: the lanes' and the system's.
pub(super) const RINGS: usize = LANES + 1;

/// Records that have been taken out of the rings and not yet been handed over.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) consumers: [Consumer; RINGS],
    /// By lane; each message behind 4 bytes of its length.
    pub(super) bytes: [Vec<u8>; RINGS],
}

impl Inbox {
    /// Takes what a lane's ring holds.
    pub(super) fn pull(&mut self, channel: &Channel, lane: usize) -> Result<(), Damage> {
        match (self.consumers.get_mut(lane), self.bytes.get_mut(lane)) {
            (Some(consumer), Some(bytes)) => consumer.pull(channel.lane(lane), bytes).map(drop),
            _ => Ok(()),
        }
    }
}

/// What a bench shares with its watcher.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) channel: Channel,
    inbox: Mutex<Inbox>,
    watches: [Watch; LANES],
    reason: OnceLock<Reason>,
    death: OnceLock<Death>,
}

impl Shared {
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            inbox: Mutex::default(),
            watches: Default::default(),
            reason: OnceLock::new(),
            death: OnceLock::new(),
        }
    }

    pub(super) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the host ended, if it did.
    pub(super) fn death(&self) -> Option<Death> {
        self.death.get().copied()
    }

    /// What the host left behind as its reason; whatever a driver may have written there, as text.
    pub(super) fn last_words(&self) -> Option<String> {
        let length = self.channel.word64(header::WORDS_LENGTH).load(Ordering::Acquire);
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(header::WORDS_BYTES);
        let mut bytes = Vec::new();
        self.channel.copy_out(header::WORDS, length, &mut bytes);
        let words: String = String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).collect();
        (!words.is_empty()).then_some(words)
    }

    /// The routine that ran in some lane when the host ended, where one did.
    pub(super) fn in_flight(&self) -> Option<InFlight> {
        (0..LANES).find_map(|lane| self.channel.lane(lane).in_flight().1)
    }
}

impl Watched for Shared {
    fn lane(&self, lane: usize) -> &Watch {
        &self.watches[lane]
    }

    fn progress(&self, lane: usize) -> (u64, Option<InFlight>) {
        self.channel.lane(lane).in_flight()
    }

    fn has_replied(&self, lane: usize) -> bool {
        self.channel.lane(lane).has_replied()
    }

    fn relieve(&self) -> Result<(), Damage> {
        for lane in 0..=SYSTEM_LANE {
            if self.channel.lane(lane).is_blocked() {
                self.inbox().pull(&self.channel, lane)?;
            }
        }
        Ok(())
    }

    fn reason(&self) -> &OnceLock<Reason> {
        &self.reason
    }

    fn died(&self, death: Death) {
        let _ = self.death.set(death);
        for lane in 0..LANES {
            self.channel.lane(lane).bury();
        }
        self.channel.ring();
    }
}
