//! Model-specific registers.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Emulated, Outcome, critical_structure, refused};
use crate::fault::cpu::{Cpu, RAX, RCX, RDX};
use crate::pcr::Kpcr;
use crate::supervisor::Privileged;

const TSC: u32 = 0x10;
const APIC_BASE: u32 = 0x1B;
const FEATURE_CONTROL: u32 = 0x3A;
const MICROCODE_REVISION: u32 = 0x8B;
const MTRR_CAPABILITIES: u32 = 0xFE;
const SYSENTER_CS: u32 = 0x174;
const SYSENTER_ESP: u32 = 0x175;
const SYSENTER_EIP: u32 = 0x176;
const MISC_ENABLE: u32 = 0x1A0;
const DEBUG_CONTROL: u32 = 0x1D9;
const PAT: u32 = 0x277;
const EFER: u32 = 0xC000_0080;
const STAR: u32 = 0xC000_0081;
const LSTAR: u32 = 0xC000_0082;
const CSTAR: u32 = 0xC000_0083;
const SYSCALL_MASK: u32 = 0xC000_0084;
const FS_BASE: u32 = 0xC000_0100;
const GS_BASE: u32 = 0xC000_0101;
const KERNEL_GS_BASE: u32 = 0xC000_0102;
const TSC_AUX: u32 = 0xC000_0103;

/// Where `syscall` enters the kernel. Drivers read it to find the kernel's image, so it should point into what
/// they may take for it; until somebody sets it, it is an address of the kernel where nothing is.
static SYSCALL_ENTRY: AtomicU64 = AtomicU64::new(0xFFFF_F800_0100_0000);

/// Sets what IA32_LSTAR reads as: an address inside of the image that stands in for the kernel.
pub fn set_syscall_entry(address: u64) {
    SYSCALL_ENTRY.store(address, Ordering::Relaxed);
}

fn value(kpcr: &Kpcr, register: u32) -> Option<u64> {
    Some(match register {
        // SAFETY: reading the time-stamp counter has no effect.
        TSC => unsafe { std::arch::x86_64::_rdtsc() },
        // Enabled, at its usual address; the first processor is the one that started the system.
        APIC_BASE => 0xFEE0_0800 | if kpcr.number() == 0 { 0x100 } else { 0 },
        // Locked, without VMX.
        FEATURE_CONTROL => 1,
        MICROCODE_REVISION | MTRR_CAPABILITIES | SYSENTER_CS | SYSENTER_ESP | SYSENTER_EIP
        | DEBUG_CONTROL => 0,
        MISC_ENABLE => 1,
        PAT => 0x0007_0106_0007_0106,
        // NXE, LMA, LME, SCE.
        EFER => 0xD01,
        // Selectors of NT: kernel code 0x10, user code 0x23.
        STAR => 0x0023_0010_0000_0000,
        LSTAR | CSTAR => SYSCALL_ENTRY.load(Ordering::Relaxed),
        SYSCALL_MASK => 0x4700,
        FS_BASE | KERNEL_GS_BASE => 0,
        GS_BASE => std::ptr::from_ref(kpcr).addr() as u64,
        TSC_AUX => u64::from(kpcr.number()),
        _ => return None,
    })
}

/// `rdmsr`.
pub(super) fn read(cpu: &mut Cpu, kpcr: &Kpcr) -> Emulated {
    let register = cpu.general[RCX] as u32;
    let Some(value) = value(kpcr, register) else { return refused() };
    cpu.general[RAX] = value & 0xFFFF_FFFF;
    cpu.general[RDX] = value >> 32;
    (Outcome::Resume, Some(Privileged::Msr { register, written: None }))
}

/// `wrmsr`: the registers that make the system what it is may be written with what they hold only.
pub(super) fn write(cpu: &mut Cpu, kpcr: &Kpcr) -> Emulated {
    // The parameter of the stop that names a changed MSR.
    const CRITICAL_MSR: u64 = 7;
    let register = cpu.general[RCX] as u32;
    let written = (cpu.general[RDX] << 32) | (cpu.general[RAX] & 0xFFFF_FFFF);
    let what = Some(Privileged::Msr { register, written: Some(written) });
    match value(kpcr, register) {
        None => refused(),
        Some(old) if old == written => (Outcome::Resume, what),
        Some(_)
            if matches!(
                register,
                TSC | TSC_AUX | DEBUG_CONTROL | MICROCODE_REVISION | MISC_ENABLE | FS_BASE
            ) =>
        {
            (Outcome::Resume, what)
        }
        Some(_) => (critical_structure(u64::from(register), CRITICAL_MSR), what),
    }
}
