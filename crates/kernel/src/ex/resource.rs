//! Executive resources: reader-writer locks that threads own, recursively.
//!
//! Who owns a resource is written down here, by its address; the fields that drivers and debuggers look at are kept
//! true in the driver's memory.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::StopKind;
use export_macro::export;
use machine::Irql;
use nt_abi::{ERESOURCE, LIST_ENTRY, NTSTATUS, OWNER_ENTRY, ResourceOwnedExclusive, STATUS_SUCCESS};

use crate::hash::HashMap;
use crate::ke::blocked::{Lock, On, falls_asleep};
use crate::ke::lock_order::{self, Kind};
use crate::ke::{self, region};
use crate::kernel;
use crate::ps::thread::current;

/// RESOURCE_NOT_OWNED.
const NOT_OWNED: u32 = 0xE3;

/// Who owns a resource, and who waits for it.
#[derive(Debug, Default)]
struct Resource {
    exclusive: bool,
    /// Threads, and how often each has acquired it.
    owners: HashMap<usize, u32>,
    exclusive_waiters: u32,
    shared_waiters: u32,
    /// Changes when somebody may get it.
    word: Arc<AtomicU32>,
}

/// Every resource that was initialized.
#[derive(Debug, Default)]
pub(crate) struct Resources(Mutex<HashMap<usize, Resource>>);

impl Resources {
    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Resource>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The threads that own a resource, in order of their addresses.
    pub(crate) fn owners(&self, address: usize) -> Vec<usize> {
        let all = self.lock();
        let mut owners: Vec<_> =
            all.get(&address).into_iter().flat_map(|state| state.owners.keys().copied()).collect();
        owners.sort_unstable();
        owners
    }

    /// Forgets a resource that lies in a range of memory, which is about to be freed.
    pub(super) fn forget_within(&self, range: &std::ops::Range<usize>) -> Option<usize> {
        let mut all = self.lock();
        let at = all.keys().copied().find(|at| range.contains(at))?;
        all.remove(&at);
        Some(at)
    }
}

/// How a resource is acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Exclusive,
    /// Behind those who wait for it exclusively.
    Shared,
    /// Before those who wait for it exclusively.
    SharedStarveExclusive,
    /// Behind those who wait for it exclusively, also when the thread has it shared.
    SharedWaitForExclusive,
}

impl Resource {
    fn allows(&self, mode: Mode, thread: usize) -> bool {
        let mine = self.owners.contains_key(&thread);
        if self.owners.is_empty() {
            return mode != Mode::SharedWaitForExclusive || self.exclusive_waiters == 0;
        }
        match mode {
            Mode::Exclusive => self.exclusive && mine,
            _ if self.exclusive => mine,
            Mode::SharedStarveExclusive => true,
            Mode::Shared => mine || self.exclusive_waiters == 0,
            Mode::SharedWaitForExclusive => self.exclusive_waiters == 0,
        }
    }

    fn take(&mut self, mode: Mode, thread: usize) {
        if self.owners.is_empty() {
            self.exclusive = mode == Mode::Exclusive;
        }
        *self.owners.entry(thread).or_default() += 1;
    }

    /// Makes the driver's structure say what is true.
    ///
    /// # Safety
    /// `at` is the resource.
    unsafe fn show(&self, at: *mut ERESOURCE) {
        let entries = u32::try_from(self.owners.len()).unwrap_or(u32::MAX);
        // SAFETY: by this function's contract.
        unsafe {
            (*at).ActiveCount = i16::try_from(entries).unwrap_or(i16::MAX);
            (*at).ActiveEntries = entries;
            (*at).NumberOfExclusiveWaiters = self.exclusive_waiters;
            (*at).NumberOfSharedWaiters = self.shared_waiters;
            let exclusive = self.exclusive && entries != 0;
            let flag = (*at).Flag & !ResourceOwnedExclusive;
            (*at).Flag = if exclusive { flag | ResourceOwnedExclusive } else { flag };
            (*at).OwnerEntry = match self.owners.iter().next() {
                Some((&OwnerThread, &OwnerCount)) if exclusive => OWNER_ENTRY { OwnerThread, OwnerCount },
                _ => OWNER_ENTRY::default(),
            };
        }
    }

    fn wake(&self) {
        self.word.fetch_add(1, Ordering::Release);
        machine::platform().wake(&self.word, u32::MAX);
    }
}

fn me() -> usize {
    current().map_or(0, |thread| std::ptr::from_ref(thread).expose_provenance())
}

/// L-12: between acquiring and releasing, no normal kernel APC may run: it could suspend the owner.
fn check_apcs(code: u64, verb: &str, resource: *mut ERESOURCE) {
    let Some(thread) = current() else { return };
    let apcs = region::ApcDisable::of(thread);
    let irql = machine::irql::current();
    if apcs.kernel == 0 && apcs.special == 0 && irql < Irql::APC {
        let message = format!(
            "the resource at {resource:p} was {verb} with normal kernel APCs enabled; call KeEnterCriticalRegion before it is \
             acquired and KeLeaveCriticalRegion after it is released"
        );
        let parameters = [code, irql.level().into(), apcs.combined(), resource.addr() as u64];
        kernel().finding(&crate::rule::L_12, &message, Some((ke::irql::VERIFIER, parameters)));
    }
}

