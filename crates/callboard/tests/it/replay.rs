//! Recordings: what is shown of them, and what drivers are told.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::recordings::{EVIL, SHELL, create, day, exit, file, image, ran};
use crate::support::{can_trace, driver};

#[test]
fn events_are_shown_in_order_with_an_account() {
    let (_directory, path) = file(&day("HOST"));
    let shown = ran(&["events", &path, "--format", "ndjson"]);
    assert_eq!(shown.code, 0, "{}", shown.said);
    let kinds: Vec<_> = shown.lines().iter().map(|line| line["type"].as_str().unwrap().to_owned()).collect();
    let expected = "recording process_present process_create thread_create image_load image_load process_create \
                    thread_create image_load process_create thread_create thread_exit process_exit thread_exit \
                    process_exit thread_exit process_exit end";
    assert_eq!(kinds.join(" "), expected);
    assert!(shown.lines()[4]["image"].as_str().unwrap().ends_with("cmd.exe"), "{}", shown.out);
    assert!(shown.said.contains("read 10 = accepted 9 + rejected 1 (other-kind 1)"), "{}", shown.said);
    assert!(shown.said.contains("1 put in order"), "{}", shown.said);
    assert!(
        shown.said.contains("processes that were there before 1, first threads 3, thread exits 3"),
        "{}",
        shown.said
    );
    let human = ran(&["events", &path]);
    assert!(human.out.contains("machine host") || human.out.contains("machine HOST"), "{}", human.out);
    assert!(human.out.contains(EVIL), "{}", human.out);
}

#[test]
fn strict_rejects_what_must_be_made_up() {
    let (_directory, path) = file(&[
        create("HOST", 100, 1000, 800, SHELL),
        image("HOST", 150, 600, r"C:\a.dll"),
        create("HOST", 200, 1000, 800, SHELL),
    ]);
    let strict = ran(&["events", &path, "--strict", "--format", "ndjson"]);
    assert_eq!(strict.count("process_create"), 1);
    assert!(
        strict.said.contains("accepted 1 + rejected 2 (never-seen 1, exit-missing 1)"),
        "{}",
        strict.said
    );
    assert!(strict.said.contains("record 2: process 600 was never seen being created"), "{}", strict.said);
    let lenient = ran(&["events", &path, "--format", "ndjson"]);
    assert_eq!((lenient.count("process_create"), lenient.count("process_exit")), (2, 1));
}

#[test]
fn drives_are_mapped() {
    let (_directory, path) = file(&day("HOST"));
    let shown = ran(&["events", &path, "--format", "ndjson", "--drive", r"C:=\Device\HarddiskVolume3"]);
    assert!(shown.out.contains(r"\\Device\\HarddiskVolume3\\Temp\\evil.exe"), "{}", shown.out);
    assert_eq!(ran(&["events", &path, "--drive", "C"]).code, 2);
}

#[test]
fn machines_are_told_apart() {
    let (one, other) = (day("ONE"), day("TWO"));
    let interleaved: Vec<_> = one.into_iter().zip(other).flat_map(|(one, other)| [one, other]).collect();
    let (_directory, path) = file(&interleaved);
    let both = ran(&["events", &path, "--format", "ndjson"]);
    assert_eq!((both.count("recording"), both.count("process_create")), (2, 6));
    assert!(both.said.contains("read 20 = accepted 18 + rejected 2 (other-kind 2)"), "{}", both.said);
    let two = ran(&["events", &path, "--format", "ndjson", "--machine", "two"]);
    assert_eq!((two.count("recording"), two.count("process_create")), (1, 3));
    assert!(two.said.contains("other-machine 9"), "{}", two.said);
    let none = ran(&["events", &path, "--machine", "three"]);
    assert_eq!(none.code, 2);
    assert!(none.said.contains("there is no machine three"), "{}", none.said);
    let replayed = ran(&["replay", &path, "--format", "ndjson"]);
    assert_eq!((replayed.count("start"), replayed.count("process_create")), (2, 6), "{}", replayed.said);
}

