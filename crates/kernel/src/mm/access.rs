//! Reaching memory with care, and keeping it as it is.

use export_macro::export;
use nt_abi::{
    MM_COPY_ADDRESS, MM_COPY_MEMORY_PHYSICAL, MM_COPY_MEMORY_VIRTUAL, NTSTATUS, PVOID,
    STATUS_INVALID_ADDRESS, STATUS_INVALID_PARAMETER, STATUS_PARTIAL_COPY, STATUS_SUCCESS,
};

use super::physical::is_readable;
use crate::ps::process::Eprocess;

/// Says whether an address can be read without a fault. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn MmIsAddressValid(address: u64) -> u8 {
    u8::from(is_readable(address))
}

/// Says whether nonpaged memory is there. Source: public headers.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn MmIsNonPagedSystemAddressValid(address: u64) -> u8 {
    u8::from(is_readable(address))
}

/// Copies as much as is there; answers how much.
///
/// # Safety
/// `to` may be written where it is accessible.
unsafe fn copy(to: u64, from: u64, count: usize) -> usize {
    let mut buffer = [0u8; 4096];
    let mut done = 0;
    while done < count {
        let part = (count - done).min(buffer.len());
        let read = machine::guarded::read_prefix(from.wrapping_add(done as u64), &mut buffer[..part]);
        let target = usize::try_from(to).unwrap_or(0).wrapping_add(done);
        let target = std::ptr::with_exposed_provenance_mut(target);
        // SAFETY: by this function's contract; a fault is an error.
        if unsafe { machine::guarded::try_copy(target, buffer.as_ptr(), read) }.is_err() {
            break;
        }
        done += read;
        if read < part {
            break;
        }
    }
    done
}

/// Copies memory that may not be there, by a virtual or a physical address. Source: DDI.
#[export(irql <= APC, since = Win81)]
pub unsafe extern "win64" fn MmCopyMemory(
    target: u64,
    source: MM_COPY_ADDRESS,
    count: usize,
    flags: u32,
    transferred: *mut usize,
) -> NTSTATUS {
    if flags != MM_COPY_MEMORY_PHYSICAL && flags != MM_COPY_MEMORY_VIRTUAL || target == 0 {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: both members are 64 bits. Physical addresses are virtual ones here.
    let source = unsafe { source.PhysicalAddress }.cast_unsigned();
    // SAFETY: the driver's memory.
    unsafe {
        let done = copy(target, source, count);
        transferred.write_unaligned(done);
        if done == count { STATUS_SUCCESS } else { STATUS_INVALID_ADDRESS }
    }
}

/// Copies memory between processes. Source: public symbol lists.
///
/// The memory of the System process and of the current one is there; that of others is not, so nothing is copied.
#[export(irql <= APC)]
pub unsafe extern "win64" fn MmCopyVirtualMemory(
    from_process: &Eprocess,
    from: u64,
    to_process: &Eprocess,
    to: u64,
    count: usize,
    _mode: u8,
    transferred: *mut usize,
) -> NTSTATUS {
    let there = [from_process, to_process].into_iter().all(has_memory);
    // SAFETY: the driver's memory.
    unsafe {
        let done = if there { copy(to, from, count) } else { 0 };
        transferred.write_unaligned(done);
        if done == count { STATUS_SUCCESS } else { STATUS_PARTIAL_COPY }
    }
}

/// Whether the memory of a process can be reached: that of the System process, and of the current one.
pub(crate) fn has_memory(process: &Eprocess) -> bool {
    let current = crate::ps::thread::current().map(|thread| std::ptr::from_ref(thread.current_process()));
    process.id == event::ProcessId::SYSTEM || current.is_some_and(|current| std::ptr::eq(current, process))
}

/// Keeps user memory from being freed or protected; returns a handle, null where it is not there. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn MmSecureVirtualMemory(address: u64, size: usize, _mode: u32) -> PVOID {
    if let Some(thread) = crate::ps::thread::current() {
        crate::ps::user_memory(thread.current_process(), "MmSecureVirtualMemory");
    }
    let there = size != 0 && super::probe::is_user(address, size as u64) && {
        let last = address + (size as u64 - 1);
        is_readable(address) && is_readable(last)
    };
    if there {
        std::ptr::without_provenance_mut(usize::try_from(address | 1).unwrap_or(0))
    } else {
        std::ptr::null_mut()
    }
}

