//! Thread notices: [`ThreadNotify`], [`ThreadHandler`], [`ThreadCreated`], [`ThreadExited`].

use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use crate::abi::{Handle, ThreadRoutine};
use crate::routine::{SLOTS, Shared, Slots};
use crate::{NtStatus, Pid, Tid, dbg_error, nt};

/// What is told of threads. Called at PASSIVE_LEVEL or APC_LEVEL, from any number of threads at once.
///
/// A handler must not drop the guard it is registered through: the removal would wait for this very
/// call, for ever.
pub trait ThreadHandler: Send + Sync + 'static {
    /// A thread was created; runs in the thread that creates it.
    fn created(&self, notice: &ThreadCreated<'_>);

    /// A thread ends; runs in that thread.
    fn exited(&self, notice: &ThreadExited<'_>);
}

/// A thread was created.
pub struct ThreadCreated<'call> {
    pid: Pid,
    tid: Tid,
    call: PhantomData<&'call *const ()>,
}

/// A thread ends.
pub struct ThreadExited<'call> {
    pid: Pid,
    tid: Tid,
    call: PhantomData<&'call *const ()>,
}

macro_rules! ids {
    ($notice:ident) => {
        impl $notice<'_> {
            /// The process that the thread belongs to.
            #[must_use]
            pub fn pid(&self) -> Pid {
                self.pid
            }

            /// The thread.
            #[must_use]
            pub fn tid(&self) -> Tid {
                self.tid
            }
        }
    };
}

ids!(ThreadCreated);
ids!(ThreadExited);

static HANDLERS: Slots<dyn ThreadHandler> = Slots::new();
static ROUTINES: [ThreadRoutine; SLOTS] = [routine::<0>, routine::<1>, routine::<2>, routine::<3>];

/// Leads a call of NT to the handler of its slot.
///
/// # Safety
/// Called by NT under the contract of `PCREATE_THREAD_NOTIFY_ROUTINE`.
unsafe extern "system" fn routine<const SLOT: usize>(pid: Handle, tid: Handle, create: u8) {
    // SAFETY: this is the routine of that slot, and the borrow ends with it.
    let Some(handler) = (unsafe { HANDLERS.handler(SLOT) }) else { return };
    let (pid, tid) = (Pid::from_handle(pid), Tid::from_handle(tid));
    if create == 0 {
        handler.exited(&ThreadExited { pid, tid, call: PhantomData });
    } else {
        handler.created(&ThreadCreated { pid, tid, call: PhantomData });
    }
}

/// Keeps a handler registered for thread notices. Dropping it removes the routine, waits for the calls
/// that are under way, and then drops the handler.
#[must_use = "dropping it removes the routine"]
pub struct ThreadNotify<P: Shared<Target: ThreadHandler>> {
    slot: usize,
    handler: ManuallyDrop<P>,
}

impl<P: Shared<Target: ThreadHandler>> ThreadNotify<P> {
    /// Registers (`PsSetCreateThreadNotifyRoutine`). The handler may be called before this returns.
    ///
    /// IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    /// STATUS_INSUFFICIENT_RESOURCES if NT's table is full, or if this driver has four such guards
    /// already.
    pub fn register(handler: P) -> Result<Self, NtStatus> {
        let target: &dyn ThreadHandler = &*handler;
        let slot = HANDLERS.take(NonNull::from(target))?;
        // SAFETY: the routine lives as long as the driver, its slot is filled, and the guard (or
        // `remove_all`) removes it before the driver goes.
        let status = NtStatus::from_raw(unsafe { nt::PsSetCreateThreadNotifyRoutine(ROUTINES[slot]) });
        if let Err(status) = status.ok() {
            // SAFETY: taken above, and not registered.
            unsafe { HANDLERS.release(slot) };
            return Err(status);
        }
        Ok(Self { slot, handler: ManuallyDrop::new(handler) })
    }
}

impl<P: Shared<Target: ThreadHandler>> Drop for ThreadNotify<P> {
    fn drop(&mut self) {
        if remove(self.slot) {
            // SAFETY: the routine is gone, so nobody uses the handler; it is dropped this once.
            unsafe { ManuallyDrop::drop(&mut self.handler) };
        }
    }
}

/// As for processes: if NT refuses, routine, slot and handler stay.
fn remove(slot: usize) -> bool {
    // SAFETY: IRQL ≤ APC_LEVEL and not inside this very routine, by the contract of the guard.
    let status = NtStatus::from_raw(unsafe { nt::PsRemoveCreateThreadNotifyRoutine(ROUTINES[slot]) });
    if status.is_success() {
        // SAFETY: the slot was taken by the guard that is going, and its routine is gone.
        unsafe { HANDLERS.release(slot) };
    } else {
        dbg_error!("driver-kit: a thread routine could not be removed: {status}");
    }
    status.is_success()
}

/// Removes what leaked guards (`mem::forget`) left registered.
pub(crate) fn remove_all() {
    for slot in (0..SLOTS).filter(|&slot| HANDLERS.is_taken(slot)) {
        remove(slot);
    }
}