/// Acquires a resource for the current thread; `false` when that needs waiting and `wait` is not set.
///
/// # Safety
/// `resource` is a driver's resource.
unsafe fn acquire(resource: *mut ERESOURCE, mode: Mode, wait: bool) -> bool {
    check_apcs(0x37, "acquired", resource);
    let shared = mode != Mode::Exclusive;
    if wait {
        lock_order::acquiring(resource.addr(), Kind::Resource, shared);
    }
    // SAFETY: by this function's contract.
    let got = unsafe { wait_for(resource, mode, wait) };
    if got {
        lock_order::acquired(resource.addr(), Kind::Resource, shared);
    }
    got
}

/// The acquisition itself.
///
/// # Safety
/// As for [`acquire`].
unsafe fn wait_for(resource: *mut ERESOURCE, mode: Mode, wait: bool) -> bool {
    // SAFETY: by this function's contract: it faults here and not under the lock.
    unsafe { (&raw const (*resource).Flag).read_volatile() };
    let thread = me();
    let address = resource.expose_provenance();
    let mut waiting = false;
    loop {
        let (word, seen) = {
            let mut resources = kernel().ex.resources.lock();
            let state = resources.entry(address).or_default();
            if waiting {
                state.count_waiter(mode, -1);
            }
            if state.allows(mode, thread) {
                state.take(mode, thread);
                // SAFETY: by this function's contract.
                unsafe { state.show(resource) };
                return true;
            }
            if !wait {
                return false;
            }
            if mode == Mode::Exclusive && state.owners.contains_key(&thread) {
                drop(resources);
                let message = format!(
                    "the resource at {resource:p} was acquired exclusively by a thread that has it shared, which waits for itself \
                     for ever; release it first"
                );
                ke::stop::without_bug_check(StopKind::Hang, &message);
            }
            state.count_waiter(mode, 1);
            // SAFETY: by this function's contract.
            unsafe {
                if !waiting {
                    (*resource).ContentionCount = (*resource).ContentionCount.wrapping_add(1);
                }
                state.show(resource);
            }
            waiting = true;
            (state.word.clone(), state.word.load(Ordering::Acquire))
        };
        let _asleep = falls_asleep(On::Lock(Lock::Resource(address)), true);
        machine::platform().block(&word, seen, None);
    }
}

impl Resource {
    fn count_waiter(&mut self, mode: Mode, by: i32) {
        let count =
            if mode == Mode::Exclusive { &mut self.exclusive_waiters } else { &mut self.shared_waiters };
        *count = count.saturating_add_signed(by);
    }
}

/// Releases a resource for a thread.
///
/// # Safety
/// `resource` is a driver's resource.
unsafe fn release(resource: *mut ERESOURCE, thread: usize) {
    check_apcs(0x38, "released", resource);
    lock_order::released(resource.addr());
    // SAFETY: by this function's contract: it faults here and not under the lock.
    unsafe { (&raw const (*resource).Flag).read_volatile() };
    let mut resources = kernel().ex.resources.lock();
    let state = resources.get_mut(&resource.expose_provenance());
    let Some((state, count)) =
        state.and_then(|state| state.owners.get(&thread).copied().map(|count| (state, count)))
    else {
        drop(resources);
        machine::bug_check(NOT_OWNED, resource.addr() as u64, thread as u64, 0, 1);
    };
    if count > 1 {
        state.owners.insert(thread, count - 1);
    } else {
        state.owners.remove(&thread);
        state.wake();
    }
    // SAFETY: by this function's contract.
    unsafe { state.show(resource) };
}

/// Makes a resource that nobody owns. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExInitializeResourceLite(resource: *mut ERESOURCE) -> NTSTATUS {
    kernel().ke.lock_order.forget(&(resource.addr()..resource.addr() + 1));
    // SAFETY: the driver's structure.
    unsafe {
        let head = &raw mut (*resource).SystemResourcesList;
        resource.write(ERESOURCE {
            SystemResourcesList: LIST_ENTRY { Flink: head, Blink: head },
            ..ERESOURCE::default()
        });
    }
    kernel().ex.resources.lock().insert(resource.expose_provenance(), Resource::default());
    STATUS_SUCCESS
}

/// Makes a resource free again, whoever owned it. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExReinitializeResourceLite(resource: *mut ERESOURCE) -> NTSTATUS {
    // SAFETY: passed on from the driver's call.
    unsafe { ExInitializeResourceLite(resource) }
}

/// Gives up a resource, which nobody may own any more. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ExDeleteResourceLite(resource: *mut ERESOURCE) -> NTSTATUS {
    let gone = kernel().ex.resources.lock().remove(&resource.expose_provenance());
    if let Some(owners) = gone.map(|gone| gone.owners.len()).filter(|&owners| owners != 0) {
        let message = format!(
            "the resource at {resource:p} was deleted while {owners} thread(s) own it; release it first"
        );
        kernel().finding(&crate::rule::L_12, &message, None);
    }
    STATUS_SUCCESS
}

