//! A clock that stands still until the bench or an event moves it, so that every run is the same.
//!
//! ```text
//!   an event, advance ──▶ move_to(time) ──▶ step, step, … in due order ──▶ the clock is there
//!   nobody runs, and a request of the bench waits ──▶ step
//!   nobody runs, nothing is due, and a request of a program is waited for ──▶ its waiter is told
//! ```
//!
//! A step takes the clock to the next moment at which a timer expires or a wait ends, and lets what comes of it run to its
//! end before the next. A driver that waits with a timeout inside a request so waits for nothing real: as soon as
//! no thread of the kernel runs, the clock goes to the next such moment by itself. Between requests it stands.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::{Level, Time};
use machine::activity;
use machine::platform::Now;

use super::dispatcher::Waiter;
use crate::io::irp::{HOPELESS, UNDER_WAY};
use crate::stress::Dice;
use crate::{Clock, Kernel, kernel};

/// How long the machine was up when a virtual clock starts: one minute, in nanoseconds.
const UP: u64 = 60_000_000_000;
/// How many steps the clock takes at most from one event to the next: more than a second's timer needs in a day. A recording
/// may have a gap of any length, or a moment that is wrong by centuries.
const AWAKE: u32 = 100_000;
/// How long a request waits, on the real clock, for threads of drivers to come to rest before it answers.
const REST: Duration = Duration::from_secs(1);

static ON: AtomicBool = AtomicBool::new(false);
static START: AtomicI64 = AtomicI64::new(0);
static NOW: AtomicI64 = AtomicI64::new(0);
/// Requests of the bench that are being served.
static REQUESTS: AtomicU32 = AtomicU32::new(0);
/// Changes when the clock's thread has to look.
static WORD: AtomicU32 = AtomicU32::new(0);

/// Waits that end at a time, by that and the order in which they began.
static WAITS: Mutex<Waits> = Mutex::new(Waits { next: 0, by_time: BTreeMap::new() });

struct Waits {
    next: u64,
    by_time: BTreeMap<(u64, u64), Arc<Waiter>>,
}

fn waits() -> MutexGuard<'static, Waits> {
    WAITS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Chooses the clock of the kernel that is about to start.
pub(crate) fn choose(clock: Clock) {
    match clock {
        Clock::Real => {
            ON.store(false, Ordering::SeqCst);
            activity::stop();
        }
        Clock::Virtual { start } => {
            waits().by_time.clear();
            hopeful().clear();
            READY.store(0, Ordering::SeqCst);
            *chance() = Dice::new(start.0.cast_unsigned());
            REQUESTS.store(0, Ordering::SeqCst);
            START.store(start.0, Ordering::SeqCst);
            NOW.store(start.0, Ordering::SeqCst);
            ON.store(true, Ordering::SeqCst);
            activity::start(nobody_runs);
        }
    }
}

/// Whether that thread is there. No channel says so: which side frees it is another one in each run.
static READY: AtomicU32 = AtomicU32::new(0);

fn say_ready() {
    READY.store(1, Ordering::Release);
    machine::platform().wake(&READY, 1);
}

/// Starts the thread that moves a virtual clock when nobody runs.
pub(crate) fn start(kernel: &'static Kernel) {
    if !is_on() {
        return;
    }
    let body = Box::new(move || {
        let processor = match machine::Processor::attach() {
            Ok(processor) => processor,
            Err(error) => {
                kernel.note(Level::Warning, &format!("the virtual clock does not move by itself: {error}"));
                say_ready();
                return;
            }
        };
        say_ready();
        loop {
            let word = WORD.load(Ordering::Acquire);
            if activity::running() <= 1 && go_on(kernel) {
                continue;
            }
            machine::platform().block(&WORD, word, None);
            if !is_on() {
                break;
            }
        }
        drop(processor);
    });
    match machine::platform().spawn("callboard clock", 0, body) {
        // What it allocates for itself is not to come between what drivers allocate: addresses are the same in each run.
        Ok(()) => {
            while READY.load(Ordering::Acquire) == 0 {
                machine::platform().block(&READY, 0, None);
            }
        }
        Err(error) => {
            kernel.note(Level::Warning, &format!("the virtual clock does not move by itself: {error}"));
        }
    }
}

/// Whether the clock is a virtual one.
pub(crate) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Chance under a virtual clock.
static CHANCE: Mutex<Dice> = Mutex::new(Dice::new(0));

fn chance() -> MutexGuard<'static, Dice> {
    CHANCE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A random number. Where time is made up so is chance, from the moment at which it began: what drivers are given is the
/// same in each run.
pub(crate) fn random_u64() -> u64 {
    if is_on() { chance().next() } else { machine::platform().random_u64() }
}

