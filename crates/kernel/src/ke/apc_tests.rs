//! Timers, DPCs, APCs and attaching, with real threads.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use nt_abi::*;

use super::apc::*;
use super::attach::*;
use super::dpc::*;
use super::event::*;
use super::irql::*;
use super::region::*;
use super::tests::{Shared, event, leak, until_waited_for, wait_one};
use super::timer::*;
use crate::Config;
use crate::ps::thread::{Ethread, current};
use crate::testing::{on_another_processor, with_kernel};

/// What routines of the tests below saw, in order.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn see(what: &str) {
    let irql = machine::irql::current().level();
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{what}@{irql}"));
}

fn seen() -> Vec<String> {
    std::mem::take(&mut SEEN.lock().unwrap_or_else(PoisonError::into_inner))
}

unsafe extern "win64" fn dpc_routine(_dpc: *mut KDPC, context: PVOID, first: PVOID, second: PVOID) {
    see(&format!("dpc {} {} {}", context.addr(), first.addr(), second.addr()));
}

fn value(number: usize) -> PVOID {
    std::ptr::without_provenance_mut(number)
}

#[test]
fn a_dpc_runs_at_dispatch_level_as_soon_as_the_level_allows() {
    with_kernel(Config::default(), |_, _| {
        let dpc = leak::<KDPC>();
        // SAFETY: fresh memory, then an initialized DPC.
        unsafe {
            KeInitializeDpc(dpc, Some(dpc_routine), value(7));
            assert_eq!(KeInsertQueueDpc(dpc, value(1), value(2)), 1);
            assert_eq!(seen(), ["dpc 7 1 2@2"]);
            KfRaiseIrql(2);
            assert_eq!(
                (KeInsertQueueDpc(dpc, value(3), value(4)), KeInsertQueueDpc(dpc, value(5), value(6))),
                (1, 0)
            );
            assert_eq!(seen(), [""; 0]);
            KeLowerIrql(0);
            assert_eq!(seen(), ["dpc 7 3 4@2"]);
            KfRaiseIrql(2);
            KeInsertQueueDpc(dpc, value(0), value(0));
            assert_eq!((KeRemoveQueueDpc(dpc), KeRemoveQueueDpc(dpc)), (1, 0));
            KeLowerIrql(0);
            assert_eq!((seen(), KeGetCurrentIrql()), (vec![], 0));
        }
    });
}

#[test]
fn dpcs_of_other_processors_and_threaded_ones_run_elsewhere() {
    with_kernel(Config::default(), |_, _| {
        let (low, threaded) = (leak::<KDPC>(), leak::<KDPC>());
        // SAFETY: fresh memory, then initialized DPCs.
        unsafe {
            KeInitializeDpc(low, Some(dpc_routine), value(1));
            KeSetImportanceDpc(low, LowImportance);
            KeInsertQueueDpc(low, value(0), value(0));
            KeFlushQueuedDpcs();
            assert_eq!(seen(), ["dpc 1 0 0@2"]);
            KeInitializeThreadedDpc(threaded, Some(dpc_routine), value(2));
            KeInsertQueueDpc(threaded, value(0), value(0));
            KeFlushQueuedDpcs();
            assert_eq!(seen(), ["dpc 2 0 0@0"]);
        }
    });
}

static FIRED: AtomicU32 = AtomicU32::new(0);

unsafe extern "win64" fn timer_routine(_dpc: *mut KDPC, event: PVOID, _first: PVOID, _second: PVOID) {
    if FIRED.fetch_add(1, Ordering::SeqCst) == 2 {
        // SAFETY: the context of the test below.
        unsafe { KeSetEvent(event.cast(), 0, 0) };
    }
}

#[test]
fn timers_expire_wake_and_queue_their_dpcs() {
    with_kernel(Config::default(), |kernel, _| {
        let (timer, dpc, third) = (leak::<KTIMER>(), leak::<KDPC>(), event(false, false));
        // SAFETY: fresh memory, then initialized objects.
        unsafe {
            KeInitializeTimerEx(timer, 1);
            assert_eq!(KeSetTimer(timer, -10_000, std::ptr::null_mut()), 0);
            assert_eq!(wait_one(timer, None), STATUS_SUCCESS);
            assert_eq!((KeReadStateTimer(timer), KeCancelTimer(timer)), (0, 0), "a synchronization timer");
            assert_eq!(KeSetTimer(timer, i64::MIN, std::ptr::null_mut()), 0);
            assert_eq!((*timer).Header.Reserved1, 0x40);
            assert_eq!(KeSetTimer(timer, i64::MIN, std::ptr::null_mut()), 1, "set already");
            assert_eq!((KeCancelTimer(timer), KeCancelTimer(timer)), (1, 0));
            FIRED.store(0, Ordering::SeqCst);
            KeInitializeDpc(dpc, Some(timer_routine), third.cast());
            KeSetTimerEx(timer, -1, 1, dpc);
            assert_eq!(wait_one(third, None), STATUS_SUCCESS);
            assert_eq!(KeCancelTimer(timer), 1, "a periodic timer stays set");
            KeFlushQueuedDpcs();
        }
        assert!(kernel.ke.timers.pending_of(::event::DriverId(0), &(0..usize::MAX)).is_empty());
    });
}

unsafe extern "win64" fn apc_kernel(
    _apc: *mut KAPC,
    _normal: *mut PKNORMAL_ROUTINE,
    _context: *mut PVOID,
    first: *mut PVOID,
    _second: *mut PVOID,
) {
    // SAFETY: what the kernel passes.
    see(&format!("kernel {}", unsafe { *first }.addr()));
}

