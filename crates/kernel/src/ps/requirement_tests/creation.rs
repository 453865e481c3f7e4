//! What a process routine is given (R-CB, R-PCI).

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;
use crate::ps::query::*;

static RAW: Mutex<Vec<[usize; 3]>> = Mutex::new(Vec::new());

unsafe extern "win64" fn raw(first: usize, second: usize, third: usize) {
    RAW.lock().unwrap().push([first, second, third]);
}

unsafe extern "win64" fn raw_too(first: usize, second: usize, third: usize) {
    RAW.lock().unwrap().push([first, second, third]);
}

#[test]
fn r_cb_01_r_cb_05_the_form_that_registered_decides_what_is_passed() {
    with_kernel(|kernel, _| {
        let process = &kernel.ps.tables.process;
        process.register(request(address!(raw), ProcessFlavour::Plain, 0)).unwrap();
        process.register(request(address!(raw_too), ProcessFlavour::Ex, 0)).unwrap();
        RAW.lock().unwrap().clear();
        create(kernel, a_process(200));
        let created = std::mem::take(&mut *RAW.lock().unwrap());
        // A BOOLEAN is one byte: nothing is promised of the rest of its register.
        assert_eq!((created[0][0], created[0][1], created[0][2] & 0xFF), (96, 200, 1));
        assert!(created[1][0] > 0x1_0000 && created[1][2] > 0x1_0000, "two pointers: {created:x?}");
        assert_eq!(created[1][1], 200);
        exit(kernel, 200, STATUS_SUCCESS);
        let gone = std::mem::take(&mut *RAW.lock().unwrap());
        assert_eq!((gone[0][0], gone[0][1], gone[0][2] & 0xFF), (96, 200, 0));
        assert_eq!(gone[1], [created[1][0], 200, 0], "the same object, and no structure");
    });
}

#[test]
fn r_cb_03_the_process_object_can_be_used_in_the_call() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, process, id, info| {
            // SAFETY: kernel routines called as a driver would, with the object the routine was given.
            let (its_id, parent, created, status) = unsafe {
                (
                    PsGetProcessId(process).addr(),
                    PsGetProcessInheritedFromUniqueProcessId(process).addr(),
                    PsGetProcessCreateTimeQuadPart(process),
                    PsGetProcessExitStatus(process).0,
                )
            };
            if slot == 0 {
                see(format!("{} {id}={its_id} {parent} {created} {status:#x}", info.is_some()));
            }
        });
        create(kernel, a_process(200));
        exit(kernel, 200, NTSTATUS(7));
        assert_eq!(seen(), ["true 200=200 96 1 0x103", "false 200=200 96 1 0x7"]);
    });
}

#[test]
fn r_cb_04_ids_can_be_looked_up_in_calls_and_not_after_them() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, _, _, info| {
            if slot == 0 && info.is_some() {
                see(format!("create {}", look_up(200).0));
            }
        });
        watch_threads(kernel, ThreadFlavour::Plain, |_, thread, create| {
            see(format!("thread {create} {}", look_up(thread.try_into().unwrap_or(0)).1));
        });
        create(kernel, a_process(200));
        create_thread(kernel, 200);
        exit_thread(kernel, 200, STATUS_SUCCESS);
        let well = STATUS_SUCCESS.to_string();
        assert_eq!(
            seen(),
            [format!("create {well}"), format!("thread true {well}"), format!("thread false {well}")]
        );
        exit(kernel, 200, STATUS_SUCCESS);
        assert_eq!(look_up(200).0, NTSTATUS(0xC000_000B_u32.cast_signed()));
        assert_eq!(look_up(204).1, NTSTATUS(0xC000_000D_u32.cast_signed()));
    });
}

/// Where the structure was.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// Keeps the structure that it is given.
fn keep<T>(structure: &T) {
    KEPT.store(std::ptr::from_ref(structure).expose_provenance(), Relaxed);
}

/// What is in the structure after the call: its first so many units.
fn kept(units: usize) -> Vec<u16> {
    let at = std::ptr::with_exposed_provenance::<u16>(KEPT.load(Relaxed));
    // SAFETY: the processor's arguments, which are used again for each event and live as long as it.
    (0..units).map(|unit| unsafe { at.add(unit).read_volatile() }).collect()
}

#[test]
fn r_pci_01_r_ii_05_nothing_of_the_structures_is_left_after_the_call() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, _, _, info| {
            if let (1, Some(info)) = (slot, info) {
                keep(info);
            }
        });
        watch_images(kernel, 0, |slot, _, _, info| {
            if slot == 1 {
                keep(info);
            }
        });
        create(kernel, a_process(200));
        let units = size_of::<PS_CREATE_NOTIFY_INFO>() / 2;
        assert_eq!(kept(units), vec![0xDEAD; units]);
        map(kernel, only_thread(200), an_image(200));
        let units = size_of::<IMAGE_INFO>() / 2;
        assert_eq!(kept(units), vec![0xDEAD; units]);
    });
}

fn see_info(slot: usize, info: Option<&mut PS_CREATE_NOTIFY_INFO>) {
    let (0, Some(info)) = (slot, info) else { return };
    // SAFETY: null, or valid during the call.
    let (name, line) = unsafe { (info.ImageFileName.as_ref(), info.CommandLine.as_ref()) };
    see(format!("{:#x} {:#x} {} {}", info.Size, info.Flags, text(name), text(line)));
}

#[test]
fn r_pci_02_r_pci_03_the_bit_says_which_form_the_name_has() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, _, _, info| see_info(slot, info));
        create(kernel, a_process(200));
        create(kernel, Process { open_name_available: false, ..a_process(300) });
        assert_eq!(seen(), [r"0x48 0x1 \??\C:\bin\true true", r"0x48 0x0 \bin\true true"]);
    });
}

#[test]
fn r_pci_04_what_is_not_known_of_a_process_is_null() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, _, _, info| see_info(slot, info));
        create(kernel, Process { command_line: None, ..a_process(200) });
        assert_eq!(seen(), [r"0x48 0x1 \??\C:\bin\true NULL"]);
    });
}

#[test]
fn r_pci_05_r_pci_06_the_parent_need_not_be_the_creator_and_the_creator_runs_it() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, _, _, info| {
            let (0, Some(info)) = (slot, info) else { return };
            // SAFETY: kernel routines called as a driver would.
            let current = unsafe { (PsGetCurrentProcessId().addr(), PsGetCurrentThreadId().addr()) };
            let by = (info.CreatingThreadId.UniqueProcess.addr(), info.CreatingThreadId.UniqueThread.addr());
            see(format!("{} {by:?} {current:?}", info.ParentProcessId.addr()));
        });
        create(kernel, a_process(200));
        // A thread that made a process is not the only one that can.
        let other = ClientId { process: ProcessId(500), thread: ThreadId(512) };
        create(kernel, Process { creator: other, parent: ProcessId(500), ..a_process(300) });
        assert_eq!(seen(), ["96 (100, 104) (100, 104)", "500 (500, 512) (500, 512)"]);
    });
}

#[test]
fn r_pci_07_the_parent_is_set_for_who_inherits_no_handles_too() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, _, _, info| {
            if let (0, Some(info)) = (slot, info) {
                see(format!("{}", info.ParentProcessId.addr()));
            }
        });
        create(kernel, Process { inherits_no_handles: true, ..a_process(200) });
        assert_eq!(seen(), ["96"]);
    });
}
