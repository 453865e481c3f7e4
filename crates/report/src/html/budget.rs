//! How much of a long run a page holds.
//!
//! A page is read in one piece by a browser, so it cannot grow with the run. What matters least goes first: threads
//! while less than two fifths of the room is used, images while less than four fifths, processes up to the end.
//! What went wrong has a room of its own. Everything else is counted.

use serde::Serialize;

/// Rows of details that a page has when nobody says otherwise.
pub(super) const DETAILS: u64 = 250_000;
/// Rows of what went wrong.
const MATTERS: u64 = 50_000;
/// Bytes of details: their texts are as long as drivers like.
const BYTES: u64 = 96 << 20;

/// What a row is about, the least interesting first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A thread came or went.
    Thread,
    /// An image was mapped.
    Image,
    /// A driver printed a line, or Callboard had something to say.
    Line,
    /// A process came or went.
    Process,
    /// A refusal, a termination, a finding, a stop, a leak, a warning, what a driver did on its own.
    Matter,
}

/// How many rows of each class are not on the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct LeftOut {
    pub(super) threads: u64,
    pub(super) images: u64,
    pub(super) lines: u64,
    pub(super) processes: u64,
    pub(super) matters: u64,
}

/// What room there is left.
pub(super) struct Budget {
    details: u64,
    used: u64,
    bytes: u64,
    matters: u64,
    left_out: LeftOut,
}

impl Budget {
    pub(super) fn new(details: u64) -> Self {
        Self { details, used: 0, bytes: 0, matters: 0, left_out: LeftOut::default() }
    }

    /// Whether a row of a class still goes onto the page; counted either way.
    pub(super) fn take(&mut self, class: Class) -> bool {
        let fifths = match class {
            Class::Thread => 2,
            Class::Image | Class::Line => 4,
            Class::Process => 5,
            Class::Matter => {
                let fits = self.matters < MATTERS;
                self.matters += u64::from(fits);
                self.left_out.matters += u64::from(!fits);
                return fits;
            }
        };
        let fits = self.used < self.details / 5 * fifths + self.details % 5 * fifths / 5
            && self.bytes < BYTES / 5 * fifths;
        if fits {
            self.used += 1;
        } else {
            match class {
                Class::Thread => self.left_out.threads += 1,
                Class::Image => self.left_out.images += 1,
                Class::Line => self.left_out.lines += 1,
                Class::Process | Class::Matter => self.left_out.processes += 1,
            }
        }
        fits
    }

    /// Counts what rows took.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    pub(super) fn left_out(&self) -> LeftOut {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_least_goes_first() {
        let mut budget = Budget::new(10);
        let mut taken = |class, times: u32| (0..times).filter(|_| budget.take(class)).count();
        assert_eq!(taken(Class::Thread, 9), 4);
        assert_eq!(taken(Class::Image, 9), 4);
        assert_eq!(taken(Class::Line, 1), 0);
        assert_eq!(taken(Class::Process, 9), 2);
        assert_eq!(taken(Class::Matter, 9), 9);
        let expected = LeftOut { threads: 5, images: 5, lines: 1, processes: 7, matters: 0 };
        assert_eq!(budget.left_out(), expected);
    }

    #[test]
    fn what_went_wrong_has_its_own_room_and_not_without_end() {
        let mut budget = Budget::new(0);
        assert!(!budget.take(Class::Process));
        assert_eq!((0..MATTERS + 3).filter(|_| budget.take(Class::Matter)).count() as u64, MATTERS);
        assert_eq!(budget.left_out().matters, 3);
    }

    #[test]
    fn long_texts_use_the_room_up_as_well() {
        let mut budget = Budget::new(1_000);
        assert!(budget.take(Class::Thread));
        budget.spend(usize::try_from(BYTES / 2).unwrap());
        assert!(!budget.take(Class::Thread));
        assert!(budget.take(Class::Image));
    }
}
