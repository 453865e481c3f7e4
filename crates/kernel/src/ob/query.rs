//! What drivers ask of objects: their names, their types.

use export_macro::export;
use nt_abi::{
    HANDLE, NTSTATUS, OBJECT_NAME_INFORMATION, STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_INFO_CLASS,
    STATUS_SUCCESS, UNICODE_STRING,
};

use super::Ref;
use super::handle::KERNEL_MODE;
use super::name::units;
use super::object::{self, Object};
use crate::{Kernel, kernel};

/// The name of an object; empty where it has none.
pub(crate) fn name_of(kernel: &Kernel, object: &Ref<Object>) -> Vec<u16> {
    let kind = object.kind();
    if std::ptr::eq(kind, &crate::cm::key::KEY_TYPE) {
        return crate::cm::key::path_of(kernel, object);
    }
    if std::ptr::eq(kind, &crate::io::file::FILE_TYPE) {
        return crate::io::file::path_of(kernel, object);
    }
    kernel.ob.names.path(object).unwrap_or_default()
}

/// Writes a counted string and its characters, NUL-terminated, behind a structure of `header` bytes that begins with
/// the string.
///
/// # Safety
/// `buffer` has `length` bytes; `told` is null or a driver's pointer.
pub(crate) unsafe fn write_name(
    buffer: *mut u8,
    length: u32,
    header: usize,
    name: &[u16],
    told: *mut u32,
) -> NTSTATUS {
    let bytes = if name.is_empty() { 0 } else { name.len() * 2 + 2 };
    let needed = header + bytes;
    if !told.is_null() {
        // SAFETY: by this function's contract.
        unsafe { told.write_unaligned(u32::try_from(needed).unwrap_or(u32::MAX)) };
    }
    if (length as usize) < needed || buffer.is_null() {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    let size = u16::try_from(bytes).unwrap_or(u16::MAX - 1);
    let mut string = UNICODE_STRING::default();
    if bytes > 0 {
        // SAFETY: `needed` bytes are there.
        let characters = unsafe { buffer.add(header) };
        let all: Vec<u8> = name.iter().chain(&[0]).flat_map(|unit| unit.to_le_bytes()).collect();
        // SAFETY: as above.
        unsafe { characters.copy_from_nonoverlapping(all.as_ptr(), all.len()) };
        string = UNICODE_STRING { Length: size - 2, MaximumLength: size, Buffer: characters.cast() };
    }
    // SAFETY: as above.
    unsafe { buffer.cast::<UNICODE_STRING>().write_unaligned(string) };
    STATUS_SUCCESS
}

/// Returns the name of an object: an empty one where it has none. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ObQueryNameString(
    object: *mut Object,
    information: *mut u8,
    length: u32,
    told: *mut u32,
) -> NTSTATUS {
    // SAFETY: a driver's pointer.
    let object = unsafe { super::reference::share(object) };
    let name = name_of(kernel(), &object);
    // SAFETY: as above.
    unsafe { write_name(information, length, size_of::<OBJECT_NAME_INFORMATION>(), &name, told) }
}

/// Classes of `ZwQueryObject`.
const BASIC: u32 = 0;
const NAME: u32 = 1;
const TYPE: u32 = 2;
const HANDLE_FLAGS: u32 = 4;

/// Returns information on an object that the caller has a handle to. Source: DDI, ntifs.h.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQueryObject(
    handle: HANDLE,
    class: u32,
    information: *mut u8,
    length: u32,
    told: *mut u32,
) -> NTSTATUS {
    /// Bytes of an OBJECT_TYPE_INFORMATION.
    const TYPE_INFORMATION: usize = 0x68;
    let opened = match kernel().ob.handles.check(handle, None, 0, KERNEL_MODE) {
        Ok(opened) => opened,
        Err(status) => return status,
    };
    let answer = match class {
        BASIC => {
            // SAFETY: the handle keeps the object alive, and `opened` as well.
            let (handles, pointers) = unsafe {
                (object::handle_count(opened.object.as_ptr()), object::pointer_count(opened.object.as_ptr()))
            };
            let counts = [handles, pointers].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
            // PUBLIC_OBJECT_BASIC_INFORMATION: attributes, access, handles, pointers, ten reserved numbers.
            let mut answer =
                [opened.attributes, opened.access, counts[0], counts[1]].map(u32::to_le_bytes).concat();
            answer.resize(0x38, 0);
            answer
        }
        HANDLE_FLAGS => {
            let has = |flag| u8::from(opened.attributes & flag != 0);
            vec![has(nt_abi::OBJ_INHERIT), has(super::handle::PROTECT_CLOSE)]
        }
        NAME => {
            let name = name_of(kernel(), &opened.object);
            // SAFETY: a driver's pointers.
            return unsafe {
                write_name(information, length, size_of::<OBJECT_NAME_INFORMATION>(), &name, told)
            };
        }
        TYPE => {
            let name = units(opened.object.kind().name);
            // SAFETY: as above.
            return unsafe { write_name(information, length, TYPE_INFORMATION, &name, told) };
        }
        _ => return STATUS_INVALID_INFO_CLASS,
    };
    if !told.is_null() {
        // SAFETY: as above.
        unsafe { told.write_unaligned(u32::try_from(answer.len()).unwrap_or(u32::MAX)) };
    }
    if (length as usize) < answer.len() {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    // SAFETY: as above: the buffer has `length` bytes.
    unsafe { information.copy_from_nonoverlapping(answer.as_ptr(), answer.len()) };
    STATUS_SUCCESS
}
