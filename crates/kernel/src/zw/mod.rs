//! System services: the Zw… routines that belong to no other component.
//!
//! ```text
//!   file.rs  opening, reading, writing      information.rs  what is known of files, control codes
//!   process.rs  processes and threads       directory.rs  object directories and symbolic links
//!   event.rs  events, waiting               system.rs  ZwQuerySystemInformation
//! ```
//!
//! A Zw… routine runs with kernel mode as the previous mode, whatever the thread: nothing is probed, and every
//! handle grants what is asked. Its Nt… twin, called by a driver, is the same routine here.

pub mod directory;
pub mod event;
pub mod file;
pub mod information;
pub mod port;
pub mod process;
pub mod system;
#[cfg(test)]
mod tests;
