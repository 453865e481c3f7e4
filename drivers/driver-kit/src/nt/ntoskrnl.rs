//! `ntoskrnl.exe`, linked without an import library.

use core::ffi::{CStr, c_void};

use crate::abi::{Handle, ImageRoutine, ObjectAttributes, ProcessRoutine, ThreadRoutine, UnicodeString};

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub(crate) fn PsSetCreateProcessNotifyRoutineEx(routine: ProcessRoutine, remove: u8) -> i32;
    pub(crate) fn PsSetCreateThreadNotifyRoutine(routine: ThreadRoutine) -> i32;
    pub(crate) fn PsRemoveCreateThreadNotifyRoutine(routine: ThreadRoutine) -> i32;
    pub(crate) fn PsSetLoadImageNotifyRoutine(routine: ImageRoutine) -> i32;
    pub(crate) fn PsRemoveLoadImageNotifyRoutine(routine: ImageRoutine) -> i32;
    pub(crate) fn PsGetProcessExitStatus(process: *mut c_void) -> i32;
    pub(crate) fn RtlUpcaseUnicodeChar(unit: u16) -> u16;
    pub(crate) fn ZwOpenKey(key: *mut Handle, access: u32, attributes: *const ObjectAttributes) -> i32;
    pub(crate) fn ZwQueryValueKey(
        key: Handle,
        name: *const UnicodeString,
        class: i32,
        information: *mut c_void,
        length: u32,
        result_length: *mut u32,
    ) -> i32;
    pub(crate) fn ZwClose(handle: Handle) -> i32;
    #[cfg(feature = "alloc")]
    pub(crate) fn ExAllocatePoolWithTag(pool_type: u32, bytes: usize, tag: u32) -> *mut c_void;
    #[cfg(feature = "alloc")]
    pub(crate) fn ExFreePoolWithTag(block: *mut c_void, tag: u32);
    #[cfg(feature = "panic-handler")]
    pub(crate) fn KeBugCheckEx(code: u32, p1: usize, p2: usize, p3: usize, p4: usize) -> !;
}

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn DbgPrintEx(component: u32, level: u32, format: *const u8, ...) -> u32;
}

/// Sends bytes to the debugger as they are: through `%s`, never as a format.
pub(crate) fn debug_output(component: u32, level: u32, text: &CStr) {
    // SAFETY: the format takes one pointer to a NUL-terminated string, which `text` is, and
    // DbgPrintEx accepts narrow strings at any IRQL up to DIRQL.
    unsafe { DbgPrintEx(component, level, c"%s".as_ptr().cast(), text.as_ptr()) };
}

/// The linker's mark that floating point is used, which compiler support code refers to. In the kernel
/// nothing has to be set up for it on x64.
#[unsafe(no_mangle)]
static _fltused: i32 = 0;
