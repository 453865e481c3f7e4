//! Critical and guarded regions: how a thread keeps APCs away.

use std::sync::atomic::{AtomicI16, Ordering};

use export_macro::export;
use machine::Irql;

use crate::kernel;
use crate::ps::thread::{Ethread, current};

/// A critical region, left when dropped: normal kernel APCs are disabled (R-CTX-01).
pub(crate) struct CriticalRegion<'a>(&'a Ethread);

impl<'a> CriticalRegion<'a> {
    pub(crate) fn enter(thread: &'a Ethread) -> Self {
        add(&thread.kthread.kernel_apc_disable, -1);
        Self(thread)
    }
}

impl Drop for CriticalRegion<'_> {
    fn drop(&mut self) {
        add(&self.0.kthread.kernel_apc_disable, 1);
    }
}

/// A guarded region, left when dropped: all APCs are disabled (R-CTX-02).
pub(crate) struct GuardedRegion<'a>(&'a Ethread);

impl<'a> GuardedRegion<'a> {
    pub(crate) fn enter(thread: &'a Ethread) -> Self {
        add(&thread.kthread.special_apc_disable, -1);
        Self(thread)
    }
}

impl Drop for GuardedRegion<'_> {
    fn drop(&mut self) {
        add(&self.0.kthread.special_apc_disable, 1);
    }
}

/// The two counts of a thread: `KernelApcDisable` and `SpecialApcDisable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ApcDisable {
    pub(crate) kernel: i16,
    pub(crate) special: i16,
}

impl ApcDisable {
    /// As they are.
    pub(crate) fn of(thread: &Ethread) -> Self {
        Self {
            kernel: thread.kthread.kernel_apc_disable.load(Ordering::Relaxed),
            special: thread.kthread.special_apc_disable.load(Ordering::Relaxed),
        }
    }

    /// Puts them back.
    pub(crate) fn restore(self, thread: &Ethread) {
        thread.kthread.kernel_apc_disable.store(self.kernel, Ordering::Relaxed);
        thread.kthread.special_apc_disable.store(self.special, Ordering::Relaxed);
    }

    /// How far these counts are from `others`.
    pub(crate) fn beyond(self, others: Self) -> Self {
        Self {
            kernel: self.kernel.wrapping_sub(others.kernel),
            special: self.special.wrapping_sub(others.special),
        }
    }

    /// As bug checks write them: the special count above the kernel one.
    pub(crate) fn combined(self) -> u64 {
        u64::from(self.special.cast_unsigned()) << 16 | u64::from(self.kernel.cast_unsigned())
    }
}

/// Only the thread itself changes its counts, so a load and a store are enough: no locked instruction.
pub(crate) fn add(count: &AtomicI16, by: i16) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

/// Enters a critical region for the current thread.
pub(crate) fn enter_critical() {
    if let Some(thread) = current() {
        add(&thread.kthread.kernel_apc_disable, -1);
    }
}

/// Leaves a critical region of the current thread, and delivers what it held back.
pub(crate) fn leave_critical() {
    let Some(thread) = current() else { return };
    leave(thread, &thread.kthread.kernel_apc_disable, "KeLeaveCriticalRegion", "critical");
}

/// Enters a guarded region for the current thread.
pub(crate) fn enter_guarded() {
    if let Some(thread) = current() {
        add(&thread.kthread.special_apc_disable, -1);
    }
}

/// Leaves a guarded region of the current thread, and delivers what it held back.
pub(crate) fn leave_guarded() {
    let Some(thread) = current() else { return };
    leave(thread, &thread.kthread.special_apc_disable, "KeLeaveGuardedRegion", "guarded");
}

fn leave(thread: &Ethread, count: &AtomicI16, routine: &str, region: &str) {
    if count.load(Ordering::Relaxed) >= 0 {
        let message =
            format!("{routine} was called by a thread that is in no {region} region; enter one first");
        super::irql::violation(&message, [0x3E, 0, 0, 0]);
        return;
    }
    add(count, 1);
    super::leave_kernel(kernel(), thread);
}

/// What Driver Verifier stops for when a critical region is entered or left above APC_LEVEL, with the IRQL.
const ENTERED_ABOVE_APC: u64 = 0x11A;
const LEFT_ABOVE_APC: u64 = 0x11B;
/// Its rule IrqlKeApcLte2, for guarded regions.
const ABOVE_APC: u64 = 0x2_0010;

/// L-22: a region is entered or left above APC_LEVEL, where no APC comes anyway.
fn at_apc_level(routine: &str, kind: u64) {
    let irql = machine::irql::current();
    if irql > Irql::APC {
        let message = format!(
            "{routine} was called at {irql} and may be called at IRQL <= APC_LEVEL; enter the region before the IRQL is \
             raised, and leave it after it was lowered"
        );
        let level = if kind == ABOVE_APC { 0 } else { irql.level().into() };
        super::irql::violation(&message, [kind, level, 0, 0]);
    }
}