#[test]
fn a_driver_is_told_of_a_recording_and_the_same_again_is_the_same() {
    let (_directory, path) = file(&day("HOST"));
    let replayed = ran(&["replay", &path, "--format", "ndjson"]);
    assert_eq!(replayed.code, 0, "{}", replayed.said);
    assert_eq!((replayed.count("process_create"), replayed.count("process_exit")), (3, 3));
    assert_eq!(replayed.count("image_load"), 3);
    assert!(replayed.said.contains("process create         3 notices"), "{}", replayed.said);
    // The records are at the times of the recording.
    let create = replayed.lines().into_iter().find(|line| line["type"] == "process_create").unwrap();
    assert!(create["time"].as_str().unwrap().starts_with("2024-05-01T10:00:00.1"), "{create}");
    assert_eq!(ran(&["replay", &path, "--format", "ndjson"]).out, replayed.out);
}

#[test]
fn what_a_driver_does_wrong_is_the_same_again() {
    // What is asked of the machine for it.
    let fixed = std::process::Command::new("setarch").args(["-R", "true"]).status();
    if !fixed.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: this machine does not permit a fixed layout of memory");
        return;
    }
    let (_directory, path) = file(&day("HOST"));
    let bad = driver("rules/l-06-bad");
    let replayed = || ran(&["replay", &path, "--driver", bad.to_str().unwrap(), "--format", "ndjson"]);
    let first = replayed();
    assert!(first.count("finding") > 0 && first.count("leak") > 0, "{}", first.said);
    assert_eq!(replayed().out, first.out);
}

#[test]
fn what_a_refused_process_did_would_not_have_happened() {
    let (_directory, path) = file(&day("HOST"));
    let deny = ["--set", r"Deny=*\evil.exe", "--format", "ndjson"];
    let told = ran(&[&["replay", path.as_str()][..], &deny].concat());
    assert_eq!(told.count("verdict"), 1, "{}", told.out);
    assert_eq!(told.count("process_create"), 3);
    // Every event of it and of its descendants says so, and no other does.
    let lines = told.lines();
    let doubts: Vec<_> =
        lines.iter().filter(|line| line["type"] == "doubt").map(|line| &line["pid"]).collect();
    assert_eq!(doubts, [1200, 1400]);
    let refused = lines.iter().position(|line| line["type"] == "verdict").unwrap();
    for (place, line) in lines.iter().enumerate() {
        let event = ["process_create", "process_exit", "thread_create", "thread_exit", "image_load"];
        let theirs = place > refused && (line["pid"] == 1200 || line["pid"] == 1400);
        if event.contains(&line["type"].as_str().unwrap()) {
            assert_eq!(line["because_pid"] == 1200, theirs, "{line}");
        }
    }
    assert!(told.said.contains("refused                1 process with 0xC0000022"), "{}", told.said);
    let withheld = ran(&[&["replay", path.as_str(), "--withhold"][..], &deny].concat());
    assert_eq!(
        (withheld.count("process_create"), withheld.count("process_exit")),
        (2, 2),
        "{}",
        withheld.out
    );
    let exit =
        withheld.lines().into_iter().find(|line| line["type"] == "process_exit" && line["pid"] == 1200);
    assert_eq!(exit.unwrap()["status"], "0xC0000022", "R-VETO-07");
    assert!(withheld.said.contains("were withheld"), "{}", withheld.said);
}

#[test]
fn a_driver_that_stops_the_machine_stops_the_replay() {
    let (_directory, path) = file(&day("HOST"));
    let bsod = driver("bsod");
    let arguments =
        ["replay", &path, "--driver", bsod.to_str().unwrap(), "--set", "Mode=null-read-at-create"];
    let stopped = ran(&arguments);
    assert_eq!(stopped.code, 120, "{}\n{}", stopped.out, stopped.said);
    // Two of 16: one process was there, and one is created. Threads are among them that no log has.
    assert!(stopped.said.contains("; 14 told to nobody, as the machine had stopped"), "{}", stopped.said);
    assert!(!stopped.said.contains("of refused processes"), "{}", stopped.said);
    assert!(stopped.said.contains("read 10 = accepted 9"), "{}", stopped.said);
}

