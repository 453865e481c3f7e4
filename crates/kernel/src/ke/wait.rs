//! Waiting: `KeWaitForSingleObject`, `KeWaitForMultipleObjects`, `KeDelayExecutionThread`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use export_macro::export;
use machine::Irql;
use nt_abi::{
    EventNotificationObject, EventSynchronizationObject, MAXIMUM_WAIT_OBJECTS, MutantObject, NTSTATUS,
    ProcessObject, QueueObject, STATUS_SUCCESS, STATUS_TIMEOUT, STATUS_USER_APC, SemaphoreObject,
    THREAD_WAIT_OBJECTS, ThreadObject, UserMode, WaitAll,
};

use super::blocked::{Lock, On, falls_asleep};
use super::dispatcher::{self, DONE, Object, Satisfied, WAITING, Waiter};
use super::irql::violation;
use crate::kernel;
use crate::ps::process::Eprocess;
use crate::ps::thread::{Ethread, current};

/// MAXIMUM_WAIT_OBJECTS_EXCEEDED.
const TOO_MANY_OBJECTS: u32 = 0x0C;
/// ATTEMPTED_SWITCH_FROM_DPC.
const SWITCH_FROM_DPC: u32 = 0xB8;
/// A wait in a notify routine that may last longer holds up what the routine is told of (L-02).
const LONG: u64 = 1_000_000_000;

/// Until when a wait lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// It only looks.
    Now,
    /// A reading of the monotonic clock, in nanoseconds.
    Time(u64),
    /// For ever.
    Never,
}

/// When a time that a driver gave is, on the monotonic clock in nanoseconds: negative is relative, else it is
/// a system time.
pub(crate) fn due(time: i64) -> u64 {
    let now = super::virtual_clock::reading();
    let ticks = if time < 0 {
        time.unsigned_abs()
    } else {
        u64::try_from(time.saturating_sub(now.system_time)).unwrap_or(0)
    };
    now.monotonic.saturating_add(ticks.saturating_mul(100))
}

impl Until {
    /// What a driver's timeout means.
    ///
    /// # Safety
    /// `timeout` is null or readable.
    pub(crate) unsafe fn read(timeout: *const i64) -> Self {
        // SAFETY: by this function's contract.
        match unsafe { timeout.as_ref() } {
            None => Self::Never,
            Some(0) => Self::Now,
            Some(&time) => Self::Time(due(time)),
        }
    }

    /// How long it is until then; `None` for ever.
    fn left(self) -> Option<Duration> {
        match self {
            Self::Now => Some(Duration::ZERO),
            Self::Time(at) => Some(Duration::from_nanos(at.saturating_sub(super::time::monotonic()))),
            Self::Never => None,
        }
    }
}

/// Who asks for a wait, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub(crate) until: Until,
    pub(crate) all: bool,
    /// It is a wait in user mode: the end of the thread breaks it off (R-CTX-05).
    pub(crate) user_mode: bool,
    /// A user APC ends the wait.
    pub(crate) user_alertable: bool,
    /// A driver waits, and not a routine of ours on its behalf.
    pub(crate) by_driver: bool,
    /// The lock that a routine of ours waits for, by an event in it.
    pub(crate) lock: Option<Lock>,
}

impl How {
    /// A driver waits for one of the objects, for ever.
    pub(crate) const BY_DRIVER: Self = Self {
        until: Until::Never,
        all: false,
        user_mode: false,
        user_alertable: false,
        by_driver: true,
        lock: None,
    };
}

/// Waits for the event of a lock, without end, on behalf of a routine.
///
/// # Safety
/// `object` is a dispatcher object.
pub(crate) unsafe fn wait_for(object: Object, lock: Lock) {
    let how = How { by_driver: false, lock: Some(lock), ..How::BY_DRIVER };
    // SAFETY: by this function's contract.
    unsafe { wait(&[object], how) };
}

