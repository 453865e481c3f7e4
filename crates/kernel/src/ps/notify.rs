//! The three tables of notify routines, on this machine.

use std::cell::RefCell;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::{DriverId, Frame};
use notify::{
    Capacity, Deadlock, Domain, DuplicatePolicy, ImageTable, ProcessTable, ThreadTable, Walker, WalkerId,
};

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
    /// The removals that routines have called and that have not returned.
    removals: Mutex<Vec<Removal>>,
}

/// A removal from within a routine, for the report of a circle that it is part of.
#[derive(Clone, Debug)]
pub(crate) struct Removal {
    walker: WalkerId,
    /// The driver whose routine it is.
    pub(crate) driver: Option<DriverId>,
    /// The stack of that routine, innermost first.
    pub(crate) stack: Vec<Frame<'static>>,
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
            removals: Mutex::new(Vec::new()),
            domain,
        }
    }

    /// Removes something as the walker of the calling thread, and answers the stack too where that is one of a routine.
    /// Meanwhile others can show it, who wait in a circle with this thread (R-RM-06, R-RM-07).
    pub(crate) fn removing<T>(
        &self,
        act: impl FnOnce(&Walker<Fences>) -> T,
    ) -> (T, Option<Vec<Frame<'static>>>) {
        self.as_walker(|walker| {
            if walker.depth() == 0 {
                return (act(walker), None);
            }
            let stack = crate::ke::stop::driver_stack();
            let removal = Removal { walker: walker.id(), driver: crate::io::current_driver(), stack };
            self.removals().push(removal);
            let result = act(walker);
            let mut removals = self.removals();
            let mine = removals.iter().rposition(|removal| removal.walker == walker.id());
            (result, mine.map(|mine| removals.swap_remove(mine).stack))
        })
    }

    /// The removals of other threads that a deadlock goes through, in the order in which they wait for each other.
    pub(crate) fn others_in(&self, deadlock: &Deadlock) -> Vec<Removal> {
        let [first, ..] = deadlock.chain() else { return Vec::new() };
        let removals = self.removals();
        let of = |walker| removals.iter().find(|removal| removal.walker == walker).cloned();
        let waiters = deadlock.chain().iter().map(|wait| wait.waiter);
        waiters.filter(|waiter| *waiter != first.waiter).filter_map(of).collect()
    }

    fn removals(&self) -> MutexGuard<'_, Vec<Removal>> {
        self.removals.lock().unwrap_or_else(PoisonError::into_inner)
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
