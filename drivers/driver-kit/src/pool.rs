//! The non-paged, non-executable pool as Rust's heap.

use core::alloc::{GlobalAlloc, Layout};

use crate::nt;

struct Pool;

#[global_allocator]
static POOL: Pool = Pool;

/// `NonPagedPoolNx`: usable at any IRQL up to DISPATCH_LEVEL, never executable.
const NON_PAGED_POOL_NX: u32 = 512;
/// `Rkit`, as pool tools show it.
const TAG: u32 = u32::from_le_bytes(*b"Rkit");
/// What the pool aligns to below a page, on x64.
const ALIGNMENT: usize = 16;

// SAFETY: the pool gives distinct blocks of at least the size asked for, 16-byte aligned; a layout
// that wants more is refused with null, as GlobalAlloc allows.
unsafe impl GlobalAlloc for Pool {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGNMENT {
            return core::ptr::null_mut();
        }
        // ExAllocatePool2 would be newer, but Windows 10 before 2004 has not got it.
        // SAFETY: the size is not zero (GlobalAlloc's contract); the caller keeps IRQL ≤ DISPATCH.
        unsafe { nt::ExAllocatePoolWithTag(NON_PAGED_POOL_NX, layout.size(), TAG).cast() }
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: `block` came from `alloc` with this tag and is freed once (GlobalAlloc's contract).
        unsafe { nt::ExFreePoolWithTag(block.cast(), TAG) }
    }
}
