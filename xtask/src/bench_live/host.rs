//! How soon a driver has started, and what its host weighs.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::Context;

use super::ROUNDS;

/// Prints the time from starting `callboard` to the end of DriverEntry, and the memory of the host.
pub(super) fn report(program: &Path) -> anyhow::Result<()> {
    let mut fastest = Duration::MAX;
    let mut heaviest = 0;
    for _ in 0..ROUNDS * 3 {
        let began = SystemTime::now();
        let mut callboard = Command::new(program);
        callboard.args(["run", "--format", "ndjson", "-o", "-", "--", "sleep", "0.1"]);
        let child =
            callboard.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("cannot run callboard")?;
        std::thread::sleep(Duration::from_millis(60));
        heaviest = heaviest.max(host_memory(child.id()).unwrap_or(0));
        let output = child.wait_with_output().context("callboard was lost")?;
        if let Some(took) = entry_done(&String::from_utf8_lossy(&output.stdout), began) {
            fastest = fastest.min(took);
        }
    }
    eprintln!(
        "start of the command to DriverEntry done (fastest of {}): {:.2} ms",
        ROUNDS * 3,
        fastest.as_secs_f64() * 1e3
    );
    #[expect(clippy::cast_precision_loss, reason = "kilobytes of a process are far below 2^52")]
    let megabytes = heaviest as f64 / 1024.0;
    eprintln!("host memory (resident at most): {megabytes:.1} MB");
    Ok(())
}

/// The time between `began` and the record that says that DriverEntry returned.
fn entry_done(records: &str, began: SystemTime) -> Option<Duration> {
    let line = records.lines().find(|line| line.contains(r#""type":"driver_start""#))?;
    let time = line.split(r#""time":""#).nth(1)?.split('"').next()?;
    humantime::parse_rfc3339(time).ok()?.duration_since(began).ok()
}

/// `VmHWM` of the host of a callboard, in kilobytes.
fn host_memory(parent: u32) -> Option<u64> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let all = fs::read_dir(format!("/proc/{parent}/task")).ok()?;
    let of_threads = all
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
        .collect::<Vec<_>>()
        .join(" ");
    format!("{children} {of_threads}").split_whitespace().find_map(|pid| {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        (comm.trim() == "callboard-host").then(|| peak.split_whitespace().next()?.parse().ok())?
    })
}
