//! Timers, and the thread that they and the DPCs of nobody in particular run on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::{DriverId, Level};
use export_macro::export;
use nt_abi::{KDPC, KTIMER, TimerNotificationObject};

use super::apc::address_of;
use super::dispatcher::{self, state};
use super::{dpc, wait};
use crate::hash::HashMap;
use crate::{Kernel, io, kernel};

/// `Inserted` in the header of a timer that is set.
const INSERTED: u8 = 0x40;
/// How long the thread waits for something to do before it ends.
const IDLE: Duration = Duration::from_millis(200);

/// A timer that is set.
#[derive(Clone, Copy, Debug)]
struct Armed {
    timer: usize,
    /// Nanoseconds, 0 when it expires once.
    period: u64,
    dpc: usize,
    owner: Option<DriverId>,
}

#[derive(Debug, Default)]
struct State {
    /// By the time they expire, on the monotonic clock, and the order in which they were set.
    armed: BTreeMap<(u64, u64), Armed>,
    places: HashMap<usize, (u64, u64)>,
    next: u64,
    /// The thread is there.
    running: bool,
}

/// The timers of a kernel.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    state: Mutex<State>,
    /// Changes when the thread has to look again.
    word: AtomicU32,
}

fn timer_at(address: usize) -> *mut KTIMER {
    std::ptr::with_exposed_provenance_mut(address)
}

impl Timers {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next timer expires, on the monotonic clock.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.lock().armed.first_key_value().map(|(&(due, _), _)| due)
    }

    /// Expires what is due; `true` when there was any.
    pub(crate) fn expire_due(&self, kernel: &Kernel) -> bool {
        let due = self.next_due().is_some_and(|due| due <= super::time::monotonic());
        if due {
            self.lock().expire(kernel);
        }
        due
    }

    /// The addresses of timers that a driver set, or whose DPC routine lies in its image.
    pub(crate) fn pending_of(&self, driver: DriverId, image: &std::ops::Range<usize>) -> Vec<(usize, usize)> {
        let routine = |armed: &Armed| {
            let dpc = machine::guarded::try_read::<KDPC>(armed.dpc as u64).ok()?;
            Some(address_of!(dpc.DeferredRoutine))
        };
        let state = self.lock();
        let all = state.armed.values().map(|armed| (armed, routine(armed).unwrap_or(0)));
        let of = |(armed, routine): &(&Armed, usize)| armed.owner == Some(driver) || image.contains(routine);
        all.filter(of).map(|(armed, routine)| (armed.timer, routine)).collect()
    }

    /// A timer that is set and lies in a range of memory.
    pub(crate) fn set_within(&self, range: &std::ops::Range<usize>) -> Option<usize> {
        self.lock().places.keys().copied().find(|timer| range.contains(timer))
    }
}

impl State {
    fn remove(&mut self, timer: usize) -> bool {
        let Some(place) = self.places.remove(&timer) else { return false };
        self.armed.remove(&place);
        // SAFETY: it was set, so its driver keeps it.
        unsafe { (*timer_at(timer)).Header.Reserved1 = 0 };
        true
    }

    fn insert(&mut self, due: u64, armed: Armed) {
        let place = (due, self.next);
        self.next += 1;
        self.armed.insert(place, armed);
        self.places.insert(armed.timer, place);
        // SAFETY: its driver has just set it, or it expired while set.
        unsafe {
            (*timer_at(armed.timer)).Header.Reserved1 = INSERTED;
            (*timer_at(armed.timer)).DueTime = due / 100;
        }
    }

    /// Expires what is due, and answers when the next one is.
    fn expire(&mut self, kernel: &Kernel) -> Option<u64> {
        loop {
            let now = super::time::monotonic();
            let (&(due, _), &armed) = self.armed.first_key_value()?;
            if due > now {
                return Some(due);
            }
            self.remove(armed.timer);
            if armed.period != 0 {
                self.insert(now.max(due.saturating_add(armed.period)), armed);
            }
            // SAFETY: it was set until just now, and the lock keeps whoever cancels it away.
            unsafe { expired(kernel, armed) };
        }
    }
}

/// # Safety
/// The timer and its DPC are the driver's, and alive.
unsafe fn expired(kernel: &Kernel, armed: Armed) {
    // SAFETY: by this function's contract.
    unsafe {
        let mut waiters = kernel.ke.dispatcher.lock();
        dispatcher::set_state(armed.timer, 1);
        waiters.signal(armed.timer, 0);
        drop(waiters);
        if armed.dpc != 0 {
            dpc::insert_for_timer(kernel, armed.dpc, armed.owner);
        }
    }
}

/// Has the thread look at timers and DPCs; starts it where it is not there.
pub(crate) fn wake_thread(kernel: &'static Kernel) {
    let timers = &kernel.ke.timers;
    let start = !std::mem::replace(&mut timers.lock().running, true);
    timers.word.fetch_add(1, Ordering::Release);
    machine::platform().wake(&timers.word, 1);
    if start
        && let Err(error) = machine::platform().spawn("callboard dpc", 0, Box::new(move || thread(kernel)))
    {
        timers.lock().running = false;
        kernel.note(Level::Warning, &format!("timers and DPCs do not run: {error}"));
    }
}

