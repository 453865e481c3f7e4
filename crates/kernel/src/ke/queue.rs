//! Queues that threads take work from: `KQUEUE`.
//!
//! The header counts the entries, as NT's does, so a queue is waited for as a semaphore is. How many threads may be
//! active at a time is kept, and not enforced: every thread here has a processor of its own.

use export_macro::export;
use nt_abi::{KQUEUE, LIST_ENTRY, QueueObject, STATUS_ABANDONED, STATUS_SUCCESS};

use super::dispatcher;
use super::wait::{How, Until, wait};
use crate::kernel;

/// Makes a queue, for at most that many active threads; 0 is one for each processor. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn KeInitializeQueue(queue: *mut KQUEUE, count: u32) {
    // SAFETY: the driver's memory for a queue.
    unsafe {
        dispatcher::initialize(queue.cast(), QueueObject, size_of::<KQUEUE>(), 0);
        for head in [&raw mut (*queue).EntryListHead, &raw mut (*queue).ThreadListHead] {
            head.write(LIST_ENTRY { Flink: head, Blink: head });
        }
        (*queue).CurrentCount = 0;
        let processors = if count == 0 {
            super::processor::KeQueryActiveProcessorCount(std::ptr::null_mut())
        } else {
            count
        };
        (*queue).MaximumCount = processors;
    }
}

/// Puts an entry into a queue, and answers how many there were.
///
/// # Safety
/// A queue of a driver, and an entry that is in no list.
unsafe fn insert(queue: *mut KQUEUE, entry: *mut LIST_ENTRY, first: bool) -> i32 {
    let object = queue.expose_provenance();
    // SAFETY: by this function's contract; both are touched before the lock is taken.
    unsafe {
        dispatcher::touch(object);
        entry.write(LIST_ENTRY::default());
        let mut waiters = kernel().ke.dispatcher.lock();
        let head = &raw mut (*queue).EntryListHead;
        let (before, after) = if first { (head, (*head).Flink) } else { ((*head).Blink, head) };
        entry.write(LIST_ENTRY { Flink: after, Blink: before });
        (*before).Flink = entry;
        (*after).Blink = entry;
        let state = dispatcher::state(object);
        dispatcher::set_state(object, state.saturating_add(1));
        waiters.signal(object, dispatcher::acting_thread());
        state
    }
}

/// Puts an entry at the end of a queue; returns how many there were. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeInsertQueue(queue: *mut KQUEUE, entry: *mut LIST_ENTRY) -> i32 {
    // SAFETY: the driver's pointers.
    unsafe { insert(queue, entry, false) }
}

/// Puts an entry at the front of a queue; returns how many there were. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeInsertHeadQueue(queue: *mut KQUEUE, entry: *mut LIST_ENTRY) -> i32 {
    // SAFETY: the driver's pointers.
    unsafe { insert(queue, entry, true) }
}

/// Takes the first entry of a list out of it; NULL where it is empty.
///
/// # Safety
/// The list of a queue, and the dispatcher lock is held.
unsafe fn pop(queue: *mut KQUEUE) -> *mut LIST_ENTRY {
    // SAFETY: by this function's contract.
    unsafe {
        let head = &raw mut (*queue).EntryListHead;
        let entry = (*head).Flink;
        if std::ptr::eq(entry, head) {
            return std::ptr::null_mut();
        }
        let next = (*entry).Flink;
        (*head).Flink = next;
        (*next).Blink = head;
        entry.write(LIST_ENTRY::default());
        entry
    }
}

/// Waits for an entry, and takes it; or the status that the wait ended with.
///
/// # Safety
/// A queue of a driver, and a time-out that is null or readable.
unsafe fn remove(
    queue: *mut KQUEUE,
    user_mode: bool,
    alertable: bool,
    timeout: *const i64,
) -> Result<*mut LIST_ENTRY, u32> {
    let object = queue.expose_provenance();
    // SAFETY: by this function's contract.
    unsafe {
        let until = Until::read(timeout);
        let how = How { until, user_mode, user_alertable: alertable, ..How::BY_DRIVER };
        let status = wait(&[object], how);
        if status != STATUS_SUCCESS {
            return Err(status.0.cast_unsigned());
        }
        let _lock = kernel().ke.dispatcher.lock();
        let entry = pop(queue);
        // A queue without an entry that says it has one is run down.
        if entry.is_null() { Err(STATUS_ABANDONED.0.cast_unsigned()) } else { Ok(entry) }
    }
}

/// Waits for an entry of a queue and takes it; STATUS_TIMEOUT, STATUS_USER_APC or STATUS_ABANDONED in place of its
/// address where there is none. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeRemoveQueue(
    queue: *mut KQUEUE,
    mode: i8,
    timeout: *const i64,
) -> *mut LIST_ENTRY {
    // SAFETY: the driver's pointers.
    let removed = unsafe { remove(queue, mode != 0, mode != 0, timeout) };
    removed.unwrap_or_else(|status| std::ptr::without_provenance_mut(status as usize))
}