/// Undoes `MmSecureVirtualMemory`. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn MmUnsecureVirtualMemory(_handle: PVOID) {}

/// Keeps the section of an image resident, as all of it is; returns a handle. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn MmLockPagableDataSection(address: usize) -> PVOID {
    let base = machine::images::find(address).map_or(address, |image| image.base);
    std::ptr::with_exposed_provenance_mut(base)
}

/// Keeps a section resident by its handle, as it is. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn MmLockPagableSectionByHandle(_handle: PVOID) {}

/// Lets a section be paged out, which never happens. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn MmUnlockPagableImageSection(_handle: PVOID) {}

/// Lets a whole driver be paged, which never happens; returns its base. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn MmPageEntireDriver(address: usize) -> PVOID {
    // SAFETY: as this routine.
    unsafe { MmLockPagableDataSection(address) }
}

/// Undoes `MmPageEntireDriver`. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn MmResetDriverPaging(_address: PVOID) {}

/// Says how much memory the system has: 2 is a large one. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn MmQuerySystemSize() -> u32 {
    2
}

/// Says whether this is a server: no. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn MmIsThisAnNtAsSystem() -> u8 {
    0
}

/// Says whether drivers are being verified: 0 is no. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn MmIsDriverVerifying(_driver: PVOID) -> u32 {
    0
}

/// Says whether the image at an address is one that verification covers: no. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn MmIsDriverVerifyingByAddress(_address: PVOID) -> u32 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::mm::pages::Use;
    use crate::testing::with_kernel;

    #[test]
    fn copies_stop_where_memory_does() {
        with_kernel(Config::default(), |kernel, _| {
            let regions = &kernel.mm.regions;
            let start = regions.map(8192, Use::Contiguous).unwrap().as_ptr().addr();
            assert!(regions.protect(start + 4096, 4096, nt_abi::PAGE_NOACCESS));
            let mut buffer = [1u8; 64];
            let (to, mut done) = (buffer.as_mut_ptr().expose_provenance() as u64, 0);
            let from = |address: usize| MM_COPY_ADDRESS { PhysicalAddress: i64::try_from(address).unwrap() };
            // SAFETY: memory of the test.
            unsafe {
                assert_eq!(MmCopyMemory(to, from(start), 64, 2, &raw mut done), STATUS_SUCCESS);
                assert_eq!((done, buffer), (64, [0; 64]));
                assert_eq!(MmCopyMemory(to, from(start + 4090), 64, 1, &raw mut done).as_u32(), 0xC000_0141);
                assert_eq!(done, 6);
                assert_eq!(MmCopyMemory(to, from(start), 64, 3, &raw mut done), STATUS_INVALID_PARAMETER);
                let system = &*kernel.ps.system.0;
                let status =
                    MmCopyVirtualMemory(system, start as u64 + 4000, system, to, 64, 0, &raw mut done);
                assert_eq!((status, done), (STATUS_SUCCESS, 64));
                assert_eq!((MmIsAddressValid(start as u64), MmIsAddressValid(start as u64 + 4096)), (1, 0));
                assert_eq!((MmIsAddressValid(0), MmIsAddressValid(u64::MAX)), (0, 0));
                assert!(!MmSecureVirtualMemory(start as u64, 4096, 4).is_null());
                assert!(MmSecureVirtualMemory(start as u64, 8192, 4).is_null());
            }
            regions.unmap(start, Use::Contiguous);
        });
    }
}
