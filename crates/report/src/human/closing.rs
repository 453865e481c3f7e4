//! The summary at the end.

use anstyle::Style;
use event::{DriverId, Timing};

use nt_abi::BugCheckCode;

use super::Verbosity;
use super::palette::{BAD, DRIVER, FAINT, GOOD, PLAIN, STRONG, WARN};
use super::paper::{BLOCK, Paper};
use super::quantity::{self, count, duration};
use super::trouble::left_behind;
use crate::{Summary, words};

/// Where what is summed up begins.
const VALUE: usize = BLOCK + 13;
/// The length of the line above the summary.
const RULE: usize = 62;

/// Shows a summary.
pub(super) fn show(paper: &mut Paper, summary: &Summary, verbosity: Verbosity) {
    paper.blank();
    paper.begin();
    let rule = paper.signs().rule;
    paper.sign(FAINT, &rule.repeat(2));
    paper.put(STRONG, " summary ");
    let width = paper.room().unwrap_or(RULE).min(RULE);
    paper.sign(FAINT, &rule.repeat(width.saturating_sub(11)));
    paper.end();

    counts(paper, summary);
    times(paper, summary);
    if verbosity >= Verbosity::Verbose {
        pools(paper, summary);
    }
    verdict(paper, summary);
}

fn label(paper: &mut Paper, text: &str) {
    paper.begin();
    paper.put(FAINT, text);
    paper.pad_to(VALUE);
}

/// Items with dots between them; those that are zero are left out.
fn items(paper: &mut Paper, items: &[(u64, &str, Style)]) {
    let mut first = true;
    for &(number, what, style) in items {
        if number == 0 {
            continue;
        }
        if !first {
            paper.put(PLAIN, " ");
            paper.sign(FAINT, paper.signs().dot);
            paper.put(PLAIN, " ");
        }
        first = false;
        paper.put(style, &format!("{number} {what}"));
    }
    if first {
        paper.put(FAINT, "none");
    }
    paper.end();
}

fn counts(paper: &mut Paper, summary: &Summary) {
    label(paper, "processes");
    items(
        paper,
        &[
            (summary.processes_created, "created", PLAIN),
            (summary.processes_refused, "refused", BAD),
            (summary.processes_exited, "exited", PLAIN),
            (summary.processes_cloned, "cloned", FAINT),
            (summary.processes_present, "there before", FAINT),
        ],
    );
    label(paper, "threads");
    items(paper, &[(summary.threads_created, "created", PLAIN), (summary.threads_exited, "exited", PLAIN)]);
    label(paper, "images");
    items(paper, &[(summary.images, "mapped", PLAIN)]);
    label(paper, "debug lines");
    items(paper, &[(summary.debug_lines, "printed", PLAIN)]);
}

fn times(paper: &mut Paper, summary: &Summary) {
    let timings: Vec<_> = summary.tally.timings().collect();
    // Where times are left out, as they differ from run to run, there is nothing to show.
    if timings.iter().all(|timing| timing.longest == 0) {
        return;
    }
    let name_width = timings
        .iter()
        .map(|timing| name(summary, timing.driver).chars().count())
        .max()
        .unwrap_or(0)
        .clamp(6, 24);
    paper.blank();
    paper.begin();
    let head = format!(
        "{:<name_width$}  {:<8}{:>9}{:>11}{:>11}{:>11}",
        "driver", "routines", "calls", "total", "mean", "longest"
    );
    paper.put(FAINT, &head);
    paper.end();
    for Timing { driver, family, calls, total, longest } in timings {
        let signs = paper.signs();
        let mean = total.checked_div(calls).unwrap_or(0);
        paper.begin();
        paper.put_short(DRIVER, &name(summary, driver));
        paper.pad_to(BLOCK + name_width + 2);
        paper.put(PLAIN, &format!("{:<8}{calls:>9}", words::family(family)));
        for nanos in [total, mean, longest] {
            paper.put(PLAIN, &format!("{:>11}", duration(nanos, signs)));
        }
        paper.end();
    }
}

/// What drivers took of pool.
fn pools(paper: &mut Paper, summary: &Summary) {
    let used = summary.drivers.iter().filter_map(|(id, driver)| Some((*id, driver.pool.as_ref()?)));
    for (index, (id, usage)) in used.enumerate() {
        if index == 0 {
            paper.blank();
        }
        label(paper, "pool");
        paper.put(DRIVER, &name(summary, id));
        paper.put_wrapped(PLAIN, &format!(" {}", quantity::pool(usage)));
        paper.end();
    }
}

fn verdict(paper: &mut Paper, summary: &Summary) {
    paper.blank();
    for (id, driver) in &summary.drivers {
        if !driver.missing.is_empty() {
            label(paper, "missing");
            paper.put(DRIVER, &name(summary, *id));
            let text = format!(" imports {}: {}", routines(driver.missing.len()), driver.missing.join(", "));
            paper.put_wrapped(PLAIN, &text);
            paper.end();
        }
    }
    for (id, _, status) in summary.failed_drivers() {
        label(paper, "not started");
        paper.put(DRIVER, &name(summary, id));
        paper.put(BAD, &format!(" {}", words::status(status)));
        paper.end();
    }
    label(paper, "findings");
    let (error, warning) = (word(summary.errors, "error"), word(summary.warnings, "warning"));
    items(paper, &[(summary.errors, &error, BAD), (summary.warnings, &warning, WARN)]);
    if summary.leaks == 0 {
        label(paper, "leaks");
        items(paper, &[]);
    }
    for leak in &summary.first_leaks {
        label(paper, "leak");
        paper.put(DRIVER, &name(summary, leak.driver));
        paper.put_wrapped(PLAIN, &format!(" left {}", left_behind(leak)));
        paper.end();
    }
    let unnamed = summary.leaks.saturating_sub(summary.first_leaks.len() as u64);
    if unnamed > 0 {
        label(paper, "leaks");
        paper.put(PLAIN, &format!("{unnamed} more"));
        paper.end();
    }
    for (kind, code) in &summary.stops {
        label(paper, "stop");
        let text = match code {
            0 => words::stop_kind(*kind).replace('_', " "),
            code => BugCheckCode(*code).to_string(),
        };
        paper.put(BAD, &text);
        paper.end();
    }
    if let Some(command) = summary.command {
        label(paper, "command");
        let style = if command.succeeded() { GOOD } else { BAD };
        paper.put(style, &words::command_end(command.code, command.signal));
        paper.end();
    }
    if !summary.complete {
        label(paper, "incomplete");
        paper.put_wrapped(WARN, "the run was cut short: what came after is not in this summary");
        paper.end();
    }
}

fn name(summary: &Summary, driver: DriverId) -> String {
    match summary.drivers.get(&driver) {
        Some(known) if !known.name.is_empty() => known.name.clone(),
        _ => format!("driver {}", driver.0),
    }
}

fn word(number: u64, one: &str) -> String {
    if number == 1 { one.to_owned() } else { format!("{one}s") }
}

fn routines(number: usize) -> String {
    count(number as u64, "routine that nobody implements", "routines that nobody implements")
}
