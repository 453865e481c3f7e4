//! The edge: where Rust calls driver code.
//!
//! A call goes through a trampoline that saves the registers which the Microsoft ABI says a callee
//! keeps, and leaves an `Edge` on the stack. The edges of a thread form a list (`gs:[…]` → innermost),
//! which tells exception dispatch where driver frames end, and which proves on return that the driver
//! gave back the stack pointer and the registers as it got them. A call costs no system call, no lock
//! and no allocation.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;

use crate::pcr::{EDGE_OFFSET, Kpcr};
use crate::processor::attached;
use crate::seh::entry::Anchor;
use crate::stop::{BugCheck, stop_at_edge};

/// An edge that driver code was called through as such.
pub(crate) const EDGE_CALL: u64 = 0;
/// An edge that an exception handler or filter was called through.
pub(crate) const EDGE_HANDLER: u64 = 1;
/// An edge that a termination handler was called through while unwinding.
pub(crate) const EDGE_UNWIND: u64 = 2;

/// What a trampoline leaves on the stack, 0x30 bytes above the stack pointer that it calls with.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Edge {
    /// The next outer edge.
    pub(crate) previous: *mut Edge,
    /// One of the `EDGE_` constants.
    pub(crate) kind: u64,
    /// For the kinds of exception dispatch: its state.
    pub(crate) data: *mut c_void,
    reserved: u64,
    /// rbx, rbp, rsi, rdi, r12, r13, r14, r15 as the driver got them.
    saved: [u64; 8],
}

/// From the stack pointer at the call to the edge.
const EDGE_FROM_RSP: usize = 0x30;

impl Edge {
    /// The stack pointer that a frame has once it returned to this edge.
    pub(crate) fn stack_pointer(edge: *const Edge) -> u64 {
        edge.addr() as u64 - EDGE_FROM_RSP as u64
    }
}

/// The body that both trampolines share, around the instructions that fetch function, kind and data.
macro_rules! trampoline {
    ($($load:literal),* $(,)?) => {
        std::arch::naked_asm!(
            "sub rsp, 0x98",
            "mov [rsp + 0x50], rbx",
            "mov [rsp + 0x58], rbp",
            "mov [rsp + 0x60], rsi",
            "mov [rsp + 0x68], rdi",
            "mov [rsp + 0x70], r12",
            "mov [rsp + 0x78], r13",
            "mov [rsp + 0x80], r14",
            "mov [rsp + 0x88], r15",
            "mov rax, gs:[{edge}]",
            "mov [rsp + 0x30], rax",
            $($load,)*
            "lea rax, [rsp + 0x30]",
            "mov gs:[{edge}], rax",
            "call r10",
            // Nothing is believed before the stack pointer is known to be the one of the call.
            "lea r10, [rsp + 0x30]",
            "cmp r10, gs:[{edge}]",
            "jne 2f",
            "cmp rbx, [rsp + 0x50]",
            "jne 2f",
            "cmp rbp, [rsp + 0x58]",
            "jne 2f",
            "cmp rsi, [rsp + 0x60]",
            "jne 2f",
            "cmp rdi, [rsp + 0x68]",
            "jne 2f",
            "cmp r12, [rsp + 0x70]",
            "jne 2f",
            "cmp r13, [rsp + 0x78]",
            "jne 2f",
            "cmp r14, [rsp + 0x80]",
            "jne 2f",
            "cmp r15, [rsp + 0x88]",
            "jne 2f",
            "mov r10, [rsp + 0x30]",
            "mov gs:[{edge}], r10",
            "add rsp, 0x98",
            "ret",
            "2:",
            "mov r9, rsp",
            "mov rcx, gs:[{edge}]",
            "lea rsp, [rcx - 0x30]",
            "call {broken}",
            "ud2",
            edge = const EDGE_OFFSET,
            broken = sym edge_broken,
        )
    };
}

/// Calls `function` with four arguments through an edge of the given kind.
#[unsafe(naked)]
pub(crate) unsafe extern "win64" fn edge_call4(
    a1: u64,
    a2: u64,
    a3: u64,
    a4: u64,
    function: usize,
    kind: u64,
    data: *mut c_void,
) -> u64 {
    trampoline!(
        "mov r10, [rsp + 0xC0]",
        "mov rax, [rsp + 0xC8]",
        "mov [rsp + 0x38], rax",
        "mov rax, [rsp + 0xD0]",
        "mov [rsp + 0x40], rax",
    )
}

