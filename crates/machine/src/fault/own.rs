//! Which code is our own: the executable and the libraries that it is linked with.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

const MAX_RANGES: usize = 64;

// Filled once, before the first handler is installed; read without locks afterwards.
static STARTS: [AtomicUsize; MAX_RANGES] = [const { AtomicUsize::new(0) }; MAX_RANGES];
static ENDS: [AtomicUsize; MAX_RANGES] = [const { AtomicUsize::new(0) }; MAX_RANGES];
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Notes the executable segments of everything that the dynamic linker has loaded.
pub(super) fn collect() {
    COUNT.store(0, Ordering::SeqCst);
    // SAFETY: the callback matches the C type and needs no data.
    unsafe { libc::dl_iterate_phdr(Some(note), std::ptr::null_mut()) };
}

unsafe extern "C" fn note(info: *mut libc::dl_phdr_info, _size: usize, _data: *mut c_void) -> libc::c_int {
    // SAFETY: the linker passes a valid structure whose headers stay mapped with the object.
    let (base, headers) = unsafe {
        let info = &*info;
        if info.dlpi_phdr.is_null() {
            return 0;
        }
        (info.dlpi_addr as usize, std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)))
    };
    for header in
        headers.iter().filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0)
    {
        let index = COUNT.load(Ordering::SeqCst);
        if index < MAX_RANGES {
            let start = base.wrapping_add(header.p_vaddr as usize);
            STARTS[index].store(start, Ordering::SeqCst);
            ENDS[index].store(start.wrapping_add(header.p_memsz as usize), Ordering::SeqCst);
            COUNT.store(index + 1, Ordering::SeqCst);
        }
    }
    0
}

/// Whether an instruction is our own. Safe in a signal handler.
pub(super) fn is_own(address: usize) -> bool {
    let count = COUNT.load(Ordering::Relaxed).min(MAX_RANGES);
    (0..count).any(|index| {
        (STARTS[index].load(Ordering::Relaxed)..ENDS[index].load(Ordering::Relaxed)).contains(&address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_functions_are_our_own_and_the_heap_is_not() {
        collect();
        assert!(is_own(is_own as *const () as usize));
        assert!(is_own(libc::getpid as *const () as usize));
        let heap = Box::new(0u8);
        assert!(!is_own((&raw const *heap).addr()));
    }
}
