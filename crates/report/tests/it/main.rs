//! The crate from outside.
//!
//! ```text
//!   story      a made-up run with every kind of record      arbitrary   any record at all
//!   golden     the run in every format and verbosity        property    what holds for any record
//!   schema docs  what is published about the JSON lines     hostile     drivers that want the terminal
//!   page       what is in the page for a browser
//!   crowd      a busy machine, as long as one likes       browser     the page in Chromium, by keyboard
//!   reports    SARIF, JUnit and Perfetto: the run in each, and what holds for any record
//!   failure    outputs that fail, runs that are killed      strange     records in an order that makes no sense
//! ```
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod arbitrary;
mod browser;
mod crowd;
mod docs;
mod failure;
mod golden;
mod hostile;
mod page;
mod property;
mod published;
mod reports;
mod schema;
mod story;
mod strange;
