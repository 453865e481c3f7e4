//! `cargo xtask bench-live`: what watching costs a command, as ratios within one run.

mod compile;
mod host;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::callboard;

/// How often each side is run; the sides take turns, so that the machine's moods meet both.
const ROUNDS: usize = 7;

/// 500 processes, one after the other.
const LOOP: &str = "i=0; while [ $i -lt 500 ]; do /bin/true; i=$((i+1)); done";

/// One way to run a command: a name and what stands before the command.
struct Way {
    name: &'static str,
    before: Vec<String>,
}

/// Measures everything and prints it.
pub(crate) fn run() -> anyhow::Result<()> {
    let program = callboard::build()?;
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let callboard = |more: &[&str]| {
        let mut before = vec![program.display().to_string(), "run".to_owned(), "-q".to_owned()];
        before.extend(words(more));
        before.push("--".to_owned());
        before
    };
    let minimal = crate::root::root().join("drivers/bin/minimal.sys").display().to_string();
    let mut ways = vec![
        Way { name: "untraced", before: Vec::new() },
        Way {
            name: "callboard, the sensor with every notice",
            before: callboard(&["--set", "Quiet:dword=1"]),
        },
        Way { name: "callboard, a driver that registers nothing", before: callboard(&[&minimal]) },
    ];
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok() {
        let filter = "trace=execve,exit_group,mmap";
        let strace = words(&["strace", "-f", "-q", "--seccomp-bpf", "-e", filter, "-o", "/dev/null"]);
        ways.push(Way { name: "strace -f --seccomp-bpf, execve exit_group mmap", before: strace });
    }
    compare("500 x /bin/true", &ways, Path::new("/"), &words(&["sh", "-c", LOOP]))?;

    let project = compile::project()?;
    let make = words(&["make", "-s", "-j2", "-B"]);
    compare("a C project with make -j2", &ways[..2], project.path(), &make)?;

    host::report(&program)
}

/// Runs a command in each way, taking turns, and prints the fastest of each with its ratio to the first.
fn compare(what: &str, ways: &[Way], directory: &Path, command: &[String]) -> anyhow::Result<()> {
    let mut best = vec![Duration::MAX; ways.len()];
    for _ in 0..ROUNDS {
        for (way, best) in ways.iter().zip(&mut best) {
            *best = (*best).min(time(way, directory, command)?);
        }
    }
    eprintln!("{what} (fastest of {ROUNDS} each, taking turns)");
    let untraced = best.first().map_or(0.0, Duration::as_secs_f64);
    for (way, best) in ways.iter().zip(&best) {
        let seconds = best.as_secs_f64();
        eprintln!("  {:<50} {seconds:>8.3} s  x {:.2}", way.name, seconds / untraced);
    }
    Ok(())
}

fn time(way: &Way, directory: &Path, command: &[String]) -> anyhow::Result<Duration> {
    let mut all = way.before.iter().chain(command);
    let program = all.next().context("nothing to run")?;
    let mut process = Command::new(program);
    process.args(all).current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let status = process.status().with_context(|| format!("cannot run {program}"))?;
    let took = began.elapsed();
    if !status.success() {
        bail!("{}: {program} failed with {status}", way.name);
    }
    Ok(took)
}
