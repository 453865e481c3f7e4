//! The notify routines from end to end inside the kernel, with routines of our own in place of a driver's.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use event::*;
use nt_abi::*;

use super::set::*;
use crate::testing::with_kernel;
use crate::{Config, Kernel};

/// What the test routines were told.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
static DENY: AtomicUsize = AtomicUsize::new(0);

fn seen() -> Vec<String> {
    std::mem::take(&mut SEEN.lock().unwrap())
}

fn see(what: String) {
    let irql = machine::irql::current().level();
    let thread = crate::ps::thread::current().unwrap();
    let apcs = crate::ke::region::ApcDisable::of(thread);
    assert_eq!((irql, apcs.kernel, apcs.special), (0, -1, 0), "R-CTX-01: {what}");
    SEEN.lock().unwrap().push(format!("{what} in {}.{}", thread.process.id, thread.id));
}

unsafe extern "win64" fn plain_process(parent: usize, process: usize, create: u8) {
    see(format!("plain {parent} {process} {create}"));
}

unsafe extern "win64" fn thread(process: usize, thread: usize, create: u8) {
    see(format!("thread {process} {thread} {create}"));
}

unsafe extern "win64" fn image(name: *const UNICODE_STRING, process: usize, info: *const IMAGE_INFO) {
    // SAFETY: valid during the call, which is what is tested.
    let (name, info, extended) = unsafe {
        let extended = &*info.byte_sub(8).cast::<IMAGE_INFO_EX>();
        (crate::rtl::text_of(&*name), &*info, extended)
    };
    assert_eq!(extended.Size, 0x38, "R-II-03");
    assert!(!extended.FileObject.is_null(), "R-II-04");
    see(format!("image {process} {name} {:#x} {:p} {:#x}", info.Properties, info.ImageBase, info.ImageSize));
}

fn creation(process: u32) -> Event<'static> {
    Event {
        time: Time(1),
        context: ClientId { process: ProcessId(100), thread: ThreadId(104) },
        kind: EventKind::ProcessCreate(Process {
            process: ProcessId(process),
            parent: ProcessId(96),
            creator: ClientId { process: ProcessId(100), thread: ThreadId(104) },
            first_thread: ThreadId(process + 4),
            image: Some(Name::from_unix("/bin/true")),
            command_line: Some("true".into()),
            open_name_available: true,
            architecture: Architecture::X64,
            ..Process::default()
        }),
        conditions: event::Conditions::default(),
    }
}

