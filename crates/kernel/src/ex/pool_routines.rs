//! `ExAllocatePool…` and `ExFreePool…`.

use export_macro::export;
use machine::Irql;

use super::pool::{Allocation, FreeError, Kind, Tag};
use super::pool_fast::{FREED_WORD, Written};
use crate::{io, kernel, rule};

/// The tag of memory that was allocated without one.
const NO_TAG: Tag = Tag(u32::from_le_bytes(*b"None"));
/// BAD_POOL_CALLER.
const BAD_POOL_CALLER: u32 = 0xC2;
/// BAD_POOL_HEADER.
const BAD_POOL_HEADER: u32 = 0x19;
/// SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION.
const SPECIAL_POOL: u32 = 0xC1;
/// DRIVER_VERIFIER_DETECTED_VIOLATION.
const VERIFIER: u32 = 0xC4;

/// The bit of a pool type that tells paged from nonpaged.
const PAGED: u32 = 1;
/// POOL_RAISE_IF_ALLOCATION_FAILURE, in a pool type.
const TYPE_RAISE: u32 = 0x10;
/// POOL_ZERO_ALLOCATION, in a pool type.
const TYPE_ZERO: u32 = 0x400;

/// Flags of `ExAllocatePool2`.
const FLAG_UNINITIALIZED: u64 = 0x2;
const FLAG_RAISE: u64 = 0x20;
const FLAG_NON_PAGED: u64 = 0x40;
const FLAG_NON_PAGED_EXECUTE: u64 = 0x80;
const FLAG_PAGED: u64 = 0x100;

/// STATUS_INSUFFICIENT_RESOURCES, which a failed allocation raises where it was asked to.
const INSUFFICIENT_RESOURCES: u32 = 0xC000_009A;

/// A pool as bug checks write it down.
fn type_of(kind: Kind) -> u64 {
    u64::from(kind == Kind::Paged)
}

/// Stops where a pool is used at an IRQL that it is not there for. Special pool stands for Driver Verifier, which has
/// codes of its own for that (G.3, G.4).
fn check_irql(kind: Kind, without: u64, verifier: [u64; 2], last: u64) {
    let irql = machine::irql::current();
    let allowed = if kind == Kind::Paged { Irql::APC } else { Irql::DISPATCH };
    if irql <= allowed {
        return;
    }
    let (level, pool) = (u64::from(irql.level()), type_of(kind));
    if kernel().ex.pool.is_special() {
        let [paged, nonpaged] = verifier;
        let violation = if kind == Kind::Paged { paged } else { nonpaged };
        machine::bug_check(VERIFIER, violation, level, pool, last);
    }
    machine::bug_check(BAD_POOL_CALLER, without, level, pool, last)
}

fn allocate(kind: Kind, size: usize, tag: Tag, zero: bool, raise: bool) -> *mut u8 {
    check_irql(kind, 0x08, [0x01, 0x02], size as u64);
    let what = Allocation { size: size.max(1), tag, kind, owner: io::current_driver() };
    match super::allocate(what, zero) {
        Some(memory) => memory.as_ptr(),
        None if raise => crate::rtl::raise_status(INSUFFICIENT_RESOURCES),
        None => std::ptr::null_mut(),
    }
}

/// Frees pool memory, or stops: 0xC2, 0x19, and 0xC1 where the memory is special.
pub(super) fn free(address: usize, tag: Tag) {
    let pool = &kernel().ex.pool;
    let (at, freed_with) = (address as u64, u64::from(tag.0));
    if let Some(what) = pool.find(address) {
        check_irql(what.kind, 0x09, [0x11, 0x12], at);
        super::pool_contents::check(kernel(), address, &what);
    }
    let Some(error) = pool.free(address, tag).err() else { return };
    match error {
        FreeError::Double => machine::bug_check(BAD_POOL_CALLER, 0x07, 0, freed_with, at),
        FreeError::Unknown if pool.is_special() => machine::bug_check(SPECIAL_POOL, at, 0, 0, 0x20),
        FreeError::Unknown => machine::bug_check(BAD_POOL_CALLER, 0x46, at, 0, 0),
        FreeError::WrongTag(real) => machine::bug_check(BAD_POOL_CALLER, 0x0A, at, real.0.into(), freed_with),
        FreeError::Overrun { at: damage, .. } if pool.is_special() => {
            machine::bug_check(SPECIAL_POOL, at, damage as u64, 0, 0x24)
        }
        FreeError::Underrun { at: damage } => machine::bug_check(SPECIAL_POOL, at, damage as u64, 0, 0x23),
        FreeError::Overrun { tag, .. } => machine::bug_check(BAD_POOL_HEADER, 0x20, at, at, tag.0.into()),
    }
}

/// Stops because a driver wrote to pool memory that it had freed (0x19: P1 3, P2 the memory, P3 what stands there, P4
/// what should). Source: bug-check-0x19, whose P3 and P4 are the links of a free list; here they are what was written
/// over, and the pattern.
pub(super) fn freed_memory_is_damaged(written: Written) -> ! {
    machine::bug_check(BAD_POOL_HEADER, 0x3, written.at as u64, written.found, FREED_WORD)
}

