//! The kernel proper: threads and processes as the dispatcher sees them, waiting, time, IRQL, stops.
//!
//! ```text
//!   kthread.rs  KTHREAD and KPROCESS     dispatcher.rs  who waits for what ◀── event.rs mutex.rs timer.rs
//!   apc.rs      APCs of a thread         wait.rs        KeWaitFor…          blocked.rs   who waits for whom
//!   attach.rs   other address spaces     dpc.rs         DPCs; timer.rs has the thread they share
//!   region.rs   critical and guarded regions            irql.rs  spinlock.rs
//!   time.rs     the clock; clock.rs asks it  processor.rs   how many, which one
//!   stop.rs     bug checks               bugcheck.rs    those that drivers ask for
//!   stack.rs    larger stacks            stack_use.rs   how much of them routines use
//! ```

pub mod apc;
pub mod attach;
pub(crate) mod blocked;
pub mod bugcheck;
mod call_site;
pub mod clock;
pub(crate) mod dispatcher;
pub mod dpc;
pub mod event;
pub mod irql;
mod kthread;
pub(crate) mod lock_order;
pub mod mutex;
pub mod processor;
pub mod queue;
pub mod region;
pub mod spinlock;
pub mod stack;
pub(crate) mod stack_use;
#[cfg(test)]
mod stale_code_tests;
pub mod stop;
pub mod time;
pub mod timer;
pub mod virtual_clock;
pub mod wait;

use std::sync::atomic::Ordering;

pub(crate) use kthread::{Kprocess, Kthread};

use machine::Irql;
use nt_abi::DISPATCHER_HEADER;

use crate::ps::thread::{Ethread, current};
use crate::{Config, Kernel};

/// What the dispatcher keeps.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) dispatcher: dispatcher::Dispatcher,
    pub(crate) dpcs: dpc::Dpcs,
    pub(crate) timers: timer::Timers,
    pub(crate) lock_order: lock_order::LockOrder,
    pub(crate) blocked: blocked::Blocked,
}

impl State {
    pub(crate) fn new(_: &Config) -> Self {
        Self {
            dispatcher: dispatcher::Dispatcher::default(),
            dpcs: dpc::Dpcs::default(),
            timers: timer::Timers::default(),
            lock_order: lock_order::LockOrder::default(),
            blocked: blocked::Blocked::default(),
        }
    }
}

/// A process or a thread is gone: whoever waits for it wakes.
pub(crate) fn signal_exited(header: *mut DISPATCHER_HEADER) {
    let object = header.expose_provenance();
    // SAFETY: the header of a process or thread that the caller holds.
    let thread = unsafe { (*header).Type } == nt_abi::ThreadObject;
    if thread {
        // SAFETY: a thread object begins with its KTHREAD, and that with its header.
        apc::run_down(unsafe { &*header.cast::<Ethread>() });
    }
    let mut waiters = crate::kernel().ke.dispatcher.lock();
    if thread {
        waiters.abandon_mutants(object);
    }
    // SAFETY: as above.
    unsafe {
        dispatcher::set_state(object, 1);
        waiters.signal(object, dispatcher::acting_thread());
    }
}

/// The processor leaves `thread`: what was queued to it and held back is delivered now.
pub(crate) fn leave_kernel(_kernel: &Kernel, thread: &Ethread) {
    if thread.kthread.apcs.pending.load(Ordering::Relaxed) {
        apc::deliver(thread);
    }
}

/// The level of this processor was lowered: what it held back runs now.
pub(crate) fn irql_lowered(from: Irql, to: Irql) {
    let kernel = crate::kernel();
    if from >= Irql::DISPATCH && to < Irql::DISPATCH {
        dpc::run_pending(kernel);
    }
    if to < Irql::APC
        && let Some(thread) = current()
    {
        leave_kernel(kernel, thread);
    }
}

#[cfg(test)]
mod apc_tests;
#[cfg(test)]
mod blocked_tests;
#[cfg(test)]
mod tests;
