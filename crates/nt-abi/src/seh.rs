//! Structured exception handling: records, contexts, unwind tables.

use crate::NTSTATUS;
use crate::types::PVOID;

nt_struct! {
    /// An exception.
    struct EXCEPTION_RECORD: 0x98 {
        /// An [`NTSTATUS`] for those of the processor.
        0x00 ExceptionCode: NTSTATUS,
        0x04 ExceptionFlags: u32,
        0x08 ExceptionRecord: *mut EXCEPTION_RECORD,
        0x10 ExceptionAddress: PVOID,
        0x18 NumberParameters: u32,
        0x20 ExceptionInformation: [usize; 15],
    }
    /// An exception and the processor's state when it occurred: what filters see.
    struct EXCEPTION_POINTERS: 0x10 {
        0x00 ExceptionRecord: *mut EXCEPTION_RECORD,
        0x08 ContextRecord: *mut CONTEXT,
    }
    /// A 128-bit register.
    #[repr(align(16))]
    struct M128A: 0x10 {
        0x00 Low: u64,
        0x08 High: i64,
    }
    /// The memory image of `fxsave`.
    #[repr(align(16))]
    struct XSAVE_FORMAT: 0x200 {
        0x00 ControlWord: u16,
        0x02 StatusWord: u16,
        0x04 TagWord: u8,
        0x05 Reserved1: u8,
        0x06 ErrorOpcode: u16,
        0x08 ErrorOffset: u32,
        0x0C ErrorSelector: u16,
        0x0E Reserved2: u16,
        0x10 DataOffset: u32,
        0x14 DataSelector: u16,
        0x16 Reserved3: u16,
        0x18 MxCsr: u32,
        0x1C MxCsr_Mask: u32,
        0x20 FloatRegisters: [M128A; 8],
        0xA0 XmmRegisters: [M128A; 16],
        0x1A0 Reserved4: [u8; 96],
    }
    /// The state of a processor.
    #[repr(align(16))]
    struct CONTEXT: 0x4D0 {
        0x00 P1Home: u64,
        0x08 P2Home: u64,
        0x10 P3Home: u64,
        0x18 P4Home: u64,
        0x20 P5Home: u64,
        0x28 P6Home: u64,
        0x30 ContextFlags: u32,
        0x34 MxCsr: u32,
        0x38 SegCs: u16,
        0x3A SegDs: u16,
        0x3C SegEs: u16,
        0x3E SegFs: u16,
        0x40 SegGs: u16,
        0x42 SegSs: u16,
        0x44 EFlags: u32,
        0x48 Dr0: u64,
        0x50 Dr1: u64,
        0x58 Dr2: u64,
        0x60 Dr3: u64,
        0x68 Dr6: u64,
        0x70 Dr7: u64,
        0x78 Rax: u64,
        0x80 Rcx: u64,
        0x88 Rdx: u64,
        0x90 Rbx: u64,
        0x98 Rsp: u64,
        0xA0 Rbp: u64,
        0xA8 Rsi: u64,
        0xB0 Rdi: u64,
        0xB8 R8: u64,
        0xC0 R9: u64,
        0xC8 R10: u64,
        0xD0 R11: u64,
        0xD8 R12: u64,
        0xE0 R13: u64,
        0xE8 R14: u64,
        0xF0 R15: u64,
        0xF8 Rip: u64,
        /// Its `XmmRegisters` are the `Xmm0` … `Xmm15` of the header, at 0x1A0.
        0x100 FltSave: XSAVE_FORMAT,
        0x300 VectorRegister: [M128A; 26],
        0x4A0 VectorControl: u64,
        0x4A8 DebugControl: u64,
        0x4B0 LastBranchToRip: u64,
        0x4B8 LastBranchFromRip: u64,
        0x4C0 LastExceptionToRip: u64,
        0x4C8 LastExceptionFromRip: u64,
    }
    /// An entry of a function table: offsets from the image's base.
    #[derive(PartialEq, Eq)]
    struct RUNTIME_FUNCTION: 0x0C {
        0x00 BeginAddress: u32,
        0x04 EndAddress: u32,
        /// Bit 0: the offset of another entry, not of unwind information.
        0x08 UnwindInfoAddress: u32,
    }
    /// What unwind information begins with; the codes follow, then the handler or a chained entry.
    struct UNWIND_INFO_HEADER: 0x04 {
        /// Version in bits 2-0, `UNW_FLAG_…` in bits 7-3.
        0x00 VersionAndFlags: u8,
        0x01 SizeOfProlog: u8,
        0x02 CountOfCodes: u8,
        /// Register in bits 3-0, its offset in units of 16 in bits 7-4.
        0x03 FrameRegisterAndOffset: u8,
    }
    /// One step of a prologue.
    struct UNWIND_CODE: 0x02 {
        0x00 CodeOffset: u8,
        /// `UWOP_…` in bits 3-0, information in bits 7-4.
        0x01 OpAndInfo: u8,
    }
    /// What language handlers are given of the frame they belong to.
    struct DISPATCHER_CONTEXT: 0x50 {
        0x00 ControlPc: u64,
        0x08 ImageBase: u64,
        0x10 FunctionEntry: *mut RUNTIME_FUNCTION,
        0x18 EstablisherFrame: u64,
        0x20 TargetIp: u64,
        0x28 ContextRecord: *mut CONTEXT,
        0x30 LanguageHandler: PEXCEPTION_ROUTINE,
        0x38 HandlerData: PVOID,
        0x40 HistoryTable: PVOID,
        0x48 ScopeIndex: u32,
        0x4C Fill0: u32,
    }
    /// One `__try` of a C function: offsets from the image's base.
    struct SCOPE_TABLE_ENTRY: 0x10 {
        0x00 BeginAddress: u32,
        0x04 EndAddress: u32,
        /// The filter or termination handler; 1 means "always handle".
        0x08 HandlerAddress: u32,
        /// Where an `__except` continues; 0 for a `__finally`.
        0x0C JumpTarget: u32,
    }
    /// Handler data of `__C_specific_handler`; `Count` entries.
    struct SCOPE_TABLE: 0x14 {
        0x00 Count: u32,
        0x04 ScopeRecord: [SCOPE_TABLE_ENTRY; 1],
    }
    /// Where a nonvolatile register was saved; each may be null.
    struct KNONVOLATILE_CONTEXT_POINTERS: 0x100 {
        0x00 FloatingContext: [*mut M128A; 16],
        0x80 IntegerContext: [*mut u64; 16],
    }
    /// A trap frame as stops refer to it: the part that reports read.
    struct KTRAP_FRAME: 0x190 {
        0x00 P1Home: u64,
        0x08 P2Home: u64,
        0x10 P3Home: u64,
        0x18 P4Home: u64,
        0x20 P5: u64,
        0x28 PreviousMode: i8,
        0x29 PreviousIrql: u8,
        0x2A FaultIndicator: u8,
        0x2B ExceptionActive: u8,
        0x2C MxCsr: u32,
        0x30 Rax: u64,
        0x38 Rcx: u64,
        0x40 Rdx: u64,
        0x48 R8: u64,
        0x50 R9: u64,
        0x58 R10: u64,
        0x60 R11: u64,
        0x68 GsBase: u64,
        0x70 Xmm: [M128A; 6],
        0xD0 FaultAddress: u64,
        0xD8 Dr: [u64; 6],
        0x108 DebugControl: u64,
        0x110 LastBranchToRip: u64,
        0x118 LastBranchFromRip: u64,
        0x120 LastExceptionToRip: u64,
        0x128 LastExceptionFromRip: u64,
        0x130 SegDs: u16,
        0x132 SegEs: u16,
        0x134 SegFs: u16,
        0x136 SegGs: u16,
        0x138 TrapFrame: u64,
        0x140 Rbx: u64,
        0x148 Rdi: u64,
        0x150 Rsi: u64,
        0x158 Rbp: u64,
        0x160 ErrorCode: u64,
        0x168 Rip: u64,
        0x170 SegCs: u16,
        0x172 Fill1: [u16; 3],
        0x178 EFlags: u32,
        0x180 Rsp: u64,
        0x188 SegSs: u16,
    }
}

