//! Bug checks that a driver asks for, and what drivers want to run in one.

use machine::BugCheck;
use machine::seh::entry::stack_argument;
use nt_abi::CONTEXT;

extern "win64" fn bug_check_ex(code: u64, p1: u64, p2: u64, p3: u64, caller: &mut CONTEXT) -> u64 {
    let parameters = [p1, p2, p3, stack_argument(caller, 5)];
    machine::stop::bug_check_at(BugCheck { code: code_of(code), parameters }, caller)
}

extern "win64" fn bug_check(code: u64, _p1: u64, _p2: u64, _p3: u64, caller: &mut CONTEXT) -> u64 {
    machine::stop::bug_check_at(BugCheck { code: code_of(code), parameters: [0; 4] }, caller)
}

/// The upper half of a register that holds a 32-bit parameter means nothing.
fn code_of(register: u64) -> u32 {
    u32::try_from(register & 0xFFFF_FFFF).unwrap_or_default()
}

machine::raising_entry! {
    /// Stops the system with a bug check code and four parameters. Source: DDI.
    #[export_macro::export(irql any)]
    pub fn KeBugCheckEx => bug_check_ex
}

machine::raising_entry! {
    /// Stops the system with a bug check code. Source: DDI.
    #[export_macro::export(irql any)]
    pub fn KeBugCheck => bug_check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::{stops, with_kernel};

    #[test]
    fn a_driver_stops_with_its_own_parameters() {
        with_kernel(Config::default(), |_, records| {
            let entry = (KeBugCheckEx as *const ()).expose_provenance();
            let stop = stops(records, || {
                // SAFETY: five parameters, as documented.
                unsafe { machine::call_driver(entry, [0xE2, 1, 2, 3, 0x44, 0]) };
            });
            assert_eq!((stop.code, stop.parameters), (0xE2, [1, 2, 3, 0x44]));
        });
    }
}