/// Calls `function` with three arguments: the one that notifications use.
#[unsafe(naked)]
unsafe extern "win64" fn edge_call3(a1: u64, a2: u64, a3: u64, function: usize) -> u64 {
    trampoline!("mov r10, r9", "mov qword ptr [rsp + 0x38], 0")
}

/// Calls `function` with three arguments, and writes the stack pointer that it is called with to `entry`.
#[unsafe(naked)]
pub(crate) unsafe extern "win64" fn edge_call3_noting(
    a1: u64,
    a2: u64,
    a3: u64,
    function: usize,
    entry: *mut usize,
) -> u64 {
    trampoline!("mov r10, r9", "mov qword ptr [rsp + 0x38], 0", "mov rax, [rsp + 0xC0]", "mov [rax], rsp",)
}

/// Calls `function` with six arguments.
#[unsafe(naked)]
unsafe extern "win64" fn edge_call6(
    a1: u64,
    a2: u64,
    a3: u64,
    a4: u64,
    a5: u64,
    a6: u64,
    function: usize,
) -> u64 {
    trampoline!(
        "mov rax, [rsp + 0xC0]",
        "mov [rsp + 0x20], rax",
        "mov rax, [rsp + 0xC8]",
        "mov [rsp + 0x28], rax",
        "mov r10, [rsp + 0xD0]",
        "mov qword ptr [rsp + 0x38], 0",
    )
}

/// The driver came back with another stack pointer or without a register that it had to keep.
extern "win64" fn edge_broken(edge: *const Edge, _a2: u64, _a3: u64, returned_rsp: u64) -> ! {
    // SAFETY: the innermost edge of this thread; its frame has not been left.
    let (previous, function_return) = unsafe { ((*edge).previous, Edge::stack_pointer(edge)) };
    Kpcr::current().private.edge.set(previous);
    const STATUS_BAD_STACK: u64 = 0xC000_0028;
    const KMODE_EXCEPTION_NOT_HANDLED: u32 = 0x1E;
    let check = BugCheck {
        code: KMODE_EXCEPTION_NOT_HANDLED,
        parameters: [STATUS_BAD_STACK, 0, returned_rsp, function_return],
    };
    stop_at_edge(check, function_return)
}

/// Calls driver code with up to six arguments of integer or pointer type; answers what it left in rax.
///
/// # Safety
/// The thread is attached; `function` is the address of code with the Microsoft x64 ABI; the arguments are what
/// it expects. Rust frames below an exception or [`abandon`] are left without running destructors.
#[inline]
pub unsafe fn call_driver(function: usize, arguments: [u64; 6]) -> u64 {
    let [a1, a2, a3, a4, a5, a6] = arguments;
    // SAFETY: promised by the caller.
    unsafe { edge_call6(a1, a2, a3, a4, a5, a6, function) }
}

/// [`call_driver`] with one argument.
///
/// # Safety
/// See [`call_driver`].
#[inline]
pub unsafe fn call1(function: usize, a1: u64) -> u64 {
    // SAFETY: promised by the caller.
    unsafe { edge_call3(a1, 0, 0, function) }
}

/// [`call_driver`] with two arguments.
///
/// # Safety
/// See [`call_driver`].
#[inline]
pub unsafe fn call2(function: usize, a1: u64, a2: u64) -> u64 {
    // SAFETY: promised by the caller.
    unsafe { edge_call3(a1, a2, 0, function) }
}

/// [`call_driver`] with three arguments: what process, thread and image routines take.
///
/// # Safety
/// See [`call_driver`].
#[inline]
pub unsafe fn call3(function: usize, a1: u64, a2: u64, a3: u64) -> u64 {
    // SAFETY: promised by the caller.
    unsafe { edge_call3(a1, a2, a3, function) }
}

/// [`call_driver`] with four arguments.
///
/// # Safety
/// See [`call_driver`].
#[inline]
pub unsafe fn call4(function: usize, a1: u64, a2: u64, a3: u64, a4: u64) -> u64 {
    // SAFETY: promised by the caller.
    unsafe { edge_call4(a1, a2, a3, a4, function, EDGE_CALL, ptr::null_mut()) }
}

/// Whether driver code is on this thread's stack.
pub fn inside_driver_call() -> bool {
    attached().is_some_and(|kpcr| !kpcr.private.edge.get().is_null())
}