/// A language handler: exception, establisher frame, context, dispatcher context.
pub type PEXCEPTION_ROUTINE = Option<
    unsafe extern "win64" fn(
        *mut EXCEPTION_RECORD,
        PVOID,
        *mut CONTEXT,
        *mut DISPATCHER_CONTEXT,
    ) -> EXCEPTION_DISPOSITION,
>;
/// An `__except` filter: exception and establisher frame.
pub type PEXCEPTION_FILTER = Option<unsafe extern "win64" fn(*mut EXCEPTION_POINTERS, PVOID) -> i32>;
/// A `__finally` block: whether the block was left abnormally, and establisher frame.
pub type PTERMINATION_HANDLER = Option<unsafe extern "win64" fn(u8, PVOID)>;

/// What a language handler answers.
pub type EXCEPTION_DISPOSITION = u32;
nt_consts! { "`EXCEPTION_DISPOSITION`", EXCEPTION_DISPOSITION, fn exception_disposition_name;
    ExceptionContinueExecution = 0,
    ExceptionContinueSearch = 1,
    ExceptionNestedException = 2,
    ExceptionCollidedUnwind = 3,
}

nt_consts! { "Answer of a filter", i32;
    EXCEPTION_EXECUTE_HANDLER = 1,
    EXCEPTION_CONTINUE_SEARCH = 0,
    EXCEPTION_CONTINUE_EXECUTION = -1,
}

