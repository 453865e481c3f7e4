//! The crate's own sources, compiled again on shuttle's atomics, under schedules that shuttle makes up
//! (R-RACE-09). Tried by hand: without the wait, either second look at the state, the ring, the search for
//! circles or the sleep of the lock, or with any two of their steps exchanged, some of these checks fail.
//!
//! Shuttle explores interleavings of sequentially consistent steps. What the fences add below that is argued
//! in the documentation of `Platform`, `Domain::run_down` and `Post::wait_until_released`.
#![expect(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "the sources are used in part, and not as a library"
)]
#![cfg(not(miri))]

extern crate alloc;

#[path = "../src/domain.rs"]
mod domain;
#[path = "../src/error.rs"]
mod error;
#[path = "../src/family.rs"]
mod family;
#[path = "../src/lock.rs"]
mod lock;
#[path = "../src/platform.rs"]
mod platform;
#[path = "../src/registration.rs"]
mod registration;
#[path = "../src/table.rs"]
mod table;
#[path = "../src/walker.rs"]
mod walker;

/// Stands in for `src/sync.rs`.
mod sync {
    pub(crate) use shuttle::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
}

// What the sources find in the root of the library.
use domain::Domain;
use error::{Deadlock, RegisterError, RemoveError, Wait};
use family::{ImageFlavour, ImageTable, ProcessFlavour, ProcessTable};
use platform::Platform;
use registration::Request;
use table::{Capacity, DuplicatePolicy, Table};
use walker::Walker;

use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool as PlainBool, AtomicUsize as PlainUsize, Ordering::SeqCst};

/// Sleeping that shuttle schedules, so that a lost wake shows as a deadlock of the model.
#[derive(Default)]
struct Model {
    sleepers: Mutex<()>,
    wake: Condvar,
}

// SAFETY: shuttle runs one thread at a time and every atomic step in one order, so fences have nothing to
// add; the word is compared under the mutex that a waker takes.
unsafe impl Platform for Model {
    fn light_fence(&self) {}

    fn heavy_fence(&self) {}

    fn block(&self, word: &sync::AtomicU32, expected: u32) {
        let sleepers = self.sleepers.lock().expect("nobody panics with it");
        if word.load(SeqCst) == expected {
            drop(self.wake.wait(sleepers).expect("nobody panics with it"));
        }
    }

    fn wake_all(&self, _word: &sync::AtomicU32) {
        let _sleepers = self.sleepers.lock().expect("nobody panics with it");
        self.wake.notify_all();
    }
}

/// What is known from outside about one routine. Plain atomics: looking adds no steps to explore.
#[derive(Default)]
struct Probe {
    running: PlainUsize,
    calls: PlainUsize,
    gone: PlainBool,
}

struct Stage {
    domain: Arc<Domain<Model>>,
    image: ImageTable<Model>,
    process: ProcessTable<Model>,
    probes: [Probe; 4],
}

impl Stage {
    fn new(capacity: usize) -> Arc<Self> {
        let domain = Domain::new(Model::default());
        let capacity = Capacity::new(capacity).expect("within bounds");
        Arc::new(Self {
            image: ImageTable::new(&domain, capacity),
            process: ProcessTable::new(&domain, capacity, DuplicatePolicy::Reject),
            domain,
            probes: Default::default(),
        })
    }

    fn set(&self, routine: usize) -> Result<usize, RegisterError> {
        let request = Request { routine, flavour: ImageFlavour::Plain, flags: 0, owner: 1 };
        self.image.register(request).map(|found| found.slot)
    }

    fn set_process(&self, routine: usize) -> Result<usize, RegisterError> {
        let request = Request { routine, flavour: ProcessFlavour::Ex, flags: 0, owner: 1 };
        self.process.register(request).map(|found| found.slot)
    }

    /// A call of a routine: it must not begin nor go on once its removal has returned.
    fn call(&self, routine: usize, body: impl FnOnce()) {
        let probe = &self.probes[routine];
        assert!(!probe.gone.load(SeqCst), "R-RM-01: called after removal");
        probe.running.fetch_add(1, SeqCst);
        probe.calls.fetch_add(1, SeqCst);
        thread::yield_now();
        body();
        assert!(!probe.gone.load(SeqCst), "R-RM-01: the removal returned during the call");
        probe.running.fetch_sub(1, SeqCst);
    }

