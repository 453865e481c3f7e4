//! Object directories and symbolic links.

use export_macro::export;
use nt_abi::{
    HANDLE, NTSTATUS, OBJ_OPENIF, OBJ_PERMANENT, OBJECT_ATTRIBUTES, OBJECT_DIRECTORY_INFORMATION,
    STATUS_BUFFER_TOO_SMALL, STATUS_MORE_ENTRIES, STATUS_NO_MORE_ENTRIES, STATUS_OBJECT_NAME_COLLISION,
    STATUS_OBJECT_NAME_EXISTS, STATUS_OBJECT_TYPE_MISMATCH, STATUS_SUCCESS, UNICODE_STRING,
};

use crate::kernel;
use crate::ob::attributes::{Attributes, units_of};
use crate::ob::handle::KERNEL_MODE;
use crate::ob::name::{DIRECTORY_TYPE, Found, LINK_TYPE, LinkObject, new_link, units};
use crate::ob::object::Object;
use crate::ob::open::ObOpenObjectByName;
use crate::ob::{ObjectType, Ref, access};

/// Gives a new object its name and a handle.
///
/// # Safety
/// The pointers are a driver's.
pub(crate) unsafe fn create(
    handle: *mut HANDLE,
    desired: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    kind: &'static ObjectType,
    make: impl FnOnce() -> Ref<Object>,
) -> NTSTATUS {
    let create = || {
        // SAFETY: by this function's contract.
        let given = unsafe { Attributes::read(attributes) }?;
        let kernel = kernel();
        let root = match given.root {
            root if root.is_null() => None,
            root => Some(kernel.ob.handles.check(root, None, 0, KERNEL_MODE)?.object),
        };
        let (object, status) = if given.name().is_empty() {
            (make(), STATUS_SUCCESS)
        } else {
            match kernel.ob.names.find(root.as_ref(), given.name(), true)? {
                Found::Free { directory, name } => {
                    let made = make();
                    kernel.ob.names.insert(directory, &name, &made, given.flags & OBJ_PERMANENT != 0)?;
                    (made, STATUS_SUCCESS)
                }
                Found::Object { object, .. } if given.flags & OBJ_OPENIF != 0 => {
                    if !std::ptr::eq(object.kind(), kind) {
                        return Err(STATUS_OBJECT_TYPE_MISMATCH);
                    }
                    (object, STATUS_OBJECT_NAME_EXISTS)
                }
                _ => return Err(STATUS_OBJECT_NAME_COLLISION),
            }
        };
        let opened = kernel.ob.handles.insert(object, access::granted(desired, &access::OTHER), given.flags);
        // SAFETY: by this function's contract.
        unsafe { handle.write_unaligned(opened) };
        Ok(status)
    };
    create().unwrap_or_else(|status| status)
}

/// Makes an object directory. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwCreateDirectoryObject(
    handle: *mut HANDLE,
    desired: u32,
    attributes: *const OBJECT_ATTRIBUTES,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    unsafe { create(handle, desired, attributes, &DIRECTORY_TYPE, || kernel().ob.names.new_directory()) }
}

/// Opens an object directory. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwOpenDirectoryObject(
    handle: *mut HANDLE,
    desired: u32,
    attributes: *const OBJECT_ATTRIBUTES,
) -> NTSTATUS {
    let none = std::ptr::null();
    // SAFETY: as this routine.
    unsafe { ObOpenObjectByName(attributes, Some(&DIRECTORY_TYPE), 0, none, desired, none, handle) }
}

/// Makes a symbolic link. Source: ntifs.h.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwCreateSymbolicLinkObject(
    handle: *mut HANDLE,
    desired: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    target: *const UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    unsafe {
        match units_of(target) {
            Ok(target) => create(handle, desired, attributes, &LINK_TYPE, || new_link(target)),
            Err(status) => status,
        }
    }
}

/// Opens a symbolic link itself. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwOpenSymbolicLinkObject(
    handle: *mut HANDLE,
    desired: u32,
    attributes: *const OBJECT_ATTRIBUTES,
) -> NTSTATUS {
    let none = std::ptr::null();
    // SAFETY: as this routine.
    unsafe { ObOpenObjectByName(attributes, Some(&LINK_TYPE), 0, none, desired, none, handle) }
}

