//! Privileged instructions: what ring 0 would have done.
//!
//! One file per group. Instructions that may be used in ring 3 (`cpuid`, `rdtsc`, `pushfq`, `xgetbv`) never trap
//! and run by themselves. Each emulation changes [`Cpu`] only, so that the groups can be tested without traps.
//!
//! Sites that trap often are to be patched after their first traps one day; [`Outcome::Resume`] is where such a
//! site would be counted.

mod control;
mod interrupt;
pub mod msr;
pub mod operand;
mod port;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};

use super::cpu::Cpu;
use crate::guarded;
use crate::irql::Irql;
use crate::pcr::Kpcr;
use crate::stop::BugCheck;
use crate::supervisor::{Privileged, supervisor};

/// What becomes of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done: continue with the registers as they are now.
    Resume,
    /// A part is done: run the instruction again.
    Again,
    /// Done, and the level was lowered: what it blocked is to run first.
    Lowered(Irql, Irql),
    /// NT raises this exception for it, with these parameters (the first `usize` are in use), at `cpu.rip`.
    Raise(u32, [u64; 2], usize),
    /// NT stops.
    Stop(BugCheck),
    /// Not one of ours: the trap speaks for itself.
    NotPrivileged,
}

/// Longest instruction of the processor, in bytes.
const LONGEST: usize = 15;

/// Decodes the instruction at an address; `None` when it cannot be read or is none.
pub(super) fn decode(rip: u64) -> Option<Instruction> {
    let mut bytes = [0; LONGEST];
    let length = guarded::read_prefix(rip, &mut bytes);
    let mut decoder = Decoder::with_ip(64, &bytes[..length], rip, DecoderOptions::NONE);
    let instruction = decoder.decode();
    (!instruction.is_invalid()).then_some(instruction)
}

/// Emulates one instruction that trapped in driver code.
pub(super) fn emulate(cpu: &mut Cpu, kpcr: &Kpcr, instruction: &Instruction) -> Outcome {
    let rip = cpu.rip;
    let (outcome, what) = match instruction.mnemonic() {
        Mnemonic::Mov => control::mov(cpu, kpcr, instruction),
        Mnemonic::Rdmsr => msr::read(cpu, kpcr),
        Mnemonic::Wrmsr => msr::write(cpu, kpcr),
        Mnemonic::In | Mnemonic::Out => port::single(cpu, instruction),
        Mnemonic::Insb | Mnemonic::Insw | Mnemonic::Insd => port::input_string(cpu, instruction),
        Mnemonic::Outsb | Mnemonic::Outsw | Mnemonic::Outsd => port::output_string(cpu, instruction),
        Mnemonic::Int | Mnemonic::Int1 | Mnemonic::Into => interrupt::software(cpu, instruction),
        mnemonic => control::other(cpu, kpcr, instruction, mnemonic),
    };
    if matches!(outcome, Outcome::Resume | Outcome::Lowered(..)) && cpu.rip == rip {
        cpu.rip = instruction.next_ip();
    }
    if let (Some(what), Some(supervisor)) = (what, supervisor()) {
        supervisor.privileged(what, rip);
    }
    outcome
}

/// An outcome with what the supervisor is told.
type Emulated = (Outcome, Option<Privileged>);

/// The exception for an instruction that even ring 0 refuses.
fn refused() -> Emulated {
    (Outcome::Raise(crate::seh::code::PRIVILEGED_INSTRUCTION, [0; 2], 0), None)
}

/// Patch protection's stop: something was changed that must never change.
fn critical_structure(what: u64, kind: u64) -> Outcome {
    const CRITICAL_STRUCTURE_CORRUPTION: u32 = 0x109;
    Outcome::Stop(BugCheck { code: CRITICAL_STRUCTURE_CORRUPTION, parameters: [0, 0, what, kind] })
}
