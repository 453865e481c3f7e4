//! Cache-aware rundown protection: on NT one counter for each processor, here one for all.

use export_macro::export;
use nt_abi::EX_RUNDOWN_REF;

use super::pool::{Allocation, Kind, Tag};
use super::rundown::{
    ExAcquireRundownProtectionEx, ExInitializeRundownProtection, ExReInitializeRundownProtection,
    ExReleaseRundownProtectionEx, ExRundownCompleted, ExWaitForRundownProtectionRelease,
};
use crate::io;

/// What drivers reserve for one.
const SIZE: usize = 64;

/// Allocates rundown protection. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn ExAllocateCacheAwareRundownProtection(
    _pool: u32,
    tag: u32,
) -> *mut EX_RUNDOWN_REF {
    let what = Allocation { size: SIZE, tag: Tag(tag), kind: Kind::NonPaged, owner: io::current_driver() };
    crate::ex::allocate(what, true).map_or(std::ptr::null_mut(), |memory| memory.as_ptr().cast())
}

/// Frees rundown protection. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn ExFreeCacheAwareRundownProtection(protection: *mut EX_RUNDOWN_REF) {
    // SAFETY: the pool's memory.
    unsafe { super::pool_routines::ExFreePool(protection.expose_provenance()) };
}

/// Returns the size of rundown protection in a driver's own memory. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn ExSizeOfRundownProtectionCacheAware() -> usize {
    SIZE
}

/// Makes rundown protection in a driver's own memory. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn ExInitializeRundownProtectionCacheAware(
    protection: *mut EX_RUNDOWN_REF,
    _size: usize,
) {
    // SAFETY: the driver's structure.
    unsafe { ExInitializeRundownProtection(protection) };
}

/// Makes rundown protection that was run down usable again. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn ExReInitializeRundownProtectionCacheAware(protection: *mut EX_RUNDOWN_REF) {
    // SAFETY: the driver's structure.
    unsafe { ExReInitializeRundownProtection(protection) };
}

/// Protects an object from going away, and says whether that was still possible. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn ExAcquireRundownProtectionCacheAware(protection: *mut EX_RUNDOWN_REF) -> u8 {
    // SAFETY: the driver's structure.
    unsafe { ExAcquireRundownProtectionEx(protection, 1) }
}

/// Protects an object several times, and says whether that was still possible. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn ExAcquireRundownProtectionCacheAwareEx(
    protection: *mut EX_RUNDOWN_REF,
    count: u32,
) -> u8 {
    // SAFETY: the driver's structure.
    unsafe { ExAcquireRundownProtectionEx(protection, count) }
}

/// Gives up the protection of an object. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn ExReleaseRundownProtectionCacheAware(protection: *mut EX_RUNDOWN_REF) {
    // SAFETY: the driver's structure.
    unsafe { ExReleaseRundownProtectionEx(protection, 1) };
}

/// Gives up several protections of an object. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn ExReleaseRundownProtectionCacheAwareEx(
    protection: *mut EX_RUNDOWN_REF,
    count: u32,
) {
    // SAFETY: the driver's structure.
    unsafe { ExReleaseRundownProtectionEx(protection, count) };
}

/// Lets nobody protect an object any more, and waits until nobody does. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn ExWaitForRundownProtectionReleaseCacheAware(protection: *mut EX_RUNDOWN_REF) {
    // SAFETY: the driver's structure.
    unsafe { ExWaitForRundownProtectionRelease(protection) };
}

/// Says that an object was run down. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn ExRundownCompletedCacheAware(protection: *mut EX_RUNDOWN_REF) {
    // SAFETY: the driver's structure.
    unsafe { ExRundownCompleted(protection) };
}
