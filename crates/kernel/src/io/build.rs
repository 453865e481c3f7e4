//! Requests that drivers have built for them: `IoBuildDeviceIoControlRequest` and its family.

use std::alloc::{Layout, alloc_zeroed, dealloc};

use export_macro::export;
use nt_abi::{
    DEVICE_OBJECT, DO_BUFFERED_IO, DO_DIRECT_IO, IO_PARAMETERS_DEVICE_CONTROL, IO_PARAMETERS_READ_WRITE,
    IO_STATUS_BLOCK, IRP, IRP_MJ_DEVICE_CONTROL, IRP_MJ_INTERNAL_DEVICE_CONTROL, IRP_MJ_READ, IRP_MJ_WRITE,
    KEVENT, MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_PAGES_LOCKED, METHOD_BUFFERED, METHOD_NEITHER,
};

use super::irp::{
    BUFFERED_IO, DEALLOCATE_BUFFER, INPUT_OPERATION, OWN_MDL, SYNCHRONOUS_API, allocate, allocate_buffer,
    next_location,
};

const PAGE: usize = 4096;

/// Describes memory that is there for as long as the request is.
fn describe(buffer: *mut u8, length: usize) -> *mut MDL {
    let offset = buffer.addr() % PAGE;
    let pages = (offset + length).div_ceil(PAGE);
    let size = size_of::<MDL>() + pages * 8;
    let Some(mdl) = layout(size).map(|layout| {
        // SAFETY: the layout has a structure's size at least.
        unsafe { alloc_zeroed(layout) }.cast::<MDL>()
    }) else {
        return std::ptr::null_mut();
    };
    if mdl.is_null() {
        return mdl;
    }
    let made = MDL {
        Size: i16::try_from(size).unwrap_or(i16::MAX),
        MdlFlags: MDL_MAPPED_TO_SYSTEM_VA | MDL_PAGES_LOCKED,
        MappedSystemVa: buffer.cast(),
        StartVa: buffer.wrapping_sub(offset).cast(),
        ByteCount: u32::try_from(length).unwrap_or(u32::MAX),
        ByteOffset: u32::try_from(offset).unwrap_or_default(),
        ..MDL::default()
    };
    // SAFETY: new memory of that size, with a page number for each page behind the structure.
    unsafe {
        mdl.write(made);
        let numbers = mdl.add(1).cast::<u64>();
        for page in 0..pages {
            numbers.add(page).write((buffer.addr() / PAGE + page) as u64);
        }
    }
    mdl
}

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size, 16).ok()
}

/// Frees what `describe` made.
///
/// # Safety
/// `mdl` is null or comes from `describe`, and nobody uses it any more.
pub(super) unsafe fn free_mdl(mdl: *mut MDL) {
    if mdl.is_null() {
        return;
    }
    // SAFETY: by this function's contract.
    unsafe {
        let pages = ((*mdl).ByteOffset as usize + (*mdl).ByteCount as usize).div_ceil(PAGE);
        if let Some(layout) = layout(size_of::<MDL>() + pages * 8) {
            dealloc(mdl.cast(), layout);
        }
    }
}

/// Puts the buffers of a control code where its method wants them.
///
/// # Safety
/// `irp` is new; the buffers have the lengths that come with them, for as long as the request lasts.
pub(super) unsafe fn control_buffers(
    irp: *mut IRP,
    major: u8,
    code: u32,
    (input, input_length): (*mut u8, u32),
    (output, output_length): (*mut u8, u32),
) {
    // SAFETY: by this function's contract.
    unsafe {
        let packet = &mut *irp;
        let stack = next_location(irp);
        stack.MajorFunction = major;
        stack.Parameters.DeviceIoControl = IO_PARAMETERS_DEVICE_CONTROL {
            OutputBufferLength: output_length,
            InputBufferLength: input_length,
            IoControlCode: code,
            ..IO_PARAMETERS_DEVICE_CONTROL::default()
        };
        let method = code & 3;
        if method == METHOD_NEITHER {
            stack.Parameters.DeviceIoControl.Type3InputBuffer = input.cast();
            packet.UserBuffer = output.cast();
            return;
        }
        let (has_input, has_output) = (!input.is_null(), !output.is_null());
        let system = if method == METHOD_BUFFERED { input_length.max(output_length) } else { input_length };
        if system > 0 && (has_input || method == METHOD_BUFFERED) {
            let buffer = allocate_buffer(system as usize);
            if has_input {
                buffer.copy_from_nonoverlapping(input, input_length as usize);
            }
            packet.AssociatedIrp.SystemBuffer = buffer.cast();
            packet.Flags |= BUFFERED_IO | DEALLOCATE_BUFFER;
        }
        if method == METHOD_BUFFERED {
            packet.UserBuffer = output.cast();
            if has_output && output_length > 0 {
                packet.Flags |= INPUT_OPERATION;
            }
        } else if has_output && output_length > 0 {
            packet.MdlAddress = describe(output, output_length as usize);
            packet.AllocationFlags |= OWN_MDL;
        }
    }
}

