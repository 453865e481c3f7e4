//! How routines are told by profile, by the conditions of an event, and by what was chosen.

use std::sync::Mutex;

use event::*;
use notify::{ImageFlavour, ProcessFlavour, Request, ThreadFlavour};
use nt_abi::*;

use super::choice_tests::choosing;
use super::process::Eprocess;
use super::set::*;
use crate::ke::region::{ApcDisable, KeAreAllApcsDisabled, KeAreApcsDisabled};
use crate::testing::with_kernel;
use crate::{Config, Kernel};

/// What the routines of these tests were told.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn seen() -> Vec<String> {
    std::mem::take(&mut SEEN.lock().unwrap())
}

fn see(what: String) {
    SEEN.lock().unwrap().push(what);
}

macro_rules! address {
    ($routine:expr) => {
        ($routine as *const ()).expose_provenance()
    };
}

/// Who runs, at which level, and which APCs it keeps away.
fn context() -> String {
    let thread = crate::ps::thread::current().unwrap();
    // SAFETY: routines without pointers.
    let apcs = unsafe { (KeAreApcsDisabled(), KeAreAllApcsDisabled()) };
    format!("{}.{} irql {} apcs {apcs:?}", thread.process.id, thread.id, machine::irql::current().level())
}

fn text(name: *const UNICODE_STRING) -> String {
    // SAFETY: null, or valid during the call.
    unsafe { name.as_ref() }.map_or_else(|| "-".into(), crate::rtl::text_of)
}

fn about(process: usize, info: *const PS_CREATE_NOTIFY_INFO) -> String {
    // SAFETY: null at exit, else valid during the call.
    match unsafe { info.as_ref() } {
        None => format!("exit {process}"),
        Some(info) => {
            let parent = info.ParentProcessId.addr();
            let (name, line) = (text(info.ImageFileName), text(info.CommandLine));
            let file = if info.FileObject.is_null() { " without a file" } else { "" };
            format!("create {process} of {parent} flags {:#x} {name} {line:?}{file}", info.Flags)
        }
    }
}

unsafe extern "win64" fn ex(_: &Eprocess, process: usize, info: *const PS_CREATE_NOTIFY_INFO) {
    see(format!("ex {}", about(process, info)));
}

unsafe extern "win64" fn ex2(_: &Eprocess, process: usize, info: *const PS_CREATE_NOTIFY_INFO) {
    see(format!("ex2 {}", about(process, info)));
}

unsafe extern "win64" fn refuses(_: &Eprocess, _: usize, info: *mut PS_CREATE_NOTIFY_INFO) {
    // SAFETY: null at exit, else valid during the call.
    if let Some(info) = unsafe { info.as_mut() } {
        info.CreationStatus = STATUS_ACCESS_DENIED;
    }
}

unsafe extern "win64" fn plain(parent: usize, process: usize, create: u8) {
    see(format!("plain {parent} {process} {create}"));
}

unsafe extern "win64" fn thread(_: usize, thread: usize, create: u8) {
    see(format!("thread {thread} {create} in {}", context()));
}

unsafe extern "win64" fn non_system(_: usize, thread: usize, create: u8) {
    see(format!("non-system {thread} {create} in {}", context()));
}

unsafe extern "win64" fn subsystems(_: usize, thread: usize, create: u8) {
    see(format!("subsystems {thread} {create} in {}", context()));
}

unsafe extern "win64" fn image(name: *const UNICODE_STRING, process: usize, info: *const IMAGE_INFO) {
    // SAFETY: valid during the call.
    let properties = unsafe { (*info).Properties };
    see(format!("{process} {properties:#x} {}", text(name)));
}

fn processes(kernel: &Kernel, routine: usize, flavour: ProcessFlavour) {
    let request = Request { routine, flavour, flags: 0, owner: u64::MAX };
    kernel.ps.tables.process.register(request).unwrap();
}

