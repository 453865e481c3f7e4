//! The bench's side: a simulated NT machine, as a value.
//!
//! ```text
//!   Bench ── client.rs    load, unload, finish
//!     ├───── deliver.rs   batches of events, and what comes of them
//!     ├───── cut.rs       events that are too long
//!     ├───── io.rs        a program's requests to devices
//!     ├───── shared.rs    what it shares with its watcher: channel, inbox, how the host ended
//!     ├───── drain.rs     records of all lanes in one order
//!     ├───── sent.rs      the events that the records of a lane point to
//!     ├───── stop.rs      a dead host as the last record
//!     └───── user_memory  who reads the memory of processes for drivers
//! ```

mod client;
mod cut;
mod deliver;
mod drain;
mod error;
mod io;
mod options;
mod sent;
mod shared;
mod stop;
mod user_memory;

pub use client::{Bench, Status};
pub use deliver::{Delivery, Done, Ticket};
pub use error::BenchError;
pub use io::Answer;
pub use options::BenchOptions;
pub use user_memory::UserMemory;