/// Waits for entries of a queue and takes up to a number of them; returns how many, or a status. Source: DDI.
#[export(irql <= DISPATCH, since = VistaSp1)]
pub unsafe extern "win64" fn KeRemoveQueueEx(
    queue: *mut KQUEUE,
    mode: i8,
    alertable: u8,
    timeout: *const i64,
    entries: *mut *mut LIST_ENTRY,
    count: u32,
) -> u32 {
    let mut taken = 0;
    let mut timeout = timeout;
    while taken < count {
        // SAFETY: the driver's pointers.
        match unsafe { remove(queue, mode != 0, mode != 0 && alertable != 0, timeout) } {
            // SAFETY: the driver's array has that many places.
            Ok(entry) => unsafe { entries.add(taken as usize).write(entry) },
            Err(status) if taken == 0 => return status,
            Err(_) => break,
        }
        taken += 1;
        // Only the first one is waited for.
        timeout = &0;
    }
    taken
}

/// Returns how many entries a queue has. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeReadStateQueue(queue: *mut KQUEUE) -> i32 {
    // SAFETY: the driver's pointer.
    unsafe { dispatcher::state(queue.expose_provenance()) }
}

/// Ends a queue: who waits for it gets STATUS_ABANDONED, and its entries are returned as a list. Source: public symbol lists.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeRundownQueue(queue: *mut KQUEUE) -> *mut LIST_ENTRY {
    let object = queue.expose_provenance();
    // SAFETY: the driver's pointer.
    unsafe {
        dispatcher::touch(object);
        let mut waiters = kernel().ke.dispatcher.lock();
        let head = &raw mut (*queue).EntryListHead;
        let (first, last) = ((*head).Flink, (*head).Blink);
        head.write(LIST_ENTRY { Flink: head, Blink: head });
        dispatcher::set_state(object, i32::MAX);
        waiters.signal(object, dispatcher::acting_thread());
        dispatcher::set_state(object, 0);
        if std::ptr::eq(first, head) {
            return std::ptr::null_mut();
        }
        // The list that is returned has no head: it goes round.
        (*first).Blink = last;
        (*last).Flink = first;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::{on_another_processor, with_kernel};

    #[test]
    fn entries_come_out_in_their_order() {
        with_kernel(Config::default(), |_, _| {
            let mut queue = KQUEUE::default();
            let mut entries = [LIST_ENTRY::default(); 3];
            let at = entries.as_mut_ptr();
            // SAFETY: a queue and entries that live as long as they are used.
            unsafe {
                KeInitializeQueue(&mut queue, 0);
                assert!(queue.MaximumCount > 0);
                assert_eq!(KeInsertQueue(&mut queue, at), 0);
                assert_eq!(KeInsertQueue(&mut queue, at.add(1)), 1);
                assert_eq!(KeInsertHeadQueue(&mut queue, at.add(2)), 2);
                assert_eq!(KeRemoveQueue(&mut queue, 0, &0), at.add(2));
                let mut taken = [std::ptr::null_mut(); 4];
                assert_eq!(KeRemoveQueueEx(&mut queue, 0, 0, &0, taken.as_mut_ptr(), 4), 2);
                assert_eq!(taken[..2], [at, at.add(1)]);
                assert_eq!(KeRemoveQueue(&mut queue, 0, &0).addr(), 0x102, "STATUS_TIMEOUT");
                assert_eq!(KeReadStateQueue(&mut queue), 0);
            }
        });
    }

    #[test]
    fn a_waiting_thread_gets_an_entry_or_the_end() {
        with_kernel(Config::default(), |kernel, _| {
            let queue: &'static mut KQUEUE = Box::leak(Box::default());
            let entry: &'static mut LIST_ENTRY = Box::leak(Box::default());
            // SAFETY: a queue and an entry that live for ever.
            unsafe { KeInitializeQueue(queue, 0) };
            let (queue_at, entry_at) =
                ((&raw mut *queue).expose_provenance(), (&raw mut *entry).expose_provenance());
            let (tell, told) = std::sync::mpsc::channel();
            let worker = on_another_processor(kernel, move || {
                let queue = std::ptr::with_exposed_provenance_mut(queue_at);
                for _ in 0..2 {
                    // SAFETY: as above.
                    tell.send(unsafe { KeRemoveQueue(queue, 0, std::ptr::null()) }.addr()).unwrap();
                }
            });
            // SAFETY: as above.
            unsafe { KeInsertQueue(queue, entry) };
            assert_eq!(told.recv().unwrap(), entry_at);
            while !kernel.ke.dispatcher.lock().is_waited_for(queue_at) {
                std::thread::yield_now();
            }
            // SAFETY: as above.
            assert!(unsafe { KeRundownQueue(queue) }.is_null());
            assert_eq!(told.recv().unwrap(), 0x80, "STATUS_ABANDONED");
            worker.join().unwrap();
        });
    }
}
