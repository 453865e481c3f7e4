//! The dispatcher: who waits for what, and what a signal does.
//!
//! ```text
//!   KeWaitFor…  ──▶ Waiters (one lock) ◀── KeSetEvent, KeReleaseMutex, a timer, an exit
//!                     │ object ▶ waiters in order of arrival
//!                     └ wakes by the waiter's own word
//! ```
//!
//! Objects are the driver's memory, of which only `DISPATCHER_HEADER` (which drivers read) and the fields of
//! a mutex are kept true. Who waits is written down here and not in the object's list: a driver
//! that frees or overwrites what somebody waits for damages its own state, not the dispatcher's.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI16, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nt_abi::{
    DISPATCHER_HEADER, EventSynchronizationObject, KMUTANT, LIST_ENTRY, MutantObject, QueueObject,
    SemaphoreObject, TimerSynchronizationObject,
};

use crate::hash::HashMap;

/// What the address of an object is written as.
pub(crate) type Object = usize;
/// Added to the index of an object whose last owner ended without releasing it: STATUS_ABANDONED_WAIT_0.
const ABANDONED: i32 = 0x80;

/// State of a waiter's word.
pub(crate) const WAITING: u32 = 0;
/// The wait is over: the status is there.
pub(crate) const DONE: u32 = 1;
/// The thread has APCs to run, and then waits on.
pub(crate) const KICKED: u32 = 2;

/// A thread that waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) word: AtomicU32,
    /// Its `KTHREAD`.
    pub(crate) thread: usize,
    pub(crate) objects: Box<[Object]>,
    pub(crate) all: bool,
    /// In user mode, so that the end of the thread breaks it off.
    user_mode: bool,
    status: AtomicI32,
    apc_disable: AtomicI16,
    /// The thread whose act has ended the wait; 0 for a lock's release, and where nobody acted.
    let_go_by: AtomicUsize,
    /// What that thread has signalled.
    signalled: AtomicUsize,
}

/// What a satisfied wait says, and does to its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Satisfied {
    /// The index of the object, with [`ABANDONED`] where its last owner ended.
    pub(crate) status: i32,
    /// How many critical regions the thread is in now because of mutexes it got.
    pub(crate) apc_disable: i16,
}

impl Waiter {
    pub(crate) fn new(thread: usize, objects: &[Object], all: bool, user_mode: bool) -> Arc<Self> {
        Arc::new(Self {
            word: AtomicU32::new(WAITING),
            thread,
            objects: objects.into(),
            all,
            user_mode,
            status: AtomicI32::new(0),
            apc_disable: AtomicI16::new(0),
            let_go_by: AtomicUsize::new(0),
            signalled: AtomicUsize::new(0),
        })
    }

    /// What it waited for; meaningful once its word is [`DONE`].
    pub(crate) fn satisfied(&self) -> Satisfied {
        Satisfied {
            status: self.status.load(Ordering::Acquire),
            apc_disable: self.apc_disable.load(Ordering::Acquire),
        }
    }

    /// Once its word is [`DONE`]: what another thread has signalled to end the wait, where that was no lock's release.
    pub(crate) fn let_go(&self) -> Option<Object> {
        let by = self.let_go_by.load(Ordering::Acquire);
        (by != 0 && by != self.thread).then(|| self.signalled.load(Ordering::Acquire))
    }

    fn grant(&self, satisfied: Satisfied, object: Object, by: usize) {
        self.signalled.store(object, Ordering::Release);
        self.let_go_by.store(by, Ordering::Release);
        self.status.store(satisfied.status, Ordering::Release);
        self.apc_disable.store(satisfied.apc_disable, Ordering::Release);
        self.wake(DONE);
    }

    fn wake(&self, state: u32) {
        self.word.store(state, Ordering::Release);
        machine::platform().wake(&self.word, 1);
    }
}

/// Everything that waits.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    by_object: HashMap<Object, VecDeque<Arc<Waiter>>>,
    by_thread: HashMap<usize, Arc<Waiter>>,
    /// The mutexes that threads own.
    owned: HashMap<usize, Vec<Object>>,
    /// Synchronization events and semaphores, and the threads that got them last: who signals what it got uses it as a
    /// lock. The oldest are forgotten.
    got: VecDeque<(Object, usize)>,
}

/// How many of them are remembered.
const MOST_GOT: usize = 64;

/// The dispatcher of a kernel.
#[derive(Debug, Default)]
pub(crate) struct Dispatcher(Mutex<Waiters>);

