//! Thread objects.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use event::{ClientId, ThreadId, Time};
use nt_abi::NTSTATUS;

use super::process::Eprocess;
use crate::ke::Kthread;
use crate::ob::{self, ObjectType, Ref};

/// The type of threads: `*PsThreadType`.
pub static THREAD_TYPE: ObjectType =
    ObjectType { name: "Thread", size: size_of::<Ethread>(), delete: Some(delete) };

/// A thread: what drivers know as `ETHREAD`, opaque to them but for the dispatcher header it begins with.
#[repr(C)]
#[derive(Debug)]
pub struct Ethread {
    pub(crate) kthread: Kthread,
    pub(crate) id: ThreadId,
    /// The process it belongs to.
    pub(crate) process: Ref<Eprocess>,
    /// The process whose address space it is attached to; null when that is its own.
    pub(crate) attached: AtomicPtr<Eprocess>,
    /// The process for a mapping of which the thread calls image routines; null outside of them.
    pub(crate) maps_into: AtomicPtr<Eprocess>,
    /// Whether it holds the address-creation lock of that process meanwhile (R-LOCK-01).
    pub(crate) creation_lock: AtomicBool,
    pub(crate) create_time: Time,
    exit_time: AtomicI64,
    exit_status: AtomicI32,
    /// Where its environment block is, the TEB; 0 where it has none, or not any more (R-EXIT-04).
    pub(crate) teb: AtomicU64,
    /// Whether it runs in the kernel only.
    pub(crate) system: bool,
    /// Where a system thread began; 0 for others.
    pub(crate) start: u64,
    /// `IoGetTopLevelIrp`.
    pub(crate) top_level_irp: AtomicPtr<nt_abi::IRP>,
    /// Whether a processor runs it for an event: see [`OnProcessor`].
    occupied: AtomicU32,
}

impl Ethread {
    /// Makes the object of a thread. It is in no table yet.
    pub(crate) fn new(
        process: Ref<Eprocess>,
        id: ThreadId,
        create_time: Time,
        system: bool,
        start: u64,
    ) -> Ref<Self> {
        let body = Self {
            kthread: Kthread::new(system),
            id,
            process,
            attached: AtomicPtr::new(std::ptr::null_mut()),
            maps_into: AtomicPtr::new(std::ptr::null_mut()),
            creation_lock: AtomicBool::new(false),
            create_time,
            exit_time: AtomicI64::new(0),
            exit_status: AtomicI32::new(nt_abi::STATUS_PENDING.0),
            teb: AtomicU64::new(0),
            system,
            start,
            top_level_irp: AtomicPtr::new(std::ptr::null_mut()),
            occupied: AtomicU32::new(FREE),
        };
        let object: NonNull<Self> = ob::create(&THREAD_TYPE, 0);
        // SAFETY: new, of the right size, and nobody else has it.
        unsafe { object.write(body) };
        // SAFETY: the one reference it was created with.
        unsafe { Ref::adopt(object) }
    }

    /// Process and thread id.
    pub(crate) fn client_id(&self) -> ClientId {
        ClientId { process: self.process.id, thread: self.id }
    }

    /// The process whose address space is active: not the thread's own while it is attached (R-CTX-06).
    pub(crate) fn current_process(&self) -> &Eprocess {
        // SAFETY: whoever attaches keeps the process referenced until it detaches.
        unsafe { self.attached.load(Ordering::Relaxed).as_ref() }.unwrap_or(&self.process)
    }

    /// The exit status: `STATUS_PENDING` until the thread has exited.
    pub(crate) fn exit_status(&self) -> NTSTATUS {
        NTSTATUS(self.exit_status.load(Ordering::Acquire))
    }

    /// When it exited; zero until then.
    pub(crate) fn exit_time(&self) -> Time {
        Time(self.exit_time.load(Ordering::Acquire))
    }

    /// Makes status and time of the exit final, before anybody is told of it (R-EXIT-03).
    pub(crate) fn set_exited(&self, status: NTSTATUS, time: Time) {
        self.exit_time.store(time.0, Ordering::Release);
        self.exit_status.store(status.0, Ordering::Release);
    }
}

/// No processor runs the thread.
const FREE: u32 = 0;
/// One does.
const TAKEN: u32 = 1;
/// One does, and another waits for it.
const WAITED: u32 = 2;

/// A processor that runs a thread for an event, until this is dropped.
///
/// A thread is on one processor at a time: what it owns (mutants, resources, its APC counts) is told by who it is. A
/// live source does not stop the thread that created a process, so the next thing that this thread does may come
/// while a routine still works on the one before. On NT it could not have happened yet, so here it waits.
#[derive(Debug)]
pub(crate) struct OnProcessor<'a>(Option<&'a Ethread>);

impl<'a> OnProcessor<'a> {
    /// Takes the thread, or waits until its other processor has left it. A nested event is on the right processor
    /// already.
    pub(crate) fn take(kernel: &crate::Kernel, thread: &'a Ethread) -> Self {
        if std::ptr::eq(machine::current_thread().cast(), thread) {
            return Self(None);
        }
        let word = &thread.occupied;
        if word.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while word.swap(WAITED, Ordering::Acquire) != FREE {
                machine::platform().block(word, WAITED, Some(Duration::from_millis(200)));
                kernel.still_waits();
            }
        }
        Self(Some(thread))
    }
}

impl Drop for OnProcessor<'_> {
    fn drop(&mut self) {
        if let Some(thread) = self.0
            && thread.occupied.swap(FREE, Ordering::Release) == WAITED
        {
            machine::platform().wake(&thread.occupied, 1);
        }
    }
}

impl crate::Kernel {
    /// The watchdog sees that this processor waits for another one, whose routine is the one to blame.
    pub(super) fn still_waits(&self) {
        let running = self.recorder.running(None);
        self.recorder.running(running);
    }
}

/// Drops what a thread object holds.
///
/// # Safety
/// Called by the object manager, once, with the body of a thread that nobody else can reach.
unsafe fn delete(body: *mut u8) {
    // SAFETY: by this function's contract.
    unsafe { body.cast::<Ethread>().drop_in_place() };
}

/// The thread that the processor runs; `None` on a thread of the host that is no processor.
pub(crate) fn current<'a>() -> Option<&'a Ethread> {
    if !machine::is_attached() {
        return None;
    }
    // SAFETY: whoever makes a thread current keeps it referenced until another one is.
    unsafe { machine::current_thread().cast::<Ethread>().as_ref() }
}