    fn event(&self, walker: &Walker<Model>) {
        self.image.walk(walker, |found| self.call(found.routine, || ()));
    }

    /// Removes an image routine and holds the removal to its promise.
    fn remove(&self, walker: &Walker<Model>, routine: usize) -> Result<(), RemoveError> {
        self.image.remove(walker, routine)?;
        self.left(routine);
        Ok(())
    }

    fn left(&self, routine: usize) {
        assert_eq!(self.probes[routine].running.load(SeqCst), 0, "R-RM-01: removed with a call running");
        self.probes[routine].gone.store(true, SeqCst);
    }
}

fn spawn(
    stage: &Arc<Stage>,
    body: impl FnOnce(&Stage, &Walker<Model>) + Send + 'static,
) -> thread::JoinHandle<()> {
    let stage = Arc::clone(stage);
    thread::spawn(move || body(&stage, &Walker::new(&stage.domain)))
}

/// Random schedules find most things; few-switches schedules (PCT) find what needs a long wait.
fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(scenario.clone(), 1500);
    shuttle::check_pct(scenario, 1500, 3);
}

#[test]
fn r_rm_10_r_race_09_event_against_set() {
    // Among the schedules there must be one in which the routine is called before its Set has returned, and one in which
    // it is not.
    static CALLED_BEFORE_SET_RETURNED: [PlainBool; 2] = [PlainBool::new(false), PlainBool::new(false)];
    explore(|| {
        let stage = Stage::new(8);
        stage.set(0).unwrap();
        let event = spawn(&stage, Stage::event);
        let set = spawn(&stage, |stage, walker| {
            assert_eq!(stage.set(1).unwrap(), 1);
            let before = stage.probes[1].calls.load(SeqCst);
            CALLED_BEFORE_SET_RETURNED[before.min(1)].store(true, SeqCst);
            stage.event(walker);
            assert!(
                stage.probes[1].calls.load(SeqCst) > before,
                "an event after Set returned missed the routine"
            );
        });
        event.join().unwrap();
        set.join().unwrap();
        let calls = stage.probes[0].calls.load(SeqCst);
        assert_eq!(calls, 2, "the neighbour was called once per event");
    });
    assert!(
        CALLED_BEFORE_SET_RETURNED.iter().all(|came| came.load(SeqCst)),
        "{CALLED_BEFORE_SET_RETURNED:?}"
    );
}

#[test]
fn r_race_09_event_against_remove() {
    explore(|| {
        let stage = Stage::new(8);
        stage.set(0).unwrap();
        stage.set(1).unwrap();
        let events = [spawn(&stage, Stage::event), spawn(&stage, Stage::event)];
        let remove = spawn(&stage, |stage, walker| stage.remove(walker, 0).unwrap());
        for thread in events.into_iter().chain([remove]) {
            thread.join().unwrap();
        }
        assert_eq!(stage.probes[1].calls.load(SeqCst), 2, "the neighbour was called once per event");
    });
}

#[test]
fn r_race_09_remove_against_remove() {
    explore(|| {
        let stage = Stage::new(8);
        stage.set(0).unwrap();
        let event = spawn(&stage, Stage::event);
        let removed = Arc::new(PlainUsize::new(0));
        let removals = [Arc::clone(&removed), removed.clone()].map(|removed| {
            spawn(&stage, move |stage, walker| match stage.remove(walker, 0) {
                Ok(()) => drop(removed.fetch_add(1, SeqCst)),
                Err(RemoveError::NotRegistered) => {}
                Err(other) => panic!("{other}"),
            })
        });
        for thread in removals.into_iter().chain([event]) {
            thread.join().unwrap();
        }
        assert_eq!(removed.load(SeqCst), 1, "one removal finds it, the other does not");
    });
}

#[test]
fn r_race_09_set_against_set_for_the_last_slot() {
    explore(|| {
        let stage = Stage::new(2);
        stage.set(0).unwrap();
        let outcomes = Arc::new(std::sync::Mutex::new(Vec::new()));
        let sets = [1, 2].map(|routine| {
            let outcomes = Arc::clone(&outcomes);
            spawn(&stage, move |stage, _| {
                // First the outcome, then this lock: shuttle cannot see it.
                let outcome = stage.set(routine);
                outcomes.lock().unwrap().push((outcome, routine));
            })
        });
        for thread in sets {
            thread.join().unwrap();
        }
        let mut outcomes = outcomes.lock().unwrap().clone();
        outcomes.sort_by_key(|(outcome, _)| outcome.is_err());
        let [(Ok(1), winner), (Err(RegisterError::Full), _)] = outcomes[..] else { panic!("{outcomes:?}") };
        let routines: Vec<_> = stage.image.snapshot().iter().map(|found| found.routine).collect();
        assert_eq!(routines, [0, winner]);
    });
}

