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

    /// As Driver Verifier prints them: the special count above the kernel one.
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

/// Disables normal kernel APCs for the current thread. Source: DDI; R-CTX-04.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeEnterCriticalRegion() {
    enter_critical();
}

/// Enables normal kernel APCs again, and delivers those that waited. Source: DDI; R-CTX-04; 0xC4/0x3E.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeLeaveCriticalRegion() {
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

/// Disables all APCs for the current thread. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeEnterGuardedRegion() {
    enter_guarded();
}

/// Enables all APCs again, and delivers those that waited. Source: DDI; 0xC4/0x3E.
#[export(irql <= APC)]
pub unsafe extern "win64" fn KeLeaveGuardedRegion() {
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
