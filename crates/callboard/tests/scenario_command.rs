//! `callboard test`, from end to end.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The program under test.
fn callboard() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callboard"));
    command.stdin(Stdio::null()).env_remove("COLUMNS").env("LC_ALL", "C");
    command
}

/// The scenarios of these tests.
fn scenarios() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios"))
}

struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs `callboard test` among the scenarios.
fn test(arguments: &[&str]) -> Run {
    test_in(&scenarios(), arguments)
}

fn test_in(directory: &Path, arguments: &[&str]) -> Run {
    let output = callboard().current_dir(directory).arg("test").args(arguments).output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[track_caller]
fn holds(run: &Run, code: i32, parts: &[&str]) {
    assert_eq!(run.code, code, "{}{}", run.stdout, run.stderr);
    for part in parts {
        assert!(
            run.stdout.contains(part) || run.stderr.contains(part),
            "{part:?}:\n{}{}",
            run.stdout,
            run.stderr
        );
    }
}

#[test]
fn a_scenario_that_passes_says_so() {
    let run = test(&["edr.toml"]);
    holds(
        &run,
        0,
        &["PASS [", "edr.toml win11-24h2 one child is refused, another passes", "1 scenario run: 1 passed"],
    );
}

#[test]
fn the_example_of_a_refusal_is_short() {
    let text = std::fs::read_to_string(scenarios().join("edr.toml")).unwrap();
    assert!(text.lines().count() < 25, "{text}");
}

#[test]
fn a_failure_shows_the_difference_and_what_to_do() {
    let run = test(&["let-pass.toml"]);
    assert_eq!(run.code, 1);
    // Times differ from run to run.
    let text: String = run
        .stdout
        .lines()
        .filter(|line| !line.contains("Summary"))
        .map(|line| match (line.find('['), line.find("s] ")) {
            (Some(from), Some(to)) if line.contains("FAIL") => {
                format!("{}[TIME{}\n", &line[..from], &line[to..])
            }
            _ => format!("{line}\n"),
        })
        .collect();
    insta::assert_snapshot!("let_pass", text);
}

#[test]
fn a_stop_fails_its_own_scenario_only() {
    let run = test(&["--jobs", "2", "."]);
    holds(
        &run,
        2,
        &[
            "PASS [",
            "FAIL [",
            "hang.toml",
            "hang in bsod",
            "stop.toml",
            "the machine stopped",
            "SKIP [",
            "(for another day)",
            "BAD FILE",
            "wrong.toml:4:1: unknown key `creat`",
            "help: did you mean `create`?",
            "1 file not understood",
            "1 skipped",
        ],
    );
    assert_eq!(run.stdout.matches("PASS [").count(), 4, "{}", run.stdout);
}

#[test]
fn several_profiles_are_several_tests() {
    let run = test(&["profiles.toml"]);
    holds(&run, 0, &["profiles.toml win7-sp1 ", "profiles.toml win11-24h2 ", "2 scenarios run: 2 passed"]);
    let run = test(&["edr.toml", "--os", "win8.1", "--os", "win10-22h2"]);
    holds(&run, 0, &["edr.toml win8.1 ", "edr.toml win10-22h2 "]);
}

#[test]
fn what_would_be_run_is_listed() {
    let run = test(&["edr.toml", "profiles.toml", "--list"]);
    holds(&run, 0, &[]);
    assert_eq!(
        run.stdout,
        "edr.toml win11-24h2 one child is refused, another passes\nprofiles.toml win7-sp1 profiles\nprofiles.toml \
         win11-24h2 profiles\n"
    );
    let run = test(&["edr.toml", "--list", "--format", "ndjson"]);
    let line: Value = serde_json::from_str(run.stdout.trim()).unwrap();
    assert_eq!(line["profile"], "win11-24h2");
}

#[test]
fn a_filter_chooses_by_name_or_file() {
    let run = test(&["*.toml", "--list", "-E", "refused, another", "-E", "profil"]);
    holds(&run, 0, &["edr.toml", "profiles.toml"]);
    assert_eq!(run.stdout.lines().count(), 3, "{}", run.stdout);
    holds(&test(&["edr.toml", "--list", "-E", "one child", "--exact"]), 2, &["does not match the filter"]);
    holds(
        &test(&["edr.toml", "--list", "-E", "one child is refused, another passes", "--exact"]),
        0,
        &["edr.toml"],
    );
}

#[test]
fn results_for_programs() {
    let run = test(&["edr.toml", "let-pass.toml", "--format", "ndjson", "-j1"]);
    let lines: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!((&lines[0]["outcome"], &lines[1]["outcome"]), (&"pass".into(), &"fail".into()));
    let failure = &lines[1]["failures"][0];
    assert_eq!((&failure["line"], &failure["column"]), (&14.into(), &21.into()));
    assert_eq!(failure["expected"][0], "STATUS_ACCESS_DENIED by sensor");
    assert_eq!(failure["actual"][0], "STATUS_SUCCESS");
    assert_eq!((&lines[2]["passed"], &lines[2]["failed"]), (&1.into(), &1.into()));
}

#[test]
fn results_for_build_servers() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("results.xml");
    let run =
        test(&["edr.toml", "let-pass.toml", "skipped.toml", "wrong.toml", "--junit", file.to_str().unwrap()]);
    assert_eq!(run.code, 2);
    let text = std::fs::read_to_string(file).unwrap();
    for part in [
        "tests=\"4\" skipped=\"1\" failures=\"1\" errors=\"1\"",
        "<failure message=\"step 2: create evil: it was let pass\">",
        "one child is refused, another passes [win11-24h2]",
        "unknown key `creat`",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
}

#[test]
fn fail_fast_begins_nothing_after_a_failure() {
    let run = test(&["let-pass.toml", "edr.toml", "profiles.toml", "--fail-fast", "-j1"]);
    holds(&run, 1, &["1 failed", "3 not begun"]);
}

#[test]
fn the_starter_runs_green_and_is_never_written_over() {
    let directory = tempfile::tempdir().unwrap();
    holds(&test_in(directory.path(), &["--init"]), 0, &["callboard test scenario.toml"]);
    holds(&test_in(directory.path(), &["scenario.toml"]), 0, &["1 passed"]);
    holds(&test_in(directory.path(), &["--init"]), 2, &["is there already"]);
    holds(&test_in(directory.path(), &["--init", "other.toml"]), 0, &["other.toml"]);
    holds(&test_in(directory.path(), &["*.toml"]), 0, &["2 passed"]);
    // What the file says of itself is true, and so is what needs no name.
    let text = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert!(text("scenario.toml").contains("`callboard test scenario.toml`"));
    assert!(text("other.toml").contains("`callboard test other.toml`"));
    holds(&test_in(directory.path(), &[]), 0, &["scenario.toml", "1 passed"]);
}

#[test]
fn what_cannot_be_written_is_said_before_anything_runs() {
    let run = test(&["edr.toml", "--junit", "/nonexist/x.xml"]);
    holds(&run, 2, &["cannot write /nonexist/x.xml"]);
    assert!(!run.stdout.contains("PASS"), "{}", run.stdout);
    holds(&test(&["--init", "nonexist/bar.toml"]), 2, &["cannot write nonexist/bar.toml"]);
}

#[test]
fn results_of_one_file_come_in_the_order_of_its_profiles() {
    let directory = tempfile::tempdir().unwrap();
    let profiles = ["win10-22h2", "win7-sp1", "win11-24h2", "win8.1"];
    let text = format!("profiles = {profiles:?}\n[[driver]]\nfile = \"builtin:sensor\"\n");
    std::fs::write(directory.path().join("a.toml"), text).unwrap();
    let run = test_in(directory.path(), &["a.toml", "-j4"]);
    holds(&run, 0, &["4 passed"]);
    let places: Vec<_> = profiles.iter().map(|name| run.stdout.find(&format!("a.toml {name} "))).collect();
    assert!(places.is_sorted() && places[0].is_some(), "{}", run.stdout);
}

#[test]
fn a_difference_has_the_colours_of_git() {
    let output = callboard()
        .current_dir(scenarios())
        .env("CLICOLOR_FORCE", "1")
        .args(["test", "let-pass.toml"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("\u{1b}[31m    - STATUS_ACCESS_DENIED by sensor"), "{text:?}");
    assert!(text.contains("\u{1b}[32m    + STATUS_SUCCESS"), "{text:?}");
}

#[test]
fn the_schema_is_printed() {
    let run = test(&["--schema"]);
    let schema: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(schema["title"], "A Callboard scenario");
}

#[test]
fn files_that_are_not_there() {
    let directory = tempfile::tempdir().unwrap();
    holds(&test_in(directory.path(), &[]), 2, &["scenarios: ", "--init"]);
    holds(&test_in(directory.path(), &["none.toml"]), 2, &["none.toml: No such file"]);
    holds(&test_in(directory.path(), &["*.toml"]), 2, &["no file is like this pattern"]);
    holds(&test_in(directory.path(), &["."]), 2, &["there is no .toml file in this directory"]);
}

#[test]
fn a_driver_that_is_not_there_makes_its_scenario_a_bad_file() {
    let directory = tempfile::tempdir().unwrap();
    let sub = directory.path().join("sub");
    std::fs::create_dir(&sub).unwrap();
    std::fs::write(sub.join("miss.toml"), "[[driver]]\nfile = \"edr.sys\"\n").unwrap();
    let run = test_in(directory.path(), &["sub"]);
    let says = "sub/miss.toml:2:8: cannot read sub/edr.sys (relative to sub/miss.toml): No such file";
    holds(&run, 2, &["BAD FILE", says, "no scenario was run, 1 file not understood"]);
}

#[test]
fn hostile_files_end_in_an_error() {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("binary.toml", vec![0xff; 4096]),
        ("deep.toml", format!("a = {}", "[".repeat(200_000)).into_bytes()),
        ("escape.toml", b"\x1b]0;x\x07 = 1".to_vec()),
        ("many.toml", "[[step]]\n".repeat(20_000).into_bytes()),
    ] {
        std::fs::write(directory.path().join(name), bytes).unwrap();
        let run = test_in(directory.path(), &[name]);
        holds(&run, 2, &["BAD FILE", name]);
        assert!(!run.stdout.contains('\u{1b}'), "{name}");
    }
}