/// Waits.
///
/// # Safety
/// `objects` are dispatcher objects that stay as long as the wait lasts.
pub(crate) unsafe fn wait(objects: &[Object], how: How) -> NTSTATUS {
    let kernel = kernel();
    let thread = current();
    let thread_at = thread.map_or(0, |thread| std::ptr::from_ref(thread).expose_provenance());
    let mut warned = !how.by_driver;
    for &object in objects {
        // SAFETY: by this function's contract.
        unsafe { dispatcher::touch(object) };
    }
    // SAFETY: by this function's contract.
    let for_work = |object: &Object| unsafe { work_may_signal(*object) };
    let for_own_work = how.by_driver
        && how.until != Until::Now
        && objects.iter().any(for_work)
        && crate::rule::call::waits_after_queueing();
    // SAFETY: by this function's contract.
    let on = unsafe { waits_on(objects, how) };
    loop {
        if let Some(thread) = thread {
            super::leave_kernel(kernel, thread);
        }
        let waiter = {
            let mut waiters = kernel.ke.dispatcher.lock();
            // SAFETY: by this function's contract.
            if let Some(satisfied) = unsafe { waiters.try_satisfy(objects, how.all, thread_at) } {
                drop(waiters);
                return finish(thread, satisfied);
            }
            if how.user_alertable && thread.is_some_and(super::apc::user_apc_waits) {
                return STATUS_USER_APC;
            }
            if how.user_mode && thread.is_some_and(is_to_end) {
                return STATUS_USER_APC;
            }
            if how.until == Until::Now {
                return STATUS_TIMEOUT;
            }
            let waiter = Waiter::new(thread_at, objects, how.all, how.user_mode);
            if warned {
                waiters.add(&waiter);
            }
            waiter
        };
        if !warned {
            // Outside of the lock, and then once more: what is waited for may have come meanwhile.
            warned = true;
            complain(objects.first().copied().unwrap_or(0), how.until);
            continue;
        }
        let mut woken = {
            let _asleep = falls_asleep(on, how.until == Until::Never && !how.user_alertable);
            sleep(&waiter, how.until)
        };
        if woken == WAITING {
            let mut waiters = kernel.ke.dispatcher.lock();
            woken = waiter.word.load(Ordering::Acquire);
            if woken == WAITING {
                waiters.remove(&waiter);
                return STATUS_TIMEOUT;
            }
        }
        if woken == DONE {
            if how.by_driver && !for_own_work {
                // SAFETY: by this function's contract: what was waited for is still there.
                unsafe { synchronised(&waiter) };
            }
            return finish(thread, waiter.satisfied());
        }
    }
}

/// Whether a thread's process is being terminated, and nothing keeps the thread from ending: where kernel APCs are disabled,
/// as in a notify routine, something does (R-CTX-05). Source: "Waits and APCs".
fn is_to_end(thread: &Ethread) -> bool {
    !thread.system
        && thread.process.termination().is_some()
        && super::region::ApcDisable::of(thread) == super::region::ApcDisable { kernel: 0, special: 0 }
        && machine::irql::current() < Irql::APC
}

/// Breaks off the waits of a process that is being terminated, where they can be.
pub(crate) fn terminated(process: &Eprocess) {
    let of_process = |thread: usize| {
        // SAFETY: a thread that waits is the current one of a processor, which keeps its object.
        let thread = unsafe { std::ptr::with_exposed_provenance::<Ethread>(thread).as_ref() };
        thread.is_some_and(|thread| !thread.system && std::ptr::eq(&*thread.process, process))
    };
    kernel().ke.dispatcher.lock().kick_all(of_process);
}

/// Whether a wait for an object may be one for work. A mutex is not, nor what is taken as a lock that is free.
///
/// # Safety
/// `object` is a dispatcher object.
unsafe fn work_may_signal(object: Object) -> bool {
    // SAFETY: by this function's contract.
    let (kind, state) = unsafe { (dispatcher::kind(object), dispatcher::state(object)) };
    match kind {
        EventNotificationObject => true,
        EventSynchronizationObject | SemaphoreObject => state <= 0,
        _ => false,
    }
}

/// What a wait is for, as far as a single object tells.
///
/// # Safety
/// `objects` are dispatcher objects.
unsafe fn waits_on(objects: &[Object], how: How) -> On {
    let (None, [object]) = (how.lock, objects) else { return how.lock.map_or(On::Other, On::Lock) };
    // SAFETY: by this function's contract.
    match unsafe { dispatcher::kind(*object) } {
        MutantObject => On::Lock(Lock::Mutex(*object)),
        ThreadObject => On::Lock(Lock::Thread(*object)),
        _ => On::Other,
    }
}

/// L-05: says it of a notify routine that slept until another thread signalled something which is no lock.
///
/// # Safety
/// What the waiter waited for is still there.
unsafe fn synchronised(waiter: &Waiter) {
    let Some(routine) = crate::rule::call::running_routine() else { return };
    let Some(object) = waiter.let_go() else { return };
    // SAFETY: by this function's contract.
    let until = match unsafe { dispatcher::kind(object) } {
        EventNotificationObject | EventSynchronizationObject => "set an event",
        SemaphoreObject => "released a semaphore",
        QueueObject => "put an entry into a queue",
        ThreadObject => "ended",
        ProcessObject => "ended its process",
        _ => return,
    };
    let message = format!(
        "{routine} waited until another thread {until}; when that thread needs what this one holds, or is held up by a routine \
         itself, neither gets on: do not synchronise with other threads here, queue the work and return"
    );
    kernel().finding(&crate::rule::L_05, &message, None);
}

