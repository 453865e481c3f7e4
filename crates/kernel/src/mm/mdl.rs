//! Memory descriptor lists: a range of memory by its pages.
//!
//! Virtual and physical addresses are the same numbers here (see `physical.rs`), so that the page numbers which an
//! MDL holds are where its memory is mapped already: mapping it again answers the address it has.

use export_macro::export;
use nt_abi::{
    CONTEXT, EXCEPTION_RECORD, IRP, IoReadAccess, MDL, MDL_ALLOCATED_FIXED_SIZE, MDL_IO_SPACE,
    MDL_MAPPED_TO_SYSTEM_VA, MDL_PAGES_LOCKED, MDL_PARTIAL, MDL_PARTIAL_HAS_BEEN_MAPPED,
    MDL_SOURCE_IS_NONPAGED_POOL, MDL_WRITE_OPERATION, NTSTATUS, PAGE_SIZE, PVOID, STATUS_ACCESS_VIOLATION,
    STATUS_INVALID_PAGE_PROTECTION, STATUS_NOT_MAPPED_VIEW, STATUS_SUCCESS,
};

use super::pages::Use;
use crate::ex::pool::{Allocation, Kind, Tag};
use crate::rule::category::Category;
use crate::{io, kernel};

/// PFN_LIST_CORRUPT.
const PFN_LIST_CORRUPT: u32 = 0x4E;
/// The tag that MDLs have in the pool.
const TAG: Tag = Tag(u32::from_le_bytes(*b"Mdl "));

const HEADER: usize = size_of::<MDL>();

/// How many pages a range touches.
fn pages(address: usize, length: usize) -> usize {
    (address % PAGE_SIZE + length).div_ceil(PAGE_SIZE)
}

/// The page numbers behind an MDL.
///
/// # Safety
/// `mdl` must be one.
unsafe fn page_numbers(mdl: *mut MDL) -> *mut u64 {
    mdl.wrapping_add(1).cast()
}

/// Where the memory of an MDL is, from its first page number: the MDL of pages that were never mapped has no other.
///
/// # Safety
/// `mdl` must be one whose page numbers are filled in.
unsafe fn address_of(mdl: *mut MDL) -> usize {
    // SAFETY: by this function's contract.
    unsafe {
        let first = page_numbers(mdl).read_unaligned();
        usize::try_from(first << 12).unwrap_or(0) + (*mdl).ByteOffset as usize
    }
}

/// Writes the header for a range.
///
/// # Safety
/// `mdl` must have room for a header.
unsafe fn initialize(mdl: *mut MDL, address: usize, length: usize) {
    let size = i16::try_from(HEADER + 8 * pages(address, length)).unwrap_or(i16::MAX);
    let header = MDL {
        Size: size,
        StartVa: std::ptr::with_exposed_provenance_mut(address & !(PAGE_SIZE - 1)),
        ByteCount: u32::try_from(length).unwrap_or(u32::MAX),
        ByteOffset: u32::try_from(address % PAGE_SIZE).unwrap_or(0),
        ..MDL::default()
    };
    // SAFETY: by this function's contract.
    unsafe { mdl.write_unaligned(header) };
}

/// Fills in the page numbers of the range that an MDL describes.
///
/// # Safety
/// `mdl` must have room for them, as its size says.
unsafe fn fill(mdl: *mut MDL) {
    // SAFETY: by this function's contract.
    unsafe {
        let first = (*mdl).StartVa.addr() as u64 >> 12;
        let count = pages((*mdl).ByteOffset as usize, (*mdl).ByteCount as usize);
        (0..count).for_each(|index| page_numbers(mdl).add(index).write_unaligned(first + index as u64));
    }
}

/// Allocates an MDL for a range; null where there is no memory.
fn allocate(address: usize, length: usize) -> *mut MDL {
    let size = HEADER + 8 * pages(address, length);
    let what = Allocation { size, tag: TAG, kind: Kind::NonPaged, owner: io::current_driver() };
    let Some(memory) = crate::ex::allocate(what, true) else { return std::ptr::null_mut() };
    let mdl = memory.as_ptr().cast();
    // SAFETY: just allocated with that size.
    unsafe { initialize(mdl, address, length) };
    mdl
}

