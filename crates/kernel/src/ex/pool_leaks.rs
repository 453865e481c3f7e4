//! Pool memory that a driver did not free before it was unloaded (L-17), and what it was given there (L-14).

use std::collections::BTreeMap;

use event::{Body, DriverId, Leak, LeakKind};

use super::pool::{Kind, Owned, Tag};
use crate::se::image_name;
use crate::{Kernel, rule};

/// Records what an unloaded driver has not freed: a leak for each tag, and the one finding that Driver Verifier would
/// stop with (0xC4/0x62: P2 the driver's name, P4 how many allocations). Stops where freed memory was written to.
pub(crate) fn report(kernel: &Kernel, driver: DriverId) {
    if let Some(written) = kernel.ex.pool.find_written() {
        super::pool_routines::freed_memory_is_damaged(written);
    }
    report_usage(kernel, driver);
    let mut owned = kernel.ex.pool.owned_by(driver);
    for (&(tag, kind), sum) in &owned {
        let pool = if kind == Kind::Paged { "paged" } else { "nonpaged" };
        kernel.record(Body::Leak(Leak {
            driver,
            kind: LeakKind::Pool,
            what: format!("{pool} pool, tag {tag}").into(),
            count: sum.count,
            bytes: sum.bytes,
        }));
    }
    image_names(kernel, driver, &mut owned);
    let Some(largest) = owned.values().max_by_key(|sum| sum.bytes) else { return };
    let count: u64 = owned.values().map(|sum| sum.count).sum();
    let bytes: u64 = owned.values().map(|sum| sum.bytes).sum();
    let tags: Vec<_> = owned.keys().map(|(tag, _)| tag.to_string()).collect();
    let message = format!(
        "the driver was unloaded with {count} pool allocation(s) of {bytes} bytes not freed (tags {}), for example the one made \
         at {}: free what DriverEntry and the routines allocated in DriverUnload",
        tags.join(", "),
        largest.allocated
    );
    let name = kernel.io.driver(driver).map_or(0, |driver| {
        // SAFETY: the driver object lives as long as its entry; only an address is computed.
        unsafe { &raw const (*driver.object.as_ptr()).DriverName }.addr() as u64
    });
    let check = (0xC4, [0x62, name, 0, count]);
    let stack = largest.allocated.frames();
    kernel.finding_at(Some(driver), &rule::L_17, &message, Some(check), stack);
}

/// Records how much pool a driver took, where it took any.
pub(crate) fn report_usage(kernel: &Kernel, driver: DriverId) {
    if let Some(usage) = kernel.ex.pool.usage(driver) {
        kernel.record(Body::PoolUsage(usage));
    }
}

/// Names of images, which the system allocates for the driver: no leak of pool that Driver Verifier knows of, but one of
/// what SeLocateProcessImageName gave.
fn image_names(kernel: &Kernel, driver: DriverId, owned: &mut BTreeMap<(Tag, Kind), Owned>) {
    let Some(names) = owned.remove(&(image_name::TAG, Kind::Paged)) else { return };
    let message = format!(
        "the driver was unloaded with {} image name(s) of SeLocateProcessImageName not freed, for example the one that it was \
         given at {}: call ExFreePool once for each",
        names.count, names.allocated
    );
    kernel.finding_at(Some(driver), &rule::L_14, &message, None, names.allocated.frames());
}
