//! How a recording is to be read.

use std::time::Duration;

use super::Drives;

/// What becomes of records that are incomplete, or that contradict what was before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// They are told, with what is missing left out and what must have been made up; each is counted.
    #[default]
    Lenient,
    /// They are rejected.
    Strict,
}

/// How a recording is to be read.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many records of a machine wait at most to be put in order.
    pub window: usize,
    /// How much of the machine's time they wait.
    pub span: Duration,
    /// What becomes of incomplete records.
    pub strictness: Strictness,
    /// Which device each drive letter stands for.
    pub drives: Drives,
    /// Whose records are told.
    pub machines: Which,
}

/// Whose records are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// Every machine's.
    #[default]
    All,
    /// Those of the machine that is heard of first.
    First,
    /// Those of the machine with this name, whatever its case.
    Named(String),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            window: 8192,
            span: Duration::from_secs(120),
            strictness: Strictness::Lenient,
            drives: Drives::default(),
            machines: Which::All,
        }
    }
}

impl Options {
    /// How much of the machine's time records wait, in units of 100 ns.
    pub(super) fn span(&self) -> i64 {
        let seconds = i64::try_from(self.span.as_secs()).unwrap_or(i64::MAX);
        seconds.saturating_mul(10_000_000).saturating_add((self.span.subsec_nanos() / 100).into())
    }

    pub(super) fn is_strict(&self) -> bool {
        self.strictness == Strictness::Strict
    }
}
