//! APCs: what a thread is made to run.
//!
//! Kernel APCs run as soon as their thread may: at once when it is the current one, when it leaves the region
//! or the IRQL that holds them back, when it waits, or when an event next runs in its context. User APCs stay
//! pending, as no code of user mode runs here; what is still queued when a thread ends is run down.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use export_macro::export;
use machine::Irql;
use nt_abi::{
    ApcObject, KAPC, KernelMode, NTSTATUS, PKKERNEL_ROUTINE, PKNORMAL_ROUTINE, PKRUNDOWN_ROUTINE, PVOID,
    STATUS_NOT_SUPPORTED, UserMode,
};

use crate::io::driver::as_driver;
use crate::ps::thread::{Ethread, THREAD_TYPE, current};
use crate::{io, kernel, ob};

/// Addresses of the `KAPC`s of a thread, in their order.
#[derive(Debug, Default)]
struct Queues {
    kernel: VecDeque<usize>,
    user: VecDeque<usize>,
    /// The thread has ended: nothing can be queued any more.
    closed: bool,
}

/// What was queued to a thread.
#[derive(Debug, Default)]
pub(crate) struct Apcs {
    queues: Mutex<Queues>,
    /// There is a kernel APC: all that is looked at where there is none.
    pub(crate) pending: AtomicBool,
    /// A normal kernel APC runs.
    in_progress: AtomicBool,
    /// `UserApcPending`: user APCs would run on the way to user mode.
    user_pending: AtomicBool,
}

