//! Structured exception handling over the tables of driver images.
//!
//! ```text
//!   table        which function does an address belong to?          (RUNTIME_FUNCTION)
//!   unwind       one frame back: prologue codes, epilogues          (RtlVirtualUnwind)
//!   dispatch     first phase: who wants this exception?             (RtlDispatchException)
//!   unwind_ex    second phase: clean up to the one who wanted it    (RtlUnwindEx)
//!   c_specific   the handler of __try, __except, __finally          (__C_specific_handler)
//!   entry        kernel routines that raise at their caller
//!   context      taking registers, continuing with registers
//!   walk         the stack of a stop
//!   exports      the routines of ntoskrnl about all that
//! ```
//!
//! Frames of ours lie between those of drivers, and no table describes them. They are crossed by the edges that
//! every call into driver code leaves ([`crate::call`]): at an edge made for an exception handler the search goes
//! on at the exception that is being handled (a nested exception), at one made for a termination handler at the
//! frame that is being unwound (a collided unwind), and at an ordinary one it ends: nobody unwinds our frames.

pub mod c_specific;
pub mod code;
pub mod context;
pub mod dispatch;
pub mod entry;
mod epilogue;
pub mod exports;
pub mod table;
pub mod unwind;
pub mod unwind_ex;
pub mod walk;

use crate::call::{EDGE_HANDLER, EDGE_UNWIND, Edge, edge_call4};
use crate::pcr::Kpcr;
use nt_abi::{CONTEXT, DISPATCHER_CONTEXT, EXCEPTION_RECORD, NTSTATUS};

/// Exception raised for a frame walk that does not end: more frames than any kernel stack holds.
const MAX_FRAMES: usize = 4096;
/// Exceptions in handlers of exceptions, one in the other, until the innermost counts as unhandled.
const MAX_NESTING: usize = 16;

/// The code of a record as the number that documents show.
pub fn record_code(record: &EXCEPTION_RECORD) -> u32 {
    record.ExceptionCode.as_u32()
}

/// A number as the type of a record's code.
pub(crate) fn status(code: u32) -> NTSTATUS {
    NTSTATUS::from_u32(code)
}

/// What a handler answers.
mod disposition {
    pub(crate) const CONTINUE_EXECUTION: u64 = 0;
    pub(crate) const CONTINUE_SEARCH: u64 = 1;
    pub(crate) const NESTED_EXCEPTION: u64 = 2;
    pub(crate) const COLLIDED_UNWIND: u64 = 3;
}

/// The address of a language handler as its type.
fn handler_routine(address: u64) -> nt_abi::PEXCEPTION_ROUTINE {
    // SAFETY: an optional function pointer may hold any address; it is called nowhere by this type.
    unsafe { std::mem::transmute::<usize, nt_abi::PEXCEPTION_ROUTINE>(address as usize) }
}

/// What is going on while a handler runs; its edge points here.
#[derive(Debug)]
struct Active {
    /// For an exception handler: the registers of the exception. For a termination handler: those of the frame
    /// that is being unwound.
    origin: *const CONTEXT,
    /// The frame whose handler runs.
    frame: u64,
    /// What the handler was told.
    dispatcher: *mut DISPATCHER_CONTEXT,
}

/// Calls a language handler through an edge that says why.
///
/// # Safety
/// All pointers are valid for the call, and the handler is code of the image that names it.
unsafe fn call_handler(
    handler: u64,
    kind: u64,
    active: &Active,
    record: *mut EXCEPTION_RECORD,
    context: *mut CONTEXT,
) -> u64 {
    let data = std::ptr::from_ref(active).cast_mut().cast();
    let (record, context) = (record.expose_provenance() as u64, context.expose_provenance() as u64);
    let dispatcher = active.dispatcher.expose_provenance() as u64;
    // SAFETY: promised by the caller.
    let answer =
        unsafe { edge_call4(record, active.frame, context, dispatcher, handler as usize, kind, data) };
    // An `int` of C: what is above it in rax means nothing.
    answer & 0xFFFF_FFFF
}

/// What a walk finds when it arrives where driver frames end.
enum Border {
    /// Not there yet.
    None,
    /// An ordinary call: the end.
    Call,
    /// An exception handler: go on with the exception's registers.
    Handler(&'static Active),
    /// A termination handler: go on with the frame's registers.
    Unwind(&'static Active),
}

/// Where on the way out a walk is.
struct Borders {
    edge: *mut Edge,
}

impl Borders {
    fn here() -> Borders {
        Borders { edge: Kpcr::current().private.edge.get() }
    }

    /// Whether the frames that end at the stack pointer `rsp` were called from an edge, and from which kind. The
    /// edges up to the registers that the walk goes on with are passed.
    fn at(&mut self, rsp: u64) -> Border {
        if self.edge.is_null() {
            return Border::Call;
        }
        if Edge::stack_pointer(self.edge) != rsp {
            return Border::None;
        }
        self.pass()
    }

    /// Whether a call into driver code was made with this stack pointer.
    fn has(&self, rsp: u64) -> bool {
        let mut at = self.edge;
        // SAFETY: edges lie in frames of this thread that have not returned.
        while let Some(edge) = unsafe { at.as_ref() } {
            if Edge::stack_pointer(edge) == rsp {
                return true;
            }
            at = edge.previous;
        }
        false
    }

    /// Passes the innermost edge as if the walk had arrived there.
    fn pass(&mut self) -> Border {
        // SAFETY: edges lie in frames of this thread that have not returned.
        let Some(edge) = (unsafe { self.edge.as_ref() }) else { return Border::Call };
        let kind = edge.kind;
        if kind != EDGE_HANDLER && kind != EDGE_UNWIND {
            return Border::Call;
        }
        // SAFETY: for these two kinds the data is an `Active` in the frame of a dispatch that waits for its handler.
        let Some(active) = (unsafe { edge.data.cast::<Active>().as_ref() }) else { return Border::Call };
        // SAFETY: an active dispatch keeps the registers it goes on with.
        let rsp = unsafe { (*active.origin).Rsp };
        self.drop_below(rsp);
        if kind == EDGE_HANDLER { Border::Handler(active) } else { Border::Unwind(active) }
    }

    /// Goes on beyond an ordinary call, for those who only look; `false` when it was the outermost.
    fn leave_call(&mut self) -> bool {
        // SAFETY: edges lie in frames of this thread that have not returned.
        if let Some(edge) = unsafe { self.edge.as_ref() } {
            self.edge = edge.previous;
        }
        !self.edge.is_null()
    }

    /// Forgets the edges of frames below a stack pointer.
    fn drop_below(&mut self, rsp: u64) {
        // SAFETY: edges lie in frames of this thread that have not returned.
        while let Some(edge) = unsafe { self.edge.as_ref() }
            && (self.edge.addr() as u64) < rsp
        {
            self.edge = edge.previous;
        }
    }

    /// How many handlers of exceptions are running.
    fn nesting(&self) -> usize {
        let (mut count, mut at) = (0, self.edge);
        // SAFETY: edges lie in frames of this thread that have not returned.
        while let Some(edge) = unsafe { at.as_ref() } {
            count += usize::from(edge.kind == EDGE_HANDLER || edge.kind == EDGE_UNWIND);
            at = edge.previous;
        }
        count
    }
}

/// Whether a frame lies on this thread's stack, as every frame must.
fn is_frame(frame: u64) -> bool {
    let (low, high) = Kpcr::current().stack_limits();
    frame.is_multiple_of(8) && (low as u64..high as u64).contains(&frame)
}
