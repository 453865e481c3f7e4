//! Who waits for what while it waits: a notify routine that is held up by a lock whose owner waits itself, and threads that
//! wait for each other (L-05).
//!
//! ```text
//!   routine's thread ──waits for──▶ lock ──owned by──▶ thread ──waits for──▶ an event, a time      finding
//!          ▲                                              └────waits for──▶ lock ──owned by─┐
//!          └────────────────────────────────────────────────────────────────────────────────┘   stop: a hang
//! ```
//!
//! A thread is written down right before it sleeps and taken out when it wakes. A lock that is held and released by
//! threads that run is no matter. Push locks and spin locks have no owner that could be asked for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{DriverId, StopKind, ThreadId};
use nt_abi::{FAST_MUTEX, KMUTANT};

use super::stop::without_bug_check;
use crate::ex::pool_site::Site;
use crate::ps::thread::{Ethread, current};
use crate::rule::call::running_routine;
use crate::{Kernel, kernel, rule};

/// What somebody else has to do for a wait to end, where it is known who.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// A fast or guarded mutex, by its address.
    FastMutex(usize),
    /// A mutex of the dispatcher.
    Mutex(usize),
    /// An executive resource.
    Resource(usize),
    /// The end of a thread.
    Thread(usize),
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// What another thread owns.
    Lock(Lock),
    /// A lock whose owner nobody knows.
    OwnerlessLock,
    /// An event, a semaphore, several objects, a time.
    Other,
}

/// A thread that sleeps.
#[derive(Debug)]
struct Entry {
    thread: usize,
    id: ThreadId,
    on: On,
    /// Only what it waits for can end the wait.
    for_ever: bool,
    routine: Option<Routine>,
}

/// The notify routine that sleeps.
#[derive(Debug)]
struct Routine {
    name: &'static str,
    driver: Option<DriverId>,
    site: Site,
    /// It was reported.
    told: bool,
}

/// The threads of a kernel that sleep.
#[derive(Debug, Default)]
pub(crate) struct Blocked(Mutex<Vec<Entry>>);

impl Blocked {
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn anybody_waits_for_a_lock(&self) -> bool {
        self.lock().iter().any(|entry| entry.on != On::Other)
    }
}

/// The current thread sleeps, until this is dropped.
#[must_use]
pub(crate) struct Asleep(usize);

impl Drop for Asleep {
    fn drop(&mut self) {
        kernel().ke.blocked.lock().retain(|entry| entry.thread != self.0);
    }
}

/// Says that the current thread is about to sleep. Stops the machine where it, or a notify routine that waits for it, then
/// never wakes.
pub(crate) fn falls_asleep(on: On, for_ever: bool) -> Asleep {
    let kernel = kernel();
    let (thread, id) = current().map_or((0, ThreadId(0)), |thread| (address(thread), thread.id));
    let routine = running_routine().map(|name| Routine {
        name,
        driver: crate::io::current_driver(),
        site: Site::with_callers(),
        told: false,
    });
    let mut all = kernel.ke.blocked.lock();
    all.retain(|entry| entry.thread != thread);
    all.push(Entry { thread, id, on, for_ever, routine });
    let circle = circle_through(kernel, &all, thread).map(|circle| tell(kernel, &all, &circle));
    if let Some(message) = circle {
        drop(all);
        without_bug_check(StopKind::Hang, &message);
    }
    let held_up: Vec<_> = all.iter().filter_map(|entry| held_up(kernel, &all, entry)).collect();
    for entry in &mut *all {
        if let Some(routine) = &mut entry.routine {
            routine.told |= held_up.iter().any(|finding| finding.thread == entry.thread);
        }
    }
    drop(all);
    for HeldUp { driver, site, message, .. } in held_up {
        kernel.finding_at(driver, &rule::L_05, &message, None, site.frames());
    }
    Asleep(thread)
}

fn address(thread: &Ethread) -> usize {
    std::ptr::from_ref(thread).expose_provenance()
}

/// A routine that waits for a lock which is not released soon.
struct HeldUp {
    thread: usize,
    driver: Option<DriverId>,
    site: Site,
    message: String,
}

/// Whether a thread that sleeps is in a routine, and waits for a lock whose owner sleeps for what is no lock.
fn held_up(kernel: &Kernel, all: &[Entry], entry: &Entry) -> Option<HeldUp> {
    let routine = entry.routine.as_ref().filter(|routine| !routine.told)?;
    let On::Lock(lock) = entry.on else { return None };
    // Waiting for a thread to end is told when it has ended.
    if matches!(lock, Lock::Thread(_)) {
        return None;
    }
    let owner = sleeping_owner(kernel, all, lock, &mut Vec::new())?;
    let message = format!(
        "{} waits for {}, while {} that holds it waits itself: hold a lock that a notify routine takes for a few \
         instructions only, and wait for nothing meanwhile",
        routine.name,
        show(all, lock),
        name_of(all, owner)
    );
    Some(HeldUp { thread: entry.thread, driver: routine.driver, site: routine.site, message })
}

