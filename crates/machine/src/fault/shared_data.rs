//! Reads of KUSER_SHARED_DATA at its fixed address of the kernel.
//!
//! Compilers inline `KeQuerySystemTime`, `KeQueryTickCount` and version tests as reads of 0xFFFFF780'00000000,
//! where ring 3 can map nothing. Plain loads and string moves are carried out here, in one trap; everything else
//! is executed by the processor itself on a shadow page ([`super::step`]). Writes stay access violations.

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::cpu::{Cpu, DIRECTION_FLAG, RCX, RDI, RSI};
use super::emulate::operand;
use super::step::Step;
use crate::guarded;
use crate::pcr::{Kpcr, PAGE_SIZE};
use crate::supervisor::supervisor;

/// Where the kernel has its view of the page.
pub const SHARED_USER_DATA: u64 = 0xFFFF_F780_0000_0000;

/// Whether an address lies in the page.
pub(super) fn contains(address: u64) -> bool {
    address.wrapping_sub(SHARED_USER_DATA) < PAGE_SIZE as u64
}

/// Serves one instruction; `false` when it cannot be.
pub(super) fn serve(cpu: &mut Cpu, instruction: &Instruction, kpcr: &Kpcr) -> bool {
    let page = refresh(kpcr);
    match instruction.mnemonic() {
        Mnemonic::Mov | Mnemonic::Movzx | Mnemonic::Movsx | Mnemonic::Movsxd
            if load(cpu, instruction, page) =>
        {
            true
        }
        Mnemonic::Movsb | Mnemonic::Movsw | Mnemonic::Movsd | Mnemonic::Movsq
            if instruction.op1_kind() == OpKind::MemorySegRSI && string(cpu, instruction, page) =>
        {
            true
        }
        _ => step(cpu, instruction, kpcr),
    }
}

/// Lets the supervisor fill the shadow page of this processor.
fn refresh(kpcr: &Kpcr) -> &[u8; PAGE_SIZE] {
    let page = kpcr.private.shadow_page.get().cast::<[u8; PAGE_SIZE]>();
    if let Some(supervisor) = supervisor() {
        // SAFETY: the page lies behind the region, is as long as said, and only this thread uses it.
        supervisor.refresh_shared_user_data(unsafe { &mut *page });
    }
    // SAFETY: as above; the other reference has ended.
    unsafe { &*page }
}

/// A load into a general register; `false` when the form is another one or it crosses the page's end.
fn load(cpu: &mut Cpu, instruction: &Instruction, page: &[u8; PAGE_SIZE]) -> bool {
    if instruction.op0_kind() != OpKind::Register || instruction.op1_kind() != OpKind::Memory {
        return false;
    }
    let size = instruction.memory_size().size();
    let Some(address) = operand::address(cpu, instruction, 1) else { return false };
    let at = address.wrapping_sub(SHARED_USER_DATA) as usize;
    let Some(bytes) = at.checked_add(size).and_then(|end| page.get(at..end)) else { return false };
    let mut wide = [0u8; 8];
    let Some(low) = wide.get_mut(..size) else { return false };
    low.copy_from_slice(bytes);
    let mut value = u64::from_le_bytes(wide);
    if matches!(instruction.mnemonic(), Mnemonic::Movsx | Mnemonic::Movsxd) {
        let unused = 64 - 8 * size as u32;
        value = ((value << unused) as i64 >> unused) as u64;
    }
    if !operand::set_register(cpu, instruction.op0_register(), value) {
        return false;
    }
    cpu.rip = instruction.next_ip();
    true
}

/// `movs` out of the page, with or without `rep`, upwards; `false` also when the destination faults, which the
/// instruction itself then does at the right address.
fn string(cpu: &mut Cpu, instruction: &Instruction, page: &[u8; PAGE_SIZE]) -> bool {
    let size = instruction.memory_size().size();
    let repeated = instruction.has_rep_prefix() || instruction.has_repne_prefix();
    let count = if repeated { cpu.general[RCX] } else { 1 };
    let at = cpu.general[RSI].wrapping_sub(SHARED_USER_DATA) as usize;
    if cpu.rflags & DIRECTION_FLAG != 0 || at >= PAGE_SIZE {
        return false;
    }
    // What lies beyond the page faults when the instruction is run again for the rest.
    let whole = (count as usize).min((PAGE_SIZE - at) / size);
    if whole == 0 {
        return false;
    }
    let bytes = whole * size;
    let destination = std::ptr::with_exposed_provenance_mut::<u8>(cpu.general[RDI] as usize);
    // SAFETY: it is what the driver's own instruction would write to; bad addresses are errors.
    if unsafe { guarded::try_copy(destination, page[at..].as_ptr(), bytes) }.is_err() {
        return false;
    }
    cpu.general[RSI] = cpu.general[RSI].wrapping_add(bytes as u64);
    cpu.general[RDI] = cpu.general[RDI].wrapping_add(bytes as u64);
    if repeated {
        cpu.general[RCX] -= whole as u64;
    }
    if !repeated || cpu.general[RCX] == 0 {
        cpu.rip = instruction.next_ip();
    }
    true
}

/// Any other instruction: the processor executes it on the shadow page.
fn step(cpu: &mut Cpu, instruction: &Instruction, kpcr: &Kpcr) -> bool {
    let distance = (kpcr.private.shadow_page.get().addr() as u64).wrapping_sub(SHARED_USER_DATA);
    match Step::begin(cpu, instruction, contains, distance) {
        Some(step) => {
            kpcr.private.step.set(step);
            true
        }
        None => false,
    }
}
