//! The watcher as a job of a shell: signals, stops, and its own death.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{SigHandler, Signal, kill, killpg},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::recorder::{TRACEE, may_trace};

/// A watcher in a process group of its own, as a shell starts jobs.
fn watcher(words: &[&str]) -> (Child, Pid) {
    let mut command = Command::new(TRACEE);
    command.arg("watch").args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
    // Other tests watch in this very process, which ignores some signals meanwhile.
    let as_in_a_shell = || {
        for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGTERM] {
            // SAFETY: sets a default disposition; no handler is involved.
            unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }?;
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls only, which are async-signal-safe.
    unsafe { command.pre_exec(as_in_a_shell) };
    let mut child = command.spawn().unwrap();
    let first = said(&mut child);
    (child, first)
}

/// The next process that it says was created.
fn said(child: &mut Child) -> Pid {
    // One byte at a time: what follows is for the next call.
    let mut line = String::new();
    BufReader::with_capacity(1, child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    Pid::from_raw(line.trim().parse().unwrap())
}

fn of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// Waits for something that will come; fails when it does not.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what} did not come");
        sleep(Duration::from_millis(5));
    }
}

/// The state letter of a process.
fn state(pid: Pid) -> Option<char> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit(") ").next()?.chars().next()
}

#[test]
fn tracees_die_with_their_tracer() {
    if !may_trace() {
        return;
    }
    let (mut child, shell) = watcher(&["sh", "-c", "sleep 100; :"]);
    let sleeper = said(&mut child);
    assert!(Path::new(&format!("/proc/{sleeper}")).exists());
    child.kill().unwrap();
    child.wait().unwrap();
    for pid in [shell, sleeper] {
        eventually("the end of a tracee", || matches!(state(pid), None | Some('Z')));
    }
}

#[test]
fn an_interrupt_is_for_the_command() {
    if !may_trace() {
        return;
    }
    let (mut child, _) = watcher(&["sleep", "100"]);
    killpg(of(&child), Signal::SIGINT).unwrap();
    // The code says that the watcher itself was not ended by it.
    assert_eq!(child.wait().unwrap().code(), Some(128 + libc::SIGINT));
}

#[test]
fn a_polite_end_is_passed_on() {
    if !may_trace() {
        return;
    }
    let (mut child, _) = watcher(&["sleep", "100"]);
    kill(of(&child), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + libc::SIGTERM));
}

#[test]
fn a_watch_over_those_that_outlive_the_command_can_be_ended() {
    if !may_trace() {
        return;
    }
    let (mut child, shell) = watcher(&["sh", "-c", "sleep 100 & exit 4"]);
    let sleeper = said(&mut child);
    eventually("the end of the shell", || !Path::new(&format!("/proc/{shell}")).exists());
    // An interrupt, which is for the command while that lives, is now for the watcher.
    let caught = || {
        let text = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
        u64::from_str_radix(&mask, 16).unwrap() & (1 << (libc::SIGINT - 1)) != 0
    };
    eventually("the watcher's attention", caught);
    kill(of(&child), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4));
    eventually("the end of a tracee", || matches!(state(sleeper), None | Some('Z')));
}

#[test]
fn a_stopped_command_stops_the_watcher_and_both_go_on() {
    if !may_trace() {
        return;
    }
    let (mut child, shell) = watcher(&["sh", "-c", "kill -TSTP $$; exit 5"]);
    let stopped = waitpid(of(&child), Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(stopped, WaitStatus::Stopped(of(&child), Signal::SIGTSTP));
    assert!(matches!(state(shell), Some('T' | 't')));
    killpg(of(&child), Signal::SIGCONT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn a_stop_of_the_whole_job_stops_all_and_all_go_on() {
    if !may_trace() {
        return;
    }
    // No command is being started when the stop comes: a parent in `vfork` cannot stop, watched or not.
    let (mut child, _) = watcher(&["sh", "-c", "/bin/true; read line; exit 6"]);
    let first = said(&mut child);
    eventually("the end of a command", || state(first).is_none());
    let id = of(&child);
    // What a terminal does on ^Z.
    killpg(id, Signal::SIGTSTP).unwrap();
    assert_eq!(waitpid(id, Some(WaitPidFlag::WUNTRACED)).unwrap(), WaitStatus::Stopped(id, Signal::SIGTSTP));
    killpg(id, Signal::SIGCONT).unwrap();
    child.stdin.take().unwrap().write_all(b"line\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6));
}
