//! Recordings and replays of which somebody kills a part: nothing is lost that was there before, and it is said.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::recordings::{SHELL, create, exit, file, ran};
use crate::support::{callboard, can_trace};

/// As long as a slow machine may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The processes that a process has started.
fn children(process: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let lists = tasks.flatten().map(of).collect::<Vec<_>>().join(" ");
    lists.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

fn kill(process: u32) {
    assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
}

/// Waits for something that comes for certain.
fn until(what: &str, mut there: impl FnMut() -> bool) {
    let began = Instant::now();
    while !there() {
        assert!(began.elapsed() < PATIENCE, "{what} never comes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A process every tenth of a second.
fn long_day() -> Vec<String> {
    (0..500)
        .flat_map(|at| {
            [create("HOST", at * 100, 1000 + at * 4, 800, SHELL), exit("HOST", at * 100 + 50, 1000 + at * 4)]
        })
        .collect()
}

/// A replay that goes on, the rest of its records, and those that were read.
type Replaying = (Child, BufReader<ChildStdout>, Vec<String>);

/// A replay as fast as it happened, of which the records are read as they come: this many of them.
fn replaying(path: &str, lines: usize) -> Replaying {
    let arguments = ["replay", path, "--format", "ndjson", "--speed", "5"];
    let mut child =
        callboard().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = Vec::new();
    while text.len() < lines {
        let mut line = String::new();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended early: {text:?}");
        text.push(line);
    }
    (child, out, text)
}

/// How a replay ends: its exit code, what it says, and all its records.
fn ended((child, out, mut text): Replaying) -> (Option<i32>, String, Vec<Value>) {
    text.extend(out.lines().map(Result::unwrap));
    let ended = child.wait_with_output().unwrap();
    let records = text.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap(), records)
}

#[test]
fn a_replay_whose_host_is_killed_says_so_and_what_nobody_was_told_of() {
    let (_directory, path) = file(&long_day());
    let replay = replaying(&path, 100);
    let hosts = children(replay.0.id());
    assert!(!hosts.is_empty(), "a host");
    hosts.into_iter().for_each(kill);
    let (code, said, records) = ended(replay);
    assert_eq!(code, Some(120), "{said}");
    let stop = records.iter().find(|record| record["type"] == "stop").expect("a stop");
    assert_eq!(stop["kind"], "host_died", "{stop}");
    assert!(stop["time"].as_str().unwrap().starts_with("2024-05-01T10:"), "by the recording's clock: {stop}");
    assert_eq!(records.last().unwrap()["type"], "end");
    assert!(said.contains("told to nobody, as the machine had stopped"), "{said}");
    assert!(said.contains("read 1000 = accepted 1000 + rejected 0"), "{said}");
}

#[test]
fn a_replay_that_is_killed_leaves_whole_records() {
    let (directory, path) = file(&long_day());
    let records = directory.path().join("records.ndjson");
    let mut child = callboard()
        .args(["replay", &path, "--speed", "5", "-o", records.to_str().unwrap()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let text = || fs::read_to_string(&records).unwrap_or_default();
    until("a record of a process", || text().contains("process_exit"));
    let hosts = children(child.id());
    kill(child.id());
    child.wait().unwrap();
    let text = text();
    assert!(text.ends_with('\n'), "whole lines: {:?}", text.lines().last());
    let kinds: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert!(!kinds.contains(&"end".to_owned()), "a reader sees that it was cut short");
    // Nobody is left behind.
    until("the end of its host", || {
        hosts.iter().all(|host| !Path::new(&format!("/proc/{host}/exe")).exists())
    });
}

/// Records a command that starts a process every few milliseconds, for as long as it likes.
fn recording(path: &Path) -> Child {
    let script = "while :; do /bin/true; sleep 0.01; done";
    callboard()
        .args(["run", "-q", "--record", path.to_str().unwrap(), "--", "sh", "-c", script])
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |about| about.len())
}

#[test]
fn a_recorder_that_is_killed_has_recorded_all_until_then_and_the_next_reader_is_told() {
    if !can_trace() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.cbr");
    let mut child = recording(&path);
    until("a block", || bytes(&path) > 1000);
    let before = bytes(&path);
    until("another block", || bytes(&path) > before);
    kill(child.id());
    child.wait().unwrap();
    let shown = ran(&["events", path.to_str().unwrap(), "--format", "ndjson"]);
    assert_eq!(shown.code, 1, "{}", shown.said);
    assert!(shown.said.contains("the recording was not finished"), "{}", shown.said);
    let told = shown.count("process_create");
    assert!(told > 1, "{}", shown.said);
    // Each of them can be replayed, and that says the same.
    let replayed = ran(&["replay", path.to_str().unwrap(), "--format", "ndjson"]);
    assert_eq!((replayed.code, replayed.count("process_create")), (1, told), "{}", replayed.said);
    assert!(replayed.said.contains("the recording was not finished"), "{}", replayed.said);
}

#[test]
fn what_was_recorded_before_a_host_was_killed_is_there_and_the_recording_ends_well() {
    if !can_trace() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.cbr");
    let script = "for i in $(seq 100); do /bin/true; sleep 0.01; done";
    let mut child = callboard()
        .args(["run", "-q", "--record", path.to_str().unwrap(), "--", "sh", "-c", script])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("a block", || bytes(&path) > 1000);
    // The command is a child too; a host has callboard's own name.
    let host = |id: &u32| {
        fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.contains("callboard"))
    };
    let hosts: Vec<_> = children(child.id()).into_iter().filter(host).collect();
    assert!(!hosts.is_empty(), "a host");
    hosts.into_iter().for_each(kill);
    assert_eq!(child.wait().unwrap().code(), Some(120));
    let shown = ran(&["events", path.to_str().unwrap(), "--format", "ndjson"]);
    assert_eq!(shown.code, 0, "{}", shown.said);
    assert!(shown.count("process_create") > 1, "{}", shown.said);
    assert!(shown.lines().last().is_some_and(|line| line["type"] == "end"), "{}", shown.out);
}

fn interrupt(process: u32) {
    assert!(Command::new("kill").args(["-INT", &process.to_string()]).status().unwrap().success());
}

#[test]
fn a_replay_that_is_interrupted_ends_well_and_is_summed_up() {
    let (_directory, path) = file(&long_day());
    let replay = replaying(&path, 100);
    interrupt(replay.0.id());
    let (code, said, records) = ended(replay);
    assert_eq!(code, Some(130), "{said}");
    let of = |kind: &str| records.iter().filter(|record| record["type"] == kind).count();
    assert_eq!((of("end"), of("stop")), (1, 0), "{said}");
    assert!(of("process_create") < 500, "it is not at its end");
    assert!(said.contains("told to nobody, as it was interrupted"), "{said}");
    assert!(said.contains("interrupted: not all of it"), "{said}");
}

#[test]
fn whoever_waits_for_a_pipe_is_interrupted_with_an_account_of_what_came() {
    let mut child = callboard()
        .args(["events", "-", "--format", "ndjson"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    for line in &long_day()[..50] {
        writeln!(pipe, "{line}").unwrap();
    }
    pipe.flush().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !(line.contains("process_exit") && line.contains("1096")) {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the last exit comes");
    }
    interrupt(child.id());
    // Nothing more comes, and the pipe stays open.
    let ended = child.wait_with_output().unwrap();
    drop(pipe);
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("read 50 = accepted 50 + rejected 0"), "{said}");
}