/// Acquires a resource exclusively, and says whether it did; waits if that is asked for. Source: DDI; L-12.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ExAcquireResourceExclusiveLite(resource: *mut ERESOURCE, wait: u8) -> u8 {
    // SAFETY: the driver's resource.
    u8::from(unsafe { acquire(resource, Mode::Exclusive, wait != 0) })
}

/// Acquires a resource shared, and says whether it did; waits if that is asked for. Source: DDI; L-12.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ExAcquireResourceSharedLite(resource: *mut ERESOURCE, wait: u8) -> u8 {
    // SAFETY: the driver's resource.
    u8::from(unsafe { acquire(resource, Mode::Shared, wait != 0) })
}

/// Acquires a resource shared, before those who wait for it exclusively. Source: DDI; L-12.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ExAcquireSharedStarveExclusive(resource: *mut ERESOURCE, wait: u8) -> u8 {
    // SAFETY: the driver's resource.
    u8::from(unsafe { acquire(resource, Mode::SharedStarveExclusive, wait != 0) })
}

/// Acquires a resource shared, after those who wait for it exclusively. Source: DDI; L-12.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ExAcquireSharedWaitForExclusive(resource: *mut ERESOURCE, wait: u8) -> u8 {
    // SAFETY: the driver's resource.
    u8::from(unsafe { acquire(resource, Mode::SharedWaitForExclusive, wait != 0) })
}

/// Releases a resource of the current thread. Source: DDI; bug check 0xE3.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExReleaseResourceLite(resource: *mut ERESOURCE) {
    // SAFETY: the driver's resource.
    unsafe { release(resource, me()) };
}

/// Releases a resource of a thread. Source: DDI; bug check 0xE3.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExReleaseResourceForThreadLite(resource: *mut ERESOURCE, thread: usize) {
    // SAFETY: the driver's resource.
    unsafe { release(resource, thread) };
}

/// Lets others share a resource that the current thread owns exclusively. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExConvertExclusiveToSharedLite(resource: *mut ERESOURCE) {
    let mut resources = kernel().ex.resources.lock();
    let Some(state) = resources.get_mut(&resource.expose_provenance()).filter(|state| state.exclusive) else {
        drop(resources);
        machine::bug_check(NOT_OWNED, resource.addr() as u64, me() as u64, 0, 1);
    };
    state.exclusive = false;
    state.wake();
    // SAFETY: the driver's resource, which has been initialized.
    unsafe { state.show(resource) };
}

fn look(resource: *mut ERESOURCE) -> (bool, u32) {
    let resources = kernel().ex.resources.lock();
    let state = resources.get(&resource.expose_provenance());
    state.map_or((false, 0), |state| (state.exclusive, state.owners.get(&me()).copied().unwrap_or(0)))
}

/// Says whether the current thread owns a resource exclusively. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExIsResourceAcquiredExclusiveLite(resource: *mut ERESOURCE) -> u8 {
    let (exclusive, count) = look(resource);
    u8::from(exclusive && count != 0)
}

/// Returns how often the current thread has acquired a resource, either way. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExIsResourceAcquiredSharedLite(resource: *mut ERESOURCE) -> u32 {
    look(resource).1
}

/// Returns how many threads wait to own a resource exclusively. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExGetExclusiveWaiterCount(resource: *mut ERESOURCE) -> u32 {
    kernel().ex.resources.lock().get(&resource.expose_provenance()).map_or(0, |state| state.exclusive_waiters)
}

/// Returns how many threads wait to share a resource. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExGetSharedWaiterCount(resource: *mut ERESOURCE) -> u32 {
    kernel().ex.resources.lock().get(&resource.expose_provenance()).map_or(0, |state| state.shared_waiters)
}

/// Enters a critical region, acquires a resource exclusively, and returns a value for the system. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn ExEnterCriticalRegionAndAcquireResourceExclusive(
    resource: *mut ERESOURCE,
) -> *mut u8 {
    region::enter_critical();
    // SAFETY: the driver's resource.
    unsafe { acquire(resource, Mode::Exclusive, true) };
    std::ptr::null_mut()
}

/// Enters a critical region, acquires a resource shared, and returns a value for the system. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn ExEnterCriticalRegionAndAcquireResourceShared(
    resource: *mut ERESOURCE,
) -> *mut u8 {
    region::enter_critical();
    // SAFETY: the driver's resource.
    unsafe { acquire(resource, Mode::Shared, true) };
    std::ptr::null_mut()
}

/// Enters a critical region and acquires a resource shared, after those who wait for it exclusively. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn ExEnterCriticalRegionAndAcquireSharedWaitForExclusive(
    resource: *mut ERESOURCE,
) -> *mut u8 {
    region::enter_critical();
    // SAFETY: the driver's resource.
    unsafe { acquire(resource, Mode::SharedWaitForExclusive, true) };
    std::ptr::null_mut()
}

/// Releases a resource and leaves the critical region. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn ExReleaseResourceAndLeaveCriticalRegion(resource: *mut ERESOURCE) {
    // SAFETY: the driver's resource.
    unsafe { release(resource, me()) };
    region::leave_critical();
}
