//! How far it is, where somebody looks at a terminal and it takes a while.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use telemetry::Format;

use super::files::Files;

/// Bars are drawn after so long.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many records are read between two looks at the clock.
const STRIDE: u64 = 1024;

fn is_worth_it(since: Instant) -> bool {
    since.elapsed() > PATIENCE && std::io::stderr().is_terminal()
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// How far the files are read.
pub(super) struct Reading<'a> {
    files: &'a Files,
    /// How many bytes there are, where that is known of all files.
    bytes: Option<u64>,
    records: u64,
    bar: Option<ProgressBar>,
    since: Instant,
}

impl<'a> Reading<'a> {
    pub(super) fn new(files: &'a Files) -> Self {
        // Procmon's PML is not read from front to back.
        let known = files.parts.iter().all(|(_, format)| *format != Format::Pml);
        let sizes = files.parts.iter().map(|(part, _)| part.progress().map(|(_, bytes)| bytes));
        let bytes: Option<u64> = sizes.sum();
        Self { files, bytes: bytes.filter(|_| known), records: 0, bar: None, since: Instant::now() }
    }

    /// More records were read.
    pub(super) fn more(&mut self, records: usize) {
        let before = self.records;
        self.records += records as u64;
        if self.records / STRIDE == before / STRIDE {
            return;
        }
        if self.bar.is_none() && is_worth_it(self.since) {
            self.bar = Some(self.begin());
        }
        let Some(bar) = &self.bar else { return };
        let millis = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = self.records.saturating_mul(1000) / millis;
        bar.set_message(format!("{} records, {} a second", HumanCount(self.records), HumanCount(rate)));
        match self.bytes {
            Some(_) => {
                let reached = self.files.parts.iter().filter_map(|(part, _)| part.progress());
                bar.set_position(reached.map(|(reached, _)| reached).sum());
            }
            None => bar.tick(),
        }
    }

    fn begin(&self) -> ProgressBar {
        let (bar, template) = match self.bytes {
            Some(bytes) => (
                ProgressBar::new(bytes).with_elapsed(self.since.elapsed()),
                "  {bar:24} {percent:>3} %  {msg}, {eta} left",
            ),
            None => (ProgressBar::new_spinner(), "  {spinner} [{elapsed}] {msg}"),
        };
        styled(bar, template)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How many machines are played, once all are read.
pub(super) struct Playing {
    bar: Option<ProgressBar>,
    since: Instant,
}

impl Playing {
    pub(super) fn new() -> Self {
        Self { bar: None, since: Instant::now() }
    }

    /// So many of all have been played.
    pub(super) fn at(&mut self, played: usize, all: usize) {
        if self.bar.is_none() && is_worth_it(self.since) {
            let bar = ProgressBar::new(all as u64).with_elapsed(self.since.elapsed());
            let template = "  {bar:24} {pos} of {len} machines, {eta} left";
            self.bar = Some(styled(bar, template));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(played as u64);
            bar.tick();
        }
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
