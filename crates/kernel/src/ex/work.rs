//! Work items: routines that a system worker thread runs at PASSIVE_LEVEL.
//!
//! Workers are started when an item finds none that is free, as NT adds workers when the others are blocked, and end
//! when they have had nothing to do for a while.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::{DriverId, Level};
use export_macro::export;
use nt_abi::{
    DEVICE_OBJECT, PIO_WORKITEM_ROUTINE, PIO_WORKITEM_ROUTINE_EX, PVOID, PWORKER_THREAD_ROUTINE,
    WORK_QUEUE_ITEM,
};

use super::pool::{Allocation, Kind, Tag};
use crate::io::driver::as_driver;
use crate::ke::apc::address_of;
use crate::{Kernel, io, kernel};

/// Workers at most: the rest of a machine's processors is for drivers' own threads.
const MOST: u32 = 16;
/// How long a worker waits for something to do before it ends.
const IDLE: Duration = Duration::from_millis(200);
/// WORKER_INVALID.
const WORKER_INVALID: u32 = 0xE4;

/// A call that a worker has to make.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// The structure that was queued.
    at: usize,
    owner: Option<DriverId>,
    routine: usize,
    arguments: [u64; 3],
    /// The device that is kept referenced as long as the item is queued.
    device: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Item>,
    workers: u32,
    idle: u32,
}

/// The work queues of a kernel: one queue, as nothing here is scheduled by priority.
#[derive(Debug, Default)]
pub(crate) struct Work {
    state: Mutex<State>,
    /// Changes with each item that is queued.
    word: AtomicU32,
}

impl Work {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses of work items that a driver queued, or whose routine lies in its image.
    pub(crate) fn pending_of(&self, driver: DriverId, image: &std::ops::Range<usize>) -> Vec<(usize, usize)> {
        let of = |item: &&Item| item.owner == Some(driver) || image.contains(&item.routine);
        self.lock().queue.iter().filter(of).map(|item| (item.at, item.routine)).collect()
    }

    fn is_queued(&self, at: usize) -> bool {
        self.lock().queue.iter().any(|item| item.at == at)
    }
}

fn queue(kernel: &'static Kernel, item: Item) {
    crate::rule::call::work_queued();
    let work = &kernel.ex.work;
    let start = {
        let mut state = work.lock();
        state.queue.push_back(item);
        let start = u32::try_from(state.queue.len()).is_ok_and(|waiting| waiting > state.idle)
            && state.workers < MOST;
        if start {
            state.workers += 1;
        }
        start
    };
    work.word.fetch_add(1, Ordering::Release);
    machine::platform().wake(&work.word, 1);
    if start
        && let Err(error) = machine::platform().spawn("callboard work", 0, Box::new(move || worker(kernel)))
    {
        work.lock().workers -= 1;
        kernel.note(Level::Warning, &format!("work items run late or not at all: {error}"));
    }
}

fn worker(kernel: &'static Kernel) {
    let work = &kernel.ex.work;
    let processor = match machine::Processor::attach() {
        Ok(processor) => processor,
        Err(error) => {
            work.lock().workers -= 1;
            kernel.note(Level::Warning, &format!("work items run late or not at all: {error}"));
            return;
        }
    };
    kernel.adopt_this_thread();
    while let Some(item) = next(work) {
        run(kernel, item);
    }
    crate::ps::system_thread::leave(kernel);
    drop(processor);
}

/// The next item; `None` when there was none for a while, and the worker is counted out.
fn next(work: &Work) -> Option<Item> {
    let mut state = work.lock();
    state.idle += 1;
    let mut waited = false;
    loop {
        if let Some(item) = state.queue.pop_front() {
            state.idle -= 1;
            return Some(item);
        }
        if waited {
            state.idle -= 1;
            state.workers -= 1;
            return None;
        }
        let word = work.word.load(Ordering::Acquire);
        drop(state);
        let outcome = machine::platform().block(&work.word, word, Some(IDLE));
        waited = outcome == machine::platform::BlockOutcome::TimedOut;
        state = work.lock();
    }
}

