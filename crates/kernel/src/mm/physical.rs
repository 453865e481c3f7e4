//! Physical addresses, which are made up: memory has the physical address that it is mapped at. And memory that
//! drivers ask for by physical properties.

use std::ptr::null_mut;

use export_macro::export;
use nt_abi::PVOID;

use super::pages::Use;
use crate::kernel;

/// MEMORY_MANAGEMENT.
const MEMORY_MANAGEMENT: u32 = 0x1A;
/// Addresses below are devices and firmware on a PC; what Callboard maps lies above.
const FIRST_MEMORY: u64 = 1 << 32;

/// Whether a byte can be read.
pub(crate) fn is_readable(address: u64) -> bool {
    machine::guarded::try_read::<u8>(address).is_ok()
}

fn allocate(size: usize, used_for: Use) -> PVOID {
    if size == 0 {
        return null_mut();
    }
    kernel().mm.regions.map(size, used_for).map_or(null_mut(), |pages| pages.as_ptr().cast())
}

/// Frees a region, or stops as for any damage to the memory manager's lists.
fn free(address: usize, used_for: Use) {
    if kernel().mm.regions.unmap(address, used_for).is_none() {
        machine::bug_check(MEMORY_MANAGEMENT, 0x1236, address as u64, 0, 0);
    }
}

/// Returns the physical address of memory; 0 where there is none. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn MmGetPhysicalAddress(address: u64) -> u64 {
    if is_readable(address) { address } else { 0 }
}

/// Returns the virtual address of physical memory; null where there is none. Source: public headers.
#[export(irql any)]
pub unsafe extern "win64" fn MmGetVirtualForPhysical(address: u64) -> u64 {
    if address >= FIRST_MEMORY && is_readable(address) { address } else { 0 }
}

macro_rules! contiguous {
    ($( $(#[$meta:meta])* $name:ident($($parameter:ident: $kind:ty),*); )*) => { $(
        $(#[$meta])*
        #[export(irql <= DISPATCH)]
        pub unsafe extern "win64" fn $name(size: usize, $($parameter: $kind),*) -> PVOID {
            allocate(size, Use::Contiguous)
        }
    )* };
}

contiguous! {
    /// Allocates physically contiguous memory, zeroed. Source: DDI.
    MmAllocateContiguousMemory(_highest: u64);
    /// Allocates physically contiguous memory in a range, zeroed. Source: DDI.
    MmAllocateContiguousMemorySpecifyCache(_lowest: u64, _highest: u64, _boundary: u64, _cache: u32);
    /// Allocates physically contiguous memory in a range on a node, zeroed. Source: DDI.
    MmAllocateContiguousMemorySpecifyCacheNode(_lowest: u64, _highest: u64, _boundary: u64, _cache: u32, _node: u32);
    /// Allocates physically contiguous memory in a range with a protection, zeroed. Source: DDI.
    MmAllocateContiguousNodeMemory(_lowest: u64, _highest: u64, _boundary: u64, _protect: u32, _node: u32);
}

/// Frees physically contiguous memory. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn MmFreeContiguousMemory(address: usize) {
    free(address, Use::Contiguous);
}

/// Frees physically contiguous memory. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn MmFreeContiguousMemorySpecifyCache(address: usize, _size: usize, _cache: u32) {
    free(address, Use::Contiguous);
}

/// Allocates memory that is not cached, zeroed. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn MmAllocateNonCachedMemory(size: usize) -> PVOID {
    allocate(size, Use::NonCached)
}

/// Frees memory that is not cached. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn MmFreeNonCachedMemory(address: usize, _size: usize) {
    free(address, Use::NonCached);
}

/// Maps a physical range: of memory where the bench has some there, of an empty device elsewhere. Source: DDI.
///
/// There is no hardware: what a device or the firmware would have there reads as zeroes, and what is written stays in
/// pages of the driver's own.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn MmMapIoSpace(physical: u64, size: usize, _cache: u32) -> PVOID {
    let Some(last) = physical.checked_add(size as u64 - u64::from(size != 0)).filter(|_| size != 0) else {
        return null_mut();
    };
    if physical >= FIRST_MEMORY && is_readable(physical) && is_readable(last) {
        return std::ptr::with_exposed_provenance_mut(usize::try_from(physical).unwrap_or(0));
    }
    let offset = usize::try_from(physical & 0xFFF).unwrap_or(0);
    allocate(size.saturating_add(offset), Use::IoSpace).wrapping_byte_add(offset)
}

/// Maps a physical range with a protection, as `MmMapIoSpace`. Source: DDI.
#[export(irql <= DISPATCH, since = Win10_1507)]
pub unsafe extern "win64" fn MmMapIoSpaceEx(physical: u64, size: usize, _protect: u32) -> PVOID {
    // SAFETY: as this routine.
    unsafe { MmMapIoSpace(physical, size, 0) }
}

/// Undoes `MmMapIoSpace`. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn MmUnmapIoSpace(address: usize, _size: usize) {
    // What was memory of the bench's keeps its address.
    kernel().mm.regions.unmap(address & !0xFFF, Use::IoSpace);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::{stops, with_kernel};

    #[test]
    fn a_physical_address_leads_back() {
        with_kernel(Config::default(), |_, records| {
            // SAFETY: memory of the test.
            unsafe {
                let memory = MmAllocateContiguousMemory(100, u64::MAX);
                assert_eq!(memory.addr() % 4096, 0);
                let physical = MmGetPhysicalAddress(memory.addr() as u64);
                assert_ne!(physical, 0);
                let mapped = MmMapIoSpace(physical, 100, 0).cast::<u8>();
                mapped.write(9);
                assert_eq!(*memory.cast::<u8>(), 9);
                MmUnmapIoSpace(mapped.addr(), 100);
                MmFreeContiguousMemory(memory.addr());
                assert_eq!(MmGetPhysicalAddress(0x10), 0);
                let stop = stops(records, || MmFreeContiguousMemory(memory.addr()));
                assert_eq!(stop.code, MEMORY_MANAGEMENT);
            }
        });
    }

    #[test]
    fn a_device_that_is_not_there_reads_as_zeroes() {
        with_kernel(Config::default(), |kernel, _| {
            // SAFETY: memory of the test.
            unsafe {
                let registers = MmMapIoSpace(0xFEE0_0030, 0x20, 0).cast::<u32>();
                assert_eq!(registers.addr() % 4096, 0x30);
                assert_eq!(registers.read(), 0);
                MmUnmapIoSpace(registers.addr(), 0x20);
                assert!(kernel.mm.regions.find(registers.addr()).is_none());
                assert!(MmMapIoSpace(0xFEE0_0000, 0, 0).is_null());
                assert!(MmMapIoSpace(u64::MAX, 16, 0).is_null());
            }
        });
    }
}
