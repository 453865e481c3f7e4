//! The lock of volume parameter blocks, and what drivers tell WMI of.

use export_macro::export;
use nt_abi::{DEVICE_OBJECT, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

use crate::ke::spinlock::{KeAcquireSpinLockRaiseToDpc, KeReleaseSpinLock};

/// The one lock of all volume parameter blocks.
static LOCK: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Acquires the lock of volume parameter blocks, and raises to DISPATCH_LEVEL. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoAcquireVpbSpinLock(irql: *mut u8) {
    // SAFETY: the lock lives for ever; the driver's pointer.
    unsafe { irql.write(KeAcquireSpinLockRaiseToDpc(LOCK.as_ptr())) };
}

/// Releases the lock of volume parameter blocks. Source: DDI.
#[export(irql == DISPATCH)]
pub unsafe extern "win64" fn IoReleaseVpbSpinLock(irql: u8) {
    // SAFETY: as above.
    unsafe { KeReleaseSpinLock(LOCK.as_ptr(), irql) };
}

/// Registers a device as a WMI provider, or ends that: nobody asks WMI here, so the device gets no requests. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoWMIRegistrationControl(device: *mut DEVICE_OBJECT, action: u32) -> NTSTATUS {
    /// WMIREG_ACTION_REGISTER, DEREGISTER, REREGISTER, UPDATE_GUIDS, BLOCK_IRPS.
    const MOST: u32 = 5;
    /// WMIREG_FLAG_CALLBACK and others, in the high half.
    const ACTION: u32 = 0xFFFF;
    if device.is_null() || !(1..=MOST).contains(&(action & ACTION)) {
        return STATUS_INVALID_PARAMETER;
    }
    STATUS_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    #[test]
    fn the_lock_of_volume_parameter_blocks_raises_and_lowers() {
        with_kernel(Config::default(), |_, _| {
            let mut before = 9;
            // SAFETY: room for a level; released as it was acquired.
            unsafe { IoAcquireVpbSpinLock(&mut before) };
            assert_eq!((before, machine::irql::current().level()), (0, 2));
            // SAFETY: as above.
            unsafe { IoReleaseVpbSpinLock(before) };
            assert_eq!(machine::irql::current().level(), 0);
        });
    }
}
