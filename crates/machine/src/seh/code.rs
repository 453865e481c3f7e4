//! Exception codes and flags that the machine itself uses, as numbers.

/// The thread touched memory that it may not touch.
pub const ACCESS_VIOLATION: u32 = 0xC000_0005;
/// A page of a file could not be read.
pub const IN_PAGE_ERROR: u32 = 0xC000_0006;
/// The third parameter of [`IN_PAGE_ERROR`] when nothing better is known.
pub const UNEXPECTED_IO_ERROR: u32 = 0xC000_00E9;
/// No such instruction.
pub const ILLEGAL_INSTRUCTION: u32 = 0xC000_001D;
/// A handler continued what cannot be continued.
pub const NONCONTINUABLE_EXCEPTION: u32 = 0xC000_0025;
/// A handler returned an unknown disposition.
pub const INVALID_DISPOSITION: u32 = 0xC000_0026;
/// Frames are being unwound.
pub const UNWIND: u32 = 0xC000_0027;
/// The stack is inconsistent.
pub const BAD_STACK: u32 = 0xC000_0028;
/// The target of an unwind was passed.
pub const INVALID_UNWIND_TARGET: u32 = 0xC000_0029;
/// An index is out of bounds (`bound`).
pub const ARRAY_BOUNDS_EXCEEDED: u32 = 0xC000_008C;
/// SSE or x87: divided by zero.
pub const FLOAT_DIVIDE_BY_ZERO: u32 = 0xC000_008E;
/// SSE or x87: result not exact.
pub const FLOAT_INEXACT_RESULT: u32 = 0xC000_008F;
/// SSE or x87: invalid operation.
pub const FLOAT_INVALID_OPERATION: u32 = 0xC000_0090;
/// SSE or x87: result too large.
pub const FLOAT_OVERFLOW: u32 = 0xC000_0091;
/// SSE or x87: result too small.
pub const FLOAT_UNDERFLOW: u32 = 0xC000_0093;
/// Divided by zero.
pub const INTEGER_DIVIDE_BY_ZERO: u32 = 0xC000_0094;
/// A quotient does not fit, or `into`.
pub const INTEGER_OVERFLOW: u32 = 0xC000_0095;
/// An instruction that this processor forbids.
pub const PRIVILEGED_INSTRUCTION: u32 = 0xC000_0096;
/// `int 2Ch`.
pub const ASSERTION_FAILURE: u32 = 0xC000_0420;
/// Unaligned access with alignment checks on.
pub const DATATYPE_MISALIGNMENT: u32 = 0x8000_0002;
/// `int 3`.
pub const BREAKPOINT: u32 = 0x8000_0003;
/// The trap flag or a debug register.
pub const SINGLE_STEP: u32 = 0x8000_0004;
