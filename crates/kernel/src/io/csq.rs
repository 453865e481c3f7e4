//! Cancel-safe queues: `IoCsqInitialize` and its family.
//!
//! The driver has the queue and its lock; these routines decide who has a request that is taken out and cancelled at once. A
//! request that is in a queue has the cancel routine of this file, and `Tail.Overlay.DriverContext[3]` leads to its queue.

use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

use export_macro::export;
use nt_abi::{
    DEVICE_OBJECT, IO_CSQ, IO_CSQ_IRP_CONTEXT, IO_TYPE_CSQ, IO_TYPE_CSQ_EX, IO_TYPE_CSQ_IRP_CONTEXT, IRP,
    NTSTATUS, PVOID, SL_PENDING_RETURNED, STATUS_SUCCESS,
};

use super::irp::{IoReleaseCancelSpinLock, current_location};
use crate::ke::apc::as_owner_of;

/// Which of a request's `DriverContext` is for its queue.
const CONTEXT: usize = 3;

/// Calls a routine of a queue's with up to three arguments.
///
/// # Safety
/// The routine is what the driver has set, and takes such arguments.
unsafe fn call(routine: usize, arguments: [u64; 3]) -> u64 {
    let [first, second, third] = arguments;
    // SAFETY: by this function's contract; further arguments than a routine takes are not looked at.
    as_owner_of(routine, || unsafe { machine::call3(routine, first, second, third) })
}

fn at<T>(pointer: *mut T) -> u64 {
    pointer.expose_provenance() as u64
}

/// Runs something under the queue's lock.
///
/// # Safety
/// `csq` is a queue that was initialised.
unsafe fn locked<T>(csq: *mut IO_CSQ, run: impl FnOnce() -> T) -> T {
    let mut irql: u8 = 0;
    // SAFETY: by this function's contract.
    unsafe { call((*csq).CsqAcquireLock, [at(csq), at(&raw mut irql), 0]) };
    let result = run();
    let irql = std::hint::black_box(irql);
    // SAFETY: as above.
    unsafe { call((*csq).CsqReleaseLock, [at(csq), irql.into(), 0]) };
    result
}

/// Takes a request's cancel routine away, as `IoSetCancelRoutine` does with NULL. `false` where it had none: it is being
/// cancelled.
///
/// # Safety
/// `irp` is a live request.
unsafe fn take_cancel_routine(irp: *mut IRP) -> bool {
    // SAFETY: by this function's contract; the field has a pointer's size, and drivers change it with an interlocked exchange.
    let routine = unsafe { AtomicPtr::from_ptr((&raw mut (*irp).CancelRoutine).cast::<*mut ()>()) };
    !routine.swap(std::ptr::null_mut(), Ordering::AcqRel).is_null()
}

/// Takes a request out of its queue, whose lock is held.
///
/// # Safety
/// `irp` is in the queue.
unsafe fn remove(csq: *mut IO_CSQ, irp: *mut IRP) {
    // SAFETY: by this function's contract; the context, where there is one, is the driver's and outlives the request's stay.
    unsafe {
        call((*csq).CsqRemoveIrp, [at(csq), at(irp), 0]);
        let overlay = &mut (*irp).Tail.Overlay;
        let context = std::mem::replace(&mut overlay.DriverContext[CONTEXT], std::ptr::null_mut());
        let context = context.cast::<IO_CSQ_IRP_CONTEXT>();
        if !context.is_null() && (*context).Type == IO_TYPE_CSQ_IRP_CONTEXT {
            (*context).Irp = std::ptr::null_mut();
        }
    }
}

/// The cancel routine of a request in a queue.
unsafe extern "win64" fn cancelled(_device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    // SAFETY: a request that is being cancelled, with the cancel spin lock held; it is in a queue, or it had no such routine.
    unsafe {
        IoReleaseCancelSpinLock((*irp).CancelIrql);
        let context = (*irp).Tail.Overlay.DriverContext[CONTEXT];
        // Both structures begin with their type.
        let csq = if *context.cast::<u32>() == IO_TYPE_CSQ_IRP_CONTEXT {
            (*context.cast::<IO_CSQ_IRP_CONTEXT>()).Csq
        } else {
            context.cast()
        };
        locked(csq, || remove(csq, irp));
        call((*csq).CsqCompleteCanceledIrp, [at(csq), at(irp), 0]);
    }
}

