//! The format: what stands in a scenario file, as serde reads it and as editors are told of it.
//!
//! ```text
//!   scenario.rs   the whole file, its drivers, what holds at its end
//!   step.rs       one step: what happens
//!   expect.rs     what has to come of it
//!   value.rs      statuses, bytes, registry values, durations, patterns
//!   at.rs         a value with its place in the file
//! ```
//!
//! Field comments are what an editor shows, through the schema: they are written for the author of a scenario.

mod at;
mod expect;
mod scenario;
mod step;
mod value;

pub use at::At;
pub use expect::{Expect, StopKindName, StopPattern, StopTable};
pub use scenario::{Driver, Pool, Scenario};
pub use step::{
    Access, Advance, Architecture, Begin, Control, Create, Exit, ExitTable, ExitThread, LowPool, Map, MapAs,
    Open, OpenTable, Power, Read, Signature, Step, Subsystem, Thread, Unmap, Write,
};
pub(crate) use value::no_profile;
pub use value::{Bytes, Length, Pattern, PowerStateName, ProfileName, RegistryValue, Status};