#[test]
fn damage_and_what_is_no_recording_have_their_exit_codes() {
    let mut lines = day("HOST");
    lines.insert(3, r#"{"EventID": 1, "#.into());
    let (directory, path) = file(&lines);
    let damaged = ran(&["events", &path, "--format", "ndjson"]);
    assert_eq!(damaged.code, 1, "{}", damaged.said);
    assert_eq!(damaged.count("process_create"), 3, "what could be read is told");
    for (name, bytes, says) in
        [("empty.json", "", "is empty"), ("notes.txt", "these are notes", "is no recording")]
    {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        let refused = ran(&["events", path.to_str().unwrap()]);
        assert_eq!(refused.code, 2, "{}", refused.said);
        assert!(refused.said.contains(says), "{}", refused.said);
    }
    assert_eq!(ran(&["events", "/no/such.evtx"]).code, 2);
    assert_eq!(ran(&["replay", &path, "--speed", "0"]).code, 2);
    // A folder is read with all in it that is a recording.
    let folder = ran(&["events", directory.path().to_str().unwrap(), "--format", "ndjson"]);
    assert_eq!(folder.count("process_create"), 3, "{}", folder.said);
    assert!(folder.said.contains("passed over: "), "{}", folder.said);
    // A machine goes on from one file to the next, whatever they are called.
    let (early, late) = (day("HOST"), exit("HOST", 50_000, 800));
    fs::write(directory.path().join("z-first.json"), early.join("\n")).unwrap();
    fs::write(directory.path().join("a-last.json"), late).unwrap();
    fs::remove_file(directory.path().join("day.json")).unwrap();
    let both = ran(&["events", directory.path().to_str().unwrap()]);
    assert!(
        both.said.contains("1 put in order, 0 too late") && !both.said.contains("after-exit"),
        "{}",
        both.said
    );
    fs::write(directory.path().join("day.json"), lines.join("\n")).unwrap();
    // A pattern that no shell has expanded.
    let pattern = |end: &str| directory.path().join(end).to_str().unwrap().to_owned();
    let matched = ran(&["events", &pattern("d*.json"), "--format", "ndjson"]);
    assert_eq!(matched.count("process_create"), 3, "{}", matched.said);
    assert_eq!(ran(&["events", &pattern("**/*.evtx")]).code, 2);
}

#[test]
fn a_command_is_recorded_and_can_be_replayed() {
    if !can_trace() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join("run.cbr");
    let recording = recording.to_str().unwrap();
    let live = ran(&[
        "run",
        "--record",
        recording,
        "--format",
        "ndjson",
        "-o",
        "-",
        "--",
        "sh",
        "-c",
        "/bin/true; /bin/true",
    ]);
    assert_eq!(live.code, 0, "{}", live.said);
    let events = ran(&["events", recording, "--format", "ndjson"]);
    assert_eq!(events.code, 0, "{}", events.said);
    let replayed = ran(&["replay", recording, "--format", "ndjson"]);
    assert_eq!(replayed.code, 0, "{}", replayed.said);
    for kind in ["process_create", "process_exit", "thread_create", "thread_exit", "image_load"] {
        assert!(live.count(kind) >= 2, "{kind}");
        assert_eq!(events.count(kind), live.count(kind), "{kind}");
        assert_eq!(replayed.count(kind), live.count(kind), "{kind}");
    }
    // What a killed writer leaves is read up to its last whole block, and said to be no whole.
    let bytes = fs::read(recording).unwrap();
    fs::write(recording, &bytes[..bytes.len() - 8]).unwrap();
    let cut = ran(&["events", recording, "--format", "ndjson"]);
    assert_eq!(cut.code, 1, "{}", cut.said);
    assert_eq!(cut.count("process_create"), live.count("process_create"));
    assert!(cut.said.contains("truncated 1"), "{}", cut.said);
}

/// The logs of the field that lie beside the project, where they do.
fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if !path.exists() {
        eprintln!("SKIPPED: there is no {}", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn procmon_tells_the_same_by_both_of_its_formats() {
    let Some(folder) = data("procmon") else { return };
    let shown = |extension: &str| {
        let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|it| it == extension));
        let shown = ran(&["events", files[0].to_str().unwrap(), "--format", "ndjson"]);
        let events: Vec<_> = shown.out.lines().skip(1).map(str::to_owned).collect();
        (events, shown.said)
    };
    let (csv, pml) = (shown("csv"), shown("pml"));
    assert!(csv.0.len() > 1000);
    assert_eq!(csv.0, pml.0);
    assert_eq!(csv.1, pml.1);
}

/// How often each of Sysmon's events that are told stands in a file of JSON lines, by another reader.
fn counted(path: &Path) -> [usize; 3] {
    let mut counts = [0; 3];
    for line in fs::read_to_string(path).unwrap().lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        if event["Channel"] == "Microsoft-Windows-Sysmon/Operational" {
            match event["EventID"].as_u64() {
                Some(1) => counts[0] += 1,
                Some(5) => counts[1] += 1,
                Some(6 | 7) => counts[2] += 1,
                _ => {}
            }
        }
    }
    counts
}

