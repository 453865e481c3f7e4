//! SARIF 2.1.0: what static analysis tools tell build servers and editors, for what drivers did.
//!
//! ```text
//!   { runs: [ { tool: rules …            log.rs      the log's types, and what a rule becomes
//!               results: [ one a line …  result.rs   findings, stops and leaks
//!               invocations: one for each machine    invocation.rs
//!             } ] }                      text.rs     URIs and messages that mean only what they say
//! ```
//!
//! The types are our own: each result is written as it comes, so that memory stays flat, where a crate of types for the
//! whole format would hold the log until the end, and builds them from the schema with a dozen crates more.

mod invocation;
mod log;
mod result;
mod text;

use std::collections::VecDeque;
use std::io::Write;

use event::{Body, ClientId, Record};

use self::invocation::Invocation;
use self::log::Component;
use self::result::{Drivers, Scene};
use crate::machine::Machine;
use crate::names::Names;
use crate::output::{Output, Pace};
use crate::rule::Rule;
use crate::{Sink, SinkError, json, words};

/// The schema that the log names.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// How many events are remembered, to say of which one a driver was being told: events of several threads may be under way.
const RECENT: usize = 16;

/// Writes findings, stops and leaks as a SARIF log.
pub struct Sarif<W> {
    output: Output<W>,
    rules: Vec<Rule>,
    machine: Machine,
    names: Names,
    drivers: Drivers,
    /// What was told last, and in whose context.
    recent: VecDeque<(ClientId, String)>,
    invocation: Option<Invocation>,
    invocations: Vec<Invocation>,
    results: u64,
    begun: bool,
    finished: bool,
}

impl<W: Write> Sarif<W> {
    /// Writes to `writer`, which errors call `name`; `rules` are explained in the log.
    pub fn new(name: impl Into<String>, writer: W, rules: Vec<Rule>) -> Self {
        Self {
            output: Output::new(name, writer, Pace::Blocks),
            rules,
            machine: Machine::default(),
            names: Names::default(),
            drivers: Drivers::new(),
            recent: VecDeque::new(),
            invocation: None,
            invocations: Vec::new(),
            results: 0,
            begun: false,
            finished: false,
        }
    }

    /// What stands before the results.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let pending = self.output.pending();
        pending.extend_from_slice(b"{\"$schema\":");
        json::append(&SCHEMA, pending);
        pending.extend_from_slice(b",\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":");
        json::append(&Component::of(&self.rules), pending);
        pending.extend_from_slice(b"},\"results\":[");
    }

    fn see(&mut self, record: &Record<'_>) {
        if self.machine.see(record) {
            self.drivers.clear();
            self.recent.clear();
            self.invocations.extend(self.invocation.take());
        }
        self.names.see(record);
        let invocation = self.invocation.get_or_insert_with(|| Invocation::begin(&self.machine, record.time));
        invocation.see(record, &self.names);
        match &record.body {
            Body::DriverLoad { driver, path, .. } => {
                self.drivers.insert(*driver, path.as_ref().to_owned());
            }
            Body::Event(event) => {
                if self.recent.len() == RECENT {
                    self.recent.pop_front();
                }
                let doubtful = self.names.doubt(event).is_some();
                self.recent.push_back((event.context, result::event(event, doubtful)));
            }
            _ => {}
        }
    }

    fn result(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        let told = self.recent.iter().rev().find(|(context, _)| *context == record.context);
        let scene = Scene {
            record,
            names: &self.names,
            drivers: &self.drivers,
            rules: &self.rules,
            machine: self.machine.label(),
            event: told.map(|(_, event)| &**event),
        };
        let Some(result) = scene.result() else { return Ok(()) };
        let pending = self.output.pending();
        pending.extend_from_slice(if self.results == 0 { b"\n" } else { b",\n" });
        json::append(&result, pending);
        self.results += 1;
        self.output.commit(1, words::is_urgent(&record.body))
    }
}

impl<W: Write> Sink for Sarif<W> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        if self.output.is_closed() {
            return Ok(());
        }
        self.begin();
        self.see(record);
        self.result(record)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.output.flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        if self.output.is_closed() || std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        self.begin();
        self.invocations.extend(self.invocation.take());
        let pending = self.output.pending();
        pending.extend_from_slice(b"\n],\"invocations\":");
        json::append(&self.invocations, pending);
        pending.extend_from_slice(b"}]}\n");
        self.output.commit(1, true)
    }
}
