//! What recordings are read from: Callboard's own in both forms, several in one file, and pipes.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use telemetry::recording::{Options, from_ndjson};

use crate::recordings::{Ran, day, file, ran};
use crate::support::callboard;

/// What happened, without what says where that was read from.
fn happened(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.code, 0, "{}", ran.said);
    let of_file = |line: &Value| matches!(line["type"].as_str(), Some("recording" | "start" | "note"));
    ran.lines().into_iter().filter(|line| !of_file(line)).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn either_form_of_recordings_is_read_as_the_log_they_were_made_of() {
    let (directory, log) = file(&[day("ONE"), day("TWO")].concat());
    let path = |name: &str| directory.path().join(name);
    let (both, bound) = (path("both.ndjson"), path("bound.cbr"));
    let written = ran(&["events", &log, "-o", text(&both)]);
    assert_eq!(written.code, 0, "{}", written.said);
    // Each machine as blocks of its own, one behind the other.
    let lines = fs::read_to_string(&both).unwrap();
    let second = lines.match_indices("{\"type\":\"recording\"").nth(1).unwrap().0;
    let mut blocks = Vec::new();
    for lines in [&lines[..second], &lines[second..]] {
        assert!(from_ndjson(lines.as_bytes(), &mut blocks, Options::default()).unwrap().finished);
    }
    fs::write(&bound, blocks).unwrap();
    let format = ["--format", "ndjson"];
    let of = |command: &str, path: &str| ran(&[&[command, path], &format[..]].concat());
    for command in ["events", "replay"] {
        let expected = happened(&of(command, &log));
        assert_eq!(happened(&of(command, text(&both))), expected, "{command}");
        assert_eq!(happened(&of(command, text(&bound))), expected, "{command}");
    }
    let one = ran(&["events", text(&both), "--machine", "two", "--format", "ndjson"]);
    assert_eq!((one.count("recording"), one.count("process_create")), (1, 3), "{}", one.said);
    // A folder of all of them is three times as much.
    let all = of("events", text(directory.path()));
    assert_eq!(all.code, 0, "{}", all.said);
    assert!(all.said.contains("read 84 = "), "{}", all.said);

    // A line of it that is damaged, and an end that is missing.
    let mut damaged: Vec<_> = lines.lines().collect();
    damaged[3] = "{\"type\":\"process_create\"";
    damaged.pop();
    fs::write(&both, damaged.join("\n") + "\n").unwrap();
    let read = of("events", text(&both));
    assert_eq!(read.code, 1, "{}", read.said);
    assert!(read.said.contains("(truncated 1, malformed 1)"), "{}", read.said);
    assert!(read.said.contains("both.ndjson, record 4: "), "{}", read.said);
}

#[test]
fn the_first_of_each_cause_is_named_by_its_file_and_record() {
    let (directory, first) = file(&day("ONE"));
    let second = directory.path().join("second.json");
    let mut lines = day("ONE");
    lines.insert(1, "{\"EventID\": 1, ".into());
    fs::write(&second, lines.join("\n")).unwrap();
    let read = ran(&["events", &first, text(&second)]);
    assert_eq!(read.code, 1);
    assert!(read.said.contains(&format!("first malformed: {}, record 2: ", text(&second))), "{}", read.said);
}

#[test]
fn records_that_their_log_numbered_are_told_once_however_often_they_are_given() {
    let numbered = |from: usize, mut lines: Vec<String>| {
        // Two of the same at one moment are two, as their log says.
        lines.insert(3, lines[2].clone());
        for (number, line) in (from..).zip(&mut lines) {
            *line = line.replacen('{', &format!("{{\"RecordNumber\":{number},"), 1);
        }
        lines
    };
    let (directory, once) = file(&numbered(700, day("ONE")));
    let twice = directory.path().join("twice.json");
    let lines = fs::read_to_string(&once).unwrap();
    fs::write(&twice, format!("{lines}\n{lines}")).unwrap();
    let of = |files: &[&str]| ran(&[&["events"], files, &["--format", "ndjson"]].concat());
    let alone = of(&[&once]);
    assert_eq!(alone.count("image_load"), 4, "{}", alone.said);
    for files in [&[text(&twice)][..], &[&once, &once], &[&once, text(&twice)]] {
        let more = of(files);
        assert_eq!(happened(&more), happened(&alone), "{files:?}");
        assert!(more.said.contains("record 700 of the log was told before"), "{}", more.said);
    }
    // The same numbers at another time are another log's: the machine was set up again.
    let other = directory.path().join("other.json");
    fs::write(&other, lines.replace("2024-05-01", "2024-04-30")).unwrap();
    for files in [[&once, text(&other)], [text(&other), &once]] {
        assert_eq!(of(&files).count("image_load"), 8, "{files:?}");
    }
}

#[test]
fn a_pipe_is_told_of_as_it_comes() {
    for arguments in [["events", "-"], ["replay", "-"]] {
        let mut command = callboard();
        command.args(arguments).args(["--format", "ndjson"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        let reader = thread::spawn(move || {
            for line in output.lines() {
                let _ = send.send(line.unwrap());
            }
        });
        let mut said = Vec::new();
        for (line, pid) in day("ONE").iter().take(4).zip([1000, 1000, 1000, 1200]) {
            writeln!(input, "{line}").unwrap();
            let created = format!("\"pid\":{pid},");
            let is_told = |line: &String| line.contains("\"process_create\"") && line.contains(&created);
            while !said.iter().any(is_told) {
                said.push(lines.recv_timeout(Duration::from_secs(30)).unwrap());
            }
        }
        drop(input);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        reader.join().unwrap();
        said.extend(lines.iter());
        assert!(said.last().unwrap().contains("\"type\":\"end\""), "{said:?}");
    }
}
