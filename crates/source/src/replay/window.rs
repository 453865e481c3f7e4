//! Records of one machine that wait to be put in order.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use event::Time;
use foldhash::HashMap;
use telemetry::{Subject, Told, Unique, What};

/// So much room is kept for processes that come anew, and no more for one of them.
const SPARE: usize = 64;

/// A record that waits.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) file: usize,
    pub(super) told: Box<Told>,
    /// When it counts as having happened.
    pub(super) time: Time,
    /// Whether the record says no time.
    pub(super) undated: bool,
    /// Whether it is told in another place than it came in.
    pub(super) reordered: bool,
    /// Whether it came too late for that.
    pub(super) late: bool,
    /// Whether it named another process than the one that it is of.
    pub(super) mistaken: bool,
}

/// Its place: by its time, and at one time by when it came.
type Place = (Time, u64);

/// What a process is found by: a hash, so those that are found are looked at.
type Key = u64;

/// A record with the key of its process. What moves among its neighbours is small.
#[derive(Debug)]
struct Waiting {
    place: Place,
    key: Option<Key>,
    entry: Entry,
}

/// The records of one machine that wait, in the order of their times.
///
/// Nearly all come in that order, so they are in a queue: what comes out of order moves its neighbours up to the nearer
/// end, of which there are no more than a window has.
#[derive(Debug, Default)]
pub(super) struct Window {
    entries: VecDeque<Waiting>,
    /// Those of each process, in the same order.
    by_key: HashMap<Key, VecDeque<Place>>,
    /// Room for those of a process that comes anew.
    spare: Vec<VecDeque<Place>>,
    arrivals: u64,
    newest: Option<Time>,
    /// How far the telling is.
    told: Option<Time>,
    /// Those that came before any that says a time.
    undated: Vec<Entry>,
}

/// The process that a record is of.
pub(super) fn subject(what: &What) -> Option<&Subject> {
    match what {
        What::ProcessCreate(create) | What::ProcessPresent(create) => Some(&create.subject),
        What::ProcessExit(exit) => Some(&exit.subject),
        What::ThreadCreate(thread) | What::ThreadExit(thread) => Some(&thread.subject),
        What::ImageLoad(image) => Some(&image.subject),
        What::DriverLoad(_) => None,
    }
}

/// Whether two records are of one process, as far as they say themselves.
fn is_same(one: &Subject, other: &Subject) -> bool {
    one.unique == other.unique && one.process == other.process
}

impl Entry {
    /// A record that was read; `time` is what it says of that.
    pub(super) fn new(file: usize, told: Box<Told>, time: Option<Time>) -> Self {
        let undated = time.is_none();
        let time = time.unwrap_or_default();
        Self { file, told, time, undated, reordered: false, late: false, mistaken: false }
    }
}