/// What the clock says.
pub(crate) fn reading() -> Now {
    if !is_on() {
        return machine::platform().now();
    }
    let system_time = NOW.load(Ordering::Acquire);
    Now { system_time, monotonic: monotonic_at(system_time) }
}

/// How long the machine is up at a moment of the system time. It grows for 292 years.
fn monotonic_at(system_time: i64) -> u64 {
    let since = u64::try_from(system_time.saturating_sub(START.load(Ordering::Relaxed))).unwrap_or(0);
    UP + since.saturating_mul(100).min(i64::MAX.unsigned_abs())
}

/// Lets some time pass, in units of 100 ns, as a busy processor does.
pub(crate) fn pass(units: i64) {
    NOW.fetch_add(units, Ordering::AcqRel);
}

/// A wait that ends by itself, until this is dropped.
pub(crate) struct Ending((u64, u64));

impl Ending {
    /// `waiter` waits until `due`, in nanoseconds of the monotonic clock.
    pub(crate) fn at(due: u64, waiter: &Arc<Waiter>) -> Self {
        let mut waits = waits();
        let place = (due, waits.next);
        waits.next += 1;
        waits.by_time.insert(place, waiter.clone());
        Self(place)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        waits().by_time.remove(&self.0);
    }
}

/// Who waits for a request of a program: the word of its completion, and how many steps of the clock more.
struct Hopeful {
    word: usize,
    steps: u32,
}

/// Those who want to know when they wait for nothing.
static HOPEFUL: Mutex<Vec<Hopeful>> = Mutex::new(Vec::new());

fn hopeful() -> MutexGuard<'static, Vec<Hopeful>> {
    HOPEFUL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until a request that a program has sent ends. The clock moves as in any request of the bench, `steps` times at
/// most. `None` when it has not come to an end by then; `Some(false)` when it never will, as nobody runs and nothing is
/// due.
pub(crate) fn wait_for(word: &AtomicU32, steps: u32) -> Option<bool> {
    let address = std::ptr::from_ref(word).expose_provenance();
    hopeful().push(Hopeful { word: address, steps });
    while word.load(Ordering::Acquire) == UNDER_WAY {
        machine::platform().block(word, UNDER_WAY, None);
    }
    let mut all = hopeful();
    let place = all.iter().position(|one| one.word == address);
    let left = place.map_or(0, |place| all.swap_remove(place).steps);
    drop(all);
    // What ended meanwhile has ended all the same.
    match word.compare_exchange(HOPELESS, UNDER_WAY, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) if left == 0 => None,
        Ok(_) => Some(false),
        Err(_) => Some(true),
    }
}

/// Tells those who wait for nothing: all of them, or those only whose steps are used up. Answers whether there were any.
fn disappoint(all: bool) -> bool {
    let mut any = false;
    for one in hopeful().iter().filter(|one| all || one.steps == 0) {
        let word = std::ptr::with_exposed_provenance::<AtomicU32>(one.word);
        // SAFETY: whoever waits takes its entry out, under this lock, before it lets go of the word.
        let word = unsafe { &*word };
        if word.compare_exchange(UNDER_WAY, HOPELESS, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            machine::platform().wake(word, 1);
            any = true;
        }
    }
    any
}

/// A request of the bench, until this is dropped.
#[derive(Debug)]
pub struct Request {
    counted: bool,
}

impl Kernel {
    /// A request of the bench begins, at a time where it has one: a virtual clock goes there. While it lasts the clock
    /// moves by itself when nobody runs; what it has set going comes to rest before it ends.
    pub fn request(&'static self, time: Option<Time>) -> Request {
        let counted = is_on();
        if counted {
            activity::begin();
            if let Some(time) = time {
                move_to(self, time);
            }
            REQUESTS.fetch_add(1, Ordering::SeqCst);
        }
        Request { counted }
    }

    /// Moves a virtual clock to `time`, which must not be before what it says, with everything that is due until then. A
    /// real one is left alone. Answers what the clock says.
    pub fn advance_clock(&'static self, time: Time) -> Time {
        if is_on() {
            activity::begin();
            move_to(self, time);
            activity::wait_until_alone(REST);
            activity::end();
        }
        super::time::now()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // What the request itself waited for has come; what goes on is not to move the clock any more. What has ended
        // meanwhile is for the I/O manager, which may call drivers for it.
        loop {
            if self.counted {
                REQUESTS.fetch_sub(1, Ordering::SeqCst);
                activity::wait_until_alone(REST);
            }
            if !crate::io::is_unsettled(kernel()) {
                break;
            }
            if self.counted {
                REQUESTS.fetch_add(1, Ordering::SeqCst);
            }
            crate::io::settle(kernel());
        }
        if self.counted {
            activity::end();
        }
    }
}

/// Whether the clock has to move by itself, a request waits and something is due some time; or to say that it will not.
fn wanted() -> bool {
    let waits = is_on() && REQUESTS.load(Ordering::SeqCst) > 0;
    waits && (next(kernel()).is_some() || !hopeful().is_empty())
}