/// Disables normal kernel APCs for the current thread. Source: DDI; R-CTX-04; 0xC4/0x11A.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeEnterCriticalRegion() {
    at_apc_level("KeEnterCriticalRegion", ENTERED_ABOVE_APC);
    enter_critical();
}

/// Enables normal kernel APCs again, and delivers those that waited. Source: DDI; R-CTX-04; 0xC4/0x3E, 0x11B.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeLeaveCriticalRegion() {
    at_apc_level("KeLeaveCriticalRegion", LEFT_ABOVE_APC);
    leave_critical();
}

/// Disables normal kernel APCs for the current thread, as KeEnterCriticalRegion does. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn FsRtlEnterFileSystem() {
    enter_critical();
}

/// Enables normal kernel APCs again, as KeLeaveCriticalRegion does. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn FsRtlExitFileSystem() {
    leave_critical();
}

/// Disables all APCs for the current thread. Source: DDI; 0xC4/0x20010.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeEnterGuardedRegion() {
    at_apc_level("KeEnterGuardedRegion", ABOVE_APC);
    enter_guarded();
}

/// Enables all APCs again, and delivers those that waited. Source: DDI; 0xC4/0x3E, 0x20010.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeLeaveGuardedRegion() {
    at_apc_level("KeLeaveGuardedRegion", ABOVE_APC);
    leave_guarded();
}

/// Says whether normal kernel APCs are disabled: by a critical or a guarded region. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeAreApcsDisabled() -> u8 {
    let apcs = current().map(ApcDisable::of);
    u8::from(apcs.is_some_and(|apcs| apcs.kernel != 0 || apcs.special != 0))
}

/// Says whether all APCs are disabled: by a guarded region or the IRQL. Source: DDI; R-CTX-02.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeAreAllApcsDisabled() -> u8 {
    let apcs = current().map(ApcDisable::of);
    u8::from(machine::irql::current() >= Irql::APC || apcs.is_some_and(|apcs| apcs.special != 0))
}

/// Returns whether the current thread came from user mode (1) or from the kernel (0). Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn ExGetPreviousMode() -> i8 {
    current().map_or(0, |thread| thread.kthread.previous_mode.load(Ordering::Relaxed).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    #[test]
    fn r_ctx_02_the_two_kinds_of_regions_differ() {
        with_kernel(Config::default(), |_, records| {
            // SAFETY: routines without pointers.
            unsafe {
                let state = || (KeAreApcsDisabled(), KeAreAllApcsDisabled());
                assert_eq!(state(), (0, 0));
                KeEnterCriticalRegion();
                assert_eq!(state(), (1, 0));
                KeEnterGuardedRegion();
                assert_eq!(state(), (1, 1));
                KeLeaveGuardedRegion();
                KeLeaveCriticalRegion();
                assert_eq!(state(), (0, 0));
                crate::ke::irql::KfRaiseIrql(1);
                assert_eq!(state(), (0, 1));
                crate::ke::irql::KfLowerIrql(0);
            }
            assert!(records.findings().is_empty());
        });
    }

    #[test]
    fn l_22_a_region_above_apc_level_is_found_with_what_driver_verifier_says_of_it() {
        type Routine = unsafe extern "win64" fn();
        let pairs: [([Routine; 2], [[u64; 2]; 2]); 2] = [
            ([KeEnterCriticalRegion, KeLeaveCriticalRegion], [[0x11A, 2], [0x11B, 2]]),
            ([KeEnterGuardedRegion, KeLeaveGuardedRegion], [[0x2_0010, 0], [0x2_0010, 0]]),
        ];
        for (routines, said) in pairs {
            with_kernel(Config::default(), |_, records| {
                for irql in [1, 2] {
                    // SAFETY: a routine without pointers.
                    let before = unsafe { crate::ke::irql::KfRaiseIrql(irql) };
                    for routine in routines {
                        // SAFETY: a routine without pointers.
                        unsafe { routine() };
                    }
                    // SAFETY: as above.
                    unsafe { crate::ke::irql::KfLowerIrql(before) };
                }
                assert_eq!(records.findings(), ["L-22"; 2]);
                let checks = said.map(|[kind, level]| (0xC4, [kind, level, 0, 0]));
                assert_eq!(records.bug_checks(), checks);
            });
        }
    }

    #[test]
    fn leaving_without_entering_is_a_finding() {
        with_kernel(Config::default(), |_, records| {
            // SAFETY: routines without pointers.
            unsafe { KeLeaveCriticalRegion() };
            assert_eq!(records.findings(), ["L-22"]);
            // SAFETY: as above.
            assert_eq!(unsafe { KeAreApcsDisabled() }, 0);
        });
    }
}
