//! When routines are called, in which context, and what is there at an exit (R-CTX, R-ORD, R-EXIT, R-RACE).

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::ke::region::*;
use crate::ob::reference::ObReferenceObjectByHandle;
use crate::ps::query::*;

fn context() -> String {
    // SAFETY: kernel routines called as a driver would.
    let (irql, apcs, all) =
        unsafe { (machine::irql::current().level(), KeAreApcsDisabled(), KeAreAllApcsDisabled()) };
    // SAFETY: as above.
    let (process, thread) = unsafe { (PsGetCurrentProcessId().addr(), PsGetCurrentThreadId().addr()) };
    format!("{irql} {apcs} {all} in {process}.{thread}")
}

#[test]
fn r_ctx_01_process_and_image_routines_run_at_passive_level_in_a_critical_region() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, _, _, _| {
            if slot == 0 {
                see(format!("process {}", context()));
            }
        });
        watch_images(kernel, 0, |slot, _, _, _| {
            if slot == 0 {
                see(format!("image {}", context()));
            }
        });
        create(kernel, a_process(200));
        map(kernel, only_thread(200), an_image(200));
        exit(kernel, 200, STATUS_SUCCESS);
        assert_eq!(
            seen(),
            ["process 0 1 0 in 100.104", "image 0 1 0 in 200.204", "process 0 1 0 in 200.204"]
        );
    });
}

#[test]
fn r_ctx_07_what_a_routine_leaves_behind_is_found_and_put_back() {
    with_kernel(|kernel, records| {
        watch_processes(kernel, |slot, _, _, _| {
            see(format!("{slot} {}", context()));
            if slot == 0 {
                // SAFETY: kernel routines called as a driver would, and wrongly so.
                unsafe { KeEnterGuardedRegion() };
                machine::irql::set(machine::Irql::APC);
            }
        });
        create(kernel, a_process(200));
        assert_eq!(seen(), ["0 0 1 0 in 100.104", "1 0 1 0 in 100.104"]);
        assert_eq!(records.findings(), ["L-13", "L-13"]);
    });
}

#[test]
fn r_ord_05_what_was_there_before_is_told_of_at_its_exit_only() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, _, id, info| see(format!("{slot} {id} {}", info.is_some())));
        kernel.deliver_event(&event(CREATOR, 1, EventKind::ProcessPresent(a_process(200))));
        assert!(seen().is_empty());
        assert_eq!(look_up(200).0, STATUS_SUCCESS);
        exit(kernel, 200, STATUS_SUCCESS);
        assert_eq!(seen(), ["0 200 false", "1 200 false"]);
    });
}

#[test]
fn r_ord_06_one_create_and_one_exit_for_each_process_and_slot() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, _, id, info| see(format!("{slot} {id} {}", info.is_some())));
        for process in [200, 300] {
            create(kernel, a_process(process));
        }
        // The exit of a process that is gone is told to nobody.
        for process in [200, 300, 200] {
            exit(kernel, process, STATUS_SUCCESS);
        }
        let mut told = seen();
        told.sort();
        let expected = [0, 1].map(|slot| {
            [200, 300].map(|id| [false, true].map(|create| format!("{slot} {id} {create}"))).concat()
        });
        assert_eq!(told, expected.concat());
    });
}

#[test]
fn r_exit_02_r_exit_03_statuses_and_times_are_final_in_exit_calls() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, process, _, info| {
            if slot == 0 && info.is_none() {
                // SAFETY: kernel routines called as a driver would.
                let time = unsafe { PsGetProcessExitTime() };
                see(format!("process {:#x} {time}", process.exit_status().0));
            }
        });
        watch_threads(kernel, ThreadFlavour::Plain, |_, id, create| {
            let (id, mut thread) = (std::ptr::without_provenance_mut(id), std::ptr::null_mut());
            // SAFETY: as above, and the reference is given up.
            let status = unsafe {
                if !PsLookupThreadByThreadId(id, &mut thread).is_success() {
                    return see("no thread");
                }
                let status = PsGetThreadExitStatus(&*thread);
                crate::ob::reference::ObfDereferenceObject(thread.cast());
                status
            };
            if !create {
                see(format!("thread {:#x}", status.0));
            }
        });
        create(kernel, a_process(200));
        create_thread(kernel, 200);
        exit_thread(kernel, 200, NTSTATUS(6));
        exit(kernel, 200, NTSTATUS(7));
        assert_eq!(seen(), ["thread 0x6", "process 0x7 5"]);
    });
}

#[test]
fn r_exit_05_routines_of_type_non_system_hear_of_starts_on_the_new_thread() {
    with_kernel(|kernel, _| {
        watch_threads(kernel, ThreadFlavour::NonSystem, |process, thread, create| {
            see(format!("{process}.{thread} {create} {}", context()));
        });
        create(kernel, a_process(200));
        create_thread(kernel, 200);
        exit_thread(kernel, 200, STATUS_SUCCESS);
        let told = seen();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("200.204 true 0 ") && told[0].ends_with("in 200.204"), "{told:?}");
    });
}

