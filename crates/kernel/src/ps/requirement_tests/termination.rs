//! A process that is terminated by somebody else: its threads' waits, and its exit (R-CTX-05, R-IMG-03).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::ke::event::{KeInitializeEvent, KeSetEvent};
use crate::ke::region::*;
use crate::ke::wait::{KeDelayExecutionThread, KeWaitForSingleObject};
use crate::ob::close::ZwClose;
use crate::testing::on_another_processor;
use crate::zw::process::{ZwOpenProcess, ZwTerminateProcess};

/// What the process of the tests is terminated with.
const DOOM: NTSTATUS = NTSTATUS(0x1234);
/// Longer than any test: a wait that ends with STATUS_TIMEOUT was forgotten.
const LONG: i64 = -20 * 10_000_000;

/// Terminates a process, as a driver's thread in the System process.
fn terminate(id: u32, status: NTSTATUS) -> NTSTATUS {
    let attributes =
        OBJECT_ATTRIBUTES { Length: 0x30, Attributes: OBJ_KERNEL_HANDLE, ..OBJECT_ATTRIBUTES::default() };
    let ids = CLIENT_ID {
        UniqueProcess: std::ptr::without_provenance_mut(id as usize),
        UniqueThread: std::ptr::null_mut(),
    };
    let mut handle = std::ptr::null_mut();
    // SAFETY: everything lives during the calls.
    unsafe {
        assert_eq!(ZwOpenProcess(&mut handle, PROCESS_TERMINATE, &attributes, &ids), STATUS_SUCCESS);
        let status = ZwTerminateProcess(handle, status);
        assert_eq!(ZwClose(handle), STATUS_SUCCESS);
        status
    }
}

/// An event for waits, at an address that stays.
fn new_event() -> usize {
    let event = Box::leak(Box::new(KEVENT::default()));
    // SAFETY: the test's event.
    unsafe { KeInitializeEvent(event, SynchronizationEvent, 0) };
    std::ptr::from_mut(event).expose_provenance()
}

fn set(event: usize) {
    // SAFETY: an event of `new_event`.
    unsafe { KeSetEvent(std::ptr::with_exposed_provenance_mut(event), 0, 0) };
}

fn wait(event: usize, mode: i8, alertable: u8) -> NTSTATUS {
    // SAFETY: an event of `new_event`.
    let status = unsafe {
        KeWaitForSingleObject(std::ptr::with_exposed_provenance_mut(event), 0, mode, alertable, &LONG)
    };
    WAIT_IS_OVER.store(true, Ordering::SeqCst);
    status
}

/// Whether the first wait since the order has ended, however it did.
static WAIT_IS_OVER: AtomicBool = AtomicBool::new(false);

/// Has the process 200 terminated as soon as somebody waits for `event`, which is set when it is waited for still, or when
/// that wait has ended.
fn terminated_meanwhile(kernel: &'static Kernel, event: usize) -> std::thread::JoinHandle<()> {
    WAIT_IS_OVER.store(false, Ordering::SeqCst);
    on_another_processor(kernel, move || {
        let is_waited_for = || kernel.ke.dispatcher.lock().is_waited_for(event);
        while !is_waited_for() {
            std::thread::yield_now();
        }
        assert_eq!(terminate(200, DOOM), STATUS_SUCCESS);
        // Who waits looks up, and either waits on or says so.
        while !WAIT_IS_OVER.load(Ordering::SeqCst) && !is_waited_for() {
            std::thread::yield_now();
        }
        set(event);
    })
}

/// Runs something on the only thread of process 200, while that process is terminated.
fn on_the_thread(run: impl FnOnce(&'static Kernel, usize)) {
    with_kernel(|kernel, _| {
        create(kernel, a_process(200));
        create_thread(kernel, 200);
        let event = new_event();
        let thread = kernel.thread_in_context(only_thread(200), Time(2));
        let other = terminated_meanwhile(kernel, event);
        kernel.on_thread(&thread, || run(kernel, event));
        other.join().unwrap();
    });
}

#[test]
fn r_ctx_05_a_wait_in_user_mode_ends_when_the_process_is_terminated() {
    for alertable in [0, 1] {
        on_the_thread(|_, event| {
            assert_eq!(wait(event, UserMode, alertable), STATUS_USER_APC);
            // What is there is taken, and nothing is waited for any more.
            assert_eq!(wait(event, KernelMode, 0), STATUS_SUCCESS, "set by the other");
            set(event);
            assert_eq!(wait(event, UserMode, 0), STATUS_SUCCESS);
            assert_eq!(wait(event, UserMode, 0), STATUS_USER_APC);
            // SAFETY: a routine called as a driver would.
            unsafe { assert_eq!(KeDelayExecutionThread(UserMode, 0, &LONG), STATUS_USER_APC) };
        });
    }
}

#[test]
fn r_ctx_05_a_wait_in_kernel_mode_goes_on() {
    on_the_thread(|_, event| assert_eq!(wait(event, KernelMode, 1), STATUS_SUCCESS));
}

#[test]
fn r_ctx_05_a_wait_goes_on_where_kernel_apcs_are_disabled() {
    // SAFETY: routines called as a driver would.
    on_the_thread(|_, event| unsafe {
        KeEnterCriticalRegion();
        assert_eq!(wait(event, UserMode, 0), STATUS_SUCCESS);
        KeLeaveCriticalRegion();
        assert_eq!(wait(event, UserMode, 0), STATUS_USER_APC, "outside of it, it does not");
    });
    // SAFETY: as above.
    on_the_thread(|_, event| unsafe {
        KeEnterGuardedRegion();
        assert_eq!(wait(event, UserMode, 0), STATUS_SUCCESS);
        KeLeaveGuardedRegion();
    });
}

/// The event that the routine of the test waits for.
static EVENT: AtomicUsize = AtomicUsize::new(0);

#[test]
fn r_ctx_05_r_img_03_no_routine_is_taken_out_of_its_wait() {
    with_kernel(|kernel, records| {
        watch_processes(kernel, |slot, process, _, info| {
            if slot == 0 && info.is_none() {
                see(format!("exit {:?}", process.exit_status()));
            }
        });
        watch_images(kernel, 0, |_, _, _, _| {
            let event = EVENT.swap(0, Ordering::Relaxed);
            if event != 0 {
                see(format!("{:?}", wait(event, UserMode, 0)));
            }
        });
        create(kernel, a_process(200));
        create_thread(kernel, 200);
        let event = new_event();
        EVENT.store(event, Ordering::Relaxed);
        let other = terminated_meanwhile(kernel, event);
        map(kernel, only_thread(200), an_image(200));
        other.join().unwrap();
        assert_eq!(terminate(200, STATUS_SUCCESS), STATUS_PROCESS_IS_TERMINATING);
        // Whatever its source says: it exits as it was terminated.
        exit(kernel, 200, STATUS_SUCCESS);
        assert_eq!(seen(), [format!("{STATUS_SUCCESS:?}"), format!("exit {DOOM:?}")]);
        let terminated =
            |body: &Body<'_>| matches!(body, Body::Termination { status, .. } if *status == DOOM);
        assert_eq!(records.all().iter().filter(|body| terminated(body)).count(), 1);
    });
}
