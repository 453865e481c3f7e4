//! Which records of a log came already: telemetry is collected twice, and files are given twice.
//!
//! A log numbers its records, and two that tell the same are two only if their numbers differ. A number alone says little:
//! a log may count anew, and a machine may be set up again under its old name. So a record came already where one with its
//! number and of its second did.

use std::collections::BTreeMap;

use event::Time;
use telemetry::RecordId;

/// So many numbers are kept together: 8 KiB.
const BLOCK: usize = 4096;
/// So many blocks are kept, of all machines together: 32 MiB. The lowest numbers of a log are forgotten first.
const BLOCKS: usize = 4096;
const SECOND: i64 = 10_000_000;

/// The machine, the log, and how many blocks are before this one.
type Key = (usize, telemetry::Log, u64);

/// The seconds of the records that came, by their numbers; 0 is none.
type Block = Box<[u16]>;

/// The records of all machines that came.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<Key, Block>);

impl Seen {
    /// Whether it is the first time that this record of a machine comes.
    pub(super) fn is_first(&mut self, machine: usize, id: RecordId, time: Time) -> bool {
        let (block, slot) = (id.number / BLOCK as u64, id.number % BLOCK as u64);
        let key = (machine, id.log, block);
        let block = match self.0.get_mut(&key) {
            Some(block) => block,
            None => self.begin(key),
        };
        let second = second(time);
        let Some(slot) = usize::try_from(slot).ok().and_then(|slot| block.get_mut(slot)) else { return true };
        std::mem::replace(slot, second) != second
    }

    /// A block of which nothing has come yet.
    fn begin(&mut self, key: Key) -> &mut Block {
        if self.0.len() >= BLOCKS {
            self.forget(key.0, key.1);
        }
        self.0.entry(key).or_insert_with(|| vec![0; BLOCK].into())
    }

    /// Makes room: in the log itself, where anything of it is kept.
    fn forget(&mut self, machine: usize, log: telemetry::Log) {
        let own = self.0.range((machine, log, 0)..=(machine, log, u64::MAX)).next().map(|(key, _)| *key);
        match own {
            Some(key) => drop(self.0.remove(&key)),
            None => drop(self.0.pop_first()),
        }
    }
}

/// A second, never 0, and told from all others of its day.
fn second(time: Time) -> u16 {
    let second = (time.0 / SECOND).rem_euclid(i64::from(u16::MAX));
    u16::try_from(second).map_or(u16::MAX, |second| second + 1)
}

#[cfg(test)]
mod tests {
    use telemetry::Log;

    use super::*;

    fn of(number: u64) -> RecordId {
        RecordId { log: Log::Sysmon, number }
    }

    #[test]
    fn a_record_comes_first_once() {
        let mut seen = Seen::default();
        for number in [1, BLOCK as u64 - 1, BLOCK as u64, u64::MAX] {
            assert!(seen.is_first(0, of(number), Time(0)), "{number}");
            assert!(!seen.is_first(0, of(number), Time(0)), "{number}");
        }
        assert!(seen.is_first(1, of(1), Time(0)), "of another machine");
        assert!(seen.is_first(0, RecordId { log: Log::Security, number: 1 }, Time(0)), "of another log");
        assert!(!seen.is_first(0, of(1), Time(SECOND - 1)), "some write moments shorter");
    }

    #[test]
    fn a_log_that_counts_anew_is_told_whichever_of_its_files_comes_first() {
        for (one, other) in [(5, 9), (9, 5), (0, 65_534)] {
            let mut seen = Seen::default();
            let mut all = |at: i64| (1..9).filter(|id| seen.is_first(0, of(*id), Time(at * SECOND))).count();
            assert_eq!((all(one), all(other), all(other)), (8, 8, 0), "{one} {other}");
        }
    }

    #[test]
    fn as_much_is_kept_as_there_is_room_for() {
        let mut seen = Seen::default();
        seen.is_first(0, of(1), Time(0));
        let number = |block: usize| (block * BLOCK) as u64;
        for block in 0..2 * BLOCKS {
            seen.is_first(1, of(number(block)), Time(0));
            assert!(seen.0.len() <= BLOCKS);
        }
        assert!(!seen.is_first(1, of(number(2 * BLOCKS - 1)), Time(0)), "the newest are kept");
        assert!(seen.is_first(1, of(0), Time(0)), "the oldest are not");
        assert!(!seen.is_first(0, of(1), Time(0)), "nor do those of another log make room");
        assert!(seen.is_first(2, of(1), Time(0)), "where there is none of its own, another makes room");
        assert_eq!(seen.0.len(), BLOCKS);
    }
}
