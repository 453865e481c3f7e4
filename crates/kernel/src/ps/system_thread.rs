//! System threads: those of the host itself, and those that drivers create.
//!
//! A driver's thread is a thread of the platform that is a processor and runs its own thread object. It ends when its
//! start routine returns or calls `PsTerminateSystemThread`, which leaves the driver's frames behind.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use event::{Body, Conditions, DriverId, Leak, LeakKind, Level, ThreadId};
use export_macro::export;
use machine::Irql;
use nt_abi::{
    CLIENT_ID, HANDLE, NTSTATUS, OBJECT_ATTRIBUTES, PKSTART_ROUTINE, PVOID, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

use super::process::{Eprocess, PROCESS_TYPE};
use super::thread::{Ethread, current};
use super::walk;
use crate::ke::region::ApcDisable;
use crate::ob::Ref;
use crate::ob::attributes::Attributes;
use crate::{Kernel, io, ke, kernel};

/// The next id of a system thread: beyond those of live processes and threads, of which either kind has 4 << 22, and of
/// every recorded one. A process whose id is taken could not be looked up.
static NEXT: AtomicU32 = AtomicU32::new(8 << 22);
/// Where the ids of the host's lanes start: far beyond those.
const LANES: u32 = 16 << 22;
/// The next id of a thread of the host's own: these come and go by themselves, and drivers' threads have the same
/// ids in every run.
static NEXT_OF_HOST: AtomicU32 = AtomicU32::new(12 << 22);
/// THREAD_ALL_ACCESS, what a driver gets whatever it asks for.
const THREAD_ALL_ACCESS: u32 = 0x001F_FFFF;
/// ACTIVE_EX_WORKER_THREAD_TERMINATION.
const WORKER_TERMINATED: u32 = 0xE9;
/// KERNEL_APC_PENDING_DURING_EXIT.
const APC_PENDING_DURING_EXIT: u32 = 0x20;

/// A driver's thread that runs.
#[derive(Clone, Copy, Debug)]
struct Running {
    id: ThreadId,
    driver: Option<DriverId>,
    start: usize,
}

/// The threads that drivers created and that have not ended.
#[derive(Debug, Default)]
pub(crate) struct SystemThreads(Mutex<Vec<Running>>);

/// A new system thread in the table of ids, with the lowest id that was never used.
fn new(kernel: &Kernel, ids: &AtomicU32, process: &Ref<Eprocess>, start: u64) -> Ref<Ethread> {
    loop {
        let id = ThreadId(ids.fetch_add(4, Ordering::Relaxed));
        let thread = Ethread::new(process.clone(), id, ke::time::now(), true, start);
        if kernel.ps.cid.insert(id.0, &thread) {
            return thread;
        }
    }
}

/// A system thread for the thread of a lane of the host: lanes start when they like, so their ids are their own.
pub(crate) fn adopt_lane(kernel: &Kernel, lane: u32) -> Ref<Ethread> {
    let id = ThreadId(LANES + lane * 4);
    let thread = Ethread::new(kernel.ps.system.0.clone(), id, ke::time::now(), true, 0);
    kernel.ps.cid.insert(id.0, &thread);
    thread
}

/// A system thread for a thread of the host.
pub(crate) fn adopt(kernel: &Kernel) -> Ref<Ethread> {
    new(kernel, &NEXT_OF_HOST, &kernel.ps.system.0, 0)
}

/// The host's thread is no processor any more: its system thread ends.
pub(crate) fn leave(kernel: &Kernel) {
    let thread = machine::set_current_thread(std::ptr::null_mut()).cast::<Ethread>();
    let Some(thread) = NonNull::new(thread) else { return };
    // SAFETY: the reference that `adopt` gave to the processor.
    let thread = unsafe { Ref::adopt(thread) };
    kernel.ps.cid.remove(thread.id.0, &thread);
}

/// How far a thread that is being started has come: what it and its creator tell each other.
#[derive(Debug, Default)]
struct Start(AtomicU32);

impl Start {
    const NEW: u32 = 0;
    /// The thread is a processor and waits.
    const READY: u32 = 1;
    /// The thread could not become a processor.
    const FAILED: u32 = 2;
    /// Its creator has told everybody.
    const GO: u32 = 3;

    fn set(&self, to: u32) {
        self.0.store(to, Ordering::Release);
        machine::platform().wake(&self.0, u32::MAX);
    }

    /// Waits while it is `state`, and answers what it is then.
    fn wait_while(&self, state: u32) -> u32 {
        loop {
            let now = self.0.load(Ordering::Acquire);
            if now != state {
                return now;
            }
            machine::platform().block(&self.0, state, None);
        }
    }
}

/// What a new thread needs.
struct NewThread {
    kernel: &'static Kernel,
    thread: Ref<Ethread>,
    driver: Option<DriverId>,
    start: usize,
    context: usize,
}

/// Starts a thread of a driver's, which waits until `Start::GO`.
fn spawn(body: NewThread) -> Option<Arc<Start>> {
    let start = Arc::new(Start::default());
    let shared = start.clone();
    let name = format!("system {}", body.thread.id);
    let kernel = body.kernel;
    let spawned = machine::platform().spawn(&name, 0, Box::new(move || run(body, &shared)));
    if let Err(error) = spawned {
        kernel.note(Level::Warning, &format!("a system thread could not be created: {error}"));
        return None;
    }
    (start.wait_while(Start::NEW) == Start::READY).then_some(start)
}

fn run(body: NewThread, state: &Start) {
    let NewThread { kernel, thread, driver, start, context } = body;
    let processor = match machine::Processor::attach() {
        Ok(processor) => processor,
        Err(error) => {
            kernel.note(Level::Warning, &format!("a system thread could not be created: {error}"));
            state.set(Start::FAILED);
            return;
        }
    };
    machine::set_current_thread(thread.as_ptr().cast());
    state.set(Start::READY);
    state.wait_while(Start::READY);
    let ended = machine::call::run_abandonable(|| {
        io::driver::as_driver(driver, start as u64, || {
            // SAFETY: the driver's start routine with its context; it may never come back.
            unsafe { machine::call1(start, context as u64) };
        });
    });
    crate::dbg::flush_line();
    // What PsTerminateSystemThread left behind said who runs.
    machine::pcr::Kpcr::current().set_driver(driver.map_or(0, io::driver::to_tag));
    let status = match ended {
        Ok(()) => STATUS_SUCCESS,
        Err(value) => NTSTATUS::from_u32(u32::try_from(value & 0xFFFF_FFFF).unwrap_or_default()),
    };
    check_state(kernel, &thread);
    machine::pcr::Kpcr::current().set_driver(0);
    thread.set_exited(status, ke::time::now());
    walk::thread_exited(kernel, &thread, Conditions::default());
    crate::dbg::flush_line();
    // From here on the driver may be unloaded: nothing of it runs any more.
    let id = thread.id;
    kernel.ps.system_threads.lock().retain(|running| running.id != id);
    ke::signal_exited(thread.kthread.header());
    machine::set_current_thread(std::ptr::null_mut());
    kernel.ps.cid.remove(id.0, &thread);
    drop(thread);
    drop(processor);
}

/// IRQL and APC-disable counts must be 0 at the end of a thread.
fn check_state(kernel: &Kernel, thread: &Ethread) {
    let irql = machine::irql::current();
    let apcs = ApcDisable::of(thread);
    if apcs.kernel != 0 || apcs.special != 0 {
        machine::bug_check(APC_PENDING_DURING_EXIT, 0, apcs.combined(), irql.level().into(), 0);
    }
    if irql != Irql::PASSIVE {
        let message = format!("a system thread ended at {irql}; lower the IRQL to PASSIVE_LEVEL before");
        kernel.finding(&crate::rule::L_13, &message, None);
        machine::irql::set(Irql::PASSIVE);
    }
}

impl SystemThreads {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says which threads of a driver, which is being unloaded, still run.
pub(crate) fn report_leaks(kernel: &Kernel, driver: DriverId) {
    let left: Vec<_> = kernel
        .ps
        .system_threads
        .lock()
        .iter()
        .filter(|running| running.driver == Some(driver))
        .copied()
        .collect();
    for thread in left {
        let start = ke::stop::frame_at(thread.start as u64);
        let place = match &start.module {
            Some(module) => format!("{module}+{:#x}", start.offset),
            None => format!("{:#x}", thread.start),
        };
        let what = format!("system thread {} that was started at {place}", thread.id).into();
        kernel.record(Body::Leak(Leak { driver, kind: LeakKind::Thread, what, count: 1, bytes: 0 }));
        let message = format!(
            "the driver was unloaded while its system thread {} (started at {place}) runs; it goes on in freed code: in \
             DriverUnload, tell the thread to end and wait for its object",
            thread.id
        );
        let address = thread.start as u64;
        kernel.finding_at(
            Some(driver),
            &crate::rule::L_18,
            &message,
            Some(ke::stop::unloaded_code(address)),
            vec![start],
        );
    }
}

/// Creates a thread that runs in the kernel, in the System process or another one. Source: DDI; R-EXIT-07.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn PsCreateSystemThread(
    handle: *mut HANDLE,
    _access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    process: HANDLE,
    client_id: *mut CLIENT_ID,
    start: PKSTART_ROUTINE,
    context: PVOID,
) -> NTSTATUS {
    let kernel = kernel();
    let Some(start) = start else { return STATUS_INVALID_PARAMETER };
    let flags = if attributes.is_null() {
        0
    } else {
        // SAFETY: the driver's structure.
        match unsafe { Attributes::read(attributes) } {
            Ok(attributes) => attributes.flags,
            Err(status) => return status,
        }
    };
    let process = if process.is_null() {
        kernel.ps.system.0.clone()
    } else {
        match kernel.ob.handles.lookup(process, &PROCESS_TYPE) {
            Ok(process) => process,
            Err(status) => return status,
        }
    };
    let start = (start as *const ()).expose_provenance();
    let driver = kernel.io.driver_at(start).map(|driver| driver.id).or_else(io::current_driver);
    let thread = new(kernel, &NEXT, &process, start as u64);
    let body =
        NewThread { kernel, thread: thread.clone(), driver, start, context: context.expose_provenance() };
    let Some(started) = spawn(body) else {
        kernel.ps.cid.remove(thread.id.0, &thread);
        return STATUS_INSUFFICIENT_RESOURCES;
    };
    kernel.ps.system_threads.lock().push(Running { id: thread.id, driver, start });
    let opened = kernel.ob.handles.insert(thread.clone().erase(), THREAD_ALL_ACCESS, flags);
    // SAFETY: the driver's variables; the second may be null.
    unsafe {
        handle.write(opened);
        if let Some(client_id) = client_id.as_mut() {
            let id = |id: u32| std::ptr::without_provenance_mut(id as usize);
            *client_id = CLIENT_ID { UniqueProcess: id(process.id.0), UniqueThread: id(thread.id.0) };
        }
    }
    if let Some(creator) = current() {
        walk::thread_created(kernel, creator, &thread, Conditions::default());
    }
    started.set(Start::GO);
    STATUS_SUCCESS
}

/// Ends the current thread, which must be a system thread. Source: DDI; bug check 0xE9.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn PsTerminateSystemThread(status: NTSTATUS) -> NTSTATUS {
    let Some(thread) = current() else { return STATUS_INVALID_PARAMETER };
    if !thread.system {
        return STATUS_INVALID_PARAMETER;
    }
    if thread.start == 0 {
        // One of the kernel's own: the worker, or the thread that loads drivers, would be missing from now on.
        machine::bug_check(WORKER_TERMINATED, std::ptr::from_ref(thread).addr() as u64, 0, 0, 0);
    }
    machine::call::abandon(status.as_u32().into());
    // Only where no start routine is below.
    STATUS_INVALID_PARAMETER
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::Config;
    use crate::ke::wait::KeWaitForSingleObject;
    use crate::ps::set::{PsRemoveCreateThreadNotifyRoutine, PsSetCreateThreadNotifyRoutine};
    use crate::ps::thread::THREAD_TYPE;
    use crate::testing::{stops, with_kernel};

    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

    fn see(what: String) {
        SEEN.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    unsafe extern "win64" fn returns(context: PVOID) {
        see(format!("returns {}", context.addr()));
    }

    unsafe extern "win64" fn terminates(context: PVOID) {
        see(format!("terminates {}", context.addr()));
        // SAFETY: a routine without pointers.
        unsafe { PsTerminateSystemThread(NTSTATUS(7)) };
        see("was not terminated".into());
    }

    unsafe extern "win64" fn notify(_process: HANDLE, _thread: HANDLE, create: u8) {
        see(format!("notify {create}"));
    }

    fn create(start: unsafe extern "win64" fn(PVOID), context: usize) -> Ref<Ethread> {
        let mut handle = std::ptr::null_mut();
        let mut client_id = CLIENT_ID::default();
        // SAFETY: locals.
        let status = unsafe {
            let context = std::ptr::without_provenance_mut(context);
            PsCreateSystemThread(
                &raw mut handle,
                0,
                std::ptr::null(),
                std::ptr::null_mut(),
                &raw mut client_id,
                Some(start),
                context,
            )
        };
        assert_eq!(status, STATUS_SUCCESS);
        let thread: Ref<Ethread> = kernel().ob.handles.lookup(handle, &THREAD_TYPE).unwrap();
        assert_eq!(client_id.UniqueThread.addr(), thread.id.0 as usize);
        thread
    }

    fn join(thread: &Ref<Ethread>) {
        // SAFETY: a thread is a dispatcher object.
        let status = unsafe { KeWaitForSingleObject(thread.as_ptr().cast(), 0, 0, 0, std::ptr::null()) };
        assert_eq!(status, STATUS_SUCCESS);
    }

    #[test]
    fn a_system_thread_ends_by_returning_or_terminating() {
        with_kernel(Config::default(), |kernel, _| {
            let first = create(returns, 1);
            join(&first);
            let second = create(terminates, 2);
            join(&second);
            assert_eq!((first.exit_status(), second.exit_status()), (STATUS_SUCCESS, NTSTATUS(7)));
            let seen = std::mem::take(&mut *SEEN.lock().unwrap());
            assert_eq!(seen, ["returns 1", "terminates 2"]);
            assert!(kernel.ps.system_threads.lock().is_empty());
        });
    }

    #[test]
    fn r_exit_07_thread_routines_are_told_of_system_threads() {
        with_kernel(Config::default(), |_, _| {
            let routine = (notify as *const ()).expose_provenance();
            // SAFETY: a routine of this test.
            assert_eq!(unsafe { PsSetCreateThreadNotifyRoutine(routine) }, STATUS_SUCCESS);
            join(&create(returns, 3));
            // SAFETY: as above.
            assert_eq!(unsafe { PsRemoveCreateThreadNotifyRoutine(routine) }, STATUS_SUCCESS);
            let seen = std::mem::take(&mut *SEEN.lock().unwrap());
            assert_eq!(seen, ["notify 1", "returns 3", "notify 0"]);
        });
    }

    #[test]
    fn r_exit_07_routines_of_type_non_system_are_told_of_them_when_chosen() {
        let told = |config| {
            with_kernel(config, |kernel, _| {
                let routine = (notify as *const ()).expose_provenance();
                let flavour = notify::ThreadFlavour::NonSystem;
                let request = notify::Request { routine, flavour, flags: 0, owner: u64::MAX };
                kernel.ps.tables.thread.register(request).unwrap();
                join(&create(returns, 3));
                std::mem::take(&mut *SEEN.lock().unwrap())
            })
        };
        assert_eq!(told(Config::default()), ["returns 3"]);
        let mut chosen = Config::default();
        chosen.choices.set("non-system-kernel-threads", "told").unwrap();
        assert_eq!(told(chosen), ["notify 1", "returns 3"]);
        chosen.choices.set("non-system-exit", "told").unwrap();
        assert_eq!(told(chosen), ["notify 1", "returns 3", "notify 0"]);
    }

    #[test]
    fn the_thread_that_loads_drivers_cannot_be_terminated() {
        with_kernel(Config::default(), |_, records| {
            let stop = stops(records, || {
                // SAFETY: a routine without pointers.
                unsafe { PsTerminateSystemThread(STATUS_SUCCESS) };
            });
            assert_eq!(stop.code, WORKER_TERMINATED);
        });
    }

    #[test]
    fn a_thread_that_runs_while_its_driver_is_unloaded_is_a_leak() {
        static STOP: AtomicUsize = AtomicUsize::new(0);
        unsafe extern "win64" fn runs_on(_context: PVOID) {
            while STOP.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
        }
        with_kernel(Config::default(), |kernel, records| {
            machine::pcr::Kpcr::current().set_driver(io::driver::to_tag(DriverId(5)));
            let thread = create(runs_on, 0);
            machine::pcr::Kpcr::current().set_driver(0);
            report_leaks(kernel, DriverId(5));
            assert_eq!(records.findings(), ["L-18"]);
            STOP.store(1, Ordering::SeqCst);
            join(&thread);
            report_leaks(kernel, DriverId(5));
            assert_eq!(records.findings(), ["L-18"]);
        });
    }
}
