//! A kernel that provokes: seeded interleavings, events at the wrong moment, missing names, low pool.
//!
//! ```text
//!   registered() ── a process lives while the Set routine has not returned (R-RM-10)
//!   unloading()  ── processes live while DriverUnload runs (R-RACE-07)
//!   opening()    ── a process lives while a program opens a device
//!   call.rs      ── every import that a driver calls is a point where another thread may go on
//!   invoke()     ── so is the beginning and the end of a notify or dispatch routine, and an instruction in between
//!        │
//!        ▼
//!   schedule.rs  one thread at a time, chosen by the seed ◀── platform.rs: waiting, threads, time
//!        │
//!        ▼
//!   lives.rs     synthetic processes, from their creation to their exit, on processors of their own
//! ```
//!
//! Everything that is provoked may happen on Windows: docs/stress.md says why, for each. While the configuration
//! asks for no stress, each of these functions is a load and a branch.

mod call;
mod dice;
mod lives;
mod platform;
mod schedule;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use machine::Platform as _;
use schedule::{Kind, Scheduler};

use crate::Kernel;

pub(crate) use call::{Returning, hooked};
pub(crate) use dice::Dice;

/// Processors that live synthetic processes.
const PROCESSORS: u32 = 2;
/// How many processes live because of what the driver does, over a run.
const LIVES: u32 = 8;
/// How many more when a driver is unloaded.
const LIVES_AT_UNLOAD: u32 = 3;
/// How many more when a program opens a device.
const LIVES_AT_OPEN: u32 = 1;

/// A stressed kernel's own.
#[derive(Debug)]
struct Stress {
    scheduler: Scheduler,
    /// Pool is low at times: one allocation in so many fails; 0 is never.
    pool_fails: usize,
    /// Routines are preempted between instructions.
    preempts: bool,
}

static STRESS: OnceLock<Stress> = OnceLock::new();
static ON: AtomicBool = AtomicBool::new(false);

fn stress() -> Option<&'static Stress> {
    if is_on() { STRESS.get() } else { None }
}

/// Whether the kernel is stressed.
#[inline]
pub(crate) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Starts to provoke, when the configuration asks for it.
pub(crate) fn start(kernel: &'static Kernel) {
    let Some(seed) = kernel.config.stress else { return };
    let mut dice = Dice::new(seed);
    let pool_fails = if dice.one_in(4) { 12 } else { 0 };
    let preempts = dice.one_in(2);
    let stress =
        STRESS.get_or_init(|| Stress { scheduler: Scheduler::new(dice, LIVES), pool_fails, preempts });
    ON.store(true, Ordering::Relaxed);
    let platform = Box::leak(Box::new(platform::StressPlatform(&stress.scheduler)));
    if !machine::interpose_platform(platform) {
        kernel.note(event::Level::Warning, "this process has been stressed before: its seed stays");
        return;
    }
    machine::preempt::set_hook(preempted);
    for number in 0..PROCESSORS {
        let task = stress.scheduler.add(Kind::Life);
        let body = move || lives::run(kernel, &stress.scheduler, task, number);
        let name = format!("stress {number}");
        let spawned = machine::hosted::Hosted::instance().spawn(&name, 0, Box::new(body));
        if let Err(error) = spawned {
            stress.scheduler.remove(task);
            kernel.note(event::Level::Warning, &error.to_string());
        }
    }
}

/// A request of the bench, for as long as this lives.
#[must_use]
pub(crate) struct Request(Option<&'static Scheduler>);

impl Drop for Request {
    fn drop(&mut self) {
        if let Some(scheduler) = self.0 {
            scheduler.leave();
        }
    }
}

/// The calling thread begins to serve the bench: only one that has the turn goes on.
pub(crate) fn enter() -> Request {
    let scheduler = stress().map(|stress| &stress.scheduler).filter(|_| !Scheduler::is_task());
    if let Some(scheduler) = scheduler {
        scheduler.enter();
    }
    Request(scheduler)
}

/// A routine was registered, and the driver that did it does not know yet (R-RM-10).
pub(crate) fn registered() {
    let Some(stress) = stress() else { return };
    stress.scheduler.open();
    if !stress.scheduler.ask(|dice| dice.one_in(4)) {
        stress.scheduler.provoke();
    }
}

/// A driver is about to be unloaded (R-RACE-07): some processes are about to live or to die.
pub(crate) fn unloading() {
    let Some(stress) = stress() else { return };
    stress.scheduler.more(LIVES_AT_UNLOAD);
    for _ in 0..PROCESSORS {
        if !stress.scheduler.ask(|dice| dice.one_in(3)) {
            stress.scheduler.provoke();
        }
    }
}

/// A program is about to open a device: a process may live meanwhile.
pub(crate) fn opening() {
    let Some(stress) = stress() else { return };
    stress.scheduler.more(LIVES_AT_OPEN);
    if stress.scheduler.ask(|dice| dice.one_in(2)) {
        stress.scheduler.provoke();
    }
}

/// Calls a notify routine or a dispatch routine, with points before, after and in between.
pub(crate) fn invoke<T>(call: impl FnOnce() -> T) -> T {
    let Some(stress) = stress() else { return call() };
    // A routine of another driver may be under way on this thread.
    let outer = machine::preempt::pause();
    stress.scheduler.point(4);
    let steps = if stress.preempts { stress.scheduler.ask(steps) } else { 0 };
    machine::preempt::arm(steps);
    let result = call();
    if stress.preempts {
        machine::preempt::disarm();
    }
    stress.scheduler.point(6);
    machine::preempt::arm(outer);
    result
}

/// After how many instructions a routine is preempted; often not at all.
fn steps(dice: &mut Dice) -> u32 {
    if !dice.one_in(3) {
        return 0;
    }
    // Short distances as often as long ones.
    let scale = 4 << dice.below(6);
    u32::try_from(1 + dice.below(scale)).unwrap_or(1)
}

/// After how many instructions of its own a driver that calls the kernel in a routine is preempted.
fn steps_after_call(stress: &Stress) -> u32 {
    if !stress.preempts || !Scheduler::is_task() {
        return 0;
    }
    let steps = |dice: &mut Dice| if dice.one_in(4) { 1 + dice.below(24) } else { 0 };
    u32::try_from(stress.scheduler.ask(steps)).unwrap_or_default()
}

/// A driver was interrupted between two instructions.
fn preempted() -> u32 {
    let Some(stress) = stress() else { return 0 };
    stress.scheduler.preempt();
    stress.scheduler.ask(|dice| if dice.one_in(2) { steps(dice) } else { 0 })
}

/// Whether an allocation of a driver's is to fail, as it may at any time.
pub(crate) fn fails_allocation() -> bool {
    let Some(stress) = stress() else { return false };
    stress.pool_fails != 0
        && Scheduler::is_task()
        && stress.scheduler.ask(|dice| dice.one_in(stress.pool_fails))
}
