//! Sequenced singly linked lists, and the lookaside lists that are made of them.
//!
//! A list's head is 16 bytes of the driver's, changed by one compare-and-exchange: the low half has the depth (16 bits)
//! and a sequence number, the high half the address of the first entry.

use std::sync::atomic::{AtomicU64, Ordering};

use export_macro::export;
use nt_abi::{
    GENERAL_LOOKASIDE_POOL, LOOKASIDE_LIST_EX, NPAGED_LOOKASIDE_LIST, NTSTATUS, PAGED_LOOKASIDE_LIST, PVOID,
    SLIST_ENTRY, SLIST_HEADER, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

use super::pool_routines::{ExAllocatePoolWithTag, ExFreePool};
use crate::ke::apc::as_owner_of;

/// The entry's address in the high half of a head; the 4 low bits are the kernel's own.
const ADDRESS: u64 = !0xF;
/// Added to the low half by each change: a depth of one, and one of the sequence.
const SEQUENCE: u64 = 1 << 16;
const DEPTH: u64 = 0xFFFF;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    low: u64,
    high: u64,
}

impl Head {
    fn first(self) -> *mut SLIST_ENTRY {
        std::ptr::with_exposed_provenance_mut(usize::try_from(self.high & ADDRESS).unwrap_or(0))
    }

    /// The head after a change: another first entry, another depth, the next sequence number.
    fn next(self, first: *mut SLIST_ENTRY, depth: u64) -> Self {
        Self {
            low: (self.low & !DEPTH).wrapping_add(SEQUENCE) | depth & DEPTH,
            high: first.expose_provenance() as u64 | self.high & !ADDRESS,
        }
    }
}

/// Reads a head. The halves may be of different moments; then the exchange fails.
///
/// # Safety
/// `list` is a head.
unsafe fn read(list: *mut SLIST_HEADER) -> Head {
    // SAFETY: by this function's contract.
    unsafe {
        let low = AtomicU64::from_ptr(&raw mut (*list).Alignment).load(Ordering::Acquire);
        Head { low, high: AtomicU64::from_ptr(&raw mut (*list).Region).load(Ordering::Acquire) }
    }
}

/// Changes a head from `old` to `new`, unless it has been changed.
///
/// # Safety
/// `list` is a head, aligned to 16.
unsafe fn exchange(list: *mut SLIST_HEADER, old: Head, new: Head) -> bool {
    let exchanged: u8;
    // SAFETY: by this function's contract the 16 bytes can be written; every x64 processor that Windows 8.1 or later
    // runs on has the instruction. rbx is the compiler's own, so it is put back.
    unsafe {
        std::arch::asm!(
            "xchg rsi, rbx",
            "lock cmpxchg16b [rdi]",
            "mov rbx, rsi",
            "sete {exchanged}",
            inout("rsi") new.low => _,
            in("rdi") list,
            exchanged = out(reg_byte) exchanged,
            inout("rax") old.low => _,
            inout("rdx") old.high => _,
            in("rcx") new.high,
            options(nostack),
        );
    }
    exchanged != 0
}

/// Takes the first entry; null when there is none.
///
/// # Safety
/// `list` is a head.
unsafe fn pop(list: *mut SLIST_HEADER) -> *mut SLIST_ENTRY {
    loop {
        // SAFETY: by this function's contract.
        let old = unsafe { read(list) };
        let first = old.first();
        if first.is_null() {
            return first;
        }
        // Another processor may have taken and freed it: then the exchange fails, whatever is read.
        let next = machine::guarded::try_read::<usize>(first.addr() as u64);
        let new = old.next(
            std::ptr::with_exposed_provenance_mut(next.unwrap_or(0)),
            (old.low & DEPTH).wrapping_sub(1),
        );
        // SAFETY: by this function's contract.
        if unsafe { exchange(list, old, new) } {
            if next.is_err() {
                // Its driver has freed it while it was in the list: this faults as it would on Windows.
                // SAFETY: the fault is the driver's, and is told as such.
                unsafe { (&raw const (*first).Next).read_volatile() };
            }
            return first;
        }
    }
}

