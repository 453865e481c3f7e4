//! Processors and priorities.
//!
//! A processor is a thread of the host that runs driver code. They come and go, and drivers allocate memory for each
//! that they are told of: so the number told is the most there can be, and never changes.

use std::sync::atomic::Ordering;

use export_macro::export;
use machine::pcr::Kpcr;
use machine::processor::MAX_PROCESSORS;
use nt_abi::{GROUP_AFFINITY, PROCESSOR_NUMBER};

use crate::ps::thread::Ethread;

/// ALL_PROCESSOR_GROUPS.
const ALL_GROUPS: u16 = 0xFFFF;
/// Every processor of the one group.
const ALL: usize = usize::MAX;

fn count_in(group: u16) -> u32 {
    if group == 0 || group == ALL_GROUPS { MAX_PROCESSORS } else { 0 }
}

fn current_number() -> u32 {
    Kpcr::current().number()
}

/// Returns how many processors a group has. Source: DDI.
#[export(irql any, since = Win7)]
pub unsafe extern "win64" fn KeQueryActiveProcessorCountEx(group: u16) -> u32 {
    count_in(group)
}

/// Returns how many processors there are, and which. Source: DDI.
#[export(irql any, since = VistaSp1)]
pub unsafe extern "win64" fn KeQueryActiveProcessorCount(active: *mut usize) -> u32 {
    // SAFETY: the driver's variable, or null.
    if let Some(active) = unsafe { active.as_mut() } {
        *active = ALL;
    }
    MAX_PROCESSORS
}

/// Returns how many processors a group can have. Source: DDI.
#[export(irql any, since = Win7)]
pub unsafe extern "win64" fn KeQueryMaximumProcessorCountEx(group: u16) -> u32 {
    count_in(group)
}

/// Returns how many processors there can be. Source: DDI.
#[export(irql any, since = VistaSp1)]
pub unsafe extern "win64" fn KeQueryMaximumProcessorCount() -> u32 {
    MAX_PROCESSORS
}

/// Returns the set of processors. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeQueryActiveProcessors() -> usize {
    ALL
}

/// Returns the set of processors of a group. Source: DDI.
#[export(irql any, since = Win7)]
pub unsafe extern "win64" fn KeQueryGroupAffinity(group: u16) -> usize {
    if group == 0 { ALL } else { 0 }
}

/// Returns how many groups of processors there are. Source: DDI.
#[export(irql any, since = Win7)]
pub unsafe extern "win64" fn KeQueryActiveGroupCount() -> u16 {
    1
}

/// Returns how many groups of processors there can be. Source: DDI.
#[export(irql any, since = Win7)]
pub unsafe extern "win64" fn KeQueryMaximumGroupCount() -> u16 {
    1
}

/// Returns the highest number of a NUMA node. Source: DDI.
#[export(irql any, since = Win7)]
pub unsafe extern "win64" fn KeQueryHighestNodeNumber() -> u16 {
    0
}

/// Returns the number of the processor that the caller runs on. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeGetCurrentProcessorNumber() -> u32 {
    current_number()
}

/// Returns the number of the processor that the caller runs on, and its group. Source: DDI.
#[export(irql any, since = Win7)]
pub unsafe extern "win64" fn KeGetCurrentProcessorNumberEx(processor: *mut PROCESSOR_NUMBER) -> u32 {
    let number = current_number();
    // SAFETY: the driver's structure, or null.
    if let Some(processor) = unsafe { processor.as_mut() } {
        *processor = PROCESSOR_NUMBER { Group: 0, Number: u8::try_from(number).unwrap_or(0), Reserved: 0 };
    }
    number
}

/// Returns the index of a processor, all groups counted together. Source: DDI.
#[export(irql any, since = Win7)]
pub unsafe extern "win64" fn KeGetProcessorIndexFromNumber(processor: *const PROCESSOR_NUMBER) -> u32 {
    // SAFETY: the driver's structure.
    let processor = unsafe { &*processor };
    let number = u32::from(processor.Number);
    if processor.Group == 0 && number < MAX_PROCESSORS { number } else { u32::MAX }
}