/// The thread at the end of the owners of a lock, where it sleeps for what is no lock.
fn sleeping_owner(kernel: &Kernel, all: &[Entry], lock: Lock, seen: &mut Vec<usize>) -> Option<usize> {
    for owner in owners(kernel, lock) {
        if seen.contains(&owner) {
            continue;
        }
        seen.push(owner);
        let Some(entry) = all.iter().find(|entry| entry.thread == owner) else { continue };
        let found = match entry.on {
            On::Other => Some(owner),
            On::OwnerlessLock => None,
            On::Lock(next) => sleeping_owner(kernel, all, next, seen),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The threads that wait for each other for ever, the given one first, if one of them is in a notify routine.
fn circle_through(kernel: &Kernel, all: &[Entry], thread: usize) -> Option<Vec<(usize, Lock)>> {
    let mut way = Vec::new();
    let closed = thread != 0 && closes(kernel, all, (thread, thread), &mut way);
    let in_routine = |at: usize| all.iter().any(|entry| entry.thread == at && entry.routine.is_some());
    (closed && way.iter().any(|&(at, _)| in_routine(at))).then_some(way)
}

/// Whether a way of waits leads from the thread `at` back to `first`, each wait without another end.
fn closes(kernel: &Kernel, all: &[Entry], (first, at): (usize, usize), way: &mut Vec<(usize, Lock)>) -> bool {
    let sleeps = |entry: &&Entry| entry.thread == at && entry.for_ever;
    let Some(&Entry { on: On::Lock(lock), .. }) = all.iter().find(sleeps) else { return false };
    way.push((at, lock));
    for owner in owners(kernel, lock) {
        if owner == first {
            return true;
        }
        if !way.iter().any(|&(seen, _)| seen == owner) && closes(kernel, all, (first, owner), way) {
            return true;
        }
    }
    way.pop();
    false
}

/// Those without whom a lock does not get free. Reads what drivers may have overwritten, so nothing is taken on trust.
fn owners(kernel: &Kernel, lock: Lock) -> Vec<usize> {
    let one = |owner: usize| if owner == 0 { Vec::new() } else { vec![owner] };
    match lock {
        Lock::FastMutex(at) => {
            one(machine::guarded::try_read::<FAST_MUTEX>(at as u64).map_or(0, |mutex| mutex.Owner.addr()))
        }
        Lock::Mutex(at) => {
            one(machine::guarded::try_read::<KMUTANT>(at as u64)
                .map_or(0, |mutant| mutant.OwnerThread.addr()))
        }
        Lock::Resource(at) => kernel.ex.resources.owners(at),
        Lock::Thread(thread) => one(thread),
    }
}

fn tell(kernel: &Kernel, all: &[Entry], circle: &[(usize, Lock)]) -> String {
    let links = circle
        .iter()
        .map(|&(thread, lock)| format!("{} waits for {}", name_of(all, thread), show(all, lock)));
    let links = links.collect::<Vec<_>>().join(", whose owner ");
    let routines = circle.iter().filter_map(|&(thread, _)| {
        let entry = all.iter().find(|entry| entry.thread == thread)?;
        let routine = entry.routine.as_ref()?;
        let name =
            routine.driver.and_then(|id| kernel.io.driver(id)).map_or("a driver", |driver| &driver.name);
        Some(format!("{} is in {} of {name}, at {}", name_of(all, thread), routine.name, routine.site))
    });
    let routines = routines.collect::<Vec<_>>().join("; ");
    format!(
        "{}: threads wait for each other for ever: {links}, which the first one owns; {routines}: a notify routine does not wait \
         for what another thread does or holds",
        rule::L_05.id
    )
}

/// A thread that sleeps, by its id.
fn name_of(all: &[Entry], thread: usize) -> String {
    let known = all.iter().find(|entry| entry.thread == thread);
    known.map_or_else(|| "a thread".into(), |entry| format!("thread {}", entry.id))
}

/// A lock, in words.
fn show(all: &[Entry], lock: Lock) -> String {
    match lock {
        Lock::FastMutex(at) => format!("the fast mutex at {at:#x}"),
        Lock::Mutex(at) => format!("the mutex at {at:#x}"),
        Lock::Resource(at) => format!("the resource at {at:#x}"),
        Lock::Thread(thread) => format!("the end of {}", name_of(all, thread)),
    }
}
