//! A birth has two records, and is told once.
//!
//! `Process Start` is the birth: it is the child's own, and is what the notify routine of a driver sees. The `Process
//! Create` before it adds what only that has, and counts as superseded. Where the Start is missing (a filter left it out)
//! the Create is the birth, told as soon as that is known: at the child's next record, at another Create of the same id,
//! at the end of the window or of the file. A log that was sorted the other way round has the Start first.

use std::collections::{HashMap, VecDeque};

use super::{Birth, Raw, subject};
use crate::{Reason, Rejected, Told, What};

/// How many records a Create waits for its Start. In real logs that is the next one, or the one after the other
/// processor's.
const WINDOW: u64 = 4096;
/// How many wait at most, and how many that were started are remembered.
const MOST: usize = 1024;

/// The records of a file with each birth told once.
#[derive(Default)]
pub(super) struct Births {
    /// Creates whose Start has not come, the oldest first.
    waiting: VecDeque<Birth>,
    /// In which record an id was started; none that exited since.
    started: HashMap<u32, u64>,
    /// What is to be told.
    out: VecDeque<Result<Told, Rejected>>,
}

impl Births {
    /// What is told next, of all that was taken.
    pub(super) fn next(&mut self) -> Option<Result<Told, Rejected>> {
        self.out.pop_front()
    }

    /// Takes the next record of the file.
    pub(super) fn take(&mut self, raw: Result<Raw, Rejected>) {
        match raw {
            Ok(Raw::Create(create)) => self.create(create),
            Ok(Raw::Start(start)) => self.start(start),
            Ok(Raw::Other(told)) => self.other(told),
            Err(rejected) => {
                self.expire(rejected.number);
                self.out.push_back(Err(rejected));
            }
        }
    }

    /// The file is at its end: tells all that waited.
    pub(super) fn end(&mut self) {
        self.out.extend(self.waiting.drain(..).map(|create| Ok(create.told())));
    }

    fn create(&mut self, create: Birth) {
        self.expire(create.number);
        let Some(child) = create.child() else {
            self.out.push_back(Err(nameless(create.number)));
            return;
        };
        if let Some(start) = self.started.remove(&child)
            && start + WINDOW >= create.number
        {
            self.out.push_back(Err(superseded(create.number, start)));
            return;
        }
        self.give_up(child);
        if self.waiting.len() == MOST {
            self.out.extend(self.waiting.pop_front().map(|oldest| Ok(oldest.told())));
        }
        self.waiting.push_back(create);
    }

    fn start(&mut self, mut start: Birth) {
        self.expire(start.number);
        let Some(child) = start.child() else {
            self.out.push_back(Err(nameless(start.number)));
            return;
        };
        match self.withdraw(child) {
            Some(create) => {
                self.out.push_back(Err(superseded(create.number, start.number)));
                complete(&mut start, create);
            }
            None => {
                if self.started.len() == MOST {
                    let oldest = start.number.saturating_sub(WINDOW);
                    self.started.retain(|_, number| *number > oldest);
                    if self.started.len() == MOST {
                        self.started.clear();
                    }
                }
                self.started.insert(child, start.number);
            }
        }
        self.out.push_back(Ok(start.told()));
    }

    fn other(&mut self, told: Told) {
        self.expire(told.number);
        if let Some(process) = subject(&told.what) {
            self.give_up(process);
            if matches!(told.what, What::ProcessExit(_)) {
                self.started.remove(&process);
            }
        }
        self.out.push_back(Ok(told));
    }

    /// Tells of those that have waited too long.
    fn expire(&mut self, now: u64) {
        while self.waiting.front().is_some_and(|create| create.number + WINDOW < now) {
            self.out.extend(self.waiting.pop_front().map(|create| Ok(create.told())));
        }
    }

    /// Tells of a birth whose Start will not come any more.
    fn give_up(&mut self, child: u32) {
        let create = self.withdraw(child);
        self.out.extend(create.map(|create| Ok(create.told())));
    }

    fn withdraw(&mut self, child: u32) -> Option<Birth> {
        let place = self.waiting.iter().rposition(|create| create.child() == Some(child))?;
        self.waiting.remove(place)
    }
}

/// Adds to a Start what its Create knows besides.
fn complete(start: &mut Birth, create: Birth) {
    let (told, also) = (&mut start.create, create.create);
    told.subject.image = told.subject.image.take().or(also.subject.image);
    told.subject.unique = told.subject.unique.take().or(also.subject.unique);
    told.command_line = told.command_line.take().or(also.command_line);
    told.is_32_bit = told.is_32_bit.or(also.is_32_bit);
    told.creator.1 = told.creator.1.or(also.creator.1);
    // The Create stands in the parent's name, unless the Start says that another is the parent.
    if told.parent.process.is_none() || told.parent.process == also.parent.process {
        told.parent = also.parent;
    }
}

