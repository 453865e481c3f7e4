//! Power requests on their way: those of the power manager, which waits for them, and those that drivers ask for.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::sync::Arc;

use nt_abi::{
    DEVICE_OBJECT, IO_STACK_PARAMETERS, IO_STATUS_BLOCK, IRP, KEVENT, NTSTATUS, SL_INVOKE_ON_CANCEL,
    SL_INVOKE_ON_ERROR, SL_INVOKE_ON_SUCCESS, STATUS_INSUFFICIENT_RESOURCES, STATUS_PENDING,
};

use super::driver::as_driver;
use super::irp::{
    Completion, IoFreeIrp, IofCallDriver, UNDER_WAY, allocate, current_location, next_location, tell_of_end,
};
use super::send::{Sent, send};
use super::stack::top;
use crate::ke::wait::{self, How, Until};

/// DRIVER_POWER_STATE_FAILURE.
const POWER_STATE_FAILURE: u32 = 0x9F;
/// Its first parameter where a device has blocked a request for too long.
const BLOCKED: u64 = 3;
/// How long a driver may take for a power request: ten minutes. Source: the bug check's own text.
const POWER_LIMIT: i64 = -10 * 60 * 10_000_000;

/// Sends a power request to the top of a device's stack and waits for its end.
///
/// # Safety
/// `device` is a live device.
pub(crate) unsafe fn send_and_wait(
    device: *mut DEVICE_OBJECT,
    minor: u8,
    parameters: nt_abi::IO_PARAMETERS_POWER,
) -> NTSTATUS {
    let event: Box<UnsafeCell<KEVENT>> = Box::default();
    let completion = Arc::new(Completion::default());
    // SAFETY: the device is alive by this function's contract; the packet is new; the event lives until the request has
    // ended, or for ever.
    let (irp, sent) = unsafe {
        let top = top(device);
        let irp = allocate((*top).StackSize, None);
        if irp.is_null() {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        crate::ke::event::KeInitializeEvent(event.get(), nt_abi::NotificationEvent, 0);
        (*irp).UserEvent = event.get();
        // What nobody handles has this status when it comes back.
        (*irp).IoStatus.Status = nt_abi::STATUS_NOT_SUPPORTED;
        let stack = next_location(irp);
        stack.MajorFunction = nt_abi::IRP_MJ_POWER;
        stack.MinorFunction = minor;
        stack.Parameters.Power = parameters;
        tell_of_end(irp, &completion, false);
        (irp, send(top, irp, &completion))
    };
    match sent {
        Sent::Ended => {}
        Sent::Forgotten(status) => {
            std::mem::forget(event);
            return status;
        }
        Sent::Pending => {
            let until = Until::Time(wait::due(POWER_LIMIT));
            let how = How { until, by_driver: false, ..How::BY_DRIVER };
            // SAFETY: an event that lives longer than this wait.
            let waited = unsafe { wait::wait(&[event.get().expose_provenance()], how) };
            if waited != nt_abi::STATUS_SUCCESS && !completion.has_ended() {
                // SAFETY: a request that has not ended.
                unsafe { blocked(device, irp) };
            }
            // Its event is set before the rest of its end is done, which may be on another processor.
            while !completion.has_ended() {
                machine::platform().block(&completion.word, UNDER_WAY, None);
            }
        }
    }
    completion.outcome().0
}

/// What is to be done when a power request has ended that a driver has asked for.
type Then<T> = unsafe fn(T, *mut DEVICE_OBJECT, *mut IO_STATUS_BLOCK);

/// A power request that a driver has asked for, as its completion routine knows it.
struct Asked<T> {
    asked: T,
    then: Then<T>,
}

/// Makes a power request on behalf of a driver and sends it to the top of a device's stack; its end is told to `then`.
///
/// # Safety
/// `device` is a live device; `told` is null, or a variable for the request.
pub(crate) unsafe fn requested<T>(
    device: *mut DEVICE_OBJECT,
    minor: u8,
    parameters: IO_STACK_PARAMETERS,
    asked: T,
    then: Then<T>,
    told: *mut *mut IRP,
) -> NTSTATUS {
    // SAFETY: by this function's contract; the packet is new.
    unsafe {
        let top = top(device);
        // One location more, for the device that the request is about.
        let irp = allocate((*top).StackSize.saturating_add(1), None);
        if irp.is_null() {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        (*irp).IoStatus.Status = nt_abi::STATUS_NOT_SUPPORTED;
        (*irp).CurrentLocation -= 1;
        (*irp).Tail.Overlay.CurrentStackLocation = next_location(irp);
        current_location(irp).DeviceObject = device;
        let stack = next_location(irp);
        stack.MajorFunction = nt_abi::IRP_MJ_POWER;
        stack.MinorFunction = minor;
        stack.Parameters = parameters;
        stack.CompletionRoutine = Some(asked_has_ended::<T>);
        stack.Context = Box::into_raw(Box::new(Asked { asked, then })).cast();
        stack.Control = SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_ERROR | SL_INVOKE_ON_CANCEL;
        if !told.is_null() {
            told.write(irp);
        }
        IofCallDriver(top, irp);
    }
    STATUS_PENDING
}

/// The completion routine of a power request that a driver has asked for: it is freed here.
unsafe extern "win64" fn asked_has_ended<T>(
    device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: what `requested` has set, once; the request has ended and is nobody's.
    unsafe {
        let Asked { asked, then } = *Box::from_raw(context.cast::<Asked<T>>());
        then(asked, device, &raw mut (*irp).IoStatus);
        IoFreeIrp(irp);
    }
    nt_abi::STATUS_MORE_PROCESSING_REQUIRED
}

/// Stops because of the driver that has a power request.
///
/// # Safety
/// `device` is a live device, and `irp` a request that some driver of its stack has.
unsafe fn blocked(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> ! {
    // SAFETY: by this function's contract.
    let dispatch = unsafe {
        let holder = (*current_location(irp).DeviceObject).DriverObject;
        (*holder).MajorFunction[usize::from(nt_abi::IRP_MJ_POWER)]
    };
    let dispatch = dispatch.map_or(0, |dispatch| (dispatch as *const ()).expose_provenance());
    let owner = crate::kernel().io.driver_at(dispatch).map(|driver| driver.id);
    as_driver(owner, dispatch as u64, || {
        machine::bug_check(POWER_STATE_FAILURE, BLOCKED, device.addr() as u64, 0, irp.addr() as u64)
    })
}