#[test]
fn r_exit_06_ids_are_taken_until_the_last_exit_call_has_returned() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, _, _, info| {
            if info.is_none() {
                see(format!("{slot} {}", look_up(200).0.is_success()));
            }
        });
        create(kernel, a_process(200));
        exit(kernel, 200, STATUS_SUCCESS);
        assert_eq!(seen(), ["0 true", "1 true"]);
        assert_eq!(look_up(200).0, STATUS_INVALID_CID);
    });
}

#[test]
fn r_exit_01_the_process_is_current_in_its_exit_call() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, process, _, info| {
            if slot == 0 && info.is_none() {
                // SAFETY: kernel routines called as a driver would.
                let current = unsafe { PsGetCurrentProcess() };
                see(format!("{}", std::ptr::eq(current.cast_const(), process)));
            }
        });
        create(kernel, a_process(200));
        exit(kernel, 200, STATUS_SUCCESS);
        assert_eq!(seen(), ["true"]);
    });
}

/// A handle in the table of the process that exits.
static HANDLE: AtomicUsize = AtomicUsize::new(0);

/// What that handle names now, for whoever runs in the process.
fn look_up_handle() -> NTSTATUS {
    let (handle, mut found) = (std::ptr::without_provenance_mut(HANDLE.load(SeqCst)), std::ptr::null_mut());
    let none = std::ptr::null_mut();
    // SAFETY: a kernel routine called as a driver would; the reference is given up.
    unsafe {
        let status = ObReferenceObjectByHandle(handle, 0, None, 0, &mut found, none);
        if status.is_success() {
            crate::ob::reference::ObfDereferenceObject(found);
        }
        status
    }
}

#[test]
fn r_exit_01_handles_are_there_while_routines_are_told_and_not_after_them() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, _, _, info| {
            if info.is_none() {
                see(format!("{slot} {}", look_up_handle()));
            }
        });
        create(kernel, a_process(200));
        let object = kernel.ps.system.0.clone().erase();
        let handle = kernel.ob.handles.insert_into(200, false, object, 0x1000, 0);
        HANDLE.store(handle.addr(), SeqCst);
        exit(kernel, 200, STATUS_SUCCESS);
        assert_eq!(seen(), [format!("0 {STATUS_SUCCESS}"), format!("1 {STATUS_SUCCESS}")]);
        assert_eq!(kernel.ob.handles.count_of(200), 0, "and then they are closed");
    });
}

/// Whether the process with that id is the one that a routine is told of.
fn has_its_id(process: &Eprocess) -> bool {
    let found = crate::kernel().ps.cid.lookup::<Eprocess>(process.id.0, &crate::ps::process::PROCESS_TYPE);
    found.is_some_and(|found| std::ptr::eq(&raw const *found, process))
}

#[test]
fn r_exit_06_an_id_is_not_given_away_while_its_exit_is_told() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, process, id, info| {
            if slot == 0 && info.is_none() {
                // Something makes a process of this id in the middle of it.
                create(crate::kernel(), a_process(200));
            }
            see(format!("{slot} {id} {} {}", info.is_some(), has_its_id(process)));
        });
        create(kernel, a_process(200));
        assert_eq!(seen(), ["0 200 true true", "1 200 true true"]);
        exit(kernel, 200, STATUS_SUCCESS);
        let told = seen();
        assert_eq!(told[2..], ["0 200 false true", "1 200 false true"], "{told:?}");
        assert_eq!(look_up(200).0, STATUS_INVALID_CID);
    });
}

/// Set once another processor has been asked to make the process of that id.
static ASKED: AtomicUsize = AtomicUsize::new(0);

#[test]
fn r_exit_06_another_processor_waits_with_the_id_until_all_have_been_told() {
    with_kernel(|kernel, _| {
        ASKED.store(0, SeqCst);
        watch_processes(kernel, |slot, process, _, info| {
            if slot == 0 && info.is_none() && ASKED.swap(1, SeqCst) == 0 {
                let other = crate::testing::on_another_processor(crate::kernel(), || {
                    ASKED.store(2, SeqCst);
                    create(crate::kernel(), Process { parent: ProcessId(97 * 4), ..a_process(200) });
                    ASKED.store(3, SeqCst);
                });
                while ASKED.load(SeqCst) < 2 {
                    std::thread::yield_now();
                }
                drop(other);
                for _ in 0..1000 {
                    std::thread::yield_now();
                }
            }
            see(format!("{slot} {} {}", info.is_some(), has_its_id(process)));
        });
        create(kernel, a_process(200));
        exit(kernel, 200, STATUS_SUCCESS);
        while ASKED.load(SeqCst) != 3 {
            std::thread::yield_now();
        }
        let order =
            ["0 true true", "1 true true", "0 false true", "1 false true", "0 true true", "1 true true"];
        assert_eq!(seen(), order);
        assert_eq!(look_up(200).0, STATUS_SUCCESS);
    });
}

/// What is registered from within a call.
static NEXT: Mutex<Option<usize>> = Mutex::new(None);