impl Window {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.undated.len()
    }

    /// Puts a record into its place. One that comes too late for that is given back, to be told at once.
    pub(super) fn insert(&mut self, mut entry: Entry) -> Option<Entry> {
        if entry.undated {
            let Some(newest) = self.newest else {
                self.undated.push(entry);
                return None;
            };
            entry.time = newest;
        } else if self.newest.is_none() {
            self.date(entry.time);
        }
        if self.told.is_some_and(|told| entry.time < told) {
            entry.late = true;
            return Some(entry);
        }
        entry.reordered = self.newest.is_some_and(|newest| entry.time < newest);
        self.newest = self.newest.max(Some(entry.time));
        self.put(entry);
        None
    }

    fn put(&mut self, entry: Entry) {
        let place = (entry.time, self.arrivals);
        self.arrivals += 1;
        let key = subject(&entry.told.what).map(|subject| self.key(subject));
        if let Some(key) = key {
            let spare = &mut self.spare;
            insert(self.by_key.entry(key).or_insert_with(|| spare.pop().unwrap_or_default()), place, |it| {
                *it
            });
        }
        insert(&mut self.entries, Waiting { place, key, entry }, |waiting| waiting.place);
    }

    fn key(&self, subject: &Subject) -> Key {
        self.by_key.hasher().hash_one((subject.process, &subject.unique))
    }

    /// What came before any record with a time happened no later than that.
    fn date(&mut self, time: Time) {
        self.newest = Some(time);
        for mut entry in std::mem::take(&mut self.undated) {
            entry.time = time;
            self.put(entry);
        }
    }

    /// The next record, if more than `most` wait or it has waited `span`, in units of 100 ns.
    pub(super) fn due(&mut self, most: usize, span: i64) -> Option<Entry> {
        let over = self.len() > most;
        let (oldest, _) = match self.entries.front() {
            Some(waiting) => waiting.place,
            None if over => return self.next(),
            None => return None,
        };
        let waited = self.newest.is_some_and(|newest| newest.0.saturating_sub(oldest.0) > span);
        if over || waited { self.next() } else { None }
    }

    /// The next record.
    pub(super) fn next(&mut self) -> Option<Entry> {
        if self.entries.is_empty() && !self.undated.is_empty() {
            self.date(Time::default());
        }
        let Waiting { place, key, entry } = self.entries.pop_front()?;
        self.forget(place, key);
        self.told = self.told.max(Some(place.0));
        Some(entry)
    }

    /// Takes out the first record of a process for which `wanted` says so, before its turn.
    pub(super) fn take(&mut self, of: &Subject, wanted: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let key = self.key(of);
        let mut next = 0;
        let at = self.by_key.get(&key)?.iter().find_map(|place| {
            let at = find(&self.entries, next, *place, |waiting| waiting.place)?;
            next = at + 1;
            let entry = &self.entries.get(at)?.entry;
            let same = subject(&entry.told.what).is_some_and(|subject| is_same(subject, of));
            (same && wanted(entry)).then_some(at)
        })?;
        let Waiting { place, mut entry, .. } = self.entries.remove(at)?;
        self.forget(place, Some(key));
        entry.reordered = true;
        Some(entry)
    }

    /// What tells the process that is created next with an id, no later than `last`, from others.
    pub(super) fn born(&self, id: u32, last: Time) -> Option<&Unique> {
        let until_then = self.entries.iter().take_while(|waiting| waiting.place.0 <= last);
        until_then.into_iter().find_map(|waiting| match &waiting.entry.told.what {
            What::ProcessCreate(create) if create.subject.process == Some(id) => {
                create.subject.unique.as_ref()
            }
            _ => None,
        })
    }

    fn forget(&mut self, place: Place, key: Option<Key>) {
        let Some(key) = key else { return };
        let Some(places) = self.by_key.get_mut(&key) else { return };
        if let Some(at) = find(places, 0, place, |it| *it) {
            places.remove(at);
        }
        if places.is_empty()
            && let Some(places) = self.by_key.remove(&key)
            && self.spare.len() < SPARE
            && places.capacity() <= SPARE
        {
            self.spare.push(places);
        }
    }
}

/// Puts something into its place, which is mostly behind all others.
fn insert<T>(queue: &mut VecDeque<T>, new: T, place: impl Fn(&T) -> Place) {
    let behind = queue.back().is_none_or(|last| place(last) < place(&new));
    let at = if behind { queue.len() } else { queue.partition_point(|other| place(other) < place(&new)) };
    queue.insert(at, new);
}