/// Allocates an MDL that describes a buffer; it becomes the IRP's, or the last of its chain. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoAllocateMdl(
    address: usize,
    length: u32,
    secondary: u8,
    _charge_quota: u8,
    irp: *mut IRP,
) -> *mut MDL {
    // The documented limit: 2 GiB less a page.
    if length as usize > 0x8000_0000 - PAGE_SIZE {
        return std::ptr::null_mut();
    }
    let mdl = allocate(address, length as usize);
    if mdl.is_null() || irp.is_null() {
        return mdl;
    }
    // SAFETY: the driver's IRP and its chain of MDLs.
    unsafe {
        if secondary == 0 || (*irp).MdlAddress.is_null() {
            (*irp).MdlAddress = mdl;
        } else {
            let mut last = (*irp).MdlAddress;
            while !(*last).Next.is_null() {
                last = (*last).Next;
            }
            (*last).Next = mdl;
        }
    }
    mdl
}

/// Frees an MDL. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoFreeMdl(mdl: *mut MDL) {
    // SAFETY: what is no pool memory is found out by the ledger.
    unsafe { crate::ex::pool_routines::ExFreePoolWithTag(mdl.expose_provenance(), 0) };
}

/// Returns how many bytes an MDL for a range needs. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn MmSizeOfMdl(address: usize, length: usize) -> usize {
    HEADER + 8 * pages(address, length)
}

/// Makes an MDL in the driver's memory, or in fresh memory. Source: public headers; obsolete.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn MmCreateMdl(memory: *mut MDL, address: usize, length: usize) -> *mut MDL {
    if memory.is_null() {
        return allocate(address, length);
    }
    // SAFETY: the driver's memory.
    unsafe { initialize(memory, address, length) };
    memory
}

/// Makes an MDL describe a part of what another one does. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoBuildPartialMdl(
    source: *mut MDL,
    target: *mut MDL,
    address: usize,
    length: u32,
) {
    // SAFETY: the driver's MDLs; the target has room for the part.
    unsafe {
        let whole = source.read_unaligned();
        let start = whole.StartVa.addr() + whole.ByteOffset as usize;
        let skipped = address.wrapping_sub(start);
        // Length 0 means all that is left.
        let length = if length == 0 {
            whole.ByteCount.saturating_sub(u32::try_from(skipped).unwrap_or(0))
        } else {
            length
        };
        let flags = (*target).MdlFlags & MDL_ALLOCATED_FIXED_SIZE;
        let size = (*target).Size;
        initialize(target, address, length as usize);
        (*target).Size = size;
        (*target).MdlFlags =
            flags | MDL_PARTIAL | whole.MdlFlags & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_IO_SPACE);
        (*target).Process = whole.Process;
        if whole.MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL) != 0 {
            (*target).MappedSystemVa = whole.MappedSystemVa.wrapping_byte_add(skipped);
            (*target).MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
        }
        let first = (address / PAGE_SIZE).wrapping_sub(whole.StartVa.addr() / PAGE_SIZE);
        let count = pages(address, length as usize);
        page_numbers(target).copy_from(page_numbers(source).add(first), count);
    }
}

/// Fills in an MDL that describes nonpaged memory. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn MmBuildMdlForNonPagedPool(mdl: *mut MDL) {
    // SAFETY: the driver's MDL.
    unsafe {
        fill(mdl);
        (*mdl).Process = std::ptr::null_mut();
        (*mdl).MappedSystemVa = (*mdl).StartVa.wrapping_byte_add((*mdl).ByteOffset as usize);
        (*mdl).MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
    }
}

fn raise(status: NTSTATUS, address: u64, write: bool, caller: &CONTEXT) -> ! {
    let mut record = EXCEPTION_RECORD {
        ExceptionCode: status,
        ExceptionFlags: nt_abi::EXCEPTION_NONCONTINUABLE,
        ExceptionAddress: std::ptr::without_provenance_mut(usize::try_from(caller.Rip).unwrap_or(0)),
        NumberParameters: 2,
        ..EXCEPTION_RECORD::default()
    };
    record.ExceptionInformation[0] = usize::from(write);
    record.ExceptionInformation[1] = usize::try_from(address).unwrap_or(usize::MAX);
    machine::seh::entry::raise(&record, caller)
}