fn run(kernel: &Kernel, item: Item) {
    as_driver(item.owner, item.routine as u64, || {
        let [first, second, third] = item.arguments;
        // SAFETY: the driver's routine with its arguments.
        unsafe { machine::call3(item.routine, first, second, third) };
    });
    crate::dbg::flush_line();
    let irql = machine::irql::current();
    let apcs = crate::ps::thread::current().map(crate::ke::region::ApcDisable::of);
    if irql != machine::Irql::PASSIVE || apcs.is_some_and(|apcs| apcs.kernel != 0 || apcs.special != 0) {
        let combined = apcs.map_or(0, crate::ke::region::ApcDisable::combined);
        let message = format!(
            "a work item's routine returned at {irql} with APC-disable counts {combined:#x}; undo what it did to them"
        );
        let check = (0xE1, [item.routine as u64, irql.level().into(), 0, item.at as u64]);
        kernel.finding_of(item.owner, &crate::rule::L_13, &message, Some(check));
        machine::irql::set(machine::Irql::PASSIVE);
        if let Some(thread) = crate::ps::thread::current() {
            crate::ke::region::ApcDisable { kernel: 0, special: 0 }.restore(thread);
        }
    }
    if item.device != 0 {
        let device = std::ptr::with_exposed_provenance::<DEVICE_OBJECT>(item.device);
        // SAFETY: the reference that was taken when the item was queued.
        unsafe { crate::ob::dereference(device) };
    }
}

fn owner_of(routine: usize) -> Option<DriverId> {
    kernel().io.driver_at(routine).map(|driver| driver.id).or_else(io::current_driver)
}

/// Queues a work item of the driver's own memory. Source: DDI; bug check 0xE4.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExQueueWorkItem(item: *mut WORK_QUEUE_ITEM, _queue: u32) {
    // SAFETY: the driver's structure.
    let (routine, parameter) = unsafe { (address_of!((*item).WorkerRoutine), (*item).Parameter) };
    let at = item.expose_provenance();
    if routine == 0 || kernel().ex.work.is_queued(at) {
        machine::bug_check(WORKER_INVALID, 1, at as u64, routine as u64, 0);
    }
    let arguments = [parameter.expose_provenance() as u64, 0, 0];
    queue(kernel(), Item { at, owner: owner_of(routine), routine, arguments, device: 0 });
}

/// Fills in a work item of the driver's own memory. Source: DDI; a macro in the headers.
#[export(irql any)]
pub unsafe extern "win64" fn ExInitializeWorkItem(
    item: *mut WORK_QUEUE_ITEM,
    routine: PWORKER_THREAD_ROUTINE,
    context: PVOID,
) {
    // SAFETY: the driver's structure.
    unsafe {
        item.write(WORK_QUEUE_ITEM {
            WorkerRoutine: routine,
            Parameter: context,
            ..WORK_QUEUE_ITEM::default()
        })
    };
}

/// `IO_WORKITEM`, which drivers know the size of by IoSizeofWorkItem only.
#[repr(C)]
struct IoWorkItem {
    item: WORK_QUEUE_ITEM,
    /// The device or driver object it belongs to.
    object: PVOID,
}

/// The pool tag of work items that IoAllocateWorkItem makes.
const TAG: Tag = Tag(u32::from_le_bytes(*b"IoWi"));

/// Allocates a work item for a device or driver object. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoAllocateWorkItem(object: PVOID) -> *mut u8 {
    let what = Allocation {
        size: size_of::<IoWorkItem>(),
        tag: TAG,
        kind: Kind::NonPaged,
        owner: io::current_driver(),
    };
    let Some(memory) = crate::ex::allocate(what, true) else { return std::ptr::null_mut() };
    // SAFETY: just allocated with that size.
    unsafe { IoInitializeWorkItem(object, memory.as_ptr()) };
    memory.as_ptr()
}

/// Frees a work item. Its own routine may do that. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoFreeWorkItem(item: *mut u8) {
    check_not_queued(item, "IoFreeWorkItem");
    if kernel().ex.pool.free(item.expose_provenance(), TAG).is_err() {
        machine::bug_check(0xC2, 0x46, item.addr() as u64, 0, 0);
    }
}

fn check_not_queued(item: *mut u8, routine: &str) {
    if kernel().ex.work.is_queued(item.addr()) {
        let message =
            format!("{routine} was called for a work item that is queued; let its routine run first");
        kernel().finding(&crate::rule::L_18, &message, None);
    }
}

/// Returns the size of a work item for IoInitializeWorkItem. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn IoSizeofWorkItem() -> u32 {
    u32::try_from(size_of::<IoWorkItem>()).unwrap_or(u32::MAX)
}

/// Makes a work item in the driver's own memory. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn IoInitializeWorkItem(object: PVOID, item: *mut u8) {
    // SAFETY: the driver's memory, as large as IoSizeofWorkItem says.
    unsafe {
        item.cast::<IoWorkItem>().write_unaligned(IoWorkItem { item: WORK_QUEUE_ITEM::default(), object })
    };
}

