//! Memory: copying, filling, comparing, and what the other routines of the library allocate.
//!
//! Copying and comparing are the machine's leaf routines: a bad address faults as in the driver's own code, so
//! that its `__try` may take it.

use std::ptr::NonNull;

use export_macro::export;

use super::alias::alias;
use crate::ex::pool::{Allocation, Kind, Tag};
use crate::io;

/// The tag of strings that the library allocates.
const TAG: Tag = Tag(u32::from_le_bytes(*b"RtlS"));

/// Paged pool memory in the name of the driver that called.
pub(crate) fn allocate(size: usize) -> Option<NonNull<u8>> {
    let what = Allocation { size: size.max(1), tag: TAG, kind: Kind::Paged, owner: io::current_driver() };
    crate::ex::allocate(what, true)
}

/// Frees what [`allocate`] gave, or what a driver says that it did.
pub(crate) fn release(memory: *mut u8) {
    // SAFETY: a bad address is found out by the ledger, and is the stop that it is on Windows.
    unsafe { crate::ex::pool_routines::ExFreePoolWithTag(memory.expose_provenance(), 0) };
}

alias! {
    "memcpy", ANY, Win2000, "Copies memory", ["to": "* mut u8", "from": "* const u8", "count": "usize"] => machine::crt::memcpy;
    "memmove", ANY, Win2000, "Copies memory that may overlap", ["to": "* mut u8", "from": "* const u8", "count": "usize"] => machine::crt::memmove;
    "memset", ANY, Win2000, "Sets memory to a byte", ["to": "* mut u8", "value": "i32", "count": "usize"] => machine::crt::memset;
    "memcmp", ANY, Win2000, "Compares memory", ["left": "* const u8", "right": "* const u8", "count": "usize"] => machine::crt::memcmp;
    "RtlCompareMemory", ANY, Win2000, "Returns how many bytes from the start are equal", ["left": "* const u8", "right": "* const u8", "count": "usize"] => machine::crt::compare_memory;
    "RtlCopyMemory", ANY, Win2000, "Copies memory", ["to": "* mut u8", "from": "* const u8", "count": "usize"] => machine::crt::memcpy;
    "RtlCopyMemoryNonTemporal", ANY, Xp, "Copies memory, bypassing caches", ["to": "* mut u8", "from": "* const u8", "count": "usize"] => machine::crt::memcpy;
    "RtlMoveMemory", ANY, Win2000, "Copies memory that may overlap", ["to": "* mut u8", "from": "* const u8", "count": "usize"] => machine::crt::memmove;
}

/// Sets memory to zero. Source: DDI.
#[export(irql any)]
#[unsafe(naked)]
#[unsafe(link_section = "machine_leaf")]
pub unsafe extern "win64" fn RtlZeroMemory(memory: *mut u8, count: usize) {
    std::arch::naked_asm!("mov r8, rdx", "xor edx, edx", "jmp {}", sym machine::crt::memset)
}

/// Sets memory to a byte. Source: DDI: the count comes before the byte.
#[export(irql any)]
#[unsafe(naked)]
#[unsafe(link_section = "machine_leaf")]
pub unsafe extern "win64" fn RtlFillMemory(memory: *mut u8, count: usize, value: u8) {
    std::arch::naked_asm!("xchg rdx, r8", "jmp {}", sym machine::crt::memset)
}

/// Returns how many bytes from the start are the low byte pattern's, four at a time. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn RtlCompareMemoryUlong(memory: *const u32, bytes: usize, pattern: u32) -> usize {
    // SAFETY: the driver's memory.
    let differs = |&i: &usize| unsafe { memory.add(i).read_unaligned() } != pattern;
    4 * (0..bytes / 4).find(differs).unwrap_or(bytes / 4)
}

