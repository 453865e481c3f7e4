//! Threads and processes as the dispatcher sees them.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicI16, AtomicI32, AtomicU8};

use nt_abi::DISPATCHER_HEADER;

use super::apc::Apcs;

/// `KPROCESS`: what drivers wait on when they wait on a process.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Kprocess {
    header: UnsafeCell<DISPATCHER_HEADER>,
}

// SAFETY: the header is touched only by the dispatcher, under its lock.
unsafe impl Sync for Kprocess {}
// SAFETY: it is plain memory.
unsafe impl Send for Kprocess {}

/// `KTHREAD`: what drivers wait on when they wait on a thread, and what the dispatcher keeps of it.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Kthread {
    header: UnsafeCell<DISPATCHER_HEADER>,
    /// 0, or minus the number of critical regions entered.
    pub(crate) kernel_apc_disable: AtomicI16,
    /// 0, or minus the number of guarded regions entered.
    pub(crate) special_apc_disable: AtomicI16,
    /// 0 for kernel mode, 1 for user mode: `ExGetPreviousMode`.
    pub(crate) previous_mode: AtomicU8,
    /// What `KeSetPriorityThread` left.
    pub(crate) priority: AtomicI32,
    /// What was queued to it.
    pub(crate) apcs: Apcs,
}

// SAFETY: the header is touched only by the dispatcher, under its lock; the rest is atomic or locked.
unsafe impl Sync for Kthread {}
// SAFETY: it is plain memory.
unsafe impl Send for Kthread {}

impl Kprocess {
    pub(crate) fn new() -> Self {
        Self { header: UnsafeCell::new(header(nt_abi::ProcessObject)) }
    }

    /// The dispatcher header, for the dispatcher.
    pub(crate) fn header(&self) -> *mut DISPATCHER_HEADER {
        self.header.get()
    }
}

impl Kthread {
    pub(crate) fn new(system: bool) -> Self {
        Self {
            header: UnsafeCell::new(header(nt_abi::ThreadObject)),
            kernel_apc_disable: AtomicI16::new(0),
            special_apc_disable: AtomicI16::new(0),
            previous_mode: AtomicU8::new(u8::from(!system)),
            // The normal priority of a process's threads.
            priority: AtomicI32::new(8),
            apcs: Apcs::default(),
        }
    }

    /// The dispatcher header, for the dispatcher.
    pub(crate) fn header(&self) -> *mut DISPATCHER_HEADER {
        self.header.get()
    }
}

/// A header that is not signalled and has no waiters. Its list head stays empty: an object has no address yet
/// when this is called.
fn header(kind: u8) -> DISPATCHER_HEADER {
    DISPATCHER_HEADER { Type: kind, ..DISPATCHER_HEADER::default() }
}