fn in_process(process: u32, kind: EventKind<'static>) -> Event<'static> {
    let context = ClientId { process: ProcessId(process), thread: ThreadId(process + 4) };
    Event { time: Time(2), context, kind, conditions: event::Conditions::default() }
}

/// The life of a process, as a source tells it.
fn life(kernel: &Kernel, process: u32) -> Option<crate::Refusal> {
    let thread = ClientId { process: ProcessId(process), thread: ThreadId(process + 4) };
    let refused = kernel.deliver_event(&creation(process));
    kernel.deliver_event(&Event { kind: EventKind::ThreadCreate(Thread::new(thread)), ..creation(process) });
    let mapped = Image {
        process: ProcessId(process),
        name: Some(Name::from_unix("/bin/true")),
        base: 0x5000_0000,
        size: 0x3000,
        architecture: Architecture::X64,
        partial: false,
        conflicting: false,
        ..Image::default()
    };
    kernel.deliver_event(&in_process(process, EventKind::ImageLoad(mapped)));
    let status = NTSTATUS(3);
    kernel.deliver_event(&in_process(process, EventKind::ThreadExit(ThreadExit { thread, status })));
    kernel.deliver_event(&in_process(
        process,
        EventKind::ProcessExit(ProcessExit { process: ProcessId(process), status }),
    ));
    refused
}

macro_rules! address {
    ($routine:expr) => {
        ($routine as *const ()).expose_provenance()
    };
}

#[test]
fn r_ord_01_a_life_in_order_and_context() {
    with_kernel(Config::default(), |kernel, _| {
        // Routines in no image: the plain forms of image and thread do not ask where they are; the process table is
        // filled directly, as its form asks for a module from Windows 10 on (C3).
        let request = notify::Request {
            routine: address!(plain_process),
            flavour: notify::ProcessFlavour::Plain,
            flags: 0,
            owner: u64::MAX,
        };
        kernel.ps.tables.process.register(request).unwrap();
        // SAFETY: kernel routines called as a driver would.
        unsafe {
            assert_eq!(PsSetCreateThreadNotifyRoutine(address!(thread)), STATUS_SUCCESS);
            assert_eq!(PsSetLoadImageNotifyRoutine(address!(image)), STATUS_SUCCESS);
        }
        assert_eq!(life(kernel, 200), None);
        assert_eq!(
            seen(),
            [
                "plain 96 200 1 in 100.104",
                "thread 200 204 1 in 100.104",
                r"image 200 \Device\HarddiskVolume1\bin\true 0x403 0x50000000 0x3000 in 200.204",
                "thread 200 204 0 in 200.204",
                "plain 96 200 0 in 200.204",
            ]
        );
        // SAFETY: as above.
        unsafe {
            assert_eq!(PsRemoveCreateThreadNotifyRoutine(address!(thread)), STATUS_SUCCESS);
            assert_eq!(PsRemoveCreateThreadNotifyRoutine(address!(thread)), STATUS_PROCEDURE_NOT_FOUND);
            assert_eq!(PsRemoveLoadImageNotifyRoutine(address!(image)), STATUS_SUCCESS);
        }
    });
}

unsafe extern "win64" fn deny(
    process: &super::process::Eprocess,
    id: usize,
    info: *mut PS_CREATE_NOTIFY_INFO,
) {
    assert_eq!(process.id.0 as usize, id);
    // SAFETY: null at exit, else valid during the call.
    match unsafe { info.as_mut() } {
        Some(info) => {
            assert_eq!(info.Size, 0x48);
            assert_eq!(info.Flags, 1, "R-PCI-02");
            // SAFETY: valid during the call.
            let (name, line) = unsafe {
                (crate::rtl::text_of(&*info.ImageFileName), crate::rtl::text_of(&*info.CommandLine))
            };
            see(format!("create {id} {name} {line} {}", info.CreationStatus));
            info.CreationStatus = STATUS_ACCESS_DENIED;
            DENY.store(info.ImageFileName.addr(), Ordering::Relaxed);
        }
        None => see(format!("exit {id} {}", process.exit_status())),
    }
}

unsafe extern "win64" fn later(_: usize, id: usize, info: *mut PS_CREATE_NOTIFY_INFO) {
    // SAFETY: null at exit, else valid during the call.
    if let Some(info) = unsafe { info.as_mut() } {
        see(format!("later {id} {}", info.CreationStatus));
    }
}

#[test]
fn r_veto_a_refusal_is_seen_by_all_and_ends_the_process() {
    with_kernel(Config::default(), |kernel, records| {
        for routine in [address!(deny), address!(later)] {
            let request =
                notify::Request { routine, flavour: notify::ProcessFlavour::Ex, flags: 0, owner: u64::MAX };
            kernel.ps.tables.process.register(request).unwrap();
        }
        // SAFETY: kernel routines called as a driver would.
        unsafe { PsSetLoadImageNotifyRoutine(address!(image)) };
        let refused = life(kernel, 300).unwrap();
        assert_eq!((refused.process, refused.status), (ProcessId(300), STATUS_ACCESS_DENIED));
        assert_eq!(
            seen(),
            [
                r"create 300 \??\C:\bin\true true 0x00000000 (STATUS_SUCCESS) in 100.104",
                "later 300 0xC0000022 (STATUS_ACCESS_DENIED) in 100.104", // R-VETO-04
                // R-VETO-08: no image. R-VETO-07: the exit is announced, with the status of the refusal.
                "exit 300 0xC0000022 (STATUS_ACCESS_DENIED) in 300.304",
            ]
        );
        assert!(
            records
                .all()
                .iter()
                .any(|body| matches!(body, Body::Verdict { status: STATUS_ACCESS_DENIED, .. }))
        );
    });
}

#[test]
fn r_ord_04_clones_are_announced_to_nobody() {
    with_kernel(Config::default(), |kernel, _| {
        let request = notify::Request {
            routine: address!(plain_process),
            flavour: notify::ProcessFlavour::Plain,
            flags: 0,
            owner: u64::MAX,
        };
        kernel.ps.tables.process.register(request).unwrap();
        let EventKind::ProcessCreate(process) = creation(400).kind else { unreachable!() };
        kernel.deliver_event(&Event { kind: EventKind::ProcessClone(process.clone()), ..creation(400) });
        let exit = EventKind::ProcessExit(ProcessExit { process: ProcessId(400), status: NTSTATUS(0) });
        kernel.deliver_event(&in_process(400, exit));
        assert!(seen().is_empty());
        // R-ORD-05: one that was there before is not announced as created, but its exit is.
        kernel.deliver_event(&Event { kind: EventKind::ProcessPresent(process), ..creation(400) });
        let exit = EventKind::ProcessExit(ProcessExit { process: ProcessId(400), status: NTSTATUS(0) });
        kernel.deliver_event(&in_process(400, exit));
        assert_eq!(seen(), ["plain 96 400 0 in 400.404"]);
    });
}

#[test]
fn r_int_01_r_reg_13_s_procex_3_ex_forms_want_force_integrity_and_removals_do_not() {
    with_kernel(Config::default(), |_, _| {
        // SAFETY: kernel routines called as a driver would.
        unsafe {
            assert_eq!(PsSetCreateProcessNotifyRoutineEx(address!(deny), 0), STATUS_ACCESS_DENIED);
            assert_eq!(PsSetCreateProcessNotifyRoutineEx2(0, address!(deny), 0), STATUS_ACCESS_DENIED);
            assert_eq!(PsSetCreateProcessNotifyRoutineEx2(1, address!(deny), 0), STATUS_INVALID_PARAMETER);
            assert_eq!(PsSetCreateThreadNotifyRoutineEx(0, address!(thread)), STATUS_ACCESS_DENIED);
            assert_eq!(PsSetLoadImageNotifyRoutineEx(address!(image), 2), STATUS_INVALID_PARAMETER_2);
            // R-REG-13: removal checks no integrity, but there is nothing to remove.
            assert_eq!(PsSetCreateProcessNotifyRoutineEx(address!(deny), 1), STATUS_PROCEDURE_NOT_FOUND);
        }
    });
}

/// How many calls of [`alone`] run now, and whether there ever was more than one.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
static TOGETHER: AtomicUsize = AtomicUsize::new(0);

unsafe extern "win64" fn alone(_: usize, _: usize, _: u8) {
    TOGETHER.fetch_max(INSIDE.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
    for _ in 0..100 {
        std::thread::yield_now();
    }
    INSIDE.fetch_sub(1, Ordering::SeqCst);
}

#[test]
fn r_ctx_06_a_thread_runs_on_one_processor_at_a_time() {
    with_kernel(Config::default(), |kernel, records| {
        let request = notify::Request {
            routine: address!(alone),
            flavour: notify::ProcessFlavour::Plain,
            flags: 0,
            owner: u64::MAX,
        };
        kernel.ps.tables.process.register(request).unwrap();
        // Thread 104 creates all of them, and a live source does not stop it meanwhile.
        let other = crate::testing::on_another_processor(kernel, move || {
            for process in 0..40 {
                kernel.deliver_event(&creation(10_000 + process * 8));
            }
        });
        for process in 0..40 {
            kernel.deliver_event(&creation(20_000 + process * 8));
        }
        other.join().unwrap();
        assert_eq!(TOGETHER.load(Ordering::SeqCst), 0);
        assert!(records.findings().is_empty());
    });
}

unsafe extern "win64" fn mapped(_: usize, process: usize, info: *const IMAGE_INFO) {
    let thread = crate::ps::thread::current().unwrap();
    // SAFETY: valid during the call.
    let properties = unsafe { (*info).Properties };
    let now_in = thread.current_process().id;
    SEEN.lock().unwrap().push(format!("{process} {properties:#x} {} in {now_in}", thread.process.id));
}

fn map(process: u32) -> Event<'static> {
    let image = Image {
        process: ProcessId(process),
        name: Some(Name::from_unix("/lib/a")),
        base: 0x5000_0000,
        size: 0x3000,
        architecture: Architecture::X64,
        partial: false,
        conflicting: false,
        ..Image::default()
    };
    Event { kind: EventKind::ImageLoad(image), ..creation(200) }
}

#[test]
fn r_ctx_06_who_maps_into_another_process_is_attached_to_it() {
    with_kernel(Config::default(), |kernel, _| {
        // SAFETY: a routine of this test.
        unsafe { PsSetLoadImageNotifyRoutine(address!(mapped)) };
        kernel.deliver_event(&creation(200));
        for process in [200, 100, 0] {
            kernel.deliver_event(&map(process));
        }
        // R-IMG-01: process 0 is the kernel, and only its images are system mode images.
        assert_eq!(seen(), ["200 0x403 100 in 200", "100 0x403 100 in 100", "0 0x503 100 in 100"]);
        let mapper =
            kernel.ps.cid.lookup::<super::thread::Ethread>(104, &super::thread::THREAD_TYPE).unwrap();
        assert!(mapper.attached.load(Ordering::Relaxed).is_null());
        let target =
            kernel.ps.cid.lookup::<super::process::Eprocess>(200, &super::process::PROCESS_TYPE).unwrap();
        // The table, its first thread, and this test: nothing was leaked.
        // SAFETY: this test's reference.
        assert_eq!(unsafe { crate::ob::object::pointer_count(target.as_ptr()) }, 3);
    });
}

#[test]
fn ids_that_are_used_again_lead_to_what_has_them_now() {
    use super::process::{Eprocess, PROCESS_TYPE};
    use super::thread::{Ethread, THREAD_TYPE};
    with_kernel(Config::default(), |kernel, _| {
        let request = notify::Request {
            routine: address!(deny),
            flavour: notify::ProcessFlavour::Ex,
            flags: 0,
            owner: u64::MAX,
        };
        kernel.ps.tables.process.register(request).unwrap();
        // Of a refused process nothing stays, although another thread than its first one ends it.
        assert!(kernel.deliver_event(&creation(300)).is_some());
        let status = NTSTATUS(0);
        let exit = EventKind::ProcessExit(ProcessExit { process: ProcessId(300), status });
        let context = ClientId { process: ProcessId(300), thread: ThreadId(308) };
        kernel.deliver_event(&Event {
            time: Time(3),
            context,
            kind: exit,
            conditions: event::Conditions::default(),
        });
        for id in [300, 304, 308] {
            assert!(kernel.ps.cid.lookup::<Ethread>(id, &THREAD_TYPE).is_none(), "{id}");
            assert!(kernel.ps.cid.lookup::<Eprocess>(id, &PROCESS_TYPE).is_none(), "{id}");
        }
        // A thread whose exit was lost does not hide the process that has its id.
        let lost =
            EventKind::ThreadCreate(Thread::new(ClientId { process: ProcessId(100), thread: ThreadId(500) }));
        kernel.deliver_event(&Event { kind: lost, ..creation(500) });
        kernel.deliver_event(&creation(500));
        assert!(kernel.ps.cid.lookup::<Eprocess>(500, &PROCESS_TYPE).is_some());
        let exit = EventKind::ProcessExit(ProcessExit { process: ProcessId(500), status });
        kernel.deliver_event(&in_process(500, exit));
        assert!(seen().iter().any(|what| what.starts_with("exit 500")));
        // A source lists System among what is there: it stays what it is.
        let EventKind::ProcessCreate(system) = creation(4).kind else { unreachable!() };
        kernel.deliver_event(&Event { kind: EventKind::ProcessPresent(system), ..creation(4) });
        let found = kernel.ps.cid.lookup::<Eprocess>(4, &PROCESS_TYPE).unwrap();
        assert_eq!(found.as_ptr(), kernel.ps.system.0.as_ptr());
    });
}
