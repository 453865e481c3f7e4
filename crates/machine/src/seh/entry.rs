//! Kernel routines that act in the name of their caller.
//!
//! `ExRaiseStatus`, `ProbeForRead`, `RtlUnwindEx` need the registers of the driver's call, as no Rust function can
//! know them. [`raising_entry!`](crate::raising_entry) makes an entry that notes them and leaves an [`Anchor`]: if the Rust routine itself
//! faults, the exception is raised at the driver's call, whose `__try` may take it.

use crate::call::Edge;
use crate::fault::deliver;
use crate::seh::{dispatch, status, unwind_ex};
use crate::stop::StackFrame;
use crate::supervisor::Origin;
use nt_abi::{CONTEXT, EXCEPTION_RECORD};

/// A routine that stands in for its caller: a fault inside of it is raised there.
#[repr(C)]
#[derive(Debug)]
pub struct Anchor {
    /// The next outer one.
    pub(crate) previous: *mut Anchor,
    /// The caller's registers, beside it.
    pub(crate) context: *mut CONTEXT,
    /// The innermost edge at the time: once driver code was called, the routine does not stand in for that.
    pub(crate) edge: *mut Edge,
}

/// Raises an exception at a driver's call, noted by [`raising_entry!`](crate::raising_entry).
///
/// Any IRQL at which the driver may run its handlers. Frames of ours in between are abandoned: the routine must
/// own nothing that needs a destructor.
pub fn raise(record: &EXCEPTION_RECORD, caller: &CONTEXT) -> ! {
    let (mut record, mut caller) = (*record, *caller);
    if dispatch::dispatch(&mut record, &mut caller).is_unhandled() {
        let call_site = Some(StackFrame::at(caller.Rip));
        deliver::unhandled(&record, &caller, &Origin::Kernel { call_site });
    }
    unwind_ex::resume(&mut caller)
}

/// Raises a status as `ExRaiseStatus` does: not continuable, without parameters.
pub fn raise_status(code: u32, caller: &CONTEXT) -> ! {
    let record = EXCEPTION_RECORD {
        ExceptionCode: status(code),
        ExceptionFlags: nt_abi::EXCEPTION_NONCONTINUABLE,
        ExceptionAddress: std::ptr::without_provenance_mut(caller.Rip as usize),
        ..EXCEPTION_RECORD::default()
    };
    raise(&record, caller)
}

/// The registers of the driver's call that the innermost [`raising_entry!`](crate::raising_entry) of this thread
/// stands in for; `None` where no such entry runs, or driver code was called since.
pub fn caller() -> Option<CONTEXT> {
    let private = &crate::processor::attached()?.private;
    // SAFETY: null, or an anchor in a frame of this thread that has not returned.
    let anchor = unsafe { private.anchor.get().as_ref() }?;
    // SAFETY: an anchor's context lies beside it.
    (anchor.edge == private.edge.get()).then(|| unsafe { *anchor.context })
}

/// The parameter with this number (from 1) of the call that `caller` describes; from the fifth on they are on the
/// stack.
pub fn stack_argument(caller: &CONTEXT, number: usize) -> u64 {
    crate::guarded::try_read(caller.Rsp.wrapping_add(8 * (number as u64 - 1))).unwrap_or(0)
}

/// Makes a `win64` entry that notes the registers of its caller and calls a Rust function with them.
///
/// The function has the form `extern "win64" fn(a1, a2, a3, a4, &mut CONTEXT) -> u64`; fewer parameters of the
/// driver's are simply ignored ones, more are read with [`stack_argument`](crate::seh::entry::stack_argument). It
/// returns normally, or calls [`raise`](crate::seh::entry::raise).
#[macro_export]
macro_rules! raising_entry {
    ($(#[$meta:meta])* $visibility:vis fn $name:ident => $implementation:path) => {
        $(#[$meta])*
        ///
        /// # Safety
        /// To be called by driver code, with the parameters that the routine documents.
        #[unsafe(naked)]
        $visibility unsafe extern "win64" fn $name() {
            // From the stack pointer: 0x00 homes, 0x20 fifth parameter, 0x30 anchor, 0x50 context.
            ::std::arch::naked_asm!(
                "sub rsp, 0x528",
                "mov [rsp + 0x50 + 0x78], rax",
                "mov [rsp + 0x50 + 0x80], rcx",
                "mov [rsp + 0x50 + 0x88], rdx",
                "mov [rsp + 0x50 + 0x90], rbx",
                "mov [rsp + 0x50 + 0xA0], rbp",
                "mov [rsp + 0x50 + 0xA8], rsi",
                "mov [rsp + 0x50 + 0xB0], rdi",
                "mov [rsp + 0x50 + 0xB8], r8",
                "mov [rsp + 0x50 + 0xC0], r9",
                "mov [rsp + 0x50 + 0xC8], r10",
                "mov [rsp + 0x50 + 0xD0], r11",
                "mov [rsp + 0x50 + 0xD8], r12",
                "mov [rsp + 0x50 + 0xE0], r13",
                "mov [rsp + 0x50 + 0xE8], r14",
                "mov [rsp + 0x50 + 0xF0], r15",
                "lea rax, [rsp + 0x530]",
                "mov [rsp + 0x50 + 0x98], rax",
                "mov rax, [rsp + 0x528]",
                "mov [rsp + 0x50 + 0xF8], rax",
                "fxsave64 [rsp + 0x50 + 0x100]",
                "stmxcsr [rsp + 0x50 + {mxcsr}]",
                "mov dword ptr [rsp + 0x50 + {flags}], {all}",
                "mov dword ptr [rsp + 0x50 + {eflags}], 0x202",
                "mov rax, gs:[{anchor}]",
                "mov [rsp + 0x30], rax",
                "lea rax, [rsp + 0x50]",
                "mov [rsp + 0x38], rax",
                "mov [rsp + 0x20], rax",
                "mov rax, gs:[{edge}]",
                "mov [rsp + 0x40], rax",
                "lea rax, [rsp + 0x30]",
                "mov gs:[{anchor}], rax",
                "call {implementation}",
                "mov rcx, [rsp + 0x30]",
                "mov gs:[{anchor}], rcx",
                "add rsp, 0x528",
                "ret",
                mxcsr = const $crate::seh::context::MXCSR,
                flags = const $crate::seh::context::FLAGS,
                eflags = const $crate::seh::context::EFLAGS,
                all = const $crate::seh::context::CONTEXT_ALL_MACHINE,
                anchor = const $crate::pcr::ANCHOR_OFFSET,
                edge = const $crate::pcr::EDGE_OFFSET,
                implementation = sym $implementation,
            )
        }
    };
}
