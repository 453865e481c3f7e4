//! Nothing hangs, nothing recurses for ever: what happens when the machinery itself is hit.

mod support;

use std::io::Read;
use std::os::fd::FromRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use machine::BugCheck;
use support::{Hook, catch, driver_code, hook, start};

/// mov rax, [rcx]; ret
const READ: &[u8] = b"\x48\x8B\x01\xC3";

/// Held alone while a child is made: what another thread has locked just then stays locked in the child for ever.
static FORKING: RwLock<()> = RwLock::new(());

/// Held by tests that must not be copied in the middle of something.
fn together() -> RwLockReadGuard<'static, ()> {
    FORKING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `body` in a child process; answers how it ended and what it wrote to standard error.
fn in_child(body: fn()) -> (ExitStatus, String) {
    let _alone = FORKING.write().unwrap_or_else(PoisonError::into_inner);
    let mut pipe = [0; 2];
    // SAFETY: two descriptors into an array of two.
    assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    // SAFETY: the child runs the body and ends; it shares nothing with threads of the parent but the allocator,
    // which the C library makes usable in a child.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: descriptors of this process.
        unsafe { libc::dup2(pipe[1], 2) };
        body();
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: the writing end belongs to the child now.
    unsafe { libc::close(pipe[1]) };
    // SAFETY: the reading end is ours and used nowhere else.
    let mut reader = unsafe { std::fs::File::from_raw_fd(pipe[0]) };
    let mut text = String::new();
    let _ = reader.read_to_string(&mut text);
    let mut status = 0;
    // SAFETY: a child of ours; the status is a local.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    (ExitStatus::from_raw(status), text)
}

#[test]
fn a_fault_in_the_fault_handler_ends_the_process() {
    let (status, text) = in_child(|| {
        let _processor = start();
        let address = driver_code("hook.sys", READ);
        hook(Hook::Fault);
        // SAFETY: ends in the handler.
        unsafe { machine::call1(address, 0x5000) };
    });
    assert_eq!(status.code(), Some(134), "{text}");
    assert!(text.contains("a fault in the fault handler"), "{text}");
}

#[test]
fn a_stop_while_stopping_ends_the_process() {
    let (status, text) = in_child(|| {
        let _processor = start();
        // The supervisor's own report runs into the next stop.
        support::stop_again(true);
        machine::bug_check(0xE2, 1, 2, 3, 4);
    });
    assert_eq!(status.code(), Some(134), "{text}");
    assert!(text.contains("stop 0xE3 0x1 0x2 0x3 0x4 (a stop while stopping)"), "{text}");
}

#[test]
fn a_thread_that_runs_no_drivers_dies_as_any_program_does() {
    let (status, _) = in_child(|| {
        drop(start());
        // SAFETY: none: to fault is what the test wants.
        let _ = unsafe { std::ptr::with_exposed_provenance::<u64>(0x20).read_volatile() };
    });
    assert_eq!(status.signal(), Some(libc::SIGSEGV));
}

#[test]
fn a_page_that_is_mended_in_words_only_is_a_fault_in_the_end() {
    let _together = together();
    let _processor = start();
    let address = driver_code("lie.sys", READ);
    hook(Hook::Lie);
    // SAFETY: the code ends in a stop.
    let stop = catch(|| unsafe { machine::call1(address, 0x5000) }).unwrap_err();
    hook(Hook::Mend);
    assert_eq!((stop.code, stop.parameters[0], stop.parameters[3]), (0x1E, 0xC000_0005, 0x5000));
}

#[test]
fn a_driver_that_never_returns_can_be_stopped_with_its_stack() {
    let _together = together();
    static INSIDE: AtomicU8 = AtomicU8::new(0);
    let (sender, receiver) = std::sync::mpsc::channel();
    let hanging = std::thread::spawn(move || {
        let _processor = start();
        // mov byte ptr [rcx], 1; jmp to itself
        let address = driver_code("hang.sys", b"\xC6\x01\x01\xEB\xFE");
        sender.send(machine::fault::interrupt::this_thread()).expect("the other end waits");
        let inside = INSIDE.as_ptr().expose_provenance() as u64;
        // SAFETY: the code takes the address of a byte; it is stopped.
        (address as u64 + 3, catch(|| unsafe { machine::call1(address, inside) }).map_err(|stop| *stop))
    });
    let thread = receiver.recv().expect("the thread says who it is");
    let check = BugCheck { code: 0x133, parameters: [1, 2, 3, 4] };
    while INSIDE.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    machine::fault::interrupt::stop_thread(thread, check).expect("the thread is there");
    let Ok((address, Err(stop))) = hanging.join() else { panic!("it came back") };
    assert_eq!((stop.code, stop.parameters), (0x133, [1, 2, 3, 4]));
    assert_eq!((stop.registers.rip, stop.stack[0].module.as_deref()), (address, Some("hang.sys")));
}

#[test]
fn many_threads_fault_at_once() {
    let _together = together();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            std::thread::spawn(move || {
                let _processor = start();
                let cr8 = driver_code("many.sys", b"\x44\x0F\x22\xC1\x44\x0F\x20\xC0\xC3");
                let read = driver_code("many2.sys", READ);
                for round in 0..200u64 {
                    let level = (thread + round) & 15;
                    // SAFETY: the code takes one argument.
                    assert_eq!(unsafe { machine::call1(cr8, level) }, level);
                    // SAFETY: the code takes one argument.
                    let read = |at| unsafe { machine::call1(read, at) };
                    assert_eq!(
                        read(0xFFFF_F780_0000_0000),
                        u64::from_le_bytes(std::array::from_fn(support::shared_byte))
                    );
                    let stop = catch(|| read(thread + 1)).unwrap_err();
                    assert_eq!(stop.parameters[3], thread + 1);
                }
            })
        })
        .collect();
    for thread in threads {
        assert!(thread.join().is_ok());
    }
}

#[test]
fn processors_are_numbered_from_the_lowest_free_one() {
    let _together = together();
    let numbers = |count: usize| -> Vec<u32> {
        let barrier = std::sync::Arc::new(std::sync::Barrier::new(count));
        let threads: Vec<_> = (0..count)
            .map(|_| {
                let barrier = barrier.clone();
                std::thread::spawn(move || {
                    let processor = start();
                    barrier.wait();
                    processor.number()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(u32::MAX)).collect()
    };
    let mut found = numbers(6);
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 6, "all different");
    // Other tests of this file hold some too.
    assert!(found.iter().all(|&number| number < 32), "{found:?}");
}

#[test]
fn a_thread_that_ends_while_its_instructions_are_counted_leaves_no_trap_behind() {
    let (status, text) = in_child(|| {
        let processor = start();
        machine::preempt::set_hook(|| 0);
        machine::preempt::arm(u32::MAX);
        drop(processor);
    });
    assert!(status.success(), "{status}: {text}");
}
