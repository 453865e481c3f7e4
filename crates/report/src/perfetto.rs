//! A time line for ui.perfetto.dev and chrome://tracing: Chrome's trace events, as an array of JSON objects.
//!
//! ```text
//!   uname (33656)              a process               tracks.rs   who has which number in the trace
//!     lifetime  ▓▓▓▓▓▓▓▓▓▓     asynchronous slice      entry.rs    one event of the trace
//!     thread 33656  ▐sensor▌   calls of routines       told.rs     which record says what
//!            ╭──────▶          an arrow from who created it
//! ```
//!
//! Each event is written as it comes, so that memory stays flat, and is readable when the file is cut off: readers of
//! the array form do without its end. Ids are used again over time and on other machines, so each process and thread has
//! a number of its own; its id is in its name.

mod entry;
mod told;
mod tracks;

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use event::{Body, DriverId, Record, Time};

use self::entry::Entry;
use self::tracks::Tracks;
use crate::machine::Machine;
use crate::names::Names;
use crate::output::{Output, Pace};
use crate::{Sink, SinkError, json, words};

/// The latest moment of a trace, in nanoseconds: what comes after 146 years comes then. Readers count in 64 bits with a
/// sign.
const LATEST: u64 = 1 << 62;

/// Writes records as a time line.
pub struct Perfetto<W> {
    output: Output<W>,
    machine: Machine,
    names: Names,
    /// When the trace begins.
    origin: Option<Time>,
    /// When this machine begins in it.
    start: Time,
    tracks: Tracks,
    /// When the last record was, in the trace.
    now: u64,
    drivers: HashMap<DriverId, Arc<str>>,
    begun: bool,
    finished: bool,
}

impl<W: Write> Perfetto<W> {
    /// Writes to `writer`, which errors call `name`.
    pub fn new(name: impl Into<String>, writer: W) -> Self {
        Self {
            output: Output::new(name, writer, Pace::Blocks),
            machine: Machine::default(),
            names: Names::default(),
            origin: None,
            start: Time::default(),
            tracks: Tracks::default(),
            now: 0,
            drivers: HashMap::new(),
            begun: false,
            finished: false,
        }
    }

    /// Nanoseconds of the trace at a moment.
    fn at(&self, time: Time) -> u64 {
        time.nanos_since(self.start).min(LATEST)
    }

    fn emit(&mut self, entry: &Entry<'_>) {
        let pending = self.output.pending();
        pending.extend_from_slice(if std::mem::replace(&mut self.begun, true) { b",\n" } else { b"[\n" });
        json::append(entry, pending);
    }

    fn see(&mut self, record: &Record<'_>) {
        if self.machine.see(record) || self.origin.is_none() {
            self.end_machine();
            self.drivers.clear();
            // No time may lie before the trace: a machine that began earlier than the first begins with it.
            let origin = *self.origin.get_or_insert(record.time);
            self.start = origin.min(record.time);
            self.now = 0;
            self.tracks.next_machine(self.machine.label());
        }
        if let Body::DriverLoad { driver, name, .. } = &record.body {
            self.drivers.insert(*driver, name.as_ref().into());
        }
        self.names.see(record);
        self.now = self.now.max(self.at(record.time));
        self.tell(record);
    }
}

impl<W: Write> Sink for Perfetto<W> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        if self.output.is_closed() {
            return Ok(());
        }
        self.see(record);
        self.output.commit(1, words::is_urgent(&record.body))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.output.flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        if self.output.is_closed() || std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        self.end_machine();
        let end: &[u8] = if self.begun { b"\n]\n" } else { b"[\n]\n" };
        self.output.pending().extend_from_slice(end);
        self.output.commit(1, true)
    }
}
