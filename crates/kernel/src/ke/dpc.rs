//! DPCs: routines that run at DISPATCH_LEVEL as soon as a processor may.
//!
//! As on NT a DPC runs on the processor that queued it, at once when that is below DISPATCH_LEVEL and else as soon
//! as it gets there. What waits for another processor, for a timer, or has no hurry (low importance) runs on a
//! thread of its own, as threaded DPCs do; the thread is there while it has something to do.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::DriverId;
use export_macro::export;
use machine::Irql;
use nt_abi::{
    DpcObject, KDPC, LowImportance, MediumImportance, PKDEFERRED_ROUTINE, PROCESSOR_NUMBER, PVOID,
    ThreadedDpcObject,
};

use super::apc::address_of;
use super::spinlock::this_processor;
use crate::io::driver::as_driver;
use crate::{Kernel, io, kernel};

/// What `KDPC.Number` holds from here on names a processor.
const TARGETED: u16 = 0x800;
/// What `KDPC.DpcData` is while the DPC is queued.
const QUEUED: usize = 1;

/// Where a DPC runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// On the processor with that number of [`this_processor`].
    Processor(u32),
    /// On the thread for DPCs.
    Thread,
}

#[derive(Clone, Copy, Debug)]
struct Queued {
    dpc: usize,
    owner: Option<DriverId>,
    target: Target,
    /// The order in which DPCs were queued.
    number: u64,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Queued>,
    /// Those that run: their numbers and DPCs.
    running: Vec<(u64, usize)>,
    next: u64,
}

/// The DPCs of a kernel.
#[derive(Debug, Default)]
pub(crate) struct Dpcs {
    state: Mutex<State>,
    /// How many are queued: all that is looked at where there are none.
    queued: AtomicU32,
    /// Counts the DPCs that have run, for those who wait for that.
    ran: AtomicU32,
}

thread_local! {
    static RUNS: Cell<bool> = const { Cell::new(false) };
}

/// Whether a DPC runs on this thread.
pub(crate) fn runs_here() -> bool {
    RUNS.get()
}

fn dpc_at(address: usize) -> *mut KDPC {
    std::ptr::with_exposed_provenance_mut(address)
}

impl Dpcs {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a DPC into the queue, unless it is there.
    ///
    /// # Safety
    /// `dpc` is an initialized DPC.
    unsafe fn insert(
        &self,
        dpc: usize,
        arguments: [PVOID; 2],
        owner: Option<DriverId>,
        target: Target,
    ) -> bool {
        let at = dpc_at(dpc);
        let mut state = self.lock();
        if state.queue.iter().any(|other| other.dpc == dpc) {
            return false;
        }
        // SAFETY: by this function's contract.
        unsafe {
            (*at).SystemArgument1 = arguments[0];
            (*at).SystemArgument2 = arguments[1];
            (*at).DpcData = std::ptr::without_provenance_mut(QUEUED);
        }
        let number = state.next;
        state.next += 1;
        state.queue.push_back(Queued { dpc, owner, target, number });
        self.queued.fetch_add(1, Ordering::Release);
        true
    }

    fn remove(&self, dpc: usize) -> bool {
        let mut state = self.lock();
        let Some(place) = state.queue.iter().position(|other| other.dpc == dpc) else { return false };
        state.queue.remove(place);
        self.queued.fetch_sub(1, Ordering::Release);
        // SAFETY: it was queued, so its driver keeps it.
        unsafe { (*dpc_at(dpc)).DpcData = std::ptr::null_mut() };
        true
    }

    /// The addresses of what a driver queued, or whose routine lies in its image.
    pub(crate) fn pending_of(&self, driver: DriverId, image: &std::ops::Range<usize>) -> Vec<(usize, usize)> {
        let state = self.lock();
        let routine = |queued: &Queued| {
            let dpc = machine::guarded::try_read::<KDPC>(queued.dpc as u64).ok()?;
            Some(address_of!(dpc.DeferredRoutine))
        };
        let all = state.queue.iter().map(|queued| (queued, routine(queued).unwrap_or(0)));
        let of =
            |(queued, routine): &(&Queued, usize)| queued.owner == Some(driver) || image.contains(routine);
        all.filter(of).map(|(queued, routine)| (queued.dpc, routine)).collect()
    }

