//! One x86-64 processor as a Windows kernel driver sees it, from ring 3 of Linux.
//!
//! ```text
//!  kernel ──call3()──▶ call ═══ edge ═══▶ driver code ──import──▶ routines of the kernel (win64)
//!    ▲                                      │    │
//!    │ Supervisor                           │    └─ raising_entry!, crt: what may raise in the driver's name
//!    │                                      ▼ a trap
//!    │    fault: signal ─▶ emulate (cr8, MSRs, ports …) ─────────────▶ next instruction
//!    │                  ─▶ shared_data (KUSER_SHARED_DATA) ──────────▶ next instruction
//!    │                  ─▶ delivery on the thread's own stack
//!    │                          └─▶ seh: dispatch ─▶ __C_specific_handler ─▶ unwind ─▶ the handler
//!    └──── stop ◀──────────────────────┘ nobody handled it
//! ```
//!
//! * [`processor`] makes an OS thread a processor: GS points at a [`pcr::Kpcr`], faults are caught.
//! * [`irql`], [`call`], [`images`], [`stop`] are what the kernel uses all the time;
//!   [`mod@supervisor`] is how the machine asks the kernel, [`mod@platform`] how the kernel asks the world.
//! * [`activity`] counts the threads that run; [`watermark`] tells how deep a call went.
//! * Nothing here knows an NT object.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "registers, addresses and instruction fields change width and sign all the time; it is the job"
)]
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "walking another program's stack and tables is a chain of raw reads under one invariant"
)]

pub mod activity;
pub mod call;
pub mod crt;
pub mod fault;
pub mod guarded;
pub mod hosted;
pub mod images;
pub mod irql;
mod last_resort;
pub mod pcr;
pub mod platform;
pub mod preempt;
pub mod processor;
pub mod seh;
pub mod stop;
pub mod supervisor;
pub mod watermark;

pub use call::{call_driver, call1, call2, call3, call4};
pub use irql::Irql;
pub use pcr::{Kpcr, current_thread, set_current_thread};
pub use platform::{Platform, install_platform, interpose_platform, light_fence, platform};
pub use processor::{Processor, is_attached, processor_count};
pub use stop::{BugCheck, Stop, bug_check};
pub use supervisor::{Supervisor, install_supervisor, supervisor};
