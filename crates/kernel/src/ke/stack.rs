//! Larger stacks and the extended state of the processor: there is enough of both here.

use export_macro::export;
use nt_abi::{NTSTATUS, PEXPAND_STACK_CALLOUT, PVOID, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

use super::apc::{address_of, as_owner_of};

/// MAXIMUM_EXPANSION_SIZE: 73728 bytes on x64, less 16 KiB.
const MOST: usize = 0x12000 - 0x4000;

fn callout(routine: PEXPAND_STACK_CALLOUT, parameter: PVOID, size: usize) -> NTSTATUS {
    let routine = address_of!(routine);
    if routine == 0 || size > MOST {
        return STATUS_INVALID_PARAMETER;
    }
    super::stack_use::expanded(size, || {
        as_owner_of(routine, || {
            // SAFETY: the driver's routine with its parameter. The stack of a host's thread is larger than any of NT's.
            unsafe { machine::call1(routine, parameter.expose_provenance() as u64) }
        })
    });
    STATUS_SUCCESS
}

/// Calls a routine with at least so many bytes of stack. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn KeExpandKernelStackAndCallout(
    routine: PEXPAND_STACK_CALLOUT,
    parameter: PVOID,
    size: usize,
) -> NTSTATUS {
    callout(routine, parameter, size)
}

/// Calls a routine with at least so many bytes of stack, waiting for them where that is asked for. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn KeExpandKernelStackAndCalloutEx(
    routine: PEXPAND_STACK_CALLOUT,
    parameter: PVOID,
    size: usize,
    _wait: u8,
    _context: PVOID,
) -> NTSTATUS {
    callout(routine, parameter, size)
}

/// Saves the processor's extended state, so that the driver may use it: whatever it does to the registers, no code
/// here keeps anything in them over a call. Source: DDI.
#[export(irql <= DISPATCH, since = Win7)]
pub unsafe extern "win64" fn KeSaveExtendedProcessorState(_mask: u64, _state: *mut u8) -> NTSTATUS {
    STATUS_SUCCESS
}

/// Ends what KeSaveExtendedProcessorState began. Source: DDI.
#[export(irql <= DISPATCH, since = Win7)]
pub unsafe extern "win64" fn KeRestoreExtendedProcessorState(_state: *mut u8) {}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::Config;
    use crate::io::query::{IoGetRemainingStackSize, IoGetStackLimits};
    use crate::ke::stack_use::{KERNEL_STACK, ROUTINE_SHARE};
    use crate::testing::with_kernel;

    static GOT: AtomicUsize = AtomicUsize::new(0);
    static LEFT: AtomicUsize = AtomicUsize::new(0);

    unsafe extern "win64" fn called(parameter: PVOID) {
        GOT.store(parameter.addr(), Ordering::SeqCst);
        // SAFETY: it only looks.
        LEFT.store(unsafe { IoGetRemainingStackSize() }, Ordering::SeqCst);
    }

    /// A driver's routine that asks for its stack, and has it expanded.
    unsafe extern "win64" fn asks(limits: *mut [usize; 2]) {
        // SAFETY: the test's memory and routine.
        unsafe {
            IoGetStackLimits(&raw mut (*limits)[0], &raw mut (*limits)[1]);
            assert!(((*limits)[0]..(*limits)[1]).contains(&(&raw const limits).addr()));
            LEFT.store(IoGetRemainingStackSize(), Ordering::SeqCst);
        }
    }

    #[test]
    fn l_21_a_driver_is_told_of_a_kernel_stack_of_24_kb() {
        with_kernel(Config::default(), |_, _| {
            let mut limits = [0usize; 2];
            // SAFETY: a routine of this test, which lives as long as the call.
            unsafe {
                machine::call1(
                    (asks as *const ()).expose_provenance(),
                    (&raw mut limits).expose_provenance() as u64,
                );
            }
            assert_eq!(limits[1] - limits[0], KERNEL_STACK);
            let left = LEFT.load(Ordering::SeqCst);
            assert!((ROUTINE_SHARE..KERNEL_STACK).contains(&left), "{left}");
        });
    }

    #[test]
    fn a_callout_is_called_unless_it_asks_for_too_much() {
        with_kernel(Config::default(), |_, _| {
            let parameter = std::ptr::without_provenance_mut(9);
            // SAFETY: a routine of this test.
            unsafe {
                assert_eq!(
                    KeExpandKernelStackAndCallout(Some(called), parameter, MOST + 1),
                    STATUS_INVALID_PARAMETER
                );
                assert_eq!(GOT.load(Ordering::SeqCst), 0);
                assert_eq!(KeExpandKernelStackAndCallout(Some(called), parameter, MOST), STATUS_SUCCESS);
            }
            assert_eq!(GOT.load(Ordering::SeqCst), 9);
            // Less what this test's own routine has used by then.
            let left = LEFT.load(Ordering::SeqCst);
            assert!((MOST - 1024..=MOST + 4096).contains(&left), "{left}");
        });
    }
}
