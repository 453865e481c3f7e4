//! Raising, handling and unwinding exceptions: the machine's routines under their names.

use machine::seh::{c_specific, context, exports, unwind_ex, walk};
use nt_abi::{CONTEXT, STATUS_ACCESS_VIOLATION, STATUS_DATATYPE_MISALIGNMENT};

use super::alias::alias;

/// Raises an exception with `status` in the driver that called: at its call where the routine was entered through
/// [`machine::raising_entry`], where a `__try` of the driver's may take it; else it is the stop for an exception that
/// nobody handled.
pub(crate) fn raise_status(status: u32) -> ! {
    /// KMODE_EXCEPTION_NOT_HANDLED
    const NOT_HANDLED: u32 = 0x1E;
    match machine::seh::entry::caller() {
        Some(caller) => machine::seh::entry::raise_status(status, &caller),
        None => machine::bug_check(NOT_HANDLED, status.into(), 0, 0, 0),
    }
}

alias! {
    "__C_specific_handler", ANY, Win2000, "Handles exceptions for functions of C with __try",
        ["record": "* mut EXCEPTION_RECORD", "frame": "u64", "context": "* mut CONTEXT", "dispatcher": "* mut DISPATCHER_CONTEXT"]
        => c_specific::c_specific_handler;
    "RtlCaptureContext", ANY, Xp, "Stores the caller's registers", ["context": "* mut CONTEXT"] => context::capture;
    "RtlRestoreContext", ANY, Xp, "Continues with other registers",
        ["context": "* const CONTEXT", "record": "* mut EXCEPTION_RECORD"] => unwind_ex::rtl_restore_context;
    "RtlUnwind", ANY, Win2000, "Unwinds the stack to a frame",
        ["frame": "u64", "ip": "u64", "record": "* const EXCEPTION_RECORD", "value": "u64"] => unwind_ex::rtl_unwind_ex;
    "RtlUnwindEx", ANY, Xp, "Unwinds the stack to a frame, with a history table",
        ["frame": "u64", "ip": "u64", "record": "* const EXCEPTION_RECORD", "value": "u64", "context": "* mut CONTEXT", "history": "* mut c_void"]
        => unwind_ex::rtl_unwind_ex;
    "RtlLookupFunctionEntry", ANY, Xp, "Returns the unwind table entry of the function at an address",
        ["pc": "u64", "image_base": "* mut u64", "history": "* mut c_void"] => exports::rtl_lookup_function_entry;
    "RtlVirtualUnwind", ANY, Xp, "Undoes one frame in a copy of the registers",
        ["handler_type": "u32", "image_base": "u64", "pc": "u64", "entry": "* const RUNTIME_FUNCTION"] => exports::rtl_virtual_unwind;
    "RtlPcToFileHeader", ANY, Win2000, "Returns the base of the image that an address lies in",
        ["pc": "usize", "base": "* mut * mut c_void"] => exports::rtl_pc_to_file_header;
    "_local_unwind", ANY, Xp, "Leaves __try blocks by a jump", ["frame": "u64", "ip": "u64"] => exports::local_unwind;
    "RtlCaptureStackBackTrace", DISPATCH, Xp, "Stores the return addresses of the callers",
        ["skip": "u32", "count": "u32", "trace": "* mut * mut c_void", "hash": "* mut u32"] => exports::rtl_capture_stack_back_trace;
    "RtlRaiseException", ANY, Win2000, "Raises an exception in the driver that calls", ["record": "* mut EXCEPTION_RECORD"]
        => exports::rtl_raise_exception;
    "RtlRaiseStatus", ANY, Win2000, "Raises a status as an exception that cannot be continued", ["status": "NTSTATUS"]
        => exports::ex_raise_status;
    "ExRaiseStatus", ANY, Win2000, "Raises a status as an exception that cannot be continued", ["status": "NTSTATUS"]
        => exports::ex_raise_status;
}

extern "win64" fn raise_access_violation(
    _a1: u64,
    _a2: u64,
    _a3: u64,
    _a4: u64,
    caller: &mut CONTEXT,
) -> u64 {
    machine::seh::entry::raise_status(STATUS_ACCESS_VIOLATION.as_u32(), caller)
}

extern "win64" fn raise_misalignment(_a1: u64, _a2: u64, _a3: u64, _a4: u64, caller: &mut CONTEXT) -> u64 {
    machine::seh::entry::raise_status(STATUS_DATATYPE_MISALIGNMENT.as_u32(), caller)
}

machine::raising_entry! {
    /// Raises STATUS_ACCESS_VIOLATION. Source: DDI.
    #[export_macro::export(irql any)]
    pub fn ExRaiseAccessViolation => raise_access_violation
}

machine::raising_entry! {
    /// Raises STATUS_DATATYPE_MISALIGNMENT. Source: DDI.
    #[export_macro::export(irql any)]
    pub fn ExRaiseDatatypeMisalignment => raise_misalignment
}