/// Nobody runs: goes to what is due next, or says that nothing is. Answers whether there was anything to do.
fn go_on(kernel: &'static Kernel) -> bool {
    if !wanted() {
        return false;
    }
    if disappoint(false) {
        return true;
    }
    if !step(kernel, u64::MAX) {
        return disappoint(true);
    }
    for one in hopeful().iter_mut() {
        one.steps = one.steps.saturating_sub(1);
    }
    true
}

/// Called by the last thread that runs, before it sleeps.
fn nobody_runs() {
    if wanted() {
        WORD.fetch_add(1, Ordering::Release);
        machine::platform().wake(&WORD, 1);
    }
}

/// When the next thing is due, on the monotonic clock.
fn next(kernel: &Kernel) -> Option<u64> {
    let timer = kernel.ke.timers.next_due();
    let wait = waits().by_time.first_key_value().map(|(&(due, _), _)| due);
    timer.into_iter().chain(wait).min()
}

fn move_to(kernel: &'static Kernel, time: Time) {
    let until = monotonic_at(time.0);
    let mut steps = 0;
    while steps < AWAKE && step(kernel, until) {
        activity::wait_until_alone(REST);
        steps += 1;
    }
    NOW.fetch_max(time.0, Ordering::AcqRel);
    if steps == AWAKE && next(kernel).is_some_and(|due| due <= until) {
        let text = format!(
            "after {AWAKE} expirations of timers between two events the machine slept until the second: what was due \
             meanwhile expired once"
        );
        kernel.note(Level::Warning, &text);
        step(kernel, until);
        activity::wait_until_alone(REST);
    }
}

/// Goes to the next moment at which something is due, if that is not after `until`, and sets off what is.
fn step(kernel: &'static Kernel, until: u64) -> bool {
    let Some(due) = next(kernel).filter(|&due| due <= until) else { return false };
    let units = i64::try_from(due.saturating_sub(UP).div_ceil(100)).unwrap_or(i64::MAX);
    NOW.fetch_max(START.load(Ordering::Relaxed).saturating_add(units), Ordering::AcqRel);
    let now = reading().monotonic;
    if kernel.ke.timers.expire_due(kernel) {
        super::timer::wake_thread(kernel);
    }
    let over: Vec<_> = {
        let mut waits = waits();
        let later = waits.by_time.split_off(&(now + 1, 0));
        std::mem::replace(&mut waits.by_time, later).into_values().collect()
    };
    for waiter in over {
        kernel.ke.dispatcher.lock().look_again(&waiter);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    #[test]
    fn a_virtual_clock_stands_until_it_is_moved() {
        let config = Config { clock: Clock::Virtual { start: Time(1_000_000) }, ..Config::default() };
        with_kernel(config, |_, _| {
            assert_eq!((super::super::time::now(), reading().monotonic), (Time(1_000_000), UP));
            // SAFETY: it only keeps the processor busy.
            unsafe { crate::ke::clock::KeStallExecutionProcessor(50) };
            assert_eq!(super::super::time::now(), Time(1_000_500), "a busy processor lets time pass");
            let drawn = [random_u64(), random_u64()];
            assert_ne!(drawn[0], drawn[1]);
            choose(Clock::Virtual { start: Time(1_000_000) });
            assert_eq!([random_u64(), random_u64()], drawn, "chance is made up too");
            let kernel = kernel();
            assert_eq!(kernel.advance_clock(Time(2_000_000)), Time(2_000_000));
            assert_eq!(kernel.advance_clock(Time(1)), Time(2_000_000), "it never goes back");
            assert_eq!(reading().monotonic, UP + 100_000_000);
        });
    }

    #[test]
    fn a_gap_of_centuries_is_slept_through_by_a_periodic_timer() {
        let config = Config { clock: Clock::Virtual { start: Time(1_000_000) }, ..Config::default() };
        with_kernel(config, |_, _| {
            let mut timer = nt_abi::KTIMER::default();
            let timer = &raw mut timer;
            // SAFETY: it stays where it is until it is cancelled.
            unsafe {
                crate::ke::timer::KeInitializeTimer(timer);
                crate::ke::timer::KeSetTimerEx(timer, -10_000, 1, std::ptr::null_mut());
            }
            let end = Time(1_000_000 + 8_000 * 365 * 24 * 3600 * 10_000_000);
            assert_eq!(kernel().advance_clock(end), end);
            let due = kernel().ke.timers.next_due().expect("it goes on");
            let now = reading().monotonic;
            assert!(due > now && due <= now + 1_000_000, "{due} is behind {now} by a period at most");
            // SAFETY: as above.
            unsafe { crate::ke::timer::KeCancelTimer(timer) };
        });
    }
}
