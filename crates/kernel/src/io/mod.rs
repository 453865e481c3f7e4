//! The I/O manager: drivers, devices, files.
//!
//! ```text
//!   driver.rs  drivers by id and address; who runs now      file.rs  file objects of images
//!   load.rs    loading and unloading a driver       device.rs link.rs  devices and how they are found
//!   irp.rs build.rs  requests                        stack.rs  devices attached to devices
//!   send.rs user.rs  requests of the kernel, of programs     fs/  the volume: a file system in memory
//!   module.rs  PsLoadedModuleList                extension.rs  parts of driver objects
//!   remove_lock.rs  requests and removals
//!   shutdown.rs  who is told of a shutdown           query.rs  threads and stacks of requests
//! ```

pub mod build;
pub mod device;
pub mod driver;
pub mod error_log;
pub mod extension;
pub mod file;
pub(crate) mod fs;
pub mod irp;
pub mod link;
pub mod load;
pub mod module;
pub mod query;
pub mod remove_lock;
pub(crate) mod send;
pub mod shutdown;
pub mod stack;
#[cfg(test)]
mod tests;
pub mod user;
pub mod vpb;
mod wait;

pub use driver::Driver;
pub(crate) use driver::{State, current_driver, enter_driver, leave_driver};