/// `RtlWalkFrameChain(callers, count, flags)`: the callers' return addresses; flag 1 asks for user frames, which a
/// thread has none of here. The upper flags say how many frames to skip.
extern "win64" fn walk_frames(callers: u64, count: u64, flags: u64, _a4: u64, caller: &mut CONTEXT) -> u64 {
    const USER_FRAMES: u64 = 1;
    let [count, flags] = [count, flags].map(|value| value & 0xFFFF_FFFF);
    if flags & USER_FRAMES != 0 {
        return 0;
    }
    let skip = usize::try_from(flags >> 8).unwrap_or(0);
    let mut written = 0;
    for frame in walk::stack(caller).iter().skip(skip).take(usize::try_from(count).unwrap_or(0)) {
        // SAFETY: the driver's array; a bad address is an error.
        if unsafe { machine::guarded::try_write(callers + 8 * written, frame.address) }.is_err() {
            break;
        }
        written += 1;
    }
    written
}

machine::raising_entry! {
    /// Stores the return addresses of the callers and returns how many there were. Source: public symbol lists.
    #[export_macro::export(irql <= DISPATCH)]
    pub fn RtlWalkFrameChain => walk_frames
}

/// Raises a breakpoint at the driver's call: nobody debugs here, so one that the driver does not handle stops.
fn break_at(caller: &CONTEXT) -> ! {
    let record = nt_abi::EXCEPTION_RECORD {
        ExceptionCode: nt_abi::STATUS_BREAKPOINT,
        ExceptionAddress: std::ptr::without_provenance_mut(usize::try_from(caller.Rip).unwrap_or(0)),
        NumberParameters: 1,
        ..nt_abi::EXCEPTION_RECORD::default()
    };
    machine::seh::entry::raise(&record, caller)
}

extern "win64" fn break_point(_a1: u64, _a2: u64, _a3: u64, _a4: u64, caller: &mut CONTEXT) -> u64 {
    break_at(caller)
}

machine::raising_entry! {
    /// Breaks into the kernel debugger, which nobody has attached: an exception. Source: DDI.
    #[export_macro::export(irql any)]
    pub fn DbgBreakPoint => break_point
}

machine::raising_entry! {
    /// Breaks into the kernel debugger with a status, as `DbgBreakPoint`. Source: DDI.
    #[export_macro::export(irql any)]
    pub fn DbgBreakPointWithStatus => break_point
}

extern "win64" fn assert_failed(
    assertion: u64,
    file: u64,
    line: u64,
    message: u64,
    caller: &mut CONTEXT,
) -> u64 {
    let arguments = [assertion, file, line & 0xFFFF_FFFF, message];
    let format = if message == 0 {
        c"Assertion failed: %s, at %s:%u\n"
    } else {
        c"Assertion failed: %s, at %s:%u: %s\n"
    };
    // SAFETY: as many arguments as the format asks for; the strings are the driver's.
    let _ = unsafe {
        crate::dbg::print::vDbgPrintEx(DEFAULT_COMPONENT, 0, format.as_ptr().cast(), arguments.as_ptr())
    };
    break_at(caller)
}

/// What `DbgPrint` prints as.
const DEFAULT_COMPONENT: u32 = nt_abi::DPFLTR_DEFAULT_ID;

machine::raising_entry! {
    /// Reports a failed assertion and breaks into the debugger. Source: public headers.
    ///
    /// Parameters: assertion, file, line, message.
    #[export_macro::export(irql any)]
    pub fn RtlAssert => assert_failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::export::{Lookup, lookup};
    use crate::testing::{stops, with_kernel};

    #[test]
    fn an_exception_that_nobody_handles_stops_with_its_status() {
        with_kernel(Config::default(), |kernel, records| {
            let Lookup::Found(raise) = lookup("ntoskrnl.exe", "ExRaiseStatus", &kernel.config) else {
                panic!("it is exported")
            };
            let raise = raise.address.0.expose_provenance();
            let stop = stops(records, || {
                // SAFETY: one parameter, as documented.
                unsafe { machine::call1(raise, 0xC000_0022) };
            });
            assert_eq!(stop.parameters[0] & 0xFFFF_FFFF, 0xC000_0022);
            let entry = (ExRaiseAccessViolation as *const ()).expose_provenance();
            let stop = stops(records, || {
                // SAFETY: no parameters.
                unsafe { machine::call1(entry, 0) };
            });
            assert_eq!(stop.parameters[0] & 0xFFFF_FFFF, 0xC000_0005);
            let (what, file) = (c"1 == 2", c"a.c");
            let entry = (RtlAssert as *const ()).expose_provenance();
            let stop = stops(records, || {
                let [what, file] = [what, file].map(|text| text.as_ptr().expose_provenance() as u64);
                // SAFETY: two strings, a line and no message.
                unsafe { machine::call4(entry, what, file, 7, 0) };
            });
            assert_eq!(stop.parameters[0] & 0xFFFF_FFFF, 0x8000_0003);
            assert_eq!(records.lines(), ["Assertion failed: 1 == 2, at a.c:7"]);
        });
    }
}