    /// Runs one DPC of that target; `false` when there is none.
    fn run_one(&self, target: Target) -> bool {
        let (queued, dpc) = {
            let mut state = self.lock();
            let Some(place) = state.queue.iter().position(|other| other.target == target) else {
                return false;
            };
            let Some(queued) = state.queue.remove(place) else { return false };
            self.queued.fetch_sub(1, Ordering::Release);
            state.running.push((queued.number, queued.dpc));
            // SAFETY: it is queued, so its driver keeps it; from here on it may be queued again.
            let copy = unsafe {
                (*dpc_at(queued.dpc)).DpcData = std::ptr::null_mut();
                dpc_at(queued.dpc).read_volatile()
            };
            (queued, copy)
        };
        let routine = address_of!(dpc.DeferredRoutine);
        if routine != 0 {
            let level = if dpc.Type == ThreadedDpcObject { Irql::PASSIVE } else { Irql::DISPATCH };
            let before = machine::irql::raise(level);
            let in_another = RUNS.replace(true);
            as_driver(queued.owner, routine as u64, || {
                let [context, argument1, argument2] =
                    [dpc.DeferredContext, dpc.SystemArgument1, dpc.SystemArgument2]
                        .map(|value| value.expose_provenance() as u64);
                // SAFETY: the driver's routine with its own arguments.
                unsafe { machine::call4(routine, queued.dpc as u64, context, argument1, argument2) }
            });
            RUNS.set(in_another);
            let after = machine::irql::current();
            if after != level {
                let message = format!(
                    "a DPC routine returned at {after} and was called at {level}; restore the IRQL on every way out"
                );
                let check = (
                    0xC8,
                    [u64::from(after.level()) << 16 | u64::from(level.level()) << 8, routine as u64, 0, 0],
                );
                kernel().finding_of(queued.owner, &crate::rule::L_13, &message, Some(check));
            }
            machine::irql::set(before);
        }
        crate::dbg::flush_line();
        self.lock().running.retain(|&(number, _)| number != queued.number);
        self.ran.fetch_add(1, Ordering::Release);
        machine::platform().wake(&self.ran, u32::MAX);
        true
    }

    /// Waits until what `unfinished` finds is not there any more.
    fn wait_until(&self, unfinished: impl Fn(&State) -> bool) {
        loop {
            let ran = self.ran.load(Ordering::Acquire);
            if !unfinished(&self.lock()) {
                return;
            }
            machine::platform().block(&self.ran, ran, None);
        }
    }
}

/// Runs the DPCs that wait for this processor, which is below DISPATCH_LEVEL.
pub(crate) fn run_pending(kernel: &Kernel) {
    if kernel.ke.dpcs.queued.load(Ordering::Acquire) == 0 {
        return;
    }
    let target = Target::Processor(this_processor());
    while kernel.ke.dpcs.run_one(target) {}
}

/// Runs the DPCs that wait for the thread for DPCs, which is the caller; `true` when there was any.
pub(crate) fn run_on_thread(kernel: &Kernel) -> bool {
    let mut any = false;
    while kernel.ke.dpcs.run_one(Target::Thread) {
        any = true;
    }
    any
}

/// Whether something waits for the thread for DPCs.
pub(crate) fn thread_is_needed(kernel: &Kernel) -> bool {
    kernel.ke.dpcs.lock().queue.iter().any(|queued| queued.target == Target::Thread)
}

/// Queues the DPC of a timer that has expired, to the thread for DPCs, which is the caller or is told.
///
/// # Safety
/// `dpc` is an initialized DPC.
pub(crate) unsafe fn insert_for_timer(kernel: &Kernel, dpc: usize, owner: Option<DriverId>) {
    let time = super::time::now().0;
    let [low, high] = [time & 0xFFFF_FFFF, time >> 32].map(|half| usize::try_from(half).unwrap_or(0));
    let arguments = [low, high].map(std::ptr::without_provenance_mut);
    // SAFETY: by this function's contract.
    unsafe { kernel.ke.dpcs.insert(dpc, arguments, owner, Target::Thread) };
}

/// Makes a DPC: its routine gets the context. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeInitializeDpc(dpc: *mut KDPC, routine: PKDEFERRED_ROUTINE, context: PVOID) {
    // SAFETY: the driver's DPC.
    unsafe { initialize(dpc, routine, context, DpcObject) };
}

