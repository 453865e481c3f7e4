//! What a driver that is unloaded has still queued: NT does not wait for it, and calls freed code.

use event::DriverId;

use crate::{Kernel, ps};

/// Says what an unloaded driver has not freed, and what of it is still queued or runs.
pub(crate) fn report_leaks(kernel: &Kernel, driver: DriverId) {
    ps::system_thread::report_leaks(kernel, driver);
    let image = kernel.io.driver(driver).map_or(0..0, |driver| driver.base..driver.base + driver.size);
    let timers = kernel.ke.timers.pending_of(driver, &image);
    queued(kernel, driver, "timer", &timers, "call KeCancelTimer, then KeFlushQueuedDpcs");
    let dpcs = kernel.ke.dpcs.pending_of(driver, &image);
    queued(kernel, driver, "DPC", &dpcs, "call KeFlushQueuedDpcs");
    let items = kernel.ex.work.pending_of(driver, &image);
    queued(kernel, driver, "work item", &items, "wait until its routine has run");
    let callbacks = super::callback::count_of(driver);
    if callbacks != 0 {
        let message = format!(
            "the driver was unloaded with {callbacks} routine(s) registered with callback objects; the next notification calls \
             freed code: in DriverUnload, call ExUnregisterCallback"
        );
        kernel.finding_of(Some(driver), &crate::rule::L_18, &message, None);
    }
    super::pool_leaks::report(kernel, driver);
}

fn queued(kernel: &Kernel, driver: DriverId, what: &str, left: &[(usize, usize)], remedy: &str) {
    for &(object, routine) in left {
        let message = format!(
            "the driver was unloaded with its {what} at {object:#x} still queued; when it runs, it runs freed code: in \
             DriverUnload, {remedy}"
        );
        let check = crate::ke::stop::unloaded_code(routine as u64);
        kernel.finding_of(Some(driver), &crate::rule::L_18, &message, Some(check));
    }
}
