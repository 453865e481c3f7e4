//! `Zw…VirtualMemory`: memory of the System process and the current one. That of others cannot be reached.

use std::ptr::with_exposed_provenance_mut;

use export_macro::export;
use nt_abi::*;

use super::pages::{Use, protection};
use super::physical::is_readable;
use super::section::reachable;
use crate::kernel;

/// Reserves, commits or both; what is reserved is there at once. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwAllocateVirtualMemory(
    process: HANDLE,
    base: *mut usize,
    _zero_bits: usize,
    size: *mut usize,
    allocation: u32,
    protect: u32,
) -> NTSTATUS {
    if let Err(status) = reachable(process, "ZwAllocateVirtualMemory") {
        return status;
    }
    if protection(protect).is_none() {
        return STATUS_INVALID_PAGE_PROTECTION;
    }
    if allocation & (MEM_COMMIT | MEM_RESERVE | MEM_RESET) == 0 {
        return STATUS_INVALID_PARAMETER;
    }
    let regions = &kernel().mm.regions;
    // SAFETY: the driver's variables.
    unsafe {
        let (wanted, bytes) = (base.read_unaligned(), size.read_unaligned());
        if bytes == 0 {
            return STATUS_INVALID_PARAMETER;
        }
        if wanted == 0 {
            let Some(pages) = regions.map(bytes, Use::Virtual) else { return STATUS_NO_MEMORY };
            let start = pages.as_ptr().expose_provenance();
            let bytes = bytes.next_multiple_of(PAGE_SIZE);
            if !regions.protect(start, bytes, protect) {
                regions.unmap(start, Use::Virtual);
                return STATUS_INVALID_PAGE_PROTECTION;
            }
            base.write_unaligned(start);
            size.write_unaligned(bytes);
            return STATUS_SUCCESS;
        }
        let start = wanted & !(PAGE_SIZE - 1);
        let end = wanted.saturating_add(bytes).checked_next_multiple_of(PAGE_SIZE).unwrap_or(0);
        let inside = regions.find(start).is_some_and(|(at, region)| {
            region.used_for == Use::Virtual && end > start && end <= at + region.size
        });
        // What is reserved can be committed; any other place is not the driver's to choose.
        if !inside || allocation & MEM_RESERVE != 0 {
            return STATUS_CONFLICTING_ADDRESSES;
        }
        regions.protect(start, end - start, protect);
        base.write_unaligned(start);
        size.write_unaligned(end - start);
    }
    STATUS_SUCCESS
}

/// Frees what `ZwAllocateVirtualMemory` reserved; what is only decommitted stays, without access. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwFreeVirtualMemory(
    process: HANDLE,
    base: *mut usize,
    size: *mut usize,
    kind: u32,
) -> NTSTATUS {
    if let Err(status) = reachable(process, "ZwFreeVirtualMemory") {
        return status;
    }
    if kind != MEM_RELEASE && kind != MEM_DECOMMIT {
        return STATUS_INVALID_PARAMETER;
    }
    let regions = &kernel().mm.regions;
    // SAFETY: the driver's variables.
    unsafe {
        let (wanted, bytes) = (base.read_unaligned(), size.read_unaligned());
        let found = regions.find(wanted).filter(|(_, region)| region.used_for == Use::Virtual);
        let Some((start, region)) = found else { return STATUS_MEMORY_NOT_ALLOCATED };
        if kind == MEM_RELEASE {
            if wanted & !(PAGE_SIZE - 1) != start {
                return STATUS_FREE_VM_NOT_AT_BASE;
            }
            // A part cannot be released by itself here.
            if bytes != 0 && bytes.next_multiple_of(PAGE_SIZE) != region.size {
                return STATUS_UNABLE_TO_FREE_VM;
            }
            regions.unmap(start, Use::Virtual);
            base.write_unaligned(start);
            size.write_unaligned(region.size);
            return STATUS_SUCCESS;
        }
        let from = wanted & !(PAGE_SIZE - 1);
        let length =
            if bytes == 0 { region.size - (from - start) } else { bytes.next_multiple_of(PAGE_SIZE) };
        if from + length > start + region.size || !regions.protect(from, length, PAGE_NOACCESS) {
            return STATUS_UNABLE_TO_FREE_VM;
        }
        base.write_unaligned(from);
        size.write_unaligned(length);
    }
    STATUS_SUCCESS
}

/// Changes the protection of memory and returns the old one. Source: public headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwProtectVirtualMemory(
    process: HANDLE,
    base: *mut usize,
    size: *mut usize,
    protect: u32,
    before: *mut u32,
) -> NTSTATUS {
    if let Err(status) = reachable(process, "ZwProtectVirtualMemory") {
        return status;
    }
    if protection(protect).is_none() {
        return STATUS_INVALID_PAGE_PROTECTION;
    }
    let regions = &kernel().mm.regions;
    // SAFETY: the driver's variables.
    unsafe {
        let (wanted, bytes) = (base.read_unaligned(), size.read_unaligned());
        let Some((_, region)) = regions.find(wanted) else { return STATUS_NOT_COMMITTED };
        let from = wanted & !(PAGE_SIZE - 1);
        let length = (wanted - from + bytes).next_multiple_of(PAGE_SIZE);
        if !regions.protect(from, length, protect) {
            return STATUS_NOT_COMMITTED;
        }
        base.write_unaligned(from);
        size.write_unaligned(length);
        before.write_unaligned(region.protect);
    }
    STATUS_SUCCESS
}

