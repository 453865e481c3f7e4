//! Push locks of the filter manager: those of the executive, in a critical region.

use export_macro::export;
use nt_abi::EX_PUSH_LOCK;

use crate::ex::rundown;
use crate::ke::region::{KeEnterCriticalRegion, KeLeaveCriticalRegion};

/// Makes a push lock that nobody holds. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltInitializePushLock(lock: *mut EX_PUSH_LOCK) {
    // SAFETY: the driver's lock.
    unsafe { rundown::ExInitializePushLock(lock) };
}

/// Ends the use of a push lock. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltDeletePushLock(_lock: *mut EX_PUSH_LOCK) {}

/// Acquires a push lock exclusively, and disables normal kernel APCs. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltAcquirePushLockExclusive(lock: *mut EX_PUSH_LOCK) {
    // SAFETY: the driver's lock.
    unsafe {
        KeEnterCriticalRegion();
        rundown::ExAcquirePushLockExclusiveEx(lock, 0);
    }
}

/// Acquires a push lock shared, and disables normal kernel APCs. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltAcquirePushLockShared(lock: *mut EX_PUSH_LOCK) {
    // SAFETY: the driver's lock.
    unsafe {
        KeEnterCriticalRegion();
        rundown::ExAcquirePushLockSharedEx(lock, 0);
    }
}

/// Releases a push lock, however it is held, and enables normal kernel APCs again. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltReleasePushLock(lock: *mut EX_PUSH_LOCK) {
    // SAFETY: the driver's lock.
    unsafe {
        rundown::ExfReleasePushLock(lock);
        KeLeaveCriticalRegion();
    }
}

/// Acquires a push lock exclusively, as flags ask. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS", since = Win8)]
pub unsafe extern "win64" fn FltAcquirePushLockExclusiveEx(lock: *mut EX_PUSH_LOCK, _flags: u32) {
    // SAFETY: the driver's lock.
    unsafe { FltAcquirePushLockExclusive(lock) };
}

/// Acquires a push lock shared, as flags ask. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS", since = Win8)]
pub unsafe extern "win64" fn FltAcquirePushLockSharedEx(lock: *mut EX_PUSH_LOCK, _flags: u32) {
    // SAFETY: the driver's lock.
    unsafe { FltAcquirePushLockShared(lock) };
}

/// Releases a push lock, as flags ask. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS", since = Win8)]
pub unsafe extern "win64" fn FltReleasePushLockEx(lock: *mut EX_PUSH_LOCK, _flags: u32) {
    // SAFETY: the driver's lock.
    unsafe { FltReleasePushLock(lock) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::ke::region::ApcDisable;
    use crate::testing::with_kernel;

    #[test]
    fn a_held_push_lock_keeps_normal_apcs_away() {
        with_kernel(Config::default(), |_, _| {
            let mut lock = EX_PUSH_LOCK::default();
            let disabled = || ApcDisable::of(crate::ps::thread::current().unwrap()).kernel;
            // SAFETY: a lock that lives as long as it is used.
            unsafe {
                FltInitializePushLock(&mut lock);
                FltAcquirePushLockSharedEx(&mut lock, 0);
                FltAcquirePushLockShared(&mut lock);
                assert_eq!(disabled(), -2);
                FltReleasePushLock(&mut lock);
                FltReleasePushLockEx(&mut lock, 0);
                FltAcquirePushLockExclusive(&mut lock);
                FltReleasePushLock(&mut lock);
                assert_eq!(disabled(), 0);
                FltDeletePushLock(&mut lock);
            }
        });
    }
}