impl Dispatcher {
    /// Takes the dispatcher lock. What a driver passed must have been touched before: a fault under this lock would
    /// end the bench without a report.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a header: not signalled or with the given state, nobody waiting.
///
/// # Safety
/// `header` must be writable, with the object of `size` bytes behind it.
pub(crate) unsafe fn initialize(header: *mut DISPATCHER_HEADER, kind: u8, size: usize, state: i32) {
    // SAFETY: by this function's contract.
    unsafe {
        let head = &raw mut (*header).WaitListHead;
        header.write(DISPATCHER_HEADER {
            Type: kind,
            Size: u8::try_from(size / 4).unwrap_or(0),
            SignalState: state,
            WaitListHead: LIST_ENTRY { Flink: head, Blink: head },
            ..DISPATCHER_HEADER::default()
        });
    }
}

/// The thread whose act what happens now is: 0 in a DPC, which runs on whatever thread is there.
pub(crate) fn acting_thread() -> usize {
    if super::dpc::runs_here() {
        return 0;
    }
    crate::ps::thread::current().map_or(0, |thread| std::ptr::from_ref(thread).expose_provenance())
}

/// Touches an object before the lock is taken: one that is not there faults now, with the driver's call on the stack.
///
/// # Safety
/// As the driver's routine: `object` is a dispatcher object.
pub(crate) unsafe fn touch(object: Object) {
    // SAFETY: by this function's contract.
    unsafe { state(object) };
}

fn header(object: Object) -> *mut DISPATCHER_HEADER {
    std::ptr::with_exposed_provenance_mut(object)
}

/// The signal state of an object.
///
/// # Safety
/// `object` is a dispatcher object.
pub(crate) unsafe fn state(object: Object) -> i32 {
    // SAFETY: by this function's contract.
    unsafe { (&raw const (*header(object)).SignalState).read_volatile() }
}

/// Sets the signal state of an object, without waking anybody.
///
/// # Safety
/// `object` is a dispatcher object, and the lock is held once it is shared.
pub(crate) unsafe fn set_state(object: Object, state: i32) {
    // SAFETY: by this function's contract.
    unsafe { (&raw mut (*header(object)).SignalState).write_volatile(state) };
}

/// The type of an object, as its header says.
///
/// # Safety
/// `object` is a dispatcher object.
pub(crate) unsafe fn kind(object: Object) -> u8 {
    // SAFETY: by this function's contract.
    unsafe { (&raw const (*header(object)).Type).read_volatile() }
}

fn mutant(object: Object) -> *mut KMUTANT {
    std::ptr::with_exposed_provenance_mut(object)
}

/// The thread that owns a mutex.
///
/// # Safety
/// `object` is a mutex.
pub(crate) unsafe fn owner(object: Object) -> usize {
    // SAFETY: by this function's contract.
    unsafe { (&raw const (*mutant(object)).OwnerThread).read_volatile() }.addr()
}

unsafe fn is_signalled(object: Object, thread: usize) -> bool {
    // SAFETY: a dispatcher object, as the callers' own contracts say.
    unsafe { state(object) > 0 || kind(object) == MutantObject && owner(object) == thread }
}

impl Waiters {
    /// Satisfies a wait if it can be now.
    ///
    /// # Safety
    /// `objects` are dispatcher objects.
    pub(crate) unsafe fn try_satisfy(
        &mut self,
        objects: &[Object],
        all: bool,
        thread: usize,
    ) -> Option<Satisfied> {
        // SAFETY: by this function's contract.
        unsafe {
            if all {
                if objects.is_empty() || !objects.iter().all(|&object| is_signalled(object, thread)) {
                    return None;
                }
                let mut result = Satisfied { status: 0, apc_disable: 0 };
                for &object in objects {
                    let (abandoned, apc_disable) = self.take(object, thread);
                    result.apc_disable += apc_disable;
                    if abandoned {
                        result.status = ABANDONED;
                    }
                }
                return Some(result);
            }
            let index = objects.iter().position(|&object| is_signalled(object, thread))?;
            let (abandoned, apc_disable) = self.take(objects[index], thread);
            let status = i32::try_from(index).unwrap_or(0) + if abandoned { ABANDONED } else { 0 };
            Some(Satisfied { status, apc_disable })
        }
    }

    /// What getting a signalled object does to it: whether it was abandoned, and the critical regions it enters.
    unsafe fn take(&mut self, object: Object, thread: usize) -> (bool, i16) {
        // SAFETY: a dispatcher object, as the callers' own contracts say.
        unsafe {
            match kind(object) {
                TimerSynchronizationObject => set_state(object, 0),
                EventSynchronizationObject => {
                    set_state(object, 0);
                    self.note_got(object, thread);
                }
                QueueObject => set_state(object, state(object) - 1),
                SemaphoreObject => {
                    set_state(object, state(object) - 1);
                    self.note_got(object, thread);
                }
                MutantObject => {
                    let left = state(object).saturating_sub(1);
                    set_state(object, left);
                    if left == 0 {
                        let mutant = mutant(object);
                        (*mutant).OwnerThread = std::ptr::with_exposed_provenance_mut(thread);
                        self.owned.entry(thread).or_default().push(object);
                        let abandoned = (*mutant).Abandoned != 0;
                        (*mutant).Abandoned = 0;
                        return (abandoned, i16::from((*mutant).ApcDisable));
                    }
                }
                _ => {}
            }
            (false, 0)
        }
    }

