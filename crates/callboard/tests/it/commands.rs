//! The commands of the README.

use crate::support::{callboard, can_trace, run};

#[test]
fn the_built_in_driver_watches_a_command() {
    if !can_trace() {
        return;
    }
    let run = run(&[], &["sh", "-c", "uname -s; ls /"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.starts_with("Linux\n"));
    assert_eq!(run.of("process_create").len(), 3);
    assert_eq!(run.of("process_exit").len(), 3);
    let lines = run.lines();
    assert!(lines.iter().any(|line| line.starts_with("create pid=") && line.contains("uname")), "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.starts_with("image pid=") && line.contains("libc.so")),
        "{lines:#?}"
    );
    assert_eq!(lines.iter().filter(|line| line.starts_with("exit pid=")).count(), 3);
    assert!(run.of("leak").is_empty() && run.of("finding").is_empty(), "{:#?}", run.records);
}

#[test]
fn r_veto_02_the_built_in_driver_refuses_and_the_parent_goes_on() {
    if !can_trace() {
        return;
    }
    let run = run(&["--set", "Deny=*/uname"], &["sh", "-c", "uname -a || echo refused $?"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "refused 126\n"), "{}", run.stderr);
    let verdict = run.one("verdict");
    assert_eq!(verdict["status"], "0xC0000022", "{verdict}");
    // R-VETO-08: not one image of the refused process was announced.
    let pid = &verdict["pid"];
    assert!(run.of("image_load").iter().all(|image| image["pid"] != *pid));
    // R-VETO-07: its exit was.
    assert!(run.of("process_exit").iter().any(|exit| exit["pid"] == *pid));
    assert!(run.lines().iter().any(|line| line.starts_with("refuse pid=") && line.contains("rule=*/uname")));
}

#[test]
fn a_refused_command_is_126() {
    if !can_trace() {
        return;
    }
    assert_eq!(run(&["--set", "Deny:multi=*/nothing;*/TRUE"], &["true"]).code, 126);
}

#[test]
fn the_commands_exit_code_and_signal_are_passed_on() {
    if !can_trace() {
        return;
    }
    assert_eq!(run(&[], &["sh", "-c", "exit 42"]).code, 42);
    let killed = run(&[], &["sh", "-c", "kill -TERM $$"]);
    assert_eq!(killed.code, 128 + 15);
    assert_eq!(killed.one("command_exit")["signal"], 15);
}

#[test]
fn human_output_is_on_the_standard_error_without_colours_when_piped() {
    if !can_trace() {
        return;
    }
    let output = callboard().args(["run", "--", "echo", "hello"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\n");
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(shown.contains("created") && shown.contains("summary") && !shown.contains('\x1b'), "{shown}");
    let quiet = callboard().args(["run", "-q", "--", "echo", "hello"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&quiet.stderr), "");
}

#[test]
fn several_drivers_see_the_same() {
    if !can_trace() {
        return;
    }
    let minimal = crate::support::driver("minimal");
    let witness = crate::support::driver("witness");
    let run = run(&[minimal.to_str().unwrap(), witness.to_str().unwrap()], &["true"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(run.of("driver_load").len(), 2);
    // Unloaded in the other order.
    let unloads: Vec<_> = run.of("driver_unload").iter().map(|record| record["driver"].clone()).collect();
    assert_eq!(unloads, ["witness", "minimal"]);
}

#[test]
fn the_name_of_the_output_says_its_format() {
    if !can_trace() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for (name, format, begins) in [
        ("a.ndjson", None, "{\"type\":\"start\""),
        ("a.jsonl", None, "{\"type\":\"start\""),
        ("a.log", None, "│ callboard"),
        ("b.ndjson", Some("human"), "│ callboard"),
    ] {
        let path = directory.path().join(name);
        let mut command = callboard();
        command.arg("run").arg("-o").arg(&path);
        if let Some(format) = format {
            command.args(["--format", format]);
        }
        assert!(command.args(["--", "true"]).status().unwrap().success());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(begins), "{name}: {text}");
    }
}
