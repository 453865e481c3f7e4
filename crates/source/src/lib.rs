//! Where events come from.
//!
//! ```text
//!   live/    a command tree on this machine, held still by ptrace while drivers decide
//!   replay/  what was recorded of other machines, put in order
//!     │
//!     └──Event batch──▶ Recipient (a bench) ──Reply (verdict)──▶ applied to the tree
//! ```

pub mod live;
mod recipient;
pub mod replay;

pub use recipient::{Delivery, Recipient, Refusal, Reply, Termination, Ticket};
