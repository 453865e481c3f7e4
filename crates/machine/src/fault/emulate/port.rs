//! Ports: nothing is attached to any, so all of them read as ones.

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::{Emulated, Outcome, operand};
use crate::fault::cpu::{Cpu, DIRECTION_FLAG, RCX, RDI, RDX, RSI};
use crate::guarded;
use crate::supervisor::Privileged;

/// `in` and `out`.
pub(super) fn single(cpu: &mut Cpu, instruction: &Instruction) -> Emulated {
    let write = instruction.mnemonic() == Mnemonic::Out;
    let port_operand = u32::from(!write);
    let port = match instruction.op_kind(port_operand) {
        OpKind::Immediate8 => u16::from(instruction.immediate8()),
        _ => cpu.general[RDX] as u16,
    };
    if !write {
        let register = instruction.op0_register();
        let ones = match register.size() {
            1 => 0xFF,
            2 => 0xFFFF,
            _ => 0xFFFF_FFFF,
        };
        if !operand::set_register(cpu, register, ones) {
            return (Outcome::NotPrivileged, None);
        }
    }
    (Outcome::Resume, Some(Privileged::Port { port, write }))
}

/// How many elements a string instruction moves, and by how much it advances.
fn extent(cpu: &Cpu, instruction: &Instruction) -> (u64, u64) {
    let count =
        if instruction.has_rep_prefix() || instruction.has_repne_prefix() { cpu.general[RCX] } else { 1 };
    (count, instruction.memory_size().size() as u64)
}

fn advance(cpu: &mut Cpu, instruction: &Instruction, register: usize, count: u64, size: u64) {
    let distance = count.wrapping_mul(size);
    let place = &mut cpu.general[register];
    *place = if cpu.rflags & DIRECTION_FLAG == 0 {
        place.wrapping_add(distance)
    } else {
        place.wrapping_sub(distance)
    };
    if instruction.has_rep_prefix() || instruction.has_repne_prefix() {
        cpu.general[RCX] = cpu.general[RCX].wrapping_sub(count);
    }
}

/// `ins`: ones, at most a page at a time so that no count can hold the handler up.
pub(super) fn input_string(cpu: &mut Cpu, instruction: &Instruction) -> Emulated {
    const ONES: [u8; 4096] = [0xFF; 4096];
    let (count, size) = extent(cpu, instruction);
    let part = count.min(4096 / size.max(1));
    let bytes = part * size;
    let start = if cpu.rflags & DIRECTION_FLAG == 0 {
        cpu.general[RDI]
    } else {
        cpu.general[RDI].wrapping_sub(bytes.saturating_sub(size))
    };
    let destination = std::ptr::with_exposed_provenance_mut(start as usize);
    // SAFETY: what the driver's own instruction would write to; a bad address is an error.
    if unsafe { guarded::try_copy(destination, ONES.as_ptr(), bytes as usize) }.is_err() {
        let parameters = [1, start];
        return (Outcome::Raise(crate::seh::code::ACCESS_VIOLATION, parameters, 2), None);
    }
    let port = cpu.general[RDX] as u16;
    advance(cpu, instruction, RDI, part, size);
    if part == count {
        cpu.rip = instruction.next_ip();
        return (Outcome::Resume, Some(Privileged::Port { port, write: false }));
    }
    (Outcome::Again, None)
}

/// `outs`: the bytes go nowhere.
pub(super) fn output_string(cpu: &mut Cpu, instruction: &Instruction) -> Emulated {
    let (count, size) = extent(cpu, instruction);
    let port = cpu.general[RDX] as u16;
    advance(cpu, instruction, RSI, count, size);
    (Outcome::Resume, Some(Privileged::Port { port, write: true }))
}