    fn note_got(&mut self, object: Object, thread: usize) {
        if self.got.len() == MOST_GOT {
            self.got.pop_front();
        }
        self.got.push_back((object, thread));
    }

    /// Whether the thread got the object before, which it gives back now.
    fn gives_back(&mut self, object: Object, thread: usize) -> bool {
        let place = self.got.iter().rposition(|&got| got == (object, thread));
        place.is_some_and(|place| self.got.remove(place).is_some())
    }

    /// A mutex is free again: its owner has released it, or ended (`abandoned`).
    ///
    /// # Safety
    /// `object` is a mutex that `thread` owns.
    pub(crate) unsafe fn release_mutant(&mut self, object: Object, thread: usize, abandoned: bool) {
        if let Some(owned) = self.owned.get_mut(&thread) {
            owned.retain(|&other| other != object);
            if owned.is_empty() {
                self.owned.remove(&thread);
            }
        }
        // SAFETY: by this function's contract.
        unsafe {
            let mutant = mutant(object);
            (*mutant).OwnerThread = std::ptr::null_mut();
            (*mutant).Abandoned = u8::from(abandoned);
            set_state(object, 1);
            self.signal(object, 0);
        }
    }

    /// A thread has ended: what it owns is abandoned.
    pub(crate) fn abandon_mutants(&mut self, thread: usize) {
        for object in self.owned.remove(&thread).unwrap_or_default() {
            // The driver may have freed it without releasing it: then it is no mutex of this thread any more.
            let still = machine::guarded::try_read::<KMUTANT>(object as u64).is_ok_and(|mutant| {
                mutant.Header.Type == MutantObject && mutant.OwnerThread.addr() == thread
            });
            if still {
                // SAFETY: readable, and says itself that it is a mutex of that thread.
                unsafe { self.release_mutant(object, thread, true) };
            }
        }
    }

    /// An object became signalled, by the act of a thread where `actor` is one: those who wait for it get it in their
    /// order, as long as it lasts.
    ///
    /// # Safety
    /// `object` is a dispatcher object.
    pub(crate) unsafe fn signal(&mut self, object: Object, actor: usize) {
        let actor = if self.gives_back(object, actor) { 0 } else { actor };
        let Some(queue) = self.by_object.get(&object) else { return };
        for waiter in queue.iter().cloned().collect::<Vec<_>>() {
            // SAFETY: by this function's contract; the other objects of a waiter are alive as long as it waits.
            unsafe {
                if !is_signalled(object, waiter.thread) {
                    return;
                }
                if let Some(satisfied) = self.try_satisfy(&waiter.objects, waiter.all, waiter.thread) {
                    self.remove(&waiter);
                    waiter.grant(satisfied, object, actor);
                }
            }
        }
    }

    /// Makes a thread wait.
    pub(crate) fn add(&mut self, waiter: &Arc<Waiter>) {
        for &object in &waiter.objects {
            self.by_object.entry(object).or_default().push_back(waiter.clone());
        }
        self.by_thread.insert(waiter.thread, waiter.clone());
    }

    /// A thread does not wait any more.
    pub(crate) fn remove(&mut self, waiter: &Arc<Waiter>) {
        for object in &waiter.objects {
            if let Some(queue) = self.by_object.get_mut(object) {
                queue.retain(|other| !Arc::ptr_eq(other, waiter));
                if queue.is_empty() {
                    self.by_object.remove(object);
                }
            }
        }
        if self.by_thread.get(&waiter.thread).is_some_and(|other| Arc::ptr_eq(other, waiter)) {
            self.by_thread.remove(&waiter.thread);
        }
    }

    #[cfg(test)]
    pub(crate) fn count_of(&self, object: Object) -> usize {
        self.by_object.get(&object).map_or(0, VecDeque::len)
    }

    #[cfg(test)]
    pub(crate) fn is_waited_for(&self, object: Object) -> bool {
        self.count_of(object) > 0
    }

    /// Has a waiting thread look at the clock.
    pub(crate) fn look_again(&mut self, waiter: &Arc<Waiter>) {
        if waiter.word.load(Ordering::Acquire) == WAITING {
            self.remove(waiter);
            waiter.wake(KICKED);
        }
    }

    /// Has every thread that waits in user mode, and of which `is_one` holds, look at whether it is to end.
    pub(crate) fn kick_all(&mut self, is_one: impl Fn(usize) -> bool) {
        let waits = |waiter: &&Arc<Waiter>| waiter.user_mode && is_one(waiter.thread);
        let waiters: Vec<_> = self.by_thread.values().filter(waits).cloned().collect();
        for waiter in waiters {
            self.remove(&waiter);
            waiter.wake(KICKED);
        }
    }

    /// Has a waiting thread look at its APCs.
    pub(crate) fn kick(&mut self, thread: usize) {
        if let Some(waiter) = self.by_thread.get(&thread).cloned() {
            self.remove(&waiter);
            waiter.wake(KICKED);
        }
    }
}
