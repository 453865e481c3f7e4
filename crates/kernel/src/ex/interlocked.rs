//! `ExInterlocked…`: lists and numbers under a driver's spin lock, and identifiers that nobody else has.

use export_macro::export;
use nt_abi::{GUID, LIST_ENTRY, NTSTATUS, SINGLE_LIST_ENTRY, STATUS_SUCCESS};

use crate::ke::irql::{KfLowerIrql, KfRaiseIrql};
use crate::ke::spinlock::{KeAcquireSpinLockAtDpcLevel, KeReleaseSpinLockFromDpcLevel};

/// Runs `act` with a driver's spin lock held. These routines may be called at any IRQL.
///
/// # Safety
/// `lock` is a driver's spin lock.
unsafe fn locked<T>(lock: *mut usize, act: impl FnOnce() -> T) -> T {
    let high = machine::irql::current().max(machine::Irql::DISPATCH);
    // SAFETY: by this function's contract.
    unsafe {
        let old = KfRaiseIrql(high.level());
        KeAcquireSpinLockAtDpcLevel(lock);
        let result = act();
        KeReleaseSpinLockFromDpcLevel(lock);
        KfLowerIrql(old);
        result
    }
}

/// An entry of a list, or null where the list points to itself.
fn unless(entry: *mut LIST_ENTRY, head: *mut LIST_ENTRY) -> *mut LIST_ENTRY {
    if entry == head { std::ptr::null_mut() } else { entry }
}

/// Puts an entry first in a doubly linked list and returns what was first. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn ExInterlockedInsertHeadList(
    head: *mut LIST_ENTRY,
    entry: *mut LIST_ENTRY,
    lock: *mut usize,
) -> *mut LIST_ENTRY {
    // SAFETY: the driver's list, entry and lock.
    unsafe {
        locked(lock, || {
            let first = (*head).Flink;
            entry.write(LIST_ENTRY { Flink: first, Blink: head });
            (*first).Blink = entry;
            (*head).Flink = entry;
            unless(first, head)
        })
    }
}

/// Puts an entry last in a doubly linked list and returns what was last. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn ExInterlockedInsertTailList(
    head: *mut LIST_ENTRY,
    entry: *mut LIST_ENTRY,
    lock: *mut usize,
) -> *mut LIST_ENTRY {
    // SAFETY: the driver's list, entry and lock.
    unsafe {
        locked(lock, || {
            let last = (*head).Blink;
            entry.write(LIST_ENTRY { Flink: head, Blink: last });
            (*last).Flink = entry;
            (*head).Blink = entry;
            unless(last, head)
        })
    }
}

/// Takes the first entry of a doubly linked list and returns it. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn ExInterlockedRemoveHeadList(
    head: *mut LIST_ENTRY,
    lock: *mut usize,
) -> *mut LIST_ENTRY {
    // SAFETY: the driver's list and lock.
    unsafe {
        locked(lock, || {
            let first = (*head).Flink;
            if first != head {
                (*head).Flink = (*first).Flink;
                (*(*first).Flink).Blink = head;
            }
            unless(first, head)
        })
    }
}

/// Takes the first entry of a singly linked list and returns it. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn ExInterlockedPopEntryList(
    head: *mut SINGLE_LIST_ENTRY,
    lock: *mut usize,
) -> *mut SINGLE_LIST_ENTRY {
    // SAFETY: the driver's list and lock.
    unsafe {
        locked(lock, || {
            let first = (*head).Next;
            if let Some(entry) = first.as_ref() {
                (*head).Next = entry.Next;
            }
            first
        })
    }
}

/// Puts an entry first in a singly linked list and returns what was first. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn ExInterlockedPushEntryList(
    head: *mut SINGLE_LIST_ENTRY,
    entry: *mut SINGLE_LIST_ENTRY,
    lock: *mut usize,
) -> *mut SINGLE_LIST_ENTRY {
    // SAFETY: the driver's list, entry and lock.
    unsafe {
        locked(lock, || {
            let first = (*head).Next;
            (*entry).Next = first;
            (*head).Next = entry;
            first
        })
    }
}

/// Adds to a 32-bit number and returns what it was. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn ExInterlockedAddUlong(number: *mut u32, add: u32, lock: *mut usize) -> u32 {
    // SAFETY: the driver's number and lock.
    unsafe {
        locked(lock, || {
            let before = number.read_volatile();
            number.write_volatile(before.wrapping_add(add));
            before
        })
    }
}

/// Adds to a 64-bit number and returns what it was. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn ExInterlockedAddLargeInteger(
    number: *mut i64,
    add: i64,
    lock: *mut usize,
) -> i64 {
    // SAFETY: the driver's number and lock.
    unsafe {
        locked(lock, || {
            let before = number.read_volatile();
            number.write_volatile(before.wrapping_add(add));
            before
        })
    }
}

/// Makes an identifier that nobody else has: random, of version 4. Source: DDI; RFC 9562.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ExUuidCreate(uuid: *mut GUID) -> NTSTATUS {
    let [first, second] = [(); 2].map(|()| crate::ke::virtual_clock::random_u64().to_le_bytes());
    let [a, b, c, d, e, f, g, h] = first;
    let mut rest = second;
    // The variant of the RFC, and the version.
    rest[0] = rest[0] & 0x3F | 0x80;
    let made = GUID {
        Data1: u32::from_le_bytes([a, b, c, d]),
        Data2: u16::from_le_bytes([e, f]),
        Data3: u16::from_le_bytes([g, h]) & 0x0FFF | 0x4000,
        Data4: rest,
    };
    // SAFETY: the driver's structure.
    unsafe { uuid.write(made) };
    STATUS_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    #[test]
    fn lists_under_a_lock_are_queues_and_stacks() {
        with_kernel(Config::default(), |_, records| {
            let mut lock = 0usize;
            let lock = &raw mut lock;
            let nodes: &'static mut [LIST_ENTRY; 3] = Box::leak(Box::default());
            let head = nodes.as_mut_ptr();
            // SAFETY: memory of the test.
            unsafe {
                let (first, second) = (head.add(1), head.add(2));
                head.write(LIST_ENTRY { Flink: head, Blink: head });
                assert!(ExInterlockedRemoveHeadList(head, lock).is_null());
                assert!(ExInterlockedInsertTailList(head, second, lock).is_null());
                assert_eq!(ExInterlockedInsertHeadList(head, first, lock), second);
                assert_eq!(ExInterlockedRemoveHeadList(head, lock), first);
                assert_eq!(ExInterlockedRemoveHeadList(head, lock), second);
                assert_eq!((*head).Blink, head);
                let mut number = 5;
                assert_eq!((ExInterlockedAddUlong(&raw mut number, 2, lock), number), (5, 7));
            }
            assert!(records.findings().is_empty());
        });
    }

    #[test]
    fn identifiers_say_that_they_are_random() {
        with_kernel(Config::default(), |_, _| {
            let (mut one, mut two) = (GUID::default(), GUID::default());
            // SAFETY: locals.
            unsafe {
                ExUuidCreate(&raw mut one);
                ExUuidCreate(&raw mut two);
            }
            assert_ne!(one, two);
            assert_eq!((one.Data3 >> 12, one.Data4[0] >> 6), (4, 2));
        });
    }
}
