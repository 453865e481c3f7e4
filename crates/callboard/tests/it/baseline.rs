//! Replays that are compared: with other drivers, and with other replays.

use std::fs;
use std::path::Path;

use crate::recordings::{EVIL, Ran, create, day, exit, file, ran};
use crate::support::driver;

/// A driver under other names: what differs between them is their settings.
fn versions(folder: &Path, names: &[&str]) -> Vec<String> {
    let copied = |name: &&str| {
        let path = folder.join(format!("{name}.sys"));
        fs::copy(driver("sensor"), &path).unwrap();
        path.to_str().unwrap().to_owned()
    };
    names.iter().map(copied).collect()
}

fn changes(ran: &Ran) -> Vec<(String, u64)> {
    let lines = ran.lines();
    let differences = lines.iter().filter(|line| line["type"] == "difference");
    differences
        .map(|line| (line["change"].as_str().unwrap().to_owned(), line["pid"].as_u64().unwrap_or(0)))
        .collect()
}

#[test]
fn a_new_version_is_compared_with_the_old_one() {
    let (directory, path) = file(&day("HOST"));
    let files = versions(directory.path(), &["v1", "v2"]);
    let both = ["replay", &path, "--format", "ndjson", "--driver", &files[1], "--baseline", &files[0]];
    let equal = ran(&both);
    assert_eq!((equal.code, changes(&equal)), (0, vec![]), "{}", equal.said);
    assert!(equal.said.contains("no difference from the baseline"), "{}", equal.said);
    let differ = |settings: &[&str]| {
        let settings: Vec<_> = settings.iter().flat_map(|it| ["--set", it]).collect();
        ran(&[&both[..], &settings].concat())
    };
    let new = differ(&[r"v2:Deny=*\evil.exe"]);
    assert_eq!((new.code, changes(&new)), (119, vec![("refusal_new".into(), 1200)]), "{}", new.said);
    assert!(
        new.said.contains("different from the baseline\n  refused now 1\n    host: 1200 "),
        "{}",
        new.said
    );
    assert!(new.said.contains(EVIL), "{}", new.said);
    let gone = differ(&[r"v1:Deny=*\evil.exe"]);
    assert_eq!((gone.code, changes(&gone)), (119, vec![("refusal_gone".into(), 1200)]), "{}", gone.said);
    let moved = differ(&[r"v1:Deny=*\evil.exe", r"v2:Deny=*\whoami.exe"]);
    assert_eq!(changes(&moved), [("refusal_new".into(), 1400), ("refusal_gone".into(), 1200)]);
    let same = differ(&[r"v1:Deny=*\evil.exe", r"v2:Deny=*\evil.exe"]);
    assert_eq!((same.code, changes(&same)), (0, vec![]), "{}", same.said);
    // The records of the new version are those of a replay of its own.
    let records: Vec<_> = new.out.lines().filter(|line| !line.contains(r#""type":"difference""#)).collect();
    let alone =
        ran(&["replay", &path, "--format", "ndjson", "--driver", &files[1], "--set", r"Deny=*\evil.exe"]);
    assert_eq!(records, alone.out.lines().collect::<Vec<_>>());
}

#[test]
fn no_output_is_written_over_what_is_read() {
    let (directory, path) = file(&day("HOST"));
    let sensor = &versions(directory.path(), &["v1"])[0];
    let page = format!("html={sensor}");
    let link = directory.path().join("link.ndjson");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let before = [fs::read(&path).unwrap(), fs::read(sensor).unwrap()];
    let commands: [&[&str]; 6] = [
        &["replay", &path, "-o", &path],
        &["replay", &path, "-o", link.to_str().unwrap()],
        &["events", &path, "-o", &path],
        &["replay", &path, "--driver", sensor, "-o", sensor],
        &["replay", &path, "--baseline", sensor, "--report", &page],
        &["run", sensor, "--record", sensor, "--", "true"],
    ];
    for command in commands {
        let refused = ran(command);
        assert_eq!(refused.code, 2, "{command:?}: {}", refused.said);
        assert!(refused.said.contains("is the same file"), "{command:?}: {}", refused.said);
    }
    assert_eq!(before, [fs::read(&path).unwrap(), fs::read(sensor).unwrap()]);
}

#[test]
fn a_process_is_another_one_when_its_id_is_used_again() {
    let lines = [
        create("HOST", 100, 1200, 800, EVIL),
        exit("HOST", 200, 1200),
        create("HOST", 300, 1200, 800, r"C:\Windows\System32\whoami.exe"),
        exit("HOST", 400, 1200),
    ];
    let (directory, path) = file(&lines);
    let files = versions(directory.path(), &["v1", "v2"]);
    let settings = ["--set", r"v1:Deny=*\evil.exe", "--set", r"v2:Deny=*\whoami.exe"];
    let compared = ["replay", &path, "--format", "ndjson", "--driver", &files[1], "--baseline", &files[0]];
    let found = ran(&[&compared[..], &settings].concat());
    assert_eq!(changes(&found), [("refusal_new".into(), 1200), ("refusal_gone".into(), 1200)]);
}

#[test]
fn two_replays_are_compared_by_their_records() {
    let (directory, path) = file(&[day("ONE"), day("TWO")].concat());
    let before = directory.path().join("before.ndjson");
    let before = before.to_str().unwrap();
    let first = ran(&["replay", &path, "--set", r"Deny=*\evil.exe", "-o", before]);
    assert_eq!(first.code, 0, "{}", first.said);
    // They are no recording.
    let records = ran(&["replay", before]);
    assert_eq!(records.code, 2, "{}", records.said);
    assert!(records.said.contains("`--baseline` compares with them"), "{}", records.said);
    let compared = |more: &[&str]| {
        ran(&[&["replay", path.as_str(), "--format", "ndjson", "--baseline", before][..], more].concat())
    };
    assert_eq!(compared(&["--set", r"Deny=*\evil.exe"]).code, 0);
    let other = compared(&["--set", r"Deny=*\whoami.exe"]);
    let one = [("refusal_new".to_owned(), 1400), ("refusal_gone".to_owned(), 1200)];
    assert_eq!((other.code, changes(&other)), (119, [one.clone(), one].concat()), "{}", other.said);
    // A machine that is not there is not compared, and that is said.
    let text = fs::read_to_string(before).unwrap();
    let end = text.lines().position(|line| line.contains(r#""type":"end""#)).unwrap();
    let one: Vec<_> = text.lines().take(end + 1).collect();
    fs::write(before, one.join("\n") + "\n").unwrap();
    let half = compared(&["--set", r"Deny=*\evil.exe"]);
    assert_eq!(half.code, 0, "{}", half.said);
    assert!(half.out.contains("the baseline has no machine two"), "{}", half.out);
    // None of them there is surely another recording, or file.
    let (_other, elsewhere) = file(&day("THREE"));
    let none = ran(&["replay", &elsewhere, "--baseline", before]);
    assert_eq!(none.code, 2, "{}", none.said);
    assert!(
        none.said.contains("no machine of the baseline is in this recording: it has one"),
        "{}",
        none.said
    );
    // Nor is one with other processes what it seems.
    let (_other, elsewhere) = file(&day("ONE")[..6]);
    let less = ran(&["replay", &elsewhere, "--baseline", before, "--format", "ndjson"]);
    assert!(less.out.contains("the baseline was told of 3 processes, and here there are 2"), "{}", less.out);
    // What was cut short would be missing refusals.
    fs::write(before, one[..end].join("\n")).unwrap();
    let cut = compared(&[]);
    assert_eq!(cut.code, 2, "{}", cut.said);
    assert!(cut.said.contains("the run was cut short"), "{}", cut.said);
    fs::write(before, "{\"type\":\"recording\",\"time\":\"\"}\n").unwrap();
    assert_eq!(compared(&[]).code, 2);
}

#[test]
fn other_findings_and_stops_are_differences() {
    let (directory, path) = file(&day("HOST"));
    let bsod = directory.path().join("bsod.sys");
    fs::copy(driver("bsod"), &bsod).unwrap();
    let bsod = bsod.to_str().unwrap();
    let sensor = &versions(directory.path(), &["v1"])[0];
    let compared = ["replay", &path, "--format", "ndjson", "--set", "bsod:Mode=null-read-at-create"];
    let stops = ran(&[&compared[..], &["--driver", bsod, "--baseline", sensor]].concat());
    assert_eq!(stops.code, 120, "a stop is worse than a difference: {}", stops.said);
    assert!(changes(&stops).contains(&("stop_new".into(), 0)), "{}", stops.out);
    let gone = ran(&[&compared[..], &["--driver", sensor, "--baseline", bsod]].concat());
    assert_eq!(gone.code, 119, "{}", gone.said);
    assert!(changes(&gone).contains(&("stop_gone".into(), 0)), "{}", gone.out);
    let broken = ran(&[&compared[..], &["--driver", sensor, "--baseline", "/no/such.sys"]].concat());
    assert_eq!(broken.code, 121, "{}", broken.said);
}

#[test]
fn a_slower_routine_is_a_difference() {
    let lines: Vec<_> = (0..120)
        .flat_map(|at| {
            [create("HOST", at * 10, 1000 + at * 4, 800, EVIL), exit("HOST", at * 10 + 5, 1000 + at * 4)]
        })
        .collect();
    let (directory, path) = file(&lines);
    let before = directory.path().join("before.ndjson");
    let timed = ran(&["replay", &path, "--timed", "-o", before.to_str().unwrap()]);
    assert_eq!(timed.code, 0, "{}", timed.said);
    let text = fs::read_to_string(&before).unwrap();
    // No routine takes 1 ns, and none 10 minutes: what this machine does meanwhile does not matter.
    let compared = |took: u64| {
        let lines = text.lines().map(|line| match line.split_once("\"duration_ns\":") {
            Some((head, tail)) => {
                let rest = tail.trim_start_matches(|digit: char| digit.is_ascii_digit());
                format!("{head}\"duration_ns\":{took}{rest}\n")
            }
            None => format!("{line}\n"),
        });
        fs::write(&before, lines.collect::<String>()).unwrap();
        ran(&["replay", &path, "-q", "--baseline", before.to_str().unwrap()])
    };
    assert!(!text.contains("\"duration_ns\":0,"), "what was measured is there");
    let slower = compared(1);
    assert_eq!(slower.code, 119, "{}", slower.said);
    assert!(slower.said.contains("sensor, process create: half within "), "{}", slower.said);
    assert_eq!(compared(600_000_000_000).code, 0);
}