fn thread(kernel: &'static Kernel) {
    let timers = &kernel.ke.timers;
    let processor = match machine::Processor::attach() {
        Ok(processor) => processor,
        Err(error) => {
            timers.lock().running = false;
            kernel.note(Level::Warning, &format!("timers and DPCs do not run: {error}"));
            return;
        }
    };
    kernel.adopt_this_thread();
    loop {
        let word = timers.word.load(Ordering::Acquire);
        let mut next = timers.lock().expire(kernel);
        if super::virtual_clock::is_on() {
            // Whoever moves the clock wakes this thread.
            next = None;
        }
        if dpc::run_on_thread(kernel) {
            continue;
        }
        let wait =
            next.map_or(IDLE, |due| Duration::from_nanos(due.saturating_sub(super::time::monotonic())));
        if wait.is_zero() {
            continue;
        }
        let outcome = machine::platform().block(&timers.word, word, Some(wait));
        if next.is_none() && outcome == machine::platform::BlockOutcome::TimedOut {
            let mut state = timers.lock();
            if state.armed.is_empty() && !dpc::thread_is_needed(kernel) {
                state.running = false;
                break;
            }
        }
    }
    crate::ps::system_thread::leave(kernel);
    drop(processor);
}

/// Sets a timer, and says whether it was set already.
///
/// # Safety
/// `timer` is an initialized timer.
unsafe fn set(timer: *mut KTIMER, due: i64, period: u32, dpc: *mut KDPC) -> bool {
    let kernel = kernel();
    let address = timer.expose_provenance();
    let armed = Armed {
        timer: address,
        period: u64::from(period) * 1_000_000,
        dpc: dpc.expose_provenance(),
        owner: io::current_driver(),
    };
    let at = wait::due(due);
    // SAFETY: by this function's contract.
    let before = unsafe {
        dispatcher::touch(address);
        let mut state = kernel.ke.timers.lock();
        let before = state.remove(address);
        {
            let _waiters = kernel.ke.dispatcher.lock();
            dispatcher::set_state(address, 0);
        }
        (*timer).Dpc = dpc;
        (*timer).Period = period;
        if at <= super::time::monotonic() {
            if armed.period != 0 {
                state.insert(at.saturating_add(armed.period), armed);
            }
            expired(kernel, armed);
        } else {
            state.insert(at, armed);
        }
        before
    };
    wake_thread(kernel);
    before
}

/// Makes a timer of notification type. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeInitializeTimer(timer: *mut KTIMER) {
    // SAFETY: the driver's timer.
    unsafe { KeInitializeTimerEx(timer, 0) };
}

/// Makes a timer: of notification type (0) or synchronization type (1). Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeInitializeTimerEx(timer: *mut KTIMER, kind: u32) {
    let kind = TimerNotificationObject + u8::from(kind != 0);
    // SAFETY: the driver's timer.
    unsafe {
        timer.write(KTIMER::default());
        dispatcher::initialize(&raw mut (*timer).Header, kind, size_of::<KTIMER>(), 0);
    }
}

/// Sets a timer that expires once, and returns whether it was set already. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeSetTimer(timer: *mut KTIMER, due: i64, dpc: *mut KDPC) -> u8 {
    // SAFETY: the driver's timer and DPC.
    u8::from(unsafe { set(timer, due, 0, dpc) })
}

/// Sets a timer that expires again after each period of milliseconds, and returns whether it was set already. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeSetTimerEx(timer: *mut KTIMER, due: i64, period: i32, dpc: *mut KDPC) -> u8 {
    // SAFETY: the driver's timer and DPC.
    u8::from(unsafe { set(timer, due, u32::try_from(period).unwrap_or(0), dpc) })
}

/// Sets a timer that may expire a little later than asked; here it does not. Source: DDI.
#[export(irql <= DISPATCH, since = Win7)]
pub unsafe extern "win64" fn KeSetCoalescableTimer(
    timer: *mut KTIMER,
    due: i64,
    period: u32,
    _tolerable_delay: u32,
    dpc: *mut KDPC,
) -> u8 {
    // SAFETY: the driver's timer and DPC.
    u8::from(unsafe { set(timer, due, period, dpc) })
}

/// Stops a timer and returns whether it was set. A DPC that it has queued still runs. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeCancelTimer(timer: *mut KTIMER) -> u8 {
    u8::from(kernel().ke.timers.lock().remove(timer.expose_provenance()))
}

/// Returns whether a timer has expired. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeReadStateTimer(timer: *mut KTIMER) -> u8 {
    // SAFETY: the driver's timer.
    u8::from(unsafe { state(timer.expose_provenance()) } > 0)
}