#[test]
fn r_race_09_duplicates_are_rejected_also_at_once() {
    explore(|| {
        let stage = Stage::new(8);
        let taken = Arc::new(PlainUsize::new(0));
        let sets = [Arc::clone(&taken), taken.clone()].map(|taken| {
            spawn(&stage, move |stage, _| match stage.set_process(1) {
                Ok(_) => drop(taken.fetch_add(1, SeqCst)),
                Err(error) => assert_eq!(error, RegisterError::Duplicate),
            })
        });
        for thread in sets {
            thread.join().unwrap();
        }
        assert_eq!(taken.load(SeqCst), 1);
    });
}

#[test]
fn r_race_09_unload_against_event() {
    explore(|| {
        let stage = Stage::new(8);
        stage.set(0).unwrap();
        stage.set(1).unwrap();
        let event = spawn(&stage, |stage, walker| {
            stage.event(walker);
            stage.event(walker);
        });
        let unload = spawn(&stage, |stage, walker| {
            for found in stage.image.owned_by(1) {
                stage.remove(walker, found.routine).unwrap();
            }
            assert!(stage.image.owned_by(1).is_empty());
        });
        event.join().unwrap();
        unload.join().unwrap();
    });
}

#[test]
fn r_race_05_a_slot_is_emptied_and_refilled_under_a_walk() {
    explore(|| {
        let stage = Stage::new(1);
        stage.set(0).unwrap();
        let event = spawn(&stage, |stage, walker| {
            stage.event(walker);
            stage.event(walker);
        });
        let refill = spawn(&stage, |stage, walker| {
            for routine in 0..3 {
                stage.remove(walker, routine).unwrap();
                stage.set(routine + 1).unwrap();
            }
        });
        event.join().unwrap();
        refill.join().unwrap();
    });
}

#[test]
fn r_race_04_a_nested_call_is_waited_for() {
    explore(|| {
        let stage = Stage::new(8);
        stage.set(0).unwrap();
        let event = spawn(&stage, |stage, walker| {
            stage.image.walk(walker, |outer| stage.call(outer.routine, || stage.event(walker)));
        });
        let remove = spawn(&stage, |stage, walker| stage.remove(walker, 0).unwrap());
        event.join().unwrap();
        remove.join().unwrap();
    });
}

/// Two threads are in a routine each and remove the other's: a circle if both are in, and never a hang.
#[test]
fn r_rm_07_mutual_removal() {
    let circles = Arc::new(PlainUsize::new(0));
    let seen = Arc::clone(&circles);
    explore(move || {
        let stage = Stage::new(8);
        stage.set(0).unwrap();
        stage.set_process(1).unwrap();
        let refusals = Arc::new(PlainUsize::new(0));
        let settle = |result: Result<(), RemoveError>, refusals: &PlainUsize| match result {
            Err(RemoveError::Deadlock(deadlock)) => {
                assert_eq!(deadlock.chain().len(), 2, "{deadlock}");
                refusals.fetch_add(1, SeqCst);
            }
            result => result.unwrap(),
        };
        let refused = Arc::clone(&refusals);
        let one = spawn(&stage, move |stage, walker| {
            stage.image.walk(walker, |found| {
                stage.call(found.routine, || {
                    let result = stage.process.remove(walker, 1, ProcessFlavour::Ex).map(|_| stage.left(1));
                    settle(result, &refused);
                });
            });
        });
        let refused = Arc::clone(&refusals);
        let two = spawn(&stage, move |stage, walker| {
            stage.process.walk(walker, |found| {
                stage.call(found.routine, || settle(stage.remove(walker, 0), &refused));
            });
        });
        one.join().unwrap();
        two.join().unwrap();
        assert!(refusals.load(SeqCst) <= 1, "one gives way, not both");
        assert!(stage.image.is_empty() || stage.process.is_empty());
        seen.fetch_add(refusals.load(SeqCst), SeqCst);
    });
    assert!(circles.load(SeqCst) > 0, "no schedule closed the circle: the check checks nothing");
}
