//! `DbgPrint`, `DbgPrintEx`, `vDbgPrintEx`, `vDbgPrintExWithPrefix`.
//!
//! What a driver prints becomes records of whole lines. A line that a driver prints in pieces is put together
//! on the thread that prints it, and ends at the latest when the routine that printed it returns.

use std::cell::RefCell;
use std::ffi::CStr;

use event::{Body, DriverId};
use export_macro::export;
use nt_abi::{NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

use crate::rtl::printf::{self, Arguments, Width};
use crate::{io, kernel};

/// What `DbgPrint` prints as.
const DEFAULT_COMPONENT: u32 = 101;
/// DPFLTR_INFO_LEVEL.
const INFO_LEVEL: u32 = 3;
/// One call prints no more bytes than this. Source: DDI, DbgPrint.
const MOST_BYTES: usize = 512;

/// A line that has no end yet.
#[derive(Debug, Default)]
struct Line {
    text: Vec<u8>,
    driver: Option<DriverId>,
    component: u32,
    level: u32,
}

thread_local! {
    static LINE: RefCell<Line> = const {
        RefCell::new(Line { text: Vec::new(), driver: None, component: 0, level: 0 })
    };
}

/// Prints to the debugger: here, to the records. Variadic: the arguments stand behind the format.
///
/// The Unicode formats are for PASSIVE_LEVEL only. Source: DDI.
#[export(irql any)]
#[unsafe(naked)]
pub unsafe extern "win64" fn DbgPrint(format: *const u8) -> NTSTATUS {
    // The caller leaves room for the four register arguments right above the return address: with
    // them there, all arguments are one array.
    std::arch::naked_asm!(
        "mov [rsp + 8], rcx",
        "mov [rsp + 16], rdx",
        "mov [rsp + 24], r8",
        "mov [rsp + 32], r9",
        "lea rdx, [rsp + 16]",
        "jmp {}",
        sym dbg_print,
    )
}

/// Prints to the debugger, for a component and at a level. Variadic. Source: DDI.
#[export(irql any, since = Xp)]
#[unsafe(naked)]
pub unsafe extern "win64" fn DbgPrintEx(component: u32, level: u32, format: *const u8) -> NTSTATUS {
    std::arch::naked_asm!(
        "mov [rsp + 8], rcx",
        "mov [rsp + 16], rdx",
        "mov [rsp + 24], r8",
        "mov [rsp + 32], r9",
        "lea r9, [rsp + 32]",
        "jmp {}",
        sym vDbgPrintEx,
    )
}

unsafe extern "win64" fn dbg_print(format: *const u8, arguments: *const u64) -> NTSTATUS {
    // SAFETY: passed on from the driver's call.
    unsafe { print(&[], DEFAULT_COMPONENT, INFO_LEVEL, format, arguments) }
}

/// Prints to the debugger, with the arguments as a list. Source: DDI.
#[export(irql any, since = Xp)]
pub unsafe extern "win64" fn vDbgPrintEx(
    component: u32,
    level: u32,
    format: *const u8,
    arguments: *const u64,
) -> NTSTATUS {
    // SAFETY: passed on from the driver's call.
    unsafe { print(&[], component, level, format, arguments) }
}

/// Prints to the debugger, with a prefix before the formatted text. Source: DDI.
#[export(irql any, since = Xp)]
pub unsafe extern "win64" fn vDbgPrintExWithPrefix(
    prefix: *const u8,
    component: u32,
    level: u32,
    format: *const u8,
    arguments: *const u64,
) -> NTSTATUS {
    // SAFETY: the driver's string.
    let prefix = if prefix.is_null() { &[] } else { unsafe { CStr::from_ptr(prefix.cast()) }.to_bytes() };
    // SAFETY: passed on from the driver's call.
    unsafe { print(prefix, component, level, format, arguments) }
}

/// Sets a bit of a component's filter. Callboard shows everything, so this only succeeds. Source: DDI.
#[export(irql any, since = Xp)]
pub unsafe extern "win64" fn DbgSetDebugFilterState(_component: u32, _level: u32, _state: u8) -> NTSTATUS {
    STATUS_SUCCESS
}

/// Says whether a component's filter lets a level through: always. Source: DDI.
#[export(irql any, since = Xp)]
pub unsafe extern "win64" fn DbgQueryDebugFilterState(_component: u32, _level: u32) -> NTSTATUS {
    NTSTATUS(1)
}

/// Formats and prints.
///
/// # Safety
/// `format` and `arguments` must be what C formats ask for.
unsafe fn print(
    prefix: &[u8],
    component: u32,
    level: u32,
    format: *const u8,
    arguments: *const u64,
) -> NTSTATUS {
    if format.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    let mut text = prefix.to_vec();
    // SAFETY: by this function's contract.
    unsafe {
        let format = CStr::from_ptr(format.cast()).to_bytes();
        printf::format(&mut text, Width::Narrow, format, Arguments::new(arguments));
    }
    text.truncate(MOST_BYTES);
    put(&text, component, level);
    STATUS_SUCCESS
}

/// Adds text to the thread's line, and records every line that it ends.
fn put(text: &[u8], component: u32, level: u32) {
    let driver = io::current_driver();
    LINE.with_borrow_mut(|line| {
        if (line.driver, line.component, line.level) != (driver, component, level) {
            line.end();
            (line.driver, line.component, line.level) = (driver, component, level);
        }
        for part in text.split_inclusive(|&byte| byte == b'\n') {
            line.text.extend_from_slice(part);
            if part.ends_with(b"\n") {
                line.text.pop();
                line.end_even_if_empty();
            }
        }
    });
    super::debugger::tell(text, component, level);
}

impl Line {
    fn end(&mut self) {
        if !self.text.is_empty() {
            self.end_even_if_empty();
        }
    }

    fn end_even_if_empty(&mut self) {
        if self.text.ends_with(b"\r") {
            self.text.pop();
        }
        let text = String::from_utf8_lossy(&self.text);
        kernel().record(Body::Debug {
            driver: self.driver,
            component: self.component,
            level: self.level,
            text,
        });
        self.text.clear();
    }
}

/// Records what the thread has printed without ending the line: the routine that printed it has returned.
pub(crate) fn flush_line() {
    LINE.with_borrow_mut(Line::end);
}