/// The stack pointer that the innermost call into driver code was made with; `None` outside of any. What a driver uses of
/// the stack lies below it.
pub fn entry() -> Option<usize> {
    let edge = attached()?.private.edge.get();
    (!edge.is_null()).then(|| edge.addr() - EDGE_FROM_RSP)
}

/// Where [`abandon`] continues; lives in the frame of [`run_abandonable`].
#[derive(Debug)]
pub(crate) struct AbandonPoint {
    rsp: u64,
    value: u64,
    previous: *mut AbandonPoint,
    edge: *mut Edge,
    anchor: *mut Anchor,
}

/// Runs `body`; [`abandon`] called anywhere below ends it at once.
///
/// The way out for what never returns on NT: a system thread that terminates itself inside of driver code,
/// and a stop in a test. A panic of `body` is passed on. The thread must be attached.
///
/// # Errors
/// The value given to [`abandon`]. The frames in between are simply gone: nothing in them was dropped.
pub fn run_abandonable<R>(body: impl FnOnce() -> R) -> Result<R, u64> {
    struct Run<F, R> {
        body: Option<F>,
        result: Option<std::thread::Result<R>>,
    }
    extern "C" fn run<F: FnOnce() -> R, R>(data: *mut c_void) {
        // SAFETY: `enter` passes on the pointer given to it below.
        let data = unsafe { &mut *data.cast::<Run<F, R>>() };
        if let Some(body) = data.body.take() {
            data.result = Some(catch_unwind(AssertUnwindSafe(body)));
        }
    }
    fn runner<F: FnOnce() -> R, R>(_: &Run<F, R>) -> extern "C" fn(*mut c_void) {
        run::<F, R>
    }

    let mut data = Run { body: Some(body), result: None };
    let private = &Kpcr::current().private;
    let mut point = AbandonPoint {
        rsp: 0,
        value: 0,
        previous: private.abandon.get(),
        edge: private.edge.get(),
        anchor: private.anchor.get(),
    };
    let point_pointer = &raw mut point;
    private.abandon.set(point_pointer);
    let runner = runner(&data);
    // SAFETY: the body's code and data match, and the point lives until `enter` has returned.
    let abandoned = unsafe { enter(runner, (&raw mut data).cast(), point_pointer) } != 0;
    // SAFETY: `point` is a local; it is read through the pointer because `abandon` wrote through it.
    let (previous, value) = unsafe { ((*point_pointer).previous, (*point_pointer).value) };
    private.abandon.set(previous);
    if abandoned {
        return Err(value);
    }
    match data.result.take() {
        Some(Ok(result)) => Ok(result),
        Some(Err(panic)) => resume_unwind(panic),
        None => Err(value),
    }
}

/// Goes back to the innermost [`run_abandonable`], which then answers `Err(value)`.
///
/// IRQL and the current driver stay as they are. Returns only when there is no such call.
pub fn abandon(value: u64) {
    let Some(kpcr) = attached() else { return };
    let private = &kpcr.private;
    // SAFETY: null, or a point in a frame of this thread that has not returned.
    let Some(point) = (unsafe { private.abandon.get().as_mut() }) else { return };
    point.value = value;
    private.edge.set(point.edge);
    private.anchor.set(point.anchor);
    // SAFETY: the frame of `enter` is still on the stack, above everything that is left behind.
    unsafe { leave(point.rsp) }
}

/// Calls `body(data)` after noting the stack pointer in `point.rsp`; 0 when it returned, 1 after [`leave`].
#[unsafe(naked)]
unsafe extern "C" fn enter(
    body: extern "C" fn(*mut c_void),
    data: *mut c_void,
    point: *mut AbandonPoint,
) -> u64 {
    std::arch::naked_asm!(
        "push rbp", "push rbx", "push r12", "push r13", "push r14", "push r15", "sub rsp, 8",
        "mov [rdx + {rsp}], rsp",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "xor eax, eax",
        "add rsp, 8", "pop r15", "pop r14", "pop r13", "pop r12", "pop rbx", "pop rbp",
        "ret",
        rsp = const std::mem::offset_of!(AbandonPoint, rsp),
    )
}

#[unsafe(naked)]
unsafe extern "C" fn leave(rsp: u64) -> ! {
    std::arch::naked_asm!(
        "mov rsp, rdi",
        "cld",
        "mov eax, 1",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}
