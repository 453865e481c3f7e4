//! Requests of the kernel itself, on behalf of whoever has a file open: each is sent and waited for.

use std::sync::Arc;

use nt_abi::{
    DEVICE_OBJECT, DO_DEVICE_INITIALIZING, DO_EXCLUSIVE, FILE_OBJECT, IO_PARAMETERS_CREATE,
    IO_PARAMETERS_READ_WRITE, IO_SECURITY_CONTEXT, IO_STACK_PARAMETERS, IRP, IRP_MJ_CLEANUP, IRP_MJ_CLOSE,
    IRP_MJ_CREATE, IRP_MJ_READ, IRP_MJ_WRITE, NTSTATUS, STATUS_ACCESS_DENIED, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_NO_SUCH_DEVICE, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_TYPE_MISMATCH, STATUS_PENDING,
};

use super::device::{DEVICE_TYPE, mounted_on};
use super::file::{FILE_TYPE, ImageFile};
use super::irp::{
    Completion, IofCallDriver, UNDER_WAY, allocate, allocate_buffer, next_location, tell_of_end,
};
use super::stack::top;
use crate::Kernel;
use crate::ob::Ref;
use crate::ob::name::Found;
use crate::ob::object::Object;

/// How a file is to be opened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How {
    pub(crate) access: u32,
    pub(crate) disposition: u32,
    pub(crate) options: u32,
    pub(crate) share: u32,
    pub(crate) attributes: u32,
    pub(crate) allocation: i64,
}

/// What a request came to: its status, and the number that came with it.
pub(crate) type Outcome = (NTSTATUS, usize);

/// How far a request is when its dispatch routine has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It has ended.
    Ended,
    /// It is pending.
    Pending,
    /// The routine returned this status and did neither (IO-02): the packet and its buffers have to stay for ever, as it
    /// may still be completed.
    Forgotten(NTSTATUS),
}

/// Sends a request that is ready, and whose end its completion is told of.
///
/// # Safety
/// `irp` comes from `allocate`, its next location is filled in, and `device` is alive.
pub(super) unsafe fn send(device: *mut DEVICE_OBJECT, irp: *mut IRP, completion: &Completion) -> Sent {
    // SAFETY: by this function's contract.
    let status = unsafe { IofCallDriver(device, irp) };
    if completion.has_ended() {
        return Sent::Ended;
    }
    if status == STATUS_PENDING {
        return Sent::Pending;
    }
    let message = format!(
        "a dispatch routine returned {status} without completing its request: it must complete it, or return \
         STATUS_PENDING"
    );
    crate::kernel().finding(&crate::rule::IO_02, &message, None);
    Sent::Forgotten(status)
}