/// Puts an entry first, and answers what was first.
///
/// # Safety
/// `list` is a head, and `entry` the driver's.
unsafe fn push(list: *mut SLIST_HEADER, entry: *mut SLIST_ENTRY) -> *mut SLIST_ENTRY {
    loop {
        // SAFETY: by this function's contract.
        unsafe {
            let old = read(list);
            (&raw mut (*entry).Next).write_volatile(old.first());
            if exchange(list, old, old.next(entry, (old.low & DEPTH) + 1)) {
                return old.first();
            }
        }
    }
}

/// Takes all entries, and answers the first.
///
/// # Safety
/// `list` is a head.
unsafe fn flush(list: *mut SLIST_HEADER) -> *mut SLIST_ENTRY {
    loop {
        // SAFETY: by this function's contract.
        unsafe {
            let old = read(list);
            if old.first().is_null() || exchange(list, old, old.next(std::ptr::null_mut(), 0)) {
                return old.first();
            }
        }
    }
}

/// Makes an empty list. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn InitializeSListHead(list: *mut SLIST_HEADER) {
    // SAFETY: the driver's head.
    unsafe { list.write(SLIST_HEADER::default()) };
}

/// Makes an empty list, as InitializeSListHead does. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn ExInitializeSListHead(list: *mut SLIST_HEADER) {
    // SAFETY: the driver's head.
    unsafe { InitializeSListHead(list) };
}

/// Takes the first entry of a list and returns it. Source: DDI, ExInterlockedPopEntrySList.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExpInterlockedPopEntrySList(list: *mut SLIST_HEADER) -> *mut SLIST_ENTRY {
    // SAFETY: the driver's head.
    unsafe { pop(list) }
}

/// Puts an entry first in a list and returns what was first. Source: DDI, ExInterlockedPushEntrySList.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExpInterlockedPushEntrySList(
    list: *mut SLIST_HEADER,
    entry: *mut SLIST_ENTRY,
) -> *mut SLIST_ENTRY {
    // SAFETY: the driver's head and entry.
    unsafe { push(list, entry) }
}

/// Takes all entries of a list and returns the first. Source: DDI, ExInterlockedFlushSList.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExpInterlockedFlushSList(list: *mut SLIST_HEADER) -> *mut SLIST_ENTRY {
    // SAFETY: the driver's head.
    unsafe { flush(list) }
}

/// Returns how many entries a list has. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExQueryDepthSList(list: *mut SLIST_HEADER) -> u16 {
    // SAFETY: the driver's head.
    u16::try_from(unsafe { read(list) }.low & DEPTH).unwrap_or(0)
}

/// How many entries a lookaside list keeps at first: what NT starts with.
const FIRST_DEPTH: u16 = 4;
/// How many it may keep.
const MAXIMUM_DEPTH: u16 = 256;
/// POOL_RAISE_IF_ALLOCATION_FAILURE.
const RAISE: u32 = 0x10;

/// What a list is made of.
struct Parameters {
    allocate: usize,
    free: usize,
    pool: u32,
    size: usize,
    tag: u32,
}

/// Fills in a lookaside list, with the pool's routines for those that the driver does not bring.
///
/// # Safety
/// `list` is a driver's lookaside list.
unsafe fn initialize(list: *mut GENERAL_LOOKASIDE_POOL, parameters: &Parameters) {
    let or = |routine: usize, default: *const ()| match routine {
        0 => default.cast_mut().cast(),
        _ => std::ptr::with_exposed_provenance_mut(routine),
    };
    // SAFETY: by this function's contract.
    unsafe {
        list.write(GENERAL_LOOKASIDE_POOL {
            Depth: FIRST_DEPTH,
            MaximumDepth: MAXIMUM_DEPTH,
            Type: parameters.pool,
            Tag: parameters.tag,
            Size: u32::try_from(parameters.size.max(size_of::<usize>())).unwrap_or(u32::MAX),
            Allocate: or(parameters.allocate, ExAllocatePoolWithTag as *const ()),
            Free: or(parameters.free, ExFreePool as *const ()),
            ..GENERAL_LOOKASIDE_POOL::default()
        });
        let entry = &raw mut (*list).ListEntry;
        (*entry).Flink = entry;
        (*entry).Blink = entry;
    }
}

