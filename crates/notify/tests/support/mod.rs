//! What several test files share.
#![expect(dead_code, reason = "each test file uses a part of it")]

use notify::platform::Portable;
use notify::{
    Capacity, Domain, DuplicatePolicy, ImageFlavour, ImageTable, ProcessFlavour, ProcessTable, Request,
    ThreadFlavour, ThreadTable, Walker,
};
use std::sync::Arc;

/// A domain with one table of each family.
pub(crate) struct Board {
    pub(crate) domain: Arc<Domain<Portable>>,
    pub(crate) process: ProcessTable<Portable>,
    pub(crate) image: ImageTable<Portable>,
    pub(crate) thread: ThreadTable<Portable>,
}

/// A board with the given limit that accepts duplicates.
pub(crate) fn board(capacity: Capacity) -> Board {
    let domain = Domain::new(Portable);
    Board {
        process: ProcessTable::new(&domain, capacity, DuplicatePolicy::Accept),
        image: ImageTable::new(&domain, capacity),
        thread: ThreadTable::new(&domain, capacity),
        domain,
    }
}

impl Board {
    pub(crate) fn walker(&self) -> Walker<Portable> {
        Walker::new(&self.domain)
    }

    /// Returns when some thread is waiting in a removal.
    pub(crate) fn until_somebody_waits(&self) {
        while self.domain.waits().is_empty() {
            std::thread::yield_now();
        }
    }

    /// What a walk of the image table calls now.
    pub(crate) fn images_called(&self, walker: &Walker<Portable>) -> Vec<usize> {
        let mut called = Vec::new();
        self.image.walk(walker, |found| called.push(found.routine));
        called
    }
}

pub(crate) fn process(routine: usize, flavour: ProcessFlavour) -> Request<ProcessFlavour> {
    Request { routine, flavour, flags: 0, owner: 1 }
}

pub(crate) fn image(routine: usize) -> Request<ImageFlavour> {
    Request { routine, flavour: ImageFlavour::Plain, flags: 0, owner: 1 }
}

pub(crate) fn thread(routine: usize, flavour: ThreadFlavour) -> Request<ThreadFlavour> {
    Request { routine, flavour, flags: 0, owner: 1 }
}
