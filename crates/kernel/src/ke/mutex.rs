//! Mutexes: owned by a thread, recursive, abandoned when it ends.

use export_macro::export;
use nt_abi::{CONTEXT, KMUTANT, MutantObject};

use super::dispatcher::{self, owner, state};
use crate::kernel;
use crate::ps::thread::current;

/// STATUS_MUTANT_NOT_OWNED.
const NOT_OWNED: u32 = 0xC000_0046;
/// STATUS_ABANDONED.
const ABANDONED: u32 = 0x80;

/// Makes a mutex that nobody owns. Its owner is in a critical region. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeInitializeMutex(mutex: *mut KMUTANT, _level: u32) {
    // SAFETY: the driver's mutex.
    unsafe {
        mutex.write(KMUTANT { ApcDisable: 1, ..KMUTANT::default() });
        dispatcher::initialize(&raw mut (*mutex).Header, MutantObject, size_of::<KMUTANT>(), 1);
    }
}

/// Makes a mutant: a mutex whose owner is in no critical region, owned by the current thread if that is asked for. Not
/// documented by Microsoft.
#[export(irql any)]
pub unsafe extern "win64" fn KeInitializeMutant(mutant: *mut KMUTANT, owned: u8) {
    // SAFETY: the driver's mutant.
    unsafe {
        mutant.write(KMUTANT::default());
        dispatcher::initialize(&raw mut (*mutant).Header, MutantObject, size_of::<KMUTANT>(), 1);
        if owned != 0 {
            let thread = current().map_or(0, |thread| std::ptr::from_ref(thread).expose_provenance());
            kernel().ke.dispatcher.lock().try_satisfy(&[mutant.expose_provenance()], false, thread);
        }
    }
}

/// Returns 1 when nobody owns a mutex, and less the more often it was acquired. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeReadStateMutex(mutex: *mut KMUTANT) -> i32 {
    // SAFETY: the driver's mutex.
    unsafe { state(mutex.expose_provenance()) }
}

/// Releases a mutex of the current thread and answers its old state; who does not own it gets the status to raise.
///
/// # Safety
/// `mutex` is a mutex.
pub(crate) unsafe fn release(mutex: *mut KMUTANT) -> Result<i32, u32> {
    let object = mutex.expose_provenance();
    let thread = current().map_or(0, |thread| std::ptr::from_ref(thread).expose_provenance());
    // SAFETY: by this function's contract.
    let (before, leaves_region) = unsafe {
        dispatcher::touch(object);
        let mut waiters = kernel().ke.dispatcher.lock();
        if owner(object) != thread || thread == 0 {
            return Err(if (*mutex).Abandoned != 0 { ABANDONED } else { NOT_OWNED });
        }
        let before = state(object);
        if before == 0 {
            waiters.release_mutant(object, thread, false);
        } else {
            dispatcher::set_state(object, before.saturating_add(1));
        }
        (before, before == 0 && (*mutex).ApcDisable != 0)
    };
    if leaves_region {
        super::region::leave_critical();
    }
    Ok(before)
}

extern "win64" fn release_mutex(mutex: u64, _wait: u64, _a3: u64, _a4: u64, caller: &mut CONTEXT) -> u64 {
    let mutex = std::ptr::with_exposed_provenance_mut(usize::try_from(mutex).unwrap_or(0));
    // SAFETY: the driver's mutex.
    match unsafe { release(mutex) } {
        Ok(before) => u64::from(before.cast_unsigned()),
        Err(status) => machine::seh::entry::raise_status(status, caller),
    }
}

machine::raising_entry! {
    /// Releases a mutex and returns its old state, 0 when it is free now; raises when the thread does not own it.
    /// Source: DDI.
    #[export(irql <= DISPATCH)]
    pub fn KeReleaseMutex => release_mutex
}