/// Makes a queue of a driver's routines. Source: DDI.
#[export(irql any, since = Xp)]
pub unsafe extern "win64" fn IoCsqInitialize(
    csq: *mut IO_CSQ,
    insert: usize,
    remove: usize,
    peek: usize,
    acquire: usize,
    release: usize,
    complete: usize,
) -> NTSTATUS {
    // SAFETY: the driver's structure.
    unsafe {
        csq.write(IO_CSQ {
            Type: IO_TYPE_CSQ,
            CsqInsertIrp: insert,
            CsqRemoveIrp: remove,
            CsqPeekNextIrp: peek,
            CsqAcquireLock: acquire,
            CsqReleaseLock: release,
            CsqCompleteCanceledIrp: complete,
            ..IO_CSQ::default()
        });
    }
    STATUS_SUCCESS
}

/// Makes a queue whose insertion can fail, and has a context. Source: DDI.
#[export(irql any, since = Xp)]
pub unsafe extern "win64" fn IoCsqInitializeEx(
    csq: *mut IO_CSQ,
    insert: usize,
    remove: usize,
    peek: usize,
    acquire: usize,
    release: usize,
    complete: usize,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe {
        IoCsqInitialize(csq, insert, remove, peek, acquire, release, complete);
        (*csq).Type = IO_TYPE_CSQ_EX;
    }
    STATUS_SUCCESS
}

/// Marks a request pending and puts it into a queue. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn IoCsqInsertIrp(
    csq: *mut IO_CSQ,
    irp: *mut IRP,
    context: *mut IO_CSQ_IRP_CONTEXT,
) {
    // SAFETY: as this routine.
    unsafe { IoCsqInsertIrpEx(csq, irp, context, std::ptr::null_mut()) };
}

/// Marks a request pending and puts it into a queue, and returns what the driver's routine says. One that was cancelled
/// before is completed as such. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn IoCsqInsertIrpEx(
    csq: *mut IO_CSQ,
    irp: *mut IRP,
    context: *mut IO_CSQ_IRP_CONTEXT,
    insert_context: PVOID,
) -> NTSTATUS {
    // SAFETY: a driver's pointers; bad ones fault as on Windows.
    unsafe {
        let mut place: *mut c_void = csq.cast();
        if !context.is_null() {
            context.write(IO_CSQ_IRP_CONTEXT { Type: IO_TYPE_CSQ_IRP_CONTEXT, Irp: irp, Csq: csq });
            place = context.cast();
        }
        (*irp).Tail.Overlay.DriverContext[CONTEXT] = place;
        current_location(irp).Control |= SL_PENDING_RETURNED;
        let is_cancelled = || (&raw const (*irp).Cancel).read_volatile() != 0;
        let (status, ours) = locked(csq, || {
            if is_cancelled() {
                return (STATUS_SUCCESS, true);
            }
            let inserted = call((*csq).CsqInsertIrp, [at(csq), at(irp), at(insert_context)]);
            let extended = (*csq).Type == IO_TYPE_CSQ_EX;
            let status = if extended {
                NTSTATUS::from_u32(u32::try_from(inserted & 0xFFFF_FFFF).unwrap_or_default())
            } else {
                STATUS_SUCCESS
            };
            if !status.is_success() {
                return (status, false);
            }
            AtomicPtr::from_ptr((&raw mut (*irp).CancelRoutine).cast::<*mut ()>())
                .store((cancelled as *const ()).cast_mut(), Ordering::Release);
            // Cancelled meanwhile, and nobody has called the routine: it is for this one to do.
            let ours = is_cancelled() && take_cancel_routine(irp);
            if ours {
                remove(csq, irp);
            }
            (status, ours)
        });
        if ours {
            call((*csq).CsqCompleteCanceledIrp, [at(csq), at(irp), 0]);
        }
        status
    }
}

