//! Control and debug registers, descriptor tables, interrupts on and off, caches.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::{Emulated, Outcome, critical_structure, operand, refused};
use crate::fault::cpu::Cpu;
use crate::guarded;
use crate::irql::{self, Irql};
use crate::pcr::Kpcr;
use crate::stop::BugCheck;
use crate::supervisor::Privileged;

/// CR0 of a running x64 system: PG AM WP NE ET MP PE.
const CR0: u64 = 0x8005_0033;
/// CR3: some page table.
const CR3: u64 = 0x001A_D000;
/// CR4: FSGSBASE, SMEP, OSXSAVE, PCIDE off, OSFXSR, OSXMMEXCPT, PGE, PAE, MCE, DE.
const CR4: u64 = 0x0015_06E8;
/// DR6 and DR7 without any breakpoint.
const DR6: u64 = 0xFFFF_0FF0;
const DR7: u64 = 0x400;

/// `mov` to and from control and debug registers.
pub(super) fn mov(cpu: &mut Cpu, kpcr: &Kpcr, instruction: &Instruction) -> Emulated {
    if instruction.op0_kind() != OpKind::Register || instruction.op1_kind() != OpKind::Register {
        return (Outcome::NotPrivileged, None);
    }
    let (to, from) = (instruction.op0_register(), instruction.op1_register());
    if from.is_cr() || from.is_dr() {
        let Some(value) = read(kpcr, from) else { return refused() };
        let done = operand::set_register(cpu, to, value);
        let what = (from != Register::CR8).then_some(Privileged::Instruction("mov r, cr/dr"));
        return if done { (Outcome::Resume, what) } else { refused() };
    }
    if to.is_cr() || to.is_dr() {
        let Some(value) = operand::register(cpu, from) else { return refused() };
        return write(kpcr, to, value);
    }
    (Outcome::NotPrivileged, None)
}

fn read(kpcr: &Kpcr, register: Register) -> Option<u64> {
    Some(match register {
        Register::CR0 => CR0,
        Register::CR2 => 0,
        Register::CR3 => CR3,
        Register::CR4 => CR4,
        Register::CR8 => u64::from(kpcr.private.irql.get()),
        Register::DR6 => DR6,
        Register::DR7 => kpcr.private.debug_registers[7].get() | DR7,
        debug if debug.is_dr() => kpcr.private.debug_registers.get(debug.number())?.get(),
        _ => return None,
    })
}

fn write(kpcr: &Kpcr, register: Register, value: u64) -> Emulated {
    let what = Some(Privileged::Instruction("mov cr/dr, r"));
    match register {
        Register::CR8 if value > 15 => refused(),
        Register::CR8 => {
            let (from, to) = (Irql::new(kpcr.private.irql.get()), Irql::new(value as u8));
            irql::set(to);
            let outcome = if to < from { Outcome::Lowered(from, to) } else { Outcome::Resume };
            (outcome, Some(Privileged::WriteCr8(from, to)))
        }
        Register::CR0 if value == CR0 => (Outcome::Resume, what),
        Register::CR4 if value == CR4 => (Outcome::Resume, what),
        // The same page table again flushes the TLB; CR2 is a scratch register.
        Register::CR3 if value == CR3 => (Outcome::Resume, what),
        Register::CR2 => (Outcome::Resume, what),
        Register::CR0 | Register::CR3 | Register::CR4 => {
            (critical_structure(register.number() as u64, 0), what)
        }
        debug if debug.is_dr() => {
            if let Some(place) = kpcr.private.debug_registers.get(debug.number()) {
                place.set(value);
            }
            (Outcome::Resume, what)
        }
        _ => refused(),
    }
}

