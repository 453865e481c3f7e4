//! What drivers ask about the thread that sent a request, and about stacks.

use export_macro::export;
use nt_abi::{FILE_OBJECT, GENERIC_MAPPING, HANDLE, IRP, NTSTATUS, STATUS_SUCCESS};

use crate::ps::process::Eprocess;
use crate::ps::thread::Ethread;

/// The thread that a request came from.
///
/// # Safety
/// `irp` is a request whose thread, where it has one, is alive.
unsafe fn thread_of<'a>(irp: *mut IRP) -> Option<&'a Ethread> {
    // SAFETY: by this function's contract.
    unsafe { (*irp).Tail.Overlay.Thread.cast::<Ethread>().as_ref() }
}

/// Returns the process that a request came from; null where it came from no thread. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoGetRequestorProcess(irp: *mut IRP) -> *mut Eprocess {
    // SAFETY: a driver's request.
    unsafe { thread_of(irp) }.map_or(std::ptr::null_mut(), |thread| thread.process.as_ptr())
}

/// Returns the id of the process that a request came from; 0 where it came from no thread. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoGetRequestorProcessId(irp: *mut IRP) -> u32 {
    // SAFETY: a driver's request.
    unsafe { thread_of(irp) }.map_or(0, |thread| thread.process.id.0)
}

/// Returns the session that a request came from: there is one for users, and 0 for the system. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoGetRequestorSessionId(irp: *mut IRP, session: *mut u32) -> NTSTATUS {
    // SAFETY: a driver's request and pointer.
    unsafe {
        let Some(thread) = thread_of(irp) else { return nt_abi::STATUS_UNSUCCESSFUL };
        session.write(u32::from(!thread.system));
    }
    STATUS_SUCCESS
}

/// Says whether a request came from a 32-bit process. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoIs32bitProcess(irp: *mut IRP) -> u8 {
    let current = crate::ps::thread::current();
    // SAFETY: null, or a driver's request.
    let thread = if irp.is_null() { current } else { unsafe { thread_of(irp) }.or(current) };
    u8::from(thread.is_some_and(|thread| thread.process.architecture == event::Architecture::X86))
}

/// Returns what generic rights mean for files. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoGetFileObjectGenericMapping() -> *const GENERIC_MAPPING {
    &raw const crate::ob::access::FILE_MAPPING
}

/// Says whether a kernel of that WDM version is there: 6.0 and all before it. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoIsWdmVersionAvailable(major: u8, minor: u8) -> u8 {
    u8::from((major, minor) <= (6, 0))
}

/// Says whether a file's sharing is not looked at: that of no file of the bench. Source: DDI.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn IoIsFileObjectIgnoringSharing(_file: *mut FILE_OBJECT) -> u8 {
    0
}

/// Says whether a file was opened over a network: none of the bench was. Source: DDI.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn IoIsFileOriginRemote(_file: *mut FILE_OBJECT) -> u8 {
    0
}

/// Returns the transaction of a file: none of the bench has one. Source: DDI.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn IoGetTransactionParameterBlock(_file: *mut FILE_OBJECT) -> *mut u8 {
    std::ptr::null_mut()
}

/// Returns the opportunistic lock key of a file: none of the bench has one. Source: DDI.
#[export(irql <= DISPATCH, since = Win8)]
pub unsafe extern "win64" fn IoGetOplockKeyContextEx(_file: *mut FILE_OBJECT) -> *mut u8 {
    std::ptr::null_mut()
}

/// Returns a driver's file, as a full path. Source: DDI.
#[export(irql <= APC, since = Win8)]
pub unsafe extern "win64" fn IoQueryFullDriverPath(
    driver: *mut nt_abi::DRIVER_OBJECT,
    path: *mut nt_abi::UNICODE_STRING,
) -> NTSTATUS {
    let kernel = crate::kernel();
    let found = kernel.io.all().find(|found| found.object.as_ptr() == driver);
    let Some(found) = found else { return nt_abi::STATUS_INVALID_PARAMETER };
    // Only a driver itself may ask.
    if crate::io::current_driver() != Some(found.id) {
        return nt_abi::STATUS_ACCESS_DENIED;
    }
    let file = found.path.rsplit(['/', '\\']).next().unwrap_or(&found.path);
    let text = crate::ob::name::units(&format!(r"\Device\HarddiskVolume1\Windows\System32\drivers\{file}"));
    // SAFETY: a driver's pointer; the buffer is its to free, with ExFreePool.
    unsafe { pool_string(path, &text) }
}

/// Writes a counted string whose buffer is pool memory of the current driver.
///
/// # Safety
/// `into` is a driver's pointer.
pub(crate) unsafe fn pool_string(into: *mut nt_abi::UNICODE_STRING, text: &[u16]) -> NTSTATUS {
    use crate::ex::pool::{Allocation, Kind, Tag};
    let Ok(bytes) = u16::try_from(text.len() * 2 + 2) else { return nt_abi::STATUS_NAME_TOO_LONG };
    let tag = Tag(u32::from_le_bytes(*b"IoNm"));
    let what = Allocation { size: bytes.into(), tag, kind: Kind::Paged, owner: crate::io::current_driver() };
    let Some(memory) = crate::ex::allocate(what, true) else {
        return nt_abi::STATUS_INSUFFICIENT_RESOURCES;
    };
    let buffer = memory.as_ptr().cast::<u16>();
    // SAFETY: new memory of that size and a NUL.
    unsafe {
        buffer.copy_from_nonoverlapping(text.as_ptr(), text.len());
        into.write(nt_abi::UNICODE_STRING { Length: bytes - 2, MaximumLength: bytes, Buffer: buffer });
    }
    STATUS_SUCCESS
}

