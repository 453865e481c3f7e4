//! Closing handles.

use export_macro::export;
use nt_abi::{HANDLE, NTSTATUS, STATUS_INVALID_HANDLE, STATUS_SUCCESS};

use crate::kernel;

fn close(handle: HANDLE) -> NTSTATUS {
    let status = kernel().ob.handles.close(handle).err().unwrap_or(STATUS_SUCCESS);
    if status == STATUS_INVALID_HANDLE {
        let message = format!(
            "closes handle {:#x}, which is not open in process {}: it was closed before, or opened in another process \
             without OBJ_KERNEL_HANDLE",
            handle.addr(),
            crate::ps::thread::current().map_or(0, |thread| thread.current_process().id.0),
        );
        kernel().finding(&crate::rule::L_14, &message, None);
    }
    status
}

/// Closes a handle. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwClose(handle: HANDLE) -> NTSTATUS {
    close(handle)
}

/// Closes a handle. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn NtClose(handle: HANDLE) -> NTSTATUS {
    close(handle)
}

/// Closes a handle that was opened in kernel or user mode. Source: DDI.
#[export(irql == PASSIVE, since = Vista)]
pub unsafe extern "win64" fn ObCloseHandle(handle: HANDLE, mode: i8) -> NTSTATUS {
    if mode != super::handle::KERNEL_MODE && super::handle::is_kernel_handle(handle) {
        return STATUS_INVALID_HANDLE;
    }
    close(handle)
}
