//! Second phase: unwinding to the frame that took the exception.

use std::ffi::c_void;

use crate::call::EDGE_UNWIND;
use crate::fault::deliver;
use crate::pcr::Kpcr;
use crate::seh::unwind::{FLAG_UHANDLER, undo_leaf, virtual_unwind};
use crate::seh::{
    Active, Border, Borders, MAX_FRAMES, call_handler, code, context, disposition, handler_routine, is_frame,
    status, table,
};
use crate::supervisor::Origin;
use nt_abi::{CONTEXT, DISPATCHER_CONTEXT, EXCEPTION_RECORD};

/// Where an unwind goes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The frame; 0 for an unwind without a target, which ends in a stop.
    pub frame: u64,
    /// Where it continues.
    pub ip: u64,
    /// What it finds in rax.
    pub value: u64,
}

/// Where an unwind starts.
#[derive(Debug)]
pub enum Start<'a> {
    /// At these registers: those of the driver's call.
    At(&'a CONTEXT),
    /// At the exception whose handler runs now: how the handlers of this crate unwind.
    Exception,
}

/// Calls the termination handlers of all frames inside of the target, then continues there.
pub fn unwind(start: Start<'_>, target: Target, record: Option<&EXCEPTION_RECORD>) -> ! {
    let mut own_record = record.copied().unwrap_or_default();
    if record.is_none() {
        own_record.ExceptionCode = status(code::UNWIND);
        own_record.ExceptionAddress = std::ptr::without_provenance_mut(target.ip as usize);
    }
    let record = &mut own_record;
    record.ExceptionFlags |= nt_abi::EXCEPTION_UNWINDING;
    if target.frame == 0 {
        record.ExceptionFlags |= nt_abi::EXCEPTION_EXIT_UNWIND;
    }
    let mut borders = Borders::here();
    let mut scope_index = 0;
    let mut walk = match start {
        Start::At(context) => *context,
        Start::Exception => match borders.pass() {
            // SAFETY: the dispatch that waits for its handler keeps the registers.
            Border::Handler(active) | Border::Unwind(active) => unsafe { *active.origin },
            Border::None | Border::Call => fail(record, &CONTEXT::default()),
        },
    };
    let mut first = true;
    for _ in 0..MAX_FRAMES {
        match borders.at(walk.Rsp) {
            Border::None => {}
            Border::Call => break,
            Border::Handler(active) => {
                // SAFETY: as above.
                walk = unsafe { *active.origin };
                first = true;
            }
            Border::Unwind(active) => {
                // A termination handler unwinds out of the unwind that called it: go on behind it.
                record.ExceptionFlags |= nt_abi::EXCEPTION_COLLIDED_UNWIND;
                // SAFETY: as above.
                (walk, scope_index) = unsafe { (*active.origin, (*active.dispatcher).ScopeIndex) };
                first = true;
            }
        }
        let pc = walk.Rip;
        let mut next = walk;
        let Some((image, function)) = table::lookup(pc) else {
            if !first || undo_leaf(&mut walk).is_err() {
                break;
            }
            first = false;
            continue;
        };
        first = false;
        let Some(function) = function else {
            if undo_leaf(&mut walk).is_err() {
                break;
            }
            continue;
        };
        let base = image.base as u64;
        let Ok(unwound) = virtual_unwind(FLAG_UHANDLER, base, pc, function, &mut next) else { break };
        let frame = unwound.establisher;
        // Frames lie one above the other: past the target means that there is no such frame.
        if !is_frame(frame) || (target.frame != 0 && frame > target.frame) {
            break;
        }
        if let Some(handler) = unwound.handler {
            if frame == target.frame {
                record.ExceptionFlags |= nt_abi::EXCEPTION_TARGET_UNWIND;
            }
            walk.Rax = target.value;
            let mut dispatcher = DISPATCHER_CONTEXT {
                ControlPc: pc,
                ImageBase: base,
                FunctionEntry: std::ptr::with_exposed_provenance_mut(function.entry as usize),
                EstablisherFrame: frame,
                TargetIp: target.ip,
                ContextRecord: &raw mut walk,
                LanguageHandler: handler_routine(handler),
                HandlerData: std::ptr::with_exposed_provenance_mut(unwound.handler_data as usize),
                HistoryTable: std::ptr::null_mut(),
                ScopeIndex: std::mem::take(&mut scope_index),
                ..DISPATCHER_CONTEXT::default()
            };
            let active = Active { origin: &raw const walk, frame, dispatcher: &raw mut dispatcher };
            let walk_pointer = &raw mut walk;
            // SAFETY: all of it lives in this frame.
            let answer = unsafe { call_handler(handler, EDGE_UNWIND, &active, record, walk_pointer) };
            record.ExceptionFlags &= !(nt_abi::EXCEPTION_COLLIDED_UNWIND | nt_abi::EXCEPTION_TARGET_UNWIND);
            if answer != disposition::CONTINUE_SEARCH && answer != disposition::COLLIDED_UNWIND {
                record.ExceptionCode = status(code::INVALID_DISPOSITION);
                fail(record, &walk);
            }
        } else {
            scope_index = 0;
        }
        if frame == target.frame {
            walk.Rip = target.ip;
            walk.Rax = target.value;
            resume(&mut walk);
        }
        walk = next;
    }
    record.ExceptionCode = status(code::INVALID_UNWIND_TARGET);
    fail(record, &walk)
}

/// Continues with `context` after forgetting what lay below its stack pointer.
pub(crate) fn resume(context: &mut CONTEXT) -> ! {
    let private = &Kpcr::current().private;
    let mut borders = Borders::here();
    borders.drop_below(context.Rsp);
    private.edge.set(borders.edge);
    let mut anchor = private.anchor.get();
    // SAFETY: anchors lie in frames of this thread that have not returned.
    while let Some(inner) = unsafe { anchor.as_ref() }
        && (anchor.addr() as u64) < context.Rsp
    {
        anchor = inner.previous;
    }
    private.anchor.set(anchor);
    // SAFETY: the registers of a driver frame of this thread; the frames below are those of drivers, which were
    // unwound, and of this module, which own nothing.
    unsafe { context::restore(context) }
}

fn fail(record: &EXCEPTION_RECORD, context: &CONTEXT) -> ! {
    deliver::unhandled(record, context, &Origin::Driver)
}

/// `RtlUnwindEx` and `RtlUnwind` as drivers call them.
extern "win64" fn unwind_from_driver(
    frame: u64,
    ip: u64,
    record: *const EXCEPTION_RECORD,
    value: u64,
    caller: &mut CONTEXT,
) -> u64 {
    let target = Target { frame, ip, value };
    // SAFETY: null or a record, as documented; the driver that called vouches for it.
    let record = unsafe { record.as_ref() };
    unwind(Start::At(caller), target, record)
}

crate::raising_entry! {
    /// `RtlUnwindEx`, and `RtlUnwind` whose parameters are the first four. Any IRQL.
    pub fn rtl_unwind_ex => unwind_from_driver
}

/// `RtlRestoreContext`: continues with a context. The record's special codes (long jump, consolidation) are not
/// known here.
///
/// # Safety
/// The context describes a frame of this thread that has not returned.
pub unsafe extern "win64" fn rtl_restore_context(context: *const CONTEXT, _record: *mut c_void) -> ! {
    // SAFETY: promised by the caller.
    let mut copy = unsafe { *context };
    resume(&mut copy)
}