/// Returns where a byte occurs first in memory, null where it does not. Source: C.
#[export(irql any)]
pub unsafe extern "win64" fn memchr(memory: *const u8, byte: i32, count: usize) -> *const u8 {
    let byte = byte.to_le_bytes()[0];
    // SAFETY: the driver's memory.
    let found = (0..count).find(|&i| unsafe { *memory.add(i) } == byte);
    found.map_or(std::ptr::null(), |at| memory.wrapping_add(at))
}

/// Copies memory into a buffer of a size; one that is too small is zeroed and nothing copied. Source: C11, Annex K.
#[export(irql any)]
pub unsafe extern "win64" fn memcpy_s(to: *mut u8, room: usize, from: *const u8, count: usize) -> i32 {
    // SAFETY: passed on.
    unsafe { memmove_s(to, room, from, count) }
}

/// Copies memory that may overlap into a buffer of a size. Source: C11, Annex K.
#[export(irql any)]
pub unsafe extern "win64" fn memmove_s(to: *mut u8, room: usize, from: *const u8, count: usize) -> i32 {
    use super::crt::{EINVAL, ERANGE};
    if count == 0 {
        return 0;
    }
    if to.is_null() {
        return EINVAL;
    }
    // SAFETY: the driver's memory.
    unsafe {
        if from.is_null() || room < count {
            to.write_bytes(0, room);
            return if from.is_null() { EINVAL } else { ERANGE };
        }
        to.copy_from(from, count);
    }
    0
}

/// Touches the pages of a large frame before it is used: every frame fits the stack here, or the touch faults.
///
/// The number of bytes is in rax, which is kept. Source: the x64 calling convention.
#[export(irql any)]
#[unsafe(naked)]
pub unsafe extern "win64" fn __chkstk() {
    std::arch::naked_asm!(
        "push rcx",
        "push rax",
        "lea rcx, [rsp + 24]",
        "cmp rax, 4096",
        "jb 3f",
        "2:",
        "sub rcx, 4096",
        "test [rcx], rcx",
        "sub rax, 4096",
        "cmp rax, 4096",
        "ja 2b",
        "3:",
        "sub rcx, rax",
        "test [rcx], rcx",
        "pop rax",
        "pop rcx",
        "ret",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_filled_and_compared() {
        let mut memory = [0xFFu8; 32];
        // SAFETY: ranges within the array.
        unsafe {
            RtlFillMemory(memory.as_mut_ptr(), 16, 7);
            RtlZeroMemory(memory.as_mut_ptr().add(4), 4);
            assert_eq!(RtlCompareMemoryUlong(memory.as_ptr().cast(), 32, 0x0707_0707), 4);
            assert_eq!(memchr(memory.as_ptr(), 0x1FF, 32), memory.as_ptr().add(16));
            assert!(memchr(memory.as_ptr(), 1, 32).is_null());
        }
        assert_eq!(memory[..9], [7, 7, 7, 7, 0, 0, 0, 0, 7]);
        assert_eq!(memory[15..17], [7, 0xFF]);
    }

    #[test]
    fn a_copy_that_does_not_fit_leaves_zeroes() {
        let (mut to, from) = ([9u8; 4], [1u8; 8]);
        // SAFETY: as large as said.
        unsafe {
            assert_eq!(memcpy_s(to.as_mut_ptr(), 4, from.as_ptr(), 8), super::super::crt::ERANGE);
            assert_eq!(to, [0; 4]);
            assert_eq!(memcpy_s(to.as_mut_ptr(), 4, from.as_ptr(), 3), 0);
        }
        assert_eq!(to, [1, 1, 1, 0]);
    }

    #[test]
    fn a_probe_of_the_stack_changes_no_register() {
        for bytes in [8u64, 4096, 5000, 12288, 20000] {
            let (after, rcx): (u64, u64);
            // SAFETY: the probe touches the stack below, of which a test thread has megabytes.
            unsafe {
                std::arch::asm!("call {probe}", probe = sym __chkstk, inout("rax") bytes => after, inout("rcx") 77u64 => rcx);
            }
            assert_eq!((after, rcx), (bytes, 77));
        }
    }
}