/// Puts the buffer of a read or a write where the device wants it.
///
/// # Safety
/// As for [`control_buffers`].
pub(super) unsafe fn transfer_buffers(
    irp: *mut IRP,
    device: *mut DEVICE_OBJECT,
    write: bool,
    buffer: *mut u8,
    length: u32,
) {
    // SAFETY: by this function's contract.
    unsafe {
        let packet = &mut *irp;
        let flags = (*device).Flags;
        packet.UserBuffer = buffer.cast();
        if flags & DO_BUFFERED_IO != 0 {
            if length > 0 {
                let system = allocate_buffer(length as usize);
                if write {
                    system.copy_from_nonoverlapping(buffer, length as usize);
                }
                packet.AssociatedIrp.SystemBuffer = system.cast();
                packet.Flags |= BUFFERED_IO | DEALLOCATE_BUFFER | if write { 0 } else { INPUT_OPERATION };
            }
        } else if flags & DO_DIRECT_IO != 0 && length > 0 {
            packet.MdlAddress = describe(buffer, length as usize);
            packet.AllocationFlags |= OWN_MDL;
        }
    }
}

/// Builds a request with a control code; completing it frees it. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn IoBuildDeviceIoControlRequest(
    code: u32,
    device: *mut DEVICE_OBJECT,
    input: *mut u8,
    input_length: u32,
    output: *mut u8,
    output_length: u32,
    internal: u8,
    event: *mut KEVENT,
    status: *mut IO_STATUS_BLOCK,
) -> *mut IRP {
    // SAFETY: a driver's pointers.
    unsafe {
        let irp = allocate((*device).StackSize, None);
        if irp.is_null() {
            return irp;
        }
        let major = if internal != 0 { IRP_MJ_INTERNAL_DEVICE_CONTROL } else { IRP_MJ_DEVICE_CONTROL };
        control_buffers(irp, major, code, (input, input_length), (output, output_length));
        (*irp).UserEvent = event;
        (*irp).UserIosb = status;
        (*irp).Tail.Overlay.Thread = machine::current_thread().cast();
        irp
    }
}

/// Builds a read, write, flush, shutdown or Plug and Play request whose sender waits for it. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn IoBuildSynchronousFsdRequest(
    major: u32,
    device: *mut DEVICE_OBJECT,
    buffer: *mut u8,
    length: u32,
    offset: *const i64,
    event: *mut KEVENT,
    status: *mut IO_STATUS_BLOCK,
) -> *mut IRP {
    // SAFETY: as this routine.
    unsafe {
        let irp = IoBuildAsynchronousFsdRequest(major, device, buffer, length, offset, status);
        if !irp.is_null() {
            (*irp).UserEvent = event;
            (*irp).Flags |= SYNCHRONOUS_API;
        }
        irp
    }
}

/// Builds a read, write, flush or shutdown request that nobody waits for. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoBuildAsynchronousFsdRequest(
    major: u32,
    device: *mut DEVICE_OBJECT,
    buffer: *mut u8,
    length: u32,
    offset: *const i64,
    status: *mut IO_STATUS_BLOCK,
) -> *mut IRP {
    let Ok(major) = u8::try_from(major) else { return std::ptr::null_mut() };
    // SAFETY: a driver's pointers.
    unsafe {
        let irp = allocate((*device).StackSize, None);
        if irp.is_null() {
            return irp;
        }
        let stack = next_location(irp);
        stack.MajorFunction = major;
        if major == IRP_MJ_READ || major == IRP_MJ_WRITE {
            transfer_buffers(irp, device, major == IRP_MJ_WRITE, buffer, length);
            let offset = if offset.is_null() { 0 } else { offset.read_unaligned() };
            stack.Parameters.Read = IO_PARAMETERS_READ_WRITE {
                Length: length,
                ByteOffset: offset,
                ..IO_PARAMETERS_READ_WRITE::default()
            };
        }
        (*irp).UserIosb = status;
        (*irp).Tail.Overlay.Thread = machine::current_thread().cast();
        irp
    }
}