/// What is known of an address.
fn describe(address: usize) -> MEMORY_BASIC_INFORMATION {
    let page = address & !(PAGE_SIZE - 1);
    let mut told = MEMORY_BASIC_INFORMATION {
        BaseAddress: with_exposed_provenance_mut(page),
        RegionSize: PAGE_SIZE,
        State: MEM_FREE,
        Protect: PAGE_NOACCESS,
        ..MEMORY_BASIC_INFORMATION::default()
    };
    let mut committed = |base: usize, size: usize, protect: u32, kind: u32| {
        told.AllocationBase = with_exposed_provenance_mut(base);
        told.AllocationProtect = protect;
        told.RegionSize = base + size - page;
        (told.State, told.Protect, told.Type) = (MEM_COMMIT, protect, kind);
    };
    if let Some((start, region)) = kernel().mm.regions.find(address) {
        let kind = if region.used_for == Use::Section { MEM_MAPPED } else { MEM_PRIVATE };
        committed(start, region.size, region.protect, kind);
    } else if let Some(image) = machine::images::find(address) {
        committed(image.base, image.size, PAGE_EXECUTE_WRITECOPY, MEM_IMAGE);
    } else if is_readable(address as u64) {
        // Memory of the bench's own, of which no more than the page is known.
        committed(page, PAGE_SIZE, PAGE_READWRITE, MEM_PRIVATE);
    }
    told
}

/// Returns what memory an address is of. Source: public headers.
///
/// Only MemoryBasicInformation is known.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQueryVirtualMemory(
    process: HANDLE,
    address: usize,
    class: u32,
    buffer: *mut u8,
    length: usize,
    told: *mut usize,
) -> NTSTATUS {
    if let Err(status) = reachable(process, "ZwQueryVirtualMemory") {
        return status;
    }
    if address > super::lookup::MmHighestUserAddress.get() {
        return STATUS_INVALID_PARAMETER;
    }
    if class != MemoryBasicInformation {
        return STATUS_INVALID_INFO_CLASS;
    }
    let size = size_of::<MEMORY_BASIC_INFORMATION>();
    if length < size {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    // SAFETY: the driver's buffer.
    unsafe {
        buffer.cast::<MEMORY_BASIC_INFORMATION>().write_unaligned(describe(address));
        if !told.is_null() {
            told.write_unaligned(size);
        }
    }
    STATUS_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    fn me() -> HANDLE {
        std::ptr::without_provenance_mut(usize::MAX)
    }

    #[test]
    fn memory_is_allocated_protected_described_and_freed() {
        with_kernel(Config::default(), |_, _| {
            let (mut base, mut size, mut before) = (0, 5000, 0);
            let mut told = MEMORY_BASIC_INFORMATION::default();
            // SAFETY: variables of the test.
            unsafe {
                let status = ZwAllocateVirtualMemory(
                    me(),
                    &raw mut base,
                    0,
                    &raw mut size,
                    MEM_COMMIT | MEM_RESERVE,
                    PAGE_READWRITE,
                );
                assert_eq!((status, size), (STATUS_SUCCESS, 8192));
                let (start, mut second, mut page) = (base, base + 4096, 10);
                let status = ZwProtectVirtualMemory(
                    me(),
                    &raw mut second,
                    &raw mut page,
                    PAGE_READONLY,
                    &raw mut before,
                );
                assert_eq!(
                    (status, second, page, before),
                    (STATUS_SUCCESS, start + 4096, 4096, PAGE_READWRITE)
                );
                assert!(machine::guarded::try_write(second as u64, 1u8).is_err());
                let class = MemoryBasicInformation;
                let to = (&raw mut told).cast();
                assert_eq!(
                    ZwQueryVirtualMemory(me(), second + 9, class, to, 48, std::ptr::null_mut()),
                    STATUS_SUCCESS
                );
                assert_eq!(
                    (told.State, told.AllocationBase.addr(), told.RegionSize),
                    (MEM_COMMIT, start, 4096)
                );
                assert_eq!(
                    ZwQueryVirtualMemory(me(), 0x1000, class, to, 48, std::ptr::null_mut()),
                    STATUS_SUCCESS
                );
                assert_eq!(told.State, MEM_FREE);
                let (mut inside, mut none) = (start + 4096, 0);
                let status = ZwFreeVirtualMemory(me(), &raw mut inside, &raw mut none, MEM_RELEASE);
                assert_eq!(status, STATUS_FREE_VM_NOT_AT_BASE);
                let status = ZwFreeVirtualMemory(me(), &raw mut base, &raw mut none, MEM_RELEASE);
                assert_eq!((status, none), (STATUS_SUCCESS, 8192));
                let status = ZwFreeVirtualMemory(me(), &raw mut base, &raw mut none, MEM_RELEASE);
                assert_eq!(status, STATUS_MEMORY_NOT_ALLOCATED);
            }
        });
    }
}
