//! Recordings that tests make, and commands that read them.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::support::callboard;

/// What a command came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) said: String,
}

pub(crate) fn ran(arguments: &[&str]) -> Ran {
    let output = callboard().args(arguments).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        said: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ran {
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for line in self.lines() {
            *counts.entry(line["type"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        counts
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.counts().get(kind).copied().unwrap_or(0)
    }
}

/// A Sysmon event as a line of JSON, at so many milliseconds.
pub(crate) fn sysmon(machine: &str, id: u32, at: u32, fields: &[(&str, Value)]) -> String {
    let mut event = json!({
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "SourceName": "Microsoft-Windows-Sysmon",
        "EventID": id,
        "Hostname": machine,
        "UtcTime": format!("2024-05-01 10:00:{:02}.{:03}", at / 1000, at % 1000),
    });
    for (name, value) in fields {
        event[name] = value.clone();
    }
    event.to_string()
}

pub(crate) fn create(machine: &str, at: u32, pid: u32, parent: u32, image: &str) -> String {
    let fields = [
        ("ProcessId", json!(pid)),
        ("ParentProcessId", json!(parent)),
        ("Image", json!(image)),
        ("CommandLine", json!(image)),
    ];
    sysmon(machine, 1, at, &fields)
}

pub(crate) fn exit(machine: &str, at: u32, pid: u32) -> String {
    sysmon(machine, 5, at, &[("ProcessId", json!(pid))])
}

pub(crate) fn image(machine: &str, at: u32, pid: u32, path: &str) -> String {
    sysmon(machine, 7, at, &[("ProcessId", json!(pid)), ("ImageLoaded", json!(path))])
}

pub(crate) const SHELL: &str = r"C:\Windows\System32\cmd.exe";
pub(crate) const EVIL: &str = r"C:\Temp\evil.exe";

/// A shell that starts a bad program, which starts another; out of order, with a network connection among them.
pub(crate) fn day(machine: &str) -> Vec<String> {
    vec![
        create(machine, 100, 1000, 800, SHELL),
        image(machine, 120, 1000, r"C:\Windows\System32\ntdll.dll"),
        image(machine, 110, 1000, SHELL),
        create(machine, 200, 1200, 1000, EVIL),
        image(machine, 210, 1200, EVIL),
        sysmon(machine, 3, 220, &[("ProcessId", json!(1200))]),
        create(machine, 300, 1400, 1200, r"C:\Windows\System32\whoami.exe"),
        exit(machine, 400, 1400),
        exit(machine, 500, 1200),
        exit(machine, 900, 1000),
    ]
}

/// A file of such lines.
pub(crate) fn file(lines: &[String]) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("day.json");
    fs::write(&path, lines.join("\n")).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}
