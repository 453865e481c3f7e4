//! The address-creation lock of Windows 7, which is held while image routines run for a mapping (R-LOCK).

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use event::*;
use notify::{ImageFlavour, Request};
use nt_abi::*;

use super::choice_tests::choosing;
use crate::ke::region::{KeAreAllApcsDisabled, KeAreApcsDisabled};
use crate::mm::access::MmSecureVirtualMemory;
use crate::mm::mdl::MmMapLockedPages;
use crate::mm::section::{ZwMapViewOfSection, ZwUnmapViewOfSection};
use crate::mm::virtual_memory::*;
use crate::testing::{stops, with_kernel};
use crate::{Config, Kernel};

/// What the routines of these tests were told.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn seen() -> Vec<String> {
    std::mem::take(&mut SEEN.lock().unwrap())
}

fn see(what: String) {
    SEEN.lock().unwrap().push(what);
}

const CREATOR: ClientId = ClientId { process: ProcessId(100), thread: ThreadId(104) };
const FIRST: ClientId = ClientId { process: ProcessId(200), thread: ThreadId(204) };

const MAIN: &str = r"\Device\HarddiskVolume3\app\a.exe";
const NTDLL: &str = r"\Device\HarddiskVolume3\WINDOWS\system32\NTDLL.DLL";
const NTDLL32: &str = r"\Device\HarddiskVolume3\Windows\SysWOW64\ntdll.dll";
const LATER: &str = r"\Device\HarddiskVolume3\app\b.dll";

fn windows_7() -> Config {
    Config { profile: Profile::Win7Sp1, ..Config::default() }
}

fn watch(kernel: &Kernel, routine: unsafe extern "win64" fn(usize, usize, usize)) {
    let routine = (routine as *const ()).expose_provenance();
    let request = Request { routine, flavour: ImageFlavour::Plain, flags: 0, owner: u64::MAX };
    kernel.ps.tables.image.register(request).unwrap();
}

fn create(kernel: &Kernel) {
    let process = Process {
        process: FIRST.process,
        creator: CREATOR,
        first_thread: FIRST.thread,
        ..Process::default()
    };
    tell(kernel, CREATOR, EventKind::ProcessCreate(process), Conditions::default());
}

fn tell(kernel: &Kernel, context: ClientId, kind: EventKind<'static>, conditions: Conditions) {
    kernel.deliver_event(&Event { time: Time(1), context, kind, conditions });
}

