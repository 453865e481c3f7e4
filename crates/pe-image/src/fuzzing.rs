//! What the fuzz target and the tests share: sample drivers, seeded mutations of them, and the
//! oracle that says what must hold for any file whatsoever.

mod build;
mod mutate;
mod oracle;

pub use build::{Builder, Sample, SectionSpec};
pub use mutate::Mutator;
pub use oracle::{Outcome, check};
