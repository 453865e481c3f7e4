//! The file system of the volume: a driver like others, whose files are in memory. Nothing reaches Linux.
//!
//! ```text
//!   dispatch ──▶ create.rs  create, cleanup, close      data.rs  read, write, flush
//!                information.rs  query, set, volume      directory.rs  listing
//!                                  └──────▶ tree.rs ◀──────┘
//! ```

mod create;
mod data;
pub(super) mod directory;
mod information;
mod tree;

use std::sync::{MutexGuard, PoisonError};

use nt_abi::{
    DEVICE_OBJECT, FILE_OBJECT, IRP, IRP_MJ_CLEANUP, IRP_MJ_CLOSE, IRP_MJ_CREATE, IRP_MJ_DIRECTORY_CONTROL,
    IRP_MJ_FLUSH_BUFFERS, IRP_MJ_QUERY_INFORMATION, IRP_MJ_QUERY_VOLUME_INFORMATION, IRP_MJ_READ,
    IRP_MJ_SET_INFORMATION, IRP_MJ_WRITE, NTSTATUS, STATUS_INVALID_DEVICE_REQUEST,
};

use super::irp::{current_location, finish};
use super::send::Outcome;
use crate::kernel;
pub(crate) use tree::Files;

/// What a file object of the volume carries: `FILE_OBJECT::FsContext`.
#[repr(C)]
#[derive(Debug)]
struct Context {
    /// Where file systems have an FSRTL_ADVANCED_FCB_HEADER, for drivers that look.
    header: [u64; 12],
    magic: u64,
    node: tree::NodeId,
    /// Where a listing goes on, and what it looks for.
    scan: Option<(usize, Vec<u16>)>,
    /// Whether the file goes with this handle.
    delete_on_close: bool,
}

const MAGIC: u64 = u64::from_le_bytes(*b"CbFileFs");

fn files() -> MutexGuard<'static, Files> {
    kernel().io.files.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The context of an open file; `None` for file objects that nobody has opened, as those of images.
///
/// # Safety
/// `file` is null or a live file object of the volume.
unsafe fn context<'a>(file: *mut FILE_OBJECT) -> Option<&'a mut Context> {
    // SAFETY: by this function's contract; what the context points to is this file system's, until the file is gone.
    unsafe { file.as_ref()?.FsContext.cast::<Context>().as_mut() }.filter(|context| context.magic == MAGIC)
}

/// Handles every request to the volume.
pub(crate) unsafe extern "win64" fn dispatch(_device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: a request that was sent here.
    let (status, information) = unsafe { handle(irp) };
    // SAFETY: as above; the request is this driver's until now.
    unsafe { finish(irp, status, information) }
}

/// # Safety
/// `irp` is a request that was sent to the volume.
unsafe fn handle(irp: *mut IRP) -> Outcome {
    // SAFETY: by this function's contract.
    unsafe {
        let stack = current_location(irp);
        if stack.MajorFunction == IRP_MJ_CREATE {
            return create::create(irp);
        }
        let Some(context) = context(stack.FileObject) else { return (STATUS_INVALID_DEVICE_REQUEST, 0) };
        match stack.MajorFunction {
            IRP_MJ_CLEANUP => create::cleanup(context),
            IRP_MJ_CLOSE => create::close(stack.FileObject),
            IRP_MJ_READ => data::read(irp, context),
            IRP_MJ_WRITE => data::write(irp, context),
            IRP_MJ_FLUSH_BUFFERS => (nt_abi::STATUS_SUCCESS, 0),
            IRP_MJ_QUERY_INFORMATION => information::query(irp, context),
            IRP_MJ_SET_INFORMATION => information::set(irp, context),
            IRP_MJ_QUERY_VOLUME_INFORMATION => information::volume(irp),
            IRP_MJ_DIRECTORY_CONTROL => directory::control(irp, context),
            _ => (STATUS_INVALID_DEVICE_REQUEST, 0),
        }
    }
}
