//! Taking a picture of the registers, and continuing from one.

use std::mem::offset_of;

use crate::stop::Registers;
use nt_abi::CONTEXT;

/// `CONTEXT_CONTROL | CONTEXT_INTEGER | CONTEXT_SEGMENTS | CONTEXT_FLOATING_POINT` of AMD64.
pub const CONTEXT_ALL_MACHINE: u32 = 0x0010_000F;

/// Offset of the field, for the assembly of [`crate::raising_entry`].
pub const MXCSR: usize = offset_of!(CONTEXT, MxCsr);
/// Offset of the field, for the assembly of [`crate::raising_entry`].
pub const EFLAGS: usize = offset_of!(CONTEXT, EFlags);
const RAX: usize = offset_of!(CONTEXT, Rax);
const RIP: usize = offset_of!(CONTEXT, Rip);
const FLOATS: usize = offset_of!(CONTEXT, FltSave);
/// Offset of the field, for the assembly of [`crate::raising_entry`].
pub const FLAGS: usize = offset_of!(CONTEXT, ContextFlags);
const CS: usize = offset_of!(CONTEXT, SegCs);
const SS: usize = offset_of!(CONTEXT, SegSs);

// The assembly below counts on the order of the registers and on where the header puts them.
const _: () = assert!(RAX == 0x78 && RIP == 0xF8 && FLOATS == 0x100 && size_of::<CONTEXT>() == 0x4D0);

/// `RtlCaptureContext`: the registers as they are at the call, with the instruction and the stack pointer of its
/// return. Any IRQL.
///
/// # Safety
/// `context` can be written and is aligned to 16 bytes.
#[unsafe(naked)]
pub unsafe extern "win64" fn capture(context: *mut CONTEXT) {
    std::arch::naked_asm!(
        "pushfq",
        "mov [rcx + 0x78], rax",
        "mov [rcx + 0x80], rcx",
        "mov [rcx + 0x88], rdx",
        "mov [rcx + 0x90], rbx",
        "lea rax, [rsp + 16]",
        "mov [rcx + 0x98], rax",
        "mov [rcx + 0xA0], rbp",
        "mov [rcx + 0xA8], rsi",
        "mov [rcx + 0xB0], rdi",
        "mov [rcx + 0xB8], r8",
        "mov [rcx + 0xC0], r9",
        "mov [rcx + 0xC8], r10",
        "mov [rcx + 0xD0], r11",
        "mov [rcx + 0xD8], r12",
        "mov [rcx + 0xE0], r13",
        "mov [rcx + 0xE8], r14",
        "mov [rcx + 0xF0], r15",
        "mov rax, [rsp + 8]",
        "mov [rcx + 0xF8], rax",
        "fxsave64 [rcx + 0x100]",
        "stmxcsr [rcx + {mxcsr}]",
        "mov eax, [rsp]",
        "mov [rcx + {eflags}], eax",
        "mov dword ptr [rcx + {flags}], {all}",
        "mov word ptr [rcx + {cs}], cs",
        "mov word ptr [rcx + {ss}], ss",
        "mov rax, [rcx + 0x78]",
        "popfq",
        "ret",
        mxcsr = const MXCSR,
        eflags = const EFLAGS,
        flags = const FLAGS,
        cs = const CS,
        ss = const SS,
        all = const CONTEXT_ALL_MACHINE,
    )
}

/// Continues with the registers of `context`: all general ones, the flags, and the floating-point state.
///
/// # Safety
/// Everything in the context is a state that this thread can continue in; frames that are left behind need no
/// destructor. The first 0x28 bytes of the context are overwritten.
#[unsafe(naked)]
pub unsafe extern "C" fn restore(context: *mut CONTEXT) -> ! {
    // `iretq` loads rip, rflags and rsp in one instruction, from the context's own parameter homes, so that
    // nothing is written to the stack that is continued on. Selectors are those of this process.
    std::arch::naked_asm!(
        "fxrstor64 [rdi + 0x100]",
        "ldmxcsr [rdi + {mxcsr}]",
        "mov rax, [rdi + 0xF8]",
        "mov [rdi], rax",
        "mov rax, cs",
        "mov [rdi + 0x08], rax",
        "mov eax, [rdi + {eflags}]",
        "and eax, 0x240DD5",
        "or eax, 0x202",
        "mov [rdi + 0x10], rax",
        "mov rax, [rdi + 0x98]",
        "mov [rdi + 0x18], rax",
        "mov rax, ss",
        "mov [rdi + 0x20], rax",
        "mov rax, [rdi + 0x78]",
        "mov rcx, [rdi + 0x80]",
        "mov rdx, [rdi + 0x88]",
        "mov rbx, [rdi + 0x90]",
        "mov rbp, [rdi + 0xA0]",
        "mov rsi, [rdi + 0xA8]",
        "mov r8, [rdi + 0xB8]",
        "mov r9, [rdi + 0xC0]",
        "mov r10, [rdi + 0xC8]",
        "mov r11, [rdi + 0xD0]",
        "mov r12, [rdi + 0xD8]",
        "mov r13, [rdi + 0xE0]",
        "mov r14, [rdi + 0xE8]",
        "mov r15, [rdi + 0xF0]",
        "mov rsp, rdi",
        "mov rdi, [rdi + 0xB0]",
        "iretq",
        mxcsr = const MXCSR,
        eflags = const EFLAGS,
    )
}

/// Takes the picture of the caller.
#[inline(always)]
pub fn capture_here(context: &mut CONTEXT) {
    // SAFETY: a reference is writable and aligned.
    unsafe { capture(context) }
}

/// The general registers of a context, in the order in which instructions number them.
pub fn general(context: &mut CONTEXT) -> &mut [u64; 16] {
    // SAFETY: the sixteen fields from Rax to R15 follow each other in a `repr(C)` structure (asserted above), and
    // the pointer is derived from the whole context.
    unsafe { &mut *(&raw mut *context).cast::<u8>().add(RAX).cast::<[u64; 16]>() }
}

/// The xmm registers of a context.
pub fn vectors(context: &mut CONTEXT) -> &mut [u128; 16] {
    // SAFETY: FXSAVE puts them at 0xA0 of its area, 16-byte aligned; the pointer is derived from the whole context.
    unsafe { &mut *(&raw mut *context).cast::<u8>().add(FLOATS + 0xA0).cast::<[u128; 16]>() }
}

/// What a stop shows of a context.
pub fn registers(context: &CONTEXT) -> Registers {
    let mut copy = *context;
    Registers { general: *general(&mut copy), rip: context.Rip, rflags: u64::from(context.EFlags) }
}

/// The FXSAVE area of a context.
pub fn floats(context: &mut CONTEXT) -> &mut [u8; 512] {
    // SAFETY: the area is 512 bytes of plain data inside of the context (asserted above), which is borrowed whole.
    unsafe { &mut *(&raw mut *context).cast::<u8>().add(FLOATS).cast::<[u8; 512]>() }
}
