//! What the tests watch: programs that do what no shell can, and a watcher that can be killed.
#![expect(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "test program")]

use std::{
    ffi::OsString,
    fs::File,
    io::Write,
    os::{fd::AsRawFd, unix::process::CommandExt},
    process::{Command, exit},
    ptr, thread,
    time::Duration,
};

use event::{Event, EventKind};
use source::{Delivery, Recipient, Reply, Ticket, live};

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(|word| word.to_str().unwrap()).collect();
    match words.as_slice() {
        ["threads", count] => threads(count.parse().unwrap()),
        ["exec-in-thread", program] => exec_in_thread(program),
        ["first-thread-leaves", code] => first_thread_leaves(code.parse().unwrap()),
        ["killed-with-threads", count] => killed_with_threads(count.parse().unwrap()),
        ["clone-makes-thread"] => in_clone(|| threads(1)),
        ["clone-maps", file] => {
            in_clone(|| assert!(map(file, libc::PROT_READ | libc::PROT_EXEC, 4096).is_some()))
        }
        ["sibling", program] => sibling(program),
        ["map", file] => map_in_many_ways(file),
        ["protect", file] => protect(file),
        ["watch", rest @ ..] => watch(rest),
        _ => {
            eprintln!("tracee: unknown {words:?}");
            exit(99);
        }
    }
}

fn threads(count: usize) {
    let all: Vec<_> = (0..count).map(|_| thread::spawn(thread::yield_now)).collect();
    for one in all {
        one.join().unwrap();
    }
}

fn exec_in_thread(program: &str) {
    let program = program.to_owned();
    // A third thread, which the exec ends.
    thread::spawn(|| thread::sleep(Duration::from_secs(100)));
    let never = thread::spawn(move || panic!("{}", Command::new(program).exec()));
    never.join().unwrap();
}

fn first_thread_leaves(code: i32) {
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        exit(code);
    });
    // SAFETY: ends this thread only, which holds nothing that another needs.
    unsafe { libc::syscall(libc::SYS_exit, 3) };
}

fn killed_with_threads(count: usize) {
    for _ in 0..count {
        thread::spawn(|| thread::sleep(Duration::from_secs(100)));
    }
    thread::sleep(Duration::from_millis(50));
    let own = i32::try_from(std::process::id()).unwrap();
    // SAFETY: touches no memory.
    unsafe { libc::kill(own, libc::SIGKILL) };
}

fn in_clone(what: impl FnOnce()) {
    // SAFETY: this program has one thread here, so the child may do anything.
    match unsafe { libc::fork() } {
        0 => {
            what();
            exit(0);
        }
        child => {
            // SAFETY: a null status is allowed.
            unsafe { libc::waitpid(child, ptr::null_mut(), 0) };
        }
    }
}

fn sibling(program: &str) {
    in_clone(|| {
        // SAFETY: as `fork`, but for who the parent is: no memory is shared.
        let child = unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_PARENT | libc::SIGCHLD, 0, 0, 0, 0) };
        if child == 0 {
            panic!("{}", Command::new(program).exec());
        }
        // It exits with its maker still there.
        thread::sleep(Duration::from_millis(100));
    });
    // SAFETY: a null status is allowed.
    unsafe { libc::waitpid(-1, ptr::null_mut(), 0) };
}

fn map_at(file: &File, rights: i32, length: usize, offset: i64) -> Option<*mut libc::c_void> {
    // SAFETY: a new private mapping, which nothing else refers to.
    let at =
        unsafe { libc::mmap(ptr::null_mut(), length, rights, libc::MAP_PRIVATE, file.as_raw_fd(), offset) };
    (at != libc::MAP_FAILED).then_some(at)
}

fn map(file: &str, rights: i32, length: usize) -> Option<*mut libc::c_void> {
    map_at(&File::open(file).unwrap(), rights, length, 0)
}

/// Says on standard output what it is about to do, so that a test can tell the notices apart.
fn map_in_many_ways(file: &str) {
    const CODE: i32 = libc::PROT_READ | libc::PROT_EXEC;
    let first = map(file, CODE, 4096).unwrap();
    assert!(map(file, libc::PROT_READ, 4096).is_some(), "data");
    let open = File::open(file).unwrap();
    assert!(map_at(&open, CODE, 4096, 1).is_none(), "an offset that is no page");
    assert!(map_at(&open, CODE, 0, 0).is_none(), "no length");
    assert!(map("/etc/passwd", CODE, 4096).is_some(), "no image");
    // SAFETY: nothing else refers to the mapping.
    unsafe { libc::munmap(first, 4096) };
    // SAFETY: a new private mapping where the first was, which is gone.
    let again =
        unsafe { libc::mmap(first, 4096, CODE, libc::MAP_PRIVATE | libc::MAP_FIXED, open.as_raw_fd(), 0) };
    assert_eq!(again, first);
    assert!(map(file, CODE, 4096).is_some(), "a second view");
}

fn protect(file: &str) {
    let view = map(file, libc::PROT_READ, 4096).unwrap();
    // SAFETY: this program's own mapping, which nothing refers to.
    unsafe { libc::mprotect(view, 4096, libc::PROT_READ | libc::PROT_EXEC) };
    // SAFETY: a new anonymous mapping.
    let memory = unsafe {
        libc::mmap(ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    // SAFETY: as above.
    unsafe { libc::mprotect(memory, 4096, libc::PROT_READ | libc::PROT_EXEC) };
}

struct Printer;

impl Recipient for Printer {
    fn deliver(&mut self, batch: &[Event<'_>]) -> Delivery {
        for event in batch {
            if let EventKind::ProcessCreate(process) = &event.kind {
                println!("{}", process.process.to_linux().unwrap());
                std::io::stdout().flush().unwrap();
            }
        }
        Delivery::Done(Reply::default())
    }

    fn finished(&mut self, _: Duration) -> Option<(Ticket, Delivery)> {
        None
    }
}

/// Watches a command, saying the numbers of its processes.
fn watch(words: &[&str]) {
    let (program, arguments) = words.split_first().unwrap();
    match live::run(&live::Command::new(program, arguments), &mut Printer, live::Options::default()) {
        Ok(outcome) => exit(outcome.ending.shell_code().into()),
        Err(error) => {
            eprintln!("{error}");
            exit(error.exit_code().into());
        }
    }
}