impl Apcs {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn apc_at(address: usize) -> *mut KAPC {
    std::ptr::with_exposed_provenance_mut(address)
}

/// The address of a routine of a driver's, 0 for none.
macro_rules! address_of {
    ($routine:expr) => {
        $routine.map_or(0, |routine| (routine as *const ()).expose_provenance())
    };
}
pub(crate) use address_of;

/// Runs `run`, which calls the driver routine at `routine`, as the driver whose image that lies in.
pub(crate) fn as_owner_of<T>(routine: usize, run: impl FnOnce() -> T) -> T {
    let owner = kernel().io.driver_at(routine).map(|driver| driver.id).or_else(io::current_driver);
    as_driver(owner, routine as u64, run)
}

/// Runs the kernel APCs of the current thread that may run now.
#[cold]
pub(crate) fn deliver(thread: &Ethread) {
    let kthread = &thread.kthread;
    while kthread.special_apc_disable.load(Ordering::Relaxed) == 0 {
        let irql = machine::irql::current();
        if irql >= Irql::APC {
            return;
        }
        let mut queues = kthread.apcs.lock();
        let Some(&address) = queues.kernel.front() else {
            kthread.apcs.pending.store(false, Ordering::Relaxed);
            return;
        };
        let apc = apc_at(address);
        // SAFETY: a queued APC stays its thread's until it was taken out.
        let copy = unsafe { apc.read_volatile() };
        // Special ones stand before all normal ones.
        let held_back = kthread.kernel_apc_disable.load(Ordering::Relaxed) != 0
            || kthread.apcs.in_progress.load(Ordering::Relaxed);
        if copy.NormalRoutine.is_some() && held_back {
            return;
        }
        queues.kernel.pop_front();
        // SAFETY: as above; from here on it may be queued again, or freed by its kernel routine.
        unsafe { (&raw mut (*apc).Inserted).write_volatile(0) };
        drop(queues);
        let (normal, [context, argument1, argument2]) = call_kernel_routine(apc, &copy, irql);
        if normal != 0 {
            kthread.apcs.in_progress.store(true, Ordering::Relaxed);
            as_owner_of(normal, || {
                // SAFETY: the driver's routine with the arguments that it left.
                unsafe { machine::call3(normal, context, argument1, argument2) }
            });
            kthread.apcs.in_progress.store(false, Ordering::Relaxed);
        }
    }
}

/// Calls the kernel routine of an APC at APC_LEVEL, which may change what is called next.
fn call_kernel_routine(apc: *mut KAPC, copy: &KAPC, irql: Irql) -> (usize, [u64; 3]) {
    let mut normal = address_of!(copy.NormalRoutine) as u64;
    let mut values = [copy.NormalContext, copy.SystemArgument1, copy.SystemArgument2]
        .map(|value| value.expose_provenance() as u64);
    let routine = address_of!(copy.KernelRoutine);
    if routine != 0 {
        let [context, argument1, argument2] =
            values.each_mut().map(|value| (&raw mut *value).expose_provenance() as u64);
        let normal_at = (&raw mut normal).expose_provenance() as u64;
        machine::irql::set(Irql::APC);
        as_owner_of(routine, || {
            let arguments = [apc.expose_provenance() as u64, normal_at, context, argument1, argument2, 0];
            // SAFETY: the driver's routine, with pointers to locals of ours.
            unsafe { machine::call_driver(routine, arguments) }
        });
        machine::irql::set(irql);
    }
    (usize::try_from(std::hint::black_box(normal)).unwrap_or(0), std::hint::black_box(values))
}

/// Whether a user APC would end an alertable wait of the thread; if so, it is pending from now on.
pub(crate) fn user_apc_waits(thread: &Ethread) -> bool {
    let waits = !thread.kthread.apcs.lock().user.is_empty();
    if waits {
        thread.kthread.apcs.user_pending.store(true, Ordering::Relaxed);
    }
    waits
}

/// A thread has ended: what is still queued to it is run down. Source: DDI of the rundown routine.
pub(crate) fn run_down(thread: &Ethread) {
    let left: Vec<usize> = {
        let mut queues = thread.kthread.apcs.lock();
        queues.closed = true;
        let Queues { kernel, user, .. } = &mut *queues;
        kernel.drain(..).chain(user.drain(..)).collect()
    };
    thread.kthread.apcs.pending.store(false, Ordering::Relaxed);
    for address in left {
        let apc = apc_at(address);
        // SAFETY: it was queued until just now, so it is still the driver's allocation.
        let routine = unsafe {
            (&raw mut (*apc).Inserted).write_volatile(0);
            address_of!((*apc).RundownRoutine)
        };
        if routine != 0 {
            as_owner_of(routine, || {
                // SAFETY: the driver's routine with its APC.
                unsafe { machine::call1(routine, address as u64) }
            });
        } else {
            // Without one, NT frees the APC itself; one that is not pool memory is left alone.
            let _ = kernel().ex.pool.free(address, crate::ex::pool::Tag(0));
        }
    }
}

/// Fills in an APC for a thread. It is special when it has no normal routine. Not documented by Microsoft.
#[export(irql any)]
pub unsafe extern "win64" fn KeInitializeApc(
    apc: *mut KAPC,
    thread: *mut Ethread,
    environment: u32,
    kernel_routine: PKKERNEL_ROUTINE,
    rundown_routine: PKRUNDOWN_ROUTINE,
    normal_routine: PKNORMAL_ROUTINE,
    mode: i8,
    context: PVOID,
) {
    let (mode, context) = match normal_routine {
        Some(_) => (mode, context),
        None => (KernelMode, std::ptr::null_mut()),
    };
    // SAFETY: the driver's APC.
    unsafe {
        apc.write(KAPC {
            Type: ApcObject,
            Size: u8::try_from(size_of::<KAPC>()).unwrap_or(0),
            Thread: thread.cast(),
            KernelRoutine: kernel_routine,
            RundownRoutine: rundown_routine,
            NormalRoutine: normal_routine,
            NormalContext: context,
            ApcStateIndex: i8::try_from(environment).unwrap_or(0),
            ApcMode: mode,
            ..KAPC::default()
        });
    }
}

/// Queues an APC to its thread and says whether that was possible. Not documented by Microsoft; R-CTX-04.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeInsertQueueApc(
    apc: *mut KAPC,
    argument1: PVOID,
    argument2: PVOID,
    _increment: i32,
) -> u8 {
    // SAFETY: the driver's APC, initialized.
    let (thread, special, user) = unsafe {
        let thread = (*apc).Thread.cast::<Ethread>();
        (thread, (*apc).NormalRoutine.is_none(), (*apc).ApcMode == UserMode)
    };
    // SAFETY: the driver holds a reference on the thread; what is none has no header of ours.
    let thread = match unsafe { ob::type_of(thread) } {
        // SAFETY: it is a thread, and referenced.
        Some(kind) if std::ptr::eq(kind, &THREAD_TYPE) => unsafe { &*thread },
        _ => return 0,
    };
    {
        let mut queues = thread.kthread.apcs.lock();
        // SAFETY: the driver's APC, readable as shown above.
        if queues.closed || unsafe { (*apc).Inserted } != 0 {
            return 0;
        }
        // SAFETY: as above.
        unsafe {
            (*apc).SystemArgument1 = argument1;
            (*apc).SystemArgument2 = argument2;
            (*apc).Inserted = 1;
        }
        let address = apc.expose_provenance();
        if user && !special {
            queues.user.push_back(address);
        } else if special {
            // SAFETY: what is queued is the thread's.
            let is_special = |&other: &usize| unsafe { (*apc_at(other)).NormalRoutine.is_none() };
            let place = queues.kernel.iter().take_while(|other| is_special(other)).count();
            queues.kernel.insert(place, address);
        } else {
            queues.kernel.push_back(address);
        }
        if !user || special {
            thread.kthread.apcs.pending.store(true, Ordering::Release);
        }
    }
    if current().is_some_and(|now| std::ptr::eq(now, thread)) {
        super::leave_kernel(kernel(), thread);
    } else {
        let at = std::ptr::from_ref(thread).expose_provenance();
        kernel().ke.dispatcher.lock().kick(at);
    }
    1
}

/// Takes an APC out of its queue and says whether it was there. Not documented by Microsoft.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeRemoveQueueApc(apc: *mut KAPC) -> u8 {
    // SAFETY: the driver's APC, whose thread it holds a reference on.
    let Some(thread) = (unsafe { (*apc).Thread.cast::<Ethread>().as_ref() }) else { return 0 };
    let mut queues = thread.kthread.apcs.lock();
    let address = apc.expose_provenance();
    let before = queues.kernel.len() + queues.user.len();
    queues.kernel.retain(|&other| other != address);
    queues.user.retain(|&other| other != address);
    if queues.kernel.len() + queues.user.len() == before {
        return 0;
    }
    // SAFETY: as above.
    unsafe { (*apc).Inserted = 0 };
    1
}

/// Says whether the thread was alerted, and makes user APCs that are queued pending. Not documented; R-CTX-04.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeTestAlertThread(mode: i8) -> u8 {
    if mode == UserMode
        && let Some(thread) = current()
    {
        user_apc_waits(thread);
    }
    // Nothing here alerts a thread otherwise.
    0
}

/// Turns an APC for 32-bit code into one for the code that enters it; fails, as no process here has that code. Not
/// documented by Microsoft.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn PsWrapApcWow64Thread(_context: *mut PVOID, _routine: *mut PVOID) -> NTSTATUS {
    STATUS_NOT_SUPPORTED
}