/// Everything that is not `mov`, a port, an MSR or an interrupt.
pub(super) fn other(cpu: &mut Cpu, kpcr: &Kpcr, instruction: &Instruction, mnemonic: Mnemonic) -> Emulated {
    let named = |name| (Outcome::Resume, Some(Privileged::Instruction(name)));
    match mnemonic {
        Mnemonic::Cli => {
            kpcr.private.interrupts.set(0);
            named("cli")
        }
        Mnemonic::Sti => {
            kpcr.private.interrupts.set(1);
            named("sti")
        }
        Mnemonic::Hlt => named("hlt"),
        Mnemonic::Clac => named("clac"),
        Mnemonic::Stac => named("stac"),
        Mnemonic::Clts => named("clts"),
        Mnemonic::Invlpg | Mnemonic::Invpcid => named("invlpg"),
        Mnemonic::Invd | Mnemonic::Wbinvd | Mnemonic::Wbnoinvd => named("wbinvd"),
        Mnemonic::Monitor | Mnemonic::Mwait => named("mwait"),
        Mnemonic::Rdpmc => {
            cpu.general[0] = 0;
            cpu.general[2] = 0;
            named("rdpmc")
        }
        Mnemonic::Smsw => store(cpu, instruction, CR0 & 0xFFFF, "smsw"),
        Mnemonic::Sldt => store(cpu, instruction, 0, "sldt"),
        Mnemonic::Str => store(cpu, instruction, 0x40, "str"),
        Mnemonic::Sgdt => table(cpu, instruction, 0x57, 0xFFFF_F800_0000_0FB0, "sgdt"),
        Mnemonic::Sidt => table(cpu, instruction, 0xFFF, 0xFFFF_F800_0000_1000, "sidt"),
        // Loading a descriptor table replaces the system's own: what patch protection stops for. 2 is the interrupt
        // table, 3 the global table.
        Mnemonic::Lidt => (critical_structure(0, 2), Some(Privileged::Instruction("lidt"))),
        Mnemonic::Lgdt | Mnemonic::Lldt | Mnemonic::Ltr | Mnemonic::Lmsw => {
            (critical_structure(0, 3), Some(Privileged::Instruction("lgdt")))
        }
        Mnemonic::Swapgs
        | Mnemonic::Iretq
        | Mnemonic::Iretd
        | Mnemonic::Sysret
        | Mnemonic::Sysretq
        | Mnemonic::Sysexit
        | Mnemonic::Sysexitq => {
            // Leaving the kernel behind the system's back ends in a general protection fault that nobody handles.
            const UNEXPECTED_KERNEL_MODE_TRAP: u32 = 0x7F;
            let check = BugCheck { code: UNEXPECTED_KERNEL_MODE_TRAP, parameters: [13, 0, 0, cpu.rip] };
            (Outcome::Stop(check), Some(Privileged::Instruction("return to user mode")))
        }
        Mnemonic::Xsetbv | Mnemonic::Vmcall => refused(),
        _ => (Outcome::NotPrivileged, None),
    }
}

/// Stores a selector-like value into a register or 16 bits of memory.
fn store(cpu: &mut Cpu, instruction: &Instruction, value: u64, name: &'static str) -> Emulated {
    let what = Some(Privileged::Instruction(name));
    if instruction.op0_kind() == OpKind::Register {
        let done = operand::set_register(cpu, instruction.op0_register(), value);
        return if done { (Outcome::Resume, what) } else { refused() };
    }
    let written = operand::address(cpu, instruction, 0)
        // SAFETY: what the driver's own instruction would write to; a bad address is an error.
        .is_some_and(|address| unsafe { guarded::try_write(address, value as u16) }.is_ok());
    if written { (Outcome::Resume, what) } else { (Outcome::NotPrivileged, None) }
}

/// Stores limit and base of a descriptor table, 10 bytes.
fn table(cpu: &Cpu, instruction: &Instruction, limit: u16, base: u64, name: &'static str) -> Emulated {
    let Some(address) = operand::address(cpu, instruction, 0) else { return (Outcome::NotPrivileged, None) };
    // SAFETY: what the driver's own instruction would write to; a bad address is an error.
    let limit_written = unsafe { guarded::try_write(address, limit) };
    // SAFETY: as above.
    let base_written = unsafe { guarded::try_write(address.wrapping_add(2), base) };
    if limit_written.is_ok() && base_written.is_ok() {
        return (Outcome::Resume, Some(Privileged::Instruction(name)));
    }
    (Outcome::NotPrivileged, None)
}
