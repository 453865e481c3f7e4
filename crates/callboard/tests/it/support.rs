//! Running callboard and reading its records.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// One of the drivers that are committed.
pub(crate) fn driver(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../drivers/bin")).join(format!("{name}.sys"))
}

/// The program under test.
pub(crate) fn callboard() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callboard"));
    command.stdin(Stdio::null()).env_remove("COLUMNS").env("LC_ALL", "C");
    command
}

/// Where tracing is not permitted, live tests cannot say anything: they say so and pass, unless what they say is to prove
/// something (`cargo xtask conformance`).
pub(crate) fn can_trace() -> bool {
    let output = callboard().args(["run", "--", "true"]).output().unwrap();
    let permitted = output.status.code() != Some(123);
    if !permitted {
        assert!(
            std::env::var_os("CALLBOARD_REQUIRE_TRACING").is_none(),
            "tracing is not permitted: {output:?}"
        );
        eprintln!(
            "SKIPPED: this machine does not permit tracing: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    permitted
}

/// What a run came to.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) records: Vec<Value>,
}

/// Runs a command with these arguments before `--`, and reads the records.
pub(crate) fn run(arguments: &[&str], command: &[&str]) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let records = directory.path().join("records.ndjson");
    let mut callboard = callboard();
    callboard
        .arg("run")
        .args(arguments)
        .arg("--format")
        .arg("ndjson")
        .arg("-o")
        .arg(&records)
        .arg("--")
        .args(command);
    let output: Output = callboard.output().unwrap();
    let text = std::fs::read_to_string(&records).unwrap_or_default();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        records: text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
    }
}

/// The same with one of our drivers.
pub(crate) fn run_with(name: &str, arguments: &[&str], command: &[&str]) -> Run {
    let path = driver(name);
    let mut all = vec![path.to_str().unwrap()];
    all.extend(arguments);
    run(&all, command)
}

impl Run {
    /// The records of a type.
    pub(crate) fn of(&self, kind: &str) -> Vec<&Value> {
        self.records.iter().filter(|record| record["type"] == kind).collect()
    }

    /// The one record of a type.
    pub(crate) fn one(&self, kind: &str) -> &Value {
        let all = self.of(kind);
        assert_eq!(all.len(), 1, "{kind} in {:#?}\n{}", self.records, self.stderr);
        all[0]
    }

    /// What drivers printed, line by line.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.of("debug").into_iter().filter_map(|record| record["text"].as_str()).collect()
    }
}
