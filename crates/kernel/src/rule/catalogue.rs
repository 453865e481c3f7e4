//! Every rule, by id.

use event::Severity::{Error, Warning};

use super::Rule;

/// A notify routine makes no registry calls.
pub(crate) static L_01: Rule = Rule {
    id: "L-01",
    page: include_str!("../../../../docs/rules/L-01.md"),
    title: "A notify routine makes no registry calls",
    severity: Warning,
};
/// A notify routine does not wait without a limit.
pub(crate) static L_02: Rule = Rule {
    id: "L-02",
    page: include_str!("../../../../docs/rules/L-02.md"),
    title: "A notify routine does not wait without a limit",
    severity: Warning,
};
/// A notify routine does not ask a program and wait for its answer.
pub(crate) static L_03: Rule = Rule {
    id: "L-03",
    page: include_str!("../../../../docs/rules/L-03.md"),
    title: "A notify routine does not ask a program and wait for its answer",
    severity: Error,
};
/// A notify routine does not wait for work that it queued itself.
pub(crate) static L_04: Rule = Rule {
    id: "L-04",
    page: include_str!("../../../../docs/rules/L-04.md"),
    title: "A notify routine does not wait for work that it queued itself",
    severity: Warning,
};
/// A notify routine does not wait for what another thread does or holds.
pub(crate) static L_05: Rule = Rule {
    id: "L-05",
    page: include_str!("../../../../docs/rules/L-05.md"),
    title: "A notify routine does not wait for what another thread does or holds",
    severity: Warning,
};
/// An image routine does not change or map the process's memory.
pub(crate) static L_06: Rule = Rule {
    id: "L-06",
    page: include_str!("../../../../docs/rules/L-06.md"),
    title: "An image routine does not change or map the process's memory",
    severity: Warning,
};
/// Memory of user mode is touched only under __try.
pub(crate) static L_07: Rule = Rule {
    id: "L-07",
    page: include_str!("../../../../docs/rules/L-07.md"),
    title: "Memory of user mode is touched only under __try",
    severity: Error,
};
/// A notify routine does not remove itself.
pub(crate) static L_08: Rule = Rule {
    id: "L-08",
    page: include_str!("../../../../docs/rules/L-08.md"),
    title: "A notify routine does not remove itself",
    severity: Error,
};
/// No file name is asked for while all APCs are disabled.
pub(crate) static L_09: Rule = Rule {
    id: "L-09",
    page: include_str!("../../../../docs/rules/L-09.md"),
    title: "No file name is asked for while all APCs are disabled",
    severity: Error,
};
/// File services are called at PASSIVE_LEVEL with special kernel APCs enabled.
pub(crate) static L_10: Rule = Rule {
    id: "L-10",
    page: include_str!("../../../../docs/rules/L-10.md"),
    title: "File services are called at PASSIVE_LEVEL with special kernel APCs enabled",
    severity: Error,
};
/// A kernel routine is called at an IRQL that it is for.
pub(crate) static L_11: Rule = Rule {
    id: "L-11",
    page: include_str!("../../../../docs/rules/L-11.md"),
    title: "A kernel routine is called at an IRQL that it is for",
    severity: Error,
};
/// An ERESOURCE is acquired and released with normal kernel APCs disabled.
pub(crate) static L_12: Rule = Rule {
    id: "L-12",
    page: include_str!("../../../../docs/rules/L-12.md"),
    title: "An ERESOURCE is acquired and released with normal kernel APCs disabled",
    severity: Error,
};
/// A routine returns with the IRQL, the APC state and the locks that it was called with.
pub(crate) static L_13: Rule = Rule {
    id: "L-13",
    page: include_str!("../../../../docs/rules/L-13.md"),
    title: "A routine returns with the IRQL, the APC state and the locks that it was called with",
    severity: Error,
};
/// Each reference is given back, once.
pub(crate) static L_14: Rule = Rule {
    id: "L-14",
    page: include_str!("../../../../docs/rules/L-14.md"),
    title: "Each reference is given back, once",
    severity: Error,
};
/// What a notify routine is given is not used after it returned.
pub(crate) static L_15: Rule = Rule {
    id: "L-15",
    page: include_str!("../../../../docs/rules/L-15.md"),
    title: "What a notify routine is given is not used after it returned",
    severity: Error,
};
/// Pointers that may be NULL are tested.
pub(crate) static L_16: Rule = Rule {
    id: "L-16",
    page: include_str!("../../../../docs/rules/L-16.md"),
    title: "Pointers that may be NULL are tested",
    severity: Error,
};
/// All memory is freed before the driver is unloaded.
pub(crate) static L_17: Rule = Rule {
    id: "L-17",
    page: include_str!("../../../../docs/rules/L-17.md"),
    title: "All memory is freed before the driver is unloaded",
    severity: Error,
};
/// All that is registered or queued is withdrawn before the driver is unloaded.
pub(crate) static L_18: Rule = Rule {
    id: "L-18",
    page: include_str!("../../../../docs/rules/L-18.md"),
    title: "All that is registered or queued is withdrawn before the driver is unloaded",
    severity: Error,
};
/// What a routine needs is initialised before the routine is registered.
pub(crate) static L_19: Rule = Rule {
    id: "L-19",
    page: include_str!("../../../../docs/rules/L-19.md"),
    title: "What a routine needs is initialised before the routine is registered",
    severity: Error,
};
/// What a routine needs is torn down after the routine was removed.
pub(crate) static L_20: Rule = Rule {
    id: "L-20",
    page: include_str!("../../../../docs/rules/L-20.md"),
    title: "What a routine needs is torn down after the routine was removed",
    severity: Error,
};
/// A notify routine is sparing with the kernel stack.
pub(crate) static L_21: Rule = Rule {
    id: "L-21",
    page: include_str!("../../../../docs/rules/L-21.md"),
    title: "A notify routine is sparing with the kernel stack",
    severity: Warning,
};
/// Locks, regions and waits keep Driver Verifier's rules of IRQL.
pub(crate) static L_22: Rule = Rule {
    id: "L-22",
    page: include_str!("../../../../docs/rules/L-22.md"),
    title: "Locks, regions and waits keep Driver Verifier's rules of IRQL",
    severity: Error,
};
/// A request is completed once.
pub(crate) static IO_01: Rule = Rule {
    id: "IO-01",
    page: include_str!("../../../../docs/rules/IO-01.md"),
    title: "A request is completed once",
    severity: Error,
};
/// A dispatch routine completes each request, or marks it pending.
pub(crate) static IO_02: Rule = Rule {
    id: "IO-02",
    page: include_str!("../../../../docs/rules/IO-02.md"),
    title: "A dispatch routine completes each request, or marks it pending",
    severity: Error,
};

