//! Touching memory that may not be there, from Rust.
//!
//! The routines of one section return an error where others fault: the signal handler makes the call
//! return. This is how the kernel reads strings and structures whose address a driver made up.

use std::mem::MaybeUninit;

use nt_abi::Plain;

use crate::supervisor::Access;

/// Memory was not accessible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot access memory at {address:#x} ({access:?})")]
pub struct BadAddress {
    /// The first address that faulted; all ones for one that no processor can form.
    pub address: u64,
    /// What was tried.
    pub access: Access,
}

/// rax and rdx of a guarded routine: 0, or 1 + the access with the address.
#[repr(C)]
struct Outcome {
    fault: u64,
    address: u64,
}

unsafe extern "C" {
    // Made by the linker for a section whose name is an identifier.
    static __start_machine_guarded: u8;
    static __stop_machine_guarded: u8;
}

/// Whether a fault at this instruction is to be turned into a returned error.
pub(crate) fn is_guarded(address: usize) -> bool {
    let start = (&raw const __start_machine_guarded).addr();
    let stop = (&raw const __stop_machine_guarded).addr();
    (start..stop).contains(&address)
}

/// What the signal handler puts into rax for a fault.
pub(crate) fn fault_code(access: Access) -> u64 {
    1 + access as u64
}

#[unsafe(naked)]
#[unsafe(link_section = "machine_guarded")]
unsafe extern "C" fn copy(destination: *mut u8, source: *const u8, count: usize) -> Outcome {
    std::arch::naked_asm!("mov rcx, rdx", "rep movsb", "xor eax, eax", "ret")
}

/// Copies `count` bytes that do not overlap; a fault on either side is an error.
///
/// # Safety
/// Where the destination is accessible, it may be written.
///
/// # Errors
/// [`BadAddress`]; a part may have been copied.
pub unsafe fn try_copy(destination: *mut u8, source: *const u8, count: usize) -> Result<(), BadAddress> {
    // SAFETY: the routine faults on addresses that are not accessible, and such a fault makes it return.
    let Outcome { fault, address } = unsafe { copy(destination, source, count) };
    match fault {
        0 => Ok(()),
        1 => Err(BadAddress { address, access: Access::Read }),
        _ => Err(BadAddress { address, access: Access::Write }),
    }
}

/// Reads a value from an address that may be bad or unaligned.
///
/// # Errors
/// [`BadAddress`] when any byte of it is not readable.
pub fn try_read<T: Plain>(address: u64) -> Result<T, BadAddress> {
    let mut value = MaybeUninit::<T>::uninit();
    let source = std::ptr::with_exposed_provenance(address as usize);
    // SAFETY: the destination is a local of the right size.
    unsafe { try_copy(value.as_mut_ptr().cast(), source, size_of::<T>()) }?;
    // SAFETY: all bytes were written, and any bytes are a value.
    Ok(unsafe { value.assume_init() })
}

/// Writes a value to an address that may be bad or unaligned.
///
/// # Safety
/// Where the address is accessible, it may be written.
///
/// # Errors
/// [`BadAddress`] when any byte of it is not writable.
pub unsafe fn try_write<T: Plain>(address: u64, value: T) -> Result<(), BadAddress> {
    let destination = std::ptr::with_exposed_provenance_mut(address as usize);
    // SAFETY: promised by the caller; the source is a local.
    unsafe { try_copy(destination, (&raw const value).cast(), size_of::<T>()) }
}

/// Reads as many bytes from the start of `address` as are readable; answers how many.
pub fn read_prefix(address: u64, buffer: &mut [u8]) -> usize {
    let source = std::ptr::with_exposed_provenance::<u8>(address as usize);
    let length = buffer.len();
    // SAFETY: the destination is a slice of ours.
    match unsafe { try_copy(buffer.as_mut_ptr(), source, length) } {
        Ok(()) => length,
        // All ones is a non-canonical address: not even the first byte was there.
        Err(bad) if bad.address == u64::MAX => 0,
        // `rep movsb` stops exactly at the byte that faulted.
        Err(bad) => (bad.address.wrapping_sub(address) as usize).min(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Platform, Protection};
    use crate::processor::Processor;

    #[test]
    fn bad_addresses_are_errors_not_faults() {
        let _processor = Processor::attach().unwrap();
        assert_eq!(try_read::<u64>(8), Err(BadAddress { address: 8, access: Access::Read }));
        // A non-canonical address has no number to report.
        assert_eq!(try_read::<u8>(1 << 60).map_err(|bad| bad.address), Err(u64::MAX));
        // SAFETY: nothing is mapped there.
        let written = unsafe { try_write(16, 1u32) };
        assert_eq!(written, Err(BadAddress { address: 16, access: Access::Write }));
        let value = 0x1234_5678_u32;
        assert_eq!(try_read::<u32>((&raw const value).addr() as u64), Ok(value));
    }

    #[test]
    fn a_prefix_ends_where_the_memory_ends() {
        let _processor = Processor::attach().unwrap();
        let hosted = crate::hosted::Hosted::instance();
        let pages = hosted.map_pages(8192).unwrap();
        // SAFETY: inside of the mapping.
        let second = unsafe { pages.add(4096) };
        // SAFETY: nobody uses the page.
        unsafe { hosted.protect_pages(second, 4096, Protection::None) }.unwrap();
        let mut buffer = [0xFF; 16];
        assert_eq!(read_prefix(second.addr().get() as u64 - 5, &mut buffer), 5);
        assert_eq!(buffer[..6], [0, 0, 0, 0, 0, 0xFF]);
    }
}
