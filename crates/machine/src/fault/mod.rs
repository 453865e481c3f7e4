//! Faults: signals that driver code causes, and what becomes of them.
//!
//! ```text
//!   signal      the handler: whose instruction was it, what did it want?
//!    ├─ emulate       privileged instructions            → the next instruction
//!    ├─ shared_data   KUSER_SHARED_DATA (step)           → the next instruction
//!    ├─ user_fault    the supervisor made the page there → the same instruction
//!    └─ deliver       onto the thread's own stack → exception dispatch, IRQL hook, or a stop
//! ```

pub mod cpu;
pub mod deliver;
pub mod emulate;
pub mod interrupt;
mod own;
mod record;
mod shared_data;
mod signal;
pub mod step;

pub use shared_data::SHARED_USER_DATA;
pub use signal::install;