/// Reports an allocation that nobody could find again: no bytes, no tag, no letter in the tag (G.3, G.4).
fn check_request(kind: Kind, size: usize, tag: Tag) {
    let (pool, bytes, code) = (type_of(kind), size as u64, u64::from(tag.0));
    let (message, check) = if size == 0 {
        let irql = machine::irql::current().level();
        (
            "no bytes of pool memory were asked for; ask for what is used",
            (VERIFIER, [0, irql.into(), pool, 0]),
        )
    } else if tag.0 == 0 {
        let caller = machine::seh::walk::call_site().unwrap_or_default();
        let check = (BAD_POOL_CALLER, [0x9B, pool, bytes, caller]);
        (
            "pool memory was asked for with tag 0; give it a tag of four letters, by which leaks are found",
            check,
        )
    } else if !tag.0.to_le_bytes().iter().any(u8::is_ascii_alphanumeric) {
        let caller = machine::seh::walk::call_site().unwrap_or_default();
        let check = (BAD_POOL_CALLER, [0x9D, code, pool, caller]);
        (
            "pool memory was asked for with a tag without letters or digits, which no tool shows; use four letters",
            check,
        )
    } else {
        return;
    };
    kernel().finding(&rule::POOL_01, message, Some(check));
}

fn of_type(pool: u32, size: usize, tag: Tag) -> *mut u8 {
    let kind = if pool & PAGED != 0 { Kind::Paged } else { Kind::NonPaged };
    check_request(kind, size, tag);
    allocate(kind, size, tag, pool & TYPE_ZERO != 0, pool & TYPE_RAISE != 0)
}

/// Allocates pool memory of a type, without a tag. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExAllocatePool(pool: u32, size: usize) -> *mut u8 {
    of_type(pool, size, NO_TAG)
}

/// Allocates pool memory of a type, with a tag. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExAllocatePoolWithTag(pool: u32, size: usize, tag: u32) -> *mut u8 {
    of_type(pool, size, Tag(tag))
}

/// Allocates pool memory of a type, with a tag, charged to the current process; raises on failure unless told not to.
/// Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExAllocatePoolWithQuotaTag(pool: u32, size: usize, tag: u32) -> *mut u8 {
    /// POOL_QUOTA_FAIL_INSTEAD_OF_RAISE.
    const FAIL_INSTEAD: u32 = 8;
    let raise = if pool & FAIL_INSTEAD == 0 { TYPE_RAISE } else { 0 };
    of_type(pool & !FAIL_INSTEAD | raise, size, Tag(tag))
}

/// Allocates pool memory of a type, with a tag and a priority. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExAllocatePoolWithTagPriority(
    pool: u32,
    size: usize,
    tag: u32,
    _priority: u32,
) -> *mut u8 {
    of_type(pool, size, Tag(tag))
}

/// Allocates pool memory as flags ask, zeroed unless told not to. Source: DDI.
#[export(irql <= DISPATCH, since = Win10_2004)]
pub unsafe extern "win64" fn ExAllocatePool2(flags: u64, size: usize, tag: u32) -> *mut u8 {
    let pools = flags & (FLAG_NON_PAGED | FLAG_NON_PAGED_EXECUTE | FLAG_PAGED);
    let raise = flags & FLAG_RAISE != 0;
    // Exactly one pool, some memory and a tag: anything else is an invalid call, which fails.
    if !pools.is_power_of_two() || size == 0 || tag == 0 {
        return if raise { crate::rtl::raise_status(0xC000_000D) } else { std::ptr::null_mut() };
    }
    let kind = if pools == FLAG_PAGED { Kind::Paged } else { Kind::NonPaged };
    allocate(kind, size, Tag(tag), flags & FLAG_UNINITIALIZED == 0, raise)
}

/// Allocates pool memory as flags and extended parameters ask. Source: DDI.
#[export(irql <= DISPATCH, since = Win10_2004)]
pub unsafe extern "win64" fn ExAllocatePool3(
    flags: u64,
    size: usize,
    tag: u32,
    _parameters: *const u8,
    _count: u32,
) -> *mut u8 {
    // SAFETY: as this routine; secure pool and priorities do not exist here.
    unsafe { ExAllocatePool2(flags, size, tag) }
}

/// Frees pool memory. Source: DDI; G.3, 0xC2.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExFreePool(memory: usize) {
    free(memory, Tag(0));
}

/// Frees pool memory whose tag must match, unless the tag is 0. Source: DDI; G.3, 0xC2.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExFreePoolWithTag(memory: usize, tag: u32) {
    free(memory, Tag(tag));
}

/// Frees pool memory, with extended parameters that say nothing here. Source: DDI.
#[export(irql <= DISPATCH, since = Win10_2004)]
pub unsafe extern "win64" fn ExFreePool2(memory: usize, tag: u32, _parameters: *const u8, _count: u32) {
    free(memory, Tag(tag));
}
