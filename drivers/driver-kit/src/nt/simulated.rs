//! A kernel small enough to test against: notify tables, a registry in memory, and what was printed.
//!
//! Each thread has a machine of its own, so tests do not meet.
#![expect(non_snake_case, reason = "NT's names")]

use core::ffi::{CStr, c_void};
use std::cell::RefCell;
use std::collections::HashMap;

use crate::abi::{Handle, ImageRoutine, ObjectAttributes, ProcessRoutine, ThreadRoutine, UnicodeString};
use crate::{NtStatus, NtStr};

/// One machine.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) processes: Vec<ProcessRoutine>,
    pub(crate) threads: Vec<ThreadRoutine>,
    pub(crate) images: Vec<ImageRoutine>,
    /// What registration ends with, if not success.
    pub(crate) refuse: Option<NtStatus>,
    /// Values by key path and name: type and data.
    pub(crate) registry: HashMap<(String, String), (u32, Vec<u8>)>,
    open: Vec<String>,
    pub(crate) printed: Vec<String>,
}

thread_local! {
    static MACHINE: RefCell<Machine> = RefCell::default();
}

/// Looks at this thread's machine.
pub(crate) fn machine<R>(look: impl FnOnce(&mut Machine) -> R) -> R {
    MACHINE.with_borrow_mut(look)
}

fn add<R>(list: fn(&mut Machine) -> &mut Vec<R>, routine: R) -> i32 {
    machine(|machine| match machine.refuse {
        Some(status) => status.raw(),
        None => {
            list(machine).push(routine);
            0
        }
    })
}

fn take<R>(list: fn(&mut Machine) -> &mut Vec<R>, is: impl FnMut(&R) -> bool) -> i32 {
    machine(|machine| match list(machine).iter().position(is) {
        Some(at) => {
            list(machine).remove(at);
            0
        }
        None => NtStatus::PROCEDURE_NOT_FOUND.raw(),
    })
}

/// # Safety
/// As on Windows; none of these is unsafe here.
pub(crate) unsafe fn PsSetCreateProcessNotifyRoutineEx(routine: ProcessRoutine, remove: u8) -> i32 {
    if remove == 0 {
        return add(|machine| &mut machine.processes, routine);
    }
    take(|machine| &mut machine.processes, |known| std::ptr::fn_addr_eq(*known, routine))
}

/// # Safety
/// None needed here.
pub(crate) unsafe fn PsSetCreateThreadNotifyRoutine(routine: ThreadRoutine) -> i32 {
    add(|machine| &mut machine.threads, routine)
}

/// # Safety
/// None needed here.
pub(crate) unsafe fn PsRemoveCreateThreadNotifyRoutine(routine: ThreadRoutine) -> i32 {
    take(|machine| &mut machine.threads, |known| std::ptr::fn_addr_eq(*known, routine))
}

/// # Safety
/// None needed here.
pub(crate) unsafe fn PsSetLoadImageNotifyRoutine(routine: ImageRoutine) -> i32 {
    add(|machine| &mut machine.images, routine)
}

/// # Safety
/// None needed here.
pub(crate) unsafe fn PsRemoveLoadImageNotifyRoutine(routine: ImageRoutine) -> i32 {
    take(|machine| &mut machine.images, |known| std::ptr::fn_addr_eq(*known, routine))
}

/// The simulated process object is its exit status.
///
/// # Safety
/// `process` points to an `i32`.
pub(crate) unsafe fn PsGetProcessExitStatus(process: *mut c_void) -> i32 {
    // SAFETY: as promised by the caller.
    unsafe { *process.cast::<i32>() }
}

/// # Safety
/// None needed here.
pub(crate) unsafe fn RtlUpcaseUnicodeChar(unit: u16) -> u16 {
    let mut upper = char::from_u32(u32::from(unit)).into_iter().flat_map(char::to_uppercase);
    match (upper.next().map(u32::from).map(u16::try_from), upper.next()) {
        (Some(Ok(upper)), None) => upper,
        _ => unit,
    }
}

/// # Safety
/// As on Windows.
pub(crate) unsafe fn ZwOpenKey(key: *mut Handle, _: u32, attributes: *const ObjectAttributes) -> i32 {
    // SAFETY: the caller passes valid structures.
    let attributes = unsafe { &*attributes };
    // SAFETY: as above.
    let name = unsafe { NtStr::from_counted(attributes.object_name) }.map(ToString::to_string);
    machine(|machine| {
        let root = attributes.root_directory.addr().checked_sub(1).map(|index| machine.open[index].clone());
        let path = [root, name].into_iter().flatten().collect::<Vec<_>>().join("\\");
        if !machine.registry.keys().any(|(known, _)| known.starts_with(&path)) {
            return NtStatus::OBJECT_NAME_NOT_FOUND.raw();
        }
        machine.open.push(path);
        // SAFETY: the caller passes room for a handle.
        unsafe { *key = std::ptr::without_provenance_mut(machine.open.len()) };
        0
    })
}

/// # Safety
/// As on Windows.
pub(crate) unsafe fn ZwQueryValueKey(
    key: Handle,
    name: *const UnicodeString,
    _: i32,
    information: *mut c_void,
    length: u32,
    result_length: *mut u32,
) -> i32 {
    // SAFETY: the caller passes a valid name.
    let name = unsafe { NtStr::from_counted(name) }.map(ToString::to_string).unwrap_or_default();
    machine(|machine| {
        let path = machine.open[key.addr() - 1].clone();
        let Some((kind, data)) = machine.registry.get(&(path, name)) else {
            return NtStatus::OBJECT_NAME_NOT_FOUND.raw();
        };
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let mut all: Vec<u8> = [0, *kind, size].into_iter().flat_map(u32::to_le_bytes).collect();
        all.extend(data);
        let fits = all.len().min(usize::try_from(length).unwrap_or(usize::MAX));
        // SAFETY: the caller passes room for `length` bytes, and `fits` is no more.
        unsafe { information.cast::<u8>().copy_from_nonoverlapping(all.as_ptr(), fits) };
        // SAFETY: the caller passes room for the length.
        unsafe { *result_length = 12 + size };
        if fits < all.len() { NtStatus::BUFFER_OVERFLOW.raw() } else { 0 }
    })
}

/// # Safety
/// None needed here.
pub(crate) unsafe fn ZwClose(_: Handle) -> i32 {
    0
}

/// Keeps what is printed.
pub(crate) fn debug_output(_: u32, _: u32, text: &CStr) {
    machine(|machine| machine.printed.push(text.to_string_lossy().into_owned()));
}