/// `MmProbeAndLockPages(mdl, mode, operation)`
extern "win64" fn probe_and_lock(
    mdl: *mut MDL,
    mode: u64,
    operation: u64,
    _a4: u64,
    caller: &mut CONTEXT,
) -> u64 {
    let operation = u32::try_from(operation & 0xFFFF_FFFF).unwrap_or(0);
    let write = operation != IoReadAccess;
    // SAFETY: the driver's MDL; a bad one faults, which is raised at the driver's call.
    unsafe {
        let start = (*mdl).StartVa.addr() as u64 + u64::from((*mdl).ByteOffset);
        let length = u64::from((*mdl).ByteCount);
        if length != 0 {
            if mode & 0xFF != 0 && !super::probe::is_user(start, length) {
                raise(STATUS_ACCESS_VIOLATION, start, write, caller);
            }
            let mut at = start;
            while at < start + length {
                let byte = machine::guarded::try_read::<u8>(at);
                let fine = byte.is_ok_and(|byte| !write || machine::guarded::try_write(at, byte).is_ok());
                if !fine {
                    raise(STATUS_ACCESS_VIOLATION, at, write, caller);
                }
                at = (at & !0xFFF) + 0x1000;
            }
        }
        fill(mdl);
        (*mdl).MdlFlags |= MDL_PAGES_LOCKED | if write { MDL_WRITE_OPERATION } else { 0 };
        (*mdl).Process = crate::ps::query::IoGetCurrentProcess().cast();
    }
    0
}

machine::raising_entry! {
    /// Makes the pages of an MDL resident for an access, or raises STATUS_ACCESS_VIOLATION. Source: DDI.
    ///
    /// Parameters: MDL, processor mode, operation.
    #[export_macro::export(irql <= DISPATCH)]
    pub fn MmProbeAndLockPages => probe_and_lock
}

/// `MmProbeAndLockProcessPages(mdl, process, mode, operation)`
extern "win64" fn probe_and_lock_of(
    mdl: *mut MDL,
    _process: u64,
    mode: u64,
    operation: u64,
    caller: &mut CONTEXT,
) -> u64 {
    probe_and_lock(mdl, mode, operation, 0, caller)
}

machine::raising_entry! {
    /// Makes pages of a process resident, as `MmProbeAndLockPages` in its address space. Source: public headers.
    #[export_macro::export(irql <= APC)]
    pub fn MmProbeAndLockProcessPages => probe_and_lock_of
}

/// Undoes `MmProbeAndLockPages`, and a mapping that the MDL still has. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn MmUnlockPages(mdl: *mut MDL) {
    // SAFETY: the driver's MDL.
    unsafe {
        if (*mdl).MdlFlags & MDL_PAGES_LOCKED == 0 {
            // The pages were unlocked more often than they were locked.
            machine::bug_check(PFN_LIST_CORRUPT, 7, page_numbers(mdl).read_unaligned(), 0, 0);
        }
        (*mdl).MdlFlags &= !(MDL_PAGES_LOCKED | MDL_WRITE_OPERATION | MDL_MAPPED_TO_SYSTEM_VA);
    }
}

/// Maps an MDL.
///
/// # Safety
/// `mdl` must be one.
unsafe fn map(mdl: *mut MDL, mode: u8) -> PVOID {
    // SAFETY: by this function's contract.
    unsafe {
        let flags = (*mdl).MdlFlags;
        if flags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL | MDL_IO_SPACE) == 0 {
            // Its page numbers say nothing: what would be mapped is anybody's memory.
            machine::bug_check(PFN_LIST_CORRUPT, 0x99, page_numbers(mdl).read_unaligned(), 0, 0);
        }
        let address = std::ptr::with_exposed_provenance_mut(address_of(mdl));
        if mode == 0 {
            (*mdl).MappedSystemVa = address;
            let partial = if flags & MDL_PARTIAL != 0 { MDL_PARTIAL_HAS_BEEN_MAPPED } else { 0 };
            (*mdl).MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA | partial;
        } else if let Some(thread) = crate::ps::thread::current() {
            crate::rule::category::by_argument("MmMapLockedPages", Category::UserMemory);
            crate::ps::user_memory(thread.current_process(), "MmMapLockedPages");
        }
        address
    }
}

/// Maps the pages of an MDL: at the address they have already. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn MmMapLockedPagesSpecifyCache(
    mdl: *mut MDL,
    mode: u8,
    _cache: u32,
    wanted: usize,
    _bug_check: u32,
    _priority: u32,
) -> PVOID {
    // SAFETY: the driver's MDL.
    unsafe {
        // A mapping for a program at an address of the driver's choice is not to be had.
        if mode != 0 && wanted != 0 && wanted != address_of(mdl) {
            return std::ptr::null_mut();
        }
        map(mdl, mode)
    }
}

