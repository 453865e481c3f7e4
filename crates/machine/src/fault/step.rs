//! One instruction executed by itself, with its base register pointing elsewhere.
//!
//! The general way to serve an access to memory that cannot be mapped: the register that the address is formed
//! with is moved by the distance to a page that holds the data, the trap flag is set, and the trap after the
//! instruction puts the register back. Every form of every instruction works like this, at the price of a
//! second trap, as long as the register serves for nothing but the address.

use iced_x86::{
    Instruction, InstructionInfoFactory, InstructionInfoOptions, OpAccess, OpKind, Register, UsedMemory,
};

use super::cpu::{Cpu, TRAP_FLAG};
use super::emulate::operand;

/// What to do with the moved register after the instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum After {
    /// The instruction only read it: put the old value back.
    #[default]
    Restore,
    /// The instruction advanced it (strings): move it back by the distance.
    MoveBack,
    /// The instruction replaced it: leave it.
    Keep,
}

/// The instruction that is under way, if `active`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    /// Whether there is one.
    pub active: bool,
    register: usize,
    old: u64,
    distance: u64,
    after: After,
}

impl Step {
    /// Changes `cpu` so that the instruction reads `distance` bytes further what lies `within` some range; `None` when
    /// the register that forms its address is needed for something else too.
    pub(super) fn begin(
        cpu: &mut Cpu,
        instruction: &Instruction,
        within: fn(u64) -> bool,
        distance: u64,
    ) -> Option<Step> {
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info_options(instruction, InstructionInfoOptions::NONE);
        let in_reach = |memory: &&UsedMemory| {
            let address = memory.virtual_address(0, |name, _, _| match name {
                name if name.is_segment_register() => {
                    (name != Register::FS && name != Register::GS).then_some(0)
                }
                name => operand::register(cpu, name),
            });
            address.is_some_and(within)
        };
        // Exactly one operand may lie there: only one can be moved.
        let mut candidates = info.used_memory().iter().filter(in_reach);
        let (Some(memory), None) = (candidates.next(), candidates.next()) else { return None };
        let base = match (memory.base(), memory.index(), memory.scale()) {
            (base, Register::None, _) => base,
            (Register::None, index, 1) => index,
            (base, index, _) if base != index => base,
            _ => return None,
        };
        let register = operand::index(base).filter(|_| base.is_gpr64())?;
        let string = (0..instruction.op_count())
            .any(|i| matches!(instruction.op_kind(i), OpKind::MemorySegRSI | OpKind::MemoryESRDI));
        let mut after = if string { After::MoveBack } else { After::Restore };
        if !string {
            for i in 0..instruction.op_count() {
                if instruction.op_kind(i) != OpKind::Register
                    || operand::index(instruction.op_register(i)) != Some(register)
                {
                    continue;
                }
                let whole = instruction.op_register(i).is_gpr32() || instruction.op_register(i).is_gpr64();
                if i != 0 || info.op0_access() != OpAccess::Write || !whole {
                    return None;
                }
                after = After::Keep;
            }
        }
        let old = cpu.general[register];
        cpu.general[register] = old.wrapping_add(distance);
        cpu.rflags |= TRAP_FLAG;
        Some(Step { active: true, register, old, distance, after })
    }

    /// Puts the register back after the instruction, or, when it did not complete, as it was before.
    pub(super) fn end(self, cpu: &mut Cpu, completed: bool) {
        let register = &mut cpu.general[self.register];
        match self.after {
            After::MoveBack => *register = register.wrapping_sub(self.distance),
            After::Keep if completed => {}
            After::Restore | After::Keep => *register = self.old,
        }
        cpu.rflags &= !TRAP_FLAG;
    }
}