/// Sends a request that is ready and waits for its end.
///
/// # Safety
/// As for [`send`].
pub(super) unsafe fn run(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> Outcome {
    let completion = Arc::new(Completion::default());
    // SAFETY: by this function's contract.
    let sent = unsafe {
        tell_of_end(irp, &completion, false);
        send(device, irp, &completion)
    };
    if let Sent::Forgotten(status) = sent {
        return (status, 0);
    }
    while !completion.has_ended() {
        machine::platform().block(&completion.word, UNDER_WAY, None);
    }
    completion.outcome()
}

/// Makes a request to the top of a file's device, lets `fill` fill it in, and sends it.
///
/// # Safety
/// `file` is a live file on a live device.
unsafe fn request(
    file: *mut FILE_OBJECT,
    major: u8,
    fill: impl FnOnce(*mut DEVICE_OBJECT, *mut IRP),
) -> Outcome {
    // SAFETY: by this function's contract.
    unsafe {
        match prepare(file, major, fill) {
            Some((device, irp)) => run(device, irp),
            None => (STATUS_INSUFFICIENT_RESOURCES, 0),
        }
    }
}

/// Makes a request to the top of a file's device, and lets `fill` fill it in; `None` where there is no memory for it.
///
/// # Safety
/// `file` is a live file on a live device.
pub(super) unsafe fn prepare(
    file: *mut FILE_OBJECT,
    major: u8,
    fill: impl FnOnce(*mut DEVICE_OBJECT, *mut IRP),
) -> Option<(*mut DEVICE_OBJECT, *mut IRP)> {
    // SAFETY: by this function's contract.
    unsafe {
        let device = top(mounted_on((*file).DeviceObject));
        let irp = allocate((*device).StackSize, None);
        if irp.is_null() {
            return None;
        }
        (*irp).Tail.Overlay.OriginalFileObject = file;
        // A driver asks as the kernel; where none runs, a program does. Cleaning up is the kernel's own business.
        let by_program = super::current_driver().is_none() && !matches!(major, IRP_MJ_CLEANUP | IRP_MJ_CLOSE);
        (*irp).RequestorMode = i8::from(by_program);
        let stack = next_location(irp);
        stack.MajorFunction = major;
        stack.FileObject = file;
        fill(device, irp);
        Some((device, irp))
    }
}

/// Opens what a path leads to: a device, or a file on one; relative to a directory, or to a file.
///
/// # Errors
/// What the name space and the device's driver say. The second answer is what the driver did.
pub(crate) fn open_path(
    kernel: &Kernel,
    root: Option<Ref<Object>>,
    path: &[u16],
    how: &How,
) -> Result<(Ref<Object>, usize), NTSTATUS> {
    if let Some(file) = root.as_ref().and_then(|root| root.clone().of::<ImageFile>(&FILE_TYPE)) {
        if path.first() == Some(&u16::from(b'\\')) {
            return Err(nt_abi::STATUS_OBJECT_PATH_SYNTAX_BAD);
        }
        // SAFETY: an open file, which keeps its device.
        let device = unsafe { (*file.as_file_object()).DeviceObject };
        return open_on(device, path, root, how);
    }
    match kernel.ob.names.find(root.as_ref(), path, false)? {
        Found::Object { object, rest } if std::ptr::eq(object.kind(), &DEVICE_TYPE) => {
            open_on(object.as_ptr().cast(), &rest, None, how)
        }
        Found::Object { .. } | Found::Registry(_) => Err(STATUS_OBJECT_TYPE_MISMATCH),
        Found::Free { .. } => Err(STATUS_OBJECT_NAME_NOT_FOUND),
    }
}

/// Opens a file on a device.
///
/// # Errors
/// STATUS_NO_SUCH_DEVICE, STATUS_ACCESS_DENIED, and what the device's driver says.
fn open_on(
    device: *mut DEVICE_OBJECT,
    name: &[u16],
    related: Option<Ref<Object>>,
    how: &How,
) -> Result<(Ref<Object>, usize), NTSTATUS> {
    // SAFETY: a device that the name space or an open file keeps alive.
    let (flags, open) = unsafe { ((*device).Flags, (*device).ReferenceCount) };
    // SAFETY: as above.
    if flags & DO_DEVICE_INITIALIZING != 0 || unsafe { super::device::is_going(device) } {
        return Err(STATUS_NO_SUCH_DEVICE);
    }
    if flags & DO_EXCLUSIVE != 0 && open > 0 && related.is_none() {
        return Err(STATUS_ACCESS_DENIED);
    }
    // SAFETY: as above.
    let file = unsafe { ImageFile::on_device(device, name, related, how) };
    // An ACCESS_STATE, of which drivers of devices know nothing; 0xA0 bytes.
    let mut state = [0u64; 20];
    let mut security = IO_SECURITY_CONTEXT {
        AccessState: state.as_mut_ptr().cast(),
        DesiredAccess: how.access,
        FullCreateOptions: how.options,
        ..IO_SECURITY_CONTEXT::default()
    };
    let fill = |_: *mut DEVICE_OBJECT, irp: *mut IRP| {
        // SAFETY: a new request.
        unsafe {
            // The first half of the union whose second half `run` uses.
            (*irp).Overlay.AllocationSize = how.allocation;
            next_location(irp).Parameters.Create = IO_PARAMETERS_CREATE {
                SecurityContext: (&raw mut security).cast(),
                Options: how.disposition << 24 | how.options & 0x00FF_FFFF,
                FileAttributes: u16::try_from(how.attributes & 0xFFFF).unwrap_or_default(),
                ShareAccess: u16::try_from(how.share & 0xFFFF).unwrap_or_default(),
                ..IO_PARAMETERS_CREATE::default()
            };
        }
    };
    // SAFETY: a file that is alive, on a device that is.
    let (status, information) = unsafe { request(file.as_file_object(), IRP_MJ_CREATE, fill) };
    if !status.is_success() {
        return Err(status);
    }
    ImageFile::opened(&file);
    Ok((file.erase(), information))
}

/// Tells the driver that the last handle to a file was closed.
///
/// # Safety
/// `file` is open on its device.
pub(super) unsafe fn cleanup(file: *mut FILE_OBJECT) {
    // SAFETY: by this function's contract.
    unsafe {
        request(file, IRP_MJ_CLEANUP, |_, _| ());
        (*file).Flags |= nt_abi::FO_CLEANUP_COMPLETE;
    }
}

/// Tells the driver that a file is gone.
///
/// # Safety
/// `file` was open on its device, and nobody else has it.
pub(super) unsafe fn close(file: *mut FILE_OBJECT) {
    // SAFETY: by this function's contract.
    unsafe { request(file, IRP_MJ_CLOSE, |_, _| ()) };
}

/// Reads or writes at an offset.
///
/// # Safety
/// `file` is open; the buffer has `length` bytes.
pub(crate) unsafe fn transfer(
    file: *mut FILE_OBJECT,
    write: bool,
    buffer: *mut u8,
    length: u32,
    offset: i64,
    key: u32,
) -> Outcome {
    // SAFETY: by this function's contract.
    unsafe {
        request(file, transfer_major(write), |device, irp| {
            fill_transfer(device, irp, write, (buffer, length), offset, key);
        })
    }
}

/// The function code of a read or a write.
pub(super) fn transfer_major(write: bool) -> u8 {
    if write { IRP_MJ_WRITE } else { IRP_MJ_READ }
}

/// Fills in a read or a write at an offset.
///
/// # Safety
/// `irp` is new and goes to `device`; the buffer has the length that comes with it for as long as the request lasts.
pub(super) unsafe fn fill_transfer(
    device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    write: bool,
    (buffer, length): (*mut u8, u32),
    offset: i64,
    key: u32,
) {
    // SAFETY: by this function's contract.
    unsafe {
        super::build::transfer_buffers(irp, device, write, buffer, length);
        next_location(irp).Parameters.Read = IO_PARAMETERS_READ_WRITE {
            Length: length,
            Key: key,
            ByteOffset: offset,
            ..IO_PARAMETERS_READ_WRITE::default()
        };
    }
}

/// Sends a control code.
///
/// # Safety
/// `file` is open; the buffers have the lengths that come with them.
pub(crate) unsafe fn control(
    file: *mut FILE_OBJECT,
    major: u8,
    code: u32,
    input: (*mut u8, u32),
    output: (*mut u8, u32),
) -> Outcome {
    // SAFETY: by this function's contract.
    unsafe { request(file, major, |_, irp| super::build::control_buffers(irp, major, code, input, output)) }
}

/// Asks for or sets information: the buffer is the system's copy, as on NT.
///
/// # Safety
/// `file` is open; the buffer has `length` bytes; `parameters` are those of the function code.
pub(crate) unsafe fn information(
    file: *mut FILE_OBJECT,
    (major, minor): (u8, u8),
    parameters: IO_STACK_PARAMETERS,
    buffer: *mut u8,
    length: u32,
    set: bool,
) -> Outcome {
    use super::irp::{BUFFERED_IO, DEALLOCATE_BUFFER, INPUT_OPERATION};
    // SAFETY: by this function's contract.
    unsafe {
        request(file, major, |_, irp| {
            let stack = next_location(irp);
            stack.MinorFunction = minor;
            stack.Parameters = parameters;
            (*irp).UserBuffer = buffer.cast();
            if length > 0 {
                let system = allocate_buffer(length as usize);
                if set {
                    system.copy_from_nonoverlapping(buffer, length as usize);
                }
                (*irp).AssociatedIrp.SystemBuffer = system.cast();
                (*irp).Flags |= BUFFERED_IO | DEALLOCATE_BUFFER | if set { 0 } else { INPUT_OPERATION };
            }
        })
    }
}

/// Lists a directory into the sender's buffer.
///
/// # Safety
/// `file` is open; the buffer has the length that comes with it; `name` is null or a string.
pub(crate) unsafe fn directory(
    file: *mut FILE_OBJECT,
    (buffer, length): (*mut u8, u32),
    class: u32,
    name: *const nt_abi::UNICODE_STRING,
    single: bool,
    restart: bool,
) -> Outcome {
    use super::fs::directory::{QUERY, RESTART, SINGLE};
    // SAFETY: by this function's contract.
    unsafe {
        request(file, nt_abi::IRP_MJ_DIRECTORY_CONTROL, |_, irp| {
            let stack = next_location(irp);
            stack.MinorFunction = QUERY;
            stack.Flags = if single { SINGLE } else { 0 } | if restart { RESTART } else { 0 };
            // Parameters.QueryDirectory: length, file name, class, index.
            stack.Parameters.Others = [
                std::ptr::without_provenance_mut(length as usize),
                name.cast_mut().cast(),
                std::ptr::without_provenance_mut(class as usize),
                std::ptr::null_mut(),
            ];
            name.expose_provenance();
            (*irp).UserBuffer = buffer.cast();
        })
    }
}
