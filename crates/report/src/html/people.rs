//! Which process an id means: ids come again, so that each process has the number of its row on the page.

use std::collections::{HashMap, VecDeque};

use event::{Process, ProcessId, Time};

/// How many processes that are gone are remembered: their last images and what came of them may follow.
const REMEMBERED: usize = 16_384;

/// How a process came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Its creation was announced.
    Created,
    /// It was there before.
    Present,
    /// It is a clone of its parent.
    Cloned,
    /// Something happened to it before it was ever spoken of.
    Unseen,
}

/// A process that has no row yet, as there was no room: it gets one when something goes wrong in it.
pub(super) struct Waiting {
    pub(super) time: Time,
    pub(super) origin: Origin,
    pub(super) process: Process<'static>,
    /// Its parent's row, as the parent's id may mean another by then.
    pub(super) parent: Option<u64>,
}

/// A process as far as a page goes.
pub(super) struct Person {
    /// The number of its row.
    pub(super) row: Option<u64>,
    waiting: Option<Box<Waiting>>,
    /// The file name of its image, where one is known.
    pub(super) name: Option<Box<str>>,
    /// Whether it is gone, or about to be.
    pub(super) gone: bool,
    generation: u64,
}

/// The processes that records may still speak of.
#[derive(Default)]
pub(super) struct People {
    known: HashMap<ProcessId, Person>,
    gone: VecDeque<(ProcessId, u64)>,
    generation: u64,
    rows: u64,
}

impl People {
    /// Takes up a process; without a row for now.
    pub(super) fn insert(&mut self, waiting: Waiting) {
        self.generation += 1;
        let id = waiting.process.process;
        let name = match &waiting.process.image {
            Some(image) => Some(image.file_name().into()),
            // A clone runs its parent's image.
            None => self.known.get(&waiting.process.parent).and_then(|parent| parent.name.clone()),
        };
        let generation = self.generation;
        let person = Person { row: None, waiting: Some(Box::new(waiting)), name, gone: false, generation };
        self.known.insert(id, person);
    }

    /// The process that an id means now.
    pub(super) fn get(&self, id: ProcessId) -> Option<&Person> {
        self.known.get(&id)
    }

    /// The row of the process that an id means now, where it has one.
    pub(super) fn row(&self, id: ProcessId) -> Option<u64> {
        self.known.get(&id)?.row
    }

    /// Gives a process the next row, and hands out what is to be in it; `None` where it has one.
    pub(super) fn give_row(&mut self, id: ProcessId) -> Option<Box<Waiting>> {
        let person = self.known.get_mut(&id)?;
        let waiting = person.waiting.take()?;
        person.row = Some(self.rows);
        self.rows += 1;
        Some(waiting)
    }

    /// A process is gone, or will be: it is remembered for a while.
    pub(super) fn leave(&mut self, id: ProcessId) {
        let Some(person) = self.known.get_mut(&id).filter(|person| !person.gone) else { return };
        person.gone = true;
        self.gone.push_back((id, person.generation));
        if self.gone.len() > REMEMBERED
            && let Some((oldest, generation)) = self.gone.pop_front()
            && self.known.get(&oldest).is_some_and(|person| person.generation == generation)
        {
            self.known.remove(&oldest);
        }
    }

    /// Another machine begins: the same ids are other processes there. Rows go on.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.gone.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(id: u32) -> Waiting {
        let process = Process { process: ProcessId(id), ..Process::default() };
        Waiting { time: Time(0), origin: Origin::Created, process, parent: None }
    }

    #[test]
    fn an_id_that_comes_again_is_another_process() {
        let mut people = People::default();
        people.insert(waiting(8));
        assert!(people.give_row(ProcessId(8)).is_some());
        assert!(people.give_row(ProcessId(8)).is_none());
        people.leave(ProcessId(8));
        assert_eq!(people.row(ProcessId(8)), Some(0));
        people.insert(waiting(8));
        assert_eq!(people.row(ProcessId(8)), None);
        assert!(people.give_row(ProcessId(8)).is_some());
        assert_eq!(people.row(ProcessId(8)), Some(1));
    }

    #[test]
    fn those_who_are_gone_are_not_kept_for_ever() {
        let mut people = People::default();
        for id in 1..=60_000 {
            people.insert(waiting(id));
            people.leave(ProcessId(id));
            people.leave(ProcessId(id));
        }
        assert_eq!((people.known.len(), people.gone.len()), (REMEMBERED, REMEMBERED));
    }
}