nt_consts! { "`EXCEPTION_RECORD::ExceptionFlags`", u32;
    EXCEPTION_NONCONTINUABLE = 0x01,
    EXCEPTION_UNWINDING = 0x02,
    EXCEPTION_EXIT_UNWIND = 0x04,
    EXCEPTION_STACK_INVALID = 0x08,
    EXCEPTION_NESTED_CALL = 0x10,
    EXCEPTION_TARGET_UNWIND = 0x20,
    EXCEPTION_COLLIDED_UNWIND = 0x40,
    /// Any of the four of an unwind.
    EXCEPTION_UNWIND = 0x66,
    EXCEPTION_SOFTWARE_ORIGINATE = 0x80,
}

/// Entries of [`EXCEPTION_RECORD::ExceptionInformation`].
pub const EXCEPTION_MAXIMUM_PARAMETERS: usize = 15;

nt_consts! { "First parameter of `STATUS_ACCESS_VIOLATION`", usize;
    EXCEPTION_READ_FAULT = 0,
    EXCEPTION_WRITE_FAULT = 1,
    EXCEPTION_EXECUTE_FAULT = 8,
}

nt_consts! { "`CONTEXT::ContextFlags`", u32;
    CONTEXT_AMD64 = 0x0010_0000,
    CONTEXT_CONTROL = 0x0010_0001,
    CONTEXT_INTEGER = 0x0010_0002,
    CONTEXT_SEGMENTS = 0x0010_0004,
    CONTEXT_FLOATING_POINT = 0x0010_0008,
    CONTEXT_DEBUG_REGISTERS = 0x0010_0010,
    CONTEXT_FULL = 0x0010_000B,
    CONTEXT_ALL = 0x0010_001F,
    CONTEXT_XSTATE = 0x0010_0040,
}

nt_consts! { "Flag of unwind information", u32;
    UNW_FLAG_NHANDLER = 0,
    UNW_FLAG_EHANDLER = 1,
    UNW_FLAG_UHANDLER = 2,
    UNW_FLAG_CHAININFO = 4,
}

nt_consts! { "Unwind operation", u8, fn unwind_operation_name;
    UWOP_PUSH_NONVOL = 0,
    UWOP_ALLOC_LARGE = 1,
    UWOP_ALLOC_SMALL = 2,
    UWOP_SET_FPREG = 3,
    UWOP_SAVE_NONVOL = 4,
    UWOP_SAVE_NONVOL_FAR = 5,
    UWOP_EPILOG = 6,
    UWOP_SPARE_CODE = 7,
    UWOP_SAVE_XMM128 = 8,
    UWOP_SAVE_XMM128_FAR = 9,
    UWOP_PUSH_MACHFRAME = 10,
}