fn image(nt: &'static str) -> Image<'static> {
    let name = Some(Name { nt: nt.into(), host: None });
    Image { process: FIRST.process, name, base: 0x1000_0000, size: 0x1000, ..Image::default() }
}

fn map(kernel: &Kernel, nt: &'static str) {
    tell(kernel, FIRST, EventKind::ImageLoad(image(nt)), Conditions::default());
}

unsafe extern "win64" fn context(_: usize, _: usize, _: usize) {
    // SAFETY: routines without pointers.
    let apcs = unsafe { (KeAreApcsDisabled(), KeAreAllApcsDisabled()) };
    see(format!("irql {} apcs {apcs:?}", machine::irql::current().level()));
}

/// Whether all APCs are off in the calls for some images, which the process maps one after the other.
fn all_off(config: Config, conditions: Conditions, images: &[Image<'static>]) -> Vec<bool> {
    with_kernel(config, |kernel, _| {
        watch(kernel, context);
        create(kernel);
        for image in images {
            tell(kernel, FIRST, EventKind::ImageLoad(image.clone()), conditions);
        }
        seen().iter().map(|what| what == "irql 0 apcs (1, 1)").collect()
    })
}

#[test]
fn r_ctx_02_r_lock_04_all_apcs_are_off_when_asked_for_and_under_the_lock() {
    let kernel = Image { process: ProcessId(0), ..image(r"\SystemRoot\System32\drivers\c.sys") };
    let images = [image(MAIN), image(NTDLL), image(LATER), kernel];
    let asked_for = Conditions { all_apcs_disabled: true, ..Conditions::default() };
    assert_eq!(all_off(Config::default(), Conditions::default(), &images), [false; 4]);
    assert_eq!(all_off(Config::default(), asked_for, &images), [true; 4]);
    // The kernel's own images are nobody's.
    assert_eq!(all_off(windows_7(), Conditions::default(), &images), [false, false, true, false]);
}

#[test]
fn r_lock_03_what_a_process_begins_with_is_told_without_the_lock_and_the_same_files_later_with_it() {
    let quiet = Conditions::default();
    let images = [MAIN, NTDLL, NTDLL32, LATER, NTDLL, MAIN].map(image);
    assert_eq!(all_off(windows_7(), quiet, &images), [false, false, false, true, true, true]);
    assert_eq!(all_off(windows_7(), quiet, &[MAIN, NTDLL, NTDLL].map(image)), [false, false, true]);
    let chosen = |value| {
        all_off(choosing(Profile::Win7Sp1, "lock-at-process-start", value), quiet, &[MAIN, NTDLL].map(image))
    };
    assert_eq!((chosen("free"), chosen("held")), (vec![false; 2], vec![true; 2]));
    // Where the lock is not held for other images it is not for these.
    let newest = choosing(Profile::Win11_24H2, "lock-at-process-start", "held");
    assert_eq!(all_off(newest, quiet, &[MAIN, NTDLL].map(image)), [false; 2]);
}

#[test]
fn r_lock_03_who_maps_into_a_process_that_has_not_begun_takes_the_lock() {
    with_kernel(windows_7(), |kernel, _| {
        watch(kernel, context);
        create(kernel);
        let injected = EventKind::ImageLoad(image(NTDLL));
        tell(kernel, CREATOR, injected, Conditions::default());
        map(kernel, MAIN);
        map(kernel, NTDLL);
        let off: Vec<_> = seen().iter().map(|what| what.ends_with("(1, 1)")).collect();
        assert_eq!(off, [true, false, false]);
    });
}

/// Which of the routines that work on user memory an image routine calls.
static VERB: AtomicUsize = AtomicUsize::new(0);

/// Those of S-IMGCB-13 that map, allocate, query, free, or work on user memory in another way.
const VERBS: [&str; 8] = [
    "ZwAllocateVirtualMemory",
    "ZwFreeVirtualMemory",
    "ZwProtectVirtualMemory",
    "ZwQueryVirtualMemory",
    "ZwMapViewOfSection",
    "ZwUnmapViewOfSection",
    "MmSecureVirtualMemory",
    "MmMapLockedPages",
];

unsafe extern "win64" fn works_on_user_memory(_: usize, _: usize, _: usize) {
    let (me, none) = (std::ptr::without_provenance_mut(usize::MAX), std::ptr::null_mut());
    let (mut base, mut size, mut before) = (0, 4096, 0);
    let (base, size) = (&raw mut base, &raw mut size);
    // The pages of something that is there anyhow.
    let mut page = 0_u64;
    let mut mdl = MDL {
        MdlFlags: MDL_SOURCE_IS_NONPAGED_POOL,
        StartVa: (&raw mut page).cast(),
        ByteCount: 8,
        ..MDL::default()
    };
    // SAFETY: variables of the test; what is refused does nothing, and nothing is freed that somebody uses.
    unsafe {
        match VERBS[VERB.load(Ordering::SeqCst)] {
            "ZwAllocateVirtualMemory" => {
                ZwAllocateVirtualMemory(me, base, 0, size, MEM_COMMIT, PAGE_READWRITE);
            }
            "ZwFreeVirtualMemory" => drop(ZwFreeVirtualMemory(me, base, size, MEM_RELEASE)),
            "ZwProtectVirtualMemory" => {
                ZwProtectVirtualMemory(me, base, size, PAGE_READONLY, &raw mut before);
            }
            "ZwQueryVirtualMemory" => {
                ZwQueryVirtualMemory(me, 0x1_0000, 0, std::ptr::null_mut(), 0, std::ptr::null_mut());
            }
            "ZwMapViewOfSection" => {
                let (inherit, protect) = (ViewUnmap, PAGE_READONLY);
                ZwMapViewOfSection(none, me, base, 0, 0, std::ptr::null_mut(), size, inherit, 0, protect);
            }
            "ZwUnmapViewOfSection" => drop(ZwUnmapViewOfSection(me, 0x1_0000)),
            "MmSecureVirtualMemory" => drop(MmSecureVirtualMemory(0x1_0000, 16, PAGE_READONLY)),
            _ => drop(MmMapLockedPages(&raw mut mdl, 1)),
        }
    }
    see("came back".into());
}

#[test]
fn s_imgcb_13_r_lock_01_whatever_works_on_user_memory_under_the_lock_never_returns() {
    for (verb, name) in VERBS.into_iter().enumerate() {
        with_kernel(windows_7(), |kernel, records| {
            VERB.store(verb, Ordering::SeqCst);
            watch(kernel, works_on_user_memory);
            create(kernel);
            // R-LOCK-03: not at the start of the first thread, where no lock is held.
            map(kernel, MAIN);
            map(kernel, NTDLL);
            assert_eq!(seen(), ["came back", "came back"], "{name}");
            let stop = stops(records, || map(kernel, LATER));
            assert_eq!(stop.kind, StopKind::Hang, "{name}");
            assert!(stop.message.starts_with(&format!("L-06: {name} ")), "{}", stop.message);
            assert!(seen().is_empty(), "{name}");
        });
    }
}

#[test]
fn r_lock_02_c7_since_windows_8_it_comes_back() {
    let back = |verb, config| {
        with_kernel(config, |kernel, _| {
            VERB.store(verb, Ordering::SeqCst);
            watch(kernel, works_on_user_memory);
            create(kernel);
            map(kernel, MAIN);
            let outcome = machine::call::run_abandonable(|| map(kernel, LATER));
            if outcome.is_err() {
                machine::stop::stop_was_caught();
            }
            seen().len()
        })
    };
    let name = "user-memory-in-image-routine";
    for (verb, called) in VERBS.into_iter().enumerate() {
        for profile in Profile::ALL.into_iter().filter(|&profile| profile >= Profile::Win81) {
            assert_eq!(back(verb, Config { profile, ..Config::default() }), 2, "{profile}: {called}");
        }
    }
    assert_eq!(back(0, choosing(Profile::Win7Sp1, name, "warn")), 2);
    assert_eq!(back(0, choosing(Profile::Win11_24H2, name, "deadlock")), 1);
}
