//! Who is created and who exits, in which order and context (SEMANTICS C.1, C.2).

use source::live::{Ending, LiveError};

use crate::recorder::{Recorder, TRACEE, may_trace, record, script};
use crate::refusal::executable;

#[test]
fn r_ord_01_a_shell_and_its_commands() {
    if !may_trace() {
        return;
    }
    let mut recorder = Recorder::default();
    assert_eq!(script(&mut recorder, "/bin/true; cat /dev/null"), 0);
    let shell = "`sh -c \"/bin/true; cat /dev/null\"`";
    let sh = recorder.lines[1].split(' ').nth(7).unwrap().to_owned();
    assert_eq!(
        recorder.without_libraries(),
        [
            "present 0".to_owned(),
            format!("[0.0] create 1 of 0 by 0.0 {sh} {shell}"),
            "[0.0] thread 1.0".into(),
            format!("[1.0] image {sh}"),
            "[1.0] create 2 of 1 by 1.0 true `/bin/true`".into(),
            "[1.0] thread 2.0".into(),
            "[2.0] image true".into(),
            "[2.0] thread exit 2.0 0x0".into(),
            "[2.0] exit 2 0x0".into(),
            "[1.0] create 3 of 1 by 1.0 cat `cat /dev/null`".into(),
            "[1.0] thread 3.0".into(),
            "[3.0] image cat".into(),
            "[3.0] thread exit 3.0 0x0".into(),
            "[3.0] exit 3 0x0".into(),
            "[1.0] thread exit 1.0 0x0".into(),
            "[1.0] exit 1 0x0".into(),
        ]
    );
}

