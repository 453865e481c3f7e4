//! Reading and writing files of the volume.

use nt_abi::{
    FILE_WRITE_TO_END_OF_FILE, FO_SYNCHRONOUS_IO, IRP, STATUS_END_OF_FILE, STATUS_INVALID_DEVICE_REQUEST,
    STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

use super::super::irp::current_location;
use super::super::send::Outcome;
use super::{Context, files};

/// The caller's buffer: that of its memory descriptor, where there is one.
///
/// # Safety
/// `irp` is a request.
unsafe fn buffer(irp: *mut IRP) -> *mut u8 {
    // SAFETY: by this function's contract; whoever made a descriptor has mapped what it describes.
    unsafe {
        match (*irp).MdlAddress.as_ref() {
            Some(mdl) if !mdl.MappedSystemVa.is_null() => mdl.MappedSystemVa.cast(),
            Some(mdl) => mdl.StartVa.cast::<u8>().wrapping_add(mdl.ByteOffset as usize),
            None => (*irp).UserBuffer.cast(),
        }
    }
}

/// # Safety
/// `irp` is a read request.
pub(super) unsafe fn read(irp: *mut IRP, context: &mut Context) -> Outcome {
    // SAFETY: by this function's contract.
    let (stack, buffer) = unsafe { (current_location(irp), buffer(irp)) };
    // SAFETY: the parameters are a read's.
    let parameters = unsafe { stack.Parameters.Read };
    let files = files();
    let node = files.node(context.node);
    if node.is_directory() {
        return (STATUS_INVALID_DEVICE_REQUEST, 0);
    }
    let Ok(offset) = usize::try_from(parameters.ByteOffset) else { return (STATUS_INVALID_PARAMETER, 0) };
    if parameters.Length == 0 {
        return (STATUS_SUCCESS, 0);
    }
    let Some(rest) = node.data.get(offset..).filter(|rest| !rest.is_empty()) else {
        return (STATUS_END_OF_FILE, 0);
    };
    let length = rest.len().min(parameters.Length as usize);
    // SAFETY: the sender's buffer has as many bytes as the request says.
    unsafe { buffer.copy_from_nonoverlapping(rest.as_ptr(), length) };
    // SAFETY: the request's file.
    unsafe { advance(stack.FileObject, offset + length) };
    (STATUS_SUCCESS, length)
}

/// # Safety
/// `irp` is a write request.
pub(super) unsafe fn write(irp: *mut IRP, context: &mut Context) -> Outcome {
    // SAFETY: by this function's contract.
    let (stack, buffer) = unsafe { (current_location(irp), buffer(irp)) };
    // SAFETY: the parameters are a write's, which are a read's.
    let parameters = unsafe { stack.Parameters.Read };
    let mut files = files();
    let node = files.node(context.node);
    if node.is_directory() {
        return (STATUS_INVALID_DEVICE_REQUEST, 0);
    }
    let at_end =
        parameters.ByteOffset.cast_unsigned() == u64::from(FILE_WRITE_TO_END_OF_FILE) | 0xFFFF_FFFF_0000_0000;
    let offset =
        if at_end { node.data.len() } else { usize::try_from(parameters.ByteOffset).unwrap_or(usize::MAX) };
    let length = parameters.Length as usize;
    let Some(end) = offset.checked_add(length) else { return (STATUS_INVALID_PARAMETER, 0) };
    let grown = if end > node.data.len() { files.resize(context.node, end) } else { Ok(()) };
    if let Err(status) = grown {
        return (status, 0);
    }
    if length > 0 {
        // SAFETY: the sender's buffer has as many bytes as the request says.
        let bytes = unsafe { std::slice::from_raw_parts(buffer, length) };
        let node = files.node_mut(context.node);
        node.data[offset..end].copy_from_slice(bytes);
        node.times[2] = crate::ke::time::now().0;
    }
    // SAFETY: the request's file.
    unsafe { advance(stack.FileObject, end) };
    (STATUS_SUCCESS, length)
}

/// Moves the position of a file that is used synchronously.
///
/// # Safety
/// `file` is a live file object.
unsafe fn advance(file: *mut nt_abi::FILE_OBJECT, to: usize) {
    // SAFETY: by this function's contract.
    unsafe {
        if (*file).Flags & FO_SYNCHRONOUS_IO != 0 {
            (*file).CurrentByteOffset = i64::try_from(to).unwrap_or(i64::MAX);
        }
    }
}