/// Makes a DPC that runs at PASSIVE_LEVEL on a thread. Source: DDI.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn KeInitializeThreadedDpc(
    dpc: *mut KDPC,
    routine: PKDEFERRED_ROUTINE,
    context: PVOID,
) {
    // SAFETY: the driver's DPC.
    unsafe { initialize(dpc, routine, context, ThreadedDpcObject) };
}

unsafe fn initialize(dpc: *mut KDPC, routine: PKDEFERRED_ROUTINE, context: PVOID, kind: u8) {
    let importance = u8::try_from(MediumImportance).unwrap_or(1);
    // SAFETY: the driver's DPC, by the callers' contract.
    unsafe {
        dpc.write(KDPC {
            Type: kind,
            Importance: importance,
            DeferredRoutine: routine,
            DeferredContext: context,
            ..KDPC::default()
        });
    }
}

/// Queues a DPC and says whether it was not queued already. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeInsertQueueDpc(dpc: *mut KDPC, argument1: PVOID, argument2: PVOID) -> u8 {
    let kernel = kernel();
    // SAFETY: the driver's DPC.
    let (kind, importance, number) = unsafe { ((*dpc).Type, (*dpc).Importance, (*dpc).Number) };
    let here = machine::pcr::Kpcr::current().number();
    let elsewhere = number >= TARGETED && u32::from(number - TARGETED) != here;
    let target = if kind == ThreadedDpcObject || u32::from(importance) == LowImportance || elsewhere {
        Target::Thread
    } else {
        Target::Processor(this_processor())
    };
    // SAFETY: the driver's DPC.
    let queued = unsafe {
        kernel.ke.dpcs.insert(dpc.expose_provenance(), [argument1, argument2], io::current_driver(), target)
    };
    if queued && target == Target::Thread {
        super::timer::wake_thread(kernel);
    } else if machine::irql::current() < Irql::DISPATCH {
        run_pending(kernel);
    }
    u8::from(queued)
}

/// Takes a DPC out of the queue and says whether it was there. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeRemoveQueueDpc(dpc: *mut KDPC) -> u8 {
    u8::from(kernel().ke.dpcs.remove(dpc.expose_provenance()))
}

/// Takes a DPC out of the queue, waits for it where it runs and that is asked for, and says whether it was queued.
#[export(irql <= APC, since = Win8)]
pub unsafe extern "win64" fn KeRemoveQueueDpcEx(dpc: *mut KDPC, wait: u8) -> u8 {
    let address = dpc.expose_provenance();
    let removed = kernel().ke.dpcs.remove(address);
    if wait != 0 {
        kernel().ke.dpcs.wait_until(|state| state.running.iter().any(|&(_, running)| running == address));
    }
    u8::from(removed)
}

/// Waits until every DPC that was queued so far has run. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn KeFlushQueuedDpcs() {
    let dpcs = &kernel().ke.dpcs;
    run_pending(kernel());
    let next = dpcs.lock().next;
    dpcs.wait_until(|state| {
        state.queue.iter().any(|queued| queued.number < next)
            || state.running.iter().any(|&(number, _)| number < next)
    });
}

/// Sets how soon a DPC is to run. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeSetImportanceDpc(dpc: *mut KDPC, importance: u32) {
    // SAFETY: the driver's DPC.
    unsafe { (*dpc).Importance = u8::try_from(importance).unwrap_or(1) };
}

/// Sets the processor that a DPC runs on. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeSetTargetProcessorDpc(dpc: *mut KDPC, number: i8) {
    // SAFETY: the driver's DPC.
    unsafe { (*dpc).Number = TARGETED + u16::from(number.cast_unsigned()) };
}

/// Sets the processor that a DPC runs on, by group and number. Source: DDI.
#[export(irql any, since = Win7)]
pub unsafe extern "win64" fn KeSetTargetProcessorDpcEx(
    dpc: *mut KDPC,
    processor: *const PROCESSOR_NUMBER,
) -> nt_abi::NTSTATUS {
    // SAFETY: the driver's structures.
    unsafe {
        if (*processor).Group != 0 || u32::from((*processor).Number) >= machine::processor::MAX_PROCESSORS {
            return nt_abi::STATUS_INVALID_PARAMETER;
        }
        (*dpc).Number = TARGETED + u16::from((*processor).Number);
    }
    nt_abi::STATUS_SUCCESS
}
