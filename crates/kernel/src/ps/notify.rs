//! The three tables of notify routines, on this machine.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use notify::{Capacity, Domain, DuplicatePolicy, ImageTable, ProcessTable, ThreadTable, Walker};

use crate::Config;
use crate::choices::DuplicateProcessRoutine;

/// The machine under the tables: its asymmetric fence, and its way to sleep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fences;

// SAFETY: `machine::light_fence` and `heavy_fence` are the two halves of one asymmetric fence, and `block` and
// `wake` are a futex: what this trait asks for, promised by `machine::Platform`.
unsafe impl notify::Platform for Fences {
    #[inline]
    fn light_fence(&self) {
        machine::light_fence();
    }

    fn heavy_fence(&self) {
        machine::platform().heavy_fence();
    }

    fn block(&self, word: &AtomicU32, expected: u32) {
        machine::platform().block(word, expected, None);
    }

    fn wake_all(&self, word: &AtomicU32) {
        machine::platform().wake(word, u32::MAX);
    }
}

/// The three tables, with the limits of the profile (R-REG-05, R-REG-08).
#[derive(Debug)]
pub(crate) struct Tables {
    domain: Arc<Domain<Fences>>,
    pub(crate) process: ProcessTable<Fences>,
    pub(crate) image: ImageTable<Fences>,
    pub(crate) thread: ThreadTable<Fences>,
}

impl Tables {
    pub(crate) fn new(config: &Config) -> Self {
        let domain = Domain::new(Fences);
        let profile = config.profile;
        let capacity = |slots: usize| Capacity::new(slots).unwrap_or(Capacity::SIXTY_FOUR);
        let choices = &config.choices;
        let duplicates = match choices.duplicate_process_routine {
            DuplicateProcessRoutine::Reject => DuplicatePolicy::Reject,
            DuplicateProcessRoutine::Accept => DuplicatePolicy::Accept,
        };
        Self {
            process: ProcessTable::new(&domain, capacity(profile.process_routine_limit()), duplicates),
            image: ImageTable::new(&domain, capacity(choices.image_slots(profile))),
            thread: ThreadTable::new(&domain, capacity(choices.thread_slots(profile))),
            domain,
        }
    }

    /// Does something as the walker of the calling thread.
    pub(crate) fn as_walker<T>(&self, act: impl FnOnce(&Walker<Fences>) -> T) -> T {
        thread_local! {
            // One for the life of a thread: made at its first walk, so that walks allocate nothing.
            static WALKER: RefCell<Option<std::rc::Rc<Walker<Fences>>>> = const { RefCell::new(None) };
        }
        let walker = WALKER.with_borrow_mut(|place| {
            let fits = place.as_ref().is_some_and(|walker| Arc::ptr_eq(walker.domain(), &self.domain));
            if !fits {
                *place = Some(std::rc::Rc::new(Walker::new(&self.domain)));
            }
            place.clone()
        });
        match walker {
            Some(walker) => act(&walker),
            None => act(&Walker::new(&self.domain)),
        }
    }
}
