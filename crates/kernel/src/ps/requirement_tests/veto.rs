//! What CreationStatus does (R-VETO).

use super::*;

/// The status that the first routine writes.
static WRITTEN: Mutex<NTSTATUS> = Mutex::new(STATUS_SUCCESS);

/// Creates a process while the first routine writes `status`, and returns what the creator is told.
fn refused_with(kernel: &Kernel, process: u32, status: u32) -> Option<NTSTATUS> {
    *WRITTEN.lock().unwrap() = NTSTATUS(status.cast_signed());
    create(kernel, a_process(process)).map(|refusal| refusal.status)
}

fn write_first(kernel: &Kernel) {
    watch_processes(kernel, |slot, process, _, info| match info {
        Some(info) => {
            see(format!("{slot} create {:#x}", info.CreationStatus.0));
            if slot == 0 {
                info.CreationStatus = *WRITTEN.lock().unwrap();
            }
        }
        None => see(format!("{slot} exit {:#x}", process.exit_status().0)),
    });
}

#[test]
fn r_veto_01_r_veto_04_the_first_finds_success_and_the_next_what_was_written() {
    with_kernel(|kernel, _| {
        write_first(kernel);
        refused_with(kernel, 200, 0xC000_0022);
        assert_eq!(seen(), ["0 create 0x0", "1 create 0xc0000022"]);
    });
}

#[test]
fn r_veto_02_r_veto_03_errors_and_warnings_refuse_and_nothing_else() {
    with_kernel(|kernel, _| {
        write_first(kernel);
        let mut process = 1000;
        for status in [0xC000_0022, 0xC000_0001, 0xC000_0372, 0xE000_1234, 0x8000_0005] {
            process += 8;
            assert_eq!(refused_with(kernel, process, status), Some(NTSTATUS(status.cast_signed())));
        }
        for status in [0, 0x103, 0x4000_0000] {
            process += 8;
            assert_eq!(refused_with(kernel, process, status), None, "{status:#x}");
        }
    });
}

#[test]
fn r_veto_05_the_last_writer_wins_also_with_success() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, _, _, info| {
            if let Some(info) = info {
                info.CreationStatus = if slot == 0 { STATUS_ACCESS_DENIED } else { STATUS_SUCCESS };
            }
        });
        assert_eq!(create(kernel, a_process(200)), None);
    });
}

#[test]
fn r_veto_07_r_veto_08_r_veto_09_of_a_refused_process_only_the_exit_follows() {
    with_kernel(|kernel, _| {
        write_first(kernel);
        watch_threads(kernel, ThreadFlavour::Plain, |_, _, create| see(format!("thread {create}")));
        watch_images(kernel, 0, |_, _, _, _| see("image"));
        refused_with(kernel, 200, 0xC000_0022);
        seen();
        create_thread(kernel, 200);
        map(kernel, only_thread(200), an_image(200));
        exit_thread(kernel, 200, STATUS_SUCCESS);
        assert!(seen().is_empty());
        exit(kernel, 200, STATUS_SUCCESS);
        assert_eq!(seen(), ["0 exit 0xc0000022", "1 exit 0xc0000022"]);
    });
}

/// Where the routine's structure was.
static KEPT: std::sync::atomic::AtomicPtr<PS_CREATE_NOTIFY_INFO> =
    std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());

#[test]
fn r_veto_10_what_is_written_after_the_call_refuses_nobody_and_is_found() {
    use std::sync::atomic::Ordering;
    with_kernel(|kernel, records| {
        watch_processes(kernel, |slot, process, _, info| match info {
            Some(info) => {
                see(format!("{slot} create {:#x}", info.CreationStatus.0));
                KEPT.store(info, Ordering::Relaxed);
            }
            None => see(format!("{slot} exit {:#x}", process.exit_status().0)),
        });
        // Right after the process routines of the same creation.
        watch_threads(kernel, ThreadFlavour::Plain, |_, _, create| {
            let kept = KEPT.swap(std::ptr::null_mut(), Ordering::Relaxed);
            if create && !kept.is_null() {
                see("late");
                // SAFETY: a set of arguments, which the kernel keeps as long as this processor is there.
                unsafe { (&raw mut (*kept).CreationStatus).write_volatile(STATUS_ACCESS_DENIED) };
            }
        });
        watch_images(kernel, 0, |slot, _, _, _| see(format!("{slot} image")));
        assert_eq!(create(kernel, a_process(200)), None);
        create_thread(kernel, 200);
        map(kernel, only_thread(200), an_image(200));
        // The next process finds nothing of it either.
        assert_eq!(create(kernel, a_process(300)), None);
        exit(kernel, 200, NTSTATUS(7));
        let seen = seen();
        assert_eq!(seen[..5], ["0 create 0x0", "1 create 0x0", "late", "0 image", "1 image"]);
        assert_eq!(seen[5..], ["0 create 0x0", "1 create 0x0", "0 exit 0x7", "1 exit 0x7"]);
        assert_eq!(records.findings(), ["L-15"]);
    });
}

#[test]
fn r_veto_11_an_exit_has_no_structure_to_refuse_it_with() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, _, _, info| see(format!("{slot} {}", info.is_some())));
        create(kernel, a_process(200));
        exit(kernel, 200, STATUS_SUCCESS);
        assert_eq!(seen(), ["0 true", "1 true", "0 false", "1 false"]);
        assert_eq!(look_up(200).0, STATUS_INVALID_CID);
    });
}