#[test]
fn logs_of_the_field_are_told_as_an_independent_reader_counts_them() {
    let Some(folder) = data("sysmon-json") else { return };
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "json") {
            continue;
        }
        let shown = ran(&["events", path.to_str().unwrap(), "--format", "ndjson"]);
        // What no record tells is counted by the account, and comes on top.
        let made = |what: &str| {
            let rest = shown.said.split(&format!("{what} ")).nth(1);
            let digits = rest.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
            digits.map_or(0, |digits| digits.parse::<usize>().unwrap())
        };
        let told = [
            shown.count("process_create"),
            shown.count("process_exit") - made("process exits that are missing"),
            shown.count("image_load") - made("main images"),
        ];
        assert_eq!(told, counted(&path), "{}: {}", path.display(), shown.said);
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn machines_are_replayed_at_once_and_shown_one_after_the_other() {
    let lines: Vec<_> = (0..40).flat_map(|machine| day(&format!("M{machine}"))).collect();
    // Some begin before others have ended, and each goes on for longer than what is told at once.
    let mut lines: Vec<_> = lines
        .chunks(120)
        .flat_map(|some| some.iter().step_by(2).chain(some.iter().skip(1).step_by(2)))
        .cloned()
        .collect();
    for at in 0..600 {
        lines.push(image("M7", 1000 + at, 1000, &format!(r"C:\m\{at}.dll")));
        lines.push(image("M2", 1000 + at, 1000, &format!(r"C:\m\{at}.dll")));
    }
    let (_directory, path) = file(&lines);
    let arguments = ["replay", &path, "--format", "ndjson", "--set", r"Deny=*\evil.exe"];
    let one = ran(&arguments);
    assert_eq!((one.code, one.count("start"), one.count("end")), (0, 40, 40), "{}", one.said);
    for jobs in ["2", "7"] {
        let many = ran(&[&arguments[..], &["--jobs", jobs]].concat());
        assert!(many.out == one.out, "{jobs} at once");
        let account = |said: &str| {
            said.lines().filter(|line| !line.contains("half within")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(account(&many.said), account(&one.said));
    }
    let shown = ran(&["events", &path, "--format", "ndjson"]);
    assert_eq!(shown.count("recording"), 40, "{}", shown.said);
    assert_eq!(ran(&[&arguments[..], &["--jobs", "0"]].concat()).code, 2);
}

#[test]
fn a_driver_that_cannot_be_loaded_ends_a_replay_of_many_machines() {
    let lines: Vec<_> = (0..5).flat_map(|machine| day(&format!("M{machine}"))).collect();
    let (_directory, path) = file(&lines);
    let bsod = driver("bsod");
    let bsod = bsod.to_str().unwrap();
    for jobs in ["1", "3"] {
        let failed = ran(&["replay", &path, "--driver", bsod, "--set", "Mode=fail-entry", "--jobs", jobs]);
        assert!(failed.code == 122 || failed.code == 120, "{}: {}", failed.code, failed.said);
    }
}