fn threads(kernel: &Kernel) {
    for (routine, flavour) in [
        (address!(thread), ThreadFlavour::Plain),
        (address!(non_system), ThreadFlavour::NonSystem),
        (address!(subsystems), ThreadFlavour::Subsystems),
    ] {
        let request = Request { routine, flavour, flags: 0, owner: u64::MAX };
        kernel.ps.tables.thread.register(request).unwrap();
    }
}

fn images(kernel: &Kernel, routine: usize, flags: usize) {
    let request = Request { routine, flavour: ImageFlavour::Ex, flags, owner: u64::MAX };
    kernel.ps.tables.image.register(request).unwrap();
}

const CREATOR: ClientId = ClientId { process: ProcessId(100), thread: ThreadId(104) };
const FIRST: ClientId = ClientId { process: ProcessId(200), thread: ThreadId(204) };

fn event(context: ClientId, kind: EventKind<'static>) -> Event<'static> {
    Event { time: Time(1), context, kind, conditions: Conditions::default() }
}

fn process() -> Process<'static> {
    Process {
        process: FIRST.process,
        parent: ProcessId(96),
        creator: CREATOR,
        first_thread: FIRST.thread,
        image: Some(Name { nt: r"\Device\HarddiskVolume3\app\a.exe".into(), host: None }),
        command_line: Some("a b".into()),
        ..Process::default()
    }
}

fn create(process: Process<'static>) -> Event<'static> {
    event(CREATOR, EventKind::ProcessCreate(process))
}

fn exit() -> Event<'static> {
    event(FIRST, EventKind::ProcessExit(ProcessExit { process: FIRST.process, status: NTSTATUS(0) }))
}

fn begins() -> Event<'static> {
    event(CREATOR, EventKind::ThreadCreate(Thread::new(FIRST)))
}

fn ends() -> Event<'static> {
    event(FIRST, EventKind::ThreadExit(ThreadExit { thread: FIRST, status: NTSTATUS(0) }))
}