#[test]
fn r_rm_09_who_is_registered_in_a_call_hears_of_the_event_if_its_slot_is_ahead() {
    with_kernel(|kernel, _| {
        *ON_PROCESS.lock().unwrap() = Some(|slot, _, _, info| {
            if info.is_some() {
                see(slot.to_string());
            }
            if let Some(routine) = NEXT.lock().unwrap().take() {
                let process = &crate::kernel().ps.tables.process;
                process.register(request(routine, ProcessFlavour::Ex, 0)).unwrap();
            }
        });
        let process = &kernel.ps.tables.process;
        process.register(request(address!(self::process::<0>), ProcessFlavour::Ex, 0)).unwrap();
        *NEXT.lock().unwrap() = Some(address!(self::process::<1>));
        create(kernel, a_process(200));
        assert_eq!(seen(), ["0", "1"]);
        // The lowest slot becomes free and is taken in a call of the next: the walk has passed it.
        kernel.ps.tables.as_walker(|walker| {
            process.remove(walker, address!(self::process::<0>), ProcessFlavour::Ex).unwrap();
        });
        *NEXT.lock().unwrap() = Some(address!(self::process::<2>));
        create(kernel, a_process(300));
        assert_eq!(seen(), ["1"]);
        create(kernel, a_process(400));
        assert_eq!(seen(), ["2", "1"]);
    });
}

#[test]
fn r_race_04_an_event_in_a_call_is_told_on_the_same_thread() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, _, id, info| {
            if info.is_none() {
                return;
            }
            see(format!("{slot} {id} {}", context()));
            if (slot, id) == (0, 200) {
                create(crate::kernel(), a_process(300));
            }
        });
        create(kernel, a_process(200));
        let told = [(0, 200), (0, 300), (1, 300), (1, 200)];
        assert_eq!(seen(), told.map(|(slot, id)| format!("{slot} {id} 0 1 0 in 100.104")));
    });
}

#[test]
fn r_ord_03_a_process_that_never_had_a_thread_is_told_of_by_who_drops_it() {
    with_kernel(|kernel, _| {
        watch_processes(kernel, |slot, _, id, info| {
            if slot == 0 {
                see(format!("{id} {} {}", info.is_some(), context()));
            }
        });
        let process = Process { first_thread: ThreadId::default(), ..a_process(200) };
        kernel.deliver_event(&event(CREATOR, 1, EventKind::ProcessPresent(process)));
        assert!(seen().is_empty());
        let gone = ProcessExit { process: ProcessId(200), status: STATUS_SUCCESS };
        kernel.deliver_event(&event(CREATOR, 2, EventKind::ProcessExit(gone)));
        assert_eq!(seen(), ["200 false 0 1 0 in 100.104"]);
        assert_eq!((look_up(200).0, look_up(104).1), (STATUS_INVALID_CID, STATUS_SUCCESS));
    });
}

#[test]
fn r_exit_04_the_teb_is_there_in_a_threads_exit_call_and_not_afterwards() {
    use crate::ps::parts::{PsGetCurrentThreadTeb, PsGetThreadTeb};
    use crate::ps::query::PsGetProcessPeb;
    use crate::ps::thread::THREAD_TYPE;
    with_kernel(|kernel, _| {
        watch_threads(kernel, ThreadFlavour::Plain, |_, id, create| {
            let thread: crate::ob::Ref<Ethread> =
                crate::kernel().ps.cid.lookup(u32::try_from(id).unwrap(), &THREAD_TYPE).unwrap();
            // SAFETY: kernel routines called as a driver would.
            let (own, current, peb) = unsafe {
                (PsGetThreadTeb(&thread), PsGetCurrentThreadTeb(), PsGetProcessPeb(&thread.process))
            };
            see(format!("{create} {own:p} {current:p} {peb:p}"));
        });
        let mut keep = None;
        for (peb, teb) in [(0xD000, 0x10_000), (0, 0)] {
            create(kernel, Process { peb, teb, ..a_process(200) });
            let made = Thread { thread: only_thread(200), teb };
            kernel.deliver_event(&event(CREATOR, 2, EventKind::ThreadCreate(made)));
            keep = keep.or_else(|| kernel.ps.cid.lookup::<Ethread>(204, &THREAD_TYPE));
            exit_thread(kernel, 200, STATUS_SUCCESS);
            exit(kernel, 200, STATUS_SUCCESS);
        }
        let kept = keep.unwrap();
        // SAFETY: as above.
        unsafe {
            assert!(PsGetThreadTeb(&kept).is_null() && PsGetProcessPeb(&kept.process).is_null());
            assert!(PsGetCurrentThreadTeb().is_null(), "a system thread");
            assert!(PsGetProcessPeb(&kernel.ps.system.0).is_null());
        }
        let expected = [
            "true 0x10000 0x0 0xd000",
            "false 0x10000 0x10000 0xd000",
            // A source that knows of none.
            "true 0x0 0x0 0x0",
            "false 0x0 0x0 0x0",
        ];
        assert_eq!(seen(), expected);
    });
}
