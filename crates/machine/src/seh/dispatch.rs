//! First phase: which handler takes the exception?

use crate::call::EDGE_HANDLER;
use crate::seh::unwind::{FLAG_EHANDLER, undo_leaf, virtual_unwind};
use crate::seh::{
    Active, Border, Borders, MAX_FRAMES, MAX_NESTING, call_handler, code, disposition, handler_routine,
    is_frame, status, table,
};
use nt_abi::{CONTEXT, DISPATCHER_CONTEXT, EXCEPTION_RECORD};

/// How a search ended. A handler that takes the exception does not let it end: it unwinds and continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dispatched {
    /// A filter asked for execution to go on with the (changed) registers.
    Continue,
    /// No driver frame took it.
    Unhandled,
}

impl Dispatched {
    /// Whether nobody took it.
    pub fn is_unhandled(self) -> bool {
        self == Dispatched::Unhandled
    }
}

/// Asks the handlers of the driver frames from `context` outwards, up to the edge.
///
/// Runs driver code on the present stack, which must lie below the frames. Does not return when a handler takes
/// the exception.
pub fn dispatch(record: &mut EXCEPTION_RECORD, context: &mut CONTEXT) -> Dispatched {
    let mut borders = Borders::here();
    if borders.nesting() >= MAX_NESTING {
        record.ExceptionFlags |= nt_abi::EXCEPTION_STACK_INVALID;
        return Dispatched::Unhandled;
    }
    // Frames up to this one belong to handlers of an earlier exception.
    let mut nested_frame = 0;
    let mut scope_index = 0;
    let mut first = true;
    let mut walk = *context;
    let mut dispatcher = DISPATCHER_CONTEXT::default();
    for _ in 0..MAX_FRAMES {
        match borders.at(walk.Rsp) {
            Border::None => {}
            Border::Call => return Dispatched::Unhandled,
            Border::Handler(active) => {
                record.ExceptionFlags |= nt_abi::EXCEPTION_NESTED_CALL;
                nested_frame = nested_frame.max(active.frame);
                // SAFETY: the dispatch that waits for its handler keeps the registers.
                walk = unsafe { *active.origin };
                first = true;
            }
            Border::Unwind(active) => {
                // SAFETY: the unwind that waits for its handler keeps both.
                (walk, scope_index) = unsafe { (*active.origin, (*active.dispatcher).ScopeIndex) };
                first = true;
            }
        }
        let pc = walk.Rip;
        let Some((image, function)) = table::lookup(pc) else {
            // A call to nowhere, executable pool, or one of our leaf routines: nothing on the stack but the return.
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
        let Ok(unwound) = virtual_unwind(FLAG_EHANDLER, base, pc, function, &mut walk) else { break };
        if !is_frame(unwound.establisher) {
            break;
        }
        let Some(handler) = unwound.handler else {
            scope_index = 0;
            continue;
        };
        dispatcher = DISPATCHER_CONTEXT {
            ControlPc: pc,
            ImageBase: base,
            FunctionEntry: std::ptr::with_exposed_provenance_mut(function.entry as usize),
            EstablisherFrame: unwound.establisher,
            TargetIp: 0,
            ContextRecord: &raw mut walk,
            LanguageHandler: handler_routine(handler),
            HandlerData: std::ptr::with_exposed_provenance_mut(unwound.handler_data as usize),
            HistoryTable: std::ptr::null_mut(),
            ScopeIndex: std::mem::take(&mut scope_index),
            ..dispatcher
        };
        let active = Active { origin: context, frame: unwound.establisher, dispatcher: &raw mut dispatcher };
        // SAFETY: record, context and the dispatcher's context live in this frame or the caller's.
        let answer = unsafe { call_handler(handler, EDGE_HANDLER, &active, record, context) };
        if unwound.establisher >= nested_frame {
            record.ExceptionFlags &= !nt_abi::EXCEPTION_NESTED_CALL;
            nested_frame = 0;
        }
        match answer {
            disposition::CONTINUE_EXECUTION
                if record.ExceptionFlags & nt_abi::EXCEPTION_NONCONTINUABLE == 0 =>
            {
                return Dispatched::Continue;
            }
            disposition::CONTINUE_EXECUTION => {
                record.ExceptionCode = status(code::NONCONTINUABLE_EXCEPTION);
                return Dispatched::Unhandled;
            }
            disposition::CONTINUE_SEARCH => {}
            disposition::NESTED_EXCEPTION => {
                record.ExceptionFlags |= nt_abi::EXCEPTION_NESTED_CALL;
                nested_frame = nested_frame.max(dispatcher.EstablisherFrame);
            }
            _ => {
                record.ExceptionCode = status(code::INVALID_DISPOSITION);
                return Dispatched::Unhandled;
            }
        }
    }
    record.ExceptionFlags |= nt_abi::EXCEPTION_STACK_INVALID;
    Dispatched::Unhandled
}
