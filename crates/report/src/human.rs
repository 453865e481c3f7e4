//! The timeline that people read.
//!
//! ```text
//! │      4.900    33656 uname           + created   /usr/bin/uname  by 33652 sh  $ uname -a
//! │  │            │                     │ │         └ detail           paper.rs  a line and its columns
//! │  │            └ whom it is about    │ └ what, or which driver      timeline.rs  which record says what
//! │  └ ms since the first record        └ what kind of line            trouble.rs   findings and stops
//! └ ours, not the traced command's                                     closing.rs   the summary
//! ```
//!
//! It shares a terminal with the traced command, hence the gutter. What drivers and file names say is
//! shown with everything active in it escaped; without a width nothing is shortened.

mod closing;
mod palette;
mod paper;
mod quantity;
mod timeline;
mod trouble;

use std::io::Write;

use event::{Body, Record};

use self::paper::Paper;
use crate::names::Names;
use crate::output::{Output, Pace};
use crate::{Sink, SinkError, Summary, words};

/// How much is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Refusals, findings, stops, drivers that do not start and a command that fails; no summary.
    Quiet,
    /// Also drivers, processes, images, drivers' lines, leaks, notes, and the summary.
    #[default]
    Normal,
    /// Also threads, clones, processes that were there before, single calls, addresses, NT paths and
    /// registers.
    Verbose,
    /// Everything the records hold.
    Everything,
}

/// How it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How much.
    pub verbosity: Verbosity,
    /// Whether to write colours, as ANSI sequences. A writer that strips them may decide instead.
    pub colour: bool,
    /// Whether to write nothing but ASCII; other characters are then shown as escapes.
    pub ascii: bool,
    /// The columns of the terminal; `None` where lines may be of any length.
    pub width: Option<usize>,
    /// When lines are handed to the system.
    pub pace: Pace,
}

impl Default for Options {
    /// For a file: normal verbosity, no colours, no width.
    fn default() -> Self {
        Self {
            verbosity: Verbosity::Normal,
            colour: false,
            ascii: false,
            width: None,
            pace: Pace::EveryRecord,
        }
    }
}

/// Writes records as a timeline, and a summary at the end.
pub struct Human<W> {
    output: Output<W>,
    options: Options,
    names: Names,
    summary: Summary,
    paper: Paper,
    /// Whether the records are of a command.
    commanded: bool,
    finished: bool,
}

impl<W: Write> Human<W> {
    /// Writes to `writer`, which errors call `name`.
    pub fn new(name: impl Into<String>, writer: W, options: Options) -> Self {
        Self {
            output: Output::new(name, writer, options.pace),
            options,
            names: Names::default(),
            summary: Summary::new(),
            paper: Paper::new(options),
            commanded: false,
            finished: false,
        }
    }

    /// What the records so far came to.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    fn commit(&mut self, urgent: bool) -> Result<(), SinkError> {
        let lines = self.paper.drain_into(self.output.pending());
        self.output.commit(lines, urgent)
    }
}

impl<W: Write> Sink for Human<W> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        // The summary is the caller's too, so it goes on when nothing can be written any more.
        self.summary.add(record);
        if self.output.is_closed() {
            return Ok(());
        }
        if let event::Body::Start { command, .. } = &record.body {
            self.commanded = !command.is_empty();
        }
        self.names.see(record);
        timeline::show(&mut self.paper, record, &self.names, self.options.verbosity);
        self.commit(words::is_urgent(&record.body) && !matches!(record.body, Body::End))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.output.flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        // Where the command could not even be started there is nothing to sum up.
        let ran = !self.commanded || self.summary.command.is_some() || self.summary.has_events();
        if ran && !self.finished && !self.output.is_closed() && self.options.verbosity > Verbosity::Quiet {
            closing::show(&mut self.paper, &self.summary, self.options.verbosity);
        }
        self.finished = true;
        self.commit(true)
    }
}
