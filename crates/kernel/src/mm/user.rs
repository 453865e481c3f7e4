//! The memory of processes, as far as drivers look into it.
//!
//! A process that a driver is told of lives elsewhere: on a live bench it is a traced process, held still. What a driver
//! reads of it in the context of that process is fetched a page at a time when it is touched, put where it would be, and
//! taken away when the routine's context ends, as the process goes on and changes it.
//!
//! Pages are for reading; a write is an access violation. They lie in the host's own address space: where the host has
//! something at the same address, drivers see that.

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

use event::ProcessId;
use machine::pcr::PAGE_SIZE;
use machine::supervisor::Access;

use crate::kernel;
use crate::ps::thread::current;

thread_local! {
    /// The pages that this processor has put into user space.
    static PLACED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    /// Whether nothing is there of what drivers touch, as another thread of the process may have unmapped it (L-07).
    static GONE: Cell<bool> = const { Cell::new(false) };
}

/// The most pages that one context looks at: a driver that reads more reads a whole program, for which the host
/// has no room.
const MOST: usize = 4096;

/// A page fault in user space: fetches the page. `true` when it is there now.
pub(crate) fn fault(address: u64, access: Access) -> bool {
    if GONE.get() || access != Access::Read || machine::irql::current() >= machine::Irql::DISPATCH {
        return false;
    }
    let has_room = PLACED.with(|placed| placed.try_borrow_mut().is_ok_and(|placed| placed.len() < MOST));
    let mut bytes = [0; PAGE_SIZE];
    let Some(page) = has_room.then(|| fetch(address, &mut bytes)).flatten() else { return false };
    if !machine::platform().place_page(page, &bytes) {
        return false;
    }
    PLACED.with(|placed| placed.borrow_mut().push(page));
    true
}

/// Fetches the page of the current process that an address lies in: where it begins. `None` where there is none.
fn fetch(address: u64, bytes: &mut [u8; PAGE_SIZE]) -> Option<usize> {
    let process = current()?.current_process().id;
    let page = usize::try_from(address & !(PAGE_SIZE as u64 - 1)).ok()?;
    let has_pages = page != 0 && process != ProcessId::SYSTEM && process != ProcessId::IDLE;
    (has_pages && kernel().recorder.user_page(process, page as u64, bytes)).then_some(page)
}

/// Whether the current process has memory at an address, or had it before its pages went away.
pub(crate) fn is_there(address: u64) -> bool {
    fetch(address, &mut [0; PAGE_SIZE]).is_some()
}

/// Tells drivers of something; `gone`: while no page of a process can be touched.
pub(crate) fn while_gone<T>(gone: bool, tell: impl FnOnce() -> T) -> T {
    let before = GONE.replace(gone);
    let told = tell();
    GONE.set(before);
    told
}

/// Takes the pages away that this processor has put into user space: the context ends, or changes.
pub(crate) fn forget() {
    PLACED.with(|placed| {
        for page in placed.borrow_mut().drain(..) {
            let start = NonNull::new(std::ptr::with_exposed_provenance_mut(page));
            // SAFETY: this processor placed it, and what ran in the context has returned.
            let gone = start.map(|start| unsafe { machine::platform().unmap_pages(start, PAGE_SIZE) });
            debug_assert!(matches!(gone, Some(Ok(()))), "a page that was placed can be taken away");
        }
    });
}
