//! The registers of a trap, apart from the signal frame they came in.

use crate::seh::context::{self, CONTEXT_ALL_MACHINE};
use nt_abi::CONTEXT;

/// General registers, instruction pointer, flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 … r15.
    pub general: [u64; 16],
    /// The instruction pointer.
    pub rip: u64,
    /// The flags.
    pub rflags: u64,
}

/// Index of rax in [`Cpu::general`].
pub const RAX: usize = 0;
/// Index of rcx in [`Cpu::general`].
pub const RCX: usize = 1;
/// Index of rdx in [`Cpu::general`].
pub const RDX: usize = 2;
/// Index of rsp in [`Cpu::general`].
pub const RSP: usize = 4;
/// Index of rsi in [`Cpu::general`].
pub const RSI: usize = 6;
/// Index of rdi in [`Cpu::general`].
pub const RDI: usize = 7;

/// The trap flag: one instruction, then a trap.
pub const TRAP_FLAG: u64 = 1 << 8;
/// The direction flag: strings go downwards.
pub const DIRECTION_FLAG: u64 = 1 << 10;

/// Where the signal frame keeps each register, in the order of [`Cpu::general`].
const SIGNAL_ORDER: [libc::c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

impl Cpu {
    /// Reads the registers out of a signal frame.
    pub fn load(frame: &libc::ucontext_t) -> Cpu {
        let saved = &frame.uc_mcontext.gregs;
        let mut cpu = Cpu {
            rip: saved[libc::REG_RIP as usize] as u64,
            rflags: saved[libc::REG_EFL as usize] as u64,
            ..Cpu::default()
        };
        for (register, index) in cpu.general.iter_mut().zip(SIGNAL_ORDER) {
            *register = saved[index as usize] as u64;
        }
        cpu
    }

    /// Writes the registers into a signal frame: the thread continues with them when the handler returns.
    pub fn store(&self, frame: &mut libc::ucontext_t) {
        let saved = &mut frame.uc_mcontext.gregs;
        saved[libc::REG_RIP as usize] = self.rip as i64;
        saved[libc::REG_EFL as usize] = self.rflags as i64;
        for (register, index) in self.general.iter().zip(SIGNAL_ORDER) {
            saved[index as usize] = *register as i64;
        }
    }

    /// Fills a context from these registers and the floating-point state of the signal frame.
    pub fn to_context(self, frame: &libc::ucontext_t, context: &mut CONTEXT) {
        context.ContextFlags = CONTEXT_ALL_MACHINE;
        *context::general(context) = self.general;
        context.Rip = self.rip;
        context.EFlags = (self.rflags & !TRAP_FLAG) as u32;
        let floats = frame.uc_mcontext.fpregs;
        if floats.is_null() {
            return;
        }
        // SAFETY: the kernel points at the FXSAVE area of the frame, 512 bytes, of the same form as the context's.
        unsafe {
            std::ptr::copy_nonoverlapping(floats.cast::<u8>(), context::floats(context).as_mut_ptr(), 512)
        };
        // The kernel keeps notes for itself in the part that the processor leaves to software.
        context::floats(context)[464..].fill(0);
        // SAFETY: as above.
        context.MxCsr = unsafe { (*floats).mxcsr };
    }
}
