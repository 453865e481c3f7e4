//! One requirement at a time, with routines of our own in place of a driver's. A test's name carries the id.
//!
//! A panic must not cross a routine: routines write down what they see, and the test looks at it afterwards.

mod creation;
mod image;
mod life;
mod registration;
mod termination;
mod veto;

use std::sync::Mutex;

use event::*;
use notify::{ImageFlavour, ProcessFlavour, Request, ThreadFlavour};
use nt_abi::*;

use super::process::Eprocess;
use super::thread::Ethread;
use crate::{Config, Kernel};

type OnProcess = fn(slot: usize, process: &Eprocess, id: usize, info: Option<&mut PS_CREATE_NOTIFY_INFO>);
type OnThread = fn(process: usize, thread: usize, create: bool);
type OnImage = fn(slot: usize, name: Option<&UNICODE_STRING>, process: usize, info: &mut IMAGE_INFO);

/// What the routines of the test that runs do.
static ON_PROCESS: Mutex<Option<OnProcess>> = Mutex::new(None);
static ON_THREAD: Mutex<Option<OnThread>> = Mutex::new(None);
static ON_IMAGE: Mutex<Option<OnImage>> = Mutex::new(None);
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn see(what: impl Into<String>) {
    SEEN.lock().unwrap().push(what.into());
}

fn seen() -> Vec<String> {
    std::mem::take(&mut SEEN.lock().unwrap())
}

fn on<T: Copy>(what: &Mutex<Option<T>>) -> Option<T> {
    *what.lock().unwrap()
}

unsafe extern "win64" fn process<const SLOT: usize>(
    process: &Eprocess,
    id: usize,
    info: *mut PS_CREATE_NOTIFY_INFO,
) {
    if let Some(act) = on(&ON_PROCESS) {
        // SAFETY: null at exit, else valid during the call.
        act(SLOT, process, id, unsafe { info.as_mut() });
    }
}

unsafe extern "win64" fn thread(process: usize, thread: usize, create: u8) {
    if let Some(act) = on(&ON_THREAD) {
        act(process, thread, create != 0);
    }
}

unsafe extern "win64" fn image<const SLOT: usize>(
    name: *const UNICODE_STRING,
    process: usize,
    info: &mut IMAGE_INFO,
) {
    if let Some(act) = on(&ON_IMAGE) {
        // SAFETY: null where there is no name, else valid during the call.
        act(SLOT, unsafe { name.as_ref() }, process, info);
    }
}

macro_rules! address {
    ($routine:expr) => {
        ($routine as *const ()).expose_provenance()
    };
}
use address;

/// A routine that belongs to no driver.
fn request<V>(routine: usize, flavour: V, flags: usize) -> Request<V> {
    Request { routine, flavour, flags, owner: u64::MAX }
}

/// Registers two process routines of the Ex form.
fn watch_processes(kernel: &Kernel, act: OnProcess) {
    *ON_PROCESS.lock().unwrap() = Some(act);
    for routine in [address!(process::<0>), address!(process::<1>)] {
        kernel.ps.tables.process.register(request(routine, ProcessFlavour::Ex, 0)).unwrap();
    }
}

/// Registers a thread routine.
fn watch_threads(kernel: &Kernel, flavour: ThreadFlavour, act: OnThread) {
    *ON_THREAD.lock().unwrap() = Some(act);
    kernel.ps.tables.thread.register(request(address!(thread), flavour, 0)).unwrap();
}

/// Registers two image routines, the second with these flags.
fn watch_images(kernel: &Kernel, flags: usize, act: OnImage) {
    *ON_IMAGE.lock().unwrap() = Some(act);
    kernel.ps.tables.image.register(request(address!(image::<0>), ImageFlavour::Plain, 0)).unwrap();
    kernel.ps.tables.image.register(request(address!(image::<1>), ImageFlavour::Ex, flags)).unwrap();
}

/// Runs a test on a fresh kernel, with nothing left of the test before.
fn with_kernel(test: impl FnOnce(&'static Kernel, &'static crate::testing::Records)) {
    crate::testing::with_kernel(Config::default(), |kernel, records| {
        seen();
        test(kernel, records);
    });
}

/// The thread that creates everything.
const CREATOR: ClientId = ClientId { process: ProcessId(100), thread: ThreadId(104) };

/// The only thread of a process.
fn only_thread(process: u32) -> ClientId {
    ClientId { process: ProcessId(process), thread: ThreadId(process + 4) }
}

fn event(context: ClientId, time: i64, kind: EventKind<'static>) -> Event<'static> {
    Event { time: Time(time), context, kind, conditions: Conditions::default() }
}

/// What is created by default: `/bin/true`, by 100.104, as a child of 96.
fn a_process(process: u32) -> Process<'static> {
    Process {
        process: ProcessId(process),
        parent: ProcessId(96),
        creator: CREATOR,
        first_thread: only_thread(process).thread,
        image: Some(Name::from_unix("/bin/true")),
        command_line: Some("true".into()),
        open_name_available: true,
        ..Process::default()
    }
}

fn an_image(process: u32) -> Image<'static> {
    Image {
        process: ProcessId(process),
        name: Some(Name::from_unix("/bin/true")),
        base: 0x5000_0000,
        size: 0x3000,
        ..Image::default()
    }
}

fn create(kernel: &Kernel, process: Process<'static>) -> Option<crate::Refusal> {
    kernel.deliver_event(&event(process.creator, 1, EventKind::ProcessCreate(process)))
}

fn create_thread(kernel: &Kernel, process: u32) {
    let thread = only_thread(process);
    kernel.deliver_event(&event(CREATOR, 2, EventKind::ThreadCreate(Thread::new(thread))));
}

fn map(kernel: &Kernel, context: ClientId, image: Image<'static>) {
    kernel.deliver_event(&event(context, 3, EventKind::ImageLoad(image)));
}

fn exit_thread(kernel: &Kernel, process: u32, status: NTSTATUS) {
    let thread = only_thread(process);
    kernel.deliver_event(&event(thread, 4, EventKind::ThreadExit(ThreadExit { thread, status })));
}

fn exit(kernel: &Kernel, process: u32, status: NTSTATUS) {
    let exit = ProcessExit { process: ProcessId(process), status };
    kernel.deliver_event(&event(only_thread(process), 5, EventKind::ProcessExit(exit)));
}

/// Whether the id can be looked up, as a process and as a thread: the two statuses.
fn look_up(id: u32) -> (NTSTATUS, NTSTATUS) {
    let (id, mut process, mut thread) = (
        std::ptr::without_provenance_mut(id as usize),
        std::ptr::null_mut(),
        std::ptr::null_mut::<Ethread>(),
    );
    // SAFETY: kernel routines called as a driver would, references given up as they are had.
    unsafe {
        let of_process = super::query::PsLookupProcessByProcessId(id, &mut process);
        if of_process.is_success() {
            crate::ob::reference::ObfDereferenceObject(process.cast());
        }
        let of_thread = super::query::PsLookupThreadByThreadId(id, &mut thread);
        if of_thread.is_success() {
            crate::ob::reference::ObfDereferenceObject(thread.cast());
        }
        (of_process, of_thread)
    }
}

fn text(string: Option<&UNICODE_STRING>) -> String {
    string.map_or("NULL".into(), |string| crate::rtl::text_of(string).to_string())
}