/// Frees what a lookaside list keeps.
///
/// # Safety
/// `list` is an initialized lookaside list.
unsafe fn delete(list: *mut GENERAL_LOOKASIDE_POOL) {
    // SAFETY: by this function's contract.
    let (mut entry, free) = unsafe { (flush(&raw mut (*list).ListHead), (*list).Free.expose_provenance()) };
    while !entry.is_null() {
        // SAFETY: it was in the list, so it is the list's memory.
        let next = unsafe { (*entry).Next };
        if free == (ExFreePool as *const ()).addr() {
            // SAFETY: the pool's memory.
            unsafe { ExFreePool(entry.expose_provenance()) };
        } else {
            as_owner_of(free, || {
                // SAFETY: the driver's routine; the older kind ignores the second argument.
                unsafe {
                    machine::call2(free, entry.expose_provenance() as u64, list.expose_provenance() as u64)
                }
            });
        }
        entry = next;
    }
}

/// Makes a lookaside list of nonpaged memory. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExInitializeNPagedLookasideList(
    list: *mut NPAGED_LOOKASIDE_LIST,
    allocate: usize,
    free: usize,
    flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) {
    /// POOL_NX_ALLOCATION, which is 512 as a pool type too.
    const NX: u32 = 512;
    // SAFETY: the driver's list.
    unsafe { initialize(list.cast(), &Parameters { allocate, free, pool: flags & (NX | RAISE), size, tag }) };
}

/// Makes a lookaside list of paged memory. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ExInitializePagedLookasideList(
    list: *mut PAGED_LOOKASIDE_LIST,
    allocate: usize,
    free: usize,
    flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) {
    /// PagedPool.
    const PAGED: u32 = 1;
    // SAFETY: the driver's list.
    unsafe {
        initialize(list.cast(), &Parameters { allocate, free, pool: PAGED | flags & RAISE, size, tag })
    };
}

/// Frees what a lookaside list of nonpaged memory keeps. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExDeleteNPagedLookasideList(list: *mut NPAGED_LOOKASIDE_LIST) {
    // SAFETY: the driver's list.
    unsafe { delete(list.cast()) };
}

/// Frees what a lookaside list of paged memory keeps. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ExDeletePagedLookasideList(list: *mut PAGED_LOOKASIDE_LIST) {
    // SAFETY: the driver's list.
    unsafe { delete(list.cast()) };
}

/// Makes a lookaside list of either kind, whose routines get the list. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn ExInitializeLookasideListEx(
    list: *mut LOOKASIDE_LIST_EX,
    allocate: usize,
    free: usize,
    pool: u32,
    flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) -> NTSTATUS {
    /// EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL and …_FAIL_NO_RAISE, which exclude each other.
    const FLAGS: u32 = 3;
    if flags >= FLAGS || size == 0 {
        return STATUS_INVALID_PARAMETER;
    }
    let raise = if flags & 1 != 0 { RAISE } else { 0 };
    // SAFETY: the driver's list.
    unsafe { initialize(list.cast(), &Parameters { allocate, free, pool: pool | raise, size, tag }) };
    STATUS_SUCCESS
}

/// Frees what a lookaside list keeps. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn ExDeleteLookasideListEx(list: *mut LOOKASIDE_LIST_EX) {
    // SAFETY: the driver's list.
    unsafe { delete(list.cast()) };
}

/// Frees what a lookaside list keeps, without giving it up. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn ExFlushLookasideListEx(list: *mut LOOKASIDE_LIST_EX) {
    // SAFETY: the driver's list.
    unsafe { delete(list.cast()) };
}