#[test]
fn late_answers_change_nothing() {
    if !may_trace() {
        return;
    }
    let run = |late| {
        let mut recorder = Recorder { late, ..Recorder::default() };
        assert_eq!(script(&mut recorder, "/bin/true; (/bin/true; exit 4)"), 4);
        recorder.lines
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn others_go_on_while_an_answer_takes_its_time() {
    if !may_trace() {
        return;
    }
    use event::{Event, EventKind};
    use source::{Delivery, Recipient, Reply, Ticket};
    use std::time::Duration;

    /// Holds the creation of `true` until `cat` has exited.
    #[derive(Default)]
    struct Holder {
        held: bool,
        cat: Option<event::ProcessId>,
        done: bool,
        log: Vec<&'static str>,
    }
    impl Recipient for Holder {
        fn deliver(&mut self, batch: &[Event<'_>]) -> Delivery {
            for event in batch {
                match &event.kind {
                    EventKind::ProcessCreate(process) => match process.image.as_ref().unwrap().file_name() {
                        "true" => {
                            self.held = true;
                            self.log.push("held");
                            return Delivery::Pending(Ticket(7));
                        }
                        "cat" => self.cat = Some(process.process),
                        _ => {}
                    },
                    EventKind::ProcessExit(exit) if Some(exit.process) == self.cat => {
                        self.done = true;
                        self.log.push("cat exits");
                    }
                    _ => {}
                }
            }
            Delivery::Done(Reply::default())
        }
        fn finished(&mut self, wait: Duration) -> Option<(Ticket, Delivery)> {
            if self.held && self.done {
                self.held = false;
                self.log.push("released");
                return Some((Ticket(7), Delivery::Done(Reply::default())));
            }
            std::thread::sleep(wait);
            None
        }
    }
    let mut holder = Holder::default();
    let script = "/bin/true & sleep 0.1; cat /dev/null; wait $!; exit 6";
    let command = source::live::Command::new("sh", ["-c", script]);
    let outcome = source::live::run(&command, &mut holder, source::live::Options::default()).unwrap();
    assert_eq!(outcome.ending, Ending::Code(6));
    assert_eq!(holder.log, ["held", "cat exits", "released"]);
}

#[test]
fn r_race_02_what_becomes_of_a_process_while_its_creation_is_told_is_told_afterwards() {
    if !may_trace() {
        return;
    }
    use event::{Event, EventKind, ProcessId};
    use nix::{sys::signal, unistd::Pid};
    use source::{Delivery, Recipient, Reply, Ticket};
    use std::time::Duration;

    /// Kills `true` while its creation is told, and takes its time after that has had its effect.
    #[derive(Default)]
    struct Killer {
        victim: Option<(ProcessId, Pid)>,
        told: bool,
        waits: u32,
        log: Vec<&'static str>,
    }
    /// Whether a task has been killed, as far as Linux is concerned.
    fn is_killed(pid: Pid) -> bool {
        const SIGNALED: u64 = 0x400;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let flags = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(6)?.parse::<u64>().ok());
        flags.is_none_or(|flags| flags & SIGNALED != 0)
    }
    impl Recipient for Killer {
        fn deliver(&mut self, batch: &[Event<'_>]) -> Delivery {
            let mut created = false;
            for event in batch {
                let of_victim = self.victim.is_some_and(|(victim, _)| victim == event.process());
                match &event.kind {
                    EventKind::ProcessCreate(process)
                        if process.image.as_ref().unwrap().file_name() == "true" =>
                    {
                        let linux = i32::try_from(process.process.to_linux().unwrap()).unwrap();
                        self.victim = Some((process.process, Pid::from_raw(linux)));
                        self.log.push("create");
                        created = true;
                    }
                    EventKind::ThreadExit(_) if of_victim => self.log.push("thread exit"),
                    EventKind::ProcessExit(_) if of_victim => self.log.push("exit"),
                    _ => {}
                }
            }
            if created {
                signal::kill(self.victim.unwrap().1, signal::Signal::SIGKILL).unwrap();
                return Delivery::Pending(Ticket(7));
            }
            Delivery::Done(Reply::default())
        }
        fn finished(&mut self, wait: Duration) -> Option<(Ticket, Delivery)> {
            std::thread::sleep(wait);
            let (_, pid) = self.victim.filter(|_| !self.told)?;
            self.waits += u32::from(is_killed(pid) && !wait.is_zero());
            // The tracer has looked often enough to have heard of it.
            self.told = self.waits > 50;
            self.told.then(|| {
                self.log.push("told");
                (Ticket(7), Delivery::Done(Reply::default()))
            })
        }
    }
    let mut killer = Killer::default();
    let command = source::live::Command::new("sh", ["-c", "/bin/true; [ $? = 137 ] && exit 6"]);
    let outcome = source::live::run(&command, &mut killer, source::live::Options::default()).unwrap();
    assert_eq!(outcome.ending, Ending::Code(6));
    assert_eq!(killer.log, ["create", "told", "thread exit", "exit"]);
}

#[test]
fn a_command_goes_on_when_nobody_listens_any_more() {
    if !may_trace() {
        return;
    }
    for after in 0..6 {
        let mut recorder = Recorder { gone_after: Some(after), ..Recorder::default() };
        let text = format!("/bin/true; (/bin/true); {TRACEE} threads 3; exec sh -c 'exit 9'");
        assert_eq!(script(&mut recorder, &text), 9, "gone after {after} batches");
    }
}

#[test]
fn r_ord_04_a_clone_that_never_execs_is_silent() {
    if !may_trace() {
        return;
    }
    let mut recorder = Recorder::default();
    assert_eq!(script(&mut recorder, "(exit 3); (: | :); exit 5"), 5);
    assert_eq!(recorder.without_libraries().len(), 6);
    assert!(recorder.with("clone").is_empty(), "{:?}", recorder.lines);
    assert_eq!(recorder.created.len(), 1);
    assert_eq!(
        recorder.with("] thread exit").len() + recorder.with("] exit").len(),
        2,
        "{:?}",
        recorder.lines
    );
}

#[test]
fn r_ord_04_a_clone_is_told_of_before_it_does_anything() {
    if !may_trace() {
        return;
    }
    let mut recorder = Recorder::default();
    assert_eq!(record(&mut recorder, TRACEE, &["clone-makes-thread"]).unwrap().ending, Ending::Code(0));
    let name = "callboard-source-tracee";
    let mut lines = recorder.without_libraries();
    lines.drain(..4);
    let line = format!("`{TRACEE} clone-makes-thread`");
    assert_eq!(
        lines,
        [
            &format!("[1.0] clone 2 of 1 by 1.0 {name} {line}"),
            "[2.0] thread 2.1",
            "[2.1] thread exit 2.1 0x0",
            "[2.0] exit 2 0x0",
            "[1.0] thread exit 1.0 0x0",
            "[1.0] exit 1 0x0",
        ]
    );
}

#[test]
fn r_ord_04_a_creator_that_is_a_clone_is_told_of_first() {
    if !may_trace() {
        return;
    }
    let mut recorder = Recorder::default();
    assert_eq!(script(&mut recorder, "(/bin/true; exit 4)"), 4);
    let lines = recorder.without_libraries();
    assert!(lines[4].starts_with("[1.0] clone 2 of 1 by 1.0 "), "{lines:?}");
    assert_eq!(lines[5], "[2.0] create 3 of 2 by 2.0 true `/bin/true`");
    assert_eq!(
        &lines[lines.len() - 3..],
        ["[2.0] exit 2 0x4", "[1.0] thread exit 1.0 0x4", "[1.0] exit 1 0x4"]
    );
}

#[test]
fn r_ord_06_a_second_exec_is_an_exit_and_a_create() {
    if !may_trace() {
        return;
    }
    let mut recorder = Recorder::default();
    assert_eq!(script(&mut recorder, "exec /bin/true"), 0);
    let lines = recorder.without_libraries();
    assert_eq!(
        lines[4..],
        [
            "[1.0] thread exit 1.0 0x0",
            "[1.0] exit 1 0x0",
            "[0.0] create 1 of 0 by 0.0 true `/bin/true`",
            "[0.0] thread 1.0",
            "[1.0] image true",
            "[1.0] thread exit 1.0 0x0",
            "[1.0] exit 1 0x0",
        ]
    );
}

#[test]
fn an_exec_in_another_thread_ends_all_and_keeps_the_process() {
    if !may_trace() {
        return;
    }
    for late in [false, true] {
        let mut recorder = Recorder { late, ..Recorder::default() };
        let outcome = record(&mut recorder, TRACEE, &["exec-in-thread", "/bin/true"]).unwrap();
        assert_eq!(outcome.ending, Ending::Code(0));
        let lines = recorder.without_libraries();
        assert_eq!(lines[4..6], ["[1.0] thread 1.1", "[1.0] thread 1.2"]);
        let mut ends = lines[6..8].to_vec();
        ends.sort_unstable();
        assert_eq!(ends, ["[1.0] thread exit 1.0 0x0", "[1.1] thread exit 1.1 0x0"], "{lines:?}");
        assert_eq!(
            lines[8..],
            [
                "[1.2] thread exit 1.2 0x0",
                "[1.2] exit 1 0x0",
                "[0.0] create 1 of 0 by 0.0 true `/bin/true`",
                "[0.0] thread 1.0",
                "[1.0] image true",
                "[1.0] thread exit 1.0 0x0",
                "[1.0] exit 1 0x0",
            ]
        );
    }
}

#[test]
fn r_ord_01_many_threads_exit_before_their_process() {
    if !may_trace() {
        return;
    }
    let mut recorder = Recorder::default();
    record(&mut recorder, TRACEE, &["threads", "100"]).unwrap();
    assert_eq!(recorder.with("[1.0] thread 1.").len(), 100);
    assert_eq!(recorder.with("thread exit").len(), 101);
    for index in 1..=100 {
        let create = format!("[1.0] thread 1.{index}");
        let exit = format!("[1.{index}] thread exit 1.{index} 0x0");
        let place = |line: &str| recorder.lines.iter().position(|other| other == line);
        assert!(place(&create).unwrap() < place(&exit).unwrap());
    }
    assert_eq!(recorder.lines.last().unwrap(), "[1.0] exit 1 0x0");
}

#[test]
fn r_exit_02_a_killed_process_ends_with_all_its_threads() {
    if !may_trace() {
        return;
    }
    let mut recorder = Recorder::default();
    let outcome = record(&mut recorder, TRACEE, &["killed-with-threads", "8"]).unwrap();
    assert_eq!(outcome.ending, Ending::Signal(libc::SIGKILL));
    let status = Ending::Signal(libc::SIGKILL).status().0;
    assert_eq!(recorder.with("thread exit").len(), 9);
    assert_eq!(recorder.with(&format!("{status:#x}")).len(), 10, "{:?}", recorder.lines);
    assert!(recorder.lines.last().unwrap().ends_with(&format!("exit 1 {status:#x}")));
}

#[test]
fn r_ord_01_the_last_thread_ends_the_process_not_the_first() {
    if !may_trace() {
        return;
    }
    let mut recorder = Recorder::default();
    let outcome = record(&mut recorder, TRACEE, &["first-thread-leaves", "7"]).unwrap();
    assert_eq!(outcome.ending, Ending::Code(7));
    let lines = recorder.without_libraries();
    assert_eq!(
        lines[4..],
        ["[1.0] thread 1.1", "[1.0] thread exit 1.0 0x3", "[1.1] thread exit 1.1 0x7", "[1.1] exit 1 0x7",]
    );
}

#[test]
fn r_exit_02_deaths_by_signal_have_a_status() {
    if !may_trace() {
        return;
    }
    for (name, signal) in [("SEGV", libc::SIGSEGV), ("TERM", libc::SIGTERM), ("ABRT", libc::SIGABRT)] {
        let mut recorder = Recorder::default();
        let outcome = record(&mut recorder, "sh", &["-c", &format!("kill -{name} $$")]).unwrap();
        assert_eq!(outcome.ending, Ending::Signal(signal));
        let status = Ending::Signal(signal).status().0;
        assert_eq!(recorder.lines.last().unwrap(), &format!("[1.0] exit 1 {status:#x}"));
    }
}

#[test]
fn r_pci_05_a_sibling_inherits_from_its_makers_parent() {
    if !may_trace() {
        return;
    }
    let mut recorder = Recorder::default();
    record(&mut recorder, TRACEE, &["sibling", "/bin/true"]).unwrap();
    let created = recorder.with("create");
    assert_eq!(created[1], "[2.0] create 3 of 1 by 2.0 true `/bin/true`", "{:?}", recorder.lines);
    assert_eq!(recorder.with("clone 2 of 1 by 1.0").len(), 1);
}

#[test]
fn a_script_is_its_interpreter_with_the_script_on_the_command_line() {
    if !may_trace() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script");
    executable(&path, b"#!/bin/sh\nexit 8\n");
    let mut recorder = Recorder::default();
    assert_eq!(record(&mut recorder, &path, &["a b"]).unwrap().ending, Ending::Code(8));
    let line = format!("`/bin/sh {} \"a b\"`", path.display());
    assert!(recorder.lines[1].ends_with(&line), "{:?}", recorder.lines);
    // What `execvp` does with a file in no known format.
    executable(&path, b"exit 9\n");
    assert_eq!(record(&mut Recorder::default(), &path, &[""; 0]).unwrap().ending, Ending::Code(9));
}

#[test]
fn commands_that_cannot_be_run_are_told_apart_and_announce_nothing() {
    if !may_trace() {
        return;
    }
    let mut recorder = Recorder::default();
    let mut run = |program: &str| record(&mut recorder, program, &[""; 0]).unwrap_err();
    for name in ["no-such-command", "/no/such/command", "/etc/passwd/x", ""] {
        let error = run(name);
        assert!(matches!(error, LiveError::NotFound { .. }), "{name}: {error}");
        assert_eq!(error.exit_code(), 127);
    }
    for name in ["/etc/passwd", "/etc"] {
        let error = run(name);
        assert!(matches!(error, LiveError::NotExecutable { .. }), "{name}: {error}");
        assert_eq!(error.exit_code(), 126);
    }
    assert!(matches!(run("a\0b"), LiveError::Nul { .. }));
    assert!(recorder.lines.is_empty());
}

#[test]
fn others_that_outlive_the_command_are_watched_to_their_end() {
    if !may_trace() {
        return;
    }
    let mut recorder = Recorder::default();
    assert_eq!(script(&mut recorder, "(sleep 0.1; /bin/true) & exit 3"), 3);
    assert_eq!(recorder.with("image true").len(), 1, "{:?}", recorder.lines);
    assert_eq!(recorder.notes.len(), 1, "{:?}", recorder.notes);
    assert!(recorder.notes[0].contains("outlive"), "{:?}", recorder.notes);
}

#[test]
fn other_children_of_the_caller_are_left_alone() {
    if !may_trace() {
        return;
    }
    let start = |script: &str| std::process::Command::new("sh").args(["-c", script]).spawn().unwrap();
    let (mut ends, mut stays) = (start("exit 7"), start("exec sleep 100"));
    let mut recorder = Recorder::default();
    assert_eq!(script(&mut recorder, "sleep 0.1; exit 3"), 3, "it ends though a child stays");
    assert_eq!(ends.wait().unwrap().code(), Some(7));
    stays.kill().unwrap();
    stays.wait().unwrap();
    assert_eq!(recorder.created.len(), 2);
}