/// Returns the group and number of the processor with an index. Source: DDI.
#[export(irql any, since = Win7)]
pub unsafe extern "win64" fn KeGetProcessorNumberFromIndex(
    index: u32,
    processor: *mut PROCESSOR_NUMBER,
) -> nt_abi::NTSTATUS {
    if index >= MAX_PROCESSORS {
        return nt_abi::STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the driver's structure.
    unsafe {
        processor.write(PROCESSOR_NUMBER { Group: 0, Number: u8::try_from(index).unwrap_or(0), Reserved: 0 })
    };
    nt_abi::STATUS_SUCCESS
}

/// How many processors there are: a variable.
#[export(data)]
pub static KeNumberProcessors: u8 = 64;

/// Runs the current thread on a processor of the set from now on: the processor takes the lowest number in it.
fn set_affinity(set: usize) {
    let kpcr = Kpcr::current();
    let now = kpcr.number();
    if set != 0 && set >> now & 1 == 0 {
        kpcr.prcb.number.set(set.trailing_zeros());
    }
}

fn revert() {
    let kpcr = Kpcr::current();
    kpcr.prcb.number.set(u32::from(kpcr.prcb.legacy_number.get()));
}

/// Has the current thread run on the processors of a set. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeSetSystemAffinityThread(set: usize) {
    set_affinity(set);
}

/// Has the current thread run on the processors of a set, and returns the one before, 0 for none. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn KeSetSystemAffinityThreadEx(set: usize) -> usize {
    let kpcr = Kpcr::current();
    let changed = kpcr.number() != u32::from(kpcr.prcb.legacy_number.get());
    let before = if changed { 1 << kpcr.number() } else { 0 };
    set_affinity(set);
    before
}

/// Has the current thread run on the processors of a group's set, and stores the one before. Source: DDI.
#[export(irql <= DISPATCH, since = Win7)]
pub unsafe extern "win64" fn KeSetSystemGroupAffinityThread(
    set: *const GROUP_AFFINITY,
    before: *mut GROUP_AFFINITY,
) {
    // SAFETY: the driver's structures; the second may be null.
    unsafe {
        let mask = KeSetSystemAffinityThreadEx((*set).Mask);
        if let Some(before) = before.as_mut() {
            *before = GROUP_AFFINITY { Mask: mask, ..GROUP_AFFINITY::default() };
        }
    }
}

/// Has the current thread run where it ran before KeSetSystemAffinityThread. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeRevertToUserAffinityThread() {
    revert();
}

/// Has the current thread run where it ran before KeSetSystemAffinityThreadEx. Source: DDI.
#[export(irql <= DISPATCH, since = Vista)]
pub unsafe extern "win64" fn KeRevertToUserAffinityThreadEx(before: usize) {
    if before == 0 { revert() } else { set_affinity(before) }
}

/// Has the current thread run where it ran before KeSetSystemGroupAffinityThread. Source: DDI.
#[export(irql <= DISPATCH, since = Win7)]
pub unsafe extern "win64" fn KeRevertToUserGroupAffinityThread(before: *const GROUP_AFFINITY) {
    // SAFETY: the driver's structure.
    unsafe { KeRevertToUserAffinityThreadEx((*before).Mask) };
}

/// Returns the priority of a thread. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeQueryPriorityThread(thread: &Ethread) -> i32 {
    thread.kthread.priority.load(Ordering::Relaxed)
}

/// Sets the priority of a thread and returns the old one. It is remembered; nothing here is scheduled by it. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeSetPriorityThread(thread: &Ethread, priority: i32) -> i32 {
    thread.kthread.priority.swap(priority, Ordering::Relaxed)
}

/// Sets the base priority of a thread, relative to its process's, and returns the old difference. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeSetBasePriorityThread(thread: &Ethread, increment: i32) -> i32 {
    /// The base priority of processes.
    const BASE: i32 = 8;
    thread.kthread.priority.swap(BASE.saturating_add(increment), Ordering::Relaxed) - BASE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    #[test]
    fn a_processor_has_a_number_below_their_count() {
        with_kernel(Config::default(), |_, _| {
            // SAFETY: routines without pointers, or with null.
            unsafe {
                let count = KeQueryActiveProcessorCount(std::ptr::null_mut());
                assert_eq!(count, u32::from(KeNumberProcessors));
                let home = KeGetCurrentProcessorNumber();
                assert!(home < count);
                for number in 0..count {
                    KeSetSystemAffinityThread(1 << number);
                    assert_eq!(KeGetCurrentProcessorNumber(), number);
                }
                KeRevertToUserAffinityThread();
                assert_eq!(KeGetCurrentProcessorNumber(), home);
            }
        });
    }
}