fn nameless(number: u64) -> Rejected {
    Rejected { number, reason: Reason::NoProcess, detail: "no id of the process that is born".into() }
}

fn superseded(create: u64, start: u64) -> Rejected {
    let detail = format!("a Process Create, told by the Process Start in record {start}");
    Rejected { number: create, reason: Reason::Superseded, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageLoad, ProcessCreate, ProcessExit, Subject};

    fn birth(number: u64, child: u32) -> Birth {
        let subject = Subject { process: Some(child), ..Subject::default() };
        let parent = Subject { process: Some(4), ..Subject::default() };
        let create = ProcessCreate { subject, parent, creator: (None, Some(8)), ..ProcessCreate::default() };
        Birth { number, machine: None, time: None, create }
    }

    fn image(number: u64, process: u32) -> Raw {
        let subject = Subject { process: Some(process), ..Subject::default() };
        let what = What::ImageLoad(ImageLoad { subject, ..ImageLoad::default() });
        Raw::Other(Told { number, machine: None, time: None, record_id: None, what })
    }

    fn exit(number: u64, process: u32) -> Raw {
        let subject = Subject { process: Some(process), ..Subject::default() };
        let what = What::ProcessExit(ProcessExit { subject, status: None });
        Raw::Other(Told { number, machine: None, time: None, record_id: None, what })
    }

    /// What is told of these records: their numbers, and those that are superseded as negative ones.
    fn told(records: impl IntoIterator<Item = Raw>) -> Vec<i64> {
        let mut births = Births::default();
        for record in records {
            births.take(Ok(record));
        }
        births.end();
        let number = |told: Result<Told, Rejected>| match told {
            Ok(told) => i64::try_from(told.number).unwrap(),
            Err(rejected) => {
                assert_eq!(rejected.reason, Reason::Superseded);
                -i64::try_from(rejected.number).unwrap()
            }
        };
        std::iter::from_fn(|| births.next()).map(number).collect()
    }

    #[test]
    fn a_start_is_the_birth_and_its_create_superseded() {
        assert_eq!(told([Raw::Create(birth(1, 40)), Raw::Start(birth(2, 40)), image(3, 40)]), [-1, 2, 3]);
        assert_eq!(told([Raw::Create(birth(1, 40)), image(2, 44), Raw::Start(birth(3, 40))]), [2, -1, 3]);
    }

    #[test]
    fn a_start_alone_and_a_create_alone_are_births() {
        assert_eq!(told([Raw::Start(birth(1, 40)), image(2, 40)]), [1, 2]);
        assert_eq!(told([Raw::Create(birth(1, 40)), image(2, 44), image(3, 40)]), [2, 1, 3]);
        assert_eq!(told([Raw::Create(birth(1, 40)), image(2, 44)]), [2, 1]);
        assert_eq!(
            told([Raw::Create(birth(1, 40)), image(2 + WINDOW, 44)]),
            [1, 2 + i64::try_from(WINDOW).unwrap()]
        );
    }

    #[test]
    fn an_id_that_is_used_again_is_another_birth() {
        let records = [
            Raw::Create(birth(1, 40)),
            Raw::Create(birth(2, 40)),
            Raw::Start(birth(3, 40)),
            exit(4, 40),
            Raw::Create(birth(5, 40)),
            Raw::Start(birth(6, 40)),
        ];
        assert_eq!(told(records), [1, -2, 3, 4, -5, 6]);
    }

    #[test]
    fn a_log_in_reverse_tells_each_birth_once() {
        assert_eq!(told([Raw::Start(birth(1, 40)), Raw::Create(birth(2, 40))]), [1, -2]);
        let again =
            [Raw::Start(birth(1, 40)), exit(2, 40), Raw::Create(birth(3, 40)), Raw::Start(birth(4, 40))];
        assert_eq!(told(again), [1, 2, -3, 4]);
    }

    #[test]
    fn what_waits_is_bounded_and_nothing_is_lost() {
        let many = 3 * u32::try_from(MOST).unwrap();
        let creates = (1..=many).map(|n| Raw::Create(birth(u64::from(n), n)));
        assert_eq!(told(creates), (1..=i64::from(many)).collect::<Vec<_>>());
        let starts = (1..=many).map(|n| Raw::Start(birth(u64::from(n), n)));
        assert_eq!(told(starts), (1..=i64::from(many)).collect::<Vec<_>>());
    }
}
