//! Which machine of a stream records are of: a replay tells of several, one after the other.

use event::{Body, Record};

/// The machine whose records come now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Its number, from 1; 0 before the first.
    pub(crate) number: u64,
    /// What it is called; empty where it has no name, as a live one.
    pub(crate) name: String,
}

impl Machine {
    /// Looks whether a record is the first of the next machine.
    pub(crate) fn see(&mut self, record: &Record<'_>) -> bool {
        let Body::Start { machine, .. } = &record.body else { return false };
        self.number += 1;
        machine.as_ref().clone_into(&mut self.name);
        true
    }

    /// What tells it from the others: nothing for the only one of a live run.
    pub(crate) fn label(&self) -> Option<String> {
        match (&*self.name, self.number) {
            ("", 0 | 1) => None,
            ("", number) => Some(format!("machine {number}")),
            (name, _) => Some(name.to_owned()),
        }
    }
}
