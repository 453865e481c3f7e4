//! What a run says besides events.

use event::Level;

use super::Ending;

/// Hears what a person should know about a run.
pub trait Observer {
    /// Something worth saying, in one sentence.
    fn note(&mut self, level: Level, text: &str);
}

/// Hears nothing.
impl Observer for () {
    fn note(&mut self, _: Level, _: &str) {}
}

/// How much a run has announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Process creations.
    pub processes: u64,
    /// Thread creations.
    pub threads: u64,
    /// Images.
    pub images: u64,
    /// Refused creations.
    pub refused: u64,
    /// Batches that were delivered.
    pub batches: u64,
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How its first process ended.
    pub ending: Ending,
    /// How much was announced.
    pub counts: Counts,
}
