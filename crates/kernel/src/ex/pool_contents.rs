//! What must not lie in memory that is freed: a timer that is set, an executive resource that was not deleted.

use super::pool::{Allocation, Kind};
use crate::{Kernel, rule};

/// TIMER_OR_DPC_INVALID: what Windows stops with when freed memory holds a set timer.
const TIMER_OR_DPC_INVALID: u32 = 0xC7;
/// DRIVER_VERIFIER_DETECTED_VIOLATION.
const VERIFIER: u32 = 0xC4;

/// Stops where memory that is about to be freed holds a set timer (0xC7, or 0xC4/0x15 under special pool), and reports
/// a resource in it (0xC4/0x17). Source: G.4; the debugger's pages on 0xC4 and 0xC7.
pub(super) fn check(kernel: &Kernel, address: usize, what: &Allocation) {
    let range = address..address + what.size;
    kernel.ke.lock_order.forget(&range);
    let pool = u64::from(what.kind == Kind::Paged);
    let (start, end) = (address as u64, range.end as u64);
    if let Some(timer) = kernel.ke.timers.set_within(&range) {
        let timer = timer as u64;
        if kernel.ex.pool.is_special() {
            machine::bug_check(VERIFIER, 0x15, timer, pool, start);
        }
        machine::bug_check(TIMER_OR_DPC_INVALID, 0, timer, start, end);
    }
    if let Some(resource) = kernel.ex.resources.forget_within(&range) {
        let parameters = [0x17, resource as u64, pool, start];
        if kernel.ex.pool.is_special() {
            let [violation, resource, pool, start] = parameters;
            machine::bug_check(VERIFIER, violation, resource, pool, start);
        }
        let message = format!(
            "pool memory with tag {} was freed with an initialized ERESOURCE at {resource:#x} in it, which stays in the system's \
             list of resources; call ExDeleteResourceLite before you free it",
            what.tag
        );
        kernel.finding(&rule::POOL_01, &message, Some((VERIFIER, parameters)));
    }
}
