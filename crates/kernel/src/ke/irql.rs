//! Raising and lowering the IRQL.

use export_macro::export;
use machine::Irql;
use nt_abi::KIRQL;

use crate::kernel;

/// DRIVER_VERIFIER_DETECTED_VIOLATION.
pub(crate) const VERIFIER: u32 = 0xC4;

/// Reports what Driver Verifier would stop for: an IRQL or APC rule that was broken (L-22).
pub(crate) fn violation(message: &str, parameters: [u64; 4]) {
    kernel().finding(&crate::rule::L_22, message, Some((VERIFIER, parameters)));
}

/// Raises the level to `to` and answers the old one.
fn raise(to: KIRQL) -> KIRQL {
    let now = machine::irql::current().level();
    if to < now || to > Irql::HIGH.level() {
        let message = format!(
            "KeRaiseIrql was called at IRQL {now} with IRQL {to}; a level can only be raised with it"
        );
        violation(&message, [0x30, now.into(), to.into(), 0]);
    }
    machine::irql::raise(Irql::new(to)).level()
}

/// Lowers the level to `to`, and runs what the old one held back.
fn lower(to: KIRQL) {
    let now = machine::irql::current().level();
    if to > now {
        let message =
            format!("KeLowerIrql was called at IRQL {now} with IRQL {to}; pass what KeRaiseIrql returned");
        violation(&message, [0x31, now.into(), to.into(), 0]);
    }
    machine::irql::lower(Irql::new(to));
}

/// Raises the IRQL and returns the old one. Source: DDI, KeRaiseIrql; 0xC4/0x30.
#[export(irql any)]
pub unsafe extern "win64" fn KfRaiseIrql(new: KIRQL) -> KIRQL {
    raise(new)
}

/// Raises the IRQL and stores the old one. Source: DDI; 0xC4/0x30.
#[export(irql any)]
pub unsafe extern "win64" fn KeRaiseIrql(new: KIRQL, old: *mut KIRQL) {
    let before = raise(new);
    // SAFETY: the driver's variable.
    unsafe { old.write(before) };
}

/// Raises the IRQL to DISPATCH_LEVEL and returns the old one. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn KeRaiseIrqlToDpcLevel() -> KIRQL {
    raise(Irql::DISPATCH.level())
}

/// Raises the IRQL to the level that excludes every processor's scheduler, 12 on x64, and returns the old one.
#[export(irql any)]
pub unsafe extern "win64" fn KeRaiseIrqlToSynchLevel() -> KIRQL {
    raise(12)
}

/// Lowers the IRQL; DPCs and APCs that it held back run before this returns. Source: DDI; 0xC4/0x31.
#[export(irql any)]
pub unsafe extern "win64" fn KeLowerIrql(new: KIRQL) {
    lower(new);
}

/// Lowers the IRQL, as KeLowerIrql does. Source: DDI, KeLowerIrql.
#[export(irql any)]
pub unsafe extern "win64" fn KfLowerIrql(new: KIRQL) {
    lower(new);
}

/// Returns the current IRQL. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeGetCurrentIrql() -> KIRQL {
    machine::irql::current().level()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    #[test]
    fn levels_nest() {
        with_kernel(Config::default(), |_, records| {
            // SAFETY: routines without pointers, but one to a local.
            unsafe {
                assert_eq!(KeRaiseIrqlToDpcLevel(), 0);
                let mut old = 9;
                KeRaiseIrql(15, &raw mut old);
                assert_eq!((old, KeGetCurrentIrql()), (2, 15));
                KeLowerIrql(old);
                KeLowerIrql(0);
                assert_eq!(KeGetCurrentIrql(), 0);
            }
            assert!(records.findings().is_empty());
        });
    }

    #[test]
    fn raising_to_a_lower_level_is_a_finding() {
        with_kernel(Config::default(), |_, records| {
            // SAFETY: routines without pointers.
            unsafe {
                KfRaiseIrql(2);
                KfRaiseIrql(1);
                assert_eq!(records.findings(), ["L-22"]);
                KeLowerIrql(2);
                assert_eq!(records.findings(), ["L-22", "L-22"]);
                KeLowerIrql(0);
            }
        });
    }
}
