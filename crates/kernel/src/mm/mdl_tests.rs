//! MDLs as drivers use them.

use super::*;
use crate::Config;
use crate::ex::pool_routines::{ExAllocatePoolWithTag, ExFreePoolWithTag};
use crate::testing::{stops, with_kernel};

const NULL: *mut IRP = std::ptr::null_mut();

fn lock(mdl: *mut MDL, mode: u64, operation: u32) {
    let entry = (MmProbeAndLockPages as *const ()).expose_provenance();
    // SAFETY: three parameters, as documented.
    unsafe { machine::call3(entry, mdl.expose_provenance() as u64, mode, operation.into()) };
}

#[test]
fn a_buffer_is_described_locked_mapped_and_written_through() {
    with_kernel(Config::default(), |kernel, records| {
        // SAFETY: memory of the test.
        unsafe {
            let buffer = ExAllocatePoolWithTag(0, 10_000, 1).add(100);
            let mdl = IoAllocateMdl(buffer.expose_provenance(), 9_000, 0, 0, NULL);
            assert_eq!(((*mdl).ByteOffset, (*mdl).ByteCount, (*mdl).Size), (100, 9_000, 0x30 + 24));
            lock(mdl, 0, nt_abi::IoModifyAccess);
            let mapped = MmMapLockedPagesSpecifyCache(mdl, 0, 1, 0, 0, 16);
            mapped.cast::<u8>().write(42);
            assert_eq!(*buffer, 42);
            assert!((*mdl).MdlFlags & MDL_MAPPED_TO_SYSTEM_VA != 0);
            MmUnmapLockedPages(mapped, mdl);
            MmUnlockPages(mdl);
            assert_eq!((*mdl).MdlFlags, 0);
            let stop = stops(records, || MmUnlockPages(mdl));
            assert_eq!((stop.code, stop.parameters[0]), (PFN_LIST_CORRUPT, 7));
            IoFreeMdl(mdl);
            assert!(kernel.ex.pool.find(mdl.addr()).is_none());
            ExFreePoolWithTag(buffer.sub(100).expose_provenance(), 1);
        }
    });
}

#[test]
fn locking_what_is_not_there_raises() {
    with_kernel(Config::default(), |_, records| {
        // SAFETY: nothing is mapped there, and nothing touches it but the guarded probe.
        unsafe {
            let mdl = IoAllocateMdl(0x1_0000, 16, 0, 0, NULL);
            let stop = stops(records, || lock(mdl, 0, 0));
            assert_eq!(stop.parameters[0] & 0xFFFF_FFFF, 0xC000_0005);
            IoFreeMdl(mdl);
            let mdl = IoAllocateMdl(0xFFFF_8000_0000_0000, 16, 0, 0, NULL);
            let stop = stops(records, || lock(mdl, 1, 0));
            assert_eq!(stop.parameters[0] & 0xFFFF_FFFF, 0xC000_0005);
            let stop = stops(records, || {
                MmMapLockedPages(mdl, 0);
            });
            assert_eq!(stop.code, PFN_LIST_CORRUPT);
            IoFreeMdl(mdl);
        }
    });
}

#[test]
fn a_part_of_a_buffer() {
    with_kernel(Config::default(), |_, _| {
        // SAFETY: memory of the test.
        unsafe {
            let buffer = ExAllocatePoolWithTag(0, 20_000, 1);
            let start = buffer.expose_provenance();
            let whole = IoAllocateMdl(start, 20_000, 0, 0, NULL);
            MmBuildMdlForNonPagedPool(whole);
            let part = IoAllocateMdl(start + 5_000, 6_000, 0, 0, NULL);
            IoBuildPartialMdl(whole, part, start + 5_000, 6_000);
            assert_eq!((*part).MappedSystemVa.addr(), start + 5_000);
            assert_eq!(MmMapLockedPagesSpecifyCache(part, 0, 1, 0, 0, 16).addr(), start + 5_000);
            assert_eq!(page_numbers(part).read_unaligned(), (start as u64 + 4096) >> 12);
            IoFreeMdl(part);
            IoFreeMdl(whole);
            ExFreePoolWithTag(start, 1);
        }
    });
}

#[test]
fn pages_of_their_own() {
    with_kernel(Config::default(), |kernel, _| {
        // SAFETY: memory of the test.
        unsafe {
            let mdl = MmAllocatePagesForMdlEx(0, i64::MAX, 0, 5_000, 1, 0);
            assert_eq!(((*mdl).ByteCount, (*mdl).StartVa.addr()), (8192, 0));
            let mapped = MmMapLockedPagesSpecifyCache(mdl, 0, 1, 0, 0, 16).cast::<u8>();
            mapped.add(8191).write(1);
            assert_eq!(MmProtectMdlSystemAddress(mdl, nt_abi::PAGE_READONLY), STATUS_SUCCESS);
            assert!(machine::guarded::try_write(mapped.addr() as u64, 1u8).is_err());
            MmUnmapLockedPages(mapped.cast(), mdl);
            assert_eq!(MmProtectMdlSystemAddress(mdl, nt_abi::PAGE_READONLY), STATUS_NOT_MAPPED_VIEW);
            MmFreePagesFromMdl(mdl);
            assert!(kernel.mm.regions.find(mapped.addr()).is_none());
            IoFreeMdl(mdl);
        }
    });
}

#[test]
fn a_chain_on_an_irp() {
    with_kernel(Config::default(), |_, _| {
        let mut irp = IRP::default();
        // SAFETY: memory of the test.
        unsafe {
            let first = IoAllocateMdl(0x1000, 8, 0, 0, &raw mut irp);
            let second = IoAllocateMdl(0x2000, 8, 1, 0, &raw mut irp);
            assert_eq!((irp.MdlAddress, (*first).Next), (first, second));
            IoFreeMdl(first);
            IoFreeMdl(second);
        }
    });
}