unsafe extern "win64" fn apc_normal(context: PVOID, first: PVOID, _second: PVOID) {
    see(&format!("normal {} {}", context.addr(), first.addr()));
}

unsafe extern "win64" fn apc_rundown(_apc: *mut KAPC) {
    see("rundown");
}

fn apc(thread: *mut Ethread, normal: bool, mode: i8) -> *mut KAPC {
    let apc = leak();
    let normal: PKNORMAL_ROUTINE = if normal { Some(apc_normal) } else { None };
    // SAFETY: fresh memory, and a thread of the test.
    unsafe { KeInitializeApc(apc, thread, 0, Some(apc_kernel), Some(apc_rundown), normal, mode, value(9)) };
    apc
}

fn queue(apc: *mut KAPC, number: usize) -> u8 {
    // SAFETY: an initialized APC.
    unsafe { KeInsertQueueApc(apc, value(number), value(0), 0) }
}

#[test]
fn r_ctx_04_normal_apcs_wait_for_the_region_and_special_ones_do_not() {
    with_kernel(Config::default(), |_, _| {
        let me = std::ptr::from_ref(current().unwrap()).cast_mut();
        assert_eq!(queue(apc(me, true, 0), 1), 1);
        assert_eq!(seen(), ["kernel 1@1", "normal 9 1@0"]);
        // SAFETY: routines without pointers.
        unsafe {
            KeEnterCriticalRegion();
            let normal = apc(me, true, 0);
            assert_eq!((queue(normal, 2), queue(normal, 2)), (1, 0), "queued already");
            queue(apc(me, false, 0), 3);
            assert_eq!(seen(), ["kernel 3@1"]);
            KeEnterGuardedRegion();
            queue(apc(me, false, 0), 4);
            assert_eq!(seen(), [""; 0]);
            KeLeaveGuardedRegion();
            assert_eq!(seen(), ["kernel 4@1"]);
            KeLeaveCriticalRegion();
            assert_eq!(seen(), ["kernel 2@1", "normal 9 2@0"]);
            KfRaiseIrql(1);
            queue(apc(me, false, 0), 5);
            assert_eq!(seen(), [""; 0]);
            KeLowerIrql(0);
            assert_eq!(seen(), ["kernel 5@1"]);
        }
    });
}

#[test]
fn a_waiting_thread_runs_its_apcs_and_waits_on() {
    static THREAD: AtomicUsize = AtomicUsize::new(0);
    with_kernel(Config::default(), |kernel, _| {
        let event = Shared(event(false, false));
        let waiter = on_another_processor(kernel, move || {
            THREAD.store(std::ptr::from_ref(current().unwrap()).expose_provenance(), Ordering::SeqCst);
            assert_eq!(wait_one(event.get(), None), STATUS_SUCCESS);
        });
        until_waited_for(kernel, event.get());
        let thread = std::ptr::with_exposed_provenance_mut(THREAD.load(Ordering::SeqCst));
        queue(apc(thread, false, 0), 6);
        loop {
            let ran = seen();
            if !ran.is_empty() {
                assert_eq!(ran, ["kernel 6@1"]);
                break;
            }
            std::thread::yield_now();
        }
        until_waited_for(kernel, event.get());
        // SAFETY: an initialized event.
        unsafe { KeSetEvent(event.get(), 0, 0) };
        waiter.join().unwrap();
    });
}

#[test]
fn user_apcs_stay_pending_until_the_thread_ends() {
    with_kernel(Config::default(), |kernel, _| {
        let thread =
            Ethread::new(kernel.ps.system.0.clone(), ::event::ThreadId(4000), ::event::Time(0), false, 0);
        let user = apc(thread.as_ptr(), true, 1);
        assert_eq!(queue(user, 1), 1);
        assert_eq!(seen(), [""; 0]);
        crate::ke::signal_exited(thread.kthread.header());
        assert_eq!(seen(), ["rundown@0"]);
        assert_eq!(queue(user, 1), 0, "the thread has ended");
    });
}

#[test]
fn r_ctx_06_attaching_nests() {
    with_kernel(Config::default(), |kernel, _| {
        let made = |id| {
            let process = ::event::Process { process: ::event::ProcessId(id), ..Default::default() };
            crate::ps::process::Eprocess::new(&process, crate::ps::process::Origin::Present, ::event::Time(0))
        };
        let (one, two) = (made(4000), made(4004));
        let now = || current().unwrap().current_process().id.0;
        let mut states = [KAPC_STATE::default(); 3];
        // SAFETY: processes of the test, and locals.
        unsafe {
            KeStackAttachProcess(one.as_ptr(), &raw mut states[0]);
            KeStackAttachProcess(one.as_ptr(), &raw mut states[1]);
            KeStackAttachProcess(two.as_ptr(), &raw mut states[2]);
            assert_eq!((now(), KeIsAttachedProcess()), (4004, 1));
            KeUnstackDetachProcess(&raw mut states[2]);
            assert_eq!(now(), 4000);
            KeUnstackDetachProcess(&raw mut states[1]);
            assert_eq!(now(), 4000);
            KeUnstackDetachProcess(&raw mut states[0]);
            assert_eq!((now(), KeIsAttachedProcess()), (kernel.ps.system.0.id.0, 0));
            assert_eq!(crate::ob::object::pointer_count(one.as_ptr()), 1);
        }
    });
}