fn maps(nt: &'static str) -> Image<'static> {
    let name = Some(Name { nt: nt.into(), host: None });
    Image { process: FIRST.process, name, base: 0x1000_0000, size: 0x1000, ..Image::default() }
}

fn load(image: Image<'static>) -> Event<'static> {
    event(FIRST, EventKind::ImageLoad(image))
}

#[test]
fn r_pci_08_r_pci_09_pico_processes_are_for_the_ex2_form() {
    with_kernel(Config::default(), |kernel, _| {
        processes(kernel, address!(plain), ProcessFlavour::Plain);
        processes(kernel, address!(ex), ProcessFlavour::Ex);
        processes(kernel, address!(ex2), ProcessFlavour::Ex2);
        threads(kernel);
        // File and names may be unknown, which is said with NULL.
        let nameless = Process { subsystem: Subsystem::Wsl, image: None, command_line: None, ..process() };
        kernel.deliver_event(&create(nameless));
        kernel.deliver_event(&exit());
        assert_eq!(seen(), [r#"ex2 create 200 of 96 flags 0x2 - "-" without a file"#, "ex2 exit 200"]);
        let image = Some(Name::from_unix("/bin/ls"));
        let command_line = Some("ls\0-l\0".into());
        let pico = Process { subsystem: Subsystem::Wsl, image, command_line, ..process() };
        kernel.deliver_event(&create(pico));
        kernel.deliver_event(&begins());
        kernel.deliver_event(&ends());
        kernel.deliver_event(&exit());
        assert_eq!(
            seen(),
            [
                r#"ex2 create 200 of 96 flags 0x2 /bin/ls "ls\0-l\0""#,
                "subsystems 204 1 in 100.104 irql 0 apcs (1, 0)",
                "subsystems 204 0 in 200.204 irql 0 apcs (1, 0)",
                "ex2 exit 200",
            ]
        );
        // An ordinary process is for all of them, and no pico process.
        kernel.deliver_event(&create(process()));
        kernel.deliver_event(&exit());
        assert_eq!(
            seen(),
            [
                "plain 96 200 1",
                r#"ex create 200 of 96 flags 0x0 \app\a.exe "a b""#,
                r#"ex2 create 200 of 96 flags 0x0 \app\a.exe "a b""#,
                "plain 96 200 0",
                "ex exit 200",
                "ex2 exit 200",
            ]
        );
    });
}

#[test]
fn r_pci_10_a_process_says_its_subsystem() {
    with_kernel(Config::default(), |kernel, _| {
        for (subsystem, expected) in [(Subsystem::Win32, 0), (Subsystem::Wsl, 1)] {
            kernel.deliver_event(&create(Process { subsystem, ..process() }));
            let me = kernel.ps.cid.lookup::<Eprocess>(200, &super::process::PROCESS_TYPE).unwrap();
            let handle = kernel.ob.handles.insert(me.erase(), 0x1000, 0x200);
            let (mut kind, mut told) = (7u32, 0u32);
            // SAFETY: variables of the test.
            let status = unsafe {
                crate::zw::process::ZwQueryInformationProcess(
                    handle,
                    ProcessSubsystemInformation,
                    (&raw mut kind).cast(),
                    4,
                    &raw mut told,
                )
            };
            assert_eq!((status, kind, told), (STATUS_SUCCESS, expected, 4));
            kernel.deliver_event(&exit());
        }
    });
}

#[test]
fn c6_a_process_that_inherits_nothing_has_its_parent_or_none() {
    let parent = |config| {
        with_kernel(config, |kernel, _| {
            processes(kernel, address!(ex2), ProcessFlavour::Ex2);
            kernel.deliver_event(&create(Process { inherits_no_handles: true, ..process() }));
            kernel.deliver_event(&create(Process { process: ProcessId(300), ..process() }));
            seen().iter().map(|what| what.split(' ').nth(4).unwrap().to_owned()).collect::<Vec<_>>()
        })
    };
    assert_eq!(parent(Config::default()), ["96", "96"]);
    let null = choosing(Profile::default(), "parent-without-inheritance", "null");
    assert_eq!(parent(null), ["0", "96"]);
}

#[test]
fn r_img_01_an_image_in_the_system_process_is_a_program_s_and_not_the_kernel_s() {
    for profile in Profile::ALL {
        let image = Image { process: ProcessId::SYSTEM, ..maps(r"\Device\HarddiskVolume1\a.dll") };
        let told = told_of_images(Config { profile, ..Config::default() }, &[image]);
        assert!(told[0].starts_with("4 0x403 "), "{profile}: {told:?}");
    }
}

/// Where thread routines are told of a thread's life.
fn thread_life(config: Config, conditions: Conditions) -> Vec<String> {
    with_kernel(config, |kernel, records| {
        threads(kernel);
        kernel.deliver_event(&create(process()));
        for event in [begins(), ends()] {
            kernel.deliver_event(&Event { conditions, ..event });
        }
        assert!(records.findings().is_empty());
        assert_eq!(machine::irql::current(), machine::Irql::PASSIVE);
        seen()
    })
}

#[test]
fn r_exit_05_c9_thread_routines_are_called_where_they_want() {
    let usual = [
        "thread 204 1 in 100.104 irql 0 apcs (1, 0)",
        "subsystems 204 1 in 100.104 irql 0 apcs (1, 0)",
        "non-system 204 1 in 200.204 irql 0 apcs (1, 0)",
        "thread 204 0 in 200.204 irql 0 apcs (1, 0)",
        "subsystems 204 0 in 200.204 irql 0 apcs (1, 0)",
    ];
    assert_eq!(thread_life(Config::default(), Conditions::default()), usual);
    let on_it = choosing(Profile::default(), "thread-create-context", "new-thread");
    let moved = usual.map(|line| line.replace("in 100.104", "in 200.204"));
    assert_eq!(thread_life(on_it, Conditions::default()), moved);
}

#[test]
fn r_exit_05_routines_of_type_non_system_hear_of_exits_when_chosen() {
    let told = thread_life(choosing(Profile::default(), "non-system-exit", "told"), Conditions::default());
    assert_eq!(told.len(), 6);
    assert_eq!(told[5], "subsystems 204 0 in 200.204 irql 0 apcs (1, 0)");
    assert_eq!(told[4], "non-system 204 0 in 200.204 irql 0 apcs (1, 0)");
}

#[test]
fn r_ctx_03_c10_thread_routines_can_be_called_at_apc_level() {
    let conditions = Conditions { apc_level: true, ..Conditions::default() };
    let asked_for = thread_life(Config::default(), conditions);
    assert_eq!(asked_for.len(), 5);
    assert!(asked_for.iter().all(|line| line.ends_with("irql 1 apcs (1, 1)")), "{asked_for:?}");
    let chosen = choosing(Profile::default(), "thread-routine-irql", "apc");
    assert_eq!(thread_life(chosen, Conditions::default()), asked_for);
}

unsafe extern "win64" fn stays_high(_: usize, _: usize, _: u8) {
    machine::irql::set(machine::Irql::DISPATCH);
}

#[test]
fn r_ctx_07_the_level_of_the_call_is_the_one_to_return_at() {
    with_kernel(Config::default(), |kernel, records| {
        let routine = address!(stays_high);
        let request = Request { routine, flavour: ThreadFlavour::Plain, flags: 0, owner: u64::MAX };
        kernel.ps.tables.thread.register(request).unwrap();
        let conditions = Conditions { apc_level: true, ..Conditions::default() };
        kernel.deliver_event(&Event { conditions, ..begins() });
        assert_eq!(records.findings(), ["L-13"]);
        assert_eq!(records.bug_checks(), [(0xC8, [0x2_0102, routine as u64, 0, 0])]);
        assert_eq!(machine::irql::current(), machine::Irql::PASSIVE);
    });
}

unsafe extern "win64" fn stays_in_a_region(_: usize, _: usize, _: u8) {
    // SAFETY: a routine without pointers.
    unsafe { crate::ke::region::KeEnterGuardedRegion() };
}

#[test]
fn r_ctx_07_a_region_that_is_left_open_is_foretold_as_the_end_of_the_system_service_tells() {
    with_kernel(Config::default(), |kernel, records| {
        let routine = address!(stays_in_a_region);
        let request = Request { routine, flavour: ThreadFlavour::Plain, flags: 0, owner: u64::MAX };
        kernel.ps.tables.thread.register(request).unwrap();
        kernel.deliver_event(&begins());
        assert_eq!(records.findings(), ["L-13"]);
        // A thread of a program is in a system service; the critical region of the walk is left by its end.
        assert_eq!(records.bug_checks(), [(0x01, [0, 0, 0xFFFF_0000, 0])]);
        // The System process's own thread is in a worker routine.
        let thread = crate::ps::thread::current().unwrap();
        assert!(thread.system);
        let before = ApcDisable::of(thread);
        crate::ke::region::add(&thread.kthread.kernel_apc_disable, -1);
        super::check_balance(kernel, thread, (machine::Irql::PASSIVE, before), 0x1234, "a routine");
        assert_eq!(records.bug_checks()[1], (0x01, [0x1234, 0, 0xFFFF, 1]));
    });
}

/// What image routines are told of some images of one process.
fn told_of_images(config: Config, images_of_it: &[Image<'static>]) -> Vec<String> {
    with_kernel(config, |kernel, _| {
        images(kernel, address!(image), CONFLICTING_ARCHITECTURE);
        kernel.deliver_event(&create(process()));
        for image in images_of_it {
            kernel.deliver_event(&load(image.clone()));
        }
        seen()
    })
}

#[test]
fn r_fn_02_r_fn_03_r_fn_04_names_by_profile() {
    let mapped = [
        maps(r"\Device\HarddiskVolume3\app\a.exe"),
        maps(r"\Device\HarddiskVolume3\Windows\System32\ntdll.dll"),
        maps(r"\Device\HarddiskVolume3\Windows\SysWOW64\ntdll.dll"),
        maps(r"\Device\HarddiskVolume3\Windows\System32\wow64.dll"),
        maps(r"\Device\HarddiskVolume3\app\ntdll.dll"),
        Image { process: ProcessId(0), ..maps(r"\??\C:\drivers\x.sys") },
    ];
    let device: Vec<&str> = mapped.iter().map(|image| &*image.name.as_ref().unwrap().nt).collect();
    let short = vec![
        r"\Device\HarddiskVolume3\app\a.exe",
        r"\SystemRoot\System32\ntdll.dll",
        r"\SystemRoot\SysWOW64\ntdll.dll",
        r"\Windows\System32\wow64.dll",
        r"\app\ntdll.dll",
        r"\??\C:\drivers\x.sys",
    ];
    let names = |config| {
        let name = |what: String| what.splitn(3, ' ').nth(2).unwrap().to_owned();
        told_of_images(config, &mapped).into_iter().map(name).collect::<Vec<_>>()
    };
    for profile in Profile::ALL {
        let expected = if profile < Profile::Win10_1507 { &short } else { &device };
        assert_eq!(&names(Config { profile, ..Config::default() }), expected, "{profile}");
    }
    assert_eq!(names(choosing(Profile::Win11_24H2, "image-names", "short")), short);
    assert_eq!(names(choosing(Profile::Win7Sp1, "image-names", "device")), device);
}

#[test]
fn r_fn_01_a_name_can_be_missing() {
    let nameless = Image { name: None, ..maps("") };
    assert_eq!(told_of_images(Config::default(), &[nameless]), ["200 0x403 -"]);
}

#[test]
fn r_ii_01_r_ii_02_c12_properties_by_profile() {
    let mapped = [
        Image { signature: Signature { level: 0xC, kind: 3 }, ..maps(r"\a") },
        Image { partial: true, ..maps(r"\a") },
        Image { conflicting: true, ..maps(r"\a") },
        Image { process: ProcessId(0), signature: Signature { level: 8, kind: 1 }, ..maps(r"\a") },
    ];
    let properties = |config| {
        let second = |what: String| what.split(' ').nth(1).unwrap().to_owned();
        told_of_images(config, &mapped).into_iter().map(second).collect::<Vec<_>>()
    };
    let by_profile = |profile| properties(Config { profile, ..Config::default() });
    // B.4: signatures since Windows 8.1, MachineTypeMismatch since 8, ImagePartialMap since 10.
    assert_eq!(by_profile(Profile::Win7Sp1Kb2922790), ["0x403", "0x403", "0x403", "0x503"]);
    assert_eq!(by_profile(Profile::Win81), ["0x3c403", "0x403", "0xc03", "0x18503"]);
    for profile in [Profile::Win10_1507, Profile::Win10_1709, Profile::Win11_24H2] {
        assert_eq!(by_profile(profile), ["0x3c403", "0x80403", "0xc03", "0x18503"], "{profile}");
    }
    let zero = choosing(Profile::default(), "machine-type-mismatch", "zero");
    assert_eq!(properties(zero)[2], "0x403");
}

#[test]
fn r_img_01_what_cannot_be_executed_is_announced_to_nobody() {
    for profile in Profile::ALL {
        let told = |mapping| {
            let image = Image { mapping, ..maps(r"\a") };
            told_of_images(Config { profile, ..Config::default() }, &[image]).len()
        };
        assert_eq!(told(Mapping::Data), 0, "{profile}");
        // Windows 7 has no such mapping: what asks for one elsewhere is an image like any other there.
        assert_eq!(told(Mapping::NoExecute), usize::from(profile < Profile::Win81), "{profile}");
    }
    // Each mapping is told, also of what is mapped already.
    assert_eq!(told_of_images(Config::default(), &[maps(r"\a"), maps(r"\a")]).len(), 2);
}

unsafe extern "win64" fn reads_names(_: &Eprocess, _: usize, info: *const PS_CREATE_NOTIFY_INFO) {
    // SAFETY: valid during the call.
    let strings = unsafe { [&*(*info).ImageFileName, &*(*info).CommandLine] };
    for string in strings {
        let end = string.Buffer.addr() as u64 + u64::from(string.Length);
        let nul = machine::guarded::try_read::<u16>(end);
        see(format!("{} {} {nul:?}", crate::rtl::text_of(string), string.MaximumLength - string.Length));
    }
}

#[test]
fn r_pci_03_names_end_with_a_nul_unless_asked_otherwise() {
    with_kernel(Config::default(), |kernel, _| {
        processes(kernel, address!(reads_names), ProcessFlavour::Ex);
        kernel.deliver_event(&create(process()));
        assert_eq!(seen(), [r"\app\a.exe 2 Ok(0)", "a b 2 Ok(0)"]);
        let conditions = Conditions { unterminated_names: true, ..Conditions::default() };
        kernel.deliver_event(&Event { conditions, ..create(process()) });
        let without = seen();
        assert!(without.iter().all(|what| what.contains(" 0 Err(")), "{without:?}");
        assert!(without[0].starts_with(r"\app\a.exe"));
    });
}

#[test]
fn r_veto_09_c13_the_first_thread_of_a_refused_process() {
    let told = |config| {
        with_kernel(config, |kernel, _| {
            processes(kernel, address!(refuses), ProcessFlavour::Ex);
            threads(kernel);
            images(kernel, address!(image), 0);
            assert!(kernel.deliver_event(&create(process())).is_some());
            for event in [begins(), load(maps(r"\a")), ends(), exit()] {
                assert!(kernel.deliver_event(&event).is_none());
            }
            let cid = &kernel.ps.cid;
            assert!(cid.lookup::<Eprocess>(200, &super::process::PROCESS_TYPE).is_none());
            assert!(cid.lookup::<super::thread::Ethread>(204, &super::thread::THREAD_TYPE).is_none());
            seen().len()
        })
    };
    assert_eq!(told(Config::default()), 0);
    // Its creation to three, its exit to two; no image either way (R-VETO-08).
    assert_eq!(told(choosing(Profile::default(), "refused-thread", "told")), 5);
}

/// What is told of a refused process, from its creation to its exit.
fn of_a_refused_process(config: Config) -> Vec<String> {
    with_kernel(config, |kernel, _| {
        processes(kernel, address!(refuses), ProcessFlavour::Ex);
        processes(kernel, address!(ex), ProcessFlavour::Ex);
        images(kernel, address!(image), 0);
        assert!(kernel.deliver_event(&create(process())).is_some());
        for event in [load(maps(r"\a")), exit()] {
            assert!(kernel.deliver_event(&event).is_none());
        }
        let left = kernel.ps.cid.lookup::<Eprocess>(200, &super::process::PROCESS_TYPE);
        assert!(left.is_none(), "it is gone, whoever was told");
        seen().iter().map(|what| what.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    })
}

#[test]
fn r_veto_07_r_veto_08_c13_exit_and_images_of_a_refused_process_are_told_as_chosen() {
    assert_eq!(of_a_refused_process(Config::default()), ["ex create", "ex exit"]);
    let silent = choosing(Profile::default(), "refused-exit", "silent");
    assert_eq!(of_a_refused_process(silent), ["ex create"]);
    let images = choosing(Profile::default(), "refused-images", "told");
    assert_eq!(of_a_refused_process(images), ["ex create", "200 0x403", "ex exit"]);
}

#[test]
fn r_ord_04_c14_clones_are_told_when_chosen() {
    let told = |config| {
        with_kernel(config, |kernel, _| {
            processes(kernel, address!(ex), ProcessFlavour::Ex);
            kernel.deliver_event(&event(CREATOR, EventKind::ProcessClone(process())));
            kernel.deliver_event(&exit());
            seen().len()
        })
    };
    assert_eq!(told(Config::default()), 0);
    assert_eq!(told(choosing(Profile::default(), "clones", "told")), 2);
}
