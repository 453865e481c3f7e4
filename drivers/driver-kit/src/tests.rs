//! The whole kit against the simulated kernel: from DriverEntry over notices to the unload.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::abi::{
    ClientIdPair, CreateNotifyInfo, DriverObject, Handle, ImageInfo, ImageInfoEx, UnicodeString,
};
use crate::nt::simulated::machine;
use crate::{
    Driver, Entry, ImageHandler, ImageLoaded, ImageNotify, NtStatus, Parameters, ProcessCreated,
    ProcessExited, ProcessHandler, ProcessNotify, ThreadCreated, ThreadExited, ThreadHandler, ThreadNotify,
    Verdict,
};

/// The kit's slots belong to the driver, of which a test program is but one: tests that register take
/// turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn id(number: usize) -> Handle {
    ptr::without_provenance_mut(number)
}

fn counted(units: &[u16]) -> UnicodeString {
    let length = u16::try_from(units.len() * 2).unwrap();
    UnicodeString { length, maximum_length: length, buffer: units.as_ptr() }
}

fn utf16(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// Notes what it is told, and counts its drops.
struct Notebook {
    lines: Mutex<Vec<String>>,
    verdict: Verdict,
    drops: Arc<AtomicU32>,
}

impl Notebook {
    fn new(verdict: Verdict) -> Arc<Self> {
        Arc::new(Self { lines: Mutex::default(), verdict, drops: Arc::default() })
    }

    fn note(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Drop for Notebook {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

impl ProcessHandler for Notebook {
    fn created(&self, notice: &ProcessCreated<'_>) -> Verdict {
        let (creator, so_far) = (notice.creator(), notice.status_so_far());
        self.note(format!(
            "create {} {} {}.{} {:?} {:?} exact={} subsystem={} {so_far}",
            notice.pid(),
            notice.parent(),
            creator.process,
            creator.thread,
            notice.image_name(),
            notice.command_line(),
            notice.file_open_name_available(),
            notice.is_subsystem()
        ));
        self.verdict
    }

    fn exited(&self, notice: &ProcessExited<'_>) {
        self.note(format!("exit {} {}", notice.pid(), notice.status()));
    }
}

impl ThreadHandler for Notebook {
    fn created(&self, notice: &ThreadCreated<'_>) {
        self.note(format!("thread {} {}", notice.pid(), notice.tid()));
    }

    fn exited(&self, notice: &ThreadExited<'_>) {
        self.note(format!("thread-exit {} {}", notice.pid(), notice.tid()));
    }
}

impl ImageHandler for Notebook {
    fn loaded(&self, notice: &ImageLoaded<'_>) {
        let file = notice.file_object().map(|file| file.addr());
        self.note(format!(
            "image {:?} {:?} {:#x} {:#x} {:#x} {file:x?}",
            notice.pid().map(|pid| pid.get()),
            notice.full_image_name(),
            notice.base(),
            notice.size(),
            notice.properties().bits()
        ));
    }
}

fn create_info(image: *const UnicodeString, status: NtStatus) -> CreateNotifyInfo {
    CreateNotifyInfo {
        size: size_of::<CreateNotifyInfo>(),
        flags: 1,
        parent: id(8),
        creator: ClientIdPair { process: id(12), thread: id(16) },
        file_object: ptr::null_mut(),
        image_file_name: image,
        command_line: ptr::null(),
        creation_status: status.raw(),
    }
}

/// Calls the only process routine with a creation, and gives the status after it.
fn announce(status: NtStatus) -> NtStatus {
    let image = utf16(r"\??\C:\a");
    let image = counted(&image);
    let mut info = create_info(&raw const image, status);
    let mut object = 0_i32;
    let routine = machine(|machine| machine.processes[0]);
    // SAFETY: all arguments are what the routine's contract asks for.
    unsafe { routine((&raw mut object).cast(), id(4), &raw mut info) };
    NtStatus::from_raw(info.creation_status)
}

#[test]
fn a_creation_and_an_exit_reach_the_handler() {
    let _turn = alone();
    let notebook = Notebook::new(Verdict::Allow);
    let guard = ProcessNotify::register(notebook.clone()).unwrap();
    assert_eq!(announce(NtStatus::SUCCESS), NtStatus::SUCCESS);
    let mut status = NtStatus::ACCESS_DENIED.raw();
    let routine = machine(|machine| machine.processes[0]);
    // SAFETY: as above; a null structure is an exit.
    unsafe { routine((&raw mut status).cast(), id(4), ptr::null_mut()) };
    assert_eq!(
        notebook.lines(),
        [r#"create 4 8 12.16 Some("\??\C:\a") None exact=true subsystem=false 0x0"#, "exit 4 0xC0000022"]
    );
    drop(guard);
}

#[test]
fn verdicts() {
    let _turn = alone();
    let earlier = NtStatus::UNSUCCESSFUL;
    for (verdict, before, after) in [
        (Verdict::Allow, NtStatus::SUCCESS, NtStatus::SUCCESS),
        // To allow is not to overrule another driver's refusal.
        (Verdict::Allow, earlier, earlier),
        (Verdict::Deny(NtStatus::INVALID_PARAMETER), NtStatus::SUCCESS, NtStatus::INVALID_PARAMETER),
        (Verdict::Deny(NtStatus::INVALID_PARAMETER), earlier, NtStatus::INVALID_PARAMETER),
        // A success would refuse nothing.
        (Verdict::Deny(NtStatus::SUCCESS), NtStatus::SUCCESS, NtStatus::ACCESS_DENIED),
    ] {
        let _guard = ProcessNotify::register(Notebook::new(verdict)).unwrap();
        assert_eq!(announce(before), after, "{verdict:?} after {before}");
    }
}

#[test]
fn threads_reach_the_handler() {
    let _turn = alone();
    let notebook = Notebook::new(Verdict::Allow);
    let _guard = ThreadNotify::register(notebook.clone()).unwrap();
    let routine = machine(|machine| machine.threads[0]);
    // SAFETY: the routine takes ids only.
    unsafe { routine(id(4), id(8), 1) };
    // SAFETY: as above.
    unsafe { routine(id(4), id(8), 0) };
    assert_eq!(notebook.lines(), ["thread 4 8", "thread-exit 4 8"]);
}

#[test]
fn images_reach_the_handler_with_or_without_extended_information() {
    let _turn = alone();
    let notebook = Notebook::new(Verdict::Allow);
    let _guard = ImageNotify::register(notebook.clone()).unwrap();
    let routine = machine(|machine| machine.images[0]);
    let info =
        ImageInfo { properties: 0x403, base: id(0x10000), selector: 0, size: 0x2000, section_number: 0 };
    let mut extended = ImageInfoEx { size: 0x38, info, file_object: id(0x77) };
    let whole = &raw mut extended;
    // SAFETY: the field of a live structure.
    let inner = unsafe { &raw mut (*whole).info };
    // SAFETY: all arguments are what the routine's contract asks for.
    unsafe { routine(ptr::null(), id(4), inner) };
    let mut plain = ImageInfo { properties: 0x103, ..info };
    let name = utf16("x.sys");
    let name = counted(&name);
    // SAFETY: as above.
    unsafe { routine(&raw const name, ptr::null_mut(), &raw mut plain) };
    assert_eq!(
        notebook.lines(),
        [
            "image Some(4) None 0x10000 0x2000 0x403 Some(77)",
            r#"image None Some("x.sys") 0x10000 0x2000 0x103 None"#
        ]
    );
}

#[test]
fn properties_are_decoded() {
    let _turn = alone();
    struct Decoder(Mutex<Option<crate::ImageProperties>>);
    impl ImageHandler for Decoder {
        fn loaded(&self, notice: &ImageLoaded<'_>) {
            *self.0.lock().unwrap() = Some(notice.properties());
        }
    }
    let decoder = Arc::new(Decoder(Mutex::new(None)));
    let _guard = ImageNotify::register(decoder.clone()).unwrap();
    let routine = machine(|machine| machine.images[0]);
    let mut info = ImageInfo {
        properties: 0x0008_0000 | 5 << 16 | 0xE << 12 | 0x903,
        base: id(0),
        selector: 0,
        size: 1,
        section_number: 0,
    };
    // SAFETY: all arguments are what the routine's contract asks for.
    unsafe { routine(ptr::null(), id(4), &raw mut info) };
    let seen = decoder.0.lock().unwrap().unwrap();
    assert_eq!((seen.addressing_mode(), seen.signature_level(), seen.signature_type()), (3, 0xE, 5));
    assert!(seen.is_system_mode() && seen.has_machine_type_mismatch() && seen.is_partial_map());
    assert!(!seen.has_extended_info());
}

#[test]
fn dropping_a_guard_removes_the_routine_and_then_drops_the_handler() {
    let _turn = alone();
    let notebook = Notebook::new(Verdict::Allow);
    let drops = notebook.drops.clone();
    let guard = ThreadNotify::register(notebook).unwrap();
    assert_eq!(machine(|machine| machine.threads.len()), 1);
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    drop(guard);
    assert_eq!(machine(|machine| machine.threads.len()), 0);
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

#[test]
fn a_routine_that_cannot_be_removed_keeps_its_handler() {
    let _turn = alone();
    let notebook = Notebook::new(Verdict::Allow);
    let drops = notebook.drops.clone();
    let guard = ProcessNotify::register(notebook).unwrap();
    let registered = machine(|machine| std::mem::take(&mut machine.processes));
    drop(guard);
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    assert!(machine(|machine| machine.printed.concat()).contains("could not be removed: 0xC000007A"));
    // Give the slot back for the other tests.
    machine(|machine| machine.processes = registered);
    crate::process::remove_all();
    assert_eq!(machine(|machine| machine.processes.len()), 0);
}

#[test]
fn a_refused_registration_leaves_no_trace() {
    let _turn = alone();
    machine(|machine| machine.refuse = Some(NtStatus::ACCESS_DENIED));
    for _ in 0..10 {
        let refused = ProcessNotify::register(Notebook::new(Verdict::Allow));
        assert_eq!(refused.err(), Some(NtStatus::ACCESS_DENIED));
    }
    machine(|machine| machine.refuse = None);
    let guards: Vec<_> =
        (0..4).map(|_| ProcessNotify::register(Notebook::new(Verdict::Allow)).unwrap()).collect();
    let fifth = ProcessNotify::register(Notebook::new(Verdict::Allow));
    assert_eq!(fifth.err(), Some(NtStatus::INSUFFICIENT_RESOURCES));
    drop(guards);
}

struct Whole {
    _processes: ProcessNotify<Arc<Notebook>>,
    leaked: bool,
    path: String,
}

static LAST_PATH: Mutex<String> = Mutex::new(String::new());

impl Driver for Whole {
    fn start(entry: &Entry<'_>) -> Result<Self, NtStatus> {
        let processes = ProcessNotify::register(Notebook::new(Verdict::Allow))?;
        let path = entry.registry_path().to_string();
        if path == "fail" {
            // Leaked on purpose: the kit has to clean up.
            std::mem::forget(processes);
            return Err(NtStatus::SUCCESS);
        }
        std::mem::forget(ThreadNotify::register(Notebook::new(Verdict::Allow))?);
        Ok(Self { _processes: processes, leaked: true, path })
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        assert!(self.leaked);
        LAST_PATH.lock().unwrap().clone_from(&self.path);
    }
}

crate::driver_entry!(Whole);

fn enter(path: &str) -> (i32, Box<DriverObject>) {
    // SAFETY: integers and pointers, for all of which zero is a value.
    let mut object: Box<DriverObject> = Box::new(unsafe { MaybeUninit::zeroed().assume_init() });
    let path = utf16(path);
    let path = counted(&path);
    // SAFETY: valid arguments; each state is left before the next entry (see the callers).
    let status = unsafe { DriverEntry(&raw mut *object, &raw const path) };
    (status, object)
}

#[test]
fn from_entry_to_unload() {
    let _turn = alone();
    let (status, mut object) = enter("fail");
    assert_eq!(NtStatus::from_raw(status), NtStatus::UNSUCCESSFUL);
    assert!(object.unload.is_none());
    assert_eq!(machine(|machine| machine.processes.len()), 0);
    drop(object);

    (_, object) = enter(r"\Registry\Services\whole");
    assert_eq!(machine(|machine| (machine.processes.len(), machine.threads.len())), (1, 1));
    let unload = object.unload.unwrap();
    // SAFETY: the entry has succeeded, and this is the one unload.
    unsafe { unload(&raw mut *object) };
    assert_eq!(machine(|machine| (machine.processes.len(), machine.threads.len())), (0, 0));
    assert_eq!(*LAST_PATH.lock().unwrap(), r"\Registry\Services\whole");
}

#[test]
fn parameters_of_each_type() {
    const KEY: &str = r"\Registry\x\Parameters";
    let bytes = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let many = vec!["*/abcdefgh"; 300].join("\0");
    machine(|machine| {
        for (name, kind, data) in [
            ("Number", 4, 7_u32.to_le_bytes().to_vec()),
            ("Short", 4, vec![1, 2]),
            ("Multi", 7, bytes("*/uname\0*\\ls\0\0")),
            ("Single", 1, bytes("a;;b;c\0")),
            ("Unterminated", 1, bytes("a")),
            ("Long", 7, bytes(&many)),
            ("Binary", 3, vec![1]),
            ("Empty", 7, vec![]),
        ] {
            machine.registry.insert((KEY.to_owned(), name.to_owned()), (kind, data));
        }
    });
    let path = utf16(r"\Registry\x");
    let parameters = Parameters::open(crate::NtStr::from_units(&path)).unwrap().unwrap();
    assert_eq!(parameters.dword("Number"), Ok(Some(7)));
    assert_eq!(parameters.dword("Missing"), Ok(None));
    for wrong in ["Short", "Multi", "Binary", "Empty"] {
        assert_eq!(parameters.dword(wrong), Err(NtStatus::OBJECT_TYPE_MISMATCH), "{wrong}");
    }
    assert_eq!(parameters.dword(&"n".repeat(65)), Err(NtStatus::INVALID_PARAMETER));
    let strings =
        |name| parameters.strings(name).map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(strings("Multi").unwrap(), ["*/uname", "*\\ls"]);
    assert_eq!(strings("Single").unwrap(), ["a", "b", "c"]);
    assert_eq!(strings("Unterminated").unwrap(), ["a"]);
    assert_eq!(strings("Long").unwrap().len(), 300);
    assert!(strings("Empty").unwrap().is_empty());
    assert!(strings("Missing").unwrap().is_empty());
    assert_eq!(strings("Number"), Err(NtStatus::OBJECT_TYPE_MISMATCH));
}

#[test]
fn no_parameters_key_is_no_error() {
    let path = utf16(r"\Registry\none");
    assert!(Parameters::open(crate::NtStr::from_units(&path)).unwrap().is_none());
}

#[test]
fn printing_goes_to_the_debugger() {
    crate::dbg_print!("a={} {:?}", 1, NtStatus::SUCCESS);
    assert_eq!(machine(|machine| machine.printed.clone()), ["a=1 0x0\n"]);
}

/// The object behind a notice may be asked for other routines.
#[test]
fn raw_objects_are_passed_on() {
    struct Looker(*mut c_void);
    // SAFETY: the pointer is compared only.
    unsafe impl Send for Looker {}
    // SAFETY: as above.
    unsafe impl Sync for Looker {}
    impl ProcessHandler for Looker {
        fn created(&self, notice: &ProcessCreated<'_>) -> Verdict {
            assert_eq!(notice.process_object().as_ptr(), self.0);
            assert!(notice.file_object().is_none());
            Verdict::Deny(NtStatus::ACCESS_DENIED)
        }
        fn exited(&self, _: &ProcessExited<'_>) {}
    }
    let _turn = alone();
    let mut object = 0_i32;
    let address: *mut c_void = (&raw mut object).cast();
    let _guard = ProcessNotify::register(Arc::new(Looker(address))).unwrap();
    let mut info = create_info(ptr::null(), NtStatus::SUCCESS);
    let routine = machine(|machine| machine.processes[0]);
    // SAFETY: all arguments are what the routine's contract asks for.
    unsafe { routine(address, id(4), &raw mut info) };
    assert_eq!(NtStatus::from_raw(info.creation_status), NtStatus::ACCESS_DENIED);
}
