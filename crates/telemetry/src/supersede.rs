//! Security 4688 and 4689 tell what Sysmon 1 and 5 tell better: where a machine has both in one stream, Sysmon's count.
//!
//! The rule is for each machine and for each of the two apart: a machine whose Sysmon leaves exits out keeps the security
//! log's. Which it is may only be known further on in the stream, so the first such event of a machine looks ahead, in a
//! second pass that stops as soon as it knows and goes on from there for the next machine: a stream is looked through at
//! most once, and not at all where it has no such event. Of what comes through a pipe nobody knows what is further on:
//! there what has come by then says it (`feed`).

use std::collections::HashSet;
use std::sync::Arc;

use crate::logged::{Log, Refusal};
use crate::{Reason, Rejected, Told, What};

/// The second pass: the process creations and exits that Sysmon tells, from the start of the stream.
pub(crate) type Ahead = Box<dyn Iterator<Item = Box<Told>> + Send>;

/// What of a machine's life is told twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Create,
    Exit,
}

/// Which machines Sysmon tells what of.
pub(crate) struct Supersede {
    /// The machines, for each kind.
    known: [HashSet<Option<Arc<str>>>; 2],
    open: Option<Box<dyn FnOnce() -> Ahead + Send>>,
    ahead: Option<Ahead>,
}

impl Supersede {
    /// With what opens the second pass, once.
    pub(crate) fn new(open: impl FnOnce() -> Ahead + Send + 'static) -> Self {
        Self { known: Default::default(), open: Some(Box::new(open)), ahead: None }
    }

    /// Without a second pass: what has [come](Self::hear) says what Sysmon tells.
    pub(crate) fn of_what_came() -> Self {
        Self { known: Default::default(), open: None, ahead: None }
    }

    /// Takes note of what Sysmon tells.
    pub(crate) fn hear(&mut self, told: &Told, log: Log) {
        if let (Log::Sysmon, Some(kind)) = (log, kind(&told.what)) {
            self.know(&told.machine, kind);
        }
    }

    /// Whether nothing says yet that a record of the security log is told better by another.
    pub(crate) fn is_open(&self, told: &Told, log: Log) -> bool {
        log == Log::Security
            && kind(&told.what).is_some_and(|kind| !self.known[kind as usize].contains(&told.machine))
    }

    /// Passes a record on, unless another of its stream tells the same better.
    pub(crate) fn judge(&mut self, told: Box<Told>, log: Log) -> Result<Box<Told>, Refusal> {
        let Some(kind) = kind(&told.what) else { return Ok(told) };
        match log {
            Log::Sysmon => {
                self.know(&told.machine, kind);
                Ok(told)
            }
            Log::Security if self.is_known(&told.machine, kind) => {
                let (event, better) = match kind {
                    Kind::Create => (4688, 1),
                    Kind::Exit => (4689, 5),
                };
                Err((
                    Reason::Superseded,
                    format!("event {event}: Sysmon's {better} tells the same of this machine"),
                ))
            }
            Log::Security => Ok(told),
        }
    }

    /// The same, of a record that has its number.
    pub(crate) fn judge_numbered(&mut self, told: Box<Told>, log: Log) -> Result<Box<Told>, Rejected> {
        let number = told.number;
        self.judge(told, log).map_err(|(reason, detail)| Rejected { number, reason, detail })
    }

    /// Whether Sysmon tells such events of a machine, here or further on.
    fn is_known(&mut self, machine: &Option<Arc<str>>, kind: Kind) -> bool {
        let known = |kinds: &[HashSet<Option<Arc<str>>>; 2]| kinds[kind as usize].contains(machine);
        if known(&self.known) {
            return true;
        }
        if let Some(open) = self.open.take() {
            self.ahead = Some(open());
        }
        while let Some(told) = self.ahead.as_mut().and_then(Iterator::next) {
            if let Some(found) = self::kind(&told.what) {
                self.know(&told.machine, found);
                if known(&self.known) {
                    return true;
                }
            }
        }
        self.ahead = None;
        false
    }

    fn know(&mut self, machine: &Option<Arc<str>>, kind: Kind) {
        let known = &mut self.known[kind as usize];
        if !known.contains(machine) {
            known.insert(machine.clone());
        }
    }
}

const fn kind(what: &What) -> Option<Kind> {
    match what {
        What::ProcessCreate(_) => Some(Kind::Create),
        What::ProcessExit(_) => Some(Kind::Exit),
        _ => None,
    }
}