/// Takes the next request that fits out of a queue; null where there is none. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn IoCsqRemoveNextIrp(csq: *mut IO_CSQ, peek_context: PVOID) -> *mut IRP {
    // SAFETY: a driver's pointers; what its routine peeks is a request in the queue.
    unsafe {
        locked(csq, || {
            let mut irp: *mut IRP = std::ptr::null_mut();
            loop {
                let next = call((*csq).CsqPeekNextIrp, [at(csq), at(irp), at(peek_context)]);
                irp = std::ptr::with_exposed_provenance_mut(usize::try_from(next).unwrap_or(0));
                if irp.is_null() {
                    return irp;
                }
                // One that is being cancelled waits for the lock, and takes itself out.
                if take_cancel_routine(irp) {
                    remove(csq, irp);
                    return irp;
                }
            }
        })
    }
}

/// Takes a certain request out of a queue; null where it has been cancelled, or taken. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn IoCsqRemoveIrp(csq: *mut IO_CSQ, context: *mut IO_CSQ_IRP_CONTEXT) -> *mut IRP {
    // SAFETY: a driver's pointers.
    unsafe {
        locked(csq, || {
            let irp = (*context).Irp;
            if irp.is_null() || !take_cancel_routine(irp) {
                return std::ptr::null_mut();
            }
            remove(csq, irp);
            irp
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use nt_abi::{STATUS_CANCELLED, STATUS_DEVICE_BUSY};

    use super::super::irp::{IoAllocateIrp, IoCancelIrp, IoFreeIrp, next_location};
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    static QUEUE: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    static SEEN: Mutex<Vec<&str>> = Mutex::new(Vec::new());

    fn see(what: &'static str) {
        SEEN.lock().unwrap().push(what);
    }

    unsafe extern "win64" fn insert(_: *mut IO_CSQ, irp: *mut IRP) {
        see("insert");
        QUEUE.lock().unwrap().push(irp.expose_provenance());
    }

    unsafe extern "win64" fn insert_ex(csq: *mut IO_CSQ, irp: *mut IRP, context: PVOID) -> NTSTATUS {
        if context.addr() == 7 {
            return STATUS_DEVICE_BUSY;
        }
        // SAFETY: as this routine.
        unsafe { insert(csq, irp) };
        STATUS_SUCCESS
    }

    unsafe extern "win64" fn remove_it(_: *mut IO_CSQ, irp: *mut IRP) {
        see("remove");
        QUEUE.lock().unwrap().retain(|there| *there != irp.addr());
    }

    unsafe extern "win64" fn peek(_: *mut IO_CSQ, after: *mut IRP, _: PVOID) -> *mut IRP {
        let queue = QUEUE.lock().unwrap();
        let from = queue.iter().position(|there| *there == after.addr()).map_or(0, |at| at + 1);
        std::ptr::with_exposed_provenance_mut(queue.get(from).copied().unwrap_or(0))
    }

    unsafe extern "win64" fn acquire(_: *mut IO_CSQ, irql: *mut u8) {
        see("lock");
        // SAFETY: the caller's variable.
        unsafe { irql.write(5) };
    }

    unsafe extern "win64" fn release(_: *mut IO_CSQ, irql: u8) {
        assert_eq!(irql, 5);
        see("unlock");
    }

    unsafe extern "win64" fn complete(_: *mut IO_CSQ, irp: *mut IRP) {
        see("complete");
        // SAFETY: a request that is this routine's.
        unsafe { (*irp).IoStatus.Status = STATUS_CANCELLED };
    }

    fn queue(extended: bool) -> IO_CSQ {
        QUEUE.lock().unwrap().clear();
        let mut csq = IO_CSQ::default();
        let routine = |routine: *const ()| routine.expose_provenance();
        let insert = if extended { insert_ex as *const () } else { insert as *const () };
        let make = if extended { IoCsqInitializeEx } else { IoCsqInitialize };
        // SAFETY: a structure and routines of this test.
        let status = unsafe {
            make(
                &raw mut csq,
                routine(insert),
                routine(remove_it as *const ()),
                routine(peek as *const ()),
                routine(acquire as *const ()),
                routine(release as *const ()),
                routine(complete as *const ()),
            )
        };
        assert_eq!(status, STATUS_SUCCESS);
        csq
    }

    /// A request that some driver has.
    fn request() -> *mut IRP {
        // SAFETY: a new request with one location, which is made current.
        unsafe {
            let irp = IoAllocateIrp(1, 0);
            (*irp).Tail.Overlay.CurrentStackLocation = next_location(irp);
            (*irp).CurrentLocation -= 1;
            irp
        }
    }

    fn seen() -> Vec<&'static str> {
        std::mem::take(&mut *SEEN.lock().unwrap())
    }

    #[test]
    fn r_dev_03_a_request_is_taken_out_of_a_queue_or_cancelled_and_not_both() {
        with_kernel(Config::default(), |_, _| {
            let mut csq = queue(false);
            let (csq, [first, second, third]) = (&raw mut csq, [(); 3].map(|()| request()));
            let mut context = IO_CSQ_IRP_CONTEXT::default();
            // SAFETY: a queue, a context and requests of this test.
            unsafe {
                IoCsqInsertIrp(csq, first, std::ptr::null_mut());
                IoCsqInsertIrp(csq, second, &raw mut context);
                assert_eq!(seen(), ["lock", "insert", "unlock", "lock", "insert", "unlock"]);
                assert_eq!(current_location(first).Control, SL_PENDING_RETURNED);
                assert_eq!(IoCancelIrp(first), 1);
                assert_eq!(seen(), ["lock", "remove", "unlock", "complete"]);
                assert_eq!((*first).IoStatus.Status, STATUS_CANCELLED);
                assert_eq!(IoCsqRemoveIrp(csq, &raw mut context), second);
                assert!(IoCsqRemoveIrp(csq, &raw mut context).is_null(), "it is taken");
                assert_eq!(IoCancelIrp(second), 0, "it is the driver's now");
                assert!(IoCsqRemoveNextIrp(csq, std::ptr::null_mut()).is_null());
                IoCsqInsertIrp(csq, third, std::ptr::null_mut());
                assert_eq!(IoCsqRemoveNextIrp(csq, std::ptr::null_mut()), third);
                seen();
                // Cancelled before it comes into the queue.
                IoCsqInsertIrp(csq, second, &raw mut context);
                assert_eq!(seen(), ["lock", "unlock", "complete"]);
                for irp in [first, second, third] {
                    IoFreeIrp(irp);
                }
            }
        });
    }

    #[test]
    fn r_dev_03_one_that_is_being_cancelled_is_passed_over() {
        with_kernel(Config::default(), |_, _| {
            let mut csq = queue(false);
            let (csq, [first, second]) = (&raw mut csq, [(); 2].map(|()| request()));
            // SAFETY: as above.
            unsafe {
                IoCsqInsertIrp(csq, first, std::ptr::null_mut());
                IoCsqInsertIrp(csq, second, std::ptr::null_mut());
                (*first).CancelRoutine = None;
                assert_eq!(IoCsqRemoveNextIrp(csq, std::ptr::null_mut()), second);
                for irp in [first, second] {
                    IoFreeIrp(irp);
                }
                seen();
            }
        });
    }

    #[test]
    fn an_insertion_that_fails_leaves_the_request_to_its_sender() {
        with_kernel(Config::default(), |_, _| {
            let mut csq = queue(true);
            let (csq, irp) = (&raw mut csq, request());
            // SAFETY: as above.
            unsafe {
                let context = std::ptr::without_provenance_mut(7);
                let status = IoCsqInsertIrpEx(csq, irp, std::ptr::null_mut(), context);
                assert_eq!((status, (*irp).CancelRoutine.is_none()), (STATUS_DEVICE_BUSY, true));
                let none = std::ptr::null_mut();
                assert_eq!(IoCsqInsertIrpEx(csq, irp, none, std::ptr::null_mut()), STATUS_SUCCESS);
                assert_eq!(IoCsqRemoveNextIrp(csq, std::ptr::null_mut()), irp);
                IoFreeIrp(irp);
                seen();
            }
        });
    }
}
