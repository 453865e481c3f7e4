//! Operands of a decoded instruction, read from and written to the registers of a trap.

use iced_x86::{Instruction, Register};

use crate::fault::cpu::Cpu;
use crate::guarded;
use crate::processor::attached;

/// The index of a general register of any width in [`Cpu::general`].
pub fn index(register: Register) -> Option<usize> {
    register.is_gpr().then(|| register.full_register().number())
}

/// The value of a general register of any width, zero-extended.
pub fn register(cpu: &Cpu, register: Register) -> Option<u64> {
    let whole = cpu.general[index(register)?];
    Some(match register.size() {
        1 if is_high_byte(register) => (whole >> 8) & 0xFF,
        1 => whole & 0xFF,
        2 => whole & 0xFFFF,
        4 => whole & 0xFFFF_FFFF,
        _ => whole,
    })
}

/// Sets a general register of any width as the processor does: 32 bits clear the upper half, less keeps it.
#[must_use]
pub fn set_register(cpu: &mut Cpu, register: Register, value: u64) -> bool {
    let Some(place) = index(register).map(|index| &mut cpu.general[index]) else { return false };
    *place = match register.size() {
        1 if is_high_byte(register) => (*place & !0xFF00) | ((value & 0xFF) << 8),
        1 => (*place & !0xFF) | (value & 0xFF),
        2 => (*place & !0xFFFF) | (value & 0xFFFF),
        4 => value & 0xFFFF_FFFF,
        _ => value,
    };
    true
}

fn is_high_byte(register: Register) -> bool {
    matches!(register, Register::AH | Register::CH | Register::DH | Register::BH)
}

/// The address of a memory operand; `None` when it depends on FS.
pub fn address(cpu: &Cpu, instruction: &Instruction, operand: u32) -> Option<u64> {
    instruction.virtual_address(operand, 0, |name, _, _| match name {
        Register::GS => attached().map(|kpcr| std::ptr::from_ref(kpcr).addr() as u64),
        Register::FS => None,
        name if name.is_segment_register() => Some(0),
        Register::RIP | Register::EIP => Some(instruction.next_ip()),
        name => register(cpu, name),
    })
}

/// The value of a memory operand of at most 8 bytes; `None` when it cannot be read.
pub fn load(cpu: &Cpu, instruction: &Instruction, operand: u32) -> Option<u64> {
    let address = address(cpu, instruction, operand)?;
    match instruction.memory_size().size() {
        1 => guarded::try_read::<u8>(address).ok().map(u64::from),
        2 => guarded::try_read::<u16>(address).ok().map(u64::from),
        4 => guarded::try_read::<u32>(address).ok().map(u64::from),
        8 => guarded::try_read::<u64>(address).ok(),
        _ => None,
    }
}
