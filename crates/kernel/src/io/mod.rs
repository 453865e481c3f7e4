//! The I/O manager: drivers, devices, files.
//!
//! ```text
//!   driver.rs  drivers by id and address; who runs now      file.rs  file objects of images
//!   load.rs    loading and unloading a driver       device.rs link.rs  devices and how they are found
//!   irp.rs build.rs  requests                        stack.rs  devices attached to devices
//!   send.rs power.rs  requests of the kernel itself  fs/  the volume: a file system in memory
//!   user.rs request.rs  what programs do with devices, and their requests that are under way
//!   module.rs  PsLoadedModuleList                extension.rs  parts of driver objects
//!   remove_lock.rs  requests and removals           csq.rs     cancel-safe queues
//!   shutdown.rs  who is told of a shutdown           query.rs  threads and stacks of requests
//! ```

pub mod build;
pub mod csq;
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
pub(crate) mod power;
pub mod query;
pub mod remove_lock;
pub mod request;
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

use crate::Kernel;

/// Whether there may be something for [`settle`] to do.
pub(crate) fn is_unsettled(kernel: &Kernel) -> bool {
    kernel.io.requests.have_news() || load::is_due(kernel)
}

/// Does what is left to do once drivers have completed requests of programs, and closed what kept others from being
/// unloaded. Called between two requests of the bench, in no driver's context.
pub(crate) fn settle(kernel: &'static Kernel) {
    if kernel.io.requests.have_news() {
        let _turn = crate::stress::enter();
        kernel.settle_requests();
    }
    load::unload_due(kernel);
}
