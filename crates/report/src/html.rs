//! One page for a browser: the process tree over time, and before it what went wrong.
//!
//! ```text
//!   Record ──▶ rows.rs, rows/ ──▶ cells.rs    a row of JSON each; a text that comes again is a number
//!                 │ people.rs          which process an id means
//!                 │ budget.rs          what there is room for
//!                 └ totals.rs          the numbers
//!   page.rs    the page around the rows; page/ holds its text, its style and its script, which draws it all
//! ```
//!
//! It is written as records come, so that a page which was cut short opens as well, and holds only processes that
//! live. The file loads nothing, and nothing in it runs but its own script (docs/report-html.md).

mod budget;
mod cells;
mod page;
mod people;
mod rows;
mod totals;

use std::io::Write;

use event::Record;
use serde::Serialize as _;

use self::cells::Inert;
use self::rows::Rows;
use crate::output::{Output, Pace};
use crate::{Sink, SinkError, words};

/// How many bytes of rows a block has at most, about: a browser reads each as one text.
const BLOCK: usize = 256 << 10;

/// How a page is written.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many rows of details it has at most. What went wrong is not among them.
    pub details: u64,
    /// When rows are handed to the system.
    pub pace: Pace,
}

impl Default for Options {
    fn default() -> Self {
        Self { details: budget::DETAILS, pace: Pace::Blocks }
    }
}

/// Writes records as a page.
pub struct Html<W> {
    output: Output<W>,
    rows: Rows,
    begun: bool,
    /// Bytes in the block that is open; `None` where none is.
    block: Option<usize>,
    /// The rows of one record.
    scratch: Vec<u8>,
    finished: bool,
}

impl<W: Write> Html<W> {
    /// Writes to `writer`, which errors call `name`.
    pub fn new(name: impl Into<String>, writer: W, options: Options) -> Self {
        Self {
            output: Output::new(name, writer, options.pace),
            rows: Rows::new(options.details),
            begun: false,
            block: None,
            scratch: Vec::new(),
            finished: false,
        }
    }

    fn begin(&mut self) {
        if !self.begun {
            self.output.pending().extend_from_slice(page::head().as_bytes());
            self.begun = true;
        }
    }

    fn begin_block(&mut self) {
        if self.block.is_none() {
            self.output.pending().extend_from_slice(page::BLOCK_BEGIN.as_bytes());
            self.block = Some(0);
        }
    }

    fn end_block(&mut self) {
        if self.block.take().is_some() {
            self.output.pending().extend_from_slice(page::BLOCK_END.as_bytes());
        }
    }
}

impl<W: Write> Sink for Html<W> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        if self.output.is_closed() {
            return Ok(());
        }
        self.begin();
        if self.block.is_some_and(|bytes| bytes >= BLOCK) {
            self.end_block();
        }
        let mut rows = std::mem::take(&mut self.scratch);
        rows.clear();
        self.rows.add(record, &mut rows);
        if !rows.is_empty() {
            self.begin_block();
            self.output.pending().extend_from_slice(&rows);
            self.block = self.block.map(|bytes| bytes + rows.len());
        }
        let lines = rows.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.scratch = rows;
        self.output.commit(lines, words::is_urgent(&record.body))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.output.flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        if self.finished || self.output.is_closed() {
            return Ok(());
        }
        self.finished = true;
        self.begin();
        let mut rest = Vec::new();
        self.rows.finish(&mut rest);
        if !rest.is_empty() {
            self.begin_block();
            self.output.pending().append(&mut rest);
        }
        self.end_block();
        let mut totals = serde_json::json!({
            "left": self.rows.left_out(),
            "numbers": self.rows.totals.numbers(),
        });
        // Whoever else uses the library decides in which order it keeps what it is given.
        totals.sort_all_objects();
        let out = self.output.pending();
        out.extend_from_slice(b"<script type=\"application/json\" id=\"totals\">\n");
        let before = out.len();
        // As for rows: numbers that could not be written would be missing, and the page whole.
        if totals.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Inert)).is_err() {
            out.truncate(before);
        }
        out.push(b'\n');
        out.extend_from_slice(page::BLOCK_END.as_bytes());
        out.extend_from_slice(page::tail(&self.rows).as_bytes());
        self.output.commit(1, true)
    }
}
