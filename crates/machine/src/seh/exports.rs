//! The routines of `ntoskrnl` that are about stacks and frames, as drivers call them.
//!
//! The others are [`capture`](crate::seh::context::capture) (`RtlCaptureContext`), [`rtl_unwind_ex`](crate::seh::unwind_ex::rtl_unwind_ex) (`RtlUnwind`,
//! `RtlUnwindEx`), [`rtl_restore_context`](crate::seh::unwind_ex::rtl_restore_context), and
//! [`c_specific::c_specific_handler`](crate::seh::c_specific::c_specific_handler). Any IRQL.

use std::ffi::c_void;

use nt_abi::{
    CONTEXT, EXCEPTION_RECORD, KNONVOLATILE_CONTEXT_POINTERS, PEXCEPTION_ROUTINE, RUNTIME_FUNCTION,
};

use crate::guarded;
use crate::images;
use crate::seh::table::{self, Function};
use crate::seh::unwind::virtual_unwind;
use crate::seh::unwind_ex::{Start, Target, unwind};
use crate::seh::{code, entry, handler_routine, walk};

/// `RtlLookupFunctionEntry`: the entry of the function that an address lies in, null for a leaf; and the base of
/// the image, 0 outside of any.
///
/// # Safety
/// `image_base` can be written.
pub unsafe extern "win64" fn rtl_lookup_function_entry(
    pc: u64,
    image_base: *mut u64,
    _history: *mut c_void,
) -> *const RUNTIME_FUNCTION {
    let found = table::lookup(pc);
    // SAFETY: promised by the caller.
    unsafe { image_base.write(found.map_or(0, |(image, _)| image.base as u64)) };
    match found {
        Some((_, Some(function))) => std::ptr::with_exposed_provenance(function.entry as usize),
        _ => std::ptr::null(),
    }
}

/// `RtlVirtualUnwind`: one frame back. The pointers to saved registers are not filled in.
///
/// A frame that cannot be undone comes back with an instruction pointer of 0, where every walk ends.
///
/// # Safety
/// The pointers are those that the routine documents; `entry` is one of an image's table.
pub unsafe extern "win64" fn rtl_virtual_unwind(
    handler_type: u32,
    image_base: u64,
    pc: u64,
    entry: *const RUNTIME_FUNCTION,
    context: *mut CONTEXT,
    handler_data: *mut *mut c_void,
    establisher: *mut u64,
    _saved: *mut KNONVOLATILE_CONTEXT_POINTERS,
) -> PEXCEPTION_ROUTINE {
    // SAFETY: promised by the caller.
    let context = unsafe { &mut *context };
    let unwound = Function::read(entry.expose_provenance() as u64)
        .and_then(|function| virtual_unwind(handler_type as u8, image_base, pc, function, context).ok());
    let Some(unwound) = unwound else {
        context.Rip = 0;
        return None;
    };
    // SAFETY: promised by the caller.
    unsafe { establisher.write(unwound.establisher) };
    let handler = unwound.handler?;
    let data = std::ptr::with_exposed_provenance_mut(unwound.handler_data as usize);
    // SAFETY: promised by the caller.
    unsafe { handler_data.write(data) };
    handler_routine(handler)
}

/// `RtlPcToFileHeader`: the base of the image that an address lies in, also through `base`; null outside of any.
///
/// # Safety
/// `base` can be written.
pub unsafe extern "win64" fn rtl_pc_to_file_header(pc: usize, base: *mut *mut c_void) -> *mut c_void {
    let found = images::find(pc)
        .map_or(std::ptr::null_mut(), |image| std::ptr::with_exposed_provenance_mut(image.base));
    // SAFETY: promised by the caller.
    unsafe { base.write(found) };
    found
}

/// `_local_unwind(frame, ip)`: leaves `__try` blocks by a jump.
extern "win64" fn local_unwind_from(frame: u64, ip: u64, _a3: u64, _a4: u64, caller: &mut CONTEXT) -> u64 {
    unwind(Start::At(caller), Target { frame, ip, value: 0 }, None)
}

/// `RtlCaptureStackBackTrace(skip, count, trace, hash)`: return addresses of driver frames, the caller's first.
extern "win64" fn capture_from(skip: u64, count: u64, trace: u64, hash: u64, caller: &mut CONTEXT) -> u64 {
    // The upper halves of registers that hold 32-bit parameters mean nothing.
    let (skip, count) = (skip as u32 as usize, count as u32 as usize);
    let mut written = 0;
    let mut sum = 0u32;
    for frame in walk::stack(caller).iter().skip(skip).take(count) {
        // SAFETY: the driver's array; a bad address is an error.
        if unsafe { guarded::try_write(trace + 8 * written, frame.address) }.is_err() {
            break;
        }
        sum = sum.wrapping_add(frame.address as u32);
        written += 1;
    }
    if hash != 0 {
        // SAFETY: as above.
        let _ = unsafe { guarded::try_write(hash, sum) };
    }
    written
}

crate::raising_entry! {
    /// `_local_unwind`.
    pub fn local_unwind => local_unwind_from
}
crate::raising_entry! {
    /// `RtlCaptureStackBackTrace`; allocates, therefore at most DISPATCH_LEVEL.
    pub fn rtl_capture_stack_back_trace => capture_from
}

/// `ExRaiseStatus(status)`.
extern "win64" fn raise_status_from(status: u64, _a2: u64, _a3: u64, _a4: u64, caller: &mut CONTEXT) -> u64 {
    entry::raise_status(status as u32, caller)
}

/// `RtlRaiseException(record)`.
extern "win64" fn raise_exception_from(
    record: u64,
    _a2: u64,
    _a3: u64,
    _a4: u64,
    caller: &mut CONTEXT,
) -> u64 {
    let mut copy = EXCEPTION_RECORD::default();
    let source = std::ptr::with_exposed_provenance(record as usize);
    // SAFETY: the destination is a local of that size; a bad source is an error.
    if unsafe { guarded::try_copy((&raw mut copy).cast(), source, size_of::<EXCEPTION_RECORD>()) }.is_err() {
        entry::raise_status(code::ACCESS_VIOLATION, caller)
    }
    copy.ExceptionAddress = std::ptr::without_provenance_mut(caller.Rip as usize);
    entry::raise(&copy, caller)
}

crate::raising_entry! {
    /// `ExRaiseStatus`, also as `RtlRaiseStatus`.
    pub fn ex_raise_status => raise_status_from
}
crate::raising_entry! {
    /// `RtlRaiseException`; a record that is not marked otherwise can be continued.
    pub fn rtl_raise_exception => raise_exception_from
}