/// Where in a queue something is, which is mostly at a place that is guessed.
fn find<T>(queue: &VecDeque<T>, guess: usize, wanted: Place, place: impl Fn(&T) -> Place) -> Option<usize> {
    if queue.get(guess).is_some_and(|there| place(there) == wanted) {
        return Some(guess);
    }
    queue.binary_search_by_key(&wanted, place).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use telemetry::{ProcessExit, ThreadEvent};

    use super::*;

    fn of(process: u32) -> Subject {
        Subject { process: Some(process), ..Subject::default() }
    }

    fn entry(number: u64, time: Option<i64>, what: What) -> Entry {
        let time = time.map(Time);
        Entry::new(0, Box::new(Told { number, machine: None, time, record_id: None, what }), time)
    }

    fn exit(number: u64, time: Option<i64>, process: u32) -> Entry {
        entry(number, time, What::ProcessExit(ProcessExit { subject: of(process), status: None }))
    }

    fn rest(window: &mut Window) -> Vec<(u64, i64)> {
        std::iter::from_fn(|| window.next()).map(|entry| (entry.told.number, entry.time.0)).collect()
    }

    #[test]
    fn records_leave_in_the_order_of_their_times_and_then_of_the_file() {
        let mut window = Window::default();
        for (number, time) in [(1, 5), (2, 3), (3, 5), (4, 4)] {
            assert!(window.insert(exit(number, Some(time), 8)).is_none());
        }
        assert_eq!(rest(&mut window), [(2, 3), (4, 4), (1, 5), (3, 5)]);
    }

    #[test]
    fn they_wait_for_so_many_and_for_so_long() {
        let mut window = Window::default();
        window.insert(exit(1, Some(0), 8));
        window.insert(exit(2, Some(10), 8));
        assert!(window.due(2, 10).is_none());
        assert_eq!(window.due(1, 10).map(|entry| entry.told.number), Some(1), "more than one waits");
        window.insert(exit(3, Some(21), 8));
        assert_eq!(window.due(9, 10).map(|entry| entry.told.number), Some(2), "it has waited more than 10");
        assert!(window.due(9, 10).is_none());
        assert!(window.insert(exit(4, Some(9), 8)).is_some_and(|entry| entry.late), "10 has been told");
        assert!(window.insert(exit(5, Some(10), 8)).is_none());
    }

    #[test]
    fn what_has_no_time_goes_with_its_neighbours() {
        let mut window = Window::default();
        for (number, time) in [(1, None), (2, None), (3, Some(7)), (4, Some(9)), (5, None)] {
            window.insert(exit(number, time, 8));
        }
        assert_eq!(rest(&mut window), [(1, 7), (2, 7), (3, 7), (4, 9), (5, 9)]);
        let mut window = Window::default();
        window.insert(exit(1, None, 8));
        assert_eq!(rest(&mut window), [(1, 0)], "and no record says any");
    }

    #[test]
    fn records_of_a_process_are_found() {
        let mut window = Window::default();
        let thread = ThreadEvent { subject: of(8), thread: Some(12), ..ThreadEvent::default() };
        window.insert(exit(1, Some(1), 4));
        window.insert(exit(2, Some(2), 8));
        window.insert(entry(3, Some(3), What::ThreadCreate(thread)));
        let is_thread = |entry: &Entry| matches!(entry.told.what, What::ThreadCreate(_));
        assert_eq!(window.take(&of(8), is_thread).map(|entry| entry.told.number), Some(3));
        assert!(window.take(&of(8), is_thread).is_none());
        assert!(window.take(&of(4), is_thread).is_none());
        let guid = Subject { unique: Some("g".into()), ..of(8) };
        assert!(window.take(&guid, |_| true).is_none(), "which one that is, only the other name says");
        assert_eq!(rest(&mut window), [(1, 1), (2, 2)]);
        assert!(window.by_key.is_empty());
    }

    /// What a window does, by sorting all that waits each time: times, numbers and processes.
    #[derive(Default)]
    struct Sorted {
        waiting: Vec<(i64, u64, u32)>,
        newest: i64,
        told: i64,
    }

    impl Sorted {
        /// Whether it is not too late.
        fn insert(&mut self, time: i64, number: u64, process: u32) -> bool {
            if time < self.told {
                return false;
            }
            self.newest = self.newest.max(time);
            self.waiting.push((time, number, process));
            self.waiting.sort_unstable();
            true
        }

        fn due(&mut self, most: usize, span: i64) -> Option<u64> {
            let oldest = self.waiting.first()?.0;
            if self.waiting.len() <= most && self.newest - oldest <= span {
                return None;
            }
            self.told = self.told.max(oldest);
            Some(self.waiting.remove(0).1)
        }

        fn take(&mut self, process: u32, odd: bool) -> Option<u64> {
            let wanted = |it: &&(i64, u64, u32)| it.2 == process && (it.1 % 2 == 1) == odd;
            let number = self.waiting.iter().find(wanted)?.1;
            self.waiting.retain(|it| it.1 != number);
            Some(number)
        }
    }

    proptest! {
        #[test]
        fn records_leave_as_if_all_that_wait_were_sorted_each_time(
            records in proptest::collection::vec((0..40_i64, 0..4_u32, 0..4_u32, any::<bool>()), 1..80),
            (most, span) in (0..12_usize, 0..30_i64),
        ) {
            let (mut window, mut sorted) = (Window::default(), Sorted::default());
            for (number, (time, process, other, odd)) in (1..).zip(records) {
                let late = window.insert(exit(number, Some(time), process)).is_some();
                prop_assert_eq!(!late, sorted.insert(time, number, process));
                let taken = window.take(&of(other), |entry| (entry.told.number % 2 == 1) == odd);
                prop_assert_eq!(taken.map(|entry| entry.told.number), sorted.take(other, odd));
                loop {
                    let due = window.due(most, span).map(|entry| entry.told.number);
                    prop_assert_eq!(due, sorted.due(most, span));
                    if due.is_none() { break }
                }
                prop_assert_eq!(window.len(), sorted.waiting.len());
            }
            let left: Vec<_> = sorted.waiting.iter().map(|(time, number, _)| (*number, *time)).collect();
            prop_assert_eq!(rest(&mut window), left);
            prop_assert!(window.by_key.is_empty());
        }
    }
}