/// What `IoQueryFileDosDeviceName` gives: pool memory that begins with the string.
fn dos_name(file: *mut FILE_OBJECT) -> Option<Vec<u16>> {
    let file = std::ptr::NonNull::new(file.cast::<crate::ob::object::Object>())?;
    // SAFETY: a driver's pointer to a file.
    let file = unsafe { crate::ob::reference::share(file.as_ptr()) };
    let path = String::from_utf16_lossy(&super::file::path_of(crate::kernel(), &file));
    let rest = path.strip_prefix(r"\Device\HarddiskVolume1")?;
    Some(crate::ob::name::units(&format!("C:{rest}")))
}

/// Returns the name of a file with its drive's letter. Source: DDI.
#[export(irql == PASSIVE, since = Xp)]
pub unsafe extern "win64" fn IoQueryFileDosDeviceName(
    file: *mut FILE_OBJECT,
    information: *mut *mut nt_abi::UNICODE_STRING,
) -> NTSTATUS {
    use crate::ex::pool::{Allocation, Kind, Tag};
    let Some(name) = dos_name(file) else { return nt_abi::STATUS_OBJECT_NAME_NOT_FOUND };
    let header = size_of::<nt_abi::UNICODE_STRING>();
    let size = header + name.len() * 2 + 2;
    let tag = Tag(u32::from_le_bytes(*b"IoNm"));
    let what = Allocation { size, tag, kind: Kind::Paged, owner: crate::io::current_driver() };
    let Some(memory) = crate::ex::allocate(what, true) else {
        return nt_abi::STATUS_INSUFFICIENT_RESOURCES;
    };
    let length = u32::try_from(size).unwrap_or(u32::MAX);
    // SAFETY: new memory of that size; a driver's pointer.
    unsafe {
        let status =
            crate::ob::query::write_name(memory.as_ptr(), length, header, &name, std::ptr::null_mut());
        information.write(memory.as_ptr().cast());
        status
    }
}

/// Returns the drive's letter of a volume. Source: DDI.
#[export(irql == PASSIVE, since = Xp)]
pub unsafe extern "win64" fn IoVolumeDeviceToDosName(
    volume: *mut nt_abi::DEVICE_OBJECT,
    name: *mut nt_abi::UNICODE_STRING,
) -> NTSTATUS {
    if volume != super::device::volume() {
        return nt_abi::STATUS_OBJECT_NAME_NOT_FOUND;
    }
    // SAFETY: a driver's pointer.
    unsafe { pool_string(name, &crate::ob::name::units("C:")) }
}

/// Returns the drive's letter of a volume: the older name of `IoVolumeDeviceToDosName`. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlVolumeDeviceToDosName(
    volume: *mut nt_abi::DEVICE_OBJECT,
    name: *mut nt_abi::UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { IoVolumeDeviceToDosName(volume, name) }
}

/// Opens a key for a driver to keep its state in: that of its service, or one below it. Source: DDI.
#[export(irql == PASSIVE, since = Win10_1803)]
pub unsafe extern "win64" fn IoOpenDriverRegistryKey(
    driver: *mut nt_abi::DRIVER_OBJECT,
    kind: u32,
    access: u32,
    flags: u32,
    key: *mut HANDLE,
) -> NTSTATUS {
    /// DriverRegKeyParameters.
    const PARAMETERS: u32 = 0;
    let kernel = crate::kernel();
    let Some(found) = kernel.io.all().find(|found| found.object.as_ptr() == driver) else {
        return nt_abi::STATUS_INVALID_PARAMETER;
    };
    if flags != 0 {
        return nt_abi::STATUS_INVALID_PARAMETER;
    }
    if kind != PARAMETERS {
        return nt_abi::STATUS_NOT_SUPPORTED;
    }
    let path = crate::ob::name::units(&format!(r"{}\Parameters", crate::cm::service_key(&found.name)));
    match crate::cm::key::open_by_name(kernel, std::ptr::null_mut(), &path) {
        Ok(opened) => {
            let handle = kernel.ob.handles.insert(opened.erase(), access, nt_abi::OBJ_KERNEL_HANDLE);
            // SAFETY: a driver's pointer.
            unsafe { key.write(handle) };
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// Returns where the stack of the current thread begins and ends. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn IoGetStackLimits(low: *mut usize, high: *mut usize) {
    let (lowest, highest) = crate::ke::stack_use::limits();
    // SAFETY: a driver's pointers.
    unsafe {
        low.write(lowest);
        high.write(highest);
    }
}

/// Returns the highest address of the current thread's stack. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn IoGetInitialStack() -> usize {
    crate::ke::stack_use::limits().1
}

/// Returns how much of the current thread's stack is left. Source: DDI (an inline routine of the headers).
#[export(irql any)]
pub unsafe extern "win64" fn IoGetRemainingStackSize() -> usize {
    let here = 0u8;
    std::ptr::from_ref(&here).addr().saturating_sub(crate::ke::stack_use::limits().0)
}