/// Maps the pages of an MDL. Source: DDI; obsolete.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn MmMapLockedPages(mdl: *mut MDL, mode: u8) -> PVOID {
    // SAFETY: the driver's MDL.
    unsafe { map(mdl, mode) }
}

/// Undoes a mapping of an MDL. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn MmUnmapLockedPages(address: PVOID, mdl: *mut MDL) {
    // SAFETY: the driver's MDL.
    unsafe {
        if (*mdl).MappedSystemVa == address {
            (*mdl).MdlFlags &= !(MDL_MAPPED_TO_SYSTEM_VA | MDL_PARTIAL_HAS_BEEN_MAPPED);
        }
    }
}

/// Sets the protection of a mapped MDL. Source: DDI.
///
/// Memory that is not whole pages of its own cannot be protected; only what allows all that it does today succeeds.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn MmProtectMdlSystemAddress(mdl: *mut MDL, protect: u32) -> NTSTATUS {
    // SAFETY: the driver's MDL.
    unsafe {
        if (*mdl).MdlFlags & MDL_MAPPED_TO_SYSTEM_VA == 0 {
            return STATUS_NOT_MAPPED_VIEW;
        }
        if super::pages::protection(protect).is_none() {
            return STATUS_INVALID_PAGE_PROTECTION;
        }
        let (address, length) = ((*mdl).MappedSystemVa.addr(), (*mdl).ByteCount as usize);
        if kernel().mm.regions.protect(address, length, protect) {
            return STATUS_SUCCESS;
        }
        let byte = machine::guarded::try_read::<u8>(address as u64);
        let writable = byte.is_ok_and(|byte| machine::guarded::try_write(address as u64, byte).is_ok());
        let asks_write = protect & (nt_abi::PAGE_READWRITE | nt_abi::PAGE_EXECUTE_READWRITE) != 0;
        if writable && asks_write { STATUS_SUCCESS } else { STATUS_INVALID_PAGE_PROTECTION }
    }
}

/// Allocates zeroed pages, described by an MDL and not mapped. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn MmAllocatePagesForMdl(
    _low: i64,
    _high: i64,
    _skip: i64,
    bytes: usize,
) -> *mut MDL {
    let bytes = bytes.next_multiple_of(PAGE_SIZE);
    if bytes == 0 || bytes > 0xFFFF_F000 {
        return std::ptr::null_mut();
    }
    let Some(pages) = kernel().mm.regions.map(bytes, Use::MdlPages) else { return std::ptr::null_mut() };
    let address = pages.as_ptr().expose_provenance();
    let mdl = allocate(address, bytes);
    if mdl.is_null() {
        kernel().mm.regions.unmap(address, Use::MdlPages);
        return mdl;
    }
    // SAFETY: just made for these pages; they have no address until they are mapped.
    unsafe {
        fill(mdl);
        (*mdl).StartVa = std::ptr::null_mut();
        (*mdl).MdlFlags |= MDL_PAGES_LOCKED;
    }
    mdl
}

/// Allocates zeroed pages as flags ask, described by an MDL and not mapped. Source: DDI.
#[export(irql <= DISPATCH, since = VistaSp1)]
pub unsafe extern "win64" fn MmAllocatePagesForMdlEx(
    low: i64,
    high: i64,
    skip: i64,
    bytes: usize,
    _cache: u32,
    _flags: u32,
) -> *mut MDL {
    // SAFETY: as this routine.
    unsafe { MmAllocatePagesForMdl(low, high, skip, bytes) }
}

/// Frees the pages of `MmAllocatePagesForMdl`; the MDL is the driver's to free. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn MmFreePagesFromMdl(mdl: *mut MDL) {
    // SAFETY: the driver's MDL.
    unsafe {
        if kernel().mm.regions.unmap(address_of(mdl), Use::MdlPages).is_none() {
            machine::bug_check(PFN_LIST_CORRUPT, 7, page_numbers(mdl).read_unaligned(), 0, 0);
        }
        (*mdl).MdlFlags &= !(MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA);
    }
}

#[cfg(test)]
#[path = "mdl_tests.rs"]
mod tests;
