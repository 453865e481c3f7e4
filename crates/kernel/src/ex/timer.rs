//! `EX_TIMER`: timers that the system allocates.

use export_macro::export;
use nt_abi::{KDPC, KTIMER, PEXT_CALLBACK, PVOID, STATUS_INVALID_PARAMETER};

use super::pool::{Allocation, Kind, Tag};
use crate::ke::apc::address_of;
use crate::ke::{dpc, timer};
use crate::{io, kernel};

/// EX_TIMER_HIGH_RESOLUTION, EX_TIMER_NO_WAKE and EX_TIMER_NOTIFICATION.
const ATTRIBUTES: u32 = 0x8000_000C;
/// EX_TIMER_NOTIFICATION.
const NOTIFICATION: u32 = 0x8000_0000;
/// The pool tag of timers.
const TAG: Tag = Tag(u32::from_le_bytes(*b"ExTm"));

/// What a driver has a pointer to. It begins with a dispatcher object: drivers wait for it.
#[repr(C)]
struct ExTimer {
    timer: KTIMER,
    dpc: KDPC,
    callback: usize,
    context: PVOID,
}

/// The DPC of every such timer: calls the driver's callback with the timer and the context.
unsafe extern "win64" fn expired(_dpc: *mut KDPC, timer: PVOID, _first: PVOID, _second: PVOID) {
    // SAFETY: the context that `ExAllocateTimer` gave the DPC.
    let (callback, context) = unsafe {
        let timer = timer.cast::<ExTimer>();
        ((*timer).callback, (*timer).context)
    };
    if callback != 0 {
        crate::ke::apc::as_owner_of(callback, || {
            // SAFETY: the driver's routine with its timer and context.
            unsafe {
                machine::call2(callback, timer.expose_provenance() as u64, context.expose_provenance() as u64)
            }
        });
    }
}

/// Allocates a timer whose callback runs at DISPATCH_LEVEL. Source: DDI.
#[export(irql <= DISPATCH, since = Win81)]
pub unsafe extern "win64" fn ExAllocateTimer(
    callback: PEXT_CALLBACK,
    context: PVOID,
    attributes: u32,
) -> PVOID {
    if attributes & !ATTRIBUTES != 0 {
        crate::rtl::raise_status(STATUS_INVALID_PARAMETER.as_u32());
    }
    let what = Allocation {
        size: size_of::<ExTimer>(),
        tag: TAG,
        kind: Kind::NonPaged,
        owner: io::current_driver(),
    };
    let Some(memory) = crate::ex::allocate(what, true) else { return std::ptr::null_mut() };
    let made = memory.as_ptr().cast::<ExTimer>();
    // SAFETY: just allocated with that size.
    unsafe {
        timer::KeInitializeTimerEx(&raw mut (*made).timer, u32::from(attributes & NOTIFICATION == 0));
        dpc::KeInitializeDpc(&raw mut (*made).dpc, Some(expired), made.cast());
        (*made).callback = address_of!(callback);
        (*made).context = context;
    }
    made.cast()
}

/// Sets a timer: due as KeSetTimer's, period in units of 100 ns. Returns whether it was set already. Source: DDI.
#[export(irql <= DISPATCH, since = Win81)]
pub unsafe extern "win64" fn ExSetTimer(timer: PVOID, due: i64, period: i64, _parameters: *const u8) -> u8 {
    let timer = timer.cast::<ExTimer>();
    // A period of less than a millisecond is one of a millisecond here.
    let period = match period {
        0 => 0,
        period => i32::try_from((period / 10_000).max(1)).unwrap_or(i32::MAX),
    };
    // SAFETY: the driver's timer.
    unsafe { timer::KeSetTimerEx(&raw mut (*timer).timer, due, period, &raw mut (*timer).dpc) }
}

/// Stops a timer and returns whether it was set. Source: DDI.
#[export(irql <= DISPATCH, since = Win81)]
pub unsafe extern "win64" fn ExCancelTimer(timer: PVOID, _parameters: *const u8) -> u8 {
    let timer = timer.cast::<ExTimer>();
    // SAFETY: the driver's timer.
    unsafe { timer::KeCancelTimer(&raw mut (*timer).timer) }
}

/// Gives a timer up: stops it and waits for its callback where that is asked for. Source: DDI.
#[export(irql <= DISPATCH, since = Win81)]
pub unsafe extern "win64" fn ExDeleteTimer(timer: PVOID, cancel: u8, wait: u8, _parameters: *const u8) -> u8 {
    // SAFETY: the driver's timer.
    let canceled = unsafe { ExCancelTimer(timer, std::ptr::null()) };
    if cancel == 0 && canceled != 0 {
        let message = "ExDeleteTimer was called without Cancel for a timer that is set; cancel it";
        kernel().finding(&crate::rule::L_18, message, None);
    }
    let dpc = timer.cast::<ExTimer>();
    // Its memory goes now, so a callback that runs is waited for in any case, unless that is the caller.
    let wait = u8::from(wait != 0 || machine::irql::current() < machine::Irql::DISPATCH);
    // SAFETY: the driver's timer.
    unsafe { dpc::KeRemoveQueueDpcEx(&raw mut (*dpc).dpc, wait) };
    if kernel().ex.pool.free(timer.expose_provenance(), TAG).is_err() {
        machine::bug_check(0xC2, 0x46, timer.addr() as u64, 0, 0);
    }
    canceled
}

#[cfg(test)]
mod tests {
    use nt_abi::{KEVENT, STATUS_SUCCESS};

    use super::*;
    use crate::Config;
    use crate::ke::event::{KeInitializeEvent, KeSetEvent};
    use crate::ke::wait::KeWaitForSingleObject;
    use crate::testing::with_kernel;

    unsafe extern "win64" fn sets(_timer: PVOID, event: PVOID) {
        // SAFETY: the event of the test.
        unsafe { KeSetEvent(event.cast(), 0, 0) };
    }

    #[test]
    fn a_timer_calls_back_and_can_be_deleted() {
        with_kernel(Config::default(), |kernel, records| {
            let event: *mut KEVENT = Box::leak(Box::default());
            // SAFETY: memory of the test.
            unsafe {
                KeInitializeEvent(event, 0, 0);
                let timer = ExAllocateTimer(Some(sets), event.cast(), 8);
                assert_eq!(ExSetTimer(timer, -10, 0, std::ptr::null()), 0);
                assert_eq!(KeWaitForSingleObject(event.cast(), 0, 0, 0, std::ptr::null()), STATUS_SUCCESS);
                assert_eq!(ExSetTimer(timer, i64::MIN, 0, std::ptr::null()), 0);
                assert_eq!(ExDeleteTimer(timer, 1, 1, std::ptr::null()), 1);
                assert!(kernel.ex.pool.find(timer.addr()).is_none());
            }
            assert!(records.findings().is_empty());
        });
    }
}
