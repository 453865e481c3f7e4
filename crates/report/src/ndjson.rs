//! One JSON object a line, by a schema that is documented, versioned and not the types of `event`.
//!
//! `docs/ndjson.md` explains every type with an example and `docs/schema/record-v1.schema.json` says the
//! same to machines. Fields and types may be added to version 1; what is there keeps its name and meaning.

mod line;
mod map;

use std::io::Write;

use crate::names::Names;
use crate::output::{Output, Pace};
use crate::{Sink, SinkError, json, words};
use event::Record;

/// The schema that the first line names.
pub const SCHEMA: &str = "callboard.record/1";

/// What the records do not say themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether the ids are those of a live Linux source, so that each has a Linux number as well.
    pub live: bool,
    /// When lines are handed to the system.
    pub pace: Pace,
}

/// Writes records as JSON, one a line.
pub struct Ndjson<W> {
    output: Output<W>,
    options: Options,
    names: Names,
    begun: bool,
}

impl<W: Write> Ndjson<W> {
    /// Writes to `writer`, which errors call `name`. The writer need not be buffered, and should not be.
    pub fn new(name: impl Into<String>, writer: W, options: Options) -> Self {
        Self {
            output: Output::new(name, writer, options.pace),
            options,
            names: Names::default(),
            begun: false,
        }
    }
}

impl<W: Write> Sink for Ndjson<W> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        if self.output.is_closed() {
            return Ok(());
        }
        self.names.see(record);
        let schema = (!self.begun).then_some(SCHEMA);
        self.begun = true;
        let line = map::line(record, &self.names, schema, self.options.live);
        let pending = self.output.pending();
        if !json::append(&line, pending) {
            return Ok(());
        }
        pending.push(b'\n');
        self.output.commit(1, words::is_urgent(&record.body))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.output.flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.output.flush()
    }
}
