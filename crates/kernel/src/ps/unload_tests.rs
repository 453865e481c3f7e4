//! Drivers that come and go, and what they leave registered (R-UNL); the real ones that are committed, without a host.

use std::sync::Mutex;

use event::*;
use notify::{ImageFlavour, Request};
use nt_abi::*;

use crate::testing::{Records, stops, with_kernel};
use crate::{Config, Kernel, LoadError, RegistryValue, UnloadError};

const LEAVES_ROUTINE: &[u8] = include_bytes!("../../../../drivers/bin/leaves-routine.sys");
const STAYS: &[u8] = include_bytes!("../../../../drivers/bin/stays.sys");
const MINIMAL: &[u8] = include_bytes!("../../../../drivers/bin/minimal.sys");
const REGISTRATION_BAD: &[u8] = include_bytes!("../../../../drivers/bin/rules/registration-bad.sys");

const CREATOR: ClientId = ClientId { process: ProcessId(100), thread: ThreadId(104) };
const FIRST: ClientId = ClientId { process: ProcessId(200), thread: ThreadId(204) };

/// The life of a process, with its first thread and its executable.
fn life(kernel: &Kernel) {
    let process = Process {
        process: FIRST.process,
        creator: CREATOR,
        first_thread: FIRST.thread,
        image: Some(Name::from_unix("/bin/true")),
        ..Process::default()
    };
    let image = Image {
        process: FIRST.process,
        name: Some(Name::from_unix("/bin/true")),
        base: 0x5000_0000,
        size: 0x3000,
        ..Image::default()
    };
    for (context, kind) in [
        (CREATOR, EventKind::ProcessCreate(process)),
        (CREATOR, EventKind::ThreadCreate(Thread { thread: FIRST, teb: 0 })),
        (FIRST, EventKind::ImageLoad(image)),
        (FIRST, EventKind::ThreadExit(ThreadExit { thread: FIRST, status: NTSTATUS(0) })),
        (FIRST, EventKind::ProcessExit(ProcessExit { process: FIRST.process, status: NTSTATUS(0) })),
    ] {
        kernel.deliver_event(&Event { time: Time(1), context, kind, conditions: Conditions::default() });
    }
}

/// The findings, with their messages and bug checks.
fn findings(records: &Records) -> Vec<Finding<'static>> {
    let finding = |body| match body {
        Body::Finding(finding) => Some(finding),
        _ => None,
    };
    records.all().into_iter().filter_map(finding).collect()
}

#[test]
fn s_imgex_10_s_imgcb_14_r_unl_01_r_unl_02_a_routine_of_each_family_left_behind_is_told_and_then_called() {
    for (mode, routine) in [
        ("process", "process notify routine leaves.sys+0x"),
        ("thread", "thread notify routine leaves.sys+0x"),
        ("image", "image notify routine leaves.sys+0x"),
    ] {
        with_kernel(Config::default(), |kernel, records| {
            kernel.set_service_value("leaves", "Mode", RegistryValue::Sz(mode.into()));
            let id = kernel.load_driver("leaves", "leaves.sys", LEAVES_ROUTINE).unwrap();
            kernel.unload_driver(id).unwrap();
            let found = findings(records);
            let [finding] = &found[..] else { panic!("{mode}: {found:#?}") };
            assert_eq!((&*finding.rule, finding.driver), ("L-18", Some(id)), "{mode}");
            assert!(finding.message.contains(routine), "{mode}: {}", finding.message);
            let stop = stops(records, || life(kernel));
            assert_eq!(stop.code, 0xCE, "{mode}");
        });
    }
}

#[test]
fn r_unl_05_what_a_driver_that_did_not_start_has_registered_is_told_and_then_called() {
    with_kernel(Config::default(), |kernel, records| {
        kernel.set_service_value("bad", "Mode", RegistryValue::Sz("entry-fails".into()));
        let refused = kernel.load_driver("bad", "bad.sys", REGISTRATION_BAD);
        assert!(matches!(refused, Err(LoadError::Refused(STATUS_INSUFFICIENT_RESOURCES))), "{refused:?}");
        let found = findings(records);
        let [finding] = &found[..] else { panic!("{found:#?}") };
        assert_eq!(&*finding.rule, "L-18");
        assert!(finding.message.contains("did not start and is freed"), "{}", finding.message);
        assert_eq!(stops(records, || life(kernel)).code, 0xCE);
    });
}

#[test]
fn r_unl_06_a_driver_without_an_unload_routine_stays_and_is_called() {
    with_kernel(Config::default(), |kernel, records| {
        let id = kernel.load_driver("stays", "stays.sys", STAYS).unwrap();
        assert_eq!(kernel.unload_driver(id), Err(UnloadError::NoUnload));
        life(kernel);
        assert_eq!(records.lines(), ["stays: create pid=200", "stays: exit pid=200"]);
        assert!(records.findings().is_empty());
    });
}

/// What an image routine saw: the name, and which lines drivers had printed by then.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
static RECORDS: Mutex<Option<&'static Records>> = Mutex::new(None);

unsafe extern "win64" fn image(name: *const UNICODE_STRING, process: usize, info: *const IMAGE_INFO) {
    // SAFETY: null, or valid during the call; the image is mapped, as is tested.
    let (name, first) = unsafe {
        (name.as_ref().map(crate::rtl::text_of), (*info).ImageBase.cast::<u16>().cast_const().read())
    };
    let lines = RECORDS.lock().unwrap().map(Records::lines);
    SEEN.lock().unwrap().push(format!("{process} {name:?} {first:#x} after {lines:?}"));
}

#[test]
fn s_imgcb_2_s_imgcb_3_r_fn_06_r_img_01_a_driver_is_told_of_when_it_is_mapped_and_before_it_is_entered() {
    with_kernel(Config::default(), |kernel, records| {
        *RECORDS.lock().unwrap() = Some(records);
        let routine = (image as *const ()).expose_provenance();
        let request = Request { routine, flavour: ImageFlavour::Plain, flags: 0, owner: u64::MAX };
        kernel.ps.tables.image.register(request).unwrap();
        let id = kernel.load_driver("minimal", "minimal.sys", MINIMAL).unwrap();
        assert!(records.lines()[0].starts_with("minimal: loaded as"), "{:?}", records.lines());
        kernel.unload_driver(id).unwrap();
        let seen = std::mem::take(&mut *SEEN.lock().unwrap());
        let name = r"\SystemRoot\System32\drivers\minimal.sys";
        assert_eq!(seen, [format!("0 {:?} 0x5a4d after Some([])", Some(name))]);
    });
}
