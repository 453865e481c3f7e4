//! What an unloaded driver left with the object manager and the registry: handles, references and callbacks.

use event::{Body, DriverId, Leak, LeakKind};

use crate::Kernel;
use crate::io::Driver;

/// Says which handles, references and callbacks a driver left behind.
pub(crate) fn report(kernel: &Kernel, driver: &Driver) {
    kernel.ob.handles.report_leaks(kernel, driver.id);
    super::ledger::report(kernel, driver.id);
    let objects = kernel.ob.callbacks.count_of(driver.id);
    callbacks(kernel, driver.id, objects, "object callbacks", "ObUnRegisterCallbacks", "handle");
    let keys = kernel.cm.callbacks.count_of(driver.id);
    callbacks(kernel, driver.id, keys, "registry callbacks", "CmUnRegisterCallback", "registry operation");
}

fn callbacks(kernel: &Kernel, driver: DriverId, count: u64, what: &str, remove: &str, next: &str) {
    if count == 0 {
        return;
    }
    kernel.record(Body::Leak(Leak {
        driver,
        kind: LeakKind::Routine,
        what: what.to_owned().into(),
        count,
        bytes: 0,
    }));
    let message = format!(
        "the driver was unloaded with its {what} still registered; the next {next} calls freed code: in DriverUnload, \
         call {remove}"
    );
    let check = crate::ke::stop::unloaded_code(0);
    kernel.finding_at(Some(driver), &crate::rule::L_18, &message, Some(check), Vec::new());
}