/// Takes an entry from a lookaside list or allocates one. Source: DDI; inline in the headers, exported under this name.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn ExAllocateFromLookasideListEx(list: *mut LOOKASIDE_LIST_EX) -> PVOID {
    // SAFETY: the driver's list.
    unsafe {
        let general = &raw mut (*list).L;
        (*general).TotalAllocates = (*general).TotalAllocates.wrapping_add(1);
        let entry = pop(&raw mut (*general).ListHead);
        if !entry.is_null() {
            return entry.cast();
        }
        (*general).AllocateMisses = (*general).AllocateMisses.wrapping_add(1);
        let (allocate, pool, size, tag) =
            ((*general).Allocate.expose_provenance(), (*general).Type, (*general).Size, (*general).Tag);
        if allocate == (ExAllocatePoolWithTag as *const ()).addr() {
            return ExAllocatePoolWithTag(pool, size as usize, tag).cast();
        }
        let list = list.expose_provenance() as u64;
        let memory =
            as_owner_of(allocate, || machine::call4(allocate, pool.into(), size.into(), tag.into(), list));
        std::ptr::with_exposed_provenance_mut(usize::try_from(memory).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicPtr, AtomicUsize};

    use super::*;
    use crate::Config;
    use crate::testing::{on_another_processor, with_kernel};

    #[test]
    fn a_list_is_last_in_first_out_and_knows_its_depth() {
        with_kernel(Config::default(), |_, _| {
            let list = Box::leak(Box::<SLIST_HEADER>::default());
            let entries: &'static mut [SLIST_ENTRY; 3] = Box::leak(Box::default());
            let at = entries.as_mut_ptr();
            // SAFETY: memory of the test.
            unsafe {
                InitializeSListHead(list);
                assert!(ExpInterlockedPopEntrySList(list).is_null());
                assert!(ExpInterlockedPushEntrySList(list, at).is_null());
                assert_eq!(ExpInterlockedPushEntrySList(list, at.add(1)), at);
                ExpInterlockedPushEntrySList(list, at.add(2));
                assert_eq!((ExQueryDepthSList(list), ExpInterlockedPopEntrySList(list)), (3, at.add(2)));
                assert_eq!((ExpInterlockedFlushSList(list), ExQueryDepthSList(list)), (at.add(1), 0));
                assert!(ExpInterlockedFlushSList(list).is_null());
            }
        });
    }

    #[test]
    fn processors_take_and_put_back_without_losing_entries() {
        static LIST: AtomicPtr<SLIST_HEADER> = AtomicPtr::new(std::ptr::null_mut());
        static TAKEN: AtomicUsize = AtomicUsize::new(0);
        fn work() {
            for _ in 0..5000 {
                // SAFETY: memory of the test.
                unsafe {
                    let entry = ExpInterlockedPopEntrySList(LIST.load(Ordering::Relaxed));
                    if !entry.is_null() {
                        TAKEN.fetch_add(1, Ordering::Relaxed);
                        ExpInterlockedPushEntrySList(LIST.load(Ordering::Relaxed), entry);
                    }
                }
            }
        }
        with_kernel(Config::default(), |kernel, _| {
            LIST.store(Box::leak(Box::default()), Ordering::SeqCst);
            let entries: &'static mut [SLIST_ENTRY; 8] = Box::leak(Box::default());
            for entry in entries {
                // SAFETY: memory of the test.
                unsafe { ExpInterlockedPushEntrySList(LIST.load(Ordering::Relaxed), entry) };
            }
            let others: Vec<_> = (0..3).map(|_| on_another_processor(kernel, work)).collect();
            work();
            others.into_iter().for_each(|other| other.join().unwrap());
            // SAFETY: as above.
            assert_eq!(unsafe { ExQueryDepthSList(LIST.load(Ordering::Relaxed)) }, 8);
            assert!(TAKEN.load(Ordering::Relaxed) > 0);
        });
    }

    #[test]
    fn a_lookaside_list_keeps_what_is_freed_and_frees_it_when_deleted() {
        with_kernel(Config::default(), |kernel, _| {
            let list: *mut LOOKASIDE_LIST_EX = Box::leak(Box::default());
            // SAFETY: memory of the test.
            unsafe {
                assert_eq!(
                    ExInitializeLookasideListEx(list, 0, 0, 512, 3, 64, 1, 0),
                    STATUS_INVALID_PARAMETER
                );
                let tag = u32::from_le_bytes(*b"Look");
                assert_eq!(ExInitializeLookasideListEx(list, 0, 0, 512, 0, 64, tag, 0), STATUS_SUCCESS);
                let first = ExAllocateFromLookasideListEx(list);
                assert!(kernel.ex.pool.find(first.addr()).is_some());
                // What the inline half in the headers does.
                ExpInterlockedPushEntrySList(&raw mut (*list).L.ListHead, first.cast());
                assert_eq!(ExAllocateFromLookasideListEx(list), first);
                ExpInterlockedPushEntrySList(&raw mut (*list).L.ListHead, first.cast());
                ExDeleteLookasideListEx(list);
                assert!(kernel.ex.pool.find(first.addr()).is_none());
            }
        });
    }
}
