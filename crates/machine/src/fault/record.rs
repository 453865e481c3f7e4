//! From a processor's trap to NT's exception record.

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::cpu::{Cpu, TRAP_FLAG};
use super::emulate::operand;
use crate::seh::code;
use crate::supervisor::Access;
use nt_abi::EXCEPTION_RECORD;

/// Numbers of the processor's traps.
pub(super) mod trap {
    pub(crate) const DIVIDE: u64 = 0;
    pub(crate) const DEBUG: u64 = 1;
    pub(crate) const BREAKPOINT: u64 = 3;
    pub(crate) const OVERFLOW: u64 = 4;
    pub(crate) const BOUND: u64 = 5;
    pub(crate) const UNDEFINED: u64 = 6;
    pub(crate) const STACK: u64 = 12;
    pub(crate) const PROTECTION: u64 = 13;
    pub(crate) const PAGE_FAULT: u64 = 14;
    pub(crate) const FLOAT: u64 = 16;
    pub(crate) const ALIGNMENT: u64 = 17;
    pub(crate) const SIMD: u64 = 19;
}

/// What the signal said, apart from the registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trap {
    /// The signal.
    pub(super) signal: i32,
    /// Its `si_code`.
    pub(super) signal_code: i32,
    /// The processor's number of the trap.
    pub(super) number: u64,
    /// The processor's error code.
    pub(super) error: u64,
    /// The address of a page fault.
    pub(super) address: u64,
}

impl Trap {
    /// How a page fault's memory was touched.
    pub(super) fn access(&self, rip: u64) -> Access {
        const WRITE: u64 = 2;
        const FETCH: u64 = 16;
        if self.error & FETCH != 0 || self.address == rip {
            Access::Execute
        } else if self.error & WRITE != 0 {
            Access::Write
        } else {
            Access::Read
        }
    }
}

/// Makes a record with these parameters.
pub(super) fn make(exception: u32, address: u64, parameters: &[u64]) -> EXCEPTION_RECORD {
    let mut record = EXCEPTION_RECORD {
        ExceptionCode: crate::seh::status(exception),
        ExceptionAddress: std::ptr::without_provenance_mut(address as usize),
        NumberParameters: parameters.len() as u32,
        ..EXCEPTION_RECORD::default()
    };
    for (place, &value) in record.ExceptionInformation.iter_mut().zip(parameters) {
        *place = value as _;
    }
    record
}

/// The record of a trap that nothing emulated. Moves `cpu.rip` back where the processor is already behind the
/// instruction and NT is not.
pub(super) fn of_trap(trap: &Trap, cpu: &mut Cpu, instruction: Option<&Instruction>) -> EXCEPTION_RECORD {
    match trap.number {
        trap::PAGE_FAULT => {
            let exception =
                if trap.signal == libc::SIGBUS { code::IN_PAGE_ERROR } else { code::ACCESS_VIOLATION };
            let access = trap.access(cpu.rip) as u64;
            if exception == code::IN_PAGE_ERROR {
                return make(
                    exception,
                    cpu.rip,
                    &[access, trap.address, u64::from(code::UNEXPECTED_IO_ERROR)],
                );
            }
            make(exception, cpu.rip, &[access, trap.address])
        }
        // Non-canonical addresses, which NT reports as a read of the highest one.
        trap::PROTECTION | trap::STACK => make(code::ACCESS_VIOLATION, cpu.rip, &[0, u64::MAX]),
        trap::DIVIDE => make(divide_code(cpu, instruction), cpu.rip, &[]),
        trap::DEBUG => {
            cpu.rflags &= !TRAP_FLAG;
            make(code::SINGLE_STEP, cpu.rip, &[])
        }
        trap::BREAKPOINT => {
            cpu.rip = cpu.rip.wrapping_sub(1);
            make(code::BREAKPOINT, cpu.rip, &[0])
        }
        trap::OVERFLOW => make(code::INTEGER_OVERFLOW, cpu.rip, &[]),
        trap::BOUND => make(code::ARRAY_BOUNDS_EXCEEDED, cpu.rip, &[]),
        trap::UNDEFINED => make(code::ILLEGAL_INSTRUCTION, cpu.rip, &[]),
        trap::ALIGNMENT => make(code::DATATYPE_MISALIGNMENT, cpu.rip, &[]),
        trap::FLOAT | trap::SIMD => make(float_code(trap.signal_code), cpu.rip, &[]),
        _ => make(code::ACCESS_VIOLATION, cpu.rip, &[0, u64::MAX]),
    }
}

/// `div` traps for a zero divisor and for a quotient that does not fit.
fn divide_code(cpu: &Cpu, instruction: Option<&Instruction>) -> u32 {
    let Some(instruction) = instruction else { return code::INTEGER_DIVIDE_BY_ZERO };
    if !matches!(instruction.mnemonic(), Mnemonic::Div | Mnemonic::Idiv) {
        return code::INTEGER_DIVIDE_BY_ZERO;
    }
    let divisor = match instruction.op0_kind() {
        OpKind::Register => operand::register(cpu, instruction.op0_register()),
        OpKind::Memory => operand::load(cpu, instruction, 0),
        _ => None,
    };
    match divisor {
        Some(divisor) if divisor != 0 => code::INTEGER_OVERFLOW,
        _ => code::INTEGER_DIVIDE_BY_ZERO,
    }
}

fn float_code(signal_code: i32) -> u32 {
    // si_code of SIGFPE, which libc does not name.
    match signal_code {
        3 => code::FLOAT_DIVIDE_BY_ZERO,
        4 => code::FLOAT_OVERFLOW,
        5 => code::FLOAT_UNDERFLOW,
        6 => code::FLOAT_INEXACT_RESULT,
        _ => code::FLOAT_INVALID_OPERATION,
    }
}
