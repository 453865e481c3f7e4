//! Software interrupts that NT gives a meaning to.

use iced_x86::Instruction;

use super::{Emulated, Outcome};
use crate::fault::cpu::{Cpu, RAX, RCX};
use crate::seh::code;
use crate::stop::BugCheck;

/// `__fastfail`.
const FAST_FAIL: u8 = 0x29;
/// An assertion failed.
const ASSERTION: u8 = 0x2C;
/// Debugger services: `DbgPrint` by hand.
const DEBUG_SERVICE: u8 = 0x2D;

/// `int n`.
pub(super) fn software(cpu: &mut Cpu, instruction: &Instruction) -> Emulated {
    match instruction.immediate8() {
        FAST_FAIL => {
            const KERNEL_SECURITY_CHECK_FAILURE: u32 = 0x139;
            let code = cpu.general[RCX] & 0xFFFF_FFFF;
            let check = BugCheck { code: KERNEL_SECURITY_CHECK_FAILURE, parameters: [code, 0, 0, 0] };
            (Outcome::Stop(check), None)
        }
        ASSERTION => (Outcome::Raise(code::ASSERTION_FAILURE, [0; 2], 0), None),
        DEBUG_SERVICE => {
            // Without a debugger printing succeeds and does nothing; the byte after the instruction is an `int 3`
            // that the service skips. Everything else is a breakpoint.
            const PRINT: u64 = 1;
            if cpu.general[RAX] & 0xFFFF_FFFF == PRINT {
                cpu.general[RAX] = 0;
                cpu.rip = instruction.next_ip().wrapping_add(1);
                return (Outcome::Resume, None);
            }
            (Outcome::Raise(code::BREAKPOINT, [cpu.general[RAX], 0], 1), None)
        }
        _ => (Outcome::NotPrivileged, None),
    }
}