/// Gives up a work item that IoInitializeWorkItem made. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn IoUninitializeWorkItem(item: *mut u8) {
    check_not_queued(item, "IoUninitializeWorkItem");
}

/// Queues a work item of IoAllocateWorkItem or IoInitializeWorkItem.
///
/// # Safety
/// `item` is one.
unsafe fn queue_io(item: *mut u8, routine: usize, arguments: [u64; 3]) {
    let at = item.expose_provenance();
    if routine == 0 || kernel().ex.work.is_queued(at) {
        machine::bug_check(WORKER_INVALID, 1, at as u64, routine as u64, 0);
    }
    // SAFETY: by this function's contract.
    let object = unsafe { (*item.cast::<IoWorkItem>()).object };
    // SAFETY: a device or driver object of the driver's: objects of ours.
    let is_object = unsafe { crate::ob::type_of(object) }.is_some();
    if is_object {
        // SAFETY: as above; given up when the routine has run.
        unsafe { crate::ob::object::reference(object) };
    }
    let device = if is_object { object.expose_provenance() } else { 0 };
    queue(kernel(), Item { at, owner: owner_of(routine), routine, arguments, device });
}

/// Queues a work item: its routine gets the object and the context. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoQueueWorkItem(
    item: *mut u8,
    routine: PIO_WORKITEM_ROUTINE,
    _queue: u32,
    context: PVOID,
) {
    // SAFETY: the driver's work item.
    unsafe {
        let object = (*item.cast::<IoWorkItem>()).object;
        queue_io(
            item,
            address_of!(routine),
            [object.expose_provenance() as u64, context.expose_provenance() as u64, 0],
        );
    }
}

/// Queues a work item: its routine gets the object, the context and the work item. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn IoQueueWorkItemEx(
    item: *mut u8,
    routine: PIO_WORKITEM_ROUTINE_EX,
    _queue: u32,
    context: PVOID,
) {
    // SAFETY: the driver's work item.
    unsafe {
        let object = (*item.cast::<IoWorkItem>()).object.expose_provenance() as u64;
        let arguments = [object, context.expose_provenance() as u64, item.expose_provenance() as u64];
        queue_io(item, address_of!(routine), arguments);
    }
}

#[cfg(test)]
mod tests {
    use nt_abi::{KEVENT, STATUS_SUCCESS};

    use super::*;
    use crate::Config;
    use crate::ke::event::{KeInitializeEvent, KeSetEvent};
    use crate::ke::wait::KeWaitForSingleObject;
    use crate::testing::with_kernel;

    unsafe extern "win64" fn sets(event: PVOID) {
        assert_eq!(machine::irql::current(), machine::Irql::PASSIVE);
        // SAFETY: the event of the test.
        unsafe { KeSetEvent(event.cast(), 0, 0) };
    }

    unsafe extern "win64" fn waits_and_frees(_object: PVOID, events: PVOID, item: *mut nt_abi::IO_WORKITEM) {
        let events = events.cast::<KEVENT>();
        // SAFETY: the two events and the item of the test.
        unsafe {
            IoFreeWorkItem(item.cast());
            KeWaitForSingleObject(events.cast(), 0, 0, 0, std::ptr::null());
            KeSetEvent(events.add(1), 0, 0);
        }
    }

    #[test]
    fn items_run_on_workers_also_when_one_of_them_blocks() {
        with_kernel(Config::default(), |kernel, records| {
            let events: &'static mut [KEVENT; 2] = Box::leak(Box::default());
            let events = events.as_mut_ptr();
            let item: *mut WORK_QUEUE_ITEM = Box::leak(Box::default());
            // SAFETY: memory of the test, initialized here.
            unsafe {
                KeInitializeEvent(events, 0, 0);
                KeInitializeEvent(events.add(1), 0, 0);
                let blocks = IoAllocateWorkItem(std::ptr::null_mut());
                IoQueueWorkItemEx(blocks, Some(waits_and_frees), 1, events.cast());
                ExInitializeWorkItem(item, Some(sets), events.cast());
                ExQueueWorkItem(item, 1);
                let status = KeWaitForSingleObject(events.add(1).cast(), 0, 0, 0, std::ptr::null());
                assert_eq!(status, STATUS_SUCCESS);
            }
            assert!(kernel.ex.work.lock().queue.is_empty());
            assert!(records.findings().is_empty());
        });
    }
}
