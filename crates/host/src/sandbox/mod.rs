//! What keeps a driver from reaching the machine it runs on.
//!
//! ```text
//!   namespaces.rs   user, mount, network, IPC, UTS: nothing to see
//!   landlock        no file, no TCP, no signal, no abstract socket
//!   limits.rs       no capability, no descriptor, no core, bounded memory
//!   policy.rs       the system calls that are left, each with its reason
//! ```
//!
//! The layers are independent: each would do against most of what a driver can try. They are put on
//! in the host before it looks at the first byte of a driver, in the order above, the system-call
//! filter last. What a machine lacks is reported and gone without, except the filter: without it a
//! host refuses to start unless [`Policy::Off`] was asked for.

mod layers;
mod limits;
mod namespaces;
mod policy;
mod probe;
mod report;

pub(crate) use layers::apply;
pub use policy::{Arguments, SYSTEM_CALLS, SystemCall};
pub use probe::probe;
pub use report::{Layer, Measure, Policy, Report, State};
