//! Memory: driver images, memory descriptors, sections.
//!
//! ```text
//!   sysload.rs   mapping and binding a driver's image    lookup.rs  MmGetSystemRoutineAddress, address limits
//!   pages.rs     the ledger of whole pages               probe.rs   ProbeForRead, ProbeForWrite
//!   mdl.rs       memory descriptor lists                 access.rs  copying with care, keeping resident
//!   physical.rs  physical addresses, contiguous memory   section.rs sections and their views
//!   virtual_memory.rs  memory that drivers allocate in processes    user.rs  what processes have, read by drivers
//! ```

pub mod access;
pub mod lookup;
pub mod mdl;
pub(crate) mod pages;
pub mod physical;
pub mod probe;
pub mod section;
pub mod sysload;
pub(crate) mod user;
pub mod virtual_memory;

pub(crate) use pages::{State, report_leaks};