/// No notify routine is set or removed while a set-power request is handled.
pub(crate) static PO_01: Rule = Rule {
    id: "PO-01",
    page: include_str!("../../../../docs/rules/PO-01.md"),
    title: "No notify routine is set or removed while a set-power request is handled",
    severity: Error,
};

/// Pool memory is asked for with a size and a tag, and freed with nothing in it that the system still uses.
pub(crate) static POOL_01: Rule = Rule {
    id: "POOL-01",
    page: include_str!("../../../../docs/rules/POOL-01.md"),
    title: "Pool memory has a size and a tag, and is freed with nothing in it that the system uses",
    severity: Warning,
};

/// Locks are acquired in one order, and no removal waits under a lock that the removed routine takes.
pub(crate) static LOCK_01: Rule = Rule {
    id: "LOCK-01",
    page: include_str!("../../../../docs/rules/LOCK-01.md"),
    title: "Locks are acquired in one order, and no removal waits under a lock that the routine takes",
    severity: Error,
};

/// Every rule, in order of id.
pub static RULES: &[&Rule] = &[
    &L_01, &L_02, &L_03, &L_04, &L_05, &L_06, &L_07, &L_08, &L_09, &L_10, &L_11, &L_12, &L_13, &L_14, &L_15,
    &L_16, &L_17, &L_18, &L_19, &L_20, &L_21, &L_22, &IO_01, &IO_02, &LOCK_01, &PO_01, &POOL_01,
];
