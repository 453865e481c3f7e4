//! Remove locks: a device is not removed while its driver handles requests.

use std::sync::atomic::{AtomicI32, Ordering};

use export_macro::export;
use nt_abi::{IO_REMOVE_LOCK, NTSTATUS, STATUS_DELETE_PENDING, STATUS_SUCCESS};

use crate::ke::event::{KeInitializeEvent, KeSetEvent};
use crate::ke::wait::KeWaitForSingleObject;

/// # Safety
/// `lock` is a driver's lock.
unsafe fn count<'a>(lock: *mut IO_REMOVE_LOCK) -> &'a AtomicI32 {
    // SAFETY: by this function's contract.
    unsafe { AtomicI32::from_ptr(&raw mut (*lock).IoCount) }
}

/// Makes a remove lock. Source: DDI (IoInitializeRemoveLock).
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoInitializeRemoveLockEx(
    lock: *mut IO_REMOVE_LOCK,
    _tag: u32,
    _minutes: u32,
    _most: u32,
    _size: u32,
) {
    // SAFETY: a driver's memory for a lock of the free build, which is the part that both builds begin with.
    unsafe {
        (*lock).Removed = 0;
        count(lock).store(1, Ordering::Release);
        KeInitializeEvent(&raw mut (*lock).RemoveEvent, 1, 0);
    }
}

/// Takes a remove lock for a request, or says that the device goes away. Source: DDI (IoAcquireRemoveLock).
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoAcquireRemoveLockEx(
    lock: *mut IO_REMOVE_LOCK,
    _tag: *mut u8,
    _file: *const u8,
    _line: u32,
    _size: u32,
) -> NTSTATUS {
    // SAFETY: a driver's lock.
    unsafe {
        count(lock).fetch_add(1, Ordering::AcqRel);
        if (&raw const (*lock).Removed).read_volatile() == 0 {
            return STATUS_SUCCESS;
        }
        release(lock);
    }
    STATUS_DELETE_PENDING
}

/// # Safety
/// `lock` is a driver's lock, taken before.
unsafe fn release(lock: *mut IO_REMOVE_LOCK) {
    // SAFETY: by this function's contract.
    unsafe {
        if count(lock).fetch_sub(1, Ordering::AcqRel) == 1 {
            KeSetEvent(&raw mut (*lock).RemoveEvent, 0, 0);
        }
    }
}

/// Gives a remove lock back. Source: DDI (IoReleaseRemoveLock).
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoReleaseRemoveLockEx(lock: *mut IO_REMOVE_LOCK, _tag: *mut u8, _size: u32) {
    // SAFETY: a driver's lock.
    unsafe { release(lock) };
}

/// Gives a remove lock back for good, and waits for all who have it. Source: DDI (IoReleaseRemoveLockAndWait).
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoReleaseRemoveLockAndWaitEx(
    lock: *mut IO_REMOVE_LOCK,
    _tag: *mut u8,
    _size: u32,
) {
    // SAFETY: a driver's lock.
    unsafe {
        (&raw mut (*lock).Removed).write_volatile(1);
        release(lock);
        if count(lock).fetch_sub(1, Ordering::AcqRel) > 1 {
            KeWaitForSingleObject((&raw mut (*lock).RemoveEvent).cast(), 0, 0, 0, std::ptr::null());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    #[test]
    fn nobody_gets_the_lock_of_a_device_that_goes_away() {
        with_kernel(Config::default(), |_, _| {
            let mut lock = IO_REMOVE_LOCK::default();
            let (at, none) = (&raw mut lock, std::ptr::null_mut());
            // SAFETY: the lock lives during the calls.
            unsafe {
                IoInitializeRemoveLockEx(at, 0, 0, 0, 0x20);
                assert_eq!(IoAcquireRemoveLockEx(at, none, none, 0, 0x20), STATUS_SUCCESS);
                assert_eq!(IoAcquireRemoveLockEx(at, none, none, 0, 0x20), STATUS_SUCCESS);
                IoReleaseRemoveLockEx(at, none, 0x20);
                IoReleaseRemoveLockAndWaitEx(at, none, 0x20);
                assert_eq!(IoAcquireRemoveLockEx(at, none, none, 0, 0x20), STATUS_DELETE_PENDING);
                assert_eq!((*at).IoCount, 0);
            }
        });
    }
}