/// Sleeps until the waiter's word changes or the time is up, and answers the word.
fn sleep(waiter: &Arc<Waiter>, until: Until) -> u32 {
    let by_itself = super::virtual_clock::is_on();
    let _ending = match until {
        Until::Time(due) if by_itself => Some(super::virtual_clock::Ending::at(due, waiter)),
        _ => None,
    };
    loop {
        let state = waiter.word.load(Ordering::Acquire);
        let left = until.left();
        if state != WAITING || left == Some(Duration::ZERO) {
            return state;
        }
        machine::platform().block(&waiter.word, WAITING, left.filter(|_| !by_itself));
    }
}

fn finish(thread: Option<&Ethread>, satisfied: Satisfied) -> NTSTATUS {
    if let Some(thread) = thread {
        super::region::add(&thread.kthread.kernel_apc_disable, -satisfied.apc_disable);
    }
    NTSTATUS(satisfied.status)
}

/// Says what is wrong with a driver's wait that has to block.
fn complain(object: Object, until: Until) {
    let irql = machine::irql::current();
    if irql >= Irql::DISPATCH {
        let thread = current().map_or(0, |thread| std::ptr::from_ref(thread).addr() as u64);
        let message = format!(
            "a wait with a timeout other than zero was called at {irql}; wait at APC_LEVEL or lower, or with a timeout of zero"
        );
        violation(&message, [0x3B, irql.level().into(), object as u64, 0]);
        // The scheduler does not run at that level: nothing would ever wake it.
        machine::bug_check(SWITCH_FROM_DPC, thread, 0, 0, 0);
    }
    let long = until.left().is_none_or(|left| left > Duration::from_nanos(LONG));
    if long && let Some(family) = notification_that_runs() {
        let how_long = if until == Until::Never { "without a timeout" } else { "for more than a second" };
        let message = format!(
            "{} waits {how_long}; the system waits with it: queue the work to a thread of the driver and return",
            crate::rule::call::routine_of(family)
        );
        kernel().finding(&crate::rule::L_02, &message, None);
    }
}

/// The family of the notification that this processor delivers.
fn notification_that_runs() -> Option<event::Family> {
    let recorder = kernel().recorder;
    let running = recorder.running(None);
    recorder.running(running);
    running?.family
}

/// Whether a driver's wait is one in user mode, and whether user APCs end it.
fn modes(mode: i8, alertable: u8) -> (bool, bool) {
    (mode == UserMode, mode == UserMode && alertable != 0)
}

/// Waits for an object of the dispatcher: event, mutex, semaphore, timer, thread or process. Source: DDI; L-02.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeWaitForSingleObject(
    object: *mut u8,
    _reason: u32,
    mode: i8,
    alertable: u8,
    timeout: *const i64,
) -> NTSTATUS {
    let (user_mode, user_alertable) = modes(mode, alertable);
    // SAFETY: the driver's object and timeout.
    unsafe {
        let how = How { until: Until::read(timeout), user_mode, user_alertable, ..How::BY_DRIVER };
        wait(&[object.expose_provenance()], how)
    }
}

/// Waits for a mutex, as KeWaitForSingleObject does. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeWaitForMutexObject(
    mutex: *mut u8,
    reason: u32,
    mode: i8,
    alertable: u8,
    timeout: *const i64,
) -> NTSTATUS {
    // SAFETY: passed on from the driver's call.
    unsafe { KeWaitForSingleObject(mutex, reason, mode, alertable, timeout) }
}

/// Waits for one or for all of several objects. Source: DDI; bug check 0xC.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeWaitForMultipleObjects(
    count: u32,
    objects: *const *mut u8,
    wait_type: u32,
    _reason: u32,
    mode: i8,
    alertable: u8,
    timeout: *const i64,
    wait_blocks: *mut u8,
) -> NTSTATUS {
    let most = if wait_blocks.is_null() { THREAD_WAIT_OBJECTS } else { MAXIMUM_WAIT_OBJECTS };
    if count > most || count == 0 {
        machine::bug_check(TOO_MANY_OBJECTS, 0, count.into(), 0, 0);
    }
    let (user_mode, user_alertable) = modes(mode, alertable);
    // SAFETY: the driver's array of as many objects, and its timeout.
    unsafe {
        let objects = std::slice::from_raw_parts(objects, count as usize);
        let objects: Vec<_> = objects.iter().map(|object| object.expose_provenance()).collect();
        let until = Until::read(timeout);
        let how = How { until, all: wait_type == WaitAll, user_mode, user_alertable, ..How::BY_DRIVER };
        wait(&objects, how)
    }
}

/// Puts the current thread to sleep for a time. Source: DDI; L-02.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeDelayExecutionThread(
    mode: i8,
    alertable: u8,
    interval: *const i64,
) -> NTSTATUS {
    // SAFETY: the driver's interval.
    let until = unsafe { Until::Time(due(interval.read())) };
    let (user_mode, user_alertable) = modes(mode, alertable);
    let how = How { until, user_mode, user_alertable, ..How::BY_DRIVER };
    // SAFETY: there are no objects.
    let status = unsafe { wait(&[], how) };
    if status == STATUS_TIMEOUT { STATUS_SUCCESS } else { status }
}