/// Returns what a symbolic link stands for. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQuerySymbolicLinkObject(
    handle: HANDLE,
    target: *mut UNICODE_STRING,
    told: *mut u32,
) -> NTSTATUS {
    let link: Ref<LinkObject> = match kernel().ob.handles.lookup(handle, &LINK_TYPE) {
        Ok(link) => link,
        Err(status) => return status,
    };
    let bytes = link.target.len() * 2;
    // SAFETY: a driver's pointers: the string's buffer has as many bytes as it says.
    unsafe {
        let given = target.read_unaligned();
        let room = usize::from(given.MaximumLength);
        if !told.is_null() {
            // With the NUL, where there is room for it.
            told.write_unaligned(u32::try_from(bytes + 2).unwrap_or(u32::MAX));
        }
        if room < bytes {
            return STATUS_BUFFER_TOO_SMALL;
        }
        given.Buffer.copy_from_nonoverlapping(link.target.as_ptr(), link.target.len());
        if room >= bytes + 2 {
            given.Buffer.add(link.target.len()).write(0);
        }
        (&raw mut (*target).Length).write_unaligned(u16::try_from(bytes).unwrap_or(u16::MAX));
    }
    STATUS_SUCCESS
}

/// Makes an object go with its last handle. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwMakeTemporaryObject(handle: HANDLE) -> NTSTATUS {
    match kernel().ob.handles.check(handle, None, 0, KERNEL_MODE) {
        Ok(opened) => {
            kernel().ob.names.make_temporary(&opened.object);
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// Makes an object go with its last handle. Source: ntifs.h.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ObMakeTemporaryObject(object: *mut Object) {
    // SAFETY: a driver's pointer.
    let object = unsafe { crate::ob::reference::share(object) };
    kernel().ob.names.make_temporary(&object);
}

/// Lists an object directory. Source: public documentation of NtQueryDirectoryObject.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQueryDirectoryObject(
    handle: HANDLE,
    buffer: *mut u8,
    length: u32,
    single: u8,
    restart: u8,
    context: *mut u32,
    told: *mut u32,
) -> NTSTATUS {
    const ENTRY: usize = size_of::<OBJECT_DIRECTORY_INFORMATION>();
    let opened = match kernel().ob.handles.check(handle, Some(&DIRECTORY_TYPE), 0, KERNEL_MODE) {
        Ok(opened) => opened,
        Err(status) => return status,
    };
    let entries = kernel().ob.names.list(&opened.object);
    // SAFETY: a driver's pointers.
    let first = if restart != 0 { 0 } else { unsafe { context.read_unaligned() as usize } };
    let most = if single != 0 { 1 } else { usize::MAX };
    let wanted: Vec<_> =
        entries.iter().skip(first).take(most).map(|(name, kind)| (name.clone(), units(kind))).collect();
    if wanted.is_empty() {
        return STATUS_NO_MORE_ENTRIES;
    }
    // Entries and an empty one, then the characters of all of them.
    let size = |count: usize| {
        let text =
            wanted[..count].iter().map(|(name, kind)| (name.len() + kind.len() + 2) * 2).sum::<usize>();
        (count + 1) * ENTRY + text
    };
    let fits = (0..=wanted.len()).rev().find(|count| size(*count) <= length as usize).unwrap_or(0);
    if fits == 0 {
        if !told.is_null() {
            // SAFETY: as above.
            unsafe { told.write_unaligned(u32::try_from(size(1)).unwrap_or(u32::MAX)) };
        }
        return STATUS_BUFFER_TOO_SMALL;
    }
    let mut text = (fits + 1) * ENTRY;
    let mut put = |units: &[u16]| {
        let bytes = u16::try_from(units.len() * 2).unwrap_or(u16::MAX - 1);
        // SAFETY: `size` has counted these characters and their NUL.
        let at = unsafe {
            let at = buffer.add(text).cast::<u16>();
            at.copy_from_nonoverlapping(units.as_ptr(), units.len());
            at.add(units.len()).write(0);
            at
        };
        text += usize::from(bytes) + 2;
        UNICODE_STRING { Length: bytes, MaximumLength: bytes + 2, Buffer: at }
    };
    for (index, (name, kind)) in wanted[..fits].iter().enumerate() {
        let entry = OBJECT_DIRECTORY_INFORMATION { Name: put(name), TypeName: put(kind) };
        // SAFETY: as above.
        unsafe { buffer.cast::<OBJECT_DIRECTORY_INFORMATION>().add(index).write_unaligned(entry) };
    }
    // SAFETY: as above.
    unsafe {
        buffer
            .cast::<OBJECT_DIRECTORY_INFORMATION>()
            .add(fits)
            .write_unaligned(OBJECT_DIRECTORY_INFORMATION::default());
        context.write_unaligned(u32::try_from(first + fits).unwrap_or(u32::MAX));
        if !told.is_null() {
            told.write_unaligned(u32::try_from(size(fits)).unwrap_or(u32::MAX));
        }
    }
    if single == 0 && fits < wanted.len() { STATUS_MORE_ENTRIES } else { STATUS_SUCCESS }
}
